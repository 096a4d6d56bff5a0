"""A failing store costs continuity and a warning, never a call (docs/decisions.md#continuity)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter._exchange.effects import Recall, RecallResult, Remember
from adapter._memory import service as memory_service
from adapter._memory.circuit_breaker import CircuitBreaker
from adapter._memory.keys import make_memory_scope
from adapter._memory.service import MemoryService
from adapter.translation.reasoning.turns import MemoryEntry
from tests.support.http import http as HTTP  # noqa: N812 - a module, chosen at run time
from tests.support.stores import DictStore, RedisServer, needs_redis, redis_server, sqlite_url, turn
from tests.support.tool_loop import Api, Talk, call, events, item_kinds, message_item, reasoning
from tests.support.ways_in import WAYS_IN, WayIn, each_way_in

R, C = reasoning, call
SECONDS = 0.05


def _outputs(turns: int) -> list[list[Any]]:
    return [*([R(k), C(k)] for k in range(turns)), [message_item("Done.", None)]]


# A store of the program's own, with every kind of failure


class Broken(DictStore):
    """A store that breaks its contract."""

    def __init__(
        self, get: Callable[[], Any] | None = None, put: Callable[[], Any] | None = None
    ) -> None:
        super().__init__()
        self._get, self._put = get, put

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Call the test's function."""
        found: Mapping[str, bytes] = super().get(names) if self._get is None else self._get()
        return found

    def put(self, name: str, value: bytes) -> None:
        """Call the test's function."""
        if self._put is None:
            super().put(name, value)
        else:
            self._put()


def _raise(error: BaseException) -> Any:
    raise error


class Everything(Mapping[str, Any]):
    """A mapping with the same value for every name."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __getitem__(self, name: str) -> Any:
        return self._value

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


BROKEN: dict[str, Callable[[], Broken]] = {
    "raises on reading": lambda: Broken(get=lambda: _raise(OSError("no"))),
    "raises on writing": lambda: Broken(put=lambda: _raise(OSError("no"))),
    "raises what ends programs": lambda: Broken(get=lambda: _raise(SystemExit())),
    "gives garbage": lambda: Broken(get=lambda: Everything(b"\0garbage")),
    "gives text": lambda: Broken(get=lambda: Everything("text")),
    "gives numbers": lambda: Broken(get=lambda: Everything(7)),
    "gives no mapping": lambda: Broken(get=lambda: [1]),
    "gives a number in place of a mapping": lambda: Broken(get=lambda: 7),
    "gives None": lambda: Broken(get=lambda: None),
}


@each_way_in
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("what", BROKEN)
def test_calls_succeed(
    what: str, stream: bool, way_in: WayIn, caplog: pytest.LogCaptureFixture
) -> None:
    api = Api(*_outputs(3))
    # A generous deadline: nothing here waits for it.
    Talk(way_in, api, stream=stream, memory=BROKEN[what](), memory_timeout=30).turns(4)
    assert [item_kinds(sent["input"]).count("reasoning") for sent in api.sent] == [0] * 4
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    if what != "gives None":  # None isn't garbage
        assert len(warnings) == 1
        assert "reasoning isn't carried between some turns" in warnings[0].getMessage()
    assert "gAAAA" not in caplog.text


@pytest.mark.parametrize(
    "way_in",
    [way_in for way_in in WAYS_IN if way_in.kind == "client"],
    ids=lambda way_in: way_in.name,
)
@pytest.mark.parametrize("when", ["reading", "writing"])
def test_a_store_that_hangs_is_abandoned(
    when: str, way_in: WayIn, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    hang = lambda: go_on.wait(60) and {}  # noqa: E731
    store = Broken(get=hang) if when == "reading" else Broken(put=hang)
    api = Api(*_outputs(3))
    try:
        Talk(way_in, api, memory=store, memory_timeout=SECONDS).turns(4)
    finally:
        go_on.set()
    assert len(api.sent) == 4
    assert "no answer (TimeoutError)" in caplog.text


# Real stores


def _service(memory: Any, seconds: float = SECONDS) -> MemoryService:
    return MemoryService(memory, scope_name=None, keys=(), seconds=seconds)


SCOPE = make_memory_scope("https://api.test:443/v1")
REMEMBER = Remember("gpt-5", MemoryEntry("a", turn()))
RECALL = Recall("gpt-5", ("a",))


def _ask(service: MemoryService, effect: Any, *, asynchronous: bool) -> Any:
    return (
        asyncio.run(service.aperform(effect, SCOPE))
        if asynchronous
        else service.perform(effect, SCOPE)
    )


each_mode = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as made:
        yield made


@contextlib.contextmanager
def measured(capsys: pytest.CaptureFixture[str], what: str) -> Iterator[None]:
    """Print how long the block took, without an assertion."""
    began = time.perf_counter()
    yield
    took = time.perf_counter() - began
    with capsys.disabled():
        print(f"\n{what}: {took * 1e3:.1f} ms")


@needs_redis
@each_mode
def test_a_server_that_hangs(
    server: RedisServer, asynchronous: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    patient, service = _service(server.url, 30), _service(server.url)
    _ask(patient, REMEMBER, asynchronous=asynchronous)
    server.hang()
    with measured(capsys, f"a Redis server that hangs, deadline {SECONDS * 1e3:.0f} ms, one call"):
        assert _ask(service, RECALL, asynchronous=asynchronous) == RecallResult()
    for _ in range(CircuitBreaker.threshold):
        _ask(service, RECALL, asynchronous=asynchronous)
    assert service._breaker.is_open
    with measured(capsys, "the same, left alone after some failures"):
        assert _ask(service, RECALL, asynchronous=asynchronous) == RecallResult()
    server.go_on()
    until = time.monotonic() + 20
    turns = {}
    while not turns and time.monotonic() < until:
        service._breaker._open_until = 0.0
        turns = _ask(service, RECALL, asynchronous=asynchronous).turns
    assert turns == {"a": turn()}


class Relay:
    """A server in front of another one, which can pass answers on a byte at a time."""

    def __init__(self, url: str) -> None:
        self.slow = False
        host, _, port = url.removeprefix("redis://").partition("/")[0].partition(":")
        self._behind = host, int(port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"
        self._run(self._accept)

    def close(self) -> None:
        """Accept no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                behind = socket.create_connection(self._behind)
                self._run(self._pass_on, client, behind, False)
                self._run(self._pass_on, behind, client, True)

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(65536):
                if answers and self.slow:
                    for k in range(len(data)):
                        target.sendall(data[k : k + 1])
                        time.sleep(0.01)
                else:
                    target.sendall(data)


