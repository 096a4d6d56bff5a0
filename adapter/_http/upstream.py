"""Sending requests through a transport of an HTTP library, and reading and closing the replies.

The reply that the caller gets is one of the same library (`_runtime/protocols.Upstream`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from math import inf
from typing import Any, Self

from adapter._exchange.effects import Outcome, ReplyHead, Send, WholeReply
from adapter._runtime.call_context import EXTERNAL_ERROR, CallContext
from adapter._runtime.observation import ReplyObserver

from . import header_fields
from .bodies import RequestBody
from .draining import drain
from .libraries import HttpLibrary
from .messages import outgoing_request, reply_headers
from .observed_stream import observe_read
from .recovery import error_reply

_HEAD_FIELDS = frozenset({b"location", b"content-type", b"content-encoding", b"retry-after"})

CANCEL_SECONDS = 5.0
"""Seconds that a caller that leaves may wait until its background run is cancelled."""


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None  # a date, or nothing
    return seconds if 0 <= seconds < inf else None


def _external(error: Exception) -> Exception:
    """Mark an exception as not being the adapter's."""
    setattr(error, EXTERNAL_ERROR, True)
    return error


class BaseHttpUpstream:
    """What the sync and the async upstream share. `transport` sends the requests."""

    __slots__ = (
        "_chunks", "_context", "_encoded", "_native", "_sent_body", "library", "reply",
        "request", "transport",
    )  # fmt: skip

    def __init__(
        self, library: HttpLibrary, transport: Any, request: Any, context: CallContext
    ) -> None:
        self.library = library
        self.transport = transport
        self.request = request
        self._context = context
        self.reply: Any = None  # the last one
        self._chunks: Any = None  # of that reply
        self._sent_body: Any = None  # of the request
        self._encoded = False  # whether the reply has a content-encoding
        self._native = False  # whether the call as it came was sent last

    def branch(self) -> Self:
        """Return another one for the same request, without a reply."""
        return type(self)(self.library, self.transport, self.request, self._context)

    @property
    def max_connections(self) -> int | None:
        """The connection limit of the transport's pool; None if unknown."""
        pool = getattr(self.transport, "_pool", None)  # private, in httpx 0.27 to httpx2 2.16
        most = getattr(pool, "_max_connections", None)
        return most if isinstance(most, int) else None

    def release_body(self) -> None:
        """Release the body that was sent, which may be megabytes, for minutes."""
        if isinstance(self._sent_body, RequestBody):
            self._sent_body.release()
        self._sent_body = None

    @property
    def status(self) -> int:
        """The status of the reply."""
        found: int = self.reply.status_code
        return found

    def _prepare(self, effect: Send) -> Any:
        """Return the request to send."""
        self._chunks = None  # those of an earlier reply
        self._native = effect.body is None and effect.method is None
        return outgoing_request(self.request, effect, self.library)

    def _head(self, sent: Any) -> ReplyHead:
        """Return the head of the reply to the request `sent`."""
        self._sent_body = sent.stream
        reply = self.reply
        found = header_fields.first_values(reply.headers, _HEAD_FIELDS)
        self._encoded = b"content-encoding" in found
        location = found.get(b"location")
        if (
            sent is not self.request
            and location
            and not location.startswith("/")
            and "://" not in location
        ):
            # Relative to the path that was sent to; the HTTP client would use the Chat URL.
            reply.headers["location"] = str(sent.url.join(location))
        status = reply.status_code
        return ReplyHead(
            status,
            found.get(b"content-type", ""),
            _seconds(found.get(b"retry-after")) if status >= 400 else None,
        )

    def _is_unread(self) -> bool:
        """Return whether the reply's body is unread and without an encoding."""
        reply = self.reply
        return not (
            self._encoded
            or reply.is_stream_consumed
            or reply.is_closed
            or hasattr(reply, "_content")
        )

    def _cancel_request(self, path: bytes) -> Any:
        """Return the request that cancels a background run."""
        made = outgoing_request(self.request, Send(path=path, method="POST"), self.library)
        made.extensions = {
            **made.extensions,
            "timeout": dict.fromkeys(("connect", "read", "write", "pool"), CANCEL_SECONDS),
        }
        return made

    def truncated_error(self, why: str) -> Exception:
        """Make the exception for a stream that ends before its terminal event."""
        return _external(self.library.RemoteProtocolError(why, request=self.request))

    def closed_error(self) -> Exception:
        """Make the exception for a stream that is read after it was closed."""
        why = "the stream was closed before its end"
        return _external(self.library.ReadError(why, request=self.request))

    def make_reply(self, outcome: Outcome, body: Any) -> Any:
        """Make a reply with another body than the server's: bytes, or a stream's iterator."""
        library, reply = self.library, self.reply
        status = outcome.status if isinstance(outcome, WholeReply) else reply.status_code
        extensions = {} if reply is None else reply.extensions
        if reply is not None and status != reply.status_code:
            extensions = {key: value for key, value in extensions.items() if key != "reason_phrase"}
        stream = library.ByteStream(body) if isinstance(body, bytes) else library.body_of(body)
        made = library.Reply(status, stream=stream)
        # Both would be copied by the constructor, for as long as the reply is read.
        made.headers, made.extensions = reply_headers(reply, outcome, library), extensions
        if isinstance(body, bytes):
            made._context = self._context
        else:
            made._body = stream
        return made

    def observe(self, observer: ReplyObserver) -> None:
        """Let the stream of a reply that passes as it is tell an observer what is read."""
        reply = self.reply
        observer.status = reply.status_code
        if reply.is_closed:  # read before: a mock transport's
            observe_read(reply, observer)
        else:
            reply.stream = self.library.ObservedStream(reply.stream, observer, reply.headers)

    def native_reply(self) -> Any:
        """Return the reply to the call as it came, if it is whole or unread; else None."""
        reply = self.reply
        usable = (
            self._native
            and reply is not None
            and (not reply.is_stream_consumed or "_content" in reply.__dict__)
        )
        return reply if usable else None

    def error_reply(self, status: int, message: str) -> Any:
        """Make an error reply that the SDK doesn't retry."""
        return error_reply(self.request, status, message)


