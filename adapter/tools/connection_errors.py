"""Say why a server wasn't reached, in words and without its address.

What HTTP libraries raise holds the cause many layers below.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit


def describe(error: BaseException) -> str:
    """Give the reason for a request that got no answer: `connection refused`, for example.

    It is the error's class where no more is known.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate isn't trusted{_details(getattr(one, 'verify_message', None))}"
        if isinstance(one, ssl.SSLError):
            return f"TLS failed{_details(getattr(one, 'reason', None))}"
        if isinstance(one, socket.gaierror):
            return "its host's name isn't known"
    for one in chain:
        if "Timeout" in type(one).__name__:
            return "no answer in time"
    for one in chain:
        if isinstance(one, OSError) and one.strerror:
            return one.strerror[:1].lower() + one.strerror[1:]
    names = {type(one).__name__ for one in chain}
    if names & {"RemoteProtocolError", "LocalProtocolError", "DecodingError"}:
        return "what answered doesn't speak HTTP, or hung up"
    if names & {"UnsupportedProtocol", "InvalidURL"}:
        return "no address of a server"
    return type(error).__name__


def _details(text: object) -> str:
    return f" ({text.replace('_', ' ').lower()})" if isinstance(text, str) and text else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what led to it, the latest first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def is_http_url(url: str) -> bool:
    """Tell whether a URL names a server by http or https."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises ValueError for none
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and url.isprintable()
        and " " not in url
    )
