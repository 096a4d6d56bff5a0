"""Run one program of a framework on both backends, and compare the two outcomes.

    def test_invoke(comparison):
        def run(side):
            model = ChatOpenAI(model="tiny", http_client=side.http_client(), **side.where)
            return model.invoke("Say hello.")

        outcome = comparison.compare("invoke", run)

`run` takes one `Side`: the backend, the way in, the server's address. It may be `async`. `compare`
runs it for `chat` and for `responses`, asserts that the requests went to that backend, makes the
outcomes comparable (`plain`) and returns the one that both have.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import openai
from vcr.cassette import Cassette

import adapter
from adapter.testing.cassettes import HOST, use_cassette
from tests.support.plain import differing, plain

__all__ = [
    "FAMILY",
    "WAYS_IN",
    "Comparison",
    "Side",
    "Source",
    "differences",
    "plain",
    "sent_paths",
]

CASSETTES = Path(__file__).resolve().parents[2] / "cassettes" / "frameworks"
BACKENDS = ("chat", "responses")
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}
WAYS_IN = ("client", "install", "http_client")

FAMILY: Any = next(
    importlib.import_module(base.__module__.partition(".")[0])
    for base in openai.DefaultHttpxClient.__mro__
    if base.__module__.partition(".")[0] in {"httpx2", "httpx"}
)
"""The HTTP library of this environment's SDK."""


@dataclass(frozen=True)
class Source:
    """The source of replies: a live server, or (no `base_url`) cassettes; with `record`, both."""

    name: str
    base_url: str | None = None
    api_key: str = "key"
    record: bool = False

    @property
    def recorded(self) -> bool:
        """Return whether cassettes are read or written."""
        return self.base_url is None or self.record


@dataclass
class Side:
    """The backend, the way in and the source that a program runs with.

    What it makes is closed when the program has run.
    """

    backend: str
    way_in: str
    source: Source
    settings: adapter.Settings
    sent: list[str] = field(default_factory=list)
    _sync: ExitStack = field(default_factory=ExitStack)
    _async: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def where(self) -> dict[str, str]:
        """Return the server's address and key as arguments of the SDK's constructor."""
        return {
            "base_url": self.source.base_url or f"https://{HOST}/v1",
            "api_key": self.source.api_key,
        }

    def http_client(self) -> Any:
        """Return an HTTP client that uses the adapter, for a library that accepts one.

        None for the other ways in.
        """
        if self.way_in != "http_client":
            return None
        return self._sync.enter_context(
            FAMILY.Client(transport=adapter.Transport(settings=self.settings), timeout=60)
        )

    def async_http_client(self) -> Any:
        """Return the same for asyncio; it is closed in the loop in which it was used."""
        if self.way_in != "http_client":
            return None
        client = FAMILY.AsyncClient(
            transport=adapter.AsyncTransport(settings=self.settings), timeout=60
        )
        self._async.push_async_callback(client.aclose)
        return client

    def adapt(self, client: Any) -> Any:
        """Install the adapter on a client that the framework made.

        For other ways in the client is returned unchanged.
        """
        if isinstance(client, openai.AsyncOpenAI):
            self._async.push_async_callback(client.close)
        else:
            self._sync.callback(client.close)
        return (
            adapter.install(client, settings=self.settings) if self.way_in == "install" else client
        )

    def openai(self, **options: Any) -> openai.OpenAI:
        """Return a client for a framework that accepts one, made for the way in."""
        options = {**self.where, "max_retries": 0, "timeout": 60, **options}
        if self.way_in == "client":
            return self._sync.enter_context(adapter.OpenAI(settings=self.settings, **options))
        client: openai.OpenAI = self.adapt(openai.OpenAI(http_client=self.http_client(), **options))
        return client

    def async_openai(self, **options: Any) -> openai.AsyncOpenAI:
        """Return the same for asyncio."""
        options = {**self.where, "max_retries": 0, "timeout": 60, **options}
        if self.way_in == "client":
            client: openai.AsyncOpenAI = adapter.AsyncOpenAI(settings=self.settings, **options)
            self._async.push_async_callback(client.close)
            return client
        return self.adapt(openai.AsyncOpenAI(http_client=self.async_http_client(), **options))

    async def aclose(self) -> None:
        """Close the async clients.

        A sync program calls it, in the loop in which its framework ran them.
        """
        await self._async.aclose()

    def play(self, run: Callable[[Side], Any]) -> Any:
        """Run a program, and close whatever was made for it."""

        async def to_the_end() -> Any:
            async with self._async:
                return await run(self)

        with self._sync:
            return anyio.run(to_the_end) if inspect.iscoroutinefunction(run) else run(self)


