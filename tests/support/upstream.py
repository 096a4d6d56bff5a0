"""A fast upstream in its own process: replies are serialised once, and a request costs little.

    with Upstream() as upstream:
        client = OpenAI(base_url=upstream.base_url, api_key="key")
        upstream.open_connections()

The model's name selects the reply: `short` (a whole stream at once), `pieces` (event by event),
`endless` (deltas until the client disconnects), `held` (some text, then nothing), `silent` (not
even a head), `gate-N` (some text, and the rest when N streams have started). Both APIs answer; the
first word of each text is the user's, so that mixed-up streams show.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Self

from tests.support import answers

_MARK = "@@"
_TAIL = [" and", " so", " on", "."]
TEXT = f"{_MARK}{''.join(_TAIL)}"
"""The text of every whole answer, where `@@` is the user's message."""

_MODEL = re.compile(rb'"model": ?"([^"]+)"')
_CONTENT = re.compile(rb'"content": ?"([^"]*)"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _opened(parts: list[bytes], count: int) -> tuple[bytes, list[bytes]]:
    """Cut a stream after its first words; the rest stays in pieces."""
    return b"".join(parts[:count]), parts[count:]


_STREAMS = {
    b"/v1/responses": _opened(answers.events(_MARK, *_TAIL), 5),
    b"/v1/chat/completions": _opened(answers.chat_events(_MARK, *_TAIL), 2),
}
_ENDLESS = {
    b"/v1/responses": _chunk(answers.delta("on ")),
    b"/v1/chat/completions": _chunk(answers.chat_events("on ")[1]),
}
_WHOLES = {
    b"/v1/responses": json.dumps(answers.response(answers.message_item(TEXT))).encode(),
    b"/v1/chat/completions": json.dumps(answers.completion(TEXT)).encode(),
}


class _Server(asyncio.Protocol):
    """One connection."""

    open_now = 0
    streams = 0
    peak = 0
    gates: dict[bytes, list[_Server]] = {}  # noqa: RUF012  # shared by all connections on purpose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""
        self.path = b""
        cls = type(self)
        cls.open_now += 1
        cls.peak = max(cls.peak, cls.open_now)

    def connection_lost(self, exc: Exception | None) -> None:
        type(self).open_now -= 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (at := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:at]
            length = _LENGTH.search(head)
            end = at + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < end:
                return
            body, self.buffer = self.buffer[at + 4 : end], self.buffer[end:]
            self.path = head.split(b" ", 2)[1]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        cls = type(self)
        if self.path == b"/stats":
            # The connection of this request doesn't count.
            stats = {"open": cls.open_now - 1, "streams": cls.streams, "peak": cls.peak}
            self._whole(json.dumps(stats).encode())
            return
        cls.streams += 1
        model, content = _MODEL.search(body), _CONTENT.search(body)
        assert model is not None
        words = content[1] if content else b""
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self._whole(_WHOLES[self.path].replace(_MARK.encode(), words))
            return
        self._stream(model[1], words)

    def _whole(self, body: bytes) -> None:
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % len(body)
        )
        self.transport.write(head + body)

    def _stream(self, model: bytes, words: bytes) -> None:
        if model == b"silent":
            return
        first, rest = _STREAMS[self.path]
        begun = _HEAD + _chunk(first.replace(_MARK.encode(), words))
        rest = [part.replace(_MARK.encode(), words) for part in rest]
        if model == b"short":
            self.transport.write(begun + _chunk(b"".join(rest)) + _END)
            return
        self.transport.write(begun)
        if model == b"pieces":
            asyncio.get_running_loop().call_soon(self._piece, rest)
        elif model == b"endless":
            self._more(_ENDLESS[self.path])
        elif model.startswith(b"gate-"):
            self.rest = _chunk(b"".join(rest)) + _END
            self._wait_at(model)

    def _piece(self, rest: list[bytes]) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(_chunk(rest[0]) if rest else _END)
        if rest:
            asyncio.get_running_loop().call_soon(self._piece, rest[1:])

    def _more(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)
            asyncio.get_running_loop().call_later(0.002, self._more, data)

    def _wait_at(self, gate: bytes) -> None:
        waiting = self.gates.setdefault(gate, [])
        waiting.append(self)
        if len(waiting) == int(gate.removeprefix(b"gate-")):
            del self.gates[gate]
            for one in waiting:
                one.transport.write(one.rest)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Server, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)  # until the tests release it


class Upstream:
    """The server's process; a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.upstream"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    @property
    def base_url(self) -> str:
        """The SDK's `base_url`."""
        return f"{self.url}/v1"

    def stats(self) -> dict[str, int]:
        """Return the numbers of `open` connections, of the `peak`, and of `streams` requested."""
        with urllib.request.urlopen(f"{self.url}/stats", timeout=10) as reply:
            stats: dict[str, int] = json.load(reply)
        return stats


if __name__ == "__main__":
    asyncio.run(_serve())
