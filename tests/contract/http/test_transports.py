"""`Transport`: one object for the sync and the async clients of either HTTP library."""

from __future__ import annotations

import asyncio
import importlib
import pickle
import threading
from typing import Any

import openai
import pytest

import adapter
from adapter._http import connection_pools
from tests.support.answers import CALL, CHAT, KEY, RESPONSES, both, paths, response, text_of
from tests.support.http import NAME, http
from tests.support.loopback import Loopback

ON = {"backend": "responses"}
OTHER = {"httpx": "httpx2", "httpx2": "httpx"}[NAME]


def installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


LIBRARIES = [one for one in (http, installed(OTHER)) if one is not None]


@pytest.fixture(autouse=True)
def answering(loopback: Loopback) -> None:
    loopback.answer = both


def body(loopback: Loopback) -> dict[str, Any]:
    return {
        "url": f"{loopback.base_url}/chat/completions",
        "json": CALL,
        "headers": {"authorization": f"Bearer {KEY}"},
    }


def content_of(reply: Any) -> Any:
    return reply.json()["choices"][0]["message"]["content"]


class Closable(http.BaseTransport, http.AsyncBaseTransport):  # type: ignore[misc]
    """Counts how often it was closed, entered and exited."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def handle_request(self, request: Any) -> Any:
        self.seen.append("sync")
        return http.Response(200, json=response())

    async def handle_async_request(self, request: Any) -> Any:
        self.seen.append("async")
        return http.Response(200, json=response())

    def close(self) -> None:
        self.seen.append("close")

    async def aclose(self) -> None:
        self.seen.append("aclose")


class Sync(http.BaseTransport):  # type: ignore[misc]
    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    handle_request, close = Closable.handle_request, Closable.close


class Async(http.AsyncBaseTransport):  # type: ignore[misc]
    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    handle_async_request, aclose = Closable.handle_async_request, Closable.aclose


# One for all


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", [adapter.Transport, adapter.AsyncTransport])
def test_one_object_serves_both(loopback: Loopback, kind: Any, library: Any) -> None:
    transport = kind(settings=ON)

    async def ask() -> str:
        async with library.AsyncClient(transport=transport) as client:
            return str(content_of(await client.post(**body(loopback))))

    with library.Client(transport=transport) as client:
        assert content_of(client.post(**body(loopback))) == "Hello there"
        assert asyncio.run(ask()) == "Hello there"
        assert content_of(client.post(**body(loopback))) == "Hello there"
    assert paths(loopback) == [RESPONSES] * 3


def test_the_sdks_clients_share_one(loopback: Loopback) -> None:
    given: Any = {"transport": adapter.Transport(settings=ON)}  # as libraries pass it on

    async def ask() -> str:
        async with openai.AsyncOpenAI(
            base_url=loopback.base_url, api_key=KEY, http_client=http.AsyncClient(**given)
        ) as client:
            stream: Any = await client.chat.completions.create(**CALL, stream=True)
            return text_of([chunk async for chunk in stream])

    with openai.OpenAI(
        base_url=loopback.base_url, api_key=KEY, http_client=http.Client(**given)
    ) as client:
        assert text_of(list(client.chat.completions.create(**CALL, stream=True))) == "Hello there"
        assert asyncio.run(ask()) == "Hello there"
    assert paths(loopback) == [RESPONSES] * 2


@pytest.mark.skipif(len(LIBRARIES) < 2, reason="only one HTTP library is installed")
def test_clients_of_both_libraries_share_one(loopback: Loopback) -> None:
    transport = adapter.Transport(settings=ON)
    for library in (*LIBRARIES, *LIBRARIES):
        reply = library.Client(transport=transport).post(**body(loopback))
        assert isinstance(reply, library.Response)
        assert content_of(reply) == "Hello there"
    transport.close()
    assert len({request.connection for request in loopback.requests}) == 2


def test_threads_make_one_inner_transport(loopback: Loopback) -> None:
    transport = adapter.Transport(settings=ON)
    client, start = http.Client(transport=transport), threading.Barrier(8)

    def ask() -> None:
        start.wait()
        client.post(**body(loopback))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(transport._defaults) == 1
    client.close()
    assert paths(loopback) == [RESPONSES] * 8


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("base", ["BaseTransport", "AsyncBaseTransport"])
@pytest.mark.parametrize(
    "transport",
    [adapter.Transport(), adapter.AsyncTransport()],
    ids=["Transport", "AsyncTransport"],
)
def test_it_is_an_instance_of_the_librarys_base_classes(
    transport: Any, base: str, library: Any
) -> None:
    assert isinstance(transport, getattr(library, base))
    assert isinstance(transport, adapter.Transport)
    assert not isinstance(transport, (library.HTTPTransport, library.Client))
    assert type(transport).__name__ == transport.__class__.__name__


@pytest.mark.parametrize("kind", [adapter.Transport, adapter.AsyncTransport])
def test_it_is_not_pickled(kind: Any) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(kind())


# What is given


def serve(transport: Any, protocol: str) -> None:
    """Send a call through a client of one protocol, and close it."""

    async def ask() -> None:
        async with http.AsyncClient(transport=transport) as client:
            await client.post("http://upstream.invalid/v1/chat/completions", json=CALL)

    if protocol == "async":
        asyncio.run(ask())
        return
    with http.Client(transport=transport) as client:
        client.post("http://upstream.invalid/v1/chat/completions", json=CALL)


@pytest.mark.parametrize("protocol", ["sync", "async"])
@pytest.mark.parametrize(
    "how",
    ["inner", "async_inner", "AsyncTransport", "a transport of the adapter"],
)
def test_one_with_both_protocols_serves_both(how: str, protocol: str) -> None:
    one = Closable()
    wrapped = {
        "inner": lambda: adapter.Transport(one, settings=ON),
        "async_inner": lambda: adapter.Transport(async_inner=one, settings=ON),
        "AsyncTransport": lambda: adapter.AsyncTransport(one, settings=ON),
        "a transport of the adapter": lambda: adapter.Transport(
            adapter.Transport(one, settings=ON)
        ),
    }[how]()
    serve(wrapped, protocol)
    assert one.seen == {"sync": ["sync", "close"], "async": ["async", "aclose"]}[protocol]


UNFIT: dict[str, tuple[Any, str, str]] = {
    "a sync one, async": (
        lambda: adapter.Transport(Sync([])), "async",
        "Transport wraps Sync, {} async_inner={}.AsyncHTTPTransport",
    ),
    "an async one, sync": (
        lambda: adapter.Transport(async_inner=Async([])), "sync",
        "Transport wraps Async, {} inner={}.HTTPTransport",
    ),
    "an async one as inner, sync": (
        lambda: adapter.Transport(Async([])), "sync",
        "Transport wraps Async, {} inner={}.HTTPTransport",
    ),
    "AsyncTransport, sync": (
        lambda: adapter.AsyncTransport(Async([])), "sync",
        "AsyncTransport wraps Async, {} inner={}.HTTPTransport",
    ),
    "AsyncTransport of a sync one": (
        lambda: adapter.AsyncTransport(Sync([])), "async",
        "AsyncTransport wraps Sync, {} async_inner={}.AsyncHTTPTransport",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNFIT)
def test_one_without_the_protocol_is_a_type_error(case: str) -> None:
    made, protocol, message = UNFIT[case]
    with pytest.raises(TypeError) as raised:
        serve(made(), protocol)
    assert (
        str(raised.value)
        == message.format(f"which can't serve {protocol} clients: give", NAME) + "()"
    )


NONE: dict[str, tuple[Any, str]] = {
    "a client": (http.Client, "Client; settings are given as settings=…"),
    "settings": (lambda: adapter.Settings(**ON), "Settings; settings are given as settings=…"),
    "a dict": (lambda: ON, "dict; settings are given as settings=…"),
    "a string": (lambda: "responses", "str; settings are given as settings=…"),
    "a class": (lambda: Sync, "the class Sync"),
}


@pytest.mark.parametrize("argument", ["inner", "async_inner"])
@pytest.mark.parametrize("case", NONE)
def test_what_is_no_transport_is_a_type_error_at_once(case: str, argument: str) -> None:
    make, got = NONE[case]
    with pytest.raises(TypeError) as raised:
        adapter.Transport(**{argument: make()})
    assert str(raised.value) == f"expected a transport of httpx2 or httpx, got {got}"


def test_an_unsuitable_transport_is_named_through_the_sdk() -> None:
    client = openai.OpenAI(
        base_url="http://upstream.invalid/v1",
        api_key=KEY,
        max_retries=0,
        http_client=http.Client(transport=adapter.AsyncTransport(Async([]))),
    )
    with pytest.raises(
        (TypeError, openai.APIConnectionError)
    ) as raised:  # older SDKs wrap any exception of a transport
        client.chat.completions.create(**CALL)
    assert "give inner=" in f"{raised.value} {raised.value.__cause__}"


# Closing


def test_close_closes_what_is_sync_and_aclose_both() -> None:
    seen: list[str] = []
    wrapped = adapter.Transport(Sync(seen), async_inner=Async(seen), settings=ON)
    serve(wrapped, "sync")
    assert seen == ["sync", "close"]
    serve(wrapped, "async")
    assert sorted(seen[2:]) == ["aclose", "async", "close"]
    seen.clear()
    wrapped.close()
    asyncio.run(wrapped.aclose())
    assert sorted(seen) == ["aclose", "close", "close"]


def test_all_are_closed_though_one_fails() -> None:
    seen: list[str] = []
    wrapped = adapter.Transport(Sync(seen), async_inner=Async(seen))

    async def broken() -> None:
        raise OSError("no")

    wrapped._async_inner.aclose = broken
    with pytest.raises(OSError, match="no"):
        asyncio.run(wrapped.aclose())
    assert seen == ["close"]


def test_a_client_that_closes_leaves_the_other_working(loopback: Loopback) -> None:
    transport = adapter.Transport(settings=ON)

    async def ask() -> None:
        own, other = http.AsyncClient(transport=transport), http.Client(transport=transport)
        for _ in range(2):
            assert content_of(await own.post(**body(loopback))) == "Hello there"
            assert (
                content_of(await asyncio.to_thread(other.post, **body(loopback))) == "Hello there"
            )
            other.close()
            other = http.Client(transport=transport)
        await own.aclose()
        assert content_of(await asyncio.to_thread(other.post, **body(loopback))) == "Hello there"
        other.close()

    asyncio.run(ask())
    assert paths(loopback) == [RESPONSES] * 5
    # The async client kept its connection when the sync ones were closed.
    assert len({request.connection for request in loopback.requests[::2]}) == 2


def test_what_was_never_used_is_closed(loopback: Loopback) -> None:
    wrapped = adapter.Transport()
    wrapped.close()
    asyncio.run(wrapped.aclose())
    with wrapped:
        pass
    assert wrapped._defaults == {}


def test_the_pools_of_both_are_left_to_the_parent_at_a_fork() -> None:
    sync, asynchronous = http.HTTPTransport(), http.AsyncHTTPTransport()
    found = list(connection_pools._pools(adapter.Transport(sync, async_inner=asynchronous)))
    assert sorted(map(id, found)) == sorted(map(id, (sync._pool, asynchronous._pool)))
    made = adapter.Transport()
    asyncio.run(_touch(made))
    assert len(list(connection_pools._pools(made))) == 1


async def _touch(transport: Any) -> None:
    async with http.AsyncClient(transport=transport) as client:
        with pytest.raises(http.ConnectError):
            await client.get("http://127.0.0.1:1/")


def test_what_is_looked_for_in_the_inner_transports_is_found() -> None:
    sync, asynchronous = http.HTTPTransport(), http.AsyncHTTPTransport()
    assert adapter.Transport(sync)._pool is sync._pool
    assert adapter.Transport(async_inner=asynchronous)._pool is asynchronous._pool
    assert adapter.Transport(sync, async_inner=asynchronous)._pool is sync._pool
    assert adapter.AsyncTransport(asynchronous)._pool is asynchronous._pool
    assert not hasattr(adapter.Transport(), "_pool")


def test_off_it_changes_nothing(loopback: Loopback) -> None:
    transport = adapter.Transport()
    serve_ = body(loopback)
    with http.Client(transport=transport) as client:
        assert content_of(client.post(**serve_)) == "Native hello"
    assert paths(loopback) == [CHAT]
