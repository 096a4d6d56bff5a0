"""Replies made by the adapter are read like the HTTP library's own.

The same bytes, flags, errors and moments, in every order of reading them.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from adapter._http.libraries import library_of
from adapter._http.response_class import FastResponse
from tests.support.http import http

Json = dict[str, Any]
BODY = b'{"a":[1,2.5,null],"b":"\xc3\xa9\\n"}'
VALUE = {"a": [1, 2.5, None], "b": "é\n"}
PIECES = {
    "whole": [BODY],
    "pieces": [BODY[:5], b"", BODY[5:9], BODY[9:]],
    "empty": [],
    "a line": [b"data: a\n", b"\ndata: b"],
}
HEADERS = [("Content-Type", "application/json; charset=utf-8"), ("X-Request-Id", "req_1")]


class Pieces(http.SyncByteStream, http.AsyncByteStream):
    """A body, which may end with an error."""

    def __init__(self, pieces: list[bytes], error: Exception | None) -> None:
        self.pieces, self.error, self.closed, self.begun = pieces, error, 0, 0

    def __iter__(self) -> Iterator[bytes]:
        self.begun += 1
        yield from self.pieces
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Wrapped(http.SyncByteStream, http.AsyncByteStream):
    """A wrapper that hooks put around a reply's stream, to see what passes."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.seen = stream, b""

    def __iter__(self) -> Iterator[bytes]:
        for data in self.stream:
            self.seen += data
            yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self.stream:
            self.seen += data
            yield data

    def close(self) -> None:
        self.stream.close()

    async def aclose(self) -> None:
        await self.stream.aclose()


class Transport(http.BaseTransport, http.AsyncBaseTransport):
    """Replies with the library's own response, or with a fast one."""

    def __init__(self, pieces: list[bytes], *, fast: bool, error: Exception | None = None) -> None:
        self.stream, self.fast = Pieces(pieces, error), fast

    def handle_request(self, request: Any) -> Any:
        if not self.fast:
            return http.Response(200, headers=HEADERS, stream=self.stream)
        made = library_of(request).reply(200, http.Headers(HEADERS), self.stream, {})
        assert isinstance(made, FastResponse)
        assert isinstance(made, http.Response)
        if self.stream.pieces == [BODY] and self.stream.error is None:
            made._whole_body, made._json_value = BODY, copy.deepcopy(VALUE)
        return made

    async def handle_async_request(self, request: Any) -> Any:
        return self.handle_request(request)


