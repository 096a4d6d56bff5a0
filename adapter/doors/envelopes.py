"""The HTTP messages that a door makes: the request that goes out in place of the caller's, and the headers of its reply."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from adapter.effects import Merged, Outcome, Rewritten, Send
from adapter.routing.decide import HEADER

from .families import family_of
from .ticket import KEY

# The message's own framing: it doesn't fit a body that was rewritten.
_FRAMING = {b"content-length", b"transfer-encoding", b"content-encoding"}


@lru_cache(maxsize=64)
def _url(url: Any, path: bytes) -> Any:
    """Return a URL with another path; parsing one costs more than translating a short request."""
    return url.copy_with(raw_path=path)


def outgoing(request: Any, send: Send) -> Any:
    """Make the request that goes out; the caller's is left as it is."""
    if send.body is None and send.path is None and HEADER not in request.headers:
        return request
    extensions = {key: value for key, value in request.extensions.items() if key != KEY}
    url = request.url if send.path is None else _url(request.url, send.path)
    headers = request.headers.copy()
    for name in (HEADER,) if send.body is None else (HEADER, "content-length", "transfer-encoding"):
        if name in headers:
            del headers[name]
    cls = type(request)
    if send.body is None:
        return cls(request.method, url, headers=headers, extensions=extensions, stream=request.stream)
    if "_content" not in request.__dict__:
        return cls(request.method, url, headers=headers, extensions=extensions, content=send.body)
    # A copy with another body: making one anew costs more than translating a short request (private in httpx 0.27 to httpx2 2.16).
    made: Any = object.__new__(cls)
    made.__dict__.update(request.__dict__)
    headers["Content-Length"] = str(len(send.body))
    made.url, made.headers, made.extensions = url, headers, extensions
    made.stream, made._content = family_of(request).ByteStream(send.body), send.body
    return made


def reply_headers(upstream: Any, outcome: Outcome) -> list[tuple[bytes, bytes]]:
    """Return the headers of a reply that is made here: upstream's, but for what describes its body."""
    kept = [] if upstream is None else [(k, v) for k, v in upstream.headers.raw if k.lower() not in _FRAMING]
    if isinstance(outcome, Merged) and isinstance(outcome.parts[0], Rewritten):
        # Where one answer of several came whole, the others needn't have.
        kept = [(k, v) for k, v in kept if k.lower() != b"content-type"]
        kept.append((b"content-type", outcome.parts[0].content_type.encode()))
    if isinstance(outcome, Rewritten):
        own = {b"content-type": outcome.content_type.encode(), b"content-length": str(len(outcome.body)).encode()}
        own |= {name.encode(): value.encode() for name, value in outcome.headers.items()}
        if not outcome.content_type:
            del own[b"content-type"]
        kept = [(k, v) for k, v in kept if k.lower() not in own] + list(own.items())
    return [*kept, (HEADER.encode(), b"responses")]
