"""Where the installed vcrpy takes hold of a request: above the adapter's door it would record the wrong API.

    vcrpy          replaces                                        seen from the adapter
    before 8.0     `Client._send_single_request` of httpx          above: it records `/chat/completions`, and a replay never
                                                                   reaches the adapter, so that nothing is tested
    8.0, 8.1       httpcore's connection pools                     below, for classic httpx; httpx2 isn't known
    8.2 and later  `HTTPTransport.handle_request`, of both         below, where bytes leave

Looked up in what vcrpy does, not in its version.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module, metadata
from typing import Any


@cache
def problem() -> str | None:
    """Say why the installed vcrpy can't record or replay calls of the adapter, or None where it can."""
    try:
        import vcr
    except ImportError:
        return "cassettes need vcrpy (extra `kit`)"
    library = sdk_http_library()
    version = metadata.version("vcrpy")
    before = _places(library)
    with _patched(vcr):
        replaced = {name for name, found in _places(library).items() if found is not before[name]}
    if "Client._send_single_request" in replaced:
        return (
            f"vcrpy {version} replaces {library.__name__}.Client._send_single_request, which is above the adapter: it would "
            "record /chat/completions, and a replay would never reach the adapter. Use vcrpy 9.4 or later"
        )
    if not replaced:
        return (
            f"vcrpy {version} doesn't know {library.__name__}, which the SDK uses: calls would go to the network. "
            "Use vcrpy 9.4 or later"
        )
    return None


@contextmanager
def _patched(vcr: Any) -> Iterator[None]:
    # A cassette that nothing is asked of: it is never saved.
    with vcr.VCR(record_mode="none").use_cassette("looked-at.yaml"):
        yield


def sdk_http_library() -> Any:
    """Import the HTTP library of the installed SDK: the base of its own clients tells which one that is."""
    import openai

    for base in openai.DefaultHttpxClient.__mro__:
        name = base.__module__.partition(".")[0]
        if name in ("httpx", "httpx2"):
            return sys.modules[name]
    raise AssertionError("the SDK's HTTP client is of neither httpx nor httpx2")


def _places(library: Any) -> dict[str, Any]:
    """Return what stands where vcrpy may put something of its own."""
    core = import_module(library.__name__.replace("httpx", "httpcore"))
    return {
        "Client._send_single_request": library.Client._send_single_request,
        "HTTPTransport.handle_request": library.HTTPTransport.handle_request,
        "ConnectionPool.handle_request": core.ConnectionPool.handle_request,
    }
