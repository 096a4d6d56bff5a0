"""The exchange of one call: a generator of effects that routes, translates and reads, without I/O.

A performer drives it: it performs each effect and sends the result back in (`_runtime/run.py`). The
generator returns an outcome: what the caller gets (docs/decisions.md#one-generator-of-effects).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from adapter._util import json_codec
from adapter.errors import TranslationError, UpstreamFailure
from adapter.translation.ledger import Loss
from adapter.translation.replies import stored as stored_replies
from adapter.translation.types import PathMap

from . import fallback
from .effects import (
    READ_REPLY,
    Effect,
    Exchange,
    FallBack,
    LearnMissingEndpoint,
    PassThrough,
    ReplyHead,
    Send,
    WholeReply,
)
from .endpoints import StoredCompletion
from .error_replies import adapter_bug, error_reply, failure_reply, fallback_impossible
from .fan_out import fan_out_gen
from .guards import guarded
from .plan import Plan, make_plan, plan_for_bug
from .reasoning import PreparedRequest, prepare_gen
from .record import CallState, Hold, Route
from .reply import parse_reply, read_reply_gen, upstream_error
from .request_body import RequestBody
from .send import send_gen

ChooseRoute = Callable[[RequestBody], Generator[Effect, Any, Route]]
"""Chooses the route of a call; reads the body only if the choice depends on it."""


def exchange(
    state: CallState,
    raw_path: bytes,
    choose_gen: ChooseRoute,
    capacity: int | None = None,
    *,
    named: bool = False,
    host: Callable[[], str] = str,
) -> Exchange:
    """Run one chat request to its outcome, and keep `state` up to date.

    `raw_path` is the request's path with its query; `choose_gen` chooses the route of a call that
    has none yet; `capacity` is how many requests may run at once (None: unlimited); `named` is
    true if the caller has named the conversation; `host` returns the target host and is only
    called when it matters.
    """
    request_body = RequestBody()
    if state.route is None:
        state.route = yield from choose_gen(request_body)
    route = state.route
    state.backend, state.reason = "chat", route.reason
    state.request_losses, state.reply = (), None
    if route.backend == "chat":
        yield Send()
        return PassThrough()

    body = yield from request_body.read_gen()
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
        return plan.refusal
    if prepared is None:
        return (yield from _send_to_chat_gen(state))

    context = prepared.without_memory.reply_context
    state.backend, state.model = "responses", context.model
    if context.n > 1:
        outcome = yield from fan_out_gen(state, route, plan, prepared)
    else:
        outcome = yield from send_gen(state, route, plan, prepared)
    if isinstance(outcome, FallBack):
        return (yield from _fall_back_gen(state, route, plan, outcome, raw_path))
    return outcome


def _send_to_chat_gen(state: CallState, path: bytes | None = None) -> Exchange:
    """Send the untouched call to Chat Completions, for the reason in the call state."""
    head: ReplyHead = yield Send(path=path)
    if state.reason == "rejected":
        state.request_losses = (fallback.loss_of_retry(head),)
    return PassThrough()


def _fall_back_gen(
    state: CallState, route: Route, plan: Plan, cause: FallBack, raw_path: bytes
) -> Exchange:
    """Send the untouched call to Chat Completions, or return an error if Chat can't serve it."""
    if plan.responses_only_reason is not None:
        assert plan.translation is not None
        return fallback_impossible(cause, plan.translation.paths, plan.responses_only_reason)
    reason_text = fallback.REASON_TEXT[cause.reason]
    if cause.reason == "missing":
        # If that can't be told, the next call asks the server again for another model.
        lacks_model = guarded(route, True, fallback.lacks_model, cause.head, cause.raw)
        only = state.model if lacks_model else None
        reason_text = reason_text if only is None else fallback.UNSERVED_TEXT
        yield LearnMissingEndpoint(only)
    loss = Loss("$", "held", reason_text)
    # Retries go to Chat directly.
    state.route = route._replace(hold=Hold(cause.reason, loss))
    state.backend, state.reason, state.translation = "chat", cause.reason, None
    state.request_losses, state.reply = (loss,), None
    chat_path = fallback.chat_path_of(raw_path)
    return (yield from _send_to_chat_gen(state, None if chat_path == raw_path else chat_path))


def follow_redirect(state: CallState) -> Exchange:
    """Run the GET request into which the HTTP client turned a translated one (301, 302 or 303).

    The reply may be the Response that the redirect leads to, which is translated, or an unrelated
    page (a login), which is passed through as it would be for Chat (docs/mapping.md#redirects).
    """
    head: ReplyHead = yield Send()
    answer = head.content_type.lower().startswith(("application/json", "text/event-stream"))
    if state.route is None or state.translation is None or 300 <= head.status < 400 or not answer:
        return PassThrough()
    return (yield from read_reply_gen(state, state.route, state.translation, head))


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