def _raw_chunks(reply: Any) -> Iterator[bytes]:
    """Yield a reply's bytes as they come, and close it at their end."""
    reply.is_stream_consumed = True
    try:
        yield from reply.stream
    except Exception as error:
        setattr(error, EXTERNAL_ERROR, True)
        raise
    finally:
        reply.close()


class HttpUpstream(BaseHttpUpstream):
    """An `Upstream` over a sync transport."""

    __slots__ = ()
    _chunks: Iterator[bytes] | None

    def send(self, effect: Send) -> ReplyHead:
        """Send a request, and return the head of its reply."""
        sent = self._prepare(effect)
        self._context.requests_sent += 1
        try:
            self.reply = self.transport.handle_request(sent)
        except BaseException as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        return self._head(sent)

    def read(self) -> bytes:
        """Read the reply to its end."""
        reply = self.reply
        unread = self._is_unread()
        try:
            if not unread:
                body: bytes = reply.read()
                return body
            reply.is_stream_consumed = True
            # Where `read` of httpx 0.27 to httpx2 2.16 keeps it.
            reply._content = b"".join(reply.stream)
        except Exception as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        finally:
            if unread:
                reply.is_closed = True  # as its `close` does
                reply.stream.close()
        return reply._content  # type: ignore[no-any-return]

    def read_chunk(self) -> bytes | None:
        """Read the next piece of the reply; None at its end."""
        return next(self._source(), None)

    def _source(self) -> Iterator[bytes]:
        if self._chunks is None:
            self._chunks = _raw_chunks(self.reply) if self._is_unread() else self.reply.iter_bytes()
        return self._chunks

    def drain(self) -> Exception | None:
        """Read to the reply's end, so that its connection can be used again; return its error."""
        error = drain(self.reply, self._source())
        return None if error is None else _external(error)

    def close(self) -> None:
        """Close the reply."""
        if self.reply is not None and not self.reply.is_closed:
            try:
                self.reply.close()
            except Exception as error:
                setattr(error, EXTERNAL_ERROR, True)
                raise

    def cancel_run(self, path: bytes) -> None:
        """Cancel a background run by a POST to a path."""
        reply: Any = self.transport.handle_request(self._cancel_request(path))
        reply.read()
        reply.close()


class AsyncHttpUpstream(BaseHttpUpstream):
    """An `AsyncUpstream` over an async transport."""

    __slots__ = ()
    _chunks: AsyncIterator[bytes] | None

    async def send(self, effect: Send) -> ReplyHead:
        """Send a request, and return the head of its reply."""
        sent = self._prepare(effect)
        self._context.requests_sent += 1
        try:
            self.reply = await self.transport.handle_async_request(sent)
        except BaseException as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        return self._head(sent)

    async def read(self) -> bytes:
        """Read the reply to its end."""
        reply = self.reply
        unread = self._is_unread()
        try:
            if not unread:
                body: bytes = await reply.aread()
                return body
            reply.is_stream_consumed = True
            parts = []
            async for data in reply.stream:
                parts.append(data)  # noqa: PERF401  # a comprehension is a frame of its own
            reply._content = b"".join(parts)
        except Exception as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        finally:
            if unread:
                reply.is_closed = True  # as its `aclose` does
                await reply.stream.aclose()
        return reply._content  # type: ignore[no-any-return]

    async def read_chunk(self) -> bytes | None:
        """Read the next piece of the reply; None at its end."""
        if self._chunks is None:
            if self._is_unread():
                self.reply.is_stream_consumed = True
                self._chunks = aiter(self.reply.stream)
            else:
                self._chunks = self.reply.aiter_bytes()
        try:
            return await anext(self._chunks, None)
        except Exception as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise

    async def close(self) -> None:
        """Close the reply."""
        if self.reply is not None and not self.reply.is_closed:
            try:
                await self.reply.aclose()
            except Exception as error:
                setattr(error, EXTERNAL_ERROR, True)
                raise

    async def cancel_run(self, path: bytes) -> None:
        """Cancel a background run by a POST to a path."""
        import anyio  # the SDK has imported it

        request = self._cancel_request(path)
        # Shielded, since the caller may have left by being cancelled.
        with anyio.move_on_after(CANCEL_SECONDS, shield=True):
            reply: Any = await self.transport.handle_async_request(request)
            await reply.aread()
            await reply.aclose()
