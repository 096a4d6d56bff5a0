"""Everything that can go wrong between a caller and upstream, as a table: each fault in the format of either API.

A fault says what a server does with a request (bytes, and then holding, closing or resetting the connection), or what the caller
does while it waits. `differs` holds the reasons where the adapter shows something else than Chat Completions itself does; a cell
without a reason must be the same, a cell with one must not.
"""

from __future__ import annotations

import contextlib
import gzip
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
STUCK: Final = "stuck"  # and leave it so, until the test is over

WORD = '{"word": "hello"}'


@dataclass(frozen=True)
class Said:
    """What upstream has to say, in the format of one API, as a stream or whole."""

    chat: bool
    streamed: bool
    attempt: int

    @property
    def parts(self) -> list[bytes]:
        """Give the whole answer in the pieces in which it's sent."""
        if self.streamed:
            return answers.chat_events("Hello ", "there") if self.chat else answers.events("Hello ", "there")
        whole = answers.completion(WORD) if self.chat else answers.response(answers.message_item(WORD))
        return [json.dumps(whole).encode()]

    @property
    def body(self) -> bytes:
        """Give the whole answer."""
        return b"".join(self.parts)

    @property
    def half(self) -> bytes:
        """Give the answer up to, and with, its first word; of a whole one some bytes."""
        return b"".join(self.parts[: 2 if self.chat else 5]) if self.streamed else self.body[:60]

    @property
    def rest(self) -> bytes:
        """Give what follows `half`."""
        return self.body[len(self.half) :]

    def head(self, *headers: str, length: int | None = None, framing: str = "chunked", status: int = 200) -> bytes:
        """Write the head of a reply of the expected kind."""
        kind = "text/event-stream" if self.streamed else "application/json"
        frame = f"content-length: {length}" if length is not None else _FRAMINGS[framing]
        return _head(status, f"content-type: {kind}", frame, *headers)

    def event(self, chat: bytes, responses: bytes) -> bytes:
        """Choose by API."""
        return chat if self.chat else responses


_NOTHING = Said(chat=True, streamed=False, attempt=0)
_FRAMINGS = {"chunked": "transfer-encoding: chunked", "close": "connection: close"}
_END = b"0\r\n\r\n"


def _head(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "x-request-id: req_1", *headers, "", ""]
    return "\r\n".join(lines).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _page(status: int, kind: str, body: bytes, *headers: str) -> list[Step]:
    return [_head(status, f"content-type: {kind}", f"content-length: {len(body)}", *headers), body]


def _error(code: str = "some_code") -> dict[str, Any]:
    return {"message": "Upstream says no.", "type": "some_type", "param": None, "code": code}


def _refusal(status: int, *headers: str, code: str = "some_code") -> list[Step]:
    return _page(status, "application/json", json.dumps({"error": _error(code)}).encode(), *headers)


def _whole(said: Said, body: bytes, *headers: str) -> list[Step]:
    return [said.head(*headers, length=len(body)), body]


def _frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


Script = Callable[[Said], Sequence[Step]]


@dataclass(frozen=True)
class Differs:
    """Why some cells aren't the same, and in which calls; `modes` and `sdk` (from, below) narrow it down."""

    calls: Sequence[Call]
    why: str
    modes: Sequence[str] = ("sync", "async")
    sdk: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (99, 0))


@dataclass(frozen=True)
class Fault:
    """One fault.

    `harmless`: the caller gets the whole answer all the same. `clean`: cells in which even the adapter's caller sees no error, with
    the reason. `act` is what the caller's side does: `at` a number of chunks, or (-1) as soon as the server holds.
    """

    name: str
    script: Script = lambda said: [said.head(), _chunk(said.body), _END]
    calls: Sequence[Call] = CALLS
    modes: Sequence[str] = ("sync", "async")
    differs: Sequence[Differs] = ()
    harmless: bool = False
    clean: Sequence[Call] = ()
    timeout: Mapping[str, float] = field(default_factory=dict)
    act: Literal["", "cancel", "interrupt", "raise", "close between", "close during", "close client"] = ""
    at: int = -1
    where: Literal["", "refused", "full", "tls"] = ""
    big: bool = False
    occupied: bool = False
    greeting: bytes = b""


class FaultServer(Loopback):
    """A server that does to each request what a fault says; `holding` is set whenever it holds."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.holding = threading.Event()
        self.over = threading.Event()
        self.deaf = fault.script(_NOTHING)[0] == DEAF
        super().__init__()
        if self.deaf:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def close(self) -> None:
        """Let go of everything."""
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
        said = Said(chat, bool(body.get("stream")), len(self.requests))
        if self.fault.occupied and said.attempt == 1:
            return Reply(parts=[said.head(), _chunk(said.half), HOLD])
        return Reply(parts=list(self.fault.script(said)))

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
        return not any(isinstance(step, bytes) and b"connection: close" in step[:400] for step in steps)


@contextlib.contextmanager
def address(fault: Fault, server: FaultServer) -> Iterator[str]:
    """Give the address to call: the server's, or one where nobody listens, or where nobody accepts."""
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
    for _ in range(4):  # more than the queue holds, where the system counts generously
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])


