"""Cassettes and transports: calls by any transport are recorded and replayed, or the test fails."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openai
import pytest

import adapter
from adapter.testing.cassettes import RecordingError, ReplayError, use_cassette
from adapter.testing.placeholder_keys import STAND_IN, KeyNeeded
from tests.support.answers import both, paths
from tests.support.http import http as HTTP  # noqa: N812 - a module, chosen at run time
from tests.support.loopback import Loopback

CALL: Mapping[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SAID = "Hello there"


def fetched(request: Any) -> Any:
    """Send a request by another library, as a custom transport may."""
    connection = http.client.HTTPConnection(request.url.host, request.url.port)
    headers = dict(request.headers.items())
    connection.request(request.method, request.url.raw_path.decode(), request.content, headers)
    reply = connection.getresponse()
    stream = HTTP.ByteStream(reply.read())
    connection.close()
    return HTTP.Response(reply.status, headers=reply.getheaders(), stream=stream)


# The base classes are those of the installed library.
class Own(HTTP.BaseTransport, HTTP.AsyncBaseTransport):  # type: ignore[misc]
    def handle_request(self, request: Any) -> Any:
        request.read()
        return fetched(request)

    async def handle_async_request(self, request: Any) -> Any:
        await request.aread()
        return fetched(request)


class Overriding(HTTP.HTTPTransport):  # type: ignore[misc]  # as above
    def handle_request(self, request: Any) -> Any:
        request.headers["x-adapter-seen"] = "1"
        return super().handle_request(request)


class Around(HTTP.BaseTransport):  # type: ignore[misc]  # as above
    """Hold another transport, made only when it is needed."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.inner: Any = None

    def handle_request(self, request: Any) -> Any:
        self.inner = self.inner or self.make()
        return self.inner.handle_request(request)

    def close(self) -> None:
        if self.inner:
            self.inner.close()


class InThread(HTTP.BaseTransport):  # type: ignore[misc]  # as above
    """Send in a new thread, without the caller's context."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def handle_request(self, request: Any) -> Any:
        request.read()
        done: list[Any] = []
        thread = threading.Thread(target=lambda: done.append(self.inner.handle_request(request)))
        thread.start()
        thread.join()
        return done[0]

    def close(self) -> None:
        self.inner.close()


class Slotted(HTTP.BaseTransport):  # type: ignore[misc]  # as above
    __slots__ = ("several",)

    def __init__(self, *several: Any) -> None:
        self.several = several

    def handle_request(self, request: Any) -> Any:
        return self.several[0].handle_request(request)


def plain(**more: Any) -> Any:
    return HTTP.HTTPTransport(verify=False, **more)


TRANSPORTS: Mapping[str, Callable[[], Any]] = {
    "the library's": plain,
    "with retries": lambda: plain(retries=2),
    "a subclass": lambda: Overriding(verify=False),
    "a custom one": Own,
    "around the library's": lambda: Around(plain),
    "around a custom one": lambda: Around(Own),
    "several": lambda: Slotted(Own(), plain()),
    "in a thread": lambda: InThread(plain()),
    "a custom one in a thread": lambda: InThread(Own()),
    "the adapter's": lambda: adapter.Transport(Own()),
    "the adapter's, with none given": adapter.Transport,
}


def asked(server: Loopback, transport: Any, **more: Any) -> str | None:
    with adapter.OpenAI(
        base_url=server.base_url,
        api_key="k",
        max_retries=0,
        http_client=HTTP.Client(transport=transport),
        **more,
    ) as client:
        return client.chat.completions.create(**CALL).choices[0].message.content


@pytest.fixture
def server(loopback: Loopback) -> Loopback:
    loopback.answer = both
    return loopback


@pytest.mark.parametrize("made", TRANSPORTS.values(), ids=list(TRANSPORTS))
def test_a_call_is_recorded_and_replayed_by_any_transport(
    server: Loopback, made: Callable[[], Any], tmp_path: Path
) -> None:
    path = tmp_path / "it.responses.yaml"
    with adapter.use(backend="responses"):
        with use_cassette(path, record=True) as cassette:
            assert asked(server, made()) == SAID
        assert [request.path for request in cassette.requests] == ["/v1/responses"]
        with use_cassette(path):
            assert asked(server, made()) == SAID
    assert paths(server) == ["/v1/responses"]


async def test_a_call_is_recorded_and_replayed_by_any_async_transport(
    server: Loopback, tmp_path: Path
) -> None:
    path = tmp_path / "it.responses.yaml"
    for record in (True, False):
        http_client = HTTP.AsyncClient(transport=Own())
        client = adapter.AsyncOpenAI(
            base_url=server.base_url, api_key="k", max_retries=0, http_client=http_client
        )
        with adapter.use(backend="responses"), use_cassette(path, record=record):
            stream = await client.chat.completions.create(**CALL, stream=True)
            assert (
                "".join(
                    [
                        chunk.choices[0].delta.content or ""
                        async for chunk in stream
                        if chunk.choices
                    ]
                )
                == SAID
            )
        await client.close()
    assert paths(server) == ["/v1/responses"]


def test_a_mocks_reply_is_recorded(server: Loopback, tmp_path: Path) -> None:
    path, mock = tmp_path / "it.chat.yaml", HTTP.MockTransport(fetched)
    for record in (True, False):
        with use_cassette(path, record=record):
            assert asked(server, mock) == "Native hello"
    assert len(server.requests) == 1


def test_a_plain_client_over_the_adapters_transport_is_recorded(
    server: Loopback, tmp_path: Path
) -> None:
    """Its requests lack the SDK's header, and are recognised by the adapter's transport."""
    path = tmp_path / "it.responses.yaml"
    for record in (True, False):
        with (
            HTTP.Client(transport=adapter.Transport(Own())) as client,
            adapter.use(backend="responses"),
            use_cassette(path, record=record),
        ):
            reply = client.post(f"{server.base_url}/chat/completions", json=CALL)
            assert reply.json()["choices"][0]["message"]["content"] == SAID
    assert paths(server) == ["/v1/responses"]


# Requests that bypass the cassette


class PastItsBase(HTTP.HTTPTransport):  # type: ignore[misc]  # as above
    """A subclass of the library's transport that sends by another library."""

    def handle_request(self, request: Any) -> Any:
        request.read()
        return fetched(request)


