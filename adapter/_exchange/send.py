"""Send one translated request, read its reply, and retry without the parts that the API refused."""

from __future__ import annotations

from typing import Any

from adapter.translation.types import Translation

from . import fallback
from .effects import (
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
from .guards import attempt_gen, guarded
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
        elif head.status < 300 and not _may_fall_back(head, plan, route):
            outcome = yield from read_reply_gen(
                state,
                route,
                state.translation,
                head,
                make_entry=prepared.make_entry,
                path=plan.path,
            )
            refusal = _error_in_reply(outcome)
        retry = None
        if refusal is not None and prepared.has_adapter_parts:
            # Without a retry upstream's own error is still the best answer.
            retry = guarded(route, None, _retry_without_refused_parts, prepared, refusal)
        if retry is None:
            break
        state.request_losses += retry.losses
        memory_effects.append(retry.effect)
        prepared = retry.request
    if head.status < 400 and refusal is None:  # otherwise the cause may have been something else
        for effect in memory_effects or effects_when_accepted(prepared):
            yield from attempt_gen(route, effect)
    if outcome is None:
        if head.status == 302 and "blocked" in plan.fallback:
            return FallBack("blocked", head, b"")
        if 300 <= head.status < 400:
            # The HTTP client follows it and comes back with the same call state
            # (docs/mapping.md#redirects).
            return PassThrough()
        if _may_fall_back(head, plan, route):
            raw = (yield READ_REPLY) if raw is None else raw
            reason = guarded(route, None, _fallback_reason, head, raw, plan)
            if reason in plan.fallback:
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
    if isinstance(outcome, StreamReply) and prepared.history is not None:
        # An open stream keeps only what reading its reply needs.
        guarded(route, None, prepared.history.release)
    return outcome


def _error_in_reply(outcome: Outcome) -> dict[str, Any] | None:
    """Return the error of a successful status that failed before any output."""
    failure = outcome.failure if isinstance(outcome, WholeReply) else None
    return None if failure is None or failure.spoke else failure.given


def _retry_without_refused_parts(
    prepared: PreparedRequest, refusal: bytes | dict[str, Any]
) -> Retry | None:
    return without_refused_parts(
        prepared, refusal if isinstance(refusal, dict) else error_in(refusal)
    )


def _may_fall_back(head: ReplyHead, plan: Plan, route: Route) -> bool:
    return bool(plan.fallback) and guarded(route, False, fallback.needs_body, head)


def _fallback_reason(head: ReplyHead, raw: bytes, plan: Plan) -> str | None:
    reason = fallback.classify(head, raw)
    if reason == "missing" and head.status == 400 and reason not in plan.fallback:
        return "rejected"
    return reason
