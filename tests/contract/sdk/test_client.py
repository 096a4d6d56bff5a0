"""SDK clients give what the HTTP transport gives: equal objects, the same errors and closing.

Every other table of cases runs through both ways in as well (tests/support/ways_in.py). Here the
objects are compared to the last field that was set, and what only SDK clients do is tested.
"""

from __future__ import annotations

import copy
import functools
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import NOT_GIVEN
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.types.chat import ChatCompletionMessage

import adapter
from adapter._routing.router import Router
from adapter._sdk.compat import SUPPORTED
from adapter.translation.streams.text_fast_path import TextFastPath
from tests.contract.test_edge_replies import CASES as REPLIES
from tests.contract.test_edge_streams import CASES as STREAMS
from tests.contract.test_edge_streams import (
    asked,
    ending,
    message,
    message_events,
    on_text,
    wire,
)  # isort: skip
from tests.contract.test_edge_streams import (
    opening as begun,
)
from tests.corpus.test_corpus_replies import asked as asked_for
from tests.corpus.test_corpus_replies import replies
from tests.support import corpus
from tests.support.answers import Sdk, event, events, hanging, response, sdk
from tests.support.answers import message_item as item
from tests.support.deep import deep
from tests.support.http import http, needs
from tests.support.loopback import Loopback
from tests.support.loopback import Reply as Served
from tests.support.ways_in import WAYS_IN, Reply, WayIn, both, each_way_in

__all__ = ["sdk"]

Json = dict[str, Any]
supported = needs(SUPPORTED, "stream reader that can be replaced")
DELTA = "response.output_text.delta"
USAGE: Json = {"stream_options": {"include_usage": True}}


def documented(one: Json, number: int) -> bytes:
    """Write an event as the API does, text deltas in the documented order."""
    if one.get("type") == DELTA and not one.get("logprobs") and "output_index" in one:
        one = {
            "type": DELTA, "sequence_number": number, "item_id": "msg_1",
            "output_index": one["output_index"],
            "content_index": one.get("content_index", 0), "delta": one["delta"], "logprobs": [],
            "obfuscation": "x" * (number % 3),
        }  # fmt: skip
    data = json.dumps(one, ensure_ascii=False, separators=(",", ":"))
    return f"event: {one['type']}\ndata: {data}\n\n".encode()


def by_all(body: Json, reply: Reply) -> list[tuple[str, Any, Any]]:
    """Read a stream through all ways in; return what each showed."""
    shown = []
    for way_in in WAYS_IN:
        seen = way_in.stream(body, both(reply))
        error = seen.error and (
            type(seen.error),
            str(seen.error),
            getattr(seen.error, "body", None),
        )
        shown.append((way_in.name, [deep(chunk) for chunk in seen.chunks], error))
    return shown


def assert_same(shown: list[tuple[str, Any, Any]]) -> None:
    _, chunks, error = shown[-1]
    for name, others, other_error in shown:
        assert others == chunks, name
        assert other_error == error, name


@pytest.mark.parametrize("case", STREAMS, ids=[case.id for case in STREAMS])
def test_chunks(case: Any) -> None:
    written = [documented(one, number) for number, one in enumerate(case.input)]
    assert_same(by_all(asked(**case.request, **USAGE), Reply.of_sse(written)))
    assert_same(by_all(asked(**case.request, **USAGE), Reply.of_sse([b"".join(written)])))


@pytest.mark.parametrize("case", REPLIES, ids=[case.id for case in REPLIES])
def test_completions(case: Any) -> None:
    reply = Reply.of_json(
        case.input | {"usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}},
        headers=[("x-request-id", "req_1")],
    )
    seen = [way_in.create(asked(**case.request), both(reply)) for way_in in WAYS_IN]
    assert all(deep(one.value) == deep(seen[-1].value) for one in seen)
    assert seen[0].value is None or seen[0].value._request_id == "req_1"


ODD_USAGE = (
    {"input_tokens": "3", "output_tokens": 2.0, "total_tokens": True},
    {
        "input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": "7"},
    },
    {
        "input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
    },
    {"input_tokens": None},
)  # fmt: skip


