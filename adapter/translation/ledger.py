"""The ledger: what a translation changed, dropped or could not carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapter._util import safe_names

_LONGEST_WHY = 500

Action = Literal["dropped", "changed", "clamped", "held"]


@dataclass(frozen=True, slots=True)
class Loss:
    """One entry: the JSON path (in Chat's terms for requests, in the Response for replies), what happened, and why.

    `dropped`: the value is not carried over. `changed`: carried over with another meaning. `clamped`: moved to the
    nearest value the API takes. `held`: the reason why the call stays on Chat Completions. An entry never holds a
    value, and a key that doesn't look like a name stands as `other` in its path.
    """

    path: str
    action: Action
    why: str

    def __post_init__(self) -> None:
        shown, why = safe_names.path(self.path), safe_names.printable(self.why, _LONGEST_WHY)
        if shown != self.path:
            object.__setattr__(self, "path", shown)
        if why != self.why:
            object.__setattr__(self, "why", why)

    def __str__(self) -> str:
        return f"{self.path}: {self.action} ({self.why})"


class Ledger(list[Loss]):
    """The entries of one call, in the order in which they were made."""

    __slots__ = ()

    def add(self, path: str, action: Action, why: str) -> None:
        """Add an entry."""
        self.append(Loss(path, action, why))
