"""Sending the requests of a call, and reading and closing the replies.

An exception of the transport, or of the caller's own stream, is marked as not being the adapter's
(`EXTERNAL_ERROR`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from adapter._exchange.effects import ReplyHead, Send
from adapter._http.draining import drain
from adapter._http.messages import outgoing_request

from .base_performer import BasePerformer
from .call_context import EXTERNAL_ERROR


def _raw_chunks(upstream: Any) -> Iterator[bytes]:
    """Yield a reply's bytes as they come, and close it at their end."""
    upstream.is_stream_consumed = True
    try:
        yield from upstream.stream
    except Exception as error:
        setattr(error, EXTERNAL_ERROR, True)
        raise
    finally:
        upstream.close()


class RequestSender(BasePerformer):
    """Sends and reads in sync code."""

    chunks: Iterator[bytes] | None = None

    def send(self, effect: Send) -> ReplyHead:
        """Send a request, and return the head of its reply."""
        self.close()
        sent = outgoing_request(self.request, effect, self.library)
        self.native = effect.body is None and effect.method is None
        self.context.requests_sent += 1
        self.chunks = None  # those of an earlier reply
        try:
            self.upstream = self.inner.handle_request(sent)
        except BaseException as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        self.sent_body = sent.stream
        return self.head(sent)

    def read_request(self) -> bytes:
        """Read the caller's request to its end."""
        try:
            body: bytes = self.request.read()
        except Exception as error:  # the caller's own stream
            setattr(error, EXTERNAL_ERROR, True)
            raise
        return body

    def read(self) -> bytes:
        """Read upstream's reply to its end."""
        upstream = self.upstream
        unread = self._is_unread()
        try:
            if not unread:
                body: bytes = upstream.read()
                return body
            upstream.is_stream_consumed = True
            # Where `read` of httpx 0.27 to httpx2 2.16 keeps it.
            upstream._content = b"".join(upstream.stream)
        except Exception as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        finally:
            if unread:
                upstream.is_closed = True  # as its `close` does
                upstream.stream.close()
        return upstream._content  # type: ignore[no-any-return]

    def drain(self) -> Exception | None:
        """Read upstream to its end, so that its connection can be reused; return its error."""
        return drain(self.upstream, self._source())

    def _source(self) -> Iterator[bytes]:
        if self.chunks is None:
            self.chunks = (
                _raw_chunks(self.upstream) if self._is_unread() else self.upstream.iter_bytes()
            )
        return self.chunks

    def close(self) -> None:
        """Close upstream's reply."""
        if self.upstream is not None and not self.upstream.is_closed:
            try:
                self.upstream.close()
            except Exception as error:
                setattr(error, EXTERNAL_ERROR, True)
                raise


class AsyncRequestSender(BasePerformer):
    """Sends and reads in async code."""

    chunks: AsyncIterator[bytes] | None = None

    async def send(self, effect: Send) -> ReplyHead:
        """Send a request, and return the head of its reply."""
        await self.aclose()
        sent = outgoing_request(self.request, effect, self.library)
        self.native = effect.body is None and effect.method is None
        self.context.requests_sent += 1
        self.chunks = None  # those of an earlier reply
        try:
            self.upstream = await self.inner.handle_async_request(sent)
        except BaseException as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        self.sent_body = sent.stream
        return self.head(sent)

    async def read_request(self) -> bytes:
        """Read the caller's request to its end."""
        try:
            body: bytes = await self.request.aread()
        except Exception as error:  # the caller's own stream
            setattr(error, EXTERNAL_ERROR, True)
            raise
        return body

    async def read(self) -> bytes:
        """Read upstream's reply to its end."""
        upstream = self.upstream
        unread = self._is_unread()
        try:
            if not unread:
                body: bytes = await upstream.aread()
                return body
            upstream.is_stream_consumed = True
            parts = []
            async for data in upstream.stream:
                parts.append(data)  # noqa: PERF401  # a comprehension is a frame of its own
            upstream._content = b"".join(parts)
        except Exception as error:
            setattr(error, EXTERNAL_ERROR, True)
            raise
        finally:
            if unread:
                upstream.is_closed = True  # as its `aclose` does
                await upstream.stream.aclose()
        return upstream._content  # type: ignore[no-any-return]

    def _source(self) -> AsyncIterator[bytes]:
        if self.chunks is None and self._is_unread():
            self.upstream.is_stream_consumed = True
            self.chunks = aiter(self.upstream.stream)
        elif self.chunks is None:
            self.chunks = self.upstream.aiter_bytes()
        return self.chunks

    async def aclose(self) -> None:
        """Close upstream's reply."""
        if self.upstream is not None and not self.upstream.is_closed:
            try:
                await self.upstream.aclose()
            except Exception as error:
                setattr(error, EXTERNAL_ERROR, True)
                raise
