"""Send one translated request, read its reply, and retry without the parts that the API refused."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from adapter.translation.types import Translation

from . import fallback
from .effects import (
    LOG_CALL,
    READ_REPLY,
    Effect,
    Exchange,
    FallBack,
    Outcome,
    PassThrough,
    ReplyHead,
    Send,
    StreamReply,
    WholeReply,
)
from .plan import Plan
from .reasoning import (
    PreparedRequest,
    Retry,
    effects_when_accepted,
    error_in,
    without_refused_parts,
)
from .record import CallState, Route
from .reply import read_reply_gen


def send_gen(state: CallState, route: Route, plan: Plan, prepared: PreparedRequest) -> Exchange:
    """Send the translated request and read the reply.

    If the API refuses a part that the adapter added, the request is sent again without it
    (docs/decisions.md#refused-reasoning).
    """
    memory_effects: list[Effect] = []
    while True:
        head: ReplyHead = yield Send(prepared.body, plan.path)
        state.translation = Translation(None, *prepared.translation[1:])
        raw, outcome, refusal = None, None, None
        if head.status == 400 and prepared.has_adapter_parts:
            refusal = raw = yield READ_REPLY
        elif head.status < 300 and not (route.fallback and _may_fall_back(head, route)):
            outcome = yield from read_reply_gen(
                state,
                route,
                state.translation,
                head,
                make_entry=prepared.make_entry,
                path=plan.path,
            )
            refusal = _error_in_reply(outcome)
        retry = (
            _retry_without_refused_parts(prepared, refusal, route)
            if refusal is not None and prepared.has_adapter_parts
            else None
        )
        if retry is None:
            break
        state.request_losses += retry.losses
        memory_effects.append(retry.effect)
        prepared = retry.request
    if head.status < 400 and refusal is None:  # otherwise the cause may have been something else
        yield from _update_memory_gen(memory_effects or effects_when_accepted(prepared), route)
    if outcome is None:
        if head.status == 302 and "blocked" in route.fallback:
            return FallBack("blocked", head, b"")
        if 300 <= head.status < 400:
            # The HTTP client follows it and comes back with the same call state
            # (docs/mapping.md#redirects).
            return PassThrough()
        if route.fallback and _may_fall_back(head, route):
            raw = (yield READ_REPLY) if raw is None else raw
            reason = _fallback_reason(head, raw, route)
            if reason in route.fallback:
                return FallBack(reason, head, raw)
        outcome = yield from read_reply_gen(
            state,
            route,
            state.translation,
            head,
            raw,
            make_entry=prepared.make_entry,
            path=plan.path,
        )
    if isinstance(outcome, WholeReply):
        yield LOG_CALL
    elif isinstance(outcome, StreamReply):
        _release_history(prepared, route)
    return outcome


def _update_memory_gen(effects: list[Effect], route: Route) -> Generator[Effect, Any, None]:
    try:
        for effect in effects:  # noqa: UP028  # a list can't be sent results
            yield effect
    except Exception:  # a memory that fails costs continuity, never the call
        if route.on_bug == "raise":
            raise


def _error_in_reply(outcome: Outcome) -> dict[str, Any] | None:
    """Return the error of a successful status that failed before any output."""
    failure = outcome.failure if isinstance(outcome, WholeReply) else None
    return None if failure is None or failure.spoke else failure.given


def _retry_without_refused_parts(
    prepared: PreparedRequest, refusal: bytes | dict[str, Any], route: Route
) -> Retry | None:
    try:
        return without_refused_parts(
            prepared, refusal if isinstance(refusal, dict) else error_in(refusal)
        )
    except Exception:  # upstream's own error is still the best answer (docs/decisions.md#promises)
        if route.on_bug == "raise":
            raise
        return None


def _release_history(prepared: PreparedRequest, route: Route) -> None:
    """Release what was sent; an open stream keeps only what reading its reply needs."""
    try:
        if prepared.history is not None:
            prepared.history.release()
    except Exception:  # costs memory, never the call
        if route.on_bug == "raise":
            raise


def _may_fall_back(head: ReplyHead, route: Route) -> bool:
    try:
        return fallback.needs_body(head)
    except Exception:  # upstream's own error is still the best answer (docs/decisions.md#promises)
        if route.on_bug == "raise":
            raise
        return False


def _fallback_reason(head: ReplyHead, raw: bytes, route: Route) -> str | None:
    try:
        reason = fallback.classify(head, raw)
        if reason == "missing" and head.status == 400 and reason not in route.fallback:
            return "rejected"
        return reason
    except Exception:  # upstream's own error is still the best answer (docs/decisions.md#promises)
        if route.on_bug == "raise":
            raise
        return None