def tried(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except Exception as error:  # noqa: BLE001  # any error is compared
        return type(error), str(error), getattr(error, "request", None) is not None


async def atried(step: Callable[[], Any]) -> Any:
    try:
        return await step()
    except Exception as error:  # noqa: BLE001  # as above
        return type(error), str(error), getattr(error, "request", None) is not None


def state(reply: Any, stream: Pieces) -> Json:
    return {
        "closed": reply.is_closed, "consumed": reply.is_stream_consumed,
        "bytes": reply.num_bytes_downloaded, "closes": stream.closed,
        "elapsed": isinstance(tried(lambda: reply.elapsed), tuple),
        "content": tried(lambda: reply.content),
        "text": tried(lambda: reply.text), "status": reply.status_code, "encoding": reply.encoding,
        "headers": reply.headers.multi_items(), "repr": repr(reply), "history": reply.history,
    }  # fmt: skip


def wrap(reply: Any) -> None:
    reply.stream = Wrapped(reply.stream)


def unread(reply: Any) -> Any:
    """Begin to read, and stop."""
    pieces = reply.iter_bytes()
    first = next(pieces, None)
    pieces.close()
    return first


async def aunread(reply: Any) -> Any:
    pieces = reply.aiter_bytes()
    first = await anext(pieces, None)
    await pieces.aclose()
    return first


SYNC: dict[str, Callable[[Any], Any]] = {
    "read": lambda r: r.read(),
    "iter_bytes": lambda r: list(r.iter_bytes()),
    "iter_bytes(3)": lambda r: list(r.iter_bytes(3)),
    "iter_raw": lambda r: list(r.iter_raw()),
    "iter_text": lambda r: list(r.iter_text()),
    "iter_lines": lambda r: list(r.iter_lines()),
    "json": lambda r: r.json(),
    "json with options": lambda r: r.json(parse_float=str),
    "close": lambda r: r.close(),
    "leave": unread,
    "wrapped": wrap,
    "aread": lambda r: asyncio.run(r.aread()),
}
ASYNC: dict[str, Callable[[Any], Any]] = {
    "read": lambda r: r.aread(),
    "iter_bytes": lambda r: listed(r.aiter_bytes()),
    "iter_bytes(3)": lambda r: listed(r.aiter_bytes(3)),
    "iter_raw": lambda r: listed(r.aiter_raw()),
    "iter_lines": lambda r: listed(r.aiter_lines()),
    "json": lambda r: done(r.json),
    "close": lambda r: r.aclose(),
    "leave": aunread,
    "wrapped": lambda r: done(lambda: wrap(r)),
    "sync read": lambda r: done(r.read),
}
ORDERS = [
    ["read", "json", "json", "iter_bytes", "iter_raw"],
    ["iter_bytes", "read", "iter_bytes"],
    ["iter_bytes(3)", "read"],
    ["iter_raw", "iter_bytes"],
    ["iter_lines", "json"],
    ["json", "read", "json"],
    ["close", "read", "iter_bytes"],
    ["leave", "read", "close"],
    ["wrapped", "read", "json"],
    ["wrapped", "iter_bytes"],
]
SYNC_ORDERS = [*ORDERS, ["read", "json with options", "json"], ["iter_text"], ["aread", "read"]]
ASYNC_ORDERS = [*ORDERS, ["sync read", "read"]]


async def listed(pieces: Any) -> list[Any]:
    return [piece async for piece in pieces]


async def done(step: Callable[[], Any]) -> Any:
    return step()


def failing() -> Exception:
    return http.ReadError("broken off")


def in_sync(
    pieces: list[bytes], order: list[str], error: Exception | None, *, fast: bool
) -> list[Any]:
    transport = Transport(pieces, fast=fast, error=error)
    with http.Client(transport=transport) as client:
        reply = client.send(client.build_request("GET", "http://x/"), stream=True)
        seen: list[Any] = [state(reply, transport.stream)]
        for step in order:
            result = tried(functools.partial(SYNC[step], reply))
            seen += [step, result, state(reply, transport.stream)]
    return [*seen, getattr(reply.stream, "seen", None)]


async def in_async(
    pieces: list[bytes], order: list[str], error: Exception | None, *, fast: bool
) -> list[Any]:
    transport = Transport(pieces, fast=fast, error=error)
    async with http.AsyncClient(transport=transport) as client:
        reply = await client.send(client.build_request("GET", "http://x/"), stream=True)
        seen: list[Any] = [state(reply, transport.stream)]
        for step in order:
            result = await atried(functools.partial(ASYNC[step], reply))
            seen += [step, result, state(reply, transport.stream)]
    return [*seen, getattr(reply.stream, "seen", None)]


@pytest.mark.parametrize(
    "error", [None, failing, lambda: ValueError("bug")], ids=["sound", "broken off", "a bug"]
)
@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("order", SYNC_ORDERS, ids=" ".join)
def test_in_sync(order: list[str], kind: str, error: Any) -> None:
    fast, own = (
        in_sync(PIECES[kind], order, error and error(), fast=which) for which in (True, False)
    )
    assert fast == own


@pytest.mark.parametrize(
    "error", [None, failing, lambda: ValueError("bug")], ids=["sound", "broken off", "a bug"]
)
@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("order", ASYNC_ORDERS, ids=" ".join)
def test_in_async(order: list[str], kind: str, error: Any) -> None:
    fast, own = (
        asyncio.run(in_async(PIECES[kind], order, error and error(), fast=which))
        for which in (True, False)
    )
    assert fast == own


@pytest.mark.parametrize(
    "again", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickled", "copied", "copied deeply"]
)
def test_copies_are_the_librarys_own(again: Any) -> None:
    with http.Client(transport=Transport([BODY], fast=True)) as client:
        reply = client.get("http://x/")
    made = pickle.loads(again(reply)) if again is pickle.dumps else again(reply)
    assert type(made) is http.Response
    assert made.json() == made.json() == reply.json() == VALUE
    assert made.content == BODY
    assert not {"_body", "_whole_body", "_json_value"} & made.__dict__.keys()
    assert made.headers == reply.headers


def test_a_hook_reads_first() -> None:
    hooks: Any = {"response": [lambda reply: reply.read()]}
    with http.Client(transport=Transport([BODY], fast=True), event_hooks=hooks) as client:
        reply = client.get("http://x/")
    assert reply.json() == VALUE
    assert reply.json() is not reply.json()


def test_a_known_body_is_not_iterated() -> None:
    transport = Transport([BODY], fast=True)
    with http.Client(transport=transport) as client:
        reply = client.get("http://x/")
    value = reply._json_value
    assert reply.json() is value
    assert reply.json() is not value
    assert transport.stream.begun == 0


def test_a_library_that_keeps_its_streams_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the wrapper that clients put around a stream is unknown, the library's methods read."""
    made, transport = (
        library_of(http.Request("GET", "http://x/")).FastResponse,
        Transport([BODY], fast=True),
    )
    monkeypatch.setattr(made, "_bound_class", None)
    with http.Client(transport=transport) as client:
        assert client.get("http://x/").json() == VALUE
    assert transport.stream.begun == 1
