"""The record of one call, for observers.

It contains nothing that a user or a model wrote: only names, paths, classes and numbers
(docs/decisions.md#privacy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapter._exchange.record import Backend, Decision
from adapter._util import safe_names

_LONGEST_TAG = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The record of one call.

    `asked` is the backend that the settings chose, `backend` the one that got the call, `reason`
    why. `held` are the paths that kept the call on Chat; `losses` are all losses, each a path
    without indexes (`messages[].name`) and its action. `status` is the HTTP status, None if there
    was no reply; `error` is the class of the exception that the caller got. `latency` and
    `first_token` are seconds from the start of the call to its end and to the first piece of the
    answer. Token counts are None if the server sent none. `call_site` is the nearest caller,
    `module:function`, None if no caller is on the stack.
    """

    asked: Backend
    backend: Backend
    reason: str
    model: str | None = None
    tag: str | None = None
    stream: bool = False
    azure: bool = False
    held: tuple[str, ...] = ()
    losses: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    error: str | None = None
    latency: float
    first_token: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    settings_hash: str = ""
    call_site: str | None = None

    @classmethod
    def of(
        cls,
        decision: Decision,
        *,
        latency: float,
        first_token: float | None = None,
        model: str | None = None,
        tag: str | None = None,
        stream: bool = False,
        azure: bool = False,
        status: int | None = None,
        error: BaseException | str | None = None,
        usage: Any = None,
    ) -> Record:
        """Make the record of a call from its decision and the other facts.

        `usage` is that of a Chat reply, as JSON; `error` is the exception or the name of its class.
        """
        usage = usage if isinstance(usage, dict) else {}
        held = [
            safe_names.without_indexes(loss.path)
            for loss in decision.losses
            if loss.action == "held"
        ]
        return cls(
            asked=decision.asked,
            backend=decision.backend,
            reason=decision.reason,
            model=None if model is None else safe_names.name(model),
            tag=None if tag is None else safe_names.printable(tag, _LONGEST_TAG),
            stream=stream,
            azure=azure,
            held=tuple(dict.fromkeys(held)),
            losses=tuple(
                (safe_names.without_indexes(loss.path), loss.action) for loss in decision.losses
            ),
            status=status,
            error=error if error is None or isinstance(error, str) else type(error).__name__,
            latency=latency,
            first_token=first_token,
            prompt_tokens=_count(usage, "prompt_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
            reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
            cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
            settings_hash=decision.settings_hash,
            call_site=None
            if decision.call_site is None
            else safe_names.printable(decision.call_site),
        )


def _count(counts: Any, key: str) -> int | None:
    found = counts.get(key) if isinstance(counts, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None
