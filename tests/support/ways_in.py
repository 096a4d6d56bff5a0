"""Every way into the adapter, driven alike: from a scripted upstream to what the caller got.

    seen = way_in.create({"model": …, "messages": […]}, lambda sent: Reply.of_json({…}))

A way in is one of three clients (the adapter's own, an installed one, a plain one over a
transport), sync or async. The harness never retries, and lets the adapter's own bugs raise.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import openai
import pytest

import adapter
from adapter import Decision, Settings
from tests.support import tier
from tests.support.fan_out_threads import quiet
from tests.support.http import arguments, helpers_of
from tests.support.http import http as HTTP  # noqa: N812 - a module, chosen at run time

Kind = Literal["client", "install", "transport"]
Leaving = Literal["read on", "break", "close", "with"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as upstream received it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """Upstream's reply: `parts` as they are read; `reset` ends them with a read error."""

    status: int = 200
    parts: tuple[bytes, ...] = ()
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    reset: bool = False

    @classmethod
    def of_json(
        cls, value: object, status: int = 200, headers: Iterable[tuple[str, str]] = ()
    ) -> Self:
        """Answer with JSON."""
        return cls(
            status, (json.dumps(value, ensure_ascii=False).encode(),), headers=tuple(headers)
        )

    @classmethod
    def of_sse(cls, parts: Iterable[bytes], *, reset: bool = False) -> Self:
        """Answer with a stream."""
        return cls(200, tuple(parts), "text/event-stream; charset=utf-8", reset=reset)


Upstream = Callable[[Sent], Reply]


@dataclass(slots=True)
class Seen:
    """What the caller got.

    `value` is the completion (of the helper: the final one), `chunks` those of a stream (of the
    helper: its events), `error` the exception that ended the call. `open` counts the upstream
    bodies that are still open: at the end, when everything was dropped, and in `open_on_return`
    when the caller had just read or left the reply. `requests` are the HTTP library's own, where
    the client can't report the decision.
    """

    value: Any = None
    chunks: list[Any] = field(default_factory=list)
    error: Exception | None = None
    decision: Decision | None = None
    sent: list[Sent] = field(default_factory=list)
    open: int = 0
    open_on_return: int = 0
    requests: list[Any] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """Return the paths of the requests sent upstream."""
        return [sent.path for sent in self.sent]

    @property
    def ledger(self) -> list[tuple[str, str]]:
        """Return path and action of each entry of the ledger."""
        assert self.decision is not None, "the call has left no decision"
        return [(loss.path, loss.action) for loss in self.decision.losses]

    def json(self) -> Any:
        """Return the completion in its wire form."""
        self.reraise()
        return wire_json(self.value)

    def chunks_json(self) -> list[Any]:
        """Return the chunks in their wire form."""
        return [wire_json(chunk) for chunk in self.chunks]

    def reraise(self) -> None:
        """Raise the exception that ended the call, if any."""
        if self.error is not None:
            raise self.error


def routing_fields_lead(body: Mapping[str, Any]) -> bool:
    """Return whether `model`, `stream` and `service_tier` come first, in this order."""
    expected = [name for name in ("model", "stream", "service_tier") if name in body]
    return list(body)[: len(expected)] == expected


def wire_json(value: Any) -> Any:
    """Return the keys that an SDK object was built from."""
    return value.model_dump(mode="json", exclude_unset=True, by_alias=True)


_COUNTING = threading.Lock()  # several requests of one call may run in threads