@pytest.mark.parametrize("usage", ODD_USAGE)
def test_what_pydantic_would_coerce(usage: Json) -> None:
    whole = response(item()) | {
        "usage": usage,
        "service_tier": "odd",
        "model": 7,
        "created_at": "now",
    }
    completions = [way_in.create(asked(), both(Reply.of_json(whole))).value for way_in in WAYS_IN]
    assert all(deep(one) == deep(completions[-1]) for one in completions)
    stream = [
        *begun(),
        *message_events(0, "Hel", "lo"),
        {"type": "response.completed", "response": whole},
    ]
    stream[0]["response"]["service_tier"] = "odd"
    assert_same(
        by_all(asked(**USAGE), Reply.of_sse([documented(one, k) for k, one in enumerate(stream)]))
    )


@corpus.needs_corpus
@corpus.each_part
@pytest.mark.corpus
def test_the_corpus(part: corpus.Part) -> None:
    streamed, whole = (replies(part, stream=stream) for stream in (True, False))
    ways_in = [way_in for way_in in WAYS_IN if way_in.kind != "install" and not way_in.asynchronous]
    for recording in streamed:
        written = [
            documented(data, k) if isinstance(data, dict) and "type" in data else b""
            for k, (_, data) in enumerate(recording.sse or ())
        ]
        body = asked_for(recording)
        seen = [
            way_in.stream(body, both(Reply.of_sse(written)), on_bug="chat") for way_in in ways_in
        ]
        assert [deep(chunk) for chunk in seen[0].chunks] == [
            deep(chunk) for chunk in seen[1].chunks
        ], recording.id
        assert str(seen[0].error) == str(seen[1].error), recording.id
    for recording in whole:
        seen = [
            way_in.create(
                asked_for(recording), both(Reply.of_json(recording.response)), on_bug="chat"
            )
            for way_in in ways_in
        ]
        assert deep(seen[0].value) == deep(seen[1].value), recording.id
        assert str(seen[0].error) == str(seen[1].error), recording.id


# Failures

HELLO = [*begun(), *message_events(0, "Hel", "lo", " there"), ending(message("Hello there"))]
ENDS: dict[str, list[bytes]] = {
    "cut off": [b""],
    "an error event": [event("error", code="server_error", message="It broke.", param=None)],
    "failed": [
        event(
            "response.failed",
            response=response() | {"status": "failed", "error": {"code": "x", "message": "y"}},
        )
    ],
    "no JSON": [b"data: {oops\n\n"],
    "not an object": [b"data: [1]\n\n"],
    "a contradiction": wire([ending(message("Something else"))]),
    "an odd event": [event("response.new_kind", delta="?"), *wire(HELLO[-1:])],
    "a delta of another part": [documented(on_text("delta", 0, "?", 1), 9), *wire(HELLO[-1:])],
    "two ends": wire([HELLO[-1], HELLO[-1]]),
    "done twice": [*wire(HELLO[-1:]), b"data: [DONE]\n\n", b"data: [DONE]\n\n"],
}


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("after", range(0, len(HELLO) - 1, 3))
def test_ends(after: int, end: str, reset: bool) -> None:
    written = [documented(one, number) for number, one in enumerate(HELLO[:after])]
    assert_same(by_all(asked(), Reply.of_sse([*written, *ENDS[end]], reset=reset)))


# The fast path for text

