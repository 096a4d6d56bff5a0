"""Split a replayed stream into pieces: vcrpy replays it in one, which networks don't.

    transport = adapter.Transport(Rechunk(httpx2.HTTPTransport(), per_event))
    client = OpenAI(http_client=httpx2.Client(transport=transport))

`Rechunk` is placed between the adapter and the replay. A `Cut` is a function from a body to its
pieces.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from types import ModuleType
from typing import Any
from unittest import mock

Cut = Callable[[bytes], Iterable[bytes]]

_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)", re.DOTALL)


def whole(body: bytes) -> Iterator[bytes]:
    """Yield the body in one piece."""
    yield body


def per_event(body: bytes) -> Iterator[bytes]:
    """Yield one server-sent event at a time, with its blank line; an incomplete one comes last."""
    end = 0
    for event in _EVENT.finditer(body):
        end = event.end()
        yield event.group()
    if end < len(body):
        yield body[end:]


def per_byte(body: bytes) -> Iterator[bytes]:
    """Yield one byte at a time."""
    yield from per_size(1)(body)


def per_size(size: int) -> Cut:
    """Split into pieces of `size` bytes, also within a character or line."""

    def cut(body: bytes) -> Iterator[bytes]:
        return (body[start : start + size] for start in range(0, len(body), size))

    return cut


def short_by(missing: int, *, then: Exception | None = None, pieces: Cut = per_event) -> Cut:
    """Leave out the last `missing` bytes; then end normally, or raise `then`."""

    def cut(body: bytes) -> Iterator[bytes]:
        yield from pieces(body[: max(len(body) - missing, 0)])
        if then is not None:
            raise then

    return cut


def short_at(length: int, *, then: Exception | None = None, pieces: Cut = per_event) -> Cut:
    """Yield the first `length` bytes; then end normally, or raise `then`."""

    def cut(body: bytes) -> Iterator[bytes]:
        yield from pieces(body[:length])
        if then is not None:
            raise then

    return cut


def broken(error: Exception) -> Cut:
    """Yield the first half of the events; then raise `error`, like a broken connection."""

    def cut(body: bytes) -> Iterator[bytes]:
        events = list(per_event(body))
        yield from events[: len(events) // 2]
        raise error

    return cut


def _libraries() -> list[ModuleType]:
    """Import httpx2 and httpx, if installed; each checks for its own base classes."""
    found = []
    for name in ("httpx2", "httpx"):
        try:
            found.append(importlib.import_module(name))
        except ImportError:
            continue
    if not found:
        raise ImportError("splitting streams needs httpx2 or httpx: install openai")
    return found


_LIBRARIES = _libraries()
_STREAMS = [
    base for library in _LIBRARIES for base in (library.SyncByteStream, library.AsyncByteStream)
]
_TRANSPORTS = [
    base for library in _LIBRARIES for base in (library.BaseTransport, library.AsyncBaseTransport)
]


class _CutStream(*_STREAMS):  # type: ignore[misc]  # the bases depend on what is installed
    """Read the inner stream completely, then yield its pieces."""

    def __init__(self, inner: Any, cut: Cut) -> None:
        self._inner, self._cut = inner, cut

    def __iter__(self) -> Iterator[bytes]:
        yield from self._cut(b"".join(self._inner))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._cut(b"".join([part async for part in self._inner])):
            yield piece

    def close(self) -> None:
        """Close the inner stream."""
        self._inner.close()

    async def aclose(self) -> None:
        """Close the inner stream."""
        await self._inner.aclose()


def _cut(response: Any, cut: Cut, *, every: bool = False) -> Any:
    if every or response.headers.get("content-type", "").startswith("text/event-stream"):
        response.stream = _CutStream(response.stream, cut)
    return response


class Rechunk(*_TRANSPORTS):  # type: ignore[misc]  # as above
    """Wrap a transport of httpx2 or httpx, sync or async, and split its server-sent streams.

    With `every`, split all replies.
    """

    def __init__(self, inner: Any, cut: Cut = per_event, *, every: bool = False) -> None:
        self._inner, self._cut, self._every = inner, cut, every

    def _wrap(self, response: Any) -> Any:
        return _cut(response, self._cut, every=self._every)

    def handle_request(self, request: Any) -> Any:
        """Send the request, and split its reply."""
        return self._wrap(self._inner.handle_request(request))

    async def handle_async_request(self, request: Any) -> Any:
        """Send the request, and split its reply."""
        return self._wrap(await self._inner.handle_async_request(request))

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()


@contextmanager
def cutting(cut: Cut | None) -> Iterator[None]:
    """Split the server-sent streams of every HTTP client in this process; None breaks them halfway.

    For code that makes its own clients. Streams are split where bytes arrive, above vcrpy's replay
    and below the adapter, so enter it inside the cassette's block. A broken stream raises the HTTP
    library's own `ReadError`.
    """
    with ExitStack() as stack:
        for library in _LIBRARIES:
            pieces = cut or broken(library.ReadError("the stream was cut here, for the test"))
            for kind, method, wrapped in (
                (library.HTTPTransport, "handle_request", _sync_cut),
                (library.AsyncHTTPTransport, "handle_async_request", _async_cut),
            ):
                stack.enter_context(
                    mock.patch.object(kind, method, wrapped(getattr(kind, method), pieces))
                )
        yield


def _sync_cut(inner: Callable[..., Any], cut: Cut) -> Callable[..., Any]:
    @wraps(inner)
    def handle_request(transport: Any, request: Any) -> Any:
        return _cut(inner(transport, request), cut)

    return handle_request


def _async_cut(inner: Callable[..., Any], cut: Cut) -> Callable[..., Any]:
    @wraps(inner)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        return _cut(await inner(transport, request), cut)

    return handle_async_request
