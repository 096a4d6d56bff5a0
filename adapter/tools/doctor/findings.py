"""The input of a check, and its findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from adapter._settings.settings import Settings

State = Literal["ok", "note", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: a sentence, and an advice if there is something to do.

    `details` is JSON. A finding never has secrets or prompts: values that may be one are named, not
    shown.
    """

    name: str
    state: State
    message: str
    advice: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return {
            "name": self.name,
            "state": self.state,
            "says": self.message,
            "do": self.advice,
            **({"details": dict(self.details)} if self.details else {}),
        }


@dataclass(frozen=True, slots=True)
class Environment:
    """The input of all checks: settings (or their error), environment, folder and options.

    `unread_settings_file` is one in the working directory that nothing names and programs don't
    read. `flags` is `module:object`, an OpenFeature client or a function that makes one. `live`
    allows requests to the API. `sample` is the body of a Chat Completions call.
    """

    settings: Settings | None
    settings_error: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()
    flags: str | None = None
    live: bool = False
    sample: Mapping[str, Any] | None = None
    unread_settings_file: Path | None = None

    def number(self, name: str) -> int | None:
        """Return a variable of the environment as a number; None if it isn't one."""
        value = self.variables.get(name, "").strip()
        return int(value) if value.isdecimal() else None
