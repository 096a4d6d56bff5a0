"""The HTTP messages that a door makes: the request that goes out in place of the caller's, and the headers of its reply."""

from __future__ import annotations

from typing import Any

from adapter._exchange.effects import Merged, Outcome, Rewritten, Send
from adapter._routing.router import HEADER
from adapter._runtime.call_context import KEY

from . import header_fields, urls
from .libraries import Family

# The message's own framing: it doesn't fit a body that was rewritten.
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
_FRAMING = _LENGTHS | {b"content-encoding"}
_OF_THE_BODY = frozenset({b"content-type", b"content-encoding", b"idempotency-key"})
_OURS = frozenset({HEADER.encode()})
_MOVED = HEADER.encode(), b"responses"
_WITHOUT = _FRAMING | _OURS


def outgoing(request: Any, send: Send, family: Family) -> Any:
    """Make the request that goes out; the caller's is left as it is."""
    if send.body is None and send.path is None and not header_fields.has(request.headers, HEADER.encode()):
        return request
    extensions = {key: value for key, value in request.extensions.items() if key != KEY}
    url = request.url if send.path is None else urls.moved(request.url, send.path)
    cls: Any = type(request)
    if send.method is not None:
        headers = header_fields.edited(request.headers, _OURS | _LENGTHS | _OF_THE_BODY, [])
        return cls(send.method, url, headers=headers, extensions=extensions)
    if send.body is None:
        headers = header_fields.edited(request.headers, _OURS, [])
        return cls(request.method, url, headers=headers, extensions=extensions, stream=request.stream)
    if "_content" not in request.__dict__:
        headers = header_fields.edited(request.headers, _OURS | _LENGTHS, [])
        return cls(request.method, url, headers=headers, extensions=extensions, content=send.body)
    # A copy with another body: making one anew costs more than translating a short request (private in httpx 0.27 to httpx2 2.16).
    made: Any = object.__new__(cls)
    made.__dict__.update(request.__dict__)
    length = b"Content-Length", str(len(send.body)).encode()
    made.url, made.extensions = url, extensions
    made.headers = header_fields.edited(request.headers, _OURS | _LENGTHS, [length])
    made.stream, made._content = family.Sent(send.body), send.body
    return made


def reply_headers(upstream: Any, outcome: Outcome, family: Family) -> Any:
    """Return the headers of a reply that is made here: upstream's, but for what describes its body."""
    own: dict[bytes, bytes] = {}
    if isinstance(outcome, Merged) and isinstance(outcome.parts[0], Rewritten):
        # Where one answer of several came whole, the others needn't have.
        own[b"content-type"] = outcome.parts[0].content_type.encode()
    elif isinstance(outcome, Rewritten):
        if outcome.content_type:
            own[b"content-type"] = outcome.content_type.encode()
        own[b"content-length"] = str(len(outcome.body)).encode()
        for name, value in outcome.headers.items():
            own[name.lower().encode()] = value.encode()
    added = [*own.items(), _MOVED]
    return (
        family.Headers(added)
        if upstream is None
        else header_fields.edited(upstream.headers, _WITHOUT | own.keys(), added)
    )
