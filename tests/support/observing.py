"""What the caller of one call observes under a fault: natively, or through the adapter."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import openai

import adapter
from tests.support.answers import CALL, KEY
from tests.support.faults import STREAMED, Call, Fault, FaultServer, UpstreamReply, address
from tests.support.http import http
from tests.support.loopback import HOLD

Mode = Literal["sync", "async"]
RETRIES = 1


@dataclass
class Seen:
    """What one caller observed.

    `moment` is where it was, `requests` how many requests upstream got, `waits` the delays between
    them.
    """

    moment: str = "call"
    error: str = "-"
    detail: tuple[Any, ...] = ()
    chunks: int = 0
    text: str = ""
    ends: tuple[str, ...] = ()
    requests: int = 0
    waits: list[Any] = field(default_factory=list)
    busy: int = 0
    hung_up: bool = True
    closing: str = ""

    def brief(self) -> str:
        """Return a summary in a few words."""
        where = (
            f"after {self.chunks} chunks" if self.moment == "reading" else f"in the {self.moment}"
        )
        what = (
            f"{self.error} {where}"
            if self.error != "-"
            else f"ends {'/'.join(self.ends) or 'without a finish'}"
        )
        return f"{what}, {self.requests}×"


class _Run:
    """One call under one fault: what its consumer observes, and what its own side does."""

    def __init__(
        self,
        fault: Fault,
        server: FaultServer,
        client: Any,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.fault, self.server, self.client, self.loop = fault, server, client, loop
        self.seen = Seen()
        self.handle: Any = None
        self.task: asyncio.Task[None] | None = None
        self._threads: list[threading.Thread] = []

    def returned(self, handle: Any) -> None:
        """Record that the call returned a stream."""
        self.seen.moment, self.handle = "reading", handle

    def whole(self, result: Any) -> None:
        """Record a whole result."""
        self.seen.moment = "returned"
        if isinstance(result, str) or not getattr(result, "choices", None):
            self.seen.ends = (f"a {type(result).__name__} without choices",)
        else:
            self.seen.text = result.choices[0].message.content
            self.seen.ends = (result.choices[0].finish_reason,)

    def take(self, chunk: Any) -> None:
        """Record a chunk."""
        self.note(chunk.model_dump())
        self.act()

    def note(self, chunk: dict[str, Any]) -> None:
        """Record a chunk's contents."""
        self.seen.chunks += 1
        for choice in chunk.get("choices") or ():
            self.seen.text += choice["delta"].get("content") or ""
            self.seen.ends += (choice["finish_reason"],) if choice.get("finish_reason") else ()

    def line(self, line: str) -> None:
        """Record a line of a raw stream; a parser would raise for one with an error."""
        if not line.startswith("data: ") or self.seen.error != "-":
            return
        try:
            value = json.loads(line.removeprefix("data: "))
        except ValueError:
            self.seen.ends += ("[DONE]" if line == "data: [DONE]" else "garbage",)
            return
        if isinstance(value, dict) and value.get("error"):
            self.seen.error, self.seen.detail = "error frame", (value["error"]["code"],)
        else:
            self.note(value if isinstance(value, dict) else {})
            self.act()

    def begin(self) -> None:
        """Start what happens as soon as the server holds."""
        if self.fault.act and self.fault.at < 0:
            self._spawn(self._when_held)

    def act(self) -> None:
        """Perform the caller's act after this many chunks."""
        if self.seen.chunks != self.fault.at:
            return
        match self.fault.act:
            case "raise":
                raise KeyboardInterrupt
            case "close between" if self.loop is None:
                self._spawn(self.handle.close).join(10)
            case "cancel" | "interrupt" | "close during" | "close client":
                self._spawn(self._soon)

    async def aact(self) -> None:
        """Perform an act that needs an await, after this many chunks."""
        if self.fault.act == "close between" and self.seen.chunks == self.fault.at:
            await asyncio.create_task(self.handle.close())

    def join(self) -> None:
        """Wait for the thread or task that was started."""
        for thread in self._threads:
            thread.join(10)

    def _spawn(self, target: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=target)
        self._threads.append(thread)
        thread.start()
        return thread

    def _when_held(self) -> None:
        if self.server.holding.wait(10):
            self._soon()

    def _soon(self) -> None:
        threading.Event().wait(0.3)  # until the caller has taken what was sent, and waits for more
        if self.fault.act == "interrupt":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        elif self.fault.act == "cancel" and self.loop and self.task:
            self.loop.call_soon_threadsafe(self.task.cancel)
        else:
            what = self.client if self.fault.act == "close client" else self.handle
            try:
                if self.loop is None:
                    what.close()
                else:
                    asyncio.run_coroutine_threadsafe(what.close(), self.loop).result(10)
            except Exception as error:  # noqa: BLE001  # it is what the closer saw
                self.seen.closing = _name(error)