LITERALS = {
    "escapes": r'"a\"b\\c\/d\b\f\n\r\t\u00e9\u4f60"',
    "a pair": r'"\ud83d\ude00"',
    "half a pair": r'"\ud83d"',
    "raw": '"é 你好 😀 \u2028 \x7f"',
    "empty": '""',
    "an escaped key": r'"\",\"delta\":\"x"',
}
FORMS: dict[str, Callable[[str], bytes]] = {
    "documented": lambda d: (
        f'"type":"{DELTA}","sequence_number":5,"item_id":"m","output_index":0,"content_index":0,'
        f'"delta":{d},"logprobs":[]'
    ).encode(),
    "padded": lambda d: (
        f'"type":"{DELTA}","item_id":"m","output_index":0,"content_index":0,"delta":{d},'
        f'"logprobs":[],"obfuscation":{d}'
    ).encode(),
    "by model": lambda d: (
        f'"content_index":0,"delta":{d},"item_id":"m","logprobs":[],"output_index":0,'
        f'"sequence_number":5,"type":"{DELTA}"'
    ).encode(),
    "spaced": lambda d: (
        f'"type": "{DELTA}", "item_id": "m", "output_index": 0, "content_index": 0, "delta": {d}'
    ).encode(),
    "twice": lambda d: (
        f'"type":"{DELTA}","item_id":"m","output_index":0,"content_index":0,"delta":"no",'
        f'"delta":{d}'
    ).encode(),
    "another item": lambda d: (
        f'"type":"{DELTA}","item_id":"m","output_index":7,"content_index":0,"delta":{d}'
    ).encode(),
    "without indexes": lambda d: f'"type":"{DELTA}","item_id":"m","delta":{d}'.encode(),
    "logprobs": lambda d: (
        f'"type":"{DELTA}","item_id":"m","output_index":0,"content_index":0,"delta":{d},'
        '"logprobs":[{}]'
    ).encode(),
    "broken UTF-8": lambda d: (
        f'"type":"{DELTA}","item_id":"m","output_index":0,"content_index":0,"delta":"'.encode()
        + b"\xff"
        + d[1:].encode()
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("literal", LITERALS)
def test_a_delta_that_is_copied_is_the_delta(form: str, literal: str) -> None:
    odd = b"data: {" + FORMS[form](LITERALS[literal]) + b"}\n\n"
    start = [
        documented(one, k) for k, one in enumerate([*begun(), *message_events(0, "Hel", "lo")[:-3]])
    ]
    assert_same(
        by_all(
            asked(), Reply.of_sse([*start, odd, odd + odd, odd[:20], odd[20:], *ENDS["cut off"]])
        )
    )


@supported
def test_the_fast_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"read_deltas": 0, "read_frames": 0}
    for name in taken:
        take = getattr(TextFastPath, name)

        def counted(
            self: TextFastPath, data: bytes, out: list[Any], *, name: str = name, take: Any = take
        ) -> Any:
            before = len(out)
            at = take(self, data, out)
            taken[name] += len(out) - before
            return at

        monkeypatch.setattr(TextFastPath, name, counted)
    written = Reply.of_sse(
        [
            documented(one, k)
            for k, one in enumerate(
                [*begun(), *message_events(0, *"abcdefgh"), ending(message("abcdefgh"))]
            )
        ]
    )
    for way_in in WAYS_IN:
        seen = way_in.stream(asked(), both(written))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in seen.chunks) == "abcdefgh"
    assert taken == {
        "read_deltas": 4 * 7,
        "read_frames": 2 * 7,
    }  # the first delta doesn't take it


# Other readers of the reply


@pytest.fixture
def streamed(loopback: Loopback) -> Loopback:
    loopback.answer = lambda _: Served.of_sse(events())
    return loopback


def test_streams_are_the_sdks(sdk: Sdk, streamed: Loopback) -> None:
    stream = sdk.create(sdk.client(streamed), stream=True)
    assert type(stream) in (openai.Stream, openai.AsyncStream)
    if SUPPORTED:
        assert stream._iterator.__name__ in ("read_chunks", "aread_chunks")
    chunks = sdk.list(stream)
    assert stream.response.status_code == 200
    assert stream.response.is_closed
    decided = adapter.decision(stream)
    assert decided is not None
    assert decided.backend == "responses"
    assert deep(copy.deepcopy(chunks)) == deep(chunks)
    assert deep(pickle.loads(pickle.dumps(chunks))) == deep(chunks)


