"""One call's whole journey, as a generator of effects: it decides, translates and reads replies, and does no I/O itself.

A door drives it: it performs each effect and sends the result back in (doors/drive.py, in one sync and one async loop).
What the generator returns says what the caller gets (effects.py).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from adapter._util import json_codec
from adapter.errors import TranslationError, UpstreamFailure
from adapter.translation.ledger import Loss
from adapter.translation.replies import stored as stored_replies
from adapter.translation.replies.merge import merge_completions, sum_usage
from adapter.translation.types import PathMap, Translation

from . import fallback
from .effects import (
    LOG_CALL,
    READ_REPLY,
    READ_REQUEST,
    UNREAD,
    Decide,
    Effect,
    Exchange,
    FallBack,
    FanOut,
    FlagQuery,
    LearnMissingEndpoint,
    MergedStreamReply,
    Need,
    Outcome,
    PassThrough,
    ReadFlag,
    ReplyHead,
    Send,
    StreamReply,
    WholeReply,
)
from .endpoints import StoredCompletion
from .error_replies import adapter_bug, error_reply, failure_reply, fallback_impossible
from .merged_stream import StreamMerger
from .plan import Plan, make_plan, parse_request, plan_for_bug
from .reasoning import (
    PreparedRequest,
    Retry,
    effects_when_accepted,
    error_in,
    prepare_gen,
    without_refused_parts,
)
from .record import CallState, Hold, Route
from .reply import parse_reply, read_reply_gen, upstream_error

_Step = Generator[Effect, Any, Any]


def exchange(
    state: CallState,
    raw_path: bytes,
    capacity: int | None = None,
    *,
    named: bool = False,
    host: Callable[[], str] = str,
) -> Exchange:
    """Carry one chat request from the door to its outcome, keeping `journal`.

    `raw_path` is the path that it came for, with the query; `capacity` how many requests may run at once (None: unlimited);
    `named` says that the caller has named the conversation; `host` tells, where it matters, where the request goes.
    """
    body = UNREAD
    if state.route is None:
        state.route, body = yield from _choose_route_gen()
    route = state.route
    state.backend, state.reason = "chat", route.reason
    state.request_losses, state.reply = (), None
    if route.backend == "chat":
        yield Send()
        return PassThrough()

    if body is UNREAD:
        body = parse_request((yield READ_REQUEST))
    plan = make_plan(body, route, raw_path, capacity, host)
    prepared: PreparedRequest | None = None
    if plan.translation is not None:
        try:
            prepared = yield from prepare_gen(plan.translation, route, named=named)
        except Exception as bug:  # noqa: BLE001  # our own bugs are ours
            plan = plan_for_bug(body, route, bug)
    state.reason, state.request_losses = (
        plan.reason,
        plan.losses + (() if prepared is None else prepared.losses),
    )
    state.droppable = plan.droppable
    if plan.refusal is not None:
        state.backend = "responses"
        yield LOG_CALL
        return plan.refusal
    if prepared is None:
        return (yield from _send_to_chat_gen(state))

    chat_path = fallback.chat_path_of(raw_path)
    if chat_path is None:
        route = replace(route, fallback=frozenset())
    elif chat_path == raw_path:
        chat_path = None  # as it came
    context = prepared.without_memory.reply_context
    state.backend, state.model = "responses", context.model
    if context.n > 1:
        outcome = yield from _fan_out_gen(state, route, plan, prepared)
    else:
        outcome = yield from _send_gen(state, route, plan, prepared)
    if isinstance(outcome, FallBack):
        return (yield from _fall_back_gen(state, route, plan, outcome, chat_path))
    return outcome


def _send_to_chat_gen(state: CallState, path: bytes | None = None) -> Exchange:
    """Send the untouched call to Chat Completions, for the reason that stands in the journal."""
    rejected = state.reason == "rejected"
    if not rejected:
        yield LOG_CALL
    head: ReplyHead = yield Send(path=path)
    if rejected:
        state.request_losses = (fallback.loss_of_retry(head),)
        yield LOG_CALL
    return PassThrough()


def _choose_route_gen() -> _Step:
    """Ask for the choice until nothing is missing for it; give it and, where it was read, the request's JSON."""
    body: Any = UNREAD
    flag: Any = UNREAD
    while True:
        answer: Route | Need | FlagQuery = yield Decide(body, flag)
        if isinstance(answer, Route):
            return answer, body
        if isinstance(answer, FlagQuery):
            try:
                flag = yield ReadFlag(answer)
            except Exception:  # noqa: BLE001  # docs/decisions.md#promises: a flag that we fail to read has no opinion
                flag = None
        else:
            body = parse_request((yield READ_REQUEST))


