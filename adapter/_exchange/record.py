"""The route of a call, its state while it runs, and the decision that users see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from adapter.translation.ledger import Loss
from adapter.translation.policy import Policy
from adapter.translation.types import Translation

if TYPE_CHECKING:
    from .call_settings import CallSettings

Backend = Literal["chat", "responses"]


class Hold(NamedTuple):
    """Why a call whose route is the Responses API is kept on Chat: the reason's name and its loss.

    A hold that isn't `unconditional` doesn't apply to models that Chat can't serve.
    """

    reason: str
    loss: Loss
    unconditional: bool = True


class Route(NamedTuple):
    """What the settings say about one call, before the request is translated.

    `reason` names the setting that decided (`force`, `header`, `use`, `flag`, `rule`, `rollout`,
    `settings`, `hosts`); `settings` are those of the call, with the matching rule's over them, and
    `policy` is made of them; `model` is the model that a rule sets instead of the caller's.
    `unserved` returns whether the server is known not to serve a model on the Responses API.
    """

    backend: Backend
    reason: str
    settings: CallSettings
    policy: Policy
    settings_hash: str
    hold: Hold | None = None
    model: str | None = None
    unserved: Callable[[object], bool] | None = None

    @property
    def strict(self) -> bool:
        """Whether the adapter's own bugs are raised."""
        return self.settings.on_internal_error == "raise"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one call.

    `asked` is the backend that the settings chose, `backend` the one that got the call. `reason`
    says why: `force`, `header`, `use`, `flag`, `rule`, `rollout`, `settings`, or `hosts` for a host
    that isn't listed, if the choice was followed; `unsupported`, `not-json`, `missing`, `blocked`,
    `rejected` or `adapter-bug` if the call went to Chat after all; `refused` if it wasn't sent.
    `losses` is the ledger so far, with the paths that kept the call on Chat; it is complete once
    the reply or the stream has been read. `settings_hash` identifies the settings without showing
    them. `call_site` is the nearest caller, `module:function`, or None if no caller is on the
    stack, as in a task that runs the SDK's own coroutine.
    """

    backend: Backend
    asked: Backend
    reason: str
    losses: tuple[Loss, ...]
    settings_hash: str
    call_site: str | None = None


class ReplyInfo(Protocol):
    """What is known of a translated reply so far."""

    @property
    def losses(self) -> Iterable[Loss]:
        """The reply's losses so far."""

    @property
    def usage(self) -> Any:
        """The usage in Chat's shape, or None."""


@dataclass(slots=True)
class CallState:
    """What is known of a call so far; its retries and redirects share it."""

    route: Route | None = None
    backend: Backend = "chat"
    reason: str = ""
    model: str = ""
    request_losses: tuple[Loss, ...] = ()
    reply: ReplyInfo | None = None
    translation: Translation | None = None  # of the request sent to the Responses API
    completion_id: str | None = None  # identifies the call while it runs
    logged: bool = False  # one log line per call
    droppable: Mapping[str, str] | None = None  # from the plan that kept the call on Chat
    call_site: str | None = None  # the nearest caller

    def reply_losses(self) -> Iterable[Loss]:
        """Return the reply's losses so far."""
        return () if self.reply is None else self.reply.losses

    def usage(self) -> Any:
        """Return the usage of the translated reply in Chat's shape; None if there is none yet."""
        return None if self.reply is None else self.reply.usage

    def decision(self) -> Decision | None:
        """Return the decision so far; None before a route is chosen."""
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
