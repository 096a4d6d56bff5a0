"""What a check is given, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from adapter._settings.settings import Settings

State = Literal["ok", "note", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: a sentence, and what to do where there is something to do.

    `details` is JSON. Nothing in here is a secret or a prompt: values that may hold one are named, and not shown.
    """

    name: str
    state: State
    message: str
    advice: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "name": self.name,
            "state": self.state,
            "says": self.message,
            "do": self.advice,
            **({"details": dict(self.details)} if self.details else {}),
        }


@dataclass(frozen=True, slots=True)
class Environment:
    """What is examined: the settings (or why there are none), the environment, the working directory, and what was asked for.

    `here` is a settings file in the working directory that nothing names, and that is therefore not
    read. `flags` is `module:object`, a client of OpenFeature or what makes one; `live` allows requests
    to the API; `sample` is the body of a Chat Completions call.
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
        """Read a number from the environment."""
        value = self.variables.get(name, "").strip()
        return int(value) if value.isdecimal() else None
