"""Settings as a program passes them: `Settings`, a dict of its arguments, or None."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from adapter.errors import ConfigurationError

if TYPE_CHECKING:
    from .settings import Settings

SettingsLike: TypeAlias = "Settings | Mapping[str, Any] | None"


def settings_of(given: SettingsLike) -> Settings:
    """Return `given` as Settings; a dict holds their arguments, and None means none.

    Raises ConfigurationError for anything else, and for arguments that `Settings` refuses.
    """
    from .settings import Settings  # here, since it imports pydantic-settings, which takes long

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


def _type_name(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
