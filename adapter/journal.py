"""What was decided for one call, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from .translation.draft import Translation
from .translation.ledger import Loss
from .translation.policy import Policy

Backend = Literal["chat", "responses"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the settings say about one call, before the request itself is looked at.

    `reason` names where it comes from (`settings`, `use`, `header`).
    """

    backend: Backend
    reason: str
    policy: Policy
    on_bug: Literal["chat", "raise"]
    settings_hash: str
    hold: Loss | None = None  # what about the request, as it stands on the wire, forbids rewriting it


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one call.

    `asked` is the backend that the settings chose, `backend` the one that got the call, `reason` says why (`settings`,
    `use`, `header`; `unsupported`, `not-json` or `adapter-bug` where the call was held on Chat; `refused` where it went
    nowhere), `losses` is the ledger so far: complete once the reply, or the stream, has been read. `settings_hash`
    tells settings apart without showing them.
    """

    backend: Backend
    asked: Backend
    reason: str
    losses: tuple[Loss, ...]
    settings_hash: str


@dataclass(slots=True)
class Journal:
    """The record of one call under way; its retries and redirects share it."""

    choice: Choice | None = None
    backend: Backend = "chat"
    reason: str = ""
    model: str = ""
    request_losses: tuple[Loss, ...] = ()
    reply_losses: Callable[[], Iterable[Loss]] = field(default=tuple)
    translation: Translation | None = None  # of the request that went to the Responses API
    written: bool = False  # into the log: one line per call

    def decision(self) -> Decision | None:
        """Return the decision as it stands; None before there is one."""
        if self.choice is None:
            return None
        losses = (*self.request_losses, *self.reply_losses())
        return Decision(self.backend, self.choice.backend, self.reason, losses, self.choice.settings_hash)