def test_a_hook_that_reads_the_reply_first(streamed: Loopback) -> None:
    with http.Client(event_hooks={"response": [lambda reply: reply.read()]}) as http_client:
        client = adapter.OpenAI(
            base_url=streamed.base_url,
            api_key="k",
            http_client=http_client,
            settings=adapter.Settings(backend="responses"),
        )
        stream = client.chat.completions.create(
            model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        assert b"[DONE]" in stream.response.content
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello there"


def test_raw_and_streaming_responses(streamed: Loopback) -> None:
    client = adapter.OpenAI(
        base_url=streamed.base_url, api_key="k", settings=adapter.Settings(backend="responses")
    )
    body: Json = {
        "model": "gpt-4.1",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }
    raw = client.chat.completions.with_raw_response.create(**body)
    assert raw.headers["x-adapter-backend"] == "responses"
    assert type(raw.parse()) is openai.Stream
    assert len(list(raw.parse())) > 2
    with client.chat.completions.with_streaming_response.create(**body) as reply:
        lines = [line for line in reply.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: {") for line in lines[:-1])
    client.close()


def test_chunks_and_bytes_take_turns(streamed: Loopback) -> None:
    client = adapter.OpenAI(
        base_url=streamed.base_url, api_key="k", settings=adapter.Settings(backend="responses")
    )
    stream = client.with_options(timeout=7).chat.completions.create(
        model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    first = next(stream)
    assert first.choices[0].delta.role == "assistant"
    with stream:
        pass
    assert stream.response.is_closed
    client.close()


# Connections


@pytest.mark.parametrize("kind", ["client", "wire"])
def test_sync_streams_give_their_connection_back(streamed: Loopback, kind: str) -> None:
    settings = adapter.Settings(backend="responses")
    plain: Json = {"base_url": streamed.base_url, "api_key": "k"}
    client = (
        adapter.OpenAI(**plain, settings=settings)
        if kind == "client"
        else openai.OpenAI(
            **plain, http_client=http.Client(transport=adapter.Transport(settings=settings))
        )
    )
    with client:
        for _ in range(5):
            stream = client.chat.completions.create(
                model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}], stream=True
            )
            assert len(list(stream)) > 2
    assert streamed.connections == 1


def test_an_upstream_that_never_ends_is_left(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda _: hanging(events())
    client = sdk.client(loopback)
    assert len(sdk.stream(client)) > 2
    assert loopback.wait_for(lambda one: one.open_connections == 0)


# Messages


def chat_message(role: str = "user", content: Any = "Hi", **more: Any) -> Json:
    return {"role": role, "content": content, **more}


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES: dict[str, Callable[[], Any]] = {
    "dicts": lambda: [
        chat_message("system"), chat_message(), chat_message("assistant", None, tool_calls=[CALL]),
        chat_message("tool", "4", tool_call_id="call_1"),
    ],
    "parts": lambda: [
        chat_message(
            content=[
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://x.test"}},
            ]
        ),
    ],
    "objects": lambda: [
        chat_message(),
        ChatCompletionMessage.model_validate(
            {"role": "assistant", "content": "Yes", "tool_calls": [CALL]}
        ),
        chat_message("tool", "4", tool_call_id="call_1"),
    ],
    "constructed": lambda: [
        ChatCompletionMessage.construct(role="assistant", content="Yes", extra_field=1),
        chat_message(),
    ],
    "a generator": lambda: (chat_message(content=text) for text in ("a", "b")),
    "a tuple": lambda: (chat_message(), chat_message()),
    "tuples inside": lambda: [chat_message(content=({"type": "text", "text": "a"},))],
    "a generator inside": lambda: [
        chat_message(content=({"type": "text", "text": text}
        for text in "ab"))
    ],
    "not given inside": lambda: [
        chat_message(name=NOT_GIVEN),
        chat_message(content=[{"type": "text", "text": "a", "odd": NOT_GIVEN}]),
    ],
    "unknown keys": lambda: [chat_message(odd={"a": [1, 2.5, None, True, {"b": []}]})],
    "none": list,
    "not messages": lambda: ["Hi", 7, None],
    "a string": lambda: "Hi",
}  # fmt: skip


@each_way_in
@pytest.mark.parametrize("name", MESSAGES)
def test_messages(way_in: WayIn, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = both(Reply.of_json(response(item())))
    expected = next(
        one
        for one in WAYS_IN
        if one.kind == "transport" and one.asynchronous == way_in.asynchronous
    ).create({"model": "gpt-4.1", "messages": MESSAGES[name]()}, reply)
    given = MESSAGES[name]()
    before = repr(given)
    seen = way_in.create({"model": "gpt-4.1", "messages": given}, reply)
    assert [sent.body for sent in seen.sent] == [sent.body for sent in expected.sent]
    assert type(seen.error) is type(expected.error)
    assert repr(given) == before


def test_extra_body_wins(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda _: Served.of_json(response(item()))
    client = sdk.client(loopback)
    sdk.create(
        client,
        messages=[chat_message()],
        extra_body={"messages": [chat_message(content="Another")], "odd": 1},
    )
    sent = json.loads(loopback.requests[0].body)
    assert [one["content"] for one in sent["input"]] == ["Another"]
    assert sent["odd"] == 1


@supported
@pytest.mark.parametrize("method", ["create", "parse"])
def test_a_patched_method_sees_the_messages(
    sdk: Sdk, loopback: Loopback, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    loopback.answer = lambda _: Served.of_json(response(item()))
    client = sdk.client(loopback)
    seen_messages: list[Any] = []
    for cls in (Completions, AsyncCompletions):
        own = getattr(cls, method)

        @functools.wraps(own)
        def patched(self: Any, *args: Any, own: Any = own, **kwargs: Any) -> Any:
            seen_messages.append(kwargs["messages"])
            return own(self, *args, **kwargs)

        monkeypatch.setattr(cls, method, patched)
    messages = [chat_message()]
    sdk.run(getattr(client.chat.completions, method)(model="gpt-4.1", messages=messages))
    assert seen_messages == [messages]
    monkeypatch.undo()
    sdk.run(getattr(client.chat.completions, method)(model="gpt-4.1", messages=messages))
    assert seen_messages == [messages]


class Wrapper:
    """Replaces a method as wrapt's wrappers do: equal to it, with its hash."""

    def __init__(self, wrapped: Any, seen_messages: list[Any]) -> None:
        self.__wrapped__, self._seen = wrapped, seen_messages

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == other)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __get__(self, one: Any, cls: Any = None) -> Any:
        if one is None:
            return self

        def call(**kwargs: Any) -> Any:
            self._seen.append(kwargs["messages"])
            return self.__wrapped__(one, **kwargs)

        return call


@supported
def test_a_wrapper_that_is_equal_to_the_method(
    sdk: Sdk, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.answer = lambda _: Served.of_json(response(item()))
    client = sdk.client(loopback)
    messages = [chat_message()]
    sdk.create(client, messages=messages)
    seen_messages: list[Any] = []
    for cls in (Completions, AsyncCompletions):
        monkeypatch.setattr(cls, "create", Wrapper(cls.create, seen_messages))
    sdk.create(client, messages=messages)
    assert seen_messages == [messages]


def test_a_subclass_with_a_post_of_its_own(loopback: Loopback) -> None:
    posted: list[Any] = []

    class Mine(adapter.OpenAI):
        def post(self, path: str, **more: Any) -> Any:
            posted.append(more["body"]["messages"])
            return super().post(path, **more)

    loopback.answer = lambda _: Served.of_json(response(item()))
    with Mine(
        base_url=loopback.base_url, api_key="k", settings=adapter.Settings(backend="responses")
    ) as client:
        answer = client.chat.completions.create(
            model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}]
        )
    assert answer.choices[0].message.content == "Hello there"
    assert posted == [[chat_message()]]


def test_a_patched_post_sees_the_messages() -> None:
    client = adapter.OpenAI(
        base_url="http://127.0.0.1:9/v1",
        api_key="k",
        settings=adapter.Settings(backend="responses"),
    )
    posted: list[Any] = []
    client.post = (  # type: ignore[method-assign]
        lambda path, **more: posted.append(more["body"]["messages"])
    )
    client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}])
    assert posted == [[chat_message()]]


def test_off_is_the_sdks_own_path(monkeypatch: pytest.MonkeyPatch, loopback: Loopback) -> None:
    from adapter._sdk import fast_messages

    monkeypatch.setattr(
        fast_messages, "_transformed", lambda _: pytest.fail("the messages were looked at")
    )
    loopback.answer = lambda _: Served.of_sse(events())
    with adapter.OpenAI(
        base_url=loopback.base_url, api_key="k", settings=adapter.Settings(backend="chat")
    ) as client:
        client.chat.completions.create(
            model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}], stream=True
        ).close()
    assert loopback.requests[0].path.endswith("/chat/completions")


