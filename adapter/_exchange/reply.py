"""What came back from the Responses API, made into what Chat Completions would have sent."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, NamedTuple

from adapter._util import fast_json, json_codec
from adapter.errors import TranslationError, UpstreamFailure
from adapter.translation.ledger import Loss
from adapter.translation.reasoning.history import heard
from adapter.translation.reasoning.turns import Memo
from adapter.translation.replies.errors import error_to_chat
from adapter.translation.replies.response_to_chat import checked_response, response_to_completion
from adapter.translation.types import IndexMap, Translation

from .background import awaited, cancel_path, is_under_way
from .effects import READ_CHUNK, READ_REPLY, Effect, Head, Journey, OnLeaving, Outcome, Remember, Rewritten, Streamed
from .error_replies import bug_in_reply, error_reply, failure_reply
from .record import Choice, Journal
from .stream import Frame, Relay
from .unrequested_stream import last_response

MemoOf = Callable[[list[Any]], Memo | None]
"""Makes the memo of a reply out of the items that the caller has heard."""


def read_reply(
    journal: Journal,
    choice: Choice,
    translation: Translation,
    head: Head,
    raw: bytes | None = None,
    *,
    memo: MemoOf | None = None,
    path: bytes | None = None,
) -> Journey:
    """Read a reply to a translated request; `raw` is its body where that has been read already, `memo` what makes its memo.

    `path` is where the request was sent: what runs in the background is asked for below it.
    """
    kind = head.content_type.lower().partition(";")[0].strip()
    streamed = kind == "text/event-stream"
    if translation.asked.stream and head.status != 204 and not kind.endswith("json") and kind != "text/html":
        streamed = True  # the SDK reads a stream whatever it is called, and gateways call it many names
    if head.status >= 400:
        raw = (yield READ_REPLY) if raw is None else raw
        outcome: Outcome = upstream_error(head, raw, translation.index)
    elif streamed and translation.asked.stream:
        return (yield from _stream(journal, choice, translation, memo, path))
    else:
        raw = (yield READ_REPLY) if raw is None else raw
        under_way = _under_way(choice, raw) if translation.asked.background and not streamed else None
        if under_way is not None:
            finished = yield from awaited(under_way, translation.asked, path)
            if isinstance(finished, Rewritten):
                return finished
            raw = finished
        try:
            outcome, unsaved = _whole(journal, choice, translation, raw, memo, streamed=streamed)
        except UpstreamFailure as failure:
            outcome = failure_reply(failure)
        except TranslationError as error:
            outcome = error_reply(502, str(error), "server_error", None, "invalid_response")
        except Exception as bug:
            if choice.on_bug == "raise":
                raise
            outcome = bug_in_reply(bug)
        else:
            if unsaved is not None:
                yield from _remember(choice, translation, unsaved)
    return outcome


def _under_way(choice: Choice, raw: bytes) -> dict[str, Any] | None:
    try:
        return is_under_way(raw)
    except Exception:  # a bug of ours: it is read as it came
        if choice.on_bug == "raise":
            raise
        return None


def _remember(choice: Choice, translation: Translation, unsaved: Memo) -> Generator[Effect, Any, None]:
    try:
        yield Remember(translation.asked.model, unsaved)
    except Exception:  # a memory that fails costs continuity, never the call
        if choice.on_bug == "raise":
            raise


def upstream_error(head: Head, raw: bytes, index: IndexMap) -> Rewritten:
    """Give an error of upstream's Chat's shape; its status and code stay."""
    # HTML from a gateway, or a bug of ours: upstream's own words are still the best answer.
    with suppress(Exception):
        body = json_codec.loads(raw)
        translated = error_to_chat(body, index)
        raw = raw if translated is body else json_codec.dumps_reply(translated)
    return Rewritten(head.status, raw, head.content_type)


class _Whole(NamedTuple):
    """What is known of a whole reply (journal.Answer); its text is the caller's alone."""

    losses: tuple[Loss, ...]
    usage: Any


def _whole(
    journal: Journal, choice: Choice, translation: Translation, raw: bytes, memo: MemoOf | None, *, streamed: bool
) -> tuple[Rewritten, Memo | None]:
    response = last_response(raw) if streamed else json_of(raw)
    if translation.asked.stream:
        response = checked_response(response, translation.index)
        relay = Relay(translation.asked, translation.index, on_bug_raise=choice.on_bug == "raise", memo=memo)
        journal.reply = relay
        return Rewritten(200, relay.written(relay.finish(response)), "text/event-stream"), relay.take_memo()
    reply = response_to_completion(response, translation.asked, translation.index)
    journal.reply = _Whole(reply.losses, reply.body.get("usage"))
    unsaved = None
    if memo is not None:
        try:
            unsaved = memo(heard(response["output"] or [], reply.body))
        except Exception:  # promise 9: the answer is worth more than the memory of it
            if choice.on_bug == "raise":
                raise
    return Rewritten(200, fast_json.dumps(reply.body), value=reply.body), unsaved


def json_of(raw: bytes) -> Any:
    """Read a reply's JSON; raises TranslationError for what is none."""
    try:
        return fast_json.loads(raw)
    except ValueError:
        # Chat's own reply would come up as plain text; an answer it isn't (a proxy's page, an empty body).
        raise TranslationError("$", "the reply to POST /responses is not JSON") from None


def _stream(
    journal: Journal, choice: Choice, translation: Translation, memo: MemoOf | None, path: bytes | None
) -> Journey:
    try:
        relay = Relay(translation.asked, translation.index, on_bug_raise=choice.on_bug == "raise", memo=memo)
    except Exception as bug:
        if choice.on_bug == "raise":
            raise
        return bug_in_reply(bug)
    journal.reply = relay
    begun: list[Frame] = []
    # A failure that came with the first event, usually `created`, becomes a status, as Chat's own do. Nothing else is waited
    # for, but for what a failure that says nothing of itself is followed by: whatever a slow model has still to say, its stream
    # is there.
    while not relay.heard or (relay.failing and not begun):
        try:
            data: bytes | None = yield READ_CHUNK
        except Exception as error:  # noqa: BLE001  # Chat's headers would be up by now: the reader gets it
            if not relay.failing:
                return Streamed(relay, begun, error)
            data = None
        if data is None and not relay.failing:
            break
        begun = relay.feed(data) if data is not None else [*relay.close()]
        if relay.failure is not None and len(begun) == 1:
            return failure_reply(relay.failure)
    asked = translation.asked
    if asked.background and asked.stored and not relay.done:
        yield OnLeaving(cancel_path(relay.response_id, path))
    return Streamed(relay, begun)
