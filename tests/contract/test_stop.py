"""`stop` and `n` where they are emulated.

The request, where answers end, and when upstream is left. The cutter itself is tested in
tests/unit/translation. Every answer is read whole and streamed, through every way in, and the
stream in pieces of any size; both must be equal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import adapter
from adapter.errors import MalformedRequest, StreamTruncated
from adapter.translation import (
    ChunksFromEvents,
    Policy,
    ReplyContext,
    chat_to_responses,
    response_to_completion,
)
from tests.contract.test_edge_streams import (
    CHAT_USAGE,
    SCHEMA,
    accumulated,
    added,
    asked,
    call,
    call_events,
    deltas,
    done,
    ending,
    message,
    on_arguments,
    on_text,
    opening,
    text,
    wire,
)
from tests.support.chunking import CUTS
from tests.support.depth import examples
from tests.support.http import CONNECTION_ERRORS
from tests.support.upstream import Upstream
from tests.support.ways_in import Reply, WayIn, both, each_way_in

Json = dict[str, Any]
STOP: Json = {"emulate": ("stop",)}
USAGE_TOO: Json = {"stream_options": {"include_usage": True}}


# Requests

GOOD: dict[str, tuple[Any, tuple[str, ...]]] = {
    "string": ("\n", ("\n",)),
    "list of one": (["END"], ("END",)),
    "list of four": (["a", "b", "c", "d"], ("a", "b", "c", "d")),
    "twice the same": (["a", "a"], ("a", "a")),
    "space": (" ", (" ",)),
    "null": (None, ()),
    "empty list": ([], ()),
}


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("unsupported", ["chat", "error", "drop"])
def test_27_stop_is_taken_over(case: str, unsupported: Any) -> None:
    value, expected = GOOD[case]
    made = chat_to_responses(asked(stop=value), Policy(unsupported, emulate=frozenset({"stop"})))
    assert made.body == chat_to_responses(asked()).body
    assert made.reply_context.stop == expected
    assert [(loss.path, loss.action) for loss in made.losses] == (
        [("stop", "changed")] if expected else []
    )


def test_n_is_taken_over() -> None:
    policy = Policy(emulate=frozenset({"n"}))
    for number in (2, 128):
        made = chat_to_responses(asked(n=number), policy)
        assert made.body == chat_to_responses(asked()).body
        assert made.reply_context.n == number
        assert [(loss.path, loss.action) for loss in made.losses] == [("n", "changed")]
    stored = chat_to_responses(asked(n=2, store=True), policy)
    assert "stored" in next(loss.why for loss in stored.losses if loss.path == "n")
    assert chat_to_responses(asked(n=1), policy).reply_context.n == 1


BAD: dict[str, tuple[str, Any, str]] = {
    "stop empty": ("stop", "", "stop"),
    "stop number": ("stop", 5, "stop"),
    "stop object": ("stop", {"a": 1}, "stop"),
    "stop true": ("stop", True, "stop"),
    "stop five": ("stop", ["a", "b", "c", "d", "e"], "stop"),
    "stop one empty": ("stop", ["a", ""], "stop[1]"),
    "stop one null": ("stop", [None], "stop[0]"),
    "stop one list": ("stop", ["a", "b", ["c"]], "stop[2]"),
    "n zero": ("n", 0, "n"),
    "n negative": ("n", -1, "n"),
    "n too many": ("n", 129, "n"),
    "n true": ("n", True, "n"),
    "n float": ("n", 2.0, "n"),
    "n string": ("n", "2", "n"),
}


@pytest.mark.parametrize("case", BAD)
def test_values_that_chat_refuses_are_left_to_chat(case: str) -> None:
    name, value, path = BAD[case]
    emulate = frozenset({"stop", "n"})
    held = chat_to_responses(asked(**{name: value}), Policy(emulate=emulate))
    assert held.body is None
    assert [loss.path for loss in held.held] == [path]
    for unsupported in ("error", "drop"):
        with pytest.raises(MalformedRequest) as caught:
            chat_to_responses(asked(**{name: value}), Policy(unsupported, emulate=emulate))
        assert caught.value.path == path


@pytest.mark.parametrize("name", ["stop", "n"])
def test_without_the_opt_in_the_policy_decides(name: str) -> None:
    body = asked(**{name: "x" if name == "stop" else 2})
    others = frozenset({"stop", "n", "web_search_options"} - {name})
    assert [loss.path for loss in chat_to_responses(body, Policy(emulate=others)).held] == [name]
    dropped = chat_to_responses(body, Policy("drop", emulate=others))
    assert [(loss.path, loss.action) for loss in dropped.losses] == [(name, "dropped")]
    assert (dropped.reply_context.stop, dropped.reply_context.n) == ((), 1)


# Answers


def log(token: str) -> Json:
    return {"token": token, "logprob": -0.25, "bytes": list(token.encode()), "top_logprobs": []}


def cites(start: int, end: int) -> Json:
    return {
        "type": "url_citation",
        "start_index": start,
        "end_index": end,
        "title": "T",
        "url": "https://x.test",
    }


def cited(start: int, end: int) -> Json:
    return {
        "type": "url_citation",
        "url_citation": {k: v for k, v in cites(start, end).items() if k != "type"},
    }


def events_of(items: Sequence[Json], size: int = 3, **end: Any) -> list[Json]:
    """Return a stream with deltas of `size` characters and citations after them.

    A delta has one token where the text has logprobs.
    """
    events = opening()
    for oi, item in enumerate(items):
        if item["type"] == "function_call":
            events += call_events(oi, item, item["arguments"])
            continue
        events.append(added(oi, item))
        for ci, part in enumerate(item.get("content", ())):
            if part["type"] == "refusal":
                at = {"type": "response.refusal.delta", "output_index": oi, "content_index": ci}
                events.append(at | {"delta": part["refusal"]})
                continue
            value, entries = part["text"], part.get("logprobs") or []
            pieces = [entry["token"] for entry in entries] or [
                value[start : start + size] for start in range(0, len(value), size)
            ]
            for number, piece in enumerate(pieces):
                events.append(
                    on_text("delta", oi, piece, ci, logprobs=entries[number : number + 1])
                )
            for note in part["annotations"]:
                place = {"output_index": oi, "content_index": ci, "annotation": note}
                events.append({"type": "response.output_text.annotation.added", **place})
            events.append(on_text("done", oi, value, ci, logprobs=entries))
        events.append(done(oi, item))
    return [*events, ending(*items, **end)]


@dataclass(frozen=True, slots=True)
class Case:
    """The items of an answer, the sequences, and what the caller reads."""

    id: str
    items: Sequence[Json]
    stop: str | Sequence[str]
    content: str | None
    finish: str = "stop"
    calls: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)  # of the request
    end: Mapping[str, Any] = field(default_factory=dict)  # of the terminal event
    refusal: str | None = None
    annotations: Sequence[Json] = ()  # of the whole answer
    streamed: Sequence[Json] | None = (
        None  # of the stream, where it ends before the totals are known
    )
    tokens: Sequence[str] | None = None


INCOMPLETE: Json = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
FILTERED: Json = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
NO: Json = {"type": "refusal", "refusal": "I STOP."}
TOKENS = ["Hel", "lo", " ST", "OP", " more"]
LOGGED = text("".join(TOKENS), logprobs=[log(token) for token in TOKENS])
NAMED: Json = {
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
        }
    ],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
}
LEGACY: Json = {"functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}]}

CASES = (
    Case("in-the-middle", [message("Hello STOP more")], "STOP", "Hello "),
    Case("no-match", [message("Hello there")], ["STOP", "there!"], "Hello there"),
    Case("a-beginning-at-the-end", [message("Hello STO")], "STOP", "Hello STO"),
    Case("at-the-beginning", [message("STOP Hello")], "STOP", ""),
    Case("at-the-end", [message("Hello STOP")], "STOP", "Hello "),
    Case("newline", [message("a\nb\nc")], ["\n"], "a"),
    Case("the-earliest-of-four", [message("one two three")], ["three", "two", "x", "ee"], "one "),
    Case("the-longer-one-around-it", [message("x<|end|>y")], ["end", "<|end|>"], "x"),
    Case("the-longer-one-fails", [message("x<|end|x")], ["end", "<|end|>"], "x<|"),
    Case("the-longer-one-is-never-finished", [message("x<|end")], ["end", "<|end|>"], "x<|"),
    Case("beyond-ascii", [message("héllo 👋 more")], "👋", "héllo "),
    Case("incomplete", [message("Hello STOP more")], "STOP", "Hello ", end=INCOMPLETE),
    Case("incomplete-without-a-match", [message("Hello")], "STOP", "Hello", "length", end=INCOMPLETE),
    Case("filtered-behind-the-cut", [message("Hello STOP")], "STOP", "Hello ", end=FILTERED),
    Case("over-two-parts", [message("Hello ST", "OP more")], "STOP", "Hello "),
    Case("a-part-behind", [message("a STOP", "b")], "STOP", "a "),
    Case("the-separator", [message("One."), message("Two.")], "\n\n", "One."),
    Case("over-the-separator", [message("One."), message("Two.")], ".\n\nT", "One"),
    Case("a-message-behind", [message("One STOP."), message("Two.")], "STOP", "One "),
    Case("in-the-second-message", [message("One."), message("Two STOP.")], "STOP", "One.\n\nTwo "),
    Case("twins", [message("One S"), message("One S")], "STOP", "One S"),
    Case("commentary-is-not-read", [message("Hm STOP", phase="commentary"), message("One.")], "STOP", "One."),
    Case("commentary-alone", [message("Hm STOP", phase="commentary")], "STOP", "Hm "),
    Case("json", [message('{"a": 1, "b": 2}'), message('{"a": 2}')], ",", '{"a": 1', more=SCHEMA),
    Case("a-call-behind", [message("Hello STOP"), call()], "STOP", "Hello "),
    Case("a-call-before", [call(), message("Hello STOP more")], "STOP", "Hello ", "tool_calls", ["call_A"]),
    Case("a-call-behind-a-match-that-waits", [message("x<|end"), call()], ["end", "<|end|>"], "x<|"),
    Case("before-and-behind", [call(), message("a STOP"), call("call_B")], "STOP", "a ", "tool_calls", ["call_A"]),
    Case("a-call-before-nothing", [call(), message("STOP")], "STOP", None, "tool_calls", ["call_A"]),
    Case("no-match-over-a-call", [message("a ST"), call(), message("OP b")], "STOP", "a ST\n\nOP b", "tool_calls", ["call_A"]),
    Case("arguments-are-no-text", [message("a"), call(arguments='{"c":"STOP"}')], "STOP", "a", "tool_calls", ["call_A"]),
    Case("incomplete-with-a-call", [call(), message("a STOP")], "STOP", "a ", "tool_calls", ["call_A"], end=INCOMPLETE),
    Case("a-preamble", [message("Hm STOP", phase="commentary"), call()], "STOP", "Hm "),
    Case("named-choice", [call(), message("a STOP")], "STOP", "a ", "stop", ["call_A"], more=NAMED),
    Case("legacy-function", [call(), message("a STOP")], "STOP", "a ", "function_call", ["f"], more=LEGACY),
    Case("a-refusal-is-no-text", [message(NO)], "STOP", None, refusal="I STOP."),
    Case("a-refusal-behind", [message("a STOP", NO)], "STOP", "a "),
    Case("a-refusal-before", [message(NO, "a STOP")], "STOP", "a ", refusal="I STOP."),
    Case("logprobs", [message(LOGGED)], "STOP", "Hello ", more={"logprobs": True}, tokens=["Hel", "lo"]),
    Case("logprobs-at-a-token", [message(LOGGED)], " STOP", "Hello", more={"logprobs": True}, tokens=["Hel", "lo"]),
    Case("logprobs-without-a-match", [message(LOGGED)], "more!", "Hello STOP more", more={"logprobs": True}, tokens=TOKENS),
    Case("citations", [message(text("see this STOP that", annotations=[cites(4, 8), cites(14, 18), cites(9, 9)]))], "STOP", "see this ",
         annotations=[cited(4, 8)], streamed=[]),
    Case("a-citation-over-the-cut", [message(text("see this STOP that", annotations=[cites(4, 18)]))], "STOP", "see this ",
         annotations=[cited(4, 9)], streamed=[]),
    Case("a-citation-that-is-known", [message(text("One.", annotations=[cites(0, 3)])), message("Two STOP.")], "STOP", "One.\n\nTwo ",
         annotations=[cited(0, 3)]),
    Case("citations-without-a-match", [message(text("see this", annotations=[cites(4, 8)]))], "STOP", "see this",
         annotations=[cited(4, 8)]),
    Case("something-to-approve-behind", [message("STOP"), {"type": "mcp_approval_request", "id": "m"}], "STOP", ""),
)  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


def read(choice: Json) -> Json:
    """Return the content of a choice, accumulated or whole."""
    made, legacy = choice["message"], choice["message"].get("function_call")
    logged = choice.get("logprobs") or {}
    return {
        "content": made["content"],
        "refusal": made["refusal"],
        "annotations": made["annotations"],
        "calls": [one["id"] for one in made.get("tool_calls", ())]
        + ([legacy["name"]] if legacy else []),
        "arguments": [one["function"]["arguments"] for one in made.get("tool_calls", ())],
        "finish": choice["finish_reason"],
        "tokens": [entry["token"] for entry in logged.get("content") or ()],
    }


def expected_of(case: Case, *, streamed: bool) -> Json:
    arguments = [item["arguments"] for item in case.items if item.get("call_id") in case.calls]
    annotations = case.annotations if case.streamed is None or not streamed else case.streamed
    return {
        "content": case.content,
        "refusal": case.refusal,
        "annotations": list(annotations),
        "calls": list(case.calls),
        "arguments": arguments,
        "finish": case.finish,
        "tokens": list(case.tokens or ()),
    }


def gathered(chunks: Sequence[Json]) -> Json:
    """Accumulate a stream; only usage may follow the finish chunk."""
    choice = accumulated(chunks)
    entries = [
        entry
        for chunk in chunks
        for one in chunk["choices"]
        for entry in (one.get("logprobs") or {}).get("content") or ()
    ]
    for chunk in chunks:
        for one in chunk["choices"]:
            legacy = one["delta"].get("function_call")
            if legacy:
                choice["message"].setdefault("function_call", legacy)
    return read(choice | {"logprobs": {"content": entries}})


def terminal(case: Case) -> Json:
    return ending(*case.items, **case.end)["response"]


@each_case
@each_way_in
def test_a_whole_answer(way_in: WayIn, case: Case) -> None:
    seen = way_in.create(
        asked(stop=case.stop, **case.more), both(Reply.of_json(terminal(case))), **STOP
    )
    made = seen.json()
    assert read(made["choices"][0]) == expected_of(case, streamed=False)
    assert made["usage"] == CHAT_USAGE, "usage is what was paid for"
    assert ("stop", "changed") in seen.ledger
    assert "stop" not in seen.sent[0].json()


@pytest.mark.parametrize("usage", [False, True], ids=["without-usage", "with-usage"])
@each_case
@each_way_in
def test_a_stream_however_the_bytes_arrive(way_in: WayIn, case: Case, usage: bool) -> None:
    data = b"".join(wire(events_of(case.items, **case.end)))
    body = asked(stop=case.stop, **case.more, **(USAGE_TOO if usage else {}))
    for name, cut in CUTS.items():
        seen = way_in.stream(body, both(Reply.of_sse(cut(data))), **STOP)
        seen.reraise()
        chunks = seen.chunks_json()
        assert gathered(chunks) == expected_of(case, streamed=True), name
        if usage:
            assert chunks.pop()["usage"] == CHAT_USAGE
            assert all(chunk["usage"] is None for chunk in chunks)
        assert chunks[-1]["choices"][0]["finish_reason"] == case.finish
        assert seen.open_on_return == 0


@each_case
def test_a_stream_that_is_one_response(case: Case) -> None:
    """Some servers answer with JSON to a stream request; then everything is known at once."""
    body = asked(stop=case.stop, stream=True, **case.more)
    reply = both(Reply.of_json(terminal(case)))
    for asynchronous in (False, True):
        chunks = WayIn("client", asynchronous).stream(body, reply, **STOP).chunks_json()
        assert gathered(chunks) == expected_of(case, streamed=False)


@each_way_in
def test_parse_and_the_helper(way_in: WayIn) -> None:
    case = CASES[0]
    parsed = way_in.parse(asked(stop="STOP"), both(Reply.of_json(terminal(case))), **STOP)
    helped = way_in.helper(
        asked(stop="STOP"), both(Reply.of_sse(wire(events_of(case.items)))), **STOP
    )
    assert parsed.json()["choices"][0]["message"]["content"] == "Hello "
    helped.reraise()
    assert helped.value.choices[0].message.content == "Hello "
    assert helped.value.choices[0].finish_reason == "stop"


# Upstream is left at the cut


def on_and_on(parts: Sequence[bytes], taken: list[int]) -> Iterator[bytes]:
    yield from parts
    while True:
        taken.append(1)
        assert len(taken) < 50, "upstream is still being read"
        yield wire([on_text("delta", 0, "more ")])[0]


@pytest.mark.parametrize("packed", [False, True], ids=["event-by-event", "in-the-first-read"])
@each_way_in
def test_upstream_is_closed_at_the_cut(way_in: WayIn, packed: bool) -> None:
    parts = wire(
        [
            *opening(),
            added(0, message("")),
            on_text("delta", 0, "Hello "),
            on_text("delta", 0, "STOP"),
        ]
    )
    if packed:
        parts = [b"".join(parts)]
    taken: list[int] = []
    reply = Reply(200, on_and_on(parts, taken), "text/event-stream")  # type: ignore[arg-type]  # it has no end
    seen = way_in.stream(asked(stop="STOP"), both(reply), **STOP)
    seen.reraise()
    assert gathered(seen.chunks_json())["content"] == "Hello "
    assert taken == []
    assert seen.open_on_return == 0


@each_way_in
def test_upstream_is_closed_before_the_reader_has_the_end(way_in: WayIn) -> None:
    """A reader that stops at the finish reason leaves nothing open."""
    events = events_of([message("Hello STOP more")])
    seen = way_in.stream(
        asked(stop="STOP"), both(Reply.of_sse(wire(events))), after=4, leaving="break", **STOP
    )
    assert [choice[1] for choice in deltas(seen.chunks_json())][-1] == "stop"
    assert seen.open_on_return == 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_server_sees_the_disconnect(mode: str) -> None:
    """On a real connection the model writes until its client disconnects."""
    values = {"backend": "responses", "emulate": ("stop",), "on_bug": "raise"}
    call_: Json = {
        "model": "endless",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stop": "on on on",
    }
    with Upstream() as upstream:
        plain: Json = {
            "base_url": upstream.base_url,
            "api_key": "key",
            "max_retries": 0,
            "settings": adapter.Settings(**values),
        }
        if mode == "sync":
            with adapter.OpenAI(**plain) as client:
                chunks = list(client.chat.completions.create(**call_))
                assert_left(upstream)
        else:
            import asyncio

            async def listen() -> list[Any]:
                async with adapter.AsyncOpenAI(**plain) as client:
                    read_ = [chunk async for chunk in await client.chat.completions.create(**call_)]
                    assert_left(upstream)
                    return read_

            chunks = asyncio.run(listen())
    assert chunks[-1].choices[0].finish_reason == "stop"


def assert_left(upstream: Upstream) -> None:
    deadline = time.monotonic() + 5
    while upstream.stats()["open"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert upstream.stats()["open"] == 0


def test_moderation_that_was_asked_for_is_waited_for() -> None:
    verdict = {"output": {"type": "moderation_result", "model": "m", "flagged": False}}
    made = chat_to_responses(
        asked(stream=True, stop="STOP", moderation={"model": "m"}),
        Policy(emulate=frozenset({"stop"})),
    )
    machine = ChunksFromEvents(made.reply_context, made.paths)
    chunks = [
        c for e in events_of([message("a STOP")], moderation=verdict) for c in machine.feed(e)
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]][
        -1
    ] == "stop"
    assert "moderation" in chunks[-1]
    assert not machine.close_early


# No partial answers

_CUT = [*opening(), added(0, message("")), on_text("delta", 0, "Hello STOP more")]
FAILED = {
    "type": "response.failed",
    "response": {"status": "failed", "error": {"code": "server_error", "message": "It broke."}},
}
BROKEN: dict[str, tuple[list[Json], type[Exception] | tuple[type[Exception], ...]]] = {
    "ends": ([], CONNECTION_ERRORS),
    "failed": ([FAILED], openai.APIError),
    "error": (
        [{"type": "error", "code": "server_error", "message": "It broke.", "param": None}],
        openai.APIError,
    ),
    "no response": ([{"type": "response.completed", "response": None}], openai.APIError),
}


@pytest.mark.parametrize("case", BROKEN)
@each_way_in
def test_a_failure_while_usage_is_awaited_is_raised(way_in: WayIn, case: str) -> None:
    tail, error = BROKEN[case]
    seen = way_in.stream(
        asked(stop="STOP", **USAGE_TOO), both(Reply.of_sse(wire([*_CUT, *tail]))), **STOP
    )
    assert isinstance(seen.error, error)
    assert gathered(seen.chunks_json())["content"] == "Hello "


@pytest.mark.parametrize("case", BROKEN)
@each_way_in
def test_a_failure_after_the_cut_is_not_seen_without_usage(way_in: WayIn, case: str) -> None:
    tail, _ = BROKEN[case]
    seen = way_in.stream(asked(stop="STOP"), both(Reply.of_sse(wire([*_CUT, *tail]))), **STOP)
    seen.reraise()
    assert gathered(seen.chunks_json())["finish"] == "stop"


@each_way_in
def test_a_failure_before_the_cut_is_raised(way_in: WayIn) -> None:
    events = [*opening(), added(0, message("")), on_text("delta", 0, "Hello STO")]
    seen = way_in.stream(asked(stop="STOP"), both(Reply.of_sse(wire(events))), **STOP)
    assert isinstance(seen.error, CONNECTION_ERRORS)


def test_calls_that_are_still_being_written_are_waited_for() -> None:
    """Some servers finish all items at the end: a call before the cut is still completed."""
    late = call(arguments='{"c":"Oslo"}')
    events = [
        *opening(),
        added(0, late),
        on_text("delta", 1, "a STOP b"),
        on_arguments("done", 0, late["arguments"]),
        done(0, late),
    ]
    machine = ChunksFromEvents(ReplyContext(stream=True, stop=("STOP",)))
    chunks = [
        c
        for e in [*events, ending(late, message("a STOP b"), call("call_B"))]
        for c in machine.feed(e)
    ]
    seen = gathered(chunks)
    assert (seen["content"], seen["arguments"], seen["finish"]) == (
        "a ",
        [late["arguments"]],
        "tool_calls",
    )
    assert not machine.close_early


def test_nothing_after_the_cut_counts() -> None:
    machine = ChunksFromEvents(ReplyContext(stream=True, include_usage=True, stop=("STOP",)))
    events = [
        *_CUT,
        on_text("done", 0, "something else"),
        *call_events(1, call(), "{}"),
        ending(message("something else"), call()),
    ]
    chunks = [chunk for event in events for chunk in machine.feed(event)]
    assert [finish for _, finish in deltas(chunks) if finish] == ["stop"]
    assert machine.close() == []
    assert not machine.unknown


def test_the_machine_is_done_once_it_closes_early() -> None:
    machine = ChunksFromEvents(ReplyContext(stream=True, stop=("STOP",)))
    for event in _CUT:
        machine.feed(event)
    assert machine.ended
    assert machine.close_early
    assert machine.feed(on_text("delta", 0, "x")) == []
    assert machine.close() == []
    with pytest.raises(StreamTruncated):
        ChunksFromEvents(ReplyContext(stream=True, stop=("STOP",))).close()


def test_obfuscation_is_passed_on() -> None:
    machine = ChunksFromEvents(ReplyContext(stream=True, stop=("STOP",)))
    chunks = [
        c
        for piece in ("ab S", "T", "x STOP")
        for c in machine.feed(on_text("delta", 0, piece, obfuscation=piece))
    ]
    delivered = [
        (c["choices"][0]["delta"]["content"], c.get("obfuscation"))
        for c in chunks
        if c["choices"][0]["delta"].get("content")
    ]
    assert delivered == [("ab ", "ab S"), ("STx ", "x STOP")]


# Results and streams are equal

_words = st.text("ab", max_size=6)
_parts = st.one_of(
    st.builds(lambda one: text(one, logprobs=[log(letter) for letter in one]), _words),
    st.builds(lambda one: {"type": "refusal", "refusal": one}, _words),
)
_messages = st.builds(
    lambda parts, phase: message(*parts, phase=phase),
    st.lists(_parts, max_size=3), st.sampled_from([None, "commentary", "final_answer"]),
)  # fmt: skip
_items = st.lists(
    st.one_of(_messages, _messages, st.builds(lambda one: call(arguments=one), _words)), max_size=4
)
_stops = st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple)


@settings(max_examples=examples(100))
@given(_items, _stops, st.booleans(), st.booleans(), st.sampled_from(["completed", "incomplete"]))
@example(
    [message(text("a", logprobs=[log("a")]), {"type": "refusal", "refusal": "a"})],
    ("a",),
    True,
    False,
    "completed",
)
def test_the_result_is_the_accumulated_stream(
    items: list[Json], stops: tuple[str, ...], json_format: bool, usage: bool, status: str
) -> None:
    items = [
        item | ({"call_id": f"call_{i}"} if "arguments" in item else {})
        for i, item in enumerate(items)
    ]
    end = {"status": status, "incomplete_details": {"reason": "max_output_tokens"}}
    asking = ReplyContext(
        stream=True, include_usage=usage, logprobs=True, json_format=json_format, stop=stops
    )
    events = events_of(items, **end)
    result = read(response_to_completion(events[-1]["response"], asking).body["choices"][0])
    for case_events in (events, [*opening(), events[-1]]):
        machine = ChunksFromEvents(asking)
        chunks = [chunk for event in case_events for chunk in machine.feed(event)]
        machine.close()
        assert gathered(chunks) == result
        assert bool(chunks[-1].get("usage")) == usage


def test_content_after_the_cut_is_no_loss() -> None:
    search = {"type": "web_search_call", "id": "ws_1"}
    items = [
        search,
        message("a STOP"),
        search,
        message("b", phase="commentary"),
        {"type": "mcp_call", "id": "m"},
    ]
    events = events_of(items)
    machine = ChunksFromEvents(ReplyContext(stream=True, stop=("STOP",)))
    for event in events:
        machine.feed(event)
    whole = response_to_completion(events[-1]["response"], ReplyContext(stop=("STOP",)))
    assert (
        [loss.path for loss in machine.losses]
        == [loss.path for loss in whole.losses]
        == ["output[0]"]
    )
