"""Settings files that change while threads and tasks call: no exception, no torn settings."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter._routing.reload import reloader_of
from tests.support.answers import CALL, CHAT, RESPONSES, both, chat_events, delta, ending, opening
from tests.support.http import http
from tests.support.loopback import Loopback, Reply, Request

THREADS, TASKS = 16, 200

# Two settings that always agree, and the hash of each state that may be seen.
STATES = {
    "chat": 'backend = "chat"\nunsupported = "error"\nservice = "one"\n',
    "responses": 'backend = "responses"\nunsupported = "drop"\nservice = "two"\n',
}
BROKEN = ["", "backend = ", 'backend = "both"', 'bakend = "chat"\n', "\xff"]
AGREE = {("chat", "error", "one"), ("responses", "drop", "two")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.toml"
    path.write_text(STATES["chat"])
    return path


@pytest.fixture
def hashes(file: Path) -> set[str]:
    found = set()
    for text in STATES.values():
        _replace(file, text)
        found.add(Settings(config_file=file).hash)
    return found


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text, encoding="latin-1")
    fresh.replace(file)


def _keep_changing(file: Path, stop: threading.Event) -> int:
    """Change the file in every possible way until `stop`; return how often."""
    count = 0
    for text, bad in zip(itertools.cycle(STATES.values()), itertools.cycle(BROKEN), strict=False):
        if stop.is_set():
            break
        _replace(file, text)
        if count % 3 == 0:
            file.write_text(bad, encoding="latin-1")  # in place, and truncated first
        if count % 7 == 0:
            file.unlink()
        stop.wait(0.001)
        count += 1
    _replace(file, STATES["responses"])
    return count


def _upstream(request: Any) -> Any:
    reply = both(Request("POST", request.url.path, "", (), request.content, 0))
    headers: Any = list(reply.headers)
    return http.Response(reply.status, headers=headers, content=b"".join(reply.parts))


def _client(
    settings: Settings,
    kind: Any = adapter.OpenAI,
    base_url: str = "https://api.test/v1",
    **more: Any,
) -> Any:
    made = http.AsyncClient if kind is adapter.AsyncOpenAI else http.Client
    more = more or {"transport": http.MockTransport(_upstream)}
    return kind(
        base_url=base_url, api_key="key", max_retries=0, settings=settings, http_client=made(**more)
    )


def _threads(work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return [running.result() for running in [pool.submit(work) for _ in range(THREADS)]]


@pytest.fixture
def settings(file: Path, hashes: set[str]) -> Settings:
    """Settings of the file while it is good: at start a bad one is an error."""
    return Settings(config_file=file)


@pytest.fixture
def changed_always(file: Path, settings: Settings) -> Iterator[threading.Event]:
    """Keep changing the file until the event is set."""
    stop, counts = threading.Event(), []
    changing = threading.Thread(target=lambda: counts.append(_keep_changing(file, stop)))
    changing.start()
    yield stop
    stop.set()
    changing.join(30)
    print(f"the file was changed {counts[0]} times")


@pytest.mark.usefixtures("changed_always")
def test_settings_are_never_torn(settings: Settings, hashes: set[str]) -> None:
    reader = reloader_of(settings)

    def look() -> set[tuple[str, ...]]:
        seen = set()
        for _ in range(400):
            now = reader.current().settings
            seen.add((now.hash, now.backend, now.unsupported, now.service))
        return seen

    seen = set().union(*_threads(look))
    assert {one[1:] for one in seen} <= AGREE
    assert {one[0] for one in seen} <= hashes


def test_threads_call_on(
    settings: Settings, hashes: set[str], changed_always: threading.Event
) -> None:
    with _client(settings) as client:

        def work() -> list[Any]:
            return [
                adapter.decision(client.chat.completions.create(**CALL, seed=1, logit_bias=None))
                for _ in range(25)
            ]

        decisions = [one for many in _threads(work) for one in many]
        _check(decisions, hashes)
        changed_always.set()
        assert _settles(
            lambda: reloader_of(client._adapter_settings).current().settings.backend == "responses"
        )
        assert adapter.decision(client.chat.completions.create(**CALL)).backend == "responses"


@pytest.mark.usefixtures("changed_always")
async def test_tasks_call_on(settings: Settings, hashes: set[str]) -> None:
    async with _client(settings, adapter.AsyncOpenAI) as client:

        async def work() -> list[Any]:
            return [
                adapter.decision(await client.chat.completions.create(**CALL, seed=1))
                for _ in range(3)
            ]

        decisions = [
            one for many in await asyncio.gather(*(work() for _ in range(TASKS))) for one in many
        ]
        _check(decisions, hashes)


def _check(decisions: list[Any], hashes: set[str]) -> None:
    print(
        f"{len(decisions)} calls, {sum(one.backend == 'responses' for one in decisions)} of them "
        "to the Responses API"
    )
    assert {one.settings_hash for one in decisions} <= hashes
    for one in decisions:
        # `seed` is dropped if the settings of the call say so: its policy is from the same file.
        assert [(loss.path, loss.action) for loss in one.losses] == [("seed", "dropped")] * (
            one.backend == "responses"
        )


def _settles(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


# The kill switch

OPEN = """
backend = "responses"
rollout = 100
[[rules]]
backend = "responses"
match = {model = "*"}
"""
# Calls that other sources send to the Responses API: the header, a Responses-only model.
TEMPTING: list[dict[str, Any]] = [
    {},
    {"extra_headers": {"x-adapter-backend": "responses"}},
    {"model": "o1-pro"},
    {
        "model": "gpt-5.6",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    },
    {"stream": True},
]


class Wire:
    """Record the requests, by whether their calls began before or after the flip."""

    def __init__(self) -> None:
        self.flipped = threading.Event()
        self.late: list[str] = []  # where calls went that began after the flip
        self.early: list[str] = []

    def handle(self, request: Any) -> Any:
        began_after = request.headers["x-began"] == "after"
        (self.late if began_after else self.early).append(request.url.path)
        return _upstream(request)

    def call(self, number: int) -> dict[str, Any]:
        """Return the arguments of a call that begins now."""
        given = {**CALL, **TEMPTING[number % len(TEMPTING)]}
        began = {"x-began": "after" if self.flipped.is_set() else "before"}
        return {**given, "extra_headers": {**given.get("extra_headers", {}), **began}}

    def flip(self, file: Path, text: str) -> None:
        _replace(file, text)
        self.flipped.set()


def _flip_when_busy(wire: Wire, file: Path, text: str) -> None:
    assert _settles(lambda: len(wire.early) >= 50)
    wire.flip(file, text)


FLIPS = {
    "in a good file": f'force = "chat"\n{OPEN}',
    "appended, beside a typo": f'rolout = 5\n{OPEN}\nforce = "chat"\n',
    "in a file that isn't TOML": f'force = "responses"\nforce = "chat"\n{OPEN}',
}


@pytest.mark.parametrize("how", FLIPS)
def test_the_kill_switch_reaches_every_thread(how: str, file: Path) -> None:
    _replace(file, OPEN)
    wire = Wire()
    settings = Settings(config_file=file, force="responses", drop=["seed"])
    with _client(settings, transport=http.MockTransport(wire.handle)) as client:
        copies = [client.copy() for _ in range(4)]

        def work() -> float:
            reached = 0
            for number in itertools.count():
                after = wire.flipped.is_set()
                with adapter.use(backend="responses"):
                    result = copies[number % 4].chat.completions.create(**wire.call(number))
                    if hasattr(result, "close"):
                        list(result)
                reached += after
                if reached == 10:
                    return reached
            raise AssertionError

        flipping = threading.Thread(target=_flip_when_busy, args=(wire, file, FLIPS[how]))
        flipping.start()
        assert _threads(work) == [10] * THREADS
        flipping.join(30)
    assert set(wire.early) >= {RESPONSES}
    assert set(wire.late) == {CHAT}
    print(
        f"{len(wire.early)} calls before the flip, {len(wire.late)} after it, "
        "none of them to the Responses API"
    )


async def test_the_kill_switch_reaches_every_task(file: Path) -> None:
    _replace(file, OPEN)
    wire = Wire()
    settings = Settings(config_file=file, force="responses", drop=["seed"])
    async with _client(
        settings, adapter.AsyncOpenAI, transport=http.MockTransport(wire.handle)
    ) as client:

        async def work(first: int) -> None:
            reached = 0
            for number in itertools.count(first):
                after = wire.flipped.is_set()
                with adapter.use(backend="responses"):
                    result = await client.chat.completions.create(**wire.call(number))
                    if hasattr(result, "close"):
                        _ = [chunk async for chunk in result]
                reached += after
                if reached == 2:
                    return

        flipping = asyncio.create_task(
            asyncio.to_thread(_flip_when_busy, wire, file, FLIPS["appended, beside a typo"])
        )
        await asyncio.gather(flipping, *(work(number) for number in range(TASKS)))
    assert set(wire.early) >= {RESPONSES}
    assert set(wire.late) == {CHAT}
    print(
        f"{len(wire.early)} calls before the flip, {len(wire.late)} after it, "
        "none of them to the Responses API"
    )


def test_streams_under_way_finish_where_they_began(file: Path, loopback: Loopback) -> None:
    go_on = threading.Event()

    def answer(request: Request) -> Reply:
        if request.path == CHAT:
            return Reply.of_sse(chat_events())

        def parts() -> Iterator[bytes]:
            yield from opening()
            yield delta("Hello ")
            go_on.wait(30)
            yield delta("there")
            yield ending()

        return Reply.of_sse(parts())

    loopback.answer = answer
    _replace(file, OPEN)
    streams: list[Any] = []
    with _client(Settings(config_file=file), base_url=loopback.base_url, timeout=30) as client:
        for _ in range(8):
            stream = client.chat.completions.create(**CALL, stream=True)
            text = ""
            while not text:
                text = next(stream).choices[0].delta.content or ""
            streams.append(stream)
        _replace(file, f'force = "chat"\n{OPEN}')
        new = client.chat.completions.create(**CALL, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in new) == "Native hello"
        go_on.set()
        for stream in streams:
            assert (
                "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
                == "there"
            )
            made = adapter.decision(stream)
            assert made is not None
            assert (made.backend, made.reason) == ("responses", "rule")
    assert [request.path for request in loopback.requests] == [RESPONSES] * 8 + [CHAT]


def test_retries_keep_the_settings_that_the_call_began_with(
    file: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)

    def answer(request: Request) -> Reply:
        if len(loopback.requests) == 1:
            _replace(file, f'force = "chat"\n{OPEN}')
            return Reply.of_json({}, 500)
        return both(request)

    loopback.answer = answer
    _replace(file, OPEN)
    settings = Settings(config_file=file)
    with _client(settings, base_url=loopback.base_url, timeout=30).with_options(
        max_retries=2
    ) as client:
        client.chat.completions.create(**CALL)
        client.chat.completions.create(**CALL)
    assert [request.path for request in loopback.requests] == [RESPONSES, RESPONSES, CHAT]
