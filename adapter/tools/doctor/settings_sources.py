"""Check the settings: the values in force, and the source of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapter._memory.urls import plain_url, without_secrets
from adapter._settings.environment import PREFIX, read, unknown
from adapter._settings.fields import OTHER_NAME
from adapter._settings.kill_switch import ForceEntry
from adapter._settings.settings import Settings, find_forces

from .findings import Environment, Finding

_NOT_LISTED = ("flags", "observers", "on_bug")  # objects, and the older name of another setting


def settings(environment: Environment) -> Iterator[Finding]:
    """Report the settings in force, with their sources, and problems."""
    if environment.settings is None:
        yield Finding(
            "settings",
            "failed",
            environment.settings_error,
            "Fix this first; checks that need settings were skipped.",
        )
        return
    if environment.settings._problem:
        yield Finding(
            "settings",
            "failed",
            f"{environment.settings._problem}: the kill switch still applies; "
            "invalid settings use their defaults.",
            "Fix this before removing the kill switch: it stays in force until then.",
        )
    rows = [
        setting_row(environment.settings, name, environment.variables)
        for name in type(environment.settings).model_fields
        if name not in _NOT_LISTED
    ]
    given = [one for one in rows if one["from"] != "default"]
    settings_hash = environment.settings.hash
    yield Finding(
        "settings",
        "ok",
        f"{len(given)} given, {len(rows) - len(given)} defaults; hash {settings_hash}",
        details={"hash": settings_hash, "settings": rows},
    )
    if environment.unread_settings_file is not None:
        yield Finding(
            "file",
            "warning",
            f"{environment.unread_settings_file} was found here but not used: "
            "programs read it only if it is named.",
            f"Set ADAPTER_CONFIG={environment.unread_settings_file}, "
            "or pass Settings(config_file=…).",
        )
    for _, problem in unknown(
        read(process=environment.variables), type(environment.settings).model_fields
    ):
        yield Finding("variables", "warning", problem, "Correct it, or unset it.")
    yield from _fractional_rollouts(environment.settings)
    if environment.settings.force is not None:
        where = next(one["from"] for one in rows if one["name"] == "force")
        to = (
            "the API it was written for"
            if environment.settings.force == "native"
            else environment.settings.force
        )
        message = f"Every call goes to {to}, by force ({where}), whatever else is set."
        if environment.settings._remarks:
            message += f" {environment.settings._remarks}."
        forces = [
            {"place": place, "value": one.value} for one, place in _forces(environment.settings)
        ]
        yield Finding(
            "force",
            "warning",
            message,
            "Remove `force` when the incident is over.",
            {"forces": forces},
        )


def setting_row(settings: Settings, name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return a setting as JSON: `name`, `value` without secrets, and its source as `from`.

    The source is `argument`, a variable, a line of a file, or `default`.
    """
    return {
        "name": name,
        "value": shown_value(settings, name),
        "from": _origin(settings, name, environment),
    }


def _origin(settings: Settings, name: str, environment: Mapping[str, str]) -> str:
    if name == "force":  # the strongest of all sources counts
        return next(
            (place for one, place in _forces(settings) if one.value == settings.force), "default"
        )
    return next(_sources(settings, name, environment), "default")


def _fractional_rollouts(settings: Settings) -> Iterator[Finding]:
    """Find percentages that may be meant as fractions from 0 to 1."""
    for place, source in (
        ("rollout", settings),
        *((f"rules[{i}].rollout", one) for i, one in enumerate(settings.rules)),
    ):
        if source.rollout is not None and 0 < source.rollout < 1:
            yield Finding(
                place,
                "note",
                f"{place} is {source.rollout:g} %: it is a percentage, from 0 to 100.",
                f"Write {source.rollout * 100:g} if {source.rollout * 100:g} % is meant.",
            )


def _forces(settings: Settings) -> list[tuple[ForceEntry, str]]:
    return [
        (one, place)
        for one, place in find_forces(settings._settings_file, settings._arguments)
        if one.value is not None
    ]


def _sources(settings: Settings, name: str, environment: Mapping[str, str]) -> Iterator[str]:
    spelled = (name, OTHER_NAME[name]) if name in OTHER_NAME else (name,)
    for one in spelled:
        if one in settings._arguments:
            yield "argument"
    variables = read(settings._arguments, environment)
    for one in spelled:
        yield from (place for _, place in variables.values_of(PREFIX + one.upper()))
    document = settings._settings_file
    for one in spelled:
        if document is not None and one in document.data:
            yield document.where((one,))


def shown_value(settings: Settings, name: str) -> Any:
    """Return a setting's value as JSON, without secrets."""
    value = getattr(settings, name)
    if name == "memory_key":
        return f"{len(value)} set, not shown" if value else None
    if name == "memory":
        url = plain_url(value)
        return without_secrets(url) if isinstance(url, str) else type(value).__qualname__
    if name == "rules":  # as written, without the defaults
        return [rule.model_dump(mode="json", exclude_unset=True) for rule in value]
    return settings.model_dump(mode="json", include={name})[name]