class ByItsPool(HTTP.HTTPTransport):  # type: ignore[misc]  # as above
    """Send by the library's pool, not by its method, with all headers of the SDK."""

    def handle_request(self, request: Any) -> Any:
        core = __import__(HTTP.__name__.replace("httpx", "httpcore"))
        raw = request.url.raw_scheme, request.url.raw_host, request.url.port, request.url.raw_path
        reply = self._pool.handle_request(
            core.Request(
                request.method.encode(),
                core.URL(scheme=raw[0], host=raw[1], port=raw[2], target=raw[3]),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        return HTTP.Response(
            reply.status, headers=reply.headers, stream=HTTP.ByteStream(reply.read())
        )


@pytest.mark.parametrize("kind", [PastItsBase, ByItsPool])
def test_a_recording_that_bypasses_the_cassette_fails(
    server: Loopback, kind: Any, tmp_path: Path
) -> None:
    path = tmp_path / "it.chat.yaml"
    path.write_text("as it was")
    why = rf"POST /v1/chat/completions, by .*{kind.__name__}, bypassed the cassette"

    def recorded() -> None:
        with use_cassette(path, record=True):
            asked(server, plain())
            asked(server, kind(verify=False))

    with pytest.raises(RecordingError, match=why):
        recorded()
    assert [file.name for file in tmp_path.iterdir()] == ["it.chat.yaml"]
    assert path.read_text() == "as it was"


@pytest.mark.parametrize(("kind", "sent"), [(PastItsBase, 2), (ByItsPool, 1)])
def test_a_replay_that_bypasses_the_cassette_fails(
    server: Loopback, kind: Any, sent: int, tmp_path: Path
) -> None:
    path = tmp_path / "it.chat.yaml"
    with use_cassette(path, record=True):
        asked(server, plain())
    why = r"bypass(ed|ing) the cassette"
    with pytest.raises(ReplayError, match=why), use_cassette(path, whole=False):
        asked(server, kind(verify=False))
    assert len(server.requests) == sent  # an unknown way out is only found afterwards


class Fixed(type):
    def __setattr__(cls, name: str, value: Any) -> None:
        raise TypeError(f"{name} can't be set")


class Unchanging(HTTP.BaseTransport, metaclass=Fixed):  # type: ignore[misc]  # as above
    """Stands for a transport that can't be patched, such as one not written in Python."""

    def handle_request(self, request: Any) -> Any:
        raise AssertionError("it was asked")


def test_a_transport_that_cannot_be_patched_sends_nothing(server: Loopback, tmp_path: Path) -> None:
    def recorded() -> None:
        with (
            use_cassette(tmp_path / "it.yaml", record=True),
            contextlib.suppress(openai.OpenAIError),
        ):
            asked(server, Unchanging())

    with pytest.raises(RecordingError, match=r"Unchanging can't be recorded or replayed"):
        recorded()


def test_a_recording_of_nothing_fails(tmp_path: Path) -> None:
    why = r"it\.yaml isn't written: no client of httpx"
    with pytest.raises(RecordingError, match=why), use_cassette(tmp_path / "it.yaml", record=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_recording_of_calls_without_answers_fails(tmp_path: Path) -> None:
    unreachable = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="k", max_retries=0)
    why = r"1 request, and no reply"
    with (
        unreachable,
        pytest.raises(RecordingError, match=why),
        use_cassette(tmp_path / "it.yaml", record=True),
        pytest.raises(openai.APIConnectionError),
    ):
        unreachable.chat.completions.create(**CALL)


def test_a_block_that_raises_leaves_the_cassette(server: Loopback, tmp_path: Path) -> None:
    path = tmp_path / "it.chat.yaml"
    path.write_text("as it was")

    def broken() -> None:
        with use_cassette(path, record=True):
            asked(server, plain())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert path.read_text() == "as it was"


def test_nothing_is_recorded_with_the_stand_in(server: Loopback, tmp_path: Path) -> None:
    with (
        adapter.OpenAI(base_url=server.base_url, api_key=STAND_IN) as client,
        pytest.raises(KeyNeeded, match="set OPENAI_API_KEY"),
        use_cassette(tmp_path / "it.yaml", record=True),
    ):
        client.chat.completions.create(**CALL)
    assert server.requests == []


async def test_an_app_in_the_tests_own_process_is_left_alone(
    server: Loopback, tmp_path: Path
) -> None:
    """The tested app also runs in a replay; only its requests to the API are replayed."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        text = (asked(server, plain()) or "").encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text})
        ran.append(1)

    ran: list[int] = []
    for record in (True, False):
        async with HTTP.AsyncClient(
            transport=HTTP.ASGITransport(app), base_url="http://app"
        ) as client:
            with use_cassette(tmp_path / "it.yaml", record=record) as cassette:
                assert (await client.get("/")).text == "Native hello"
        assert [request.path for request in cassette.requests] == ["/v1/chat/completions"]
    assert (len(ran), len(server.requests)) == (2, 1)
