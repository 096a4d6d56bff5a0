"""The checks, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapter.errors import AdapterError

from . import connectivity, installation, rules, sample_call, settings_sources, workers
from .findings import Environment, Finding


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it is called, what it does, and whether it needs settings that hold."""

    name: str
    run: Callable[[Environment], Iterator[Finding]]
    needs_settings: bool = True


CHECKS = (
    Check("shadow", installation.shadow, needs_settings=False),
    Check("sdk", installation.sdk, needs_settings=False),
    Check("key", installation.key, needs_settings=False),
    Check("settings", settings_sources.settings, needs_settings=False),
    Check("rules", rules.rules),
    Check("memory", workers.memory),
    Check("store", connectivity.store),
    Check("flags", connectivity.flag),
    Check("endpoints", connectivity.endpoints, needs_settings=False),
    Check("decision", sample_call.decision),
)


def run_checks(environment: Environment) -> Iterator[Finding]:
    """Make every check. One that fails by itself is a finding, too; a mistake of the caller's (AdapterError) is raised."""
    for check in CHECKS:
        if check.needs_settings and environment.settings is None:
            yield Finding(check.name, "skipped", "There are no settings to check it by.")
            continue
        try:
            yield from check.run(environment)
        except AdapterError:
            raise
        except Exception as error:  # noqa: BLE001  # a check that breaks must not hide the others
            yield Finding(
                check.name,
                "failed",
                f"The check itself failed ({type(error).__name__}).",
                "Please report it.",
            )