def can_fill_a_listener() -> bool:
    """Tell whether this system lets connections wait when a listener's queue is full, instead of refusing or taking them."""
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


# The table

_SOON = {"read": 0.6}

HALF_JSON = "the adapter says what happened (an APIError by status 502); the SDK's own JSON error would come up raw"
CLEAN_END = "no half answers: natively a body without a length of its own that breaks off looks like a clean end"
BAD_EVENT = "the adapter ends the stream with the SDK's APIError; natively the parser's own JSON error comes up raw"
NOT_THE_API = (
    "no half answers: a page that is no Response is an error (502); natively a string or an empty object is returned"
)
PEEKED = "the adapter reads the first events before it lets `create` return (a failure there is raised by status, as Chat does)"


def _ends(name: str, end: Step) -> list[Fault]:
    return [
        Fault(f"{name} before the head", lambda said: [end]),
        Fault(f"{name} in the head", lambda said: [said.head()[:40], end]),
        Fault(f"{name} after the head", lambda said: [said.head(), end]),
        Fault(f"{name} in mid-body", lambda said: [said.head(), _chunk(said.half), _chunk(said.rest)[:30], end]),
        Fault(f"{name} between two events", lambda said: [said.head(), _chunk(said.half), end]),
    ]


CONNECTING = [
    Fault("connection refused", where="refused"),
    Fault("TLS to a plain port", where="tls", greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    Fault("no answer to the connection", where="full", timeout={"connect": 0.2}),
    Fault("no connection left in the pool", occupied=True, timeout={"pool": 0.2}),
    Fault("reset while the request is sent", lambda said: [DEAF, RESET], big=True, timeout={"write": 2.0}),
    Fault("request not taken", lambda said: [DEAF, STUCK], big=True, timeout={"write": 0.3}),
]

STALLS = [
    Fault("stall before the head", lambda said: [HOLD], timeout=_SOON),
    Fault("stall in the head", lambda said: [said.head()[:40], HOLD], timeout=_SOON),
    Fault("stall before the first event", lambda said: [said.head(), HOLD], timeout=_SOON),
    Fault("stall in mid-stream", lambda said: [said.head(), _chunk(said.half), HOLD], timeout=_SOON),
    Fault("stall in mid-event", lambda said: [said.head(), _chunk(said.half + said.rest[:20]), HOLD], timeout=_SOON),
    Fault("stall, then the end", lambda said: [said.head(), _chunk(said.half), PAUSE, CLOSE]),
]

ENDS = [*_ends("reset", RESET), *_ends("closed", CLOSE)]

FRAMING = [
    Fault("cut short of content-length", lambda said: [said.head(length=len(said.body)), said.half, CLOSE]),
    Fault("cut without a framing", lambda said: [said.head(framing="close"), said.half, CLOSE]),
    Fault("cut before the last chunk", lambda said: [said.head(), _chunk(said.body), CLOSE]),
    Fault("content-length too large", lambda said: [said.head(length=len(said.body) + 9), said.body, CLOSE]),
    Fault("content-length too small", lambda said: [said.head(length=len(said.half)), said.body]),
    Fault(
        "content-length no number", lambda said: [said.head("content-length: many", framing="close"), said.body, CLOSE]
    ),
    Fault("two content-lengths", lambda said: [said.head("content-length: 5", length=len(said.body)), said.body]),
    Fault("chunk size no number", lambda said: [said.head(), _chunk(said.half), b"zz\r\n", CLOSE]),
    Fault("chunk longer than said", lambda said: [said.head(), b"5\r\n" + said.half, CLOSE]),
    Fault("garbage for HTTP", lambda said: [b"\x00\x01\xfe nothing like it\r\n\r\n", CLOSE]),
    Fault("TLS alert for HTTP", lambda said: [b"\x15\x03\x01\x00\x02\x02\x46", CLOSE]),
    Fault("unknown HTTP version", lambda said: [b"HTTP/9.9 200 OK\r\n\r\n", CLOSE]),
    Fault("header without a colon", lambda said: [b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", CLOSE]),
    Fault("endless header", lambda said: [b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 300_000, CLOSE]),
    Fault("two replies at once", lambda said: [*[said.head(), _chunk(said.body), _END] * 2]),
    Fault(
        "redirect to itself",
        lambda said: [
            _head(
                307, "location: " + said.event(b"/v1/chat/completions", b"/v1/responses").decode(), "content-length: 0"
            )
        ],
    ),
]

CODING = [
    Fault("gzip that is none", lambda said: _whole(said, said.body, "content-encoding: gzip")),
    Fault("gzip cut", lambda said: _whole(said, gzip.compress(said.body)[:-20], "content-encoding: gzip")),
    Fault(
        "gzip broken in the middle",
        lambda said: _whole(said, _broken(gzip.compress(said.body)), "content-encoding: gzip"),
    ),
    Fault("gzip, then more", lambda said: _whole(said, gzip.compress(said.body) + b"more", "content-encoding: gzip")),
    Fault("unknown coding", lambda said: _whole(said, gzip.compress(said.body), "content-encoding: wombat")),
    Fault(
        "zip bomb",
        lambda said: _whole(said, gzip.compress(padded(said, 4_000_000)), "content-encoding: gzip"),
        harmless=True,
    ),
    Fault(
        "zip bomb without an end",
        lambda said: _whole(said, gzip.compress(said.half + b"data: " + b" " * 4_000_000), "content-encoding: gzip"),
    ),
    Fault("text that is no UTF-8", lambda said: _whole(said, said.body.replace(b"ello", b"\xff\xfe"))),
    Fault(
        "other content-type",
        lambda said: [_head(200, "content-type: text/plain", f"content-length: {len(said.body)}"), said.body],
    ),
]


def _broken(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + b"\0\0\0\0\0\0" + data[middle + 6 :]


def padded(said: Said, size: int) -> bytes:
    """Give the whole answer, blown up by white space within its JSON."""
    return (
        said.body.replace(b": ", b":" + b" " * size, 1)
        if not said.streamed
        else b": " + b" " * size + b"\n\n" + said.body
    )


def _after(bad_chat: bytes, bad_responses: bytes | None = None, *, begun: bool = True) -> Script:
    def script(said: Said) -> list[Step]:
        bad = bad_chat if said.chat or bad_responses is None else bad_responses
        return [said.head(), *([_chunk(said.half)] if begun else []), _chunk(bad), _chunk(said.rest), _END]

    return script


_FLAT = answers.event("error", code="rate_limit_exceeded", message="Upstream says no.", param=None)
_NESTED = answers.event("error", error=_error("rate_limit_exceeded"))
_FAILED = answers.event(
    "response.failed", response=answers.response(status="failed", output=[], error=_error("rate_limit_exceeded"))
)
_CHATS = _frame({"error": _error("rate_limit_exceeded")})


def _refused_early(event: bytes) -> Script:
    # What Chat Completions says by status, before it streams.
    return lambda said: _refusal(429, code="rate_limit_exceeded") if said.chat else [said.head(), _chunk(event), _END]


EVENTS = [
    Fault("event no JSON", _after(b"data: nonsense\n\n"), calls=STREAMED),
    Fault("event half JSON", _after(b'data: {"type":"response.output_te\n\n'), calls=STREAMED),
    Fault("event a number", _after(b"data: 5\n\n"), calls=STREAMED),
    Fault("event null", _after(b"data: null\n\n"), calls=STREAMED),
    Fault("event a list", _after(b"data: []\n\n"), calls=STREAMED),
    Fault("event not UTF-8", _after(b'data: {"a":"\xff"}\n\n'), calls=STREAMED),
    Fault("bytes that are no event", _after(b"\x00\x01nonsense\n\n"), calls=STREAMED, harmless=True),
    Fault(
        "comments and empty events",
        _after(b": ping\n\n\n\ndata:x"[:-6] + b"event: ping\n\n"),
        calls=STREAMED,
        harmless=True,
    ),
    Fault("gigantic line", _after(b": " + b"x" * 3_000_000 + b"\n\n"), calls=STREAMED, harmless=True),
    Fault(
        "gigantic line without an end",
        lambda said: [said.head(), _chunk(said.half + b"data: " + b"x" * 3_000_000), _END],
        calls=STREAMED,
    ),
    Fault("error frame (flat)", _after(_CHATS, _FLAT), calls=STREAMED),
    Fault("error frame (nested)", _after(_CHATS, _NESTED), calls=STREAMED),
    Fault("failed response", _after(_CHATS, _FAILED), calls=STREAMED),
    Fault("error frame first", _refused_early(_FLAT), calls=STREAMED),
    Fault("failed response first", _refused_early(_FAILED), calls=STREAMED),
    Fault(
        "the end twice",
        lambda said: [said.head(), _chunk(said.body), _chunk(said.parts[-1]), _END],
        calls=STREAMED,
        harmless=True,
    ),
    Fault(
        "the end, then an error",
        lambda said: [said.head(), _chunk(said.body), _chunk(said.event(_CHATS, _FLAT)), _END],
        calls=STREAMED,
        harmless=True,
    ),
    Fault("the end, then silence", lambda said: [said.head(), _chunk(said.body), HOLD], calls=STREAMED, harmless=True),
    Fault("the end, then a reset", lambda said: [said.head(), _chunk(said.body), RESET], calls=STREAMED, harmless=True),
    Fault("no events at all", lambda said: [said.head(), _END], calls=STREAMED),
]


def _failed_whole(said: Said) -> list[Step]:
    failed = answers.response(status="failed", error=_error("server_error")) | {"output": []}
    return _refusal(500, code="server_error") if said.chat else _whole(said, json.dumps(failed).encode())


REPLIES = [
    Fault("failed response, whole", _failed_whole, calls=WHOLE),
    Fault("empty body", lambda said: _whole(said, b"")),
    Fault("JSON null", lambda said: _page(200, "application/json", b"null")),
    Fault("JSON cut in itself", lambda said: _page(200, "application/json", said.body[:50])),
    Fault("a gateway's page", lambda said: _page(200, "text/html", b"<html>Sign in</html>")),
    Fault("no content", lambda said: [_head(204)]),
]

_HTML = b"<html><body>The gateway says no</body></html>"
STATUSES = [400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504]


def _answers_at_second(status: int, *headers: str) -> Script:
    return lambda said: _refusal(status, *headers) if said.attempt == 1 else [said.head(), _chunk(said.body), _END]


REFUSALS = [
    *[Fault(f"{status} in JSON", lambda said, status=status: _refusal(status)) for status in STATUSES],  # type: ignore[misc]
    *[Fault(f"{status} in HTML", lambda said, status=status: _page(status, "text/html", _HTML)) for status in STATUSES],  # type: ignore[misc]
    Fault("429, retry-after: 3", lambda said: _refusal(429, "retry-after: 3")),
    Fault("503, retry-after-ms: 1500", lambda said: _refusal(503, "retry-after-ms: 1500")),
    Fault("429, x-should-retry: false", lambda said: _refusal(429, "x-should-retry: false")),
    Fault("400, x-should-retry: true", lambda said: _refusal(400, "x-should-retry: true")),
    Fault("429, then the answer", _answers_at_second(429, "retry-after: 7"), harmless=True),
    Fault(
        "503 in HTML that is cut",
        lambda said: [_head(503, "content-type: text/html", "content-length: 99"), _HTML, CLOSE],
    ),
    Fault("400 in gzip that is none", lambda said: _refusal(400, "content-encoding: gzip")),
    Fault("500 that stalls", lambda said: [_head(500, "content-length: 99"), _HTML, HOLD], timeout=_SOON),
]

_HELD: Script = lambda said: [said.head(), _chunk(said.half), HOLD]  # noqa: E731

LEAVING = [
    Fault("cancelled before the head", lambda said: [HOLD], modes=["async"], act="cancel"),
    Fault("cancelled before the first event", lambda said: [said.head(), HOLD], modes=["async"], act="cancel"),
    Fault("cancelled in mid-body", _HELD, WHOLE, modes=["async"], act="cancel"),
    Fault("cancelled in mid-stream", _HELD, STREAMED, modes=["async"], act="cancel", at=2),
    Fault("interrupted before the head", lambda said: [HOLD], modes=["sync"], act="interrupt"),
    Fault("interrupted before the first event", lambda said: [said.head(), HOLD], modes=["sync"], act="interrupt"),
    Fault("interrupted in mid-body", _HELD, WHOLE, modes=["sync"], act="interrupt"),
    Fault("interrupted in mid-stream", _HELD, STREAMED, modes=["sync"], act="interrupt", at=2),
    Fault("KeyboardInterrupt of the reader", _HELD, STREAMED, act="raise", at=2),
    Fault("closed from outside between two reads", _HELD, STREAMED, act="close between", at=2),
    Fault("closed from outside during a read", _HELD, STREAMED, act="close during", at=2, timeout=_SOON),
    Fault("client closed from outside before the head", lambda said: [HOLD], act="close client", timeout=_SOON),
    Fault("client closed from outside in mid-stream", _HELD, STREAMED, act="close client", at=2, timeout=_SOON),
]

FAULTS: Mapping[str, Sequence[Fault]] = {
    "connecting": CONNECTING,
    "stalls": STALLS,
    "ends": ENDS,
    "framing": FRAMING,
    "coding": CODING,
    "events": EVENTS,
    "replies": REPLIES,
    "refusals": REFUSALS,
    "leaving": LEAVING,
}
