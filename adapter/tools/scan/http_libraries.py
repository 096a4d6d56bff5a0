"""Functions that send HTTP requests, and test doubles of endpoints, by library."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CLIENT_NOTE = "an {} client takes transport=adapter.Transport()"
_OWN_CLIENT_NOTE = "{} makes its own client: use one with transport=adapter.Transport()"
_UNSUPPORTED_NOTE = "the adapter doesn't intercept {}"
_UNKNOWN_NOTE = "a hand-written HTTP request: the adapter intercepts httpx and httpx2 only"
_SDK_NOTE = "sent by the SDK's client; its arguments aren't analysed"

_LIBRARIES = {
    "aiohttp": "aiohttp",
    "aiohttp_retry": "aiohttp",
    "curl_cffi": "curl_cffi",
    "grequests": "requests",
    "http": "http.client",
    "httpcore": "httpcore",
    "httplib2": "httplib2",
    "niquests": "niquests",
    "requests": "requests",
    "requests_futures": "requests",
    "requests_oauthlib": "requests",
    "requests_toolbelt": "requests",
    "tls_client": "tls_client",
    "tornado": "tornado",
    "treq": "treq",
    "urllib": "urllib",
    "urllib2": "urllib",
    "urllib3": "urllib3",
}
"""Packages that send HTTP requests, other than httpx and httpx2, with the library's name."""

_SENDING_METHODS = frozenset(
    {
        "build_request",
        "fetch",
        "get",
        "open",
        "patch",
        "post",
        "put",
        "request",
        "send",
        "stream",
        "urlopen",
        "Request",
    }
)
_SENDER_NAME = re.compile(
    r"(?i)(client|session|sess|http|https|requests?|conn|connection|pool|transport)$"
    r"|^(http|api)_|httpx|aiohttp"
)
"""Names of objects of unknown type that probably send HTTP requests."""

_SERVERS = ("aiohttp.web", "http.server", "urllib.parse", "tornado.web")

DOUBLES = frozenset(
    {"aioresponses", "httmock", "httpretty", "mocket", "pook", "pytest_httpserver",
     "pytest_httpx", "requests_mock", "responses", "respx", "vcr", "wiremock"}
)  # fmt: skip
"""Packages that answer requests in place of a server."""

_DOUBLE_NAME = re.compile(
    r"(?i)mock|respx|^rsps$|^responses$|aioresponses|httpretty|httpserver|stub|fake|nock"
)
_DOUBLE_METHODS = frozenset(
    {"add", "add_callback", "add_response", "delete", "expect_ordered_request", "expect_request",
     "get", "head", "mock", "patch", "post", "put", "register_uri", "replace", "request",
     "respond_to", "route", "upsert", "urlmatch", "when"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sender:
    """A function that sends requests: a `verdict` on whether the adapter intercepts it, and why."""

    verdict: str
    note: str


def sender(path: str, receiver: str | None, method: str) -> Sender | None:
    """Return what is known of a function by its symbol; None if it sends no requests.

    If the symbol is unknown, the name of the object whose method it is decides.
    """
    root = path.partition(".")[0].removesuffix("()")
    if method not in _SENDING_METHODS or path.startswith(_SERVERS):
        return None
    if root in ("httpx", "httpx2"):
        alone = path.count(".") == 1 and method not in ("Request", "Client", "AsyncClient")
        return (
            Sender("stays", _OWN_CLIENT_NOTE.format(f"{root}.{method}"))
            if alone
            else Sender("unclear", _CLIENT_NOTE.format(root))
        )
    if root in _LIBRARIES:
        return Sender("stays", _UNSUPPORTED_NOTE.format(_LIBRARIES[root]))
    if root in ("openai", "adapter"):
        return Sender("unclear", _SDK_NOTE) if method in ("post", "request") else None
    known = path.partition(".")[0] != "?" and not path.startswith(("function:", "class:"))
    if known or receiver is None or _DOUBLE_NAME.search(receiver) or method == "Request":
        return None
    return Sender("unclear", _UNKNOWN_NOTE) if _SENDER_NAME.search(receiver) else None


def is_double(path: str, receiver: str | None, method: str) -> bool:
    """Return whether a function sets a canned response for an endpoint."""
    root = path.partition(".")[0].removesuffix("()")
    return method in _DOUBLE_METHODS and (
        root in DOUBLES
        or (
            root in ("?", "unittest")
            and receiver is not None
            and _DOUBLE_NAME.search(receiver) is not None
        )
    )