def _completions(client: Any, call: Call) -> Any:
    completions = client.chat.completions
    return (
        completions
        if hasattr(completions, call) or call in ("create", "lines")
        else client.beta.chat.completions
    )


def _arguments(call: Call, fault: Fault) -> dict[str, Any]:
    content = "x" * 5_000_000 if fault.big else "Say hello."
    given: dict[str, Any] = {**CALL, "messages": [{"role": "user", "content": content}]}
    return given if call == "helper" else given | ({"stream": True} if call in STREAMED else {})


def _consume(call: Call, run: _Run, given: dict[str, Any]) -> None:
    client = run.client
    match call:
        case "create" | "parse":
            name: str = call
            run.whole(
                getattr(
                    _completions(client, "parse") if name == "parse" else client.chat.completions,
                    name,
                )(**given)
            )
        case "stream":
            stream = client.chat.completions.create(**given)
            run.returned(stream)
            for chunk in stream:
                run.take(chunk)
        case "helper":
            with _helper(client)(**given) as stream:
                run.returned(stream)
                for event in stream:
                    if event.type == "chunk":
                        run.take(event.chunk)
        case "lines":
            with client.chat.completions.with_streaming_response.create(**given) as reply:
                run.returned(reply)
                for line in reply.iter_lines():
                    run.line(line)


def _helper(client: Any) -> Any:
    completions = client.chat.completions
    return (
        completions.stream
        if hasattr(completions, "stream")
        else client.beta.chat.completions.stream
    )


async def _aconsume(call: Call, run: _Run, given: dict[str, Any]) -> None:
    client = run.client
    match call:
        case "create" | "parse":
            name: str = call
            completions = (
                _completions(client, "parse") if name == "parse" else client.chat.completions
            )
            run.whole(await getattr(completions, name)(**given))
        case "stream":
            stream = await client.chat.completions.create(**given)
            run.returned(stream)
            async for chunk in stream:
                run.take(chunk)
                await run.aact()
        case "helper":
            async with _helper(client)(**given) as stream:
                run.returned(stream)
                async for event in stream:
                    if event.type == "chunk":
                        run.take(event.chunk)
                        await run.aact()
        case "lines":
            async with client.chat.completions.with_streaming_response.create(**given) as reply:
                run.returned(reply)
                async for line in reply.iter_lines():
                    run.line(line)
                    await run.aact()


# Observing


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


def _name(error: BaseException) -> str:
    kind = type(error)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}".removeprefix("builtins.")


