"""Redis servers of every kind on the loopback.

With TLS, on a socket, a cluster of three, and one that a sentinel monitors.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.stores import SERVER
from tests.support.tls import make_certificate

PASSWORD = "p@ss/w#rd?%:é"  # of nothing
_SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> None:
    """Wait for a condition; an error of redis-py's means "not yet"."""
    import redis

    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if condition():
                return
        assert time.monotonic() < end, f"{what} didn't come about"
        time.sleep(0.02)


@dataclass
class Kinds:
    """The servers. Each is started when its URL is first requested; `close` ends them."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="redis-")))
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _urls: dict[str, str] = field(default_factory=dict)
    sentinel_server: Any = None

    def url(self, kind: str) -> str:
        """Return the URL of a kind of server."""
        if kind not in self._urls:
            self._urls[kind] = getattr(self, f"_{kind}")()
        return self._urls[kind]

    def close(self) -> None:
        """End all servers."""
        for process in self._running:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, *options: object) -> subprocess.Popen[bytes]:
        assert SERVER is not None
        here = Path(tempfile.mkdtemp(dir=self.folder))
        plain = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", str(here)]
        arguments = [str(one) for one in options]
        command = [SERVER, *arguments, *([] if "--sentinel" in arguments else plain)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._running.append(process)
        return process

    def _tls(self) -> str:
        import redis

        made, port = make_certificate(self.folder), _free_port()
        self._start(
            "--port", 0, "--tls-port", port, "--tls-cert-file", made.certificate, "--tls-key-file", made.key,
            "--tls-ca-cert-file", made.certificate, "--tls-auth-clients", "no", "--requirepass", PASSWORD,
        )  # fmt: skip
        url = f"rediss://:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0?ssl_ca_certs={quote(str(made.certificate))}"
        with redis.Redis.from_url(url) as client:
            until(client.ping, "TLS")
        return url

    def _unix(self) -> str:
        import redis

        path = self.folder / "redis.sock"
        self._start("--port", 0, "--unixsocket", path)
        with redis.Redis.from_url(f"unix://{path}") as client:
            until(client.ping, "a socket")
        return f"unix://{path}?db=1"

    def _cluster(self) -> str:
        import redis

        ports = [(_free_port(), _free_port()) for _ in _SLOTS]
        for port, bus in ports:
            self._start(
                "--port", port, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-config-file", f"nodes-{port}.conf",
                "--requirepass", PASSWORD,
            )  # fmt: skip
        clients = [redis.Redis(port=port, password=PASSWORD) for port, _ in ports]
        for number, (client, (first, last)) in enumerate(zip(clients, _SLOTS, strict=True), 1):
            until(client.ping, "a node")
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number)
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", *ports[0])

        until(lambda: _agree(clients), "a cluster")
        for client in clients:
            client.close()
        hosts = ",".join(f"127.0.0.1:{port}" for port, _ in ports[:2])
        return f"redis+cluster://:{quote(PASSWORD, safe='')}@{hosts}"

    def _sentinel(self) -> str:
        import redis

        port, other, watcher = _free_port(), _free_port(), _free_port()
        secret = (
            "--requirepass",
            PASSWORD,
            "--masterauth",
            PASSWORD,
            "--repl-diskless-sync-delay",
            0,
        )
        self.sentinel_server = self._start("--port", port, *secret)
        self._start("--port", other, "--replicaof", "127.0.0.1", port, *secret)
        with redis.Redis(port=other, password=PASSWORD) as client:
            until(lambda: client.info("replication")["master_link_status"] == "up", "a replica")
        config = self.folder / "sentinel.conf"
        config.write_text(
            f"port {watcher}\nbind 127.0.0.1\ndir {self.folder}\nsentinel monitor shop 127.0.0.1 {port} 1\n"
            f"sentinel auth-pass shop {PASSWORD}\nsentinel down-after-milliseconds shop 200\n"
            "sentinel failover-timeout shop 2000\nrequirepass watching\n",
            encoding="utf-8",
        )
        self._start(config, "--sentinel")
        with redis.Redis(port=watcher, password="watching") as client:
            until(lambda: client.execute_command("SENTINEL", "REPLICAS", "shop"), "a sentinel")
        hosts = f"127.0.0.1:1,127.0.0.1:{watcher}"  # one of them is down
        return f"redis+sentinel://:{quote(PASSWORD, safe='')}@{hosts}/shop/0?sentinel_password=watching"


def _agree(clients: list[Any]) -> bool:
    for client in clients:
        info, nodes = client.cluster("info"), client.cluster("nodes")
        if (
            info["cluster_state"] != "ok"
            or len(nodes) != len(_SLOTS)
            or not all(one["connected"] for one in nodes.values())
        ):
            return False
    return True


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def all_kinds() -> Iterator[Kinds]:
    """Yield the servers."""
    kinds = Kinds()
    try:
        yield kinds
    finally:
        kinds.close()
