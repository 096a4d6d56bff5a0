"""What Windows lacks is removed here, and what it refuses is refused here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter._memory.stores import parse_store_url
from adapter.tools.audit.checkpoint import write_atomically
from adapter.tools.kill_switch import force_file
from tests.support.answers import both
from tests.support.loopback import Loopback

ROOT = Path(__file__).parents[2]

WITHOUT_POSIX = """
import asyncio, multiprocessing, os, socket, sqlite3, subprocess, sys, tempfile
import openai, pydantic_settings

runner = asyncio.Runner()
runner.get_loop()  # this system's event loop needs what is removed
for name in '''O_NOCTTY O_NOFOLLOW O_NONBLOCK fchmod fchown fork geteuid getuid kill mkfifo mknod
               register_at_fork'''.split():
    delattr(os, name)
del socket.AF_UNIX
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None

import adapter
from adapter.tools.cli import main

url, folder = sys.argv[1:]
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}
settings = adapter.Settings(
    memory=f"sqlite:///{folder}/turns.db", config_file=f"{folder}/adapter.toml"
)
with adapter.OpenAI(base_url=url, api_key="k", settings=settings) as client:
    print(client.chat.completions.create(**asked).choices[0].message.content)
    print(sum(1 for _ in client.chat.completions.create(stream=True, **asked)))

async def asynchronous():
    inner = openai.DefaultAsyncHttpxClient(transport=adapter.AsyncTransport(settings=settings))
    async with openai.AsyncOpenAI(base_url=url, api_key="k", http_client=inner) as client:
        print((await client.chat.completions.create(**asked)).choices[0].message.content)

with runner:
    runner.run(asynchronous())
sys.argv = ["adapter", "force", "chat", f"{folder}/adapter.toml"]
main()
"""


def test_without_what_only_posix_has(tmp_path: Path) -> None:
    (tmp_path / "adapter.toml").write_text('backend = "responses"\n')
    with Loopback(both) as server:
        command = [
            sys.executable,
            "-W",
            "error",
            "-c",
            WITHOUT_POSIX,
            server.base_url,
            str(tmp_path),
        ]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == ["Hello there", "4", "Hello there"]
    assert [request.path for request in server.requests] == ["/v1/responses"] * 3
    assert 'force = "chat"' in (tmp_path / "adapter.toml").read_text()


WRITERS: dict[str, Callable[[Path], object]] = {
    "a state or a page of the audit": lambda path: write_atomically(path, "new"),
    "the kill switch": lambda path: force_file(path, "chat"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_replaced_is_closed(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows can't rename a file that is open."""
    replaced = []
    replace = os.replace

    def strict(source: str, target: str) -> None:
        assert not _is_open(source)
        replaced.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", strict)
    file = tmp_path / "adapter.toml"
    file.write_text('backend = "responses"\n')
    WRITERS[writer](file)
    assert replaced == [file]
    assert [each.name for each in tmp_path.iterdir()] == ["adapter.toml"]


def _is_open(path: str) -> bool:
    wanted = Path(path).stat()
    for handle in range(256):
        try:
            found = os.fstat(handle)
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def test_no_unix_sockets_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as there:
        there.setattr(sys, "platform", "win32")
        with pytest.raises(ValueError, match="no Unix sockets for Python on Windows"):
            parse_store_url("unix:///run/redis.sock")
    assert parse_store_url("unix:///run/redis.sock").kind == "unix"
