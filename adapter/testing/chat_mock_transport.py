"""`chat_mocks()`: let HTTP mocks go on answering as Chat Completions does, while calls are translated.

A suite that mocks `POST …/chat/completions` (with respx, pytest-httpx, a `MockTransport`, a server of
its own) has no answer to the `POST …/responses` that a translated call becomes. Here the call is
decided on, translated and put on record as always. Then its mock is asked what it would be asked
natively, with the caller's own request, and its reply is made into what the Responses API would have
sent, which goes back through the translation. So what the suite asserts about requests stays true,
and what it asserts about results is true of translated calls.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from adapter._exchange.effects import Decide, Effect, FanOut, Send
from adapter._exchange.fallback import REASON_TEXT
from adapter._exchange.record import Route
from adapter._http import transport
from adapter._http.libraries import HttpLibrary
from adapter._http.messages import outgoing_request
from adapter._runtime.base_performer import BasePerformer
from adapter._runtime.call_context import EXTERNAL_ERROR
from adapter._runtime.performer import AsyncPerformer, Performer
from adapter._runtime.run import adrive, drive
from adapter._util.sse import Decoder

from .responses_from_chat import EventsFromChunks, choices_of, is_completion, make_response

__all__ = ["chat_mocks"]

_BODY_HEADERS = ("content-length", "content-encoding", "transfer-encoding")


@contextmanager
def chat_mocks() -> Iterator[None]:
    """Serve what mocks of Chat Completions answer as the Responses API would have, in all of this process.

    A translated call asks its mock once, with the caller's own request. What the mock says to that is
    read as JSON or as a stream; errors and exceptions stay what they are, and so does a reply that
    isn't Chat's.
    """
    before = transport.Transport._performers
    transport.Transport._performers = (_MockedPerformer, _AsyncMockedPerformer)
    try:
        yield
    finally:
        transport.Transport._performers = before


class _MockTransport:
    """Stand for the transport below one request, and ask it for Chat Completions.

    `asks` tells that what is sent next is a translated request. `again` makes the reply to whatever
    follows once the mock has been asked: a call asks it once, as it does natively.
    """

    def __init__(self, inner: Any, library: HttpLibrary, request: Any) -> None:
        self.inner = inner
        self.sends_translated = False
        self.make_reply: Callable[[], Any] | None = None
        self._library = library
        self._request = request

    @property
    def _pool(self) -> Any:
        """The connections below, which say how many requests can be sent at once."""
        return self.inner._pool

    def branch(self, parts: list[Callable[[], Any]], number: int) -> _MockTransport:
        """Make what one of several requests of a call is sent through."""
        made = _MockTransport(self.inner, self._library, self._request)
        made.make_reply = parts[number] if number < len(parts) else self._too_few_reply(len(parts))
        return made

    def handle_request(self, sent: Any) -> Any:
        """Carry one request."""
        if not self.sends_translated:
            return self.inner.handle_request(sent)
        if self.make_reply is not None:
            return self.make_reply()
        reply = self.inner.handle_request(self._chat_request())
        if self._is_stream(reply):
            return self._stream_reply(reply)
        reply.read()
        return self._whole_reply(reply)

    async def handle_async_request(self, sent: Any) -> Any:
        """Carry one request."""
        if not self.sends_translated:
            return await self.inner.handle_async_request(sent)
        if self.make_reply is not None:
            return self.make_reply()
        reply = await self.inner.handle_async_request(self._chat_request())
        if self._is_stream(reply):
            return self._stream_reply(reply)
        await reply.aread()
        return self._whole_reply(reply)

    def ask_for_choices(self) -> list[Callable[[], Any]]:
        """Ask once for a call that is several requests; give what makes the reply of each."""
        reply, pieces, error = self.inner.handle_request(self._chat_request()), [], None
        if self._is_stream(reply):
            try:
                pieces.extend(reply.iter_bytes())
            except Exception as broken:  # noqa: BLE001  # raised where it stands
                error = broken
            finally:
                reply.close()
            return self._stream_choices(reply, pieces, error)
        reply.read()
        return self._choices(reply)

    async def aask_for_choices(self) -> list[Callable[[], Any]]:
        """Ask once for a call that is several requests; give what makes the reply of each."""
        reply, pieces, error = await self.inner.handle_async_request(self._chat_request()), [], None
        if self._is_stream(reply):
            try:
                async for data in reply.aiter_bytes():
                    pieces.append(data)  # noqa: PERF401  # what came before an error counts
            except Exception as broken:  # noqa: BLE001  # raised where it stands
                error = broken
            finally:
                await reply.aclose()
            return self._stream_choices(reply, pieces, error)
        await reply.aread()
        return self._choices(reply)

    def _chat_request(self) -> Any:
        """Return the caller's request as it goes to Chat Completions."""
        return outgoing_request(self._request, Send(), self._library)

    @property
    def _asked_stream(self) -> bool:
        try:
            body = json.loads(self._request.content)
        except ValueError:
            return False
        return isinstance(body, dict) and bool(body.get("stream"))

    def _is_stream(self, reply: Any) -> bool:
        """Tell whether a reply is a stream: the SDK reads one whatever it is called, where it has asked for it."""
        if not 200 <= reply.status_code < 300:
            return False
        kind = reply.headers.get("content-type", "").lower().partition(";")[0].strip()
        return kind == "text/event-stream" or (
            self._asked_stream and not kind.endswith("json") and kind != "text/html"
        )

    # What replies become

    def _whole_reply(self, reply: Any) -> Any:
        status, content = reply.status_code, reply.content
        if status >= 400:
            self.make_reply = partial(self._make_reply, reply, content)
            return reply
        location = reply.headers.get("location")
        if status >= 300 and location and not location.startswith("/") and "://" not in location:
            reply.headers["location"] = str(
                self._request.url.join(location)
            )  # not relative to where nobody has asked
        if self._asked_stream and content.lstrip()[:5] in (b"data:", b"event"):
            machine = EventsFromChunks()
            return self._make_reply(
                reply, b"".join(machine.feed(content) + machine.close()), kind="text/event-stream"
            )
        body = _json(content)
        return (
            self._make_reply(reply, _encode(make_response(body))) if is_completion(body) else reply
        )

    def _stream_reply(self, reply: Any) -> Any:
        return self._make_reply(
            reply, stream=_stream_classes(self._library.name)[0](reply, EventsFromChunks())
        )

    def _choices(self, reply: Any) -> list[Callable[[], Any]]:
        body = _json(reply.content) if reply.status_code < 300 else None
        if not is_completion(body):
            made = self._whole_reply(reply)
            return [lambda: made]
        bodies = [
            _encode(make_response(body, number)) for number in range(len(choices_of(body)) or 1)
        ]
        return [partial(self._make_reply, reply, content) for content in bodies]

    def _stream_choices(
        self, reply: Any, pieces: list[bytes], error: Exception | None
    ) -> list[Callable[[], Any]]:
        indexes = sorted(_indexes(b"".join(pieces))) or [0]
        replayed = _stream_classes(self._library.name)[1]

        def of(index: int) -> Callable[[], Any]:
            machine = EventsFromChunks(index)
            said = [piece for data in pieces for piece in machine.feed(data)]
            said += machine.close() if error is None else []
            return lambda: self._make_reply(
                reply, stream=replayed(said, error)
            )  # anew: a stream is read once

        return [of(index) for index in indexes]

    def _too_few_reply(self, count: int) -> Callable[[], Any]:
        said = f"the call asked for more choices than the mock has given, which are {count}"
        error = {"message": said, "type": "server_error", "param": None, "code": "too_few_choices"}
        headers = {"content-type": "application/json", "x-should-retry": "false"}
        return lambda: self._library.Response(
            500, headers=headers, content=_encode({"error": error})
        )

    def _make_reply(
        self,
        reply: Any,
        content: bytes | None = None,
        *,
        kind: str | None = None,
        stream: Any = None,
    ) -> Any:
        headers = [
            (name, value)
            for name, value in reply.headers.multi_items()
            if name.lower() not in _BODY_HEADERS
        ]
        if kind is not None:
            headers = [pair for pair in headers if pair[0].lower() != "content-type"] + [
                ("content-type", kind)
            ]
        body = {"content": content} if stream is None else {"stream": stream}
        return self._library.Response(
            reply.status_code, headers=headers, extensions=reply.extensions, **body
        )


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _encode(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _indexes(stream: bytes) -> set[int]:
    """Collect the indexes of the choices in a stream."""
    found: set[int] = set()
    for event in Decoder().feed(stream):
        chunk = _json(event.data)
        choices = choices_of(chunk) if isinstance(chunk, dict) else []
        found |= {index for choice in choices if isinstance(index := choice.get("index"), int)}
    return found


class _EventStream:
    """The stream of a mock, as the Responses API's."""

    def __init__(self, reply: Any, machine: EventsFromChunks) -> None:
        self._reply, self._machine = reply, machine

    def __iter__(self) -> Iterator[bytes]:
        for data in self._reply.iter_bytes():
            yield from self._machine.feed(data)
        yield from self._machine.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._reply.aiter_bytes():
            for piece in self._machine.feed(data):
                yield piece
        for piece in self._machine.close():
            yield piece

    def close(self) -> None:
        """Close the mock's."""
        self._reply.close()

    async def aclose(self) -> None:
        """Close the mock's."""
        await self._reply.aclose()


class _ReplayedStream:
    """A stream that has been read, with the error that stood in it."""

    def __init__(self, pieces: list[bytes], error: Exception | None) -> None:
        self._pieces, self._error = pieces, error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._error is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


@lru_cache(maxsize=2)
def _stream_classes(library: str) -> tuple[Any, Any]:
    """Make both kinds of streams of one HTTP library's, which looks for its own base classes."""
    bases = sys.modules[library].SyncByteStream, sys.modules[library].AsyncByteStream
    return type("Events", (_EventStream, *bases), {}), type(
        "Replayed", (_ReplayedStream, *bases), {}
    )


# The trips


class _BaseMockedPerformer(BasePerformer):
    """What the sync and the async trip have in common."""

    inner: _MockTransport

    def __init__(
        self, library: HttpLibrary, inner: Any, request: Any, context: Any, *, branch: bool = False
    ) -> None:
        below = inner.inner if isinstance(inner, _MockTransport) else inner
        super().__init__(
            library, _MockTransport(below, library, request), request, context, branch=branch
        )
        self._replies: list[Callable[[], Any]] = []
        if context.state.route is not None:
            context.state.route = _without_fallback(context.state.route)

    def branches(self, count: int) -> list[Any]:
        """Make trips for several requests of this call."""
        made = super().branches(count)
        for number, one in enumerate(made):
            one.inner = self.inner.branch(self._replies, number)
        return made

    def prepare_send(self, effect: Send) -> None:
        """Tell the mock whether a request is a translated one, or what a redirect has made of it."""
        self.inner.sends_translated = effect.body is not None or (
            self.request.method != "POST" and effect == Send()
        )

    def take_replies(self, parts: list[Callable[[], Any]]) -> bool:
        """Take what the mock has answered for several requests; tell whether there are several answers."""
        self._replies = parts
        self.inner.make_reply = parts[0]
        return len(parts) > 1


class _MockedPerformer(_BaseMockedPerformer, Performer):
    """A request's trip to a mock, in sync code."""

    def perform(self, effect: Effect) -> Any:
        """Perform one effect."""
        match effect:
            case Send():
                self.prepare_send(effect)
            case Decide():
                return _without_fallback(super().perform(effect))
            case FanOut(branches=branches):
                self.context.requests_sent += 1
                with _marked_external():
                    parts = self.inner.ask_for_choices()
                if not self.take_replies(parts):
                    return (
                        drive(branches[0], self.perform),
                    )  # an error, or the one answer that the mock has
        return super().perform(effect)


class _AsyncMockedPerformer(_BaseMockedPerformer, AsyncPerformer):
    """A request's trip to a mock, in async code."""

    async def perform(self, effect: Effect) -> Any:
        """Perform one effect."""
        match effect:
            case Send():
                self.prepare_send(effect)
            case Decide():
                return _without_fallback(await super().perform(effect))
            case FanOut(branches=branches):
                self.context.requests_sent += 1
                with _marked_external():
                    parts = await self.inner.aask_for_choices()
                if not self.take_replies(parts):
                    return (await adrive(branches[0], self.perform),)  # as above
        return await super().perform(effect)


@contextmanager
def _marked_external() -> Iterator[None]:
    """Mark what a mock raises as its own."""
    try:
        yield
    except BaseException as error:
        setattr(error, EXTERNAL_ERROR, True)
        raise


def _without_fallback(route: Any) -> Any:
    """Let what was chosen stand: a mock's errors are Chat's, and say nothing of the Responses API."""
    if not isinstance(route, Route):
        return route
    hold = None if route.hold is not None and route.hold.reason == "missing" else route.hold
    return replace(route, fallback=route.fallback - REASON_TEXT.keys(), hold=hold, unserved=None)
