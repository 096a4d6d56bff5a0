"""Requests that were signed before they came here: they can't be changed, and stay on Chat Completions.

A signature shows in a header; or the HTTP client's `auth` says that it needs the request's body, or
visibly hashes it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any

from adapter.translation.ledger import Loss

# Schemes of `Authorization` that are made over the URL, the body, or both: AWS, Google, Alibaba,
# Tencent, Azure, Huawei, Baidu, Akamai, Hawk, HTTP Signatures, Digest; a token needs none of this.
_SCHEME = re.compile(
    r"[\w-]*(?:HMAC|ECDSA|RSA-SHA)[\w-]*\b|(?:Signature|Digest|Hawk|MAC|SharedKey(?:Lite)?)\s"
    r"|bce-auth-v\d|OAuth\s.*oauth_signature",
    re.IGNORECASE,
)
# Headers that hold a signature, or what the body was when it was signed: RFC 9421, RFC 9530, AWS, and
# what webhooks and gateways use.
_NAME = re.compile(
    rb"(?:.*-)?(?:signature|hmac)(?:-.*)?|(?:.*-)?digest|content-md5"
    rb"|(?:.*-)?(?:content|body|payload)-(?:hash|md5|sha-?\d+)",
)

_READS = frozenset({"content", "read", "aread", "stream"})
_HASHES = re.compile(r"hash|hmac|sha\d|md5|digest|sign(?!al|in)", re.IGNORECASE)
_LIBRARIES = ("httpx", "httpx2")
_DEEPEST = 40  # frames from a door up to the HTTP client, with other transports in between


def signed(headers: Any, authorization: str) -> Loss | None:
    """Say where a request is signed, its URL or its body; None where nothing shows that it is."""
    if authorization and not authorization.startswith("Bearer ") and _SCHEME.match(authorization):
        return Loss("headers.authorization", "held", "the request is signed, URL and body included")
    for name in _names(headers):
        if _is_signature(name):
            path = f"headers.{name.decode('ascii', 'replace')}"
            return Loss(path, "held", "the request is signed, or its body's digest sent along")
    auth = _auth()
    if auth is not None and (getattr(auth, "requires_request_body", False) or _hashes_body(*_made_of(auth))):
        return Loss("auth", "held", "the HTTP client's auth reads the request's body, and may have signed it")
    return None


def _names(headers: Any) -> list[bytes]:
    try:
        return [entry[1] for entry in headers._list]
    except (AttributeError, IndexError):  # see fields.py
        return [name.lower() for name, _ in headers.raw]


@lru_cache(maxsize=512)
def _is_signature(name: bytes) -> bool:
    return _NAME.fullmatch(name) is not None


def _auth() -> Any:
    """Find the `auth` of the request that is being sent: the HTTP client's, or this request's own.

    Nothing else leads from a transport to it. It is an argument of the client's own method, which
    stands above the transport on the stack, in sync and async code (httpx 0.27 to httpx2 2.16).
    """
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_DEEPEST):
        if frame is None:
            return None
        if frame.f_code.co_name == "_send_handling_auth":
            return frame.f_locals.get("auth")
        frame = frame.f_back
    return None


def _made_of(auth: Any) -> tuple[type, Any]:
    """Return where an auth's code is: its class, and the function that it was made of, if any."""
    function = getattr(auth, "_func", None)
    return type(auth), function if isinstance(function, FunctionType) else None


@lru_cache(maxsize=128)
def _hashes_body(cls: type, function: FunctionType | None) -> bool:
    """Tell whether code both reads a body and hashes or signs something: it needn't have said so."""
    own = [base for base in cls.__mro__ if base.__module__.partition(".")[0] not in (*_LIBRARIES, "builtins")]
    codes = [one.__code__ for base in own for one in vars(base).values() if isinstance(one, FunctionType)]
    used = {name for code in codes + ([] if function is None else [function.__code__]) for name in _used(code)}
    return not _READS.isdisjoint(used) and any(_HASHES.search(name) for name in used)


def _used(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _used(constant)
