"""Describe why a server wasn't reached, without its URL.

The cause may be many levels down the chain of an HTTP library's exception.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit


def describe(error: BaseException) -> str:
    """Return why a request got no reply, such as `connection refused`.

    It is the name of the exception's class if nothing more is known.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate isn't trusted{_details(getattr(one, 'verify_message', None))}"
        if isinstance(one, ssl.SSLError):
            return f"TLS failed{_details(getattr(one, 'reason', None))}"
        if isinstance(one, socket.gaierror):
            return "host name not found"
    for one in chain:
        if "Timeout" in type(one).__name__:
            return "timed out"
    for one in chain:
        if isinstance(one, OSError) and one.strerror:
            return one.strerror[:1].lower() + one.strerror[1:]
    names = {type(one).__name__ for one in chain}
    if names & {"RemoteProtocolError", "LocalProtocolError", "DecodingError"}:
        return "the reply isn't HTTP, or the connection was closed"
    if names & {"UnsupportedProtocol", "InvalidURL"}:
        return "not a server URL"
    return type(error).__name__


def _details(text: object) -> str:
    return f" ({text.replace('_', ' ').lower()})" if isinstance(text, str) and text else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, the latest first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def is_http_url(url: str) -> bool:
    """Return whether a URL names a server by http or https."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises ValueError for an invalid port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and url.isprintable()
        and " " not in url
    )
