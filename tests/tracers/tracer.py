"""The interface of a module of `kinds`: a tracer that has been started."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from tests.support.loopback import Request

Record = dict[str, Any]


def _same(client: Any) -> Any:
    return client


def _sdk(*, asynchronous: bool, **given: Any) -> Any:
    import openai

    return (openai.AsyncOpenAI if asynchronous else openai.OpenAI)(**given)


def _nothing(name: str) -> AbstractContextManager[Any]:
    return nullcontext()


@dataclass(frozen=True)
class Tracer:
    """A running tracer."""

    read: Callable[[], list[Record]]
    """Return the exports since the last time."""
    wrap: Callable[[Any], Any] = _same
    """Wrap a client, for a tracer that does."""
    make: Callable[..., Any] = _sdk
    """Make a client that isn't adapted yet, for a tracer with a class of its own."""
    inside: Callable[[str], AbstractContextManager[Any]] = _nothing
    """Open a span of the application's."""
    begun: Callable[[Record], float] | None = None
    """Return when a record's span began, for a tracer that is slow to read: it is read once for all
    calls of a client."""


def body_of(request: Request) -> bytes:
    """Return the body of a request to a collector, decompressed."""
    encoding = request.header("content-encoding")
    if encoding == "gzip":
        return gzip.decompress(request.body)
    return zlib.decompress(request.body) if encoding == "deflate" else request.body
