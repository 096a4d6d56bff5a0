"""One call's whole journey, as a generator of effects: it decides, translates and reads replies, and does no I/O itself.

A door drives it: it performs each effect and sends the result back in (doors/drive.py, in one sync and one async loop).
What the generator returns says what the caller gets.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from . import codec, sse
from .endpoints import Stored, responses_endpoint
from .errors import StreamTruncated, TranslationError, UpstreamFailure
from .journal import Choice, Journal
from .relay import Relay
from .translation import models
from .translation import stored as stored_replies
from .translation.draft import IndexMap, Translation
from .translation.failures import error_to_chat, event_failure
from .translation.ledger import Loss
from .translation.replies import check_response, response_to_completion
from .translation.requests import chat_to_responses
from .translation.streams import TERMINAL

PEEKED_EVENTS = 3
"""How many events of a stream are read before its headers go up: `created` and `in_progress` come at once, and with them most
failures that Chat reports by status (recording 3989; MAPPING §5.4)."""


# Effects: what the door is asked to do.


@dataclass(frozen=True, slots=True)
class Decide:
    """Say what the settings choose for this call. Result: Choice."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Read the request's body. Result: bytes."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request, with this body and to this path where they aren't None, else as it came. Result: Head."""

    body: bytes | None = None
    path: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReadReply:
    """Read the whole reply, decompressed. Result: bytes."""


@dataclass(frozen=True, slots=True)
class ReadChunk:
    """Read the next piece of the reply, decompressed. Result: bytes, or None at the end."""


@dataclass(frozen=True, slots=True)
class Note:
    """Put the call on record: its journal is as complete as it will be."""


Effect = Decide | ReadRequest | Send | ReadReply | ReadChunk | Note


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a reply."""

    status: int
    content_type: str


# Outcomes: what the caller gets.


@dataclass(frozen=True, slots=True)
class Untouched:
    """Upstream's reply, as it is."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A whole body: with upstream's headers where there is an upstream reply, with none where the call went nowhere."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream: what `relay` has put out so far, and a read error that came early and belongs to the reader."""

    relay: Relay
    begun: bytes
    error: Exception | None = None


Outcome = Untouched | Rewritten | Streamed
Journey = Generator[Effect, Any, Outcome]