def _send_gen(state: CallState, route: Route, plan: Plan, prepared: PreparedRequest) -> Exchange:
    """Send the translated request, and read what comes back; again, with less, where the API refuses what we put into it."""
    notes: list[Effect] = []
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
        notes.append(retry.effect)
        prepared = retry.request
    if head.status < 400 and refusal is None:  # else it was refused for something else, perhaps
        yield from _update_memory_gen(notes or effects_when_accepted(prepared), route)
    if outcome is None:
        if head.status == 302 and "blocked" in route.fallback:
            return FallBack("blocked", head, b"")
        if 300 <= head.status < 400:
            # The HTTP client follows, and comes back through the door with the same journal (docs/mapping.md#redirects).
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


def _update_memory_gen(effects: list[Effect], route: Route) -> _Step:
    try:
        for note in effects:  # noqa: UP028  # a list takes no results
            yield note
    except Exception:  # a memory that fails costs continuity, never the call
        if route.on_bug == "raise":
            raise


def _error_in_reply(outcome: Outcome) -> dict[str, Any] | None:
    """Return the error of a reply that began well and said nothing else."""
    failure = outcome.failure if isinstance(outcome, WholeReply) else None
    return None if failure is None or failure.spoke else failure.given


def _retry_without_refused_parts(
    prepared: PreparedRequest, refusal: bytes | dict[str, Any], route: Route
) -> Retry | None:
    try:
        return without_refused_parts(
            prepared, refusal if isinstance(refusal, dict) else error_in(refusal)
        )
    except Exception:  # docs/decisions.md#promises: upstream's own words are still the best answer
        if route.on_bug == "raise":
            raise
        return None


def _release_history(prepared: PreparedRequest, route: Route) -> None:
    """Let a stream hold what its reply is read with, and not what was sent."""
    try:
        if prepared.history is not None:
            prepared.history.release()
    except Exception:  # it costs memory, never the call
        if route.on_bug == "raise":
            raise


def _may_fall_back(head: ReplyHead, route: Route) -> bool:
    try:
        return fallback.needs_body(head)
    except Exception:  # docs/decisions.md#promises: upstream's own words are still the best answer
        if route.on_bug == "raise":
            raise
        return False


def _lacks_model(cause: FallBack, route: Route) -> bool:
    try:
        return fallback.lacks_model(cause.head, cause.raw)
    except Exception:  # a bug of ours: then it is asked again
        if route.on_bug == "raise":
            raise
        return True


def _fallback_reason(head: ReplyHead, raw: bytes, route: Route) -> str | None:
    try:
        reason = fallback.classify(head, raw)
        if reason == "missing" and head.status == 400 and reason not in route.fallback:
            return "rejected"
        return reason
    except Exception:  # docs/decisions.md#promises, as above
        if route.on_bug == "raise":
            raise
        return None


@dataclass(frozen=True, slots=True)
class _CombinedReply:
    """What is known of several replies that are read as one."""

    states: list[CallState]

    @property
    def losses(self) -> Iterator[Loss]:
        """All their ledgers, by the reply's number."""
        for k, one in enumerate(self.states):
            for loss in one.reply_losses():
                yield replace(loss, path=f"[{k}].{loss.path}")

    @property
    def usage(self) -> dict[str, Any] | None:
        """What they used together."""
        return sum_usage([one.usage() for one in self.states])


