"""Settings as a program gives them: the object, a dict of what it would be made with, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter.errors import ConfigurationError

from .settings import Settings

SettingsLike = Settings | Mapping[str, Any] | None


def settings_of(given: SettingsLike) -> Settings:
    """Return the settings that were given; of a dict, those that its entries make as arguments.

    Raises ConfigurationError for anything else, and for what `Settings` refuses.
    """
    if isinstance(given, Settings):
        return given
    if given is None:
        return Settings()
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"settings: expected Settings or a dict, got {_type_name(given)}")
    for key in given:
        if not isinstance(key, str):
            raise ConfigurationError(f"settings: expected names as keys, got {_type_name(key)}")
    return Settings(**given)


def _type_name(thing: object) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
