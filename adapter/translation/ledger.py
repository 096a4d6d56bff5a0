"""The ledger: what a translation changed, dropped or could not carry over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapter._util import safe_names

_LONGEST_WHY = 500

Action = Literal["dropped", "changed", "clamped", "held"]


@dataclass(frozen=True, slots=True)
class Loss:
    """One entry of the ledger: a JSON path, what happened there, and why.

    The path is one of the Chat request, or of the Response. `dropped`: the value was left out.
    `changed`: carried over with another meaning. `clamped`: replaced by the nearest value that the
    API takes. `held`: the call is kept on Chat for this reason. An entry never contains a value; a
    key that doesn't look like a name is replaced by `other` (docs/decisions.md#privacy).
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
    """The entries of one call, in the order in which they were added."""

    __slots__ = ()

    def add(self, path: str, action: Action, why: str) -> None:
        """Add an entry."""
        self.append(Loss(path, action, why))
