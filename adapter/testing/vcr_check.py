"""Check that the installed vcrpy patches below the adapter: above it, it records the wrong API.

    vcrpy          replaces                                  from the adapter's view
    before 8.0     `Client._send_single_request` of httpx    above: it records `/chat/completions`,
                                                             and a replay tests nothing
    8.0, 8.1       httpcore's connection pools               below, for classic httpx; not httpx2
    8.2 and later  `HTTPTransport.handle_request` of both    below, where bytes leave

The check looks at what vcrpy replaces, not at its version.
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
    """Return why the installed vcrpy can't record calls of the adapter; None if it can."""
    try:
        import vcr
    except ImportError:
        return "cassettes need vcrpy (extra `testing`)"
    library = sdk_http_library()
    version = metadata.version("vcrpy")
    before = _places(library)
    with _patched(vcr):
        replaced = {name for name, found in _places(library).items() if found is not before[name]}
    if "Client._send_single_request" in replaced:
        return (
            f"vcrpy {version} replaces {library.__name__}.Client._send_single_request, which is "
            "above the adapter: it would record /chat/completions, and a replay would never reach "
            "the adapter. Use vcrpy 9.4 or later"
        )
    if not replaced:
        return (
            f"vcrpy {version} doesn't know {library.__name__}, which the SDK uses: "
            "calls would go to the network. Use vcrpy 9.4 or later"
        )
    return None


@contextmanager
def _patched(vcr: Any) -> Iterator[None]:
    # An unused cassette: it is never saved.
    with vcr.VCR(record_mode="none").use_cassette("unused.yaml"):
        yield


def sdk_http_library() -> Any:
    """Return the HTTP library of the installed SDK, known by the base class of its client."""
    import openai

    for base in openai.DefaultHttpxClient.__mro__:
        name = base.__module__.partition(".")[0]
        if name in ("httpx", "httpx2"):
            return sys.modules[name]
    raise AssertionError("the SDK's HTTP client is neither httpx's nor httpx2's")


def _places(library: Any) -> dict[str, Any]:
    """Return the methods that vcrpy may replace."""
    core = import_module(library.__name__.replace("httpx", "httpcore"))
    return {
        "Client._send_single_request": library.Client._send_single_request,
        "HTTPTransport.handle_request": library.HTTPTransport.handle_request,
        "ConnectionPool.handle_request": core.ConnectionPool.handle_request,
    }
