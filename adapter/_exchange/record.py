"""What was decided for one call, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from adapter.translation.ledger import Loss
from adapter.translation.policy import Policy
from adapter.translation.types import Translation

Backend = Literal["chat", "responses"]


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a call that was chosen for the Responses API stays on Chat Completions: the reason's name, and the ledger's entry.

    One that isn't `binding` doesn't hold for models that Chat can't serve.
    """

    reason: str
    loss: Loss
    unconditional: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """What the settings say about one call, before the request itself is translated.

    `reason` names where it comes from (`force`, `header`, `use`, `flag`, `rule`, `rollout`, `settings`, `hosts`); `model` is the name that
    a rule puts in place of the caller's; `fallback` says which replies send the call to Chat Completions. `unserved` tells whether a
    model was found not to be served on the Responses API.
    """

    backend: Backend
    reason: str
    policy: Policy
    on_bug: Literal["chat", "raise"]
    settings_hash: str
    hold: Hold | None = None
    model: str | None = None
    fallback: frozenset[str] = frozenset()
    fallback_expiry: float = 600.0
    unserved: Callable[[object], bool] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one call.

    `asked` is the backend that the settings chose, `backend` the one that got the call, `reason` says
    why: `force`, `header`, `use`, `flag`, `rule`, `rollout`, `settings`, or `hosts` for a host that
    isn't among those, where the choice stood; `unsupported`, `not-json`, `missing`, `blocked`,
    `rejected` or `adapter-bug` where the call went to Chat after all; `refused` where it went nowhere.
    `losses` is the ledger so far, with the paths that held the call on Chat: complete once the reply,
    or the stream, has been read. `settings_hash` tells settings apart without showing them. `call_site`
    is the nearest caller, `module:function`: None where nobody is on the stack, as in a task that is the
    SDK's own coroutine.
    """

    backend: Backend
    asked: Backend
    reason: str
    losses: tuple[Loss, ...]
    settings_hash: str
    call_site: str | None = None


class ReplyInfo(Protocol):
    """What is known of a translated reply: its part of the ledger, and its usage in Chat's terms, None where there is none yet."""

    @property
    def losses(self) -> Iterable[Loss]:
        """The reply's part of the ledger, as far as it goes."""

    @property
    def usage(self) -> Any:
        """The usage."""


@dataclass(slots=True)
class CallState:
    """The record of one call under way; its retries and redirects share it."""

    route: Route | None = None
    backend: Backend = "chat"
    reason: str = ""
    model: str = ""
    request_losses: tuple[Loss, ...] = ()
    reply: ReplyInfo | None = None
    translation: Translation | None = None  # of the request that went to the Responses API
    completion_id: str | None = None  # by whose id the call is known while it is under way
    logged: bool = False  # into the log: one line per call
    droppable: Mapping[str, str] | None = None  # of the plan that kept the call on Chat Completions
    call_site: str | None = None  # the nearest caller

    def reply_losses(self) -> Iterable[Loss]:
        """Return the reply's part of the ledger, as far as it goes."""
        return () if self.reply is None else self.reply.losses

    def usage(self) -> Any:
        """Return the usage of the translated reply, in Chat's terms; None where there is none yet."""
        return None if self.reply is None else self.reply.usage

    def decision(self) -> Decision | None:
        """Return the decision as it stands; None before there is one."""
        if self.route is None:
            return None
        losses = (*self.request_losses, *self.reply_losses())
        return Decision(
            self.backend,
            self.route.backend,
            self.reason,
            losses,
            self.route.settings_hash,
            self.call_site,
        )
