"""Faults, and a server that commits them in the format of either API.

fault_table.py has the table.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal

from tests.support import answers
from tests.support.loopback import HOLD, Loopback, Reply, Request

Call = Literal["create", "parse", "stream", "helper", "lines"]
CALLS: Final[tuple[Call, ...]] = ("create", "parse", "stream", "helper", "lines")
WHOLE: Final[tuple[Call, ...]] = ("create", "parse")
STREAMED: Final[tuple[Call, ...]] = ("stream", "helper", "lines")

Step = Any  # bytes, or one of HOLD, RESET, CLOSE, PAUSE, DEAF, STUCK
RESET: Final = "reset"
CLOSE: Final = "close"
PAUSE: Final = "pause"
DEAF: Final = "deaf"  # don't even read the request
STUCK: Final = "stuck"  # until the test is over

WORD = '{"word": "hello"}'


@dataclass(frozen=True)
class UpstreamReply:
    """What upstream answers, in the format of one API, as a stream or whole."""

    chat: bool
    streamed: bool
    attempt: int

    @property
    def parts(self) -> list[bytes]:
        """Return the pieces in which the whole answer is sent."""
        if self.streamed:
            return (
                answers.chat_events("Hello ", "there")
                if self.chat
                else answers.events("Hello ", "there")
            )
        whole = (
            answers.completion(WORD) if self.chat else answers.response(answers.message_item(WORD))
        )
        return [json.dumps(whole).encode()]

    @property
    def body(self) -> bytes:
        """Return the whole answer."""
        return b"".join(self.parts)

    @property
    def half(self) -> bytes:
        """Return the answer up to and including its first word.

        Of a whole answer it returns the first bytes.
        """
        return b"".join(self.parts[: 2 if self.chat else 5]) if self.streamed else self.body[:60]

    @property
    def rest(self) -> bytes:
        """Return what follows `half`."""
        return self.body[len(self.half) :]

    def head(
        self, *headers: str, length: int | None = None, framing: str = "chunked", status: int = 200
    ) -> bytes:
        """Write the head of a reply of the expected kind."""
        kind = "text/event-stream" if self.streamed else "application/json"
        frame = f"content-length: {length}" if length is not None else _FRAMINGS[framing]
        return http_head(status, f"content-type: {kind}", frame, *headers)

    def event(self, chat: bytes, responses: bytes) -> bytes:
        """Return the event of this API."""
        return chat if self.chat else responses


_NOTHING = UpstreamReply(chat=True, streamed=False, attempt=0)
_FRAMINGS = {"chunked": "transfer-encoding: chunked", "close": "connection: close"}
END = b"0\r\n\r\n"


def http_head(status: int, *headers: str) -> bytes:
    """Write a status line and headers."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "x-request-id: req_1",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def chunk(data: bytes) -> bytes:
    """Frame a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def page(status: int, kind: str, body: bytes, *headers: str) -> list[Step]:
    """Answer with a whole body."""
    return [
        http_head(status, f"content-type: {kind}", f"content-length: {len(body)}", *headers),
        body,
    ]


def error_object(code: str = "some_code") -> dict[str, Any]:
    """Make the error object of either API."""
    return {"message": "Upstream says no.", "type": "some_type", "param": None, "code": code}


def refusal(status: int, *headers: str, code: str = "some_code") -> list[Step]:
    """Answer with an error of the API."""
    return page(
        status, "application/json", json.dumps({"error": error_object(code)}).encode(), *headers
    )


def whole(reply: UpstreamReply, body: bytes, *headers: str) -> list[Step]:
    """Answer with a body of the expected kind, in one piece."""
    return [reply.head(*headers, length=len(body)), body]


def frame(value: Any) -> bytes:
    """Write an event without a name."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


Script = Callable[[UpstreamReply], Sequence[Step]]


@dataclass(frozen=True)
class Differs:
    """Reasons why some cells differ, and for which calls.

    `modes` and `sdk` (from, below) restrict them.
    """

    calls: Sequence[Call]
    why: str
    modes: Sequence[str] = ("sync", "async")
    sdk: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (99, 0))


