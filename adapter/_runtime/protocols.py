"""What the runtime needs of a way in: the request that came, and the server that answers it.

`_http` implements both protocols over httpx2 and httpx. So nothing here knows an HTTP library
(docs/decisions.md#two-protocols).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

from adapter._exchange.effects import Outcome, ReplyHead, Send
from adapter._memory.keys import MemoryScope
from adapter.translation.ledger import Loss

Token = str | Callable[[], str | None]
"""A token that a client fetched for its call, or a function that returns it once it is fetched."""

BaseUrl = tuple[str, str, int | None, bytes]
"""Scheme, host, port and path of what stands before the path of a call."""


class IncomingRequest(Protocol):
    """A request as a way in received it."""

    @property
    def method(self) -> str:
        """The HTTP method, in upper case."""

    @property
    def raw_path(self) -> bytes:
        """The path with the query, as they are sent."""

    @property
    def host(self) -> str:
        """The host that the request goes to."""

    @property
    def base_url(self) -> BaseUrl:
        """What identifies the server's API."""

    @property
    def headers(self) -> Mapping[str, str]:
        """All header fields; names are case-insensitive."""

    @property
    def read_timeout(self) -> float | None:
        """The seconds that reading may take; None without a limit."""

    @property
    def content(self) -> bytes:
        """The body if it is known; else empty."""

    def header(self, name: bytes) -> str | None:
        """Return the last value of a header field, given in lower case; None if it is missing."""

    def signature(self, auth: Any) -> Loss | None:
        """Return the ledger entry of a signed request, which can't be changed; None for others."""

    def memory_scope(
        self, conversation: str | None, token: Token | None, tenants: Sequence[bytes]
    ) -> MemoryScope:
        """Return the scope of the memory that the request may use."""

    def read(self) -> bytes:
        """Read the body to its end."""

    async def aread(self) -> bytes:
        """Read the body to its end, in async code."""


class BaseUpstream(Protocol):
    """The server of one request: sends requests to it, and holds the reply to the last one.

    An exception of the transport is marked as not being the adapter's (`EXTERNAL_ERROR`).
    """

    reply: Any
    """The server's reply to the last request; None before one has come."""

    @property
    def max_connections(self) -> int | None:
        """How many requests may be sent at once; None if unknown."""

    def branch(self) -> Self:
        """Return another one for the same request, without a reply."""

    def release_body(self) -> None:
        """Release the body that was sent, which may be megabytes."""

    @property
    def status(self) -> int:
        """The status of the reply."""

    def make_reply(
        self, outcome: Outcome, body: bytes | Iterator[bytes] | AsyncIterator[bytes]
    ) -> Any:
        """Make the reply for the caller, with another body than the server's."""

    def observe(self, observer: Any) -> None:
        """Let the stream of a reply that passes as it is tell a ReplyObserver what is read."""

    def native_reply(self) -> Any:
        """Return the reply to the call as it came, if it is whole or unread; else None."""

    def error_reply(self, status: int, message: str) -> Any:
        """Make an error reply that the SDK doesn't retry."""

    def truncated_error(self, why: str) -> Exception:
        """Make the exception for a stream that ends before its terminal event."""

    def closed_error(self) -> Exception:
        """Make the exception for a stream that is read after it was closed."""


class Upstream(BaseUpstream, Protocol):
    """An upstream for sync code."""

    def send(self, effect: Send) -> ReplyHead:
        """Count a request in the call's context, send it, and return the head of its reply."""

    def read(self) -> bytes:
        """Read the reply to its end."""

    def read_chunk(self) -> bytes | None:
        """Read the next piece of the reply; None at its end."""

    def drain(self) -> Exception | None:
        """Read to the reply's end, so that its connection can be used again; return its error."""

    def close(self) -> None:
        """Close the reply."""

    def cancel_run(self, path: bytes) -> None:
        """Cancel a background run by a POST to a path."""


class AsyncUpstream(BaseUpstream, Protocol):
    """An upstream for async code."""

    async def send(self, effect: Send) -> ReplyHead:
        """Count a request in the call's context, send it, and return the head of its reply."""

    async def read(self) -> bytes:
        """Read the reply to its end."""

    async def read_chunk(self) -> bytes | None:
        """Read the next piece of the reply; None at its end."""

    async def close(self) -> None:
        """Close the reply."""

    async def cancel_run(self, path: bytes) -> None:
        """Cancel a background run by a POST to a path."""