_FINAL = {"x-should-retry": "false"}  # the SDK would retry a 5xx; this one would only be paid for twice


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do with a request: send `body` to `/responses`; or, without one, refuse it or leave it on Chat."""

    reason: str
    losses: tuple[Loss, ...] = ()
    translation: Translation | None = None
    body: bytes | None = None
    path: bytes | None = None
    refusal: Rewritten | None = None


def exchange(journal: Journal, raw_path: bytes) -> Journey:
    """Carry one chat request from the door to its outcome, keeping `journal`; `raw_path` is the path it came for, with the query."""
    choice = journal.choice
    if choice is None:
        try:
            choice = journal.choice = yield Decide()
        except TranslationError as error:
            return _error(400, str(error), "invalid_request_error", error.path, "invalid_value")
    journal.backend, journal.reason = "chat", choice.reason
    journal.request_losses, journal.reply_losses = (), tuple
    if choice.backend == "chat":
        yield Send()
        return Untouched()

    plan = _plan((yield ReadRequest()), choice, raw_path)
    journal.reason, journal.request_losses = plan.reason, plan.losses
    if plan.refusal is not None:
        journal.backend = "responses"
        yield Note()
        return plan.refusal
    if plan.translation is None or plan.body is None:
        yield Note()
        yield Send()
        return Untouched()

    journal.backend, journal.model = "responses", plan.translation.asked.model
    head: Head = yield Send(plan.body, plan.path)
    journal.translation = plan.translation
    if 300 <= head.status < 400:
        # The HTTP client follows, and comes back through the door with the same journal (MAPPING §9.4).
        return Untouched()
    return (yield from _reply(journal, choice, plan.translation, head))


def follow(journal: Journal) -> Journey:
    """Carry a request into which the HTTP client has turned a translated one: after a 301, 302 or 303 it asks with GET.

    What comes back may be the Response that the redirect stands for, or a page that has nothing to do with it (a
    login): that is passed on as it would be for Chat.
    """
    head: Head = yield Send()
    answer = head.content_type.lower().startswith(("application/json", "text/event-stream"))
    if journal.choice is None or journal.translation is None or 300 <= head.status < 400 or not answer:
        return Untouched()
    return (yield from _reply(journal, journal.choice, journal.translation, head))


def stored(question: Stored) -> Journey:
    """Carry a question about a stored completion that is a Response."""
    path, last = question.path, None
    while True:
        head: Head = yield Send(path=path)
        if 300 <= head.status < 400:
            return Untouched()
        raw = yield ReadReply()
        if head.status >= 400:
            return _error_reply(head, raw, _STORED_NAMES)
        try:
            body = _json(raw)
            if question.what == "delete":
                answer = stored_replies.deleted(body, question.completion_id)
            elif question.what == "retrieve":
                answer = stored_replies.retrieved(body)
            else:
                answer = stored_replies.messages(body, newest_first=question.newest_first)
                if not answer["data"] and answer["has_more"] and body.get("last_id") not in (None, last):
                    # A page of nothing but reasoning; the SDK would take an empty page for the end.
                    last = body["last_id"]
                    path = question.page_after(last)
                    continue
        except UpstreamFailure as failure:
            return _failure(failure)
        except TranslationError as error:
            return _error(502, str(error), "server_error", None, "invalid_response")
        except Exception as bug:  # noqa: BLE001  # promise 9
            return _bug_in_reply(bug)
        return Rewritten(200, codec.dumps(answer))


_STORED_NAMES = IndexMap(names={"response_id": "completion_id"})


def _plan(raw: bytes, choice: Choice, raw_path: bytes) -> _Plan:
    try:
        body = codec.loads(raw)
    except ValueError:
        return _Plan("not-json", (Loss("$", "held", "not JSON"),))
    try:
        endpoint = responses_endpoint(raw_path)
        if endpoint.model is not None and isinstance(body, dict):
            body = body | {"model": endpoint.model}
        if choice.hold is not None:
            return _held((choice.hold,), body)
        translation = chat_to_responses(body, choice.policy)
        if translation.body is not None:
            losses = endpoint.changes + translation.losses
            return _Plan(choice.reason, losses, translation, codec.dumps(translation.body), endpoint.path)
        return _held(translation.held + translation.losses, body)
    except TranslationError as error:
        return _refused(error.path, error.why, ())
    except Exception as bug:  # promise 9: our own bugs are ours
        if choice.on_bug == "raise":
            raise
        return _on_bug(body, bug)


def _held(losses: tuple[Loss, ...], body: Any) -> _Plan:
    one_way = _one_way(body)
    if one_way is None:
        return _Plan("unsupported", losses)
    first = losses[0]
    return _refused(first.path, f"{first.why}, and the call can't stay on Chat Completions: {one_way}", losses)


def _refused(path: str, why: str, losses: tuple[Loss, ...]) -> _Plan:
    # A reply made here instead of an exception: every SDK version makes the same BadRequestError of it (MAPPING §7.6).
    losses = losses or (Loss(path, "held", why),)
    return _Plan(
        "refused",
        losses,
        refusal=_error(400, f"{path}: {why}", "invalid_request_error", path, "unsupported_by_responses"),
    )


def _on_bug(body: Any, bug: Exception) -> _Plan:
    why = f"the adapter failed on this call ({type(bug).__name__})"
    losses = (Loss("$", "held", why),)
    try:
        one_way = _one_way(body)
    except Exception:  # noqa: BLE001  # the facts may be what is broken; then nothing speaks against Chat
        one_way = None
    if one_way is None:
        return _Plan("adapter-bug", losses)
    message = f"$: {why}, and it can't stay on Chat Completions: {one_way}"
    return _Plan("adapter-bug", losses, refusal=_error(500, message, "server_error", None, "adapter_bug"))


def _one_way(body: Any) -> str | None:
    if not isinstance(body, dict):
        return None
    return models.one_way(
        body.get("model"), tools=bool(body.get("tools") or body.get("functions")), effort=body.get("reasoning_effort")
    )


def _reply(journal: Journal, choice: Choice, translation: Translation, head: Head) -> Journey:
    kind = head.content_type.lower().partition(";")[0].strip()
    streamed = kind == "text/event-stream"
    if translation.asked.stream and head.status != 204 and not kind.endswith("json") and kind != "text/html":
        streamed = True  # the SDK reads a stream whatever it is called, and gateways call it many names
    if head.status >= 400:
        raw = yield ReadReply()
        outcome: Outcome = _error_reply(head, raw, translation.index)
    elif streamed and translation.asked.stream:
        return (yield from _stream(journal, choice, translation))
    else:
        raw = yield ReadReply()
        try:
            outcome = _whole(journal, translation, raw, streamed=streamed)
        except UpstreamFailure as failure:
            outcome = _failure(failure)
        except TranslationError as error:
            outcome = _error(502, str(error), "server_error", None, "invalid_response")
        except Exception as bug:
            if choice.on_bug == "raise":
                raise
            outcome = _bug_in_reply(bug)
    yield Note()
    return outcome


def _bug_in_reply(bug: Exception) -> Rewritten:
    return _error(
        502, f"$: the adapter failed on the reply ({type(bug).__name__})", "server_error", None, "adapter_bug"
    )


def _error_reply(head: Head, raw: bytes, index: IndexMap) -> Rewritten:
    # HTML from a gateway, or a bug of ours: upstream's own words are still the best answer.
    with suppress(Exception):
        body = codec.loads(raw)
        translated = error_to_chat(body, index)
        raw = raw if translated is body else codec.dumps(translated)
    return Rewritten(head.status, raw, head.content_type)


def _whole(journal: Journal, translation: Translation, raw: bytes, *, streamed: bool) -> Rewritten:
    response = _last_response(raw) if streamed else _json(raw)
    if translation.asked.stream:
        check_response(response, translation.index)
        relay = Relay(translation.asked, translation.index)
        journal.reply_losses = lambda: relay.losses
        return Rewritten(200, relay.finish(response), "text/event-stream")
    reply = response_to_completion(response, translation.asked, translation.index)
    journal.reply_losses = lambda: reply.losses
    return Rewritten(200, codec.dumps(reply.body))


def _json(raw: bytes) -> Any:
    try:
        return codec.loads(raw)
    except ValueError:
        # Chat's own reply would come up as plain text; an answer it isn't (a proxy's page, an empty body).
        raise TranslationError("$", "the reply to POST /responses is not JSON") from None


def _last_response(raw: bytes) -> dict[str, Any]:
    """Read the answer out of a stream nobody asked for: one server always streams (MAPPING §5.7)."""
    finished: dict[int, Any] = {}
    response: dict[str, Any] | None = None
    for number, event in enumerate(sse.Decoder().feed(raw + b"\n\n")):
        if not event.data or event.data.startswith(b"[DONE]"):
            continue
        data = _json(event.data)
        kind = data.get("type") if isinstance(data, dict) else None
        if kind == "response.output_item.done":
            finished[data.get("output_index", number)] = data.get("item")
        elif kind == "error" or (kind is None and isinstance(data, dict) and data.get("error")):
            raise event_failure(data)
        elif kind in TERMINAL and isinstance(data.get("response"), dict):
            response = data["response"]
    if response is None:
        raise StreamTruncated("$", "the stream ended before its terminal event")
    return response if response.get("output") else response | {"output": [finished[i] for i in sorted(finished)]}


def _stream(journal: Journal, choice: Choice, translation: Translation) -> Journey:
    try:
        relay = Relay(translation.asked, translation.index, on_bug_raise=choice.on_bug == "raise")
    except Exception as bug:
        if choice.on_bug == "raise":
            raise
        return _bug_in_reply(bug)
    journal.reply_losses = lambda: relay.losses
    begun = b""
    while relay.events < PEEKED_EVENTS and not begun:
        try:
            data: bytes | None = yield ReadChunk()
        except Exception as error:  # noqa: BLE001  # Chat's headers would be up by now: the reader gets it
            return Streamed(relay, begun, error)
        if data is None:
            break
        begun = relay.feed(data)
        if relay.failure is not None and begun.count(b"\n\n") == 1:
            yield Note()
            return _failure(relay.failure)
    return Streamed(relay, begun)


def _failure(failure: UpstreamFailure) -> Rewritten:
    return Rewritten(failure.status, codec.dumps({"error": failure.error}), headers=_FINAL if failure.spoke else {})


def _error(status: int, message: str, kind: str, param: str | None, code: str) -> Rewritten:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return Rewritten(status, codec.dumps({"error": error}), headers=_FINAL)
