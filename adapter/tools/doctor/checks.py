"""The table of checks, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapter.errors import AdapterError

from . import connectivity, installation, rules, sample_call, settings_sources, workers
from .findings import Environment, Finding


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, its function, and whether it needs valid settings."""

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
    """Run all checks. A check that breaks is a finding; an AdapterError (wrong use) is raised."""
    for check in CHECKS:
        if check.needs_settings and environment.settings is None:
            yield Finding(check.name, "skipped", "Needs valid settings.")
            continue
        try:
            yield from check.run(environment)
        except AdapterError:
            raise
        except Exception as error:  # noqa: BLE001  # one broken check must not hide the others
            yield Finding(
                check.name,
                "failed",
                f"The check itself failed ({type(error).__name__}).",
                "Please report it.",
            )