def _fan_out_gen(state: CallState, route: Route, plan: Plan, prepared: PreparedRequest) -> Exchange:
    """Send the translated request as often as the caller wants answers, and make one reply of what comes back (docs/mapping.md#several-choices)."""
    context = prepared.without_memory.reply_context
    states = [
        CallState(route, "responses", route.reason, state.model, logged=True)
        for _ in range(context.n)
    ]
    # First, since the others may all be cancelled: a redirect of one of them comes back through the door.
    state.translation = prepared.translation
    state.reply = _CombinedReply(states)
    outcomes: tuple[Outcome, ...] = yield FanOut(
        tuple(_send_gen(one, route, plan, prepared) for one in states)
    )
    state.request_losses += tuple(
        dict.fromkeys(loss for one in states for loss in one.request_losses)
    )
    if len(outcomes) < context.n:
        if isinstance(
            outcomes[0], WholeReply
        ):  # a redirect and a fallback go on, a stream ends later
            yield LOG_CALL
        return outcomes[0]
    parts = tuple(one for one in outcomes if isinstance(one, (StreamReply, WholeReply)))
    try:
        if context.stream:
            return MergedStreamReply(
                parts, StreamMerger(context.n, on_bug_raise=route.on_bug == "raise")
            )
        merged = merge_completions(
            [json_codec.loads(one.body) for one in parts if isinstance(one, WholeReply)]
        )
        outcome = WholeReply(200, json_codec.dumps_reply(merged))
    except Exception as bug:
        if route.on_bug == "raise":
            raise
        outcome = adapter_bug(bug)
    yield LOG_CALL
    return outcome


def _fall_back_gen(
    state: CallState, route: Route, plan: Plan, cause: FallBack, chat_path: bytes | None
) -> Exchange:
    """Send the untouched call to Chat Completions; or say why that can't be."""
    if plan.responses_only_reason is not None:
        yield LOG_CALL
        assert plan.translation is not None
        return fallback_impossible(cause, plan.translation.paths, plan.responses_only_reason)
    reason_text = fallback.REASON_TEXT[cause.reason]
    if cause.reason == "missing":
        only = state.model if _lacks_model(cause, route) else None
        reason_text = reason_text if only is None else fallback.UNSERVED_TEXT
        yield LearnMissingEndpoint(route.fallback_expiry, only)
    loss = Loss("$", "held", reason_text)
    # A retry goes straight to Chat.
    state.route = replace(route, hold=Hold(cause.reason, loss))
    state.backend, state.reason, state.translation = "chat", cause.reason, None
    state.request_losses, state.reply = (loss,), None
    return (yield from _send_to_chat_gen(state, chat_path))


def follow_redirect(state: CallState) -> Exchange:
    """Carry a request into which the HTTP client has turned a translated one: after a 301, 302 or 303 it asks with GET.

    What comes back may be the Response that the redirect stands for, or a page that has nothing to do with it (a
    login): that is passed on as it would be for Chat.
    """
    head: ReplyHead = yield Send()
    answer = head.content_type.lower().startswith(("application/json", "text/event-stream"))
    if state.route is None or state.translation is None or 300 <= head.status < 400 or not answer:
        return PassThrough()
    outcome = yield from read_reply_gen(state, state.route, state.translation, head)
    if isinstance(outcome, WholeReply):
        yield LOG_CALL
    return outcome


def stored_completion(request: StoredCompletion) -> Exchange:
    """Carry a question about a stored completion that is a Response."""
    path, last = request.path, None
    while True:
        head: ReplyHead = yield Send(path=path)
        if 300 <= head.status < 400:
            return PassThrough()
        raw = yield READ_REPLY
        if head.status >= 400:
            return upstream_error(head, raw, _STORED_PATHS)
        try:
            body = parse_reply(raw)
            if request.operation == "delete":
                answer = stored_replies.deleted(body, request.completion_id)
            elif request.operation == "retrieve":
                answer = stored_replies.retrieved(body)
            else:
                answer = stored_replies.messages(body, newest_first=request.newest_first)
                if (
                    not answer["data"]
                    and answer["has_more"]
                    and body.get("last_id") not in (None, last)
                ):
                    # A page of nothing but reasoning; the SDK would take an empty page for the end.
                    last = body["last_id"]
                    path = request.page_after(last)
                    continue
        except UpstreamFailure as failure:
            return failure_reply(failure)
        except TranslationError as error:
            return error_reply(502, str(error), "server_error", None, "invalid_response")
        except Exception as bug:  # noqa: BLE001  # docs/decisions.md#promises
            return adapter_bug(bug)
        return WholeReply(200, json_codec.dumps_reply(answer))


_STORED_PATHS = PathMap(names={"response_id": "completion_id"})
