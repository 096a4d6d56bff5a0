"""The exchange of one call: a generator of effects that routes, translates and reads, without I/O.

A performer drives it: it performs each effect and sends the result back in (`_runtime/run.py`). The
generator returns an outcome: what the caller gets (docs/decisions.md#one-generator-of-effects).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

from adapter._util import json_codec
from adapter.errors import TranslationError, UpstreamFailure
from adapter.translation.ledger import Loss
from adapter.translation.replies import stored as stored_replies
from adapter.translation.types import PathMap

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
    FlagQuery,
    LearnMissingEndpoint,
    Need,
    PassThrough,
    ReadFlag,
    ReplyHead,
    Send,
    WholeReply,
)
from .endpoints import StoredCompletion
from .error_replies import adapter_bug, error_reply, failure_reply, fallback_impossible
from .fan_out import fan_out_gen
from .plan import Plan, make_plan, parse_request, plan_for_bug
from .reasoning import PreparedRequest, prepare_gen
from .record import CallState, Hold, Route
from .reply import parse_reply, read_reply_gen, upstream_error
from .send import send_gen


def exchange(
    state: CallState,
    raw_path: bytes,
    capacity: int | None = None,
    *,
    named: bool = False,
    host: Callable[[], str] = str,
) -> Exchange:
    """Run one chat request to its outcome, and keep `state` up to date.

    `raw_path` is the request's path with its query; `capacity` is how many requests may run at
    once (None: unlimited); `named` is true if the caller has named the conversation; `host`
    returns the target host and is only called when it matters.
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
        except Exception as bug:  # noqa: BLE001  # see docs/decisions.md#internal-errors
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
        chat_path = None  # unchanged
    context = prepared.without_memory.reply_context
    state.backend, state.model = "responses", context.model
    if context.n > 1:
        outcome = yield from fan_out_gen(state, route, plan, prepared)
    else:
        outcome = yield from send_gen(state, route, plan, prepared)
    if isinstance(outcome, FallBack):
        return (yield from _fall_back_gen(state, route, plan, outcome, chat_path))
    return outcome


def _send_to_chat_gen(state: CallState, path: bytes | None = None) -> Exchange:
    """Send the untouched call to Chat Completions, for the reason in the call state."""
    rejected = state.reason == "rejected"
    if not rejected:
        yield LOG_CALL
    head: ReplyHead = yield Send(path=path)
    if rejected:
        state.request_losses = (fallback.loss_of_retry(head),)
        yield LOG_CALL
    return PassThrough()


def _choose_route_gen() -> Generator[Effect, Any, tuple[Route, Any]]:
    """Return the route, and the request's JSON if it was read for it, else UNREAD."""
    body: Any = UNREAD
    flag: Any = UNREAD
    while True:
        answer: Route | Need | FlagQuery = yield Decide(body, flag)
        if isinstance(answer, Route):
            return answer, body
        if isinstance(answer, FlagQuery):
            try:
                flag = yield ReadFlag(answer)
            except Exception:  # noqa: BLE001  # a failing flag decides nothing
                flag = None
        else:
            body = parse_request((yield READ_REQUEST))


def _lacks_model(cause: FallBack, route: Route) -> bool:
    try:
        return fallback.lacks_model(cause.head, cause.raw)
    except Exception:  # an adapter bug: the next call asks the server again
        if route.on_bug == "raise":
            raise
        return True


def _fall_back_gen(
    state: CallState, route: Route, plan: Plan, cause: FallBack, chat_path: bytes | None
) -> Exchange:
    """Send the untouched call to Chat Completions, or return an error if Chat can't serve it."""
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
    # Retries go to Chat directly.
    state.route = replace(route, hold=Hold(cause.reason, loss))
    state.backend, state.reason, state.translation = "chat", cause.reason, None
    state.request_losses, state.reply = (loss,), None
    return (yield from _send_to_chat_gen(state, chat_path))


def follow_redirect(state: CallState) -> Exchange:
    """Run the GET request into which the HTTP client turned a translated one (301, 302 or 303).

    The reply may be the Response that the redirect leads to, which is translated, or an unrelated
    page (a login), which is passed through as it would be for Chat (docs/mapping.md#redirects).
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
    """Run a request for a stored completion (docs/mapping.md#stored-completions)."""
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
                    # This page has only reasoning; the SDK would take an empty page for the end.
                    last = body["last_id"]
                    path = request.page_after(last)
                    continue
        except UpstreamFailure as failure:
            return failure_reply(failure)
        except TranslationError as error:
            return error_reply(502, str(error), "server_error", None, "invalid_response")
        except Exception as bug:  # noqa: BLE001  # see docs/decisions.md#internal-errors
            return adapter_bug(bug)
        return WholeReply(200, json_codec.dumps_reply(answer))


_STORED_PATHS = PathMap(names={"response_id": "completion_id"})
