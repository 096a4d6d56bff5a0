"""The sources of settings, as pydantic-settings takes them."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from .kill_switch import extract_forces


@dataclass(frozen=True, slots=True)
class Sources:
    """The values beside the arguments: a file's, the variables', and those that beat everything."""

    file: Mapping[str, Any]
    forced: Mapping[str, Any]
    variables: Mapping[str, str]


SOURCES: ContextVar[Sources] = ContextVar("adapter.settings.reading")
"""The values for the settings that are being made: pydantic-settings passes none to a source."""


class FileSource(PydanticBaseSettingsSource):
    """The values of the settings file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: `__call__` returns all values."""
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        """Return the values."""
        return dict(SOURCES.get().file)


class UnmergedSource(PydanticBaseSettingsSource):
    """A source whose tables replace those of weaker sources: pydantic-settings would merge them."""

    def __init__(
        self, settings_cls: type[BaseSettings], source: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._source = source

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: `__call__` returns all values."""
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        """Return the values that no stronger source has set."""
        return {
            name: value for name, value in self._source().items() if name not in self.current_state
        }


class VariablesSource(UnmergedSource):
    """The environment variables, parsed as pydantic-settings parses those of the process."""

    def __call__(self) -> dict[str, Any]:
        """Return the values that no stronger source has set, without any `force` in rules."""
        source: Any = self._source
        source.env_vars = {name.lower(): value for name, value in SOURCES.get().variables.items()}
        values = super().__call__()
        if "rules" in values:
            values["rules"], _ = extract_forces(values["rules"])
        return values


class KillSwitchSource(PydanticBaseSettingsSource):
    """The values that beat every other source: the kill switch, from whatever source."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: `__call__` returns all values."""
        raise AssertionError("read as a whole")

    def __call__(self) -> dict[str, Any]:
        """Return the values."""
        return dict(SOURCES.get().forced)
