"""A request of an HTTP library, as the runtime reads it (`_runtime/protocols.IncomingRequest`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter._memory.keys import MemoryScope
from adapter._runtime.call_context import EXTERNAL_ERROR
from adapter._runtime.protocols import BaseUrl, Token
from adapter.translation.ledger import Loss

from . import header_fields
from .memory_scope import memory_scope_of
from .signed_requests import find_signature
from .urls import base_url_of


class HttpRequest:
    """An `IncomingRequest` over a request of httpx2 or httpx."""

    __slots__ = ("_request", "method", "raw_path")

    method: str
    raw_path: bytes

    def __init__(self, request: Any) -> None:
        self._request = request
        self.method, self.raw_path = request.method, request.url.raw_path

    @property
    def host(self) -> str:
        """The host that the request goes to."""
        found: str = self._request.url.host
        return found

    @property
    def base_url(self) -> BaseUrl:
        """What identifies the server's API."""
        return base_url_of(self._request.url)

    @property
    def headers(self) -> Mapping[str, str]:
        """All header fields."""
        found: Mapping[str, str] = self._request.headers
        return found

    @property
    def read_timeout(self) -> float | None:
        """The seconds that reading may take; None without a limit."""
        found: float | None = (self._request.extensions.get("timeout") or {}).get("read")
        return found

    @property
    def content(self) -> bytes:
        """The body if it is known; else empty."""
        found: bytes = self._request.__dict__.get("_content", b"")
        return found

    def header(self, name: bytes) -> str | None:
        """Return the last value of a header field; None if it is missing.

        The last one is the call's own; the client's may be there too, in another spelling.
        """
        if not header_fields.has(self._request.headers, name):
            return None
        return header_fields.values(self._request.headers, name)[-1]

    def signature(self, auth: Any) -> Loss | None:
        """Return the ledger entry of a signed request; None for others."""
        return find_signature(self._request.headers, auth)

    def memory_scope(
        self, conversation: str | None, token: Token | None, tenants: Sequence[bytes]
    ) -> MemoryScope:
        """Return the scope of the memory that the request may use."""
        return memory_scope_of(self._request, conversation, token=token, tenants=tenants)

    def read(self) -> bytes:
        """Read the body to its end."""
        try:
            body: bytes = self._request.read()
        except Exception as error:  # the caller's own stream
            setattr(error, EXTERNAL_ERROR, True)
            raise
        return body

    async def aread(self) -> bytes:
        """Read the body to its end, in async code."""
        try:
            body: bytes = await self._request.aread()
        except Exception as error:  # as above
            setattr(error, EXTERNAL_ERROR, True)
            raise
        return body