@dataclass(frozen=True)
class Comparison:
    """Compare the backends for one framework, way in and source."""

    framework: str
    way_in: str
    source: Source

    def side(self, backend: str, **settings: Any) -> Side:
        """Return one side; it never falls back to Chat silently."""
        strict: dict[str, Any] = {"unsupported": "error", "on_bug": "raise", **settings}
        # Without fallbacks: each cassette holds the traffic of one API.
        return Side(
            backend,
            self.way_in,
            self.source,
            adapter.Settings(backend=backend, fallback=(), **strict),
        )

    @contextmanager
    def cassette(self, name: str, backend: str) -> Iterator[Cassette | None]:
        """Replay, or record, the cassette `cassettes/frameworks/FRAMEWORK/NAME.BACKEND.yaml`.

        With a live server there is none.
        """
        path = CASSETTES / self.framework / f"{name}.{backend}.yaml"
        # The ways in and the sync and async forms share a cassette, since they must send the same:
        # the first one records it.
        record = self.source.record and path not in _RECORDED
        _RECORDED.add(path)
        with use_cassette(path, record=record) if self.source.recorded else nullcontext() as tape:
            yield tape

    def run(self, name: str, backend: str, run: Callable[[Side], Any], **settings: Any) -> Any:
        """Run a program on one backend; every completion must have been requested there."""
        side = self.side(backend, **settings)
        with self.cassette(name, backend) as cassette, sent_paths(side.sent):
            outcome = side.play(run)
            if cassette is not None:  # it answers above the transports that `sent_paths` watches
                side.sent[:] = requested_paths(cassette)
        assert set(side.sent) == {PATHS[backend]}, f"{backend}: sent to {side.sent}"
        return outcome

    def compare(
        self,
        name: str,
        run: Callable[[Side], Any],
        *,
        but: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Any:
        """Run a program on both backends; return the plain outcome, which must be equal.

        `but` names keys that may differ, each with the reason.
        """
        outcomes = {}
        for backend in BACKENDS:
            outcomes[backend] = plain(
                self.run(name, backend, run, **settings), without=frozenset(but or ())
            )
        found = list(differences(outcomes["chat"], outcomes["responses"]))
        assert not found, "\n".join(["the backends differ (path: chat, responses)", *found])
        return outcomes["chat"]


_RECORDED: set[Path] = set()


def requested_paths(cassette: Cassette) -> list[str]:
    """Return the path of each request that a cassette replayed or recorded."""
    return [
        request.path
        for index, request in enumerate(cassette.requests)
        for _ in range(cassette.play_counts[index] or (1 if cassette.dirty else 0))
    ]


@contextmanager
def sent_paths(into: list[str]) -> Iterator[None]:
    """Record the paths of requests, at the place below the adapter where vcrpy also records."""
    sync, asynchronous = (
        FAMILY.HTTPTransport.handle_request,
        FAMILY.AsyncHTTPTransport.handle_async_request,
    )

    def handle_request(self: Any, request: Any) -> Any:
        into.append(request.url.path)
        return sync(self, request)

    async def handle_async_request(self: Any, request: Any) -> Any:
        into.append(request.url.path)
        return await asynchronous(self, request)

    with (
        mock.patch.object(FAMILY.HTTPTransport, "handle_request", handle_request),
        mock.patch.object(FAMILY.AsyncHTTPTransport, "handle_async_request", handle_async_request),
    ):
        yield


# --- comparing outcomes

ADDED = {
    "service_tier": "auto",
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
    "audio_tokens": 0,
    "cache_write_tokens": 0,
    "audio": 0,  # the same two, as LangChain calls them
    "cache_creation": 0,
    "tool_output_tokens": 0,  # vLLM's details of its Responses
    "output_tokens_per_turn": [],
    "tool_output_tokens_per_turn": [],
    "input_tokens_per_turn": [],
    "cached_tokens_per_turn": [],
}
"""Fields of OpenAI's Chat, and so of the adapter, but not of these two servers' Chat."""
OWN = frozenset({"created_cache_tokens", "multimodal_tokens"})
"""Fields of vLLM's Chat alone."""


def differences(chat: Any, responses: Any) -> Iterator[str]:
    """List the differences of two plain outcomes, one line each."""
    return differing(chat, responses, _by_the_servers)


def _by_the_servers(key: str, chat: dict[str, Any], responses: dict[str, Any]) -> bool:
    if chat.get(key) is None and key in ADDED and responses.get(key) == ADDED[key]:
        return True
    return key in OWN and key not in responses