@dataclass(frozen=True)
class Fault:
    """One fault: a server's steps for a request, or an act of the caller.

    A step is bytes to send, or a hold, a close or a reset.

    `differs` has the reasons where the adapter's result differs from that of Chat Completions
    itself: a cell without a reason must be equal, a cell with one must not. `harmless`: the
    adapter's caller gets the whole answer nevertheless. `act` is what the caller's side does, at
    chunk number `at`, or (-1) as soon as the server holds.
    """

    name: str
    script: Script = lambda reply: [reply.head(), chunk(reply.body), END]
    calls: Sequence[Call] = CALLS
    modes: Sequence[str] = ("sync", "async")
    differs: Sequence[Differs] = ()
    harmless: bool = False
    timeout: Mapping[str, float] = field(default_factory=dict)
    act: Literal[
        "", "cancel", "interrupt", "raise", "close between", "close during", "close client"
    ] = ""
    at: int = -1
    where: Literal["", "refused", "full", "tls"] = ""
    big: bool = False
    occupied: bool = False
    greeting: bytes = b""


class FaultServer(Loopback):
    """A server that answers each request with a fault; `holding` is set whenever it holds."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.holding = threading.Event()
        self.over = threading.Event()
        self.deaf = fault.script(_NOTHING)[0] == DEAF
        super().__init__()
        if self.deaf:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def close(self) -> None:
        """Release everything."""
        self.over.set()
        super().close()

    def _serve(self, connection: socket.socket, number: int) -> None:
        if not self.fault.greeting and not self.deaf:
            super()._serve(connection, number)
            return
        with contextlib.suppress(OSError):
            connection.recv(1)
            if self.deaf:
                self._steps(connection, self.fault.script(_NOTHING))
            else:
                connection.sendall(self.fault.greeting)
        connection.close()
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def _reply(self, request: Request) -> Reply:
        body = request.json()
        chat = request.path.endswith("/chat/completions")
        reply = UpstreamReply(chat, bool(body.get("stream")), len(self.requests))
        if self.fault.occupied and reply.attempt == 1:
            return Reply(parts=[reply.head(), chunk(reply.half), HOLD])
        return Reply(parts=list(self.fault.script(reply)))

    def _write(self, connection: socket.socket, reply: Reply, request: Request) -> bool:
        return self._steps(connection, list(reply.parts))

    def _steps(self, connection: socket.socket, steps: Sequence[Step]) -> bool:
        for step in steps:
            if step is HOLD:
                self.holding.set()
                while connection.recv(65536):
                    pass
                return False
            if step == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            if step == CLOSE:
                return False
            if step == PAUSE:
                threading.Event().wait(0.05)
            elif step == DEAF:
                continue
            elif step == STUCK:
                self.over.wait(5)
            else:
                connection.sendall(step)
        return not any(
            isinstance(step, bytes) and b"connection: close" in step[:400] for step in steps
        )


@contextlib.contextmanager
def address(fault: Fault, server: FaultServer) -> Iterator[str]:
    """Return the address to call.

    It is the server's, or one that refuses or never accepts connections.
    """
    match fault.where:
        case "tls":
            yield server.base_url.replace("http:", "https:")
        case "refused":
            with socket.create_server(("127.0.0.1", 0)) as gone:
                port = gone.getsockname()[1]
            yield f"http://127.0.0.1:{port}/v1"
        case "full":
            with contextlib.ExitStack() as stack:
                yield f"http://127.0.0.1:{_full_listener(stack)}/v1"
        case _:
            yield server.base_url


def _full_listener(stack: contextlib.ExitStack) -> int:
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):  # more than the queue holds, generously
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])


def can_fill_a_listener() -> bool:
    """Return whether this system leaves connections pending when a listener's queue is full.

    Other systems refuse or accept them.
    """
    with contextlib.ExitStack() as stack:
        port = _full_listener(stack)
        late = stack.enter_context(socket.socket())
        late.settimeout(0.1)
        try:
            late.connect(("127.0.0.1", port))
        except TimeoutError:
            return True
        except OSError:
            return False
    return False
