"""Start, await and stop a server in a subprocess."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers import ServerUnavailable


@dataclass(frozen=True, slots=True)
class Server:
    """Say where a running server is."""

    host: str
    port: int
    api_key: str | None = None

    @property
    def base_url(self) -> str:
        """Give the URL for the SDK's `base_url`."""
        return f"http://{self.host}:{self.port}/v1"


def usable_port(wanted: int = 0) -> int:
    """Give the port wanted, or with 0 some free one; raise `ServerUnavailable` for one that is taken.

    Else the health page of whoever has it would pass for the new server's.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise ServerUnavailable(f"port {wanted}: {error.strerror}") from error
        return int(probe.getsockname()[1])


def await_ready(
    server: Server, process: subprocess.Popen[bytes], log: Path, patience: float
) -> None:
    """Wait until the server's health page answers 200, for at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(
                f"http://{server.host}:{server.port}/health", timeout=2
            ) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    tail = log.read_text(errors="replace")[-2000:]
    raise ServerUnavailable(
        f"the server did not start (exit code {process.poll()}); the end of its log:\n{tail}"
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server that this process started, gently first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_by_hand(serving: AbstractContextManager[Server]) -> None:
    """Run a server, say where it is, and stop it on SIGINT or SIGTERM."""
    # As an exception, so that the block's end still stops the subprocess.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with serving as server:
        print(server.base_url, flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
