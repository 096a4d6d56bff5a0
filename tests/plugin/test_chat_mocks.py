"""Mocks of Chat Completions that serve translated calls: results, errors, and requests to mocks."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import openai
import pytest

import adapter
from adapter.testing import chat_mocks
from tests.support.comparing import ABSENT, flatten
from tests.support.http import CONNECTION_ERRORS, SDK, arguments, http, needs

Json = dict[str, Any]

HI: Json = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
SIDES = {"chat": nullcontext, "responses": chat_mocks}


class Mock:
    """Replies like Chat, and keeps the requests."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.asked: list[Any] = []

    def __call__(self, request: Any) -> Any:
        self.asked.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else http.Response(200, json=reply)

    def client(self, side: str, *, asynchronous: bool = False, **more: Any) -> Any:
        """Return an adapter's client of this mock, on one backend."""
        kind = http.AsyncClient if asynchronous else http.Client
        settings = {"backend": side, "emulate": ["n", "stop"], "on_bug": "raise"}
        return (adapter.AsyncOpenAI if asynchronous else adapter.OpenAI)(
            api_key="unused",
            http_client=kind(transport=http.MockTransport(self)),
            settings=settings,
            **{"max_retries": 0, **more},
        )


def whole(*says: Json, **more: Any) -> Json:
    """Return a completion with a choice for each of `says`.

    Each has the message, and may have `finish_reason` and `logprobs`.
    """
    beside = [
        {key: one.pop(key) for key in ("finish_reason", "logprobs") if key in one}
        for one in map(dict, says)
    ]
    choices = [
        {
            "index": index,
            "finish_reason": "stop",
            **rest,
            "message": {
                "role": "assistant",
                "annotations": [],
                **{key: value for key, value in one.items() if key not in rest},
            },
        }
        for index, (one, rest) in enumerate(zip(says, beside, strict=True))
    ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": choices,
        **more,
    }


