"""Real stores for the memory: Redis on the loopback, SQLite files, and a user's own store."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path

import pytest

import adapter
from adapter.translation.reasoning.turns import RememberedTurn, TurnMessage

SERVER = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(
    SERVER is None or find_spec("redis") is None,
    reason="redis-server (Debian: apt-get install redis-server) or redis-py isn't installed",
)


@dataclass(slots=True)
class RedisServer:
    """A Redis server on a port of the loopback."""

    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """Start it, and wait until it answers."""
        assert SERVER is not None
        arguments = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
            *options,
        ]
        self.process = subprocess.Popen(
            [SERVER, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < until, "redis-server doesn't answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as asked,
        ):
            asked.sendall(b"PING\r\n")
            return asked.recv(16).startswith(b"+PONG")
        return False

    def hang(self) -> None:
        """Let it accept connections but never answer."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """Run a Redis server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = RedisServer(free.getsockname()[1])
    server.start(*options)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    """Yield a Redis server for the tests of a file that don't change its state."""
    with redis_server() as server:
        yield server


class DictStore(adapter.Store):
    """A user's own store, as the documentation shows it."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that exist."""
        return {name: self.values[name] for name in names if name in self.values}

    def put(self, name: str, value: bytes) -> None:
        """Store a value."""
        self.values[name] = value

    def delete(self, names: Sequence[str]) -> None:
        """Delete values."""
        for name in names:
            self.values.pop(name, None)

    def forget(self, pattern: str) -> int:
        """Delete every value whose name matches."""
        matching = [name for name in self.values if fnmatchcase(name, pattern)]
        self.delete(matching)
        return len(matching)


def turn(text: str = "gAAAA", calls: int = 1, summary: str = "") -> RememberedTurn:
    """Make a turn that can be remembered."""
    summaries = [{"type": "summary_text", "text": summary}] if summary else []
    item = {"type": "reasoning", "id": "rs_1", "summary": summaries, "encrypted_content": text}
    digests = tuple(f"{k:032x}" for k in range(calls))
    ids = tuple(f"fc_{k}" for k in range(calls))
    return RememberedTurn(
        digests,
        ((item,), *[()] * (calls - 1)),
        TurnMessage(1, "commentary", "0" * 32, "msg_1"),
        ids,
    )


def sqlite_url(folder: Path, name: str = "memory.db", **bounds: object) -> str:
    """Return the URL of a file."""
    query = "&".join(f"{key}={value}" for key, value in bounds.items())
    return f"sqlite:///{folder / name}" + (f"?{query}" if query else "")