class _Body(HTTP.SyncByteStream, HTTP.AsyncByteStream):  # type: ignore[misc]
    def __init__(self, reply: Reply, seen: Seen) -> None:
        self._reply = reply
        self._seen = seen
        self._closed = False
        with _COUNTING:
            seen.open += 1

    def __iter__(self) -> Iterator[bytes]:
        yield from self._reply.parts
        if self._reply.reset:
            raise HTTP.ReadError("connection reset by peer")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            await asyncio.sleep(0)  # like a socket: a stream that never waits can't be cancelled
            yield part

    def close(self) -> None:
        with _COUNTING:
            self._seen.open -= not self._closed
            self._closed = True

    async def aclose(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Call:
    method: Literal["create", "stream", "helper", "parse"]
    body: Mapping[str, Any]
    after: int = 0
    leaving: Leaving = "read on"
    seen: Seen = field(default_factory=Seen)


@dataclass(frozen=True, slots=True)
class WayIn:
    """One way into the adapter."""

    kind: Kind
    asynchronous: bool

    @property
    def name(self) -> str:
        """Return the name for test ids."""
        return f"{'async' if self.asynchronous else 'sync'}-{self.kind}"

    def create(self, body: Mapping[str, Any], upstream: Upstream, **settings: Any) -> Seen:
        """Call `create` for a whole answer."""
        return self._run(_Call("create", arguments(body)), upstream, settings)

    def parse(self, body: Mapping[str, Any], upstream: Upstream, **settings: Any) -> Seen:
        """Call `parse`."""
        return self._run(_Call("parse", arguments(body)), upstream, settings)

    def stream(
        self,
        body: Mapping[str, Any],
        upstream: Upstream,
        *,
        after: int = 0,
        leaving: Leaving = "read on",
        **settings: Any,
    ) -> Seen:
        """Call `create(stream=True)` and read it all, or leave it after so many chunks."""
        call = _Call("stream", arguments({**body, "stream": True}), after, leaving)
        return self._run(call, upstream, settings)

    def helper(
        self,
        body: Mapping[str, Any],
        upstream: Upstream,
        *,
        after: int = 0,
        leaving: Leaving = "read on",
        **settings: Any,
    ) -> Seen:
        """Call `.stream()`, read its events and return the final completion."""
        return self._run(_Call("helper", arguments(body), after, leaving), upstream, settings)

    def _run(self, call: _Call, upstream: Upstream, settings: Mapping[str, Any]) -> Seen:
        transport = HTTP.MockTransport(_handler(upstream, call.seen))
        chosen = _settings({"backend": "responses", "on_bug": "raise", **settings})
        if self.asynchronous:
            asyncio.run(self._arun(call, transport, chosen))
        else:
            self._srun(call, transport, chosen)
        gc.collect(0)  # objects that the caller just dropped
        for sent in call.seen.sent:
            if sent.method == "POST" and sent.path.endswith("/responses"):
                assert routing_fields_lead(sent.json()), "gateways route by a body's head"
        return call.seen

    def _srun(self, call: _Call, transport: Any, settings: Settings) -> None:
        with self._client(transport, settings, call.seen) as client:
            try:
                result = _perform(client, call)
            except Exception as error:  # noqa: BLE001  # it is what the caller saw
                call.seen.error = result = error
            if call.seen.open:
                quiet(1)  # a thread gives its last bytes before it closes what it has read
            call.seen.open_on_return = call.seen.open
            call.seen.decision = _decision(result, call.seen)
            del result

    async def _arun(self, call: _Call, transport: Any, settings: Settings) -> None:
        async with self._client(transport, settings, call.seen) as client:
            try:
                result = await _aperform(client, call)
            except Exception as error:  # noqa: BLE001  # it is what the caller saw
                call.seen.error = result = error
            call.seen.open_on_return = call.seen.open
            call.seen.decision = _decision(result, call.seen)
            del result
            await asyncio.sleep(0)  # the loop closes dropped streams

    def _client(self, transport: Any, settings: Settings, seen: Seen) -> Any:
        plain = {"base_url": "https://api.test/v1", "api_key": "key", "max_retries": 0}
        sdk, ours, http, wrap = (
            (openai.AsyncOpenAI, adapter.AsyncOpenAI, HTTP.AsyncClient, adapter.AsyncTransport)
            if self.asynchronous
            else (openai.OpenAI, adapter.OpenAI, HTTP.Client, adapter.Transport)
        )
        match self.kind:
            case "client":
                return ours(**plain, http_client=http(transport=transport), settings=settings)
            case "install":
                return adapter.install(
                    sdk(**plain, http_client=http(transport=transport)), settings
                )
            case "transport":
                wrapped = http(transport=wrap(transport, settings=settings))
                # A plain client's completion has no reference to its request; the request has the
                # decision.
                wrapped.event_hooks = {
                    "request": [_aremember(seen) if self.asynchronous else seen.requests.append]
                }
                return sdk(**plain, http_client=wrapped)


_MADE: dict[str, Settings] = {}


def _settings(values: Mapping[str, Any]) -> Settings:
    key = repr(sorted(values.items()))
    if key not in _MADE:
        _MADE[key] = Settings(**values)
    return _MADE[key]


def _decision(result: Any, seen: Seen) -> Decision | None:
    known = [adapter.decision(one) for one in (result, *reversed(seen.requests))]
    return next((decision for decision in known if decision is not None), None)


def _aremember(seen: Seen) -> Callable[[Any], Awaitable[None]]:
    async def remember(request: Any) -> None:  # the library awaits it
        seen.requests.append(request)

    return remember


WAYS_IN = tuple(
    WayIn(kind, asynchronous)
    for asynchronous in (False, True)
    for kind in ("client", "install", "transport")
)

each_way_in = pytest.mark.parametrize("way_in", tier.two(WAYS_IN), ids=lambda way_in: way_in.name)
"""Run a test through each way in; the test has the argument `way_in`."""


def plain_body(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that the SDK itself sends to Chat Completions for these arguments."""
    seen = Seen()
    http = HTTP.Client(transport=HTTP.MockTransport(_handler(lambda _: Reply.of_json({}), seen)))
    with openai.OpenAI(
        base_url="https://api.test/v1", api_key="key", max_retries=0, http_client=http
    ) as client:
        client.chat.completions.create(**arguments(body))
    return seen.sent[0].body


def both(responses: Reply, chat: Reply | None = None) -> Upstream:
    """Answer `/responses` with one reply and `/chat/completions` with another.

    The default for the latter is a plain completion.
    """
    return lambda sent: (
        responses if sent.path.endswith("/responses") else chat or Reply.of_json(CHAT_COMPLETION)
    )


CHAT_COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-native",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4.1-2025-04-14",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "from Chat",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
}
"""The scripted reply of Chat Completions."""


def _handler(upstream: Upstream, seen: Seen) -> Callable[[Any], Any]:
    def handle(request: Any) -> Any:
        # The loop's own transport has read the request by now.
        sent = Sent(request.method, request.url.path, dict(request.headers), request.content)
        seen.sent.append(sent)
        reply = upstream(sent)
        headers = [("content-type", reply.content_type), *reply.headers]
        return HTTP.Response(reply.status, headers=headers, stream=_Body(reply, seen))

    return handle


def _perform(client: Any, call: _Call) -> Any:
    match call.method:
        case "create" | "parse":
            call.seen.value = _method(client, call)(**call.body)
            return call.seen.value
        case "stream":
            stream = client.chat.completions.create(**call.body)
            _read(stream, call)
            return stream
        case "helper":
            with helpers_of(client).stream(**call.body) as stream:
                for event in stream:
                    call.seen.chunks.append(event)
                    if call.leaving != "read on" and len(call.seen.chunks) >= call.after:
                        return stream
                call.seen.value = stream.get_final_completion()
            return stream


def _read(stream: Any, call: _Call) -> None:
    if call.leaving == "with":
        with stream:
            _read_some(stream, call)
        return
    _read_some(stream, call)
    if call.leaving == "close":
        stream.close()


def _read_some(stream: Any, call: _Call) -> None:
    for chunk in stream:
        call.seen.chunks.append(chunk)
        if call.leaving != "read on" and len(call.seen.chunks) >= call.after:
            return


def _method(client: Any, call: _Call) -> Any:
    return getattr(
        helpers_of(client) if call.method == "parse" else client.chat.completions, call.method
    )


async def _aperform(client: Any, call: _Call) -> Any:
    match call.method:
        case "create" | "parse":
            call.seen.value = await _method(client, call)(**call.body)
            return call.seen.value
        case "stream":
            stream = await client.chat.completions.create(**call.body)
            await _aread(stream, call)
            return stream
        case "helper":
            async with helpers_of(client).stream(**call.body) as stream:
                async for event in stream:
                    call.seen.chunks.append(event)
                    if call.leaving != "read on" and len(call.seen.chunks) >= call.after:
                        return stream
                call.seen.value = await stream.get_final_completion()
            return stream


async def _aread(stream: Any, call: _Call) -> None:
    if call.leaving == "with":
        async with stream:
            await _aread_some(stream, call)
        return
    await _aread_some(stream, call)
    if call.leaving == "close":
        await stream.close()


async def _aread_some(stream: Any, call: _Call) -> None:
    async for chunk in stream:
        call.seen.chunks.append(chunk)
        if call.leaving != "read on" and len(call.seen.chunks) >= call.after:
            return