@supported
@pytest.mark.parametrize("where", ["arguments", "file"])
def test_off_keeps_the_sdks_own_resource_as_long_as_nothing_can_switch_it_on(
    where: str, tmp_path: Path
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('backend = "chat"\n')
    settings = (
        adapter.Settings(backend="chat")
        if where == "arguments"
        else adapter.Settings(config_file=file)
    )
    client = adapter.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="k", settings=settings)
    assert (type(client.chat.completions) is Completions) == (where == "arguments")
    held = client.chat.completions
    adapter.install(client, settings=adapter.Settings(backend="responses"))
    assert type(client.chat.completions) is not Completions
    assert client.chat.completions is held  # it may have been patched
    adapter.install(client, settings=adapter.Settings(backend="chat"))
    assert client.chat.completions is held


def test_a_call_that_the_settings_decide_is_asked_about_once(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Router, "choose_gen", lambda *_: pytest.fail("it was asked"))
    loopback.answer = lambda _: Served.of_json(response(item()))
    settings = adapter.Settings(backend="responses", on_bug="raise")
    with adapter.OpenAI(base_url=loopback.base_url, api_key="k", settings=settings) as client:
        made = client.chat.completions.create(
            model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}]
        )
    found = adapter.decision(made)
    assert found is not None
    assert (found.backend, found.reason) == ("responses", "settings")
    assert loopback.requests[0].path.endswith("/responses")


def test_a_request_made_inside_a_call_that_is_off_loses_the_header_as_well(
    loopback: Loopback,
) -> None:
    loopback.answer = lambda request: Served.of_json({"object": "list", "data": []})
    given: Json = {"base_url": loopback.base_url, "api_key": "k"}
    other = adapter.OpenAI(
        **given,
        default_headers={"x-adapter-backend": "responses"},
        settings=adapter.Settings(backend="responses"),
    )
    inside = http.Client(event_hooks={"request": [lambda _: other.models.list()]})
    with (
        other,
        adapter.OpenAI(
            **given, http_client=inside, settings=adapter.Settings(backend="chat")
        ) as client,
    ):
        client.chat.completions.create(
            model="gpt-4.1", messages=[{"role": "user", "content": "Hi"}]
        )
    assert [request.path.rpartition("/v1")[2] for request in loopback.requests] == [
        "/models",
        "/chat/completions",
    ]
    assert all(request.header("x-adapter-backend") is None for request in loopback.requests)
