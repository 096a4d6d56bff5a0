"""HTTP messages that are made here: the outgoing request, and the headers of the reply."""

from __future__ import annotations

from typing import Any

from adapter._exchange.effects import MergedStreamReply, Outcome, Send, WholeReply
from adapter._routing.router import HEADER
from adapter._runtime.call_context import EXTENSION

from . import header_fields
from .libraries import HttpLibrary
from .urls import with_path

# Framing of the original body, which a rewritten one doesn't have.
_LENGTH_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
_FRAMING_HEADERS = _LENGTH_HEADERS | {b"content-encoding"}
_BODY_HEADERS = frozenset({b"content-type", b"content-encoding", b"idempotency-key"})
_OWN_HEADERS = frozenset({HEADER.encode()})
_BACKEND_HEADER = HEADER.encode(), b"responses"
_DROPPED_HEADERS = _FRAMING_HEADERS | _OWN_HEADERS


def outgoing_request(request: Any, send: Send, library: HttpLibrary) -> Any:
    """Return the request to send for an effect; the caller's own isn't changed.

    It is the caller's own if nothing differs.
    """
    if (
        send.body is None
        and send.path is None
        and not header_fields.has(request.headers, HEADER.encode())
    ):
        return request
    extensions = {key: value for key, value in request.extensions.items() if key != EXTENSION}
    url = request.url if send.path is None else with_path(request.url, send.path)
    cls: Any = type(request)
    if send.method is not None:
        headers = header_fields.replaced(
            request.headers, _OWN_HEADERS | _LENGTH_HEADERS | _BODY_HEADERS, []
        )
        return cls(send.method, url, headers=headers, extensions=extensions)
    if send.body is None:
        headers = header_fields.replaced(request.headers, _OWN_HEADERS, [])
        return cls(
            request.method, url, headers=headers, extensions=extensions, stream=request.stream
        )
    length = b"Content-Length", str(len(send.body)).encode()
    made = cls(request.method, url, stream=library.RequestBody(send.body))
    # Both would be copied by the constructor, and the encoding of the headers found out again.
    made.headers = header_fields.replaced(request.headers, _OWN_HEADERS | _LENGTH_HEADERS, [length])
    made.extensions = extensions
    made.read()  # hooks and mocks look into `content`
    return made


def reply_headers(upstream: Any, outcome: Outcome, library: HttpLibrary) -> Any:
    """Return the headers of a reply that is made here: upstream's, but for those of its body."""
    own: dict[bytes, bytes] = {}
    if isinstance(outcome, MergedStreamReply) and isinstance(outcome.parts[0], WholeReply):
        # The first answer came whole, and others may have come as streams.
        own[b"content-type"] = outcome.parts[0].content_type.encode()
    elif isinstance(outcome, WholeReply):
        if outcome.content_type:
            own[b"content-type"] = outcome.content_type.encode()
        own[b"content-length"] = str(len(outcome.body)).encode()
        for name, value in outcome.headers.items():
            own[name.lower().encode()] = value.encode()
    added = [*own.items(), _BACKEND_HEADER]
    return (
        library.Headers(added)
        if upstream is None
        else header_fields.replaced(upstream.headers, _DROPPED_HEADERS | own.keys(), added)
    )
