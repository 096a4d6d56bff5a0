"""A small HTTP/1.1 server on the loopback that answers by a script and records its requests.

Raw sockets, so that a reply can be cut at any byte and a connection dropped at any moment. Each
connection has its thread; nothing sleeps or polls.

    with Loopback(lambda request: Reply.of_json({"ok": True})) as server:
        client = OpenAI(base_url=server.base_url, api_key="key")
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal, Self

Headers = tuple[tuple[str, str], ...]


class _Hold:
    """See HOLD."""


HOLD: Final = _Hold()
"""Among a reply's parts: wait until the client disconnects, and send nothing more."""


@dataclass(frozen=True, slots=True)
class Request:
    """A received request: `headers` in order and with their case, `connection` is its number."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        """Return the first header of that name, ignoring case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to send.

    `framing`: `length` sends the parts with their total length, `chunked` each part as a chunk of
    its own, `close` ends the body with the connection. `ending`: `complete`, or after the last part
    `close` (a plain end, short of what the framing promised) or `reset`. With `no_head` and no
    parts, nothing is sent at all.
    """

    status: int = 200
    headers: Headers = ()
    parts: Iterable[bytes | _Hold] = ()
    framing: Literal["length", "chunked", "close"] = "length"
    ending: Literal["complete", "close", "reset"] = "complete"
    gzip: bool = False
    no_head: bool = False

    @classmethod
    def of_json(cls, value: object, status: int = 200, headers: Headers = (), **more: Any) -> Self:
        """Answer with JSON."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, (("content-type", "application/json"), *headers), [body], **more)

    @classmethod
    def of_sse(cls, parts: Iterable[bytes | _Hold], headers: Headers = (), **more: Any) -> Self:
        """Answer with a stream, each part in its own chunk."""
        head = (("content-type", "text/event-stream; charset=utf-8"), *headers)
        return cls(200, head, parts, **{"framing": "chunked", **more})

    @classmethod
    def redirect(cls, location: str, status: int = 307) -> Self:
        """Redirect the client."""
        return cls(status, (("location", location),))

    @classmethod
    def drop(cls, ending: Literal["close", "reset"] = "close") -> Self:
        """Close the connection without a reply."""
        return cls(ending=ending, no_head=True)


Answer = Callable[[Request], Reply]


class Loopback:
    """The server; a context manager.

    `answer` is a callable, or a list of replies that are used up in order, and may be replaced at
    any time. Its exceptions are raised again when the server closes, so that an assertion in it
    fails the test.
    """

    def __init__(self, answer: Answer | Sequence[Reply] = ()) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._errors: list[BaseException] = []
        self._changed = threading.Condition()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    @property
    def url(self) -> str:
        """The server's root URL, without a slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The SDK's `base_url`."""
        return f"{self.url}/v1"

    @property
    def open_connections(self) -> int:
        """Return the number of open connections."""
        return len(self._open)

    def wait_for(self, condition: Callable[[Loopback], bool], seconds: float = 5.0) -> bool:
        """Wait until `condition(server)` is true.

        It is checked whenever a request, a connection or a disconnect occurs.
        """
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.close()
        if kind is None and self._errors:
            raise self._errors[0]

    def close(self) -> None:
        """Stop listening, drop open connections and wait for the threads."""
        if self._closing:
            return
        self._closing = True
        # Closing a listener doesn't wake the thread that waits on it; a connection does, on every
        # system.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        with self._changed:
            still_open = list(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.connections += 1
                self._open.add(connection)
                self._changed.notify_all()
            self._spawn(self._serve, connection, self.connections)

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with contextlib.suppress(OSError):  # the client may disconnect at any time
                reader = _Reader(connection)
                while (request := reader.request(number)) is not None:
                    with self._changed:
                        self.requests.append(request)
                        self._changed.notify_all()
                    reply = self._reply(request)
                    if (
                        not self._write(connection, reply, request)
                        or request.header("connection") == "close"
                    ):
                        break
        finally:
            connection.close()
            with self._changed:
                self._open.discard(connection)
                self._changed.notify_all()

    def _reply(self, request: Request) -> Reply:
        try:
            if callable(self.answer):
                return self.answer(request)
            with self._changed:
                first, *self.answer = self.answer
            return first
        except BaseException as error:  # noqa: BLE001 - raised in the test
            if isinstance(error, ValueError) and not callable(self.answer):
                error = AssertionError(f"no reply is left for {request.method} {request.path}")
            self._errors.append(error)
            return Reply.of_json({"error": {"message": f"the script failed: {error!r}"}}, 500)

    def _write(self, connection: socket.socket, reply: Reply, request: Request) -> bool:
        """Send a reply and return whether the connection stays open."""
        if not reply.no_head and not self._write_reply(connection, reply, request):
            return False
        if reply.ending == "reset":
            # A linger time of zero makes the close an RST, the other way in which networks fail.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return reply.ending == "complete" and reply.framing != "close" and not reply.no_head

    def _write_reply(self, connection: socket.socket, reply: Reply, request: Request) -> bool:
        headers = list(reply.headers)
        parts: Iterable[bytes | _Hold] = reply.parts
        if reply.gzip:
            headers.append(("content-encoding", "gzip"))
            parts = _gzipped(parts)
        bodiless = request.method == "HEAD" or reply.status in {204, 304}
        if reply.framing == "length":
            parts = list(parts)
            length = sum(len(part) for part in parts if isinstance(part, bytes))
            # A body that is going to be cut must promise more than it sends.
            headers.append(("content-length", str(length + (reply.ending != "complete"))))
        elif reply.framing == "chunked":
            headers.append(("transfer-encoding", "chunked"))
        else:
            headers.append(("connection", "close"))
        connection.sendall(_head(reply.status, headers))
        if bodiless:
            return True
        for part in parts:
            if isinstance(part, _Hold):
                while connection.recv(4096):
                    pass
                return False
            if part:  # an empty chunk would end the body
                connection.sendall(
                    b"%x\r\n%b\r\n" % (len(part), part) if reply.framing == "chunked" else part
                )
        if reply.framing == "chunked" and reply.ending == "complete":
            connection.sendall(b"0\r\n\r\n")
        return True


class _Reader:
    """A reader of requests from one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def request(self, number: int) -> Request | None:
        """Read one request; None when the client has disconnected."""
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = tuple(
            (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
        )
        path, _, query = target.partition("?")
        body = self._body({name.lower(): value for name, value in headers})
        return None if body is None else Request(method, path, query, headers, body, number)

    def _body(self, headers: dict[str, str]) -> bytes | None:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._exactly(int(headers.get("content-length", "0")))
        body = b""
        while (line := self._until(b"\r\n")) is not None:
            chunk = self._exactly(int(line.partition(b";")[0], 16))
            if chunk is None or self._until(b"\r\n") is None:
                return None
            if not chunk:
                return body
            body += chunk
        return None

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._more():
                return None
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not self._more():
                return None
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _more(self) -> bool:
        data = self._connection.recv(65536)
        self._buffer += data
        return bool(data)


def _head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _gzipped(parts: Iterable[bytes | _Hold]) -> Iterable[bytes | _Hold]:
    """Compress part by part, so that each part can be read before the next one is sent."""
    packer = zlib.compressobj(wbits=31)
    for part in parts:
        yield (
            part
            if isinstance(part, _Hold)
            else packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
        )
    yield packer.flush()