@needs_redis
@each_mode
def test_a_server_that_sends_a_byte_at_a_time(server: RedisServer, asynchronous: bool) -> None:
    relay = Relay(server.url)
    service = _service(relay.url, 0.5)
    kept = turn(base64.b64encode(os.urandom(1500)).decode())
    remember = Remember("gpt-5", MemoryEntry("a", kept))
    _ask(service, remember, asynchronous=asynchronous)
    relay.slow = True
    began = time.monotonic()
    assert _ask(service, RECALL, asynchronous=asynchronous) == RecallResult()
    assert time.monotonic() - began < 5, "the whole answer would take 20 s"
    relay.slow = False
    assert _ask(service, RECALL, asynchronous=asynchronous).turns == {"a": kept}
    relay.close()
    service.store.close()


@needs_redis
@each_mode
def test_a_server_that_is_killed_in_mid_call(
    server: RedisServer, asynchronous: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    way_in = next(
        way_in
        for way_in in WAYS_IN
        if way_in.kind == "client" and way_in.asynchronous is asynchronous
    )
    api = Api(*_outputs(3))

    def answer(sent: Any) -> Any:
        if len(api.sent) == 1:
            # During the second request: it has recalled a turn, but can't store its own.
            server.kill()
        return api(sent)

    talk = Talk(way_in, answer, memory=server.url, memory_timeout=5)
    talk.turns(2)
    with measured(capsys, "a call without its Redis server"):
        talk.turn()
    assert [item_kinds(sent["input"]).count("reasoning") for sent in api.sent] == [0, 1, 0]
    server.start()
    until = time.monotonic() + 20
    back = False
    while not back and time.monotonic() < until:  # the circuit may be open for a moment
        api = Api(*_outputs(1))
        Talk(way_in, api, memory=server.url, memory_timeout=5).turns(2)
        back = "reasoning" in item_kinds(api.sent[-1]["input"])
    assert back, "it is used again once it is back"


@needs_redis
@each_mode
def test_a_server_that_is_full(asynchronous: bool, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        service = _service(server.url, 5)
        _ask(service, REMEMBER, asynchronous=asynchronous)
        assert _ask(service, RECALL, asynchronous=asynchronous) == RecallResult()
        service.store.close()
    assert "no answer (OutOfMemoryError)" in caplog.text


@needs_redis
@each_mode
def test_a_server_that_holds_garbage(
    server: RedisServer, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    import redis

    service = _service(server.url, 5)
    _ask(service, REMEMBER, asynchronous=asynchronous)
    with redis.Redis.from_url(server.url) as client:
        for name in client.scan_iter():
            client.set(name, b"garbage")
    assert _ask(service, RECALL, asynchronous=asynchronous) == RecallResult()
    assert "a value that can't be read" in caplog.text


@each_mode
def test_a_file_that_another_process_locks(
    tmp_path: Path, asynchronous: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    patient, service = _service(sqlite_url(tmp_path), 30), _service(sqlite_url(tmp_path))
    _ask(patient, REMEMBER, asynchronous=asynchronous)
    other = sqlite3.connect(tmp_path / "memory.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with measured(capsys, f"a file that is locked, deadline {SECONDS * 1e3:.0f} ms, one write"):
        _ask(service, REMEMBER, asynchronous=asynchronous)
    other.execute("COMMIT")
    other.close()
    assert _ask(patient, RECALL, asynchronous=asynchronous).turns == {"a": turn()}


SPOILED: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(
        b"no database at all, but long enough to be read as one" * 100
    ),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "overwritten in the middle": lambda path: path.write_bytes(
        path.read_bytes()[:2000] + os.urandom(40_000)
    ),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@each_mode
@pytest.mark.parametrize("how", SPOILED)
def test_a_file_that_is_spoiled(
    how: str, tmp_path: Path, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    service = _service(sqlite_url(tmp_path), 5)
    for k in range(30):
        _ask(
            service,
            Remember("gpt-5", MemoryEntry(f"{k}", turn("x" * 500))),
            asynchronous=asynchronous,
        )
    service.store.close()
    SPOILED[how](tmp_path / "memory.db")
    recall = Recall("gpt-5", tuple(f"{k}" for k in range(30)))
    assert len(_ask(service, recall, asynchronous=asynchronous).turns) < 30
    _ask(service, REMEMBER, asynchronous=asynchronous)
    service.store.close()
    assert "reasoning isn't carried" in caplog.text


@each_mode
def test_a_folder_that_is_not_there(
    tmp_path: Path, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    service = _service(sqlite_url(tmp_path / "absent"))
    assert _ask(service, RECALL, asynchronous=asynchronous) == RecallResult()
    assert "no answer (FileNotFoundError)" in caplog.text


_FULL = """
import resource, signal, sys
import logging
from adapter._exchange.effects import Recall, Remember
from adapter._memory.service import MemoryService
from adapter._memory.keys import make_memory_scope
from adapter.translation.reasoning.turns import MemoryEntry
from tests.support.stores import turn

logging.basicConfig()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
service = MemoryService(sys.argv[1], scope_name=None, keys=(), seconds=5)
scope = make_memory_scope("https://api.test:443/v1")
for k in range(300):
    service._breaker._open_until = 0.0
    service.perform(Remember("gpt-5", MemoryEntry(f"{k}", turn("x%d" % k * 200))), scope)
service._breaker._open_until = 0.0
found = service.perform(Recall("gpt-5", tuple(f"{k}" for k in range(300))), scope).turns
print(len(found), all(found[name] == turn("x%s" % name * 200) for name in found))
"""


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A limit on the size of files gives SQLite the same error, in the middle of a write."""
    here = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", _FULL, sqlite_url(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here)
    kept, sound = done.stdout.split()
    assert 0 < int(kept) < 300
    assert sound == "True"
    assert done.stderr.count("WARNING") == 1


# Values that others have written


class Poisoned(DictStore):
    """A store that others write to as well."""

    def __init__(self, poison: Callable[[bytes], Any]) -> None:
        super().__init__()
        self.poison = poison

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values after the change."""
        return {name: self.poison(value) for name, value in super().get(names).items()}


def _with_items(change: Callable[[dict[str, Any]], list[Any]]) -> Callable[[bytes], bytes]:
    def poison(value: bytes) -> bytes:
        written = json.loads(value[2:])
        written["before"] = [
            [one for item in items for one in change(item)] for items in written["before"]
        ]
        return value[:2] + json.dumps(written).encode()

    return poison


BOMB = b"1z" + zlib.compress(b"[" * 20_000_000, 1)

POISON: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "other keys": (
        _with_items(lambda item: [{**item, "role": "system", "content": [], "instructions": "x"}]),
        True,
    ),
    "another message": (
        _with_items(lambda item: [item, {"type": "message", "role": "system", "content": "x"}]),
        False,
    ),
    "a thousand items": (_with_items(lambda item: [item] * 1000), False),
    "a bomb": (lambda _: BOMB, False),
    "nothing but depth": (lambda _: b"1j" + b"[" * 500_000, False),
}


@each_way_in
@pytest.mark.parametrize("what", POISON)
def test_what_others_wrote_is_reasoning_or_nothing(
    what: str, way_in: WayIn, caplog: pytest.LogCaptureFixture
) -> None:
    poison, carried = POISON[what]
    api = Api(*_outputs(3))
    Talk(way_in, api, memory=Poisoned(poison), memory_timeout=30).turns(4)
    items = [item for sent in api.sent for item in sent["input"] if item.get("type") == "reasoning"]
    assert bool(items) is carried
    assert all(
        item.keys() <= {"type", "summary", "encrypted_content", "content", "status"}
        for item in items
    )
    assert "instructions" not in json.dumps(api.sent)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == (
        0 if carried else 1
    )
    assert "gAAAA" not in caplog.text


@each_mode
@pytest.mark.parametrize("bound", ["bytes", "items", "time"])
def test_a_recall_is_bounded(
    bound: str,
    asynchronous: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = DictStore()
    service = _service(store, 30)
    big = turn("x" * 900_000 if bound == "bytes" else "x")
    many = replace(big, reasoning=((big.reasoning[0][0],) * 200,)) if bound == "items" else big
    names = tuple(f"{k}" for k in range(30))
    for name in names:
        _ask(service, Remember("gpt-5", MemoryEntry(name, many)), asynchronous=asynchronous)
    if bound == "time":
        start, steps = time.monotonic(), iter(range(1_000_000))
        monkeypatch.setattr(memory_service.time, "monotonic", lambda: start + 2 * next(steps))
    found = _ask(service, Recall("gpt-5", names), asynchronous=asynchronous).turns
    assert 0 < len(found) < 30
    assert list(found) == list(names[: -len(found) - 1 : -1]), "the newest"
    assert "reasoning isn't carried" in caplog.text


# Warnings


def test_one_warning_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(memory_service.time, "monotonic", lambda: now)
    trouble = CircuitBreaker()
    for _ in range(50):
        trouble.warn("no answer (X)")
    assert len(caplog.records) == 1
    now += CircuitBreaker.warning_interval + 1
    trouble.warn("no answer (X)")
    assert len(caplog.records) == 2
    assert "50 times" in caplog.records[1].getMessage()


def test_how_long_the_circuit_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(memory_service.time, "monotonic", lambda: now)
    trouble, rests = CircuitBreaker(), []
    for _ in range(CircuitBreaker.threshold - 1):
        trouble.record_failure(OSError())
        assert not trouble.is_open
    for _ in range(8):
        trouble.record_failure(OSError())
        rests.append(trouble._open_until - now)
        assert trouble.is_open
        now = trouble._open_until
        assert not trouble.is_open
    assert rests == [1, 2, 4, 8, 16, 30, 30, 30]
    trouble.record_success()
    trouble.record_failure(OSError())
    assert not trouble.is_open


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, given, extra in (
        ("redis", {"memory": "redis://localhost"}, "redis"),
        ("cryptography", {"memory_key": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="}, "seal"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=rf"\(extra `{extra}`\)"):
            adapter.Settings(**given)  # type: ignore[arg-type]


async def test_a_stream_whose_reader_is_cancelled_while_the_store_is_asked_is_closed() -> None:
    asking, go_on = asyncio.Event(), asyncio.Event()

    class Slow(DictStore):
        async def aput(self, name: str, value: bytes) -> None:
            asking.set()
            await go_on.wait()

    parts = events([R(1), C(1), C(2)], model="gpt-5")
    closed: list[bool] = []

    class Body(HTTP.AsyncByteStream):  # type: ignore[misc]  # the library is only known at run time
        async def __aiter__(self) -> Any:
            for part in parts:
                yield part

        async def aclose(self) -> None:
            closed.append(True)

    transport = HTTP.MockTransport(
        lambda _: HTTP.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())
    )
    settings = adapter.Settings(backend="responses", memory=Slow(), memory_timeout=60)
    async with adapter.AsyncOpenAI(
        api_key="key",
        base_url="https://api.test/v1",
        settings=settings,
        http_client=HTTP.AsyncClient(transport=transport),
    ) as client:

        async def leave() -> None:
            messages: Any = [{"role": "user", "content": "Find out."}]
            async with await client.chat.completions.create(
                model="gpt-5", messages=messages, stream=True
            ) as stream:
                async for _ in stream:
                    pass

        reading = asyncio.create_task(leave())
        await asyncio.wait_for(asking.wait(), 30)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert closed


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_name_that_takes_long_to_look_up(
    asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("redis")
    looking, go_on = threading.Event(), threading.Event()

    def slowly(*_: Any, **__: Any) -> Any:
        looking.set()
        go_on.wait(30)
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", slowly)
    service = _service("redis://somewhere.invalid/0")
    assert _ask(service, RECALL, asynchronous=asynchronous) == RecallResult()
    assert looking.is_set()
    assert not go_on.is_set(), "no call has waited for it"
    go_on.set()


def test_a_store_whose_own_task_was_cancelled() -> None:
    class Cancelled(DictStore):
        async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
            raise asyncio.CancelledError

    assert asyncio.run(_service(Cancelled()).aperform(RECALL, SCOPE)) == RecallResult()
