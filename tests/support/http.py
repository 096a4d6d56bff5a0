"""The HTTP library that the tests use, and what the installed SDK has.

The same tables of cases run on every SDK. The library is the SDK's own, or the one that an
environment names: `LANE_HTTP=httpx` runs everything on classic httpx with an SDK whose default is
httpx2.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
from collections.abc import Mapping
from typing import Any

import openai
import pytest

SDK = tuple(int(part) for part in openai.VERSION.split(".")[:2])
NAME = os.environ.get("LANE_HTTP") or ("httpx2" if SDK >= (3, 0) else "httpx")
http: Any = importlib.import_module(NAME)
# The libraries import these when first used. Tests that run pytest in this process would import
# them there, and drop them again.
CORES = [
    importlib.import_module(name)
    for name in ("httpcore", "httpcore2")
    if importlib.util.find_spec(name)
]

# A caller's exceptions when a connection breaks in mid-stream: before 3.25 the SDK let the HTTP
# library's own errors through (docs/mapping.md#http-libraries).
CONNECTION_ERRORS: tuple[type[Exception], ...] = (
    (openai.APIConnectionError,)
    if SDK >= (3, 25)
    else (openai.APIConnectionError, http.TransportError)
)
STREAM_TIMEOUT: type[Exception] = openai.APITimeoutError if SDK >= (3, 25) else http.ReadTimeout
# The number of upstream bodies that may stay open after a stream raised, or was dropped unclosed:
# the SDK 1.x leaves its own open as well.
LEFT_OPEN = 0 if SDK >= (2, 0) else 1


def needs(present: bool, what: str) -> pytest.MarkDecorator:
    """Skip a test, or a case of one, where the SDK lacks a feature that it is about."""
    return pytest.mark.skipif(not present, reason=lacking(what))


def lacking(what: str) -> str:
    """Return what the installed SDK lacks."""
    return f"openai {openai.VERSION} has no {what}"


needs_raw_posts = needs(
    "content" in inspect.signature(openai.OpenAI.post).parameters, "post() that takes bytes"
)


def default_client(*, asynchronous: bool = False, **more: Any) -> Any:
    """Make the SDK's default HTTP client, of the library under test."""
    if NAME == "httpx" and SDK >= (3, 0):
        kind = http.AsyncClient if asynchronous else http.Client
        limits = http.Limits(max_connections=1000, max_keepalive_connections=100)
        return kind(
            **{
                "follow_redirects": True,
                "timeout": http.Timeout(600, connect=5),
                "limits": limits,
                **more,
            }
        )
    return (openai.DefaultAsyncHttpxClient if asynchronous else openai.DefaultHttpxClient)(**more)


def helpers_of(client: Any) -> Any:
    """Return the resource with `parse` and `stream`: old SDKs have them in `beta` alone."""
    completions = client.chat.completions
    return completions if hasattr(completions, "stream") else client.beta.chat.completions


def arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a body into arguments of the SDK's methods.

    Parameters that this SDK doesn't have go into `extra_body`.
    """
    known = {key: value for key, value in body.items() if key in parameters()}
    extra = {key: value for key, value in body.items() if key not in known}
    return known | {"extra_body": extra | known.get("extra_body", {})} if extra else known


@functools.cache
def parameters() -> frozenset[str]:
    """Return the names of the parameters of this SDK's `create`."""
    return frozenset(inspect.signature(openai.resources.chat.Completions.create).parameters) - {
        "self"
    }