def _client(url: str, fault: Fault, mode: Mode, waits: list[Any], *, native: bool) -> Any:
    timeout = http.Timeout(**{"timeout": 10.0, **fault.timeout})
    limits = http.Limits(
        max_connections=1 if fault.occupied else 1000, max_keepalive_connections=100
    )
    kind = http.Client if mode == "sync" else http.AsyncClient
    http_client = kind(
        verify=_certificates(), timeout=timeout, limits=limits, follow_redirects=True
    )
    given = {
        "base_url": url,
        "api_key": KEY,
        "max_retries": RETRIES,
        "timeout": timeout,
        "http_client": http_client,
    }
    if native:
        client: Any = (openai.OpenAI if mode == "sync" else openai.AsyncOpenAI)(**given)
    else:
        settings = adapter.Settings(backend="responses", fallback=[])  # the result is compared
        client = (adapter.OpenAI if mode == "sync" else adapter.AsyncOpenAI)(
            **given, settings=settings
        )
    asked = client._calculate_retry_timeout

    def wait(remaining_retries: int, options: Any, response_headers: Any = None) -> float:
        named = response_headers is not None and any(
            "retry-after" in name for name in response_headers
        )
        waits.append(asked(remaining_retries, options, response_headers) if named else "backoff")
        return 0.0

    client._calculate_retry_timeout = wait
    return client


def observe(fault: Fault, call: Call, mode: Mode, *, native: bool) -> Seen:
    """Make one call under a fault and return what its caller observed."""
    with FaultServer(fault) as server, address(fault, server) as url:
        waits: list[Any] = []
        client = _client(url, fault, mode, waits, native=native)
        if mode == "sync":
            run = _Run(fault, server, client)
            _drive(call, run)
        else:
            with asyncio.Runner() as runner:
                run = _Run(fault, server, client, runner.get_loop())
                # A KeyboardInterrupt of a task is raised out of its loop.
                with contextlib.suppress(KeyboardInterrupt):
                    runner.run(_adrive(call, run))
                runner.run(_settle(run))
        seen = run.seen
        seen.waits = waits
        seen.requests = max(len(server.requests) - fault.occupied, len(waits) + 1)
        if (
            HOLD in fault.script(UpstreamReply(chat=True, streamed=call in STREAMED, attempt=1))
            and not fault.occupied
        ):
            seen.hung_up = server.wait_for(lambda one: one.open_connections == 0)
        expected = "/v1/chat/completions" if native else "/v1/responses"
        assert {request.path for request in server.requests} <= {expected}
    return seen


def _note_error(run: _Run, error: BaseException) -> None:
    seen = run.seen
    seen.error = _name(error)
    seen.detail = tuple(
        getattr(error, name, None) for name in ("status_code", "code", "param", "request_id")
    )


def _busy(client: Any) -> int:
    pool = client._client._transport._pool
    return sum(not (one.is_idle() or one.is_closed()) for one in pool.connections)


def _drive(call: Call, run: _Run) -> None:
    given = _arguments(call, run.fault)
    occupying = (
        run.client.chat.completions.create(**{**given, "stream": True})
        if run.fault.occupied
        else None
    )
    run.begin()
    try:
        _consume(call, run, given)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
        _note_error(run, error)
    run.join()
    run.handle = None
    for _ in range(50):  # while another thread collects, this call does nothing
        if _busy(run.client) <= run.fault.occupied:
            break
        gc.collect()
        threading.Event().wait(0.01)
    if occupying is not None:
        occupying.close()
    run.seen.busy = _busy(run.client)
    run.client.close()


async def _adrive(call: Call, run: _Run) -> None:
    given = _arguments(call, run.fault)
    occupying = (
        await run.client.chat.completions.create(**{**given, "stream": True})
        if run.fault.occupied
        else None
    )
    run.begin()
    run.task = asyncio.create_task(_aconsume(call, run, given))
    try:
        await run.task
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001
        _note_error(run, error)
    if occupying is not None:
        await occupying.close()


async def _settle(run: _Run) -> None:
    await asyncio.to_thread(run.join)
    run.handle = run.task = None
    for _ in range(50):  # the loop closes dropped streams in its own time
        if not _busy(run.client):
            break
        gc.collect()
        await asyncio.sleep(0.01)
    run.seen.busy = _busy(run.client)
    await run.client.close()
