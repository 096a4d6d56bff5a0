"""Send the caller's own request to a mock, and convert the reply to one of the Responses API."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache, partial
from typing import Any

from adapter._exchange.effects import Send
from adapter._http.libraries import HttpLibrary
from adapter._http.messages import outgoing_request
from adapter._util.sse import Decoder

from .responses_from_chat import EventsFromChunks, choices_of, is_completion, make_response

_BODY_HEADERS = ("content-length", "content-encoding", "transfer-encoding")


class MockTransport:
    """Wrap the transport of one request, and request Chat Completions from it.

    `sends_translated` is set if the next request is a translated one. `make_reply` makes the reply
    to each further request: a call requests its mock once, as it does natively.
    """

    def __init__(self, inner: Any, library: HttpLibrary, request: Any) -> None:
        self.inner = inner
        self.sends_translated = False
        self.make_reply: Callable[[], Any] | None = None
        self._library = library
        self._request = request

    @property
    def _pool(self) -> Any:
        """The connection pool, which limits how many requests are sent at once."""
        return self.inner._pool

    def branch(self, replies: list[Callable[[], Any]], number: int) -> MockTransport:
        """Return the transport of one of several requests of a call."""
        branch = MockTransport(self.inner, self._library, self._request)
        enough = number < len(replies)
        branch.make_reply = replies[number] if enough else self._too_few_reply(len(replies))
        return branch

    def handle_request(self, sent: Any) -> Any:
        """Send one request."""
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
        """Send one request."""
        if not self.sends_translated:
            return await self.inner.handle_async_request(sent)
        if self.make_reply is not None:
            return self.make_reply()
        reply = await self.inner.handle_async_request(self._chat_request())
        if self._is_stream(reply):
            return self._stream_reply(reply)
        await reply.aread()
        return self._whole_reply(reply)

    def request_choices(self) -> list[Callable[[], Any]]:
        """Request the mock once for several requests; return what makes the reply to each."""
        reply, pieces, error = self.inner.handle_request(self._chat_request()), [], None
        if self._is_stream(reply):
            try:
                pieces.extend(reply.iter_bytes())
            except Exception as broken:  # noqa: BLE001  # raised again by each replayed stream
                error = broken
            finally:
                reply.close()
            return self._stream_choices(reply, pieces, error)
        reply.read()
        return self._choices(reply)

    async def arequest_choices(self) -> list[Callable[[], Any]]:
        """Request the mock once for several requests; return what makes the reply to each."""
        reply, pieces, error = await self.inner.handle_async_request(self._chat_request()), [], None
        if self._is_stream(reply):
            try:
                async for data in reply.aiter_bytes():
                    pieces.append(data)  # noqa: PERF401  # the pieces before an error are kept
            except Exception as broken:  # noqa: BLE001  # as above
                error = broken
            finally:
                await reply.aclose()
            return self._stream_choices(reply, pieces, error)
        await reply.aread()
        return self._choices(reply)

    def _chat_request(self) -> Any:
        """Return the caller's request, addressed to Chat Completions."""
        return outgoing_request(self._request, Send(), self._library)

    @property
    def _asked_stream(self) -> bool:
        try:
            body = json.loads(self._request.content)
        except ValueError:
            return False
        return isinstance(body, dict) and bool(body.get("stream"))

    def _is_stream(self, reply: Any) -> bool:
        """Return whether a reply is a stream.

        If the caller asked for one, the SDK reads any type as a stream that isn't JSON or HTML.
        """
        if not 200 <= reply.status_code < 300:
            return False
        kind = reply.headers.get("content-type", "").lower().partition(";")[0].strip()
        return kind == "text/event-stream" or (
            self._asked_stream and not kind.endswith("json") and kind != "text/html"
        )

    # Replies

    def _whole_reply(self, reply: Any) -> Any:
        status, content = reply.status_code, reply.content
        if status >= 400:
            self.make_reply = partial(self._make_reply, reply, content)
            return reply
        location = reply.headers.get("location")
        if status >= 300 and location and not location.startswith("/") and "://" not in location:
            # Relative to the caller's URL, not to the translated one.
            reply.headers["location"] = str(self._request.url.join(location))
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
            events = [piece for data in pieces for piece in machine.feed(data)]
            events += machine.close() if error is None else []
            # A new stream for each reply: a stream can be read once.
            return lambda: self._make_reply(reply, stream=replayed(events, error))

        return [of(index) for index in indexes]

    def _too_few_reply(self, count: int) -> Callable[[], Any]:
        error = {
            "message": f"the call requested more choices than the mock returned ({count})",
            "type": "server_error",
            "param": None,
            "code": "too_few_choices",
        }
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
    """Return the indexes of the choices in a stream."""
    found: set[int] = set()
    for event in Decoder().feed(stream):
        chunk = _json(event.data)
        choices = choices_of(chunk) if isinstance(chunk, dict) else []
        found |= {index for choice in choices if isinstance(index := choice.get("index"), int)}
    return found


class _EventStream:
    """A mock's stream, converted to a Responses stream."""

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
        """Close the mock's stream."""
        self._reply.close()

    async def aclose(self) -> None:
        """Close the mock's stream."""
        await self._reply.aclose()


class _ReplayedStream:
    """A stream that has been read, with the error that ended it."""

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
    """Return both stream classes for one HTTP library, which requires its own base classes."""
    bases = sys.modules[library].SyncByteStream, sys.modules[library].AsyncByteStream
    return type("Events", (_EventStream, *bases), {}), type(
        "Replayed", (_ReplayedStream, *bases), {}
    )