def call(name: str, written: str, *, call_id: str = "call_1") -> Json:
    """Return a tool call of a message."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": written}}


TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("f", "g")
]
TOKEN = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
CITED = {
    "type": "url_citation",
    "url_citation": {"url": "https://a.invalid", "title": "A", "start_index": 0, "end_index": 2},
}
COUNTS = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
DETAILED = {
    **COUNTS,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 8,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 1,
        "rejected_prediction_tokens": 2,
    },
}
USAGE = "usage.completion_tokens_details."

# What a mock answers, what else the call asks for, and all that the caller gets otherwise than
# natively.
WHOLE: dict[str, tuple[Any, Json, dict[str, tuple[Any, Any]]]] = {
    "a text": (whole({"content": "Hi"}), {}, {}),
    "in many letters": (whole({"content": "Grüße, 世界 \u2028 \x00 🎉"}), {}, {}),
    "a refusal": (whole({"content": None, "refusal": "No."}), {}, {}),
    "calls": (
        whole(
            {
                "content": None,
                "tool_calls": [call("f", '{"a": 1}'), call("g", "{}", call_id="call_2")],
                "finish_reason": "tool_calls",
            }
        ),
        {"tools": TOOLS},
        {},
    ),
    "a text and a call": (
        whole({"content": "Wait.", "tool_calls": [call("f", "{}")], "finish_reason": "tool_calls"}),
        {"tools": TOOLS},
        {},
    ),
    "a custom call": (
        whole(
            {
                "content": None,
                "finish_reason": "tool_calls",
                "tool_calls": [
                    {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}
                ],
            }
        ),
        {"tools": [{"type": "custom", "custom": {"name": "sql"}}]},
        {},
    ),
    "a function": (
        whole(
            {
                "content": None,
                "function_call": {"name": "f", "arguments": "{}"},
                "finish_reason": "function_call",
            }
        ),
        {"functions": [{"name": "f", "parameters": {"type": "object"}}]},
        {},
    ),
    "cut": (whole({"content": "H", "finish_reason": "length"}), {"max_tokens": 16}, {}),
    "filtered": (whole({"content": "H", "finish_reason": "content_filter"}), {}, {}),
    "cut before it began": (whole({"content": "", "finish_reason": "length"}), {}, {}),
    "nothing": (whole({"content": ""}), {}, {}),
    "logprobs": (
        whole({"content": "Hi", "logprobs": {"content": [TOKEN], "refusal": None}}),
        {"logprobs": True},
        {},
    ),
    "a citation": (whole({"content": "Hi", "annotations": [CITED]}), {}, {}),
    "usage": (whole({"content": "Hi"}, usage=COUNTS), {}, {}),
    "all counts": (whole({"content": "Hi"}, usage=DETAILED), {}, {}),
    "a server's own count": (whole({"content": "Hi"}, usage={**COUNTS, "cost": 0.5}), {}, {}),
    "some counts": (
        whole(
            {"content": "Hi"},
            usage={**COUNTS, "completion_tokens_details": {"reasoning_tokens": 8}},
        ),
        {},
        {
            USAGE + "audio_tokens": (None, 0),
            USAGE + "accepted_prediction_tokens": (None, 0),
            USAGE + "rejected_prediction_tokens": (None, 0),
        },
    ),
    "a tier": (whole({"content": "Hi"}, service_tier="flex"), {}, {}),
    "a fingerprint": (
        whole({"content": "Hi"}, system_fingerprint="fp"),
        {},
        {"system_fingerprint": ("fp", None)},
    ),
    "several": (
        whole(
            {"content": "a"},
            {"content": "b", "finish_reason": "length"},
            {"content": None, "refusal": "c"},
            usage=COUNTS,
        ),
        {"n": 3},
        {},
    ),
    "one for several": (whole({"content": "a"}, usage=COUNTS), {"n": 3}, {}),
    "another id": (whole({"content": "Hi"}, id="gen-1"), {}, {"id": ("gen-1", "chatcmpl-gen-1")}),
    "empty beside a call": (
        whole({"content": "", "tool_calls": [call("f", "{}")], "finish_reason": "tool_calls"}),
        {"tools": TOOLS},
        {"choices[0].message.content": ("", None)},
    ),
    "called, and stopped": (
        whole({"content": None, "tool_calls": [call("f", "{}")]}),
        {"tools": TOOLS},
        {"choices[0].finish_reason": ("stop", "tool_calls")},
    ),
    "reasoning": (
        whole({"content": "Hi", "reasoning_content": "Hm"}),
        {},
        {"choices[0].message.reasoning_content": ("Hm", ABSENT)},
    ),
    "null": (whole({"content": None}), {}, {"choices[0].message.content": (None, "")}),
    "without a citation": (
        whole({"content": "Hi", "annotations": None}),
        {},
        {"choices[0].message.annotations": (None, [])},
    ),
    "as short as can be": (
        {"choices": [{"message": {"content": "Hi"}}]},
        {},
        {
            "id": (None, "chatcmpl-resp_mock"),
            "object": (None, "chat.completion"),
            "created": (None, 0),
            "model": (None, "gpt-4o"),
            "choices[0].index": (None, 0),
            "choices[0].finish_reason": (None, "stop"),
            "choices[0].message.role": (None, "assistant"),
            "choices[0].message.annotations": (None, []),
        },
    ),
}


def differing(native: Any, ours: Any) -> dict[str, tuple[Any, Any]]:
    """List the paths at which two results differ, with both values."""
    dumped = (one.model_dump(mode="json", warnings=False) for one in (native, ours))
    a, b = (dict(flatten(one)) for one in dumped)
    found = {path: (a.get(path, ABSENT), b.get(path, ABSENT)) for path in a.keys() | b.keys()}
    return {path: values for path, values in found.items() if values[0] != values[1]}


needs_custom = needs(SDK >= (2, 0) or SDK >= (1, 99), "custom tools")


@pytest.mark.parametrize(("reply", "more", "otherwise"), WHOLE.values(), ids=WHOLE.keys())
def test_a_completion_is_what_it_is_natively(
    reply: Json, more: Json, otherwise: dict[str, tuple[Any, Any]]
) -> None:
    results = {}
    for side, mocked in SIDES.items():
        mock = Mock(reply)
        with mocked():
            results[side] = mock.client(side).chat.completions.create(**arguments({**HI, **more}))
        assert len(mock.asked) == 1
    decision = adapter.decision(results["responses"])
    assert decision is not None
    assert decision.backend == "responses"
    assert differing(*results.values()) == otherwise


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_mock_is_asked_as_it_is_natively(*, asynchronous: bool) -> None:
    asked = []
    for side, mocked in SIDES.items():
        mock = Mock(whole({"content": "Hi"}))
        client = mock.client(side, asynchronous=asynchronous)
        with mocked():
            made = client.chat.completions.create(
                **arguments({**HI, "max_tokens": 5, "tools": TOOLS, "user": "u"}),
                extra_headers={"X-Team": "desk"}, extra_query={"q": "1"}, timeout=7.0,
            )  # fmt: skip
            if asynchronous:
                await made
        (request,) = mock.asked
        assert request.extensions["timeout"]["read"] == 7.0
        asked.append(
            (request.method, str(request.url), request.headers.raw, json.loads(request.content))
        )
    assert asked[0] == asked[1]


# Streams


def chunks(*deltas: Json, **more: Any) -> list[bytes]:
    """Return a stream of these deltas; `finish_reason` and `logprobs` go into the choice."""
    out = []
    for delta in deltas:
        rest = {key: delta[key] for key in ("finish_reason", "logprobs", "index") if key in delta}
        said = {key: value for key, value in delta.items() if key not in rest}
        out.append(chunk([{"index": 0, "delta": said, "finish_reason": None, **rest}], **more))
    return out


def chunk(choices: list[Json], **more: Any) -> bytes:
    """Return one chunk as a frame."""
    top = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    return b"data: " + json.dumps({**top, "choices": choices, **more}).encode() + b"\n\n"


def argued(written: str, *, index: int = 0, **more: Any) -> Json:
    """Return a delta of a call's arguments; the first has the call's id and name in `more`."""
    function = {"arguments": written, **({"name": more.pop("name")} if "name" in more else {})}
    return {"tool_calls": [{"index": index, **more, "function": function}]}


DONE = b"data: [DONE]\n\n"
ROLE: Json = {"role": "assistant", "content": ""}
STOP: Json = {"finish_reason": "stop"}
CALLED: Json = {"finish_reason": "tool_calls"}
FIRST = argued("", id="call_1", type="function", name="f")
SECOND = argued("", index=1, id="call_2", type="function", name="g")
BREAK = {"index": 0, "delta": {}, "finish_reason": None}
SAID = chunks(ROLE, {"content": "Hel"}, {"content": "lo"}, STOP)

# A mock's stream, and further arguments of the call.
STREAMS: dict[str, tuple[list[bytes], Json]] = {
    "a text": ([*SAID, DONE], {}),
    "a refusal": (
        [*chunks({**ROLE, "content": None}, {"refusal": "No"}, {"refusal": "."}, STOP), DONE],
        {},
    ),
    "calls, in turn": (
        [
            *chunks(
                {**ROLE, "content": None, **FIRST},
                argued('{"a"'),
                argued(":1}"),
                SECOND,
                argued("{}", index=1),
                CALLED,
            ),
            DONE,
        ],
        {"tools": TOOLS},
    ),
    "calls, at once": (
        [
            *chunks(
                {**ROLE, "content": None, **FIRST},
                SECOND,
                argued("{", index=1),
                argued("{"),
                argued("}", index=1),
                argued("}"),
                CALLED,
            ),
            DONE,
        ],
        {"tools": TOOLS},
    ),
    "a text and a call": (
        [*chunks(ROLE, {"content": "Wait."}, FIRST, argued("{}"), CALLED), DONE],
        {"tools": TOOLS},
    ),
    "a custom call": (
        [
            *chunks(
                {
                    **ROLE,
                    "content": None,
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "c",
                            "type": "custom",
                            "custom": {"name": "sql", "input": ""},
                        }
                    ],
                },
                {"tool_calls": [{"index": 0, "custom": {"input": "SELECT"}}]},
                CALLED,
            ),
            DONE,
        ],
        {"tools": [{"type": "custom", "custom": {"name": "sql"}}]},
    ),
    "a function": (
        [
            *chunks(
                {**ROLE, "content": None, "function_call": {"name": "f", "arguments": ""}},
                {"function_call": {"arguments": "{}"}},
                {"finish_reason": "function_call"},
            ),
            DONE,
        ],
        {"functions": [{"name": "f", "parameters": {"type": "object"}}]},
    ),
    "cut": ([*chunks(ROLE, {"content": "H"}, {"finish_reason": "length"}), DONE], {}),
    "logprobs": (
        [
            *chunks(
                ROLE, {"content": "Hi", "logprobs": {"content": [TOKEN], "refusal": None}}, STOP
            ),
            DONE,
        ],
        {"logprobs": True},
    ),
    "usage": ([*SAID, chunk([], usage=COUNTS), DONE], {"stream_options": {"include_usage": True}}),
    "usage with the finish": (
        [*SAID[:-1], chunk([{**BREAK, "finish_reason": "stop"}], usage=COUNTS), DONE],
        {"stream_options": {"include_usage": True}},
    ),
    "several": (
        [
            *chunks(
                ROLE,
                {**ROLE, "index": 1},
                {"content": "a"},
                {"content": "b", "index": 1},
                {**STOP, "index": 1},
                STOP,
            ),
            DONE,
        ],
        {"n": 2},
    ),
    "one for several": ([*SAID, DONE], {"n": 2}),
    "without the last line": ([*SAID, b"data: [DONE]"], {}),
    "without an end": (SAID, {}),
    "without a finish": ([*SAID[:-1], DONE], {}),
    "comments between": ([b": wait\n\n", *SAID[:2], b": wait\n\n", *SAID[2:], DONE], {}),
    "lines of Windows": ([piece.replace(b"\n", b"\r\n") for piece in (*SAID, DONE)], {}),
    "Azure's first": ([chunk([], id="", model="", prompt_filter_results=[]), *SAID, DONE], {}),
    "ids left out": ([b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n', DONE], {}),
}
CUTS: dict[str, Callable[[list[bytes]], Iterable[bytes]]] = {
    "by event": list,
    "at once": lambda pieces: [b"".join(pieces)],
    "by byte": lambda pieces: (bytes([byte]) for byte in b"".join(pieces)),
}


def streamed(pieces: Iterable[bytes], **more: Any) -> Callable[[Any], Any]:
    """Reply with a stream in these pieces."""

    class Stream(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            for piece in pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece

        async def __aiter__(self) -> Any:
            for piece in self:
                yield piece

    headers = {"content-type": "text/event-stream", **more}
    return lambda _: http.Response(200, headers=headers, stream=Stream())


def summarized(received: list[Any]) -> tuple[dict[int, list[Any]], Any]:
    """Summarize chunks: for each choice its pieces in order and its end; and the usage."""
    choices: dict[int, list[Any]] = {}
    usage = None
    for one in received:
        usage = one.usage.model_dump(exclude_none=True) if one.usage else usage
        for choice in one.choices:
            said = choices.setdefault(choice.index or 0, [])
            delta = choice.delta
            said += [
                (key, text) for key in ("content", "refusal") if (text := getattr(delta, key, None))
            ]
            if delta.function_call:
                said.append(("function", delta.function_call.name, delta.function_call.arguments))
            for call in delta.tool_calls or ():
                dumped = call.model_dump()
                called = dumped.get("custom") or dumped["function"]
                if call.id:
                    said.append(("call", call.index, call.id, call.type, called["name"]))
                if written := called.get("arguments") or called.get("input"):
                    said.append(("arguments", call.index, written))
            said += [
                ("token", token.token)
                for token in (choice.logprobs and choice.logprobs.content) or ()
            ]
            said += [("finish", choice.finish_reason)] if choice.finish_reason else []
    return choices, usage


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize(
    ("name", "asynchronous"),
    [(name, n % 2 > 0) for n, name in enumerate(STREAMS)],
    ids=STREAMS.keys(),
)
async def test_a_stream_is_what_it_is_natively(name: str, cut: Any, *, asynchronous: bool) -> None:
    pieces, more = STREAMS[name]
    results = {}
    for side, mocked in SIDES.items():
        mock = Mock(streamed(cut(pieces)))
        client = mock.client(side, asynchronous=asynchronous)
        with mocked():
            made = client.chat.completions.create(**arguments({**HI, **more}), stream=True)
            results[side] = summarized(
                [one async for one in await made] if asynchronous else list(made)
            )
        assert len(mock.asked) == 1
    (native, usage), (ours, our_usage) = results.values()
    if name in ("without a finish", "ids left out"):  # a Response always has an end
        native = {index: [*said, ("finish", "stop")] for index, said in native.items()}
    assert ours == native
    assert our_usage == usage


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", ""], ids=["json", "text", "none"]
)
def test_a_stream_is_one_whatever_it_is_called(kind: str) -> None:
    for side, mocked in SIDES.items():
        mock = Mock(
            lambda _: http.Response(
                200, content=b"".join([*SAID, DONE]), headers={"content-type": kind} if kind else {}
            )
        )
        with mocked():
            stream = mock.client(side).chat.completions.create(**HI, stream=True)
            assert "".join(one.choices[0].delta.content or "" for one in stream) == "Hello"


def test_a_stream_without_any_end_was_cut() -> None:
    """Natively a mock may leave out both ends; translated, such a stream was cut."""
    with chat_mocks(), pytest.raises(CONNECTION_ERRORS):
        list(
            Mock(streamed(SAID[:-1])).client("responses").chat.completions.create(**HI, stream=True)
        )


async def test_a_stream_comes_as_it_is_sent() -> None:
    """Each piece is passed on at once."""
    sent: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        for piece in (*SAID, DONE):
            sent.append(piece)
            yield piece

    with chat_mocks():
        stream = (
            Mock(streamed(pieces())).client("responses").chat.completions.create(**HI, stream=True)
        )
        received = [
            (one.choices[0].delta.content, len(sent))
            for one in stream
            if one.choices[0].delta.content
        ]
    assert received == [("Hel", 2), ("lo", 3)]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_a_stream_is_left(*, asynchronous: bool) -> None:
    """Leaving a stream closes the mock's."""
    closed = []

    class Stream(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield from SAID

        async def __aiter__(self) -> Any:
            for piece in SAID:
                yield piece

        def close(self) -> None:
            closed.append(1)

        async def aclose(self) -> None:
            closed.append(1)

    mock = Mock(
        lambda _: http.Response(200, headers={"content-type": "text/event-stream"}, stream=Stream())
    )
    made = mock.client("responses", asynchronous=asynchronous).chat.completions.create
    with chat_mocks():
        if asynchronous:
            async with await made(**HI, stream=True) as stream:
                await anext(aiter(stream))
                assert not closed
        else:
            with made(**HI, stream=True) as stream:
                next(iter(stream))
                assert not closed
    assert closed


# Errors


def error(
    status: int, message: str, code: str | None = None, param: str | None = None, **headers: str
) -> Any:
    """Reply with an error of the API."""
    body = {
        "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    }
    return lambda _: http.Response(status, json=body, headers=headers)


HELLO = whole({"content": "Hi"})
ERRORS: dict[str, Any] = {
    "no key": error(401, "Incorrect API key provided.", "invalid_api_key"),
    "no model": error(404, "The model `x` does not exist", "model_not_found"),
    "a parameter": error(
        400, "Invalid 'messages[0].content'", "invalid_value", "messages[0].content"
    ),
    "too much": error(400, "Too many tokens", "context_length_exceeded", "messages"),
    "limited": error(429, "Slow down", "rate_limit_exceeded", **{"retry-after": "7"}),
    "no route": lambda _: http.Response(404, json={"detail": "Not Found"}),
    "no route, in words": lambda _: http.Response(404, text="404 page not found"),
    "forbidden, by a page": lambda _: http.Response(403, html="<h1>No</h1>"),
    "unserved": error(400, "This model is not supported in the Responses API.", "unsupported_api"),
    "down": lambda _: http.Response(503, text="upstream connect error"),
    "nothing": lambda _: http.Response(500),
    "slow": http.ReadTimeout("too slow"),
    "dead": http.ConnectError("refused"),
    "a bug of the mock's": ZeroDivisionError("in the mock"),
    "no route of the mock's": AssertionError("not mocked"),
    "at the stream's begin": streamed([http.ReadError("gone")]),
    "in the stream": streamed([*SAID[:2], http.ReadError("gone")]),
    "an error in the stream": streamed(
        [*SAID[:2], b'data: {"error":{"message":"m","type":"t","param":null,"code":"c"}}\n\n']
    ),
    "an error as the stream": streamed(
        [b'data: {"error":{"message":"m","type":"t","param":null,"code":"c"}}\n\n']
    ),
}


def failed(mock: Mock, side: str, **more: Any) -> tuple[Any, ...]:
    """Make a call that fails; return all that a handler can read from the exception."""
    said: list[str] = []
    try:
        made = mock.client(side, **more).chat.completions.create(**HI, stream=True)
        said += [one.choices[0].delta.content for one in made if one.choices[0].delta.content]
    except Exception as caught:  # noqa: BLE001  # whatever it is
        names = ("status_code", "code", "param", "type", "body", "message")
        response = getattr(caught, "response", None)
        headers = {} if response is None else dict(response.headers)
        for ours in ("x-adapter-backend", "content-length"):
            headers.pop(ours, None)
        cause = type(caught.__cause__) if isinstance(caught, openai.APIConnectionError) else None
        return (
            type(caught),
            *(getattr(caught, name, None) for name in names),
            headers,
            cause,
            said,
            len(mock.asked),
        )
    pytest.fail("nothing was raised")


@pytest.mark.parametrize("reply", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_what_it_is_natively(reply: Any) -> None:
    results = []
    for side, mocked in SIDES.items():
        with mocked():
            results.append(failed(Mock(reply), side))
    assert results[0] == results[1]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_a_mock_without_further_replies(side: str, *, asynchronous: bool) -> None:
    def handler(_: Any) -> Any:
        return next(iter(()))

    kind, made = (
        (http.AsyncClient, adapter.AsyncOpenAI) if asynchronous else (http.Client, adapter.OpenAI)
    )
    client: Any = made(
        api_key="unused", max_retries=0, settings={"backend": side},
        http_client=kind(transport=http.MockTransport(handler)),
    )  # fmt: skip
    with SIDES[side](), pytest.raises(RuntimeError if asynchronous else StopIteration) as caught:
        await client.chat.completions.create(
            **HI
        ) if asynchronous else client.chat.completions.create(**HI)
    assert isinstance(caught.value.__cause__ or caught.value, StopIteration)


@pytest.mark.parametrize("n", [None, 3])
def test_errors_are_tried_again_as_often(n: int | None) -> None:
    limited = error(429, "Slow down", **{"retry-after-ms": "1"})
    for side, mocked in SIDES.items():
        mock = Mock(
            limited,
            error(500, "Sorry", **{"retry-after-ms": "1"}),
            whole({"content": "a"}, {"content": "b"}, {"content": "c"}),
        )
        with mocked():
            made = mock.client(side, max_retries=2).chat.completions.create(
                **HI, n=n or openai.NOT_GIVEN
            )
        assert [choice.message.content for choice in made.choices][: n or 1] == ["a", "b", "c"][
            : n or 1
        ]
        assert [one.headers["x-stainless-retry-count"] for one in mock.asked] == ["0", "1", "2"]


def test_a_404_of_a_mock_is_not_remembered() -> None:
    """A mock's 404 doesn't keep the next call on Chat."""
    mock = Mock(ERRORS["no route"], whole({"content": "Hi"}))
    client = mock.client("responses")
    with chat_mocks():
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(**HI)
        made = client.chat.completions.create(**HI)
    assert adapter.decision(made).backend == "responses"


def test_a_404_from_before_does_not_count() -> None:
    """A 404 of `/responses` keeps later calls on Chat, but not within `chat_mocks`."""
    mock = Mock(
        lambda request: (
            ERRORS["no route"](request)
            if request.url.path.endswith("/responses")
            else http.Response(200, json=HELLO)
        )
    )
    client = mock.client("responses")
    backends = []
    for mocked in (nullcontext, nullcontext, chat_mocks):
        with mocked():
            backends.append(adapter.decision(client.chat.completions.create(**HI)).backend)
    assert backends == ["chat", "chat", "responses"]
    assert [one.url.path.rpartition("/")[2] for one in mock.asked] == [
        "responses",
        *["completions"] * 3,
    ]


def test_fewer_choices_than_requested() -> None:
    with (
        chat_mocks(),
        pytest.raises(
            openai.InternalServerError, match=r"more choices than the mock returned \(2\)"
        ),
    ):
        Mock(whole({"content": "a"}, {"content": "b"})).client("responses").chat.completions.create(
            **HI, n=3
        )


def test_several_streams_break_as_one() -> None:
    pieces = [
        *chunks(ROLE, {**ROLE, "index": 1}, {"content": "a"}, {"content": "b", "index": 1}),
        http.ReadError("gone"),
    ]
    with chat_mocks():
        stream = (
            Mock(streamed(pieces))
            .client("responses")
            .chat.completions.create(**HI, n=2, stream=True)
        )
        with pytest.raises(CONNECTION_ERRORS):
            list(stream)


def test_a_redirect_is_followed() -> None:
    def moved(_: Any) -> Any:
        return http.Response(307, headers={"location": "../v2/chat/completions"})

    urls = []
    for side, mocked in SIDES.items():
        mock = Mock(moved, whole({"content": "Hi"}))
        client = mock.client(side)
        client._client.follow_redirects = True
        with mocked():
            assert client.chat.completions.create(**HI).choices[0].message.content == "Hi"
        urls.append([str(request.url) for request in mock.asked])
    assert urls[0] == urls[1]
    assert len(urls[0]) == 2


# Replies of either API, and kinds of clients

TRANSPORTS: dict[str, Callable[[Any], Any]] = {
    "installed": lambda inner: adapter.install(
        openai.OpenAI(api_key="k", http_client=http.Client(transport=inner))
    ),
    "a transport": lambda inner: openai.OpenAI(
        api_key="k", http_client=http.Client(transport=adapter.Transport(inner))
    ),
    "mounted": lambda inner: adapter.OpenAI(
        api_key="k", http_client=http.Client(mounts={"https://": inner})
    ),
    "Azure's": lambda inner: adapter.AzureOpenAI(
        api_key="k",
        azure_endpoint="https://a.openai.azure.com",
        azure_deployment="d",
        api_version="2025-04-01-preview",
        http_client=http.Client(transport=inner),
    ),
    "a company's": lambda inner: adapter.OpenAI(
        api_key="k",
        base_url="http://gateway.invalid/llm/v1",
        http_client=http.Client(transport=inner),
    ),
}


@pytest.mark.parametrize("make", TRANSPORTS.values(), ids=TRANSPORTS.keys())
def test_every_kind_of_client_is_served(make: Any) -> None:
    urls = []
    for side in SIDES:
        mock = Mock(
            lambda _: http.Response(
                200,
                content=gzip.compress(json.dumps(whole({"content": "Hi"})).encode()),
                headers={"content-type": "application/json", "content-encoding": "gzip"},
            )
        )
        with chat_mocks(), adapter.use(backend=side):
            made = make(http.MockTransport(mock)).chat.completions.create(**HI)
        assert (made.choices[0].message.content, made.id) == ("Hi", "chatcmpl-1")
        urls.append([str(request.url) for request in mock.asked])
    assert urls[0] == urls[1]


def test_a_reply_of_the_other_api_passes() -> None:
    from tests.support import answers

    with chat_mocks():
        made = Mock(answers.response()).client("responses").chat.completions.create(**HI)
        assert made.choices[0].message.content == "Hello there"
        stream = (
            Mock(streamed(answers.events()))
            .client("responses")
            .chat.completions.create(**HI, stream=True)
        )
        assert (
            "".join(one.choices[0].delta.content or "" for one in stream if one.choices)
            == "Hello there"
        )


def test_other_requests_pass() -> None:
    """Calls that stay on Chat, and those to other endpoints, reach the mock unchanged."""
    mock = Mock(whole({"content": "Hi"}))
    with chat_mocks():
        made = mock.client("responses").chat.completions.create(**arguments({**HI, "seed": 1}))
        listed = Mock({"object": "list", "data": []}).client("responses").models.list()
    assert adapter.decision(made).backend == "chat"
    assert made.choices[0].message.content == "Hi"
    assert listed.data == []


def test_it_ends_with_its_block() -> None:
    mock = Mock(whole({"content": "Hi"}))
    client = mock.client("responses")
    with chat_mocks():
        with chat_mocks():
            pass
        client.chat.completions.create(**HI)
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(**HI)
    assert [one.url.path.rpartition("/")[2] for one in mock.asked] == ["completions", "responses"]
