"""Read a reply of the Responses API and make Chat's reply of it: whole, streamed or an error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from adapter._util import fast_json, json_codec
from adapter.errors import TranslationError, UpstreamFailure
from adapter.translation.ledger import Loss
from adapter.translation.reasoning.history import delivered_items
from adapter.translation.reasoning.turns import MemoryEntry
from adapter.translation.replies.errors import error_to_chat
from adapter.translation.replies.response_to_chat import checked_response, response_to_completion
from adapter.translation.types import PathMap, Translation

from .background import cancel_path, poll_gen, unfinished_response
from .effects import (
    READ_CHUNK,
    READ_REPLY,
    Exchange,
    Outcome,
    Remember,
    ReplyHead,
    SetCancelPath,
    StreamReply,
    WholeReply,
)
from .error_replies import adapter_bug, error_reply, failure_reply
from .guards import attempt_gen, guarded
from .record import CallState, Route
from .stream import Frame, StreamTranslator
from .unrequested_stream import response_of_stream

EntryMaker = Callable[[list[Any]], MemoryEntry | None]
"""Makes the memory entry of a reply from the items that the caller has received."""


def read_reply_gen(
    state: CallState,
    route: Route,
    translation: Translation,
    head: ReplyHead,
    raw: bytes | None = None,
    *,
    make_entry: EntryMaker | None = None,
    path: bytes | None = None,
) -> Exchange:
    """Read the reply to a translated request.

    `raw` is its body if that has been read already; `make_entry` makes its memory entry. `path` is
    the path of the request: background runs are polled below it.
    """
    kind = head.content_type.lower().partition(";")[0].strip()
    streamed = kind == "text/event-stream"
    if (
        translation.reply_context.stream
        and head.status != 204
        and not kind.endswith("json")
        and kind != "text/html"
    ):
        # The SDK reads a stream under any content type, and gateways use many.
        streamed = True
    if head.status >= 400:
        raw = (yield READ_REPLY) if raw is None else raw
        outcome: Outcome = upstream_error(head, raw, translation.paths)
    elif streamed and translation.reply_context.stream:
        return (yield from _stream_gen(state, route, translation, make_entry, path))
    else:
        raw = (yield READ_REPLY) if raw is None else raw
        unfinished = (
            guarded(route, None, unfinished_response, raw)
            if translation.reply_context.background and not streamed
            else None
        )
        if unfinished is not None:
            finished = yield from poll_gen(unfinished, translation.reply_context, path)
            if isinstance(finished, WholeReply):
                return finished
            raw = finished
        try:
            outcome, entry = _translate_whole(
                state, route, translation, raw, make_entry, streamed=streamed
            )
        except UpstreamFailure as failure:
            outcome = failure_reply(failure)
        except TranslationError as error:
            outcome = error_reply(502, str(error), "server_error", None, "invalid_response")
        except Exception as bug:
            if route.strict:
                raise
            outcome = adapter_bug(bug)
        else:
            if entry is not None:
                effect = Remember(translation.reply_context.model, entry)
                yield from attempt_gen(route, effect)
    return outcome


def upstream_error(head: ReplyHead, raw: bytes, paths: PathMap) -> WholeReply:
    """Return upstream's error in Chat's shape, with its status and code."""
    # On HTML from a gateway, or an adapter bug, upstream's own error is still the best answer.
    with suppress(Exception):
        body = json_codec.loads(raw)
        translated = error_to_chat(body, paths)
        raw = raw if translated is body else json_codec.dumps_reply(translated)
    return WholeReply(head.status, raw, head.content_type)


class _WholeReplyInfo(NamedTuple):
    """The `ReplyInfo` of a whole reply; it holds none of the reply's text."""

    losses: tuple[Loss, ...]
    usage: Any


def _translate_whole(
    state: CallState,
    route: Route,
    translation: Translation,
    raw: bytes,
    make_entry: EntryMaker | None,
    *,
    streamed: bool,
) -> tuple[WholeReply, MemoryEntry | None]:
    response = response_of_stream(raw) if streamed else parse_reply(raw)
    if translation.reply_context.stream:
        response = checked_response(response, translation.paths)
        translator = StreamTranslator(
            translation.reply_context,
            translation.paths,
            on_bug_raise=route.strict,
            make_entry=make_entry,
        )
        state.reply = translator
        return WholeReply(
            200, translator.encode(translator.finish(response)), "text/event-stream"
        ), translator.take_entry()
    reply = response_to_completion(response, translation.reply_context, translation.paths)
    state.reply = _WholeReplyInfo(reply.losses, reply.body.get("usage"))
    entry = None
    if make_entry is not None:
        entry = guarded(route, None, _entry_of, make_entry, response, reply.body)
    return WholeReply(200, fast_json.dumps(reply.body)), entry


def _entry_of(make_entry: EntryMaker, response: Any, completion: Any) -> MemoryEntry | None:
    return make_entry(delivered_items(response["output"] or [], completion))


def parse_reply(raw: bytes) -> Any:
    """Decode a reply's JSON. Raises TranslationError if it is not JSON."""
    try:
        return fast_json.loads(raw)
    except ValueError:
        # For Chat's own reply the SDK would return the text, though it is no answer (a proxy's
        # page, an empty body).
        raise TranslationError("$", "the reply to POST /responses is not JSON") from None


def _stream_gen(
    state: CallState,
    route: Route,
    translation: Translation,
    make_entry: EntryMaker | None,
    path: bytes | None,
) -> Exchange:
    try:
        translator = StreamTranslator(
            translation.reply_context,
            translation.paths,
            on_bug_raise=route.strict,
            make_entry=make_entry,
        )
    except Exception as bug:
        if route.strict:
            raise
        return adapter_bug(bug)
    state.reply = translator
    frames: list[Frame] = []
    # A failure before the first output becomes an HTTP status, as Chat's own failures do
    # (docs/decisions.md#early-failures). So wait for the first event, usually `created`, and, after
    # a failure without details, for what follows it. Nothing else delays the stream.
    while not translator.started or (translator.failing and not frames):
        try:
            data: bytes | None = yield READ_CHUNK
        except Exception as error:  # noqa: BLE001  # for the reader, as after Chat's headers
            if not translator.failing:
                return StreamReply(translator, frames, error)
            data = None
        if data is None and not translator.failing:
            break
        frames = translator.feed(data) if data is not None else [*translator.close()]
        if translator.failure is not None and len(frames) == 1:
            return failure_reply(translator.failure)
    context = translation.reply_context
    if context.background and context.stored and not translator.done:
        yield SetCancelPath(cancel_path(translator.response_id, path))
    return StreamReply(translator, frames)
