"""Replies made by the adapter: what they add to the HTTP library's own."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Generator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import adapter
from adapter._exchange.stream import BUG_FRAME
from adapter._http.libraries import HttpLibrary, library_of
from adapter._runtime.call_context import EXTERNAL_ERROR
from adapter._runtime.stream_iterators import AsyncStreamIterator, StreamIterator
from tests.support.answers import CALL, ending, opening, response
from tests.support.http import http

URL = "http://server/v1/chat/completions"


def _library() -> HttpLibrary:
    return library_of(http.Request("GET", URL))


def _reply(*, stream: bool) -> Any:
    """Return a translated reply, read to its end."""
    events = {"content-type": "text/event-stream"}
    answer = (
        http.Response(200, headers=events, content=b"".join([*opening(), ending()]))
        if stream
        else http.Response(200, json=response())
    )
    inner = http.MockTransport(lambda _: answer)
    transport = adapter.Transport(inner, settings=adapter.Settings(backend="responses"))
    with http.Client(transport=transport) as client:
        return client.post(URL, json=CALL | {"stream": stream})


COPIES = {
    "pickled": lambda reply: pickle.loads(pickle.dumps(reply)),
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
}


@pytest.mark.parametrize("again", COPIES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_copies_are_the_librarys_own(again: str, *, stream: bool) -> None:
    reply = _reply(stream=stream)
    assert isinstance(reply, http.Response)
    assert repr(reply) == "<Response [200 OK]>"
    made = COPIES[again](reply)
    assert type(made) is http.Response
    assert (made.content, made.headers) == (reply.content, reply.headers)
    assert not {"_body", "_context"} & made.__dict__.keys()


def test_a_reply_is_parsed_each_time() -> None:
    reply = _reply(stream=False)
    first, second = reply.json(), reply.json()
    assert first == second
    assert first is not second
    assert reply.json(parse_int=str)["created"] == str(first["created"])


def test_json_that_is_no_object() -> None:
    made = _library().Reply(200, stream=_library().ByteStream(b"[1]"))
    made._context = SimpleNamespace(by_client=False, state=None)
    made.read()
    assert made.json() == [1]


class Performer:
    """What a stream needs of its request's performer."""

    def __init__(self, on_internal_error: str) -> None:
        settings = SimpleNamespace(on_internal_error=on_internal_error)
        self.context: Any = SimpleNamespace(router=SimpleNamespace(settings=settings))
        self.ended: list[Any] = []

    def stream_ended(self, error: Any = None) -> None:
        self.ended.append(error)

    def perform(self, effect: Any) -> Any:
        raise AssertionError(effect)


class Reader:
    """A reader that fails after its first piece, in code of a module."""

    closed = False

    def __init__(self, error: Exception, *, module: str) -> None:
        self.pieces: Iterator[Any] = iter([b"data: a\n\n", error, b"never"])
        self.module = module

    def frames_gen(self) -> Generator[Any, Any, None]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                exec(_RAISING, {"__name__": self.module, "error": piece})
            yield [piece]

    def encode(self, frames: list[Any]) -> bytes:
        return b"".join(frames)


def _body(error: Exception, module: str, performer: Performer, *, asynchronous: bool) -> Any:
    iterator: Any = AsyncStreamIterator if asynchronous else StreamIterator
    return _library().body_of(iterator(Reader(error, module=module), performer))


_RAISING = compile("raise error", "planted", "exec")


def _external() -> Exception:
    error = ValueError("the transport's")
    setattr(error, EXTERNAL_ERROR, True)
    return error


def _read(body: Any, *, asynchronous: bool) -> list[bytes]:
    async def read() -> list[bytes]:
        return [piece async for piece in body]

    return asyncio.run(read()) if asynchronous else list(body)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_bug_ends_a_stream_with_an_error_frame(*, asynchronous: bool) -> None:
    performer = Performer("fall back")
    body = _body(ValueError("bug"), "adapter.planted", performer, asynchronous=asynchronous)
    assert _read(body, asynchronous=asynchronous) == [b"data: a\n\n", BUG_FRAME]
    assert performer.ended == ["APIError"]
    assert _read(body, asynchronous=asynchronous) == []


RAISED: dict[str, tuple[Exception, str, str]] = {
    "a bug, as the settings say": (ValueError("bug"), "adapter.planted", "raise"),
    "the transport's": (_external(), "adapter.planted", "fall back"),
    "what the HTTP library says": (http.ReadError("broken off"), "httpx2", "fall back"),
    "from the HTTP library's code": (ValueError("its own"), "httpx", "fall back"),
}


@pytest.mark.parametrize("case", RAISED)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_a_stream_raises(case: str, *, asynchronous: bool) -> None:
    error, module, on_bug = RAISED[case]
    performer = Performer(on_bug)
    body = _body(error, module, performer, asynchronous=asynchronous)
    with pytest.raises(type(error)) as raised:
        _read(body, asynchronous=asynchronous)
    assert raised.value is error
    assert performer.ended == []
