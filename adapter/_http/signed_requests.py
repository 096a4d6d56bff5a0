"""Finding requests that are signed: they can't be changed, and are kept on Chat.

A signature is in a header; or the HTTP client's `auth` says that it needs the request's body, or
visibly hashes it (docs/decisions.md#left-alone).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from inspect import getattr_static
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from adapter._runtime.call_context import UNKNOWN_AUTH
from adapter.translation.ledger import Loss

from . import header_fields

# Schemes of `Authorization` that sign the URL, the body, or both: AWS, Google, Alibaba, Tencent,
# Azure, Huawei, Baidu, Akamai, Hawk, HTTP Signatures, Digest.
_SIGNATURE_SCHEME = re.compile(
    r"[\w-]*(?:HMAC|ECDSA|RSA-SHA)[\w-]*\b|(?:Signature|Digest|Hawk|MAC|SharedKey(?:Lite)?)\s"
    r"|bce-auth-v\d|OAuth\s.*oauth_signature",
    re.IGNORECASE,
)
# Headers with a signature or a digest of the body: RFC 9421, RFC 9530, AWS, webhooks, gateways.
_SIGNATURE_HEADER = re.compile(
    rb"(?:.*-)?(?:signature|hmac)(?:-.*)?|(?:.*-)?digest|content-md5"
    rb"|(?:.*-)?(?:content|body|payload)-(?:hash|md5|sha-?\d+)",
)

_READ_METHODS = frozenset({"content", "read", "aread", "stream"})
_HASH_NAMES = re.compile(r"hash|hmac|sha\d|md5|digest|sign(?!al|in)", re.IGNORECASE)
_LIBRARIES = ("httpx", "httpx2")
# Names of headers seen so far that aren't signatures; the HTTP libraries' class for no auth.
_PLAIN_NAMES: set[bytes] = set()
_MAX_NAMES = 512
_PLAIN_AUTHS: set[type] = set()
_MAX_FUNCTIONS = 50  # functions that are inspected
_MAX_FRAMES = 40  # from a transport up to the HTTP client, with other transports between them


def auth_of(client: Any) -> Any:
    """Return the `auth` of an SDK client's requests; UNKNOWN_AUTH if its classes may differ."""
    http: Any = client._client
    classes: tuple[Any, Any] = (type(client), type(http))
    return http.auth if _is_plain(*classes) else UNKNOWN_AUTH


@lru_cache(maxsize=64)
def _is_plain(cls: type, http: type) -> bool:
    """Return whether classes send with the HTTP client's auth or the SDK's own."""
    if any(_package(base) not in (*_LIBRARIES, "openai", "builtins") for base in http.__mro__):
        return False
    given = [getattr_static(cls, name, None) for name in ("custom_auth", "_custom_auth")]
    given = [getattr(one, "fget", one) for one in given if one is not None]
    return all(_package(one) == "openai" for one in given)


def find_signature(headers: Any, auth: Any = UNKNOWN_AUTH) -> Loss | None:
    """Return the ledger entry for a signed request; None if there is no sign of a signature."""
    authorization = header_fields.value(headers, b"authorization")
    if (
        authorization
        and not authorization.startswith("Bearer ")
        and _SIGNATURE_SCHEME.match(authorization)
    ):
        return Loss("headers.authorization", "held", "the request is signed, URL and body included")
    names = _header_names(headers)
    if not _PLAIN_NAMES.issuperset(names):
        for name in names:
            if _SIGNATURE_HEADER.fullmatch(name) is not None:
                path = f"headers.{name.decode('ascii', 'replace')}"
                return Loss(path, "held", "the request is signed, or its body's digest sent along")
        if len(_PLAIN_NAMES) < _MAX_NAMES:
            _PLAIN_NAMES.update(names)
    if auth is UNKNOWN_AUTH:
        auth = _find_auth()
    if auth is not None and type(auth) not in _PLAIN_AUTHS and _reads_body(auth):
        return Loss(
            "auth",
            "held",
            "the HTTP client's auth reads the request's body, and may have signed it",
        )
    return None


def _header_names(headers: Any) -> list[bytes]:
    try:
        return [entry[1] for entry in headers._list]
    except (AttributeError, IndexError):  # see header_fields.py
        return [name.lower() for name, _ in headers.raw]


def _find_auth() -> Any:
    """Return the `auth` of the request that is being sent: its own, or the HTTP client's.

    A transport can't reach it but by the stack: it is an argument of the client's method above the
    transport, in sync and async code (httpx 0.27 to httpx2 2.16).
    """
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return None
        if frame.f_code.co_name == "_send_handling_auth":
            return frame.f_locals.get("auth")
        frame = frame.f_back
    return None


def _reads_body(auth: Any, depth: int = 3) -> bool:
    """Return whether an auth reads the body: it says so, hashes it, or wraps an auth that does."""
    if type(auth).__name__ == "Auth" and _package(type(auth)) in _LIBRARIES:
        _PLAIN_AUTHS.add(type(auth))
        return False
    if getattr(auth, "requires_request_body", False):
        return True
    held, source = tuple(getattr(auth, "__dict__", {}).values()), getattr(auth, "_func", None)
    owner = getattr(source, "__self__", None)
    kind: type = type(auth)
    if _hashes_body(kind, _function(source), (type(owner), *map(type, held))):
        return True
    return depth > 0 and any(
        _reads_body(one, depth - 1) for one in held if hasattr(type(one), "auth_flow")
    )


def _function(given: Any) -> FunctionType | None:
    """Return the function in any callable; None if it is built in."""
    while isinstance(given, partial):
        given = given.func
    if given is not None and not isinstance(given, (FunctionType, MethodType)):
        given = getattr(type(given), "__call__", None)  # noqa: B004  # the function is needed
    given = getattr(given, "__func__", given)
    return given if isinstance(given, FunctionType) else None


@lru_cache(maxsize=128)
def _hashes_body(cls: type, function: FunctionType | None, held_types: tuple[type, ...]) -> bool:
    """Return whether code both reads a body and hashes or signs something.

    The code is that of a class and a function, and what they call in the same packages: functions,
    and methods of objects of `held_types`.
    """
    own = [*_program_bases(cls)]
    left = [one for base in own for one in vars(base).values() if isinstance(one, FunctionType)]
    left += [] if function is None else [function]
    packages = {_package(one) for one in (*own, *left)}
    around = [
        base for one in held_types for base in _program_bases(one) if _package(base) in packages
    ]
    seen: dict[CodeType, set[str]] = {}
    while left and len(seen) < _MAX_FUNCTIONS:
        one = left.pop()
        if one.__code__ in seen:
            continue
        used = seen[one.__code__] = set(_names_used(one.__code__))
        known = [one.__globals__.get(name) for name in used] + [*_closure_values(one)]
        modules = (module for module in known if isinstance(module, ModuleType))
        known += [vars(place).get(name) for place in (*around, *modules) for name in used]
        for other in known:
            called = _function(other) if isinstance(other, (FunctionType, MethodType)) else None
            if called is not None and _package(called) in packages:
                left.append(called)
    names = {name for used in seen.values() for name in used}
    return not _READ_METHODS.isdisjoint(names) and any(_HASH_NAMES.search(name) for name in names)


def _program_bases(cls: type) -> Iterator[type]:
    return (base for base in cls.__mro__ if _package(base) not in (*_LIBRARIES, "builtins"))


def _package(thing: Any) -> str:
    return str(thing.__module__).partition(".")[0]


def _closure_values(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an empty cell
            yield cell.cell_contents


def _names_used(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_used(constant)
