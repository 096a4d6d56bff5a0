"""The table of everything that can fail between a caller and upstream.

faults.py explains the columns.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import partial

from tests.support import answers
from tests.support.faults import (
    CALLS,
    CLOSE,
    DEAF,
    END,
    PAUSE,
    RESET,
    STREAMED,
    STUCK,
    WHOLE,
    Differs,
    Fault,
    Script,
    Step,
    UpstreamReply,
    chunk,
    error_object,
    frame,
    http_head,
    page,
    refusal,
    whole,
)
from tests.support.loopback import HOLD

# Reasons

_NO_JSON = "what upstream sent can't be read: an APIError of the SDK (status 502); natively a raw error of the JSON parser"
_CLEAN_END = "no half answers: natively a stream that stops short looks like one that ended well"
_BAD_EVENT = "an event that can't be read: an APIError of the SDK; natively a raw error of the parser, or nothing where lines are read raw"
_NO_RESPONSE = "no half answers: what is no Response is an error (502); natively an empty result, or an AttributeError of the SDK"
_PEEKED = "the first events are read before `create` returns, so that a failure in them is raised by status, as Chat does"
_ONE_END = "what follows the end of the stream is dropped; who reads Chat's lines raw sees it"
_NO_EVENT = "an event without data is none (WHATWG); natively the SDK tries to parse it"
_ERROR_READ = "an error's body is read before its status goes up, where the SDK names what goes wrong; natively the raw error of the HTTP library"

CUT = (Differs(WHOLE, _NO_JSON), Differs(STREAMED, _CLEAN_END))
ENDED = (Differs(STREAMED, _CLEAN_END),)
UNREADABLE = (Differs(STREAMED, _BAD_EVENT),)
NO_RESPONSE = (Differs(CALLS, _NO_RESPONSE),)
PEEKED = (Differs(STREAMED, _PEEKED),)
ONE_END = (Differs(["lines"], _ONE_END),)
ERROR_READ = (Differs(STREAMED, _ERROR_READ),)

_SOON = {"read": 0.6}
_LATER = {"read": 1.5}
_GZIP = "content-encoding: gzip"


def _ends(name: str, end: Step) -> list[Fault]:
    return [
        Fault(f"{name} before the head", lambda reply: [end]),
        Fault(f"{name} in the head", lambda reply: [reply.head()[:40], end]),
        Fault(f"{name} after the head", lambda reply: [reply.head(), end]),
        Fault(
            f"{name} in mid-body",
            lambda reply: [reply.head(), chunk(reply.half), chunk(reply.rest)[:30], end],
        ),
        Fault(f"{name} between two events", lambda reply: [reply.head(), chunk(reply.half), end]),
    ]


def _broken(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + b"\0\0\0\0\0\0" + data[middle + 6 :]


def padded(reply: UpstreamReply, size: int) -> bytes:
    """Return the whole answer, padded by white space in its JSON or a comment in its stream."""
    space = b" " * size
    return (
        b": " + space + b"\n\n" + reply.body
        if reply.streamed
        else reply.body.replace(b": ", b":" + space, 1)
    )


def _zipped(data: bytes, reply: UpstreamReply) -> list[Step]:
    return whole(reply, data, _GZIP)


def _self(reply: UpstreamReply) -> str:
    return "/v1/chat/completions" if reply.chat else "/v1/responses"


def _after(bad: bytes, responses: bytes | None = None) -> Script:
    def script(reply: UpstreamReply) -> list[Step]:
        event = bad if reply.chat or responses is None else responses
        return [reply.head(), chunk(reply.half), chunk(event), chunk(reply.rest), END]

    return script


_LIMITED = error_object("rate_limit_exceeded")
_FLAT = answers.event("error", code="rate_limit_exceeded", message="Upstream says no.", param=None)
_NESTED = answers.event("error", error=_LIMITED)
_FAILED = answers.event(
    "response.failed", response=answers.response(status="failed", output=[], error=_LIMITED)
)
_CHATS = frame({"error": _LIMITED})


def _first(event: bytes) -> Script:
    # Chat Completions reports it by status, before it streams.
    return lambda reply: (
        refusal(429, code="rate_limit_exceeded")
        if reply.chat
        else [reply.head(), chunk(event), END]
    )


def _failed_whole(reply: UpstreamReply) -> list[Step]:
    failed = answers.response(status="failed", error=error_object("server_error")) | {"output": []}
    return (
        refusal(500, code="server_error")
        if reply.chat
        else whole(reply, json.dumps(failed).encode())
    )


def _then_answers(status: int, *headers: str) -> Script:
    return lambda reply: (
        refusal(status, *headers) if reply.attempt == 1 else [reply.head(), chunk(reply.body), END]
    )


def _held(reply: UpstreamReply) -> list[Step]:
    return [reply.head(), chunk(reply.half), HOLD]


_HTML = b"<html><body>The gateway says no</body></html>"


def _in_json(status: int, reply: UpstreamReply) -> list[Step]:
    return refusal(status)


def _in_html(status: int, reply: UpstreamReply) -> list[Step]:
    return page(status, "text/html", _HTML)


_STATUSES = (400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504)

# The table, one row a line.
# fmt: off

CONNECTING = [
    Fault("connection refused", where="refused"),
    Fault("TLS to a plain port", where="tls", greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    Fault("no answer to the connection", where="full", timeout={"connect": 0.2}),
    Fault("no connection left in the pool", occupied=True, timeout={"pool": 0.2}),
    Fault("reset while the request is sent", lambda reply: [DEAF, RESET], ["create", "stream"], big=True, timeout={"write": 3.0}),
    Fault("request not taken", lambda reply: [DEAF, STUCK], ["create", "stream"], big=True, timeout={"write": 0.3}),
]

STALLS = [
    Fault("stall before the head", lambda reply: [HOLD], timeout=_SOON),
    Fault("stall in the head", lambda reply: [reply.head()[:40], HOLD], timeout=_SOON),
    Fault("stall before the first event", lambda reply: [reply.head(), HOLD], timeout=_SOON),
    Fault("stall in mid-stream", _held, timeout=_SOON),
    Fault("stall in mid-event", lambda reply: [reply.head(), chunk(reply.half + reply.rest[:20]), HOLD], timeout=_SOON),
    Fault("stall, then the end", lambda reply: [reply.head(), chunk(reply.half), PAUSE, CLOSE]),
]

ENDS = [*_ends("reset", RESET), *_ends("closed", CLOSE)]

FRAMING = [
    Fault("cut short of content-length", lambda reply: [reply.head(length=len(reply.body)), reply.half, CLOSE]),
    Fault("cut without a framing", lambda reply: [reply.head(framing="close"), reply.half, CLOSE], differs=CUT),
    Fault("cut before the last chunk", lambda reply: [reply.head(), chunk(reply.body), CLOSE]),
    Fault("content-length too large", lambda reply: [reply.head(length=len(reply.body) + 9), reply.body, CLOSE]),
    Fault("content-length too small", lambda reply: [reply.head(length=len(reply.half)), reply.body], differs=CUT),
    Fault("content-length no number", lambda reply: [reply.head("content-length: many", framing="close"), reply.body, CLOSE]),
    Fault("two content-lengths", lambda reply: [reply.head("content-length: 5", length=len(reply.body)), reply.body]),
    Fault("chunk size no number", lambda reply: [reply.head(), chunk(reply.half), b"zz\r\n", CLOSE]),
    Fault("chunk longer than its size", lambda reply: [reply.head(), b"5\r\n" + reply.half, CLOSE]),
    Fault("garbage for HTTP", lambda reply: [b"\x00\x01\xfe nothing like it\r\n\r\n", CLOSE]),
    Fault("TLS alert for HTTP", lambda reply: [b"\x15\x03\x01\x00\x02\x02\x46", CLOSE]),
    Fault("unknown HTTP version", lambda reply: [b"HTTP/9.9 200 OK\r\ncontent-type: application/json\r\n\r\n", CLOSE], differs=NO_RESPONSE),
    Fault("header without a colon", lambda reply: [b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", CLOSE]),
    Fault("endless header", lambda reply: [b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 300_000, CLOSE]),
    Fault("two replies at once", lambda reply: [*[reply.head(), chunk(reply.body), END] * 2], harmless=True),
    Fault("redirect to itself", lambda reply: [http_head(307, f"location: {_self(reply)}", "content-length: 0")]),
]

CODING = [
    Fault("gzip that is none", lambda reply: _zipped(reply.body, reply)),
    Fault("gzip cut", lambda reply: _zipped(gzip.compress(reply.body)[:-20], reply), differs=CUT),
    Fault("gzip broken in the middle", lambda reply: _zipped(_broken(gzip.compress(reply.body)), reply)),
    Fault("gzip, then more", lambda reply: _zipped(gzip.compress(reply.body) + b"more", reply)),
    Fault("unknown coding", lambda reply: whole(reply, gzip.compress(reply.body), "content-encoding: wombat"), differs=CUT),
    Fault("zip bomb", lambda reply: _zipped(gzip.compress(padded(reply, 2_000_000)), reply), harmless=True),
    Fault("zip bomb without an end", lambda reply: _zipped(gzip.compress(reply.half + b"data: " + b" " * 2_000_000), reply), differs=CUT),
    Fault("text that is no UTF-8", lambda reply: whole(reply, reply.body.replace(b"ello", b"\xff\xfe")), differs=(*CUT[:1], *UNREADABLE)),
    Fault("other content-type", lambda reply: [http_head(200, "content-type: text/plain", f"content-length: {len(reply.body)}"), reply.body], STREAMED),
]

EVENTS = [
    Fault("event no JSON", _after(b"data: nonsense\n\n"), STREAMED, differs=UNREADABLE),
    Fault("event half JSON", _after(b'data: {"type":"response.output_te\n\n'), STREAMED, differs=UNREADABLE),
    Fault("event a number", _after(b"data: 5\n\n"), STREAMED, differs=UNREADABLE),
    Fault("event null", _after(b"data: null\n\n"), STREAMED, differs=UNREADABLE),
    Fault("event a list", _after(b"data: []\n\n"), STREAMED, differs=UNREADABLE),
    Fault("event not UTF-8", _after(b'data: {"a":"\xff"}\n\n'), STREAMED, differs=UNREADABLE),
    Fault("bytes that are no event", _after(b"\x00\x01nonsense\n\n"), STREAMED, harmless=True),
    Fault("comments", _after(b": ping\n\n\n\n:\n\n"), STREAMED, harmless=True),
    Fault("event without data", _after(b"event: ping\n\n"), STREAMED, harmless=True, differs=(Differs(["stream", "helper"], _NO_EVENT),)),
    Fault("gigantic line", _after(b": " + b"x" * 3_000_000 + b"\n\n"), STREAMED, harmless=True),
    Fault("gigantic line without an end", lambda reply: [reply.head(), chunk(reply.half + b"data: " + b"x" * 3_000_000), END], STREAMED, differs=ENDED),
    Fault("error frame (flat)", _after(_CHATS, _FLAT), STREAMED),
    Fault("error frame (nested)", _after(_CHATS, _NESTED), STREAMED),
    Fault("failed response", _after(_CHATS, _FAILED), STREAMED),
    Fault("error frame first", _first(_FLAT), STREAMED),
    Fault("failed response first", _first(_FAILED), STREAMED),
    Fault("the end twice", lambda reply: [reply.head(), chunk(reply.body), chunk(reply.parts[-1]), END], STREAMED, harmless=True, differs=ONE_END),
    Fault("the end, then an error", lambda reply: [reply.head(), chunk(reply.body), chunk(reply.event(_CHATS, _FLAT)), END], STREAMED, harmless=True, differs=ONE_END),
    Fault("the end, then silence", lambda reply: [reply.head(), chunk(reply.body), HOLD], ["stream", "helper"], harmless=True, timeout=_SOON),
    Fault("the end, then silence, read raw", lambda reply: [reply.head(), chunk(reply.body), HOLD], ["lines"], timeout=_SOON),
    Fault("the end, then a reset", lambda reply: [reply.head(), chunk(reply.body), RESET], ["stream", "helper"], harmless=True),
    Fault("no events at all", lambda reply: [reply.head(), END], STREAMED, differs=ENDED),
]

REPLIES = [
    Fault("failed response, whole", _failed_whole, WHOLE),
    Fault("empty body", lambda reply: whole(reply, b""), differs=CUT),
    Fault("JSON null", lambda reply: page(200, "application/json", b"null"), differs=NO_RESPONSE),
    Fault("JSON cut in itself", lambda reply: page(200, "application/json", reply.body[:50]), differs=NO_RESPONSE),
    Fault("a gateway's page", lambda reply: page(200, "text/html", b"<html>Sign in</html>"), differs=NO_RESPONSE),
    Fault("no content", lambda reply: [http_head(204)], differs=NO_RESPONSE),
]

REFUSALS = [
    *[Fault(f"{status} in JSON", partial(_in_json, status)) for status in _STATUSES],
    *[Fault(f"{status} in HTML", partial(_in_html, status), ["create", "stream"]) for status in _STATUSES],
    Fault("429, retry-after: 3", lambda reply: refusal(429, "retry-after: 3")),
    Fault("503, retry-after-ms: 1500", lambda reply: refusal(503, "retry-after-ms: 1500")),
    Fault("429, x-should-retry: false", lambda reply: refusal(429, "x-should-retry: false")),
    Fault("400, x-should-retry: true", lambda reply: refusal(400, "x-should-retry: true")),
    Fault("429, then the answer", _then_answers(429, "retry-after: 7"), harmless=True),
    Fault("503 in HTML that is cut", lambda reply: [http_head(503, "content-type: text/html", "content-length: 99"), _HTML, CLOSE], differs=ERROR_READ),
    Fault("400 in gzip that is none", lambda reply: refusal(400, _GZIP), differs=ERROR_READ),
    Fault("400 that stalls", lambda reply: [http_head(400, "content-length: 99"), _HTML, HOLD], timeout=_SOON, differs=ERROR_READ),
    Fault("500 that stalls", lambda reply: [http_head(500, "content-length: 99"), _HTML, HOLD], timeout=_SOON, differs=ERROR_READ),
]

LEAVING = [
    Fault("cancelled before the head", lambda reply: [HOLD], modes=["async"], act="cancel"),
    Fault("cancelled before the first event", lambda reply: [reply.head(), HOLD], modes=["async"], act="cancel", differs=PEEKED),
    Fault("cancelled in mid-body", _held, WHOLE, modes=["async"], act="cancel"),
    Fault("cancelled in mid-stream", _held, STREAMED, modes=["async"], act="cancel", at=2),
    Fault("interrupted before the head", lambda reply: [HOLD], modes=["sync"], act="interrupt"),
    Fault("interrupted before the first event", lambda reply: [reply.head(), HOLD], modes=["sync"], act="interrupt", differs=PEEKED),
    Fault("interrupted in mid-body", _held, WHOLE, modes=["sync"], act="interrupt"),
    Fault("interrupted in mid-stream", _held, STREAMED, modes=["sync"], act="interrupt", at=2),
    Fault("KeyboardInterrupt of the reader", _held, STREAMED, act="raise", at=2),
    Fault("closed from outside between two reads", _held, STREAMED, act="close between", at=2),
    Fault("closed from outside during a read", _held, STREAMED, act="close during", at=2, timeout=_LATER),
    Fault("client closed from outside before the head", lambda reply: [HOLD], act="close client", timeout=_LATER),
    Fault("client closed from outside in mid-stream", _held, STREAMED, act="close client", at=2, timeout=_LATER),
]
# fmt: on

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
