"""Every recorded reply of either API, through `read()`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import openai
import pytest

import adapter
from adapter import Finished, Turn, read
from tests.support import answer_forms, corpus, oracle
from tests.support.http import SDK, helpers_of, needs

# Recordings without an answer, and the errors for them.
NO_ANSWER = {
    534: openai.APIError,  # background runs, still queued or in progress
    546: openai.APIError,
    548: openai.APIError,
    549: openai.APIError,
    3989: openai.APIError,  # the quota, in mid-stream
    6168: openai.APIError,  # an error chunk
}
TEST_DOUBLE = "N239"  # its stream has events that no API sends

# Pairs with different answers: a tool call on one side only, or only reasoning on one side.
ANOTHER_ANSWER: dict[corpus.Part, set[tuple[int | str, int | str]]] = {
    1: {(1146, 1170), (1504, 1506)},
    2: {("N166", "N170"), ("N276", "N280"), ("N236", "N240")},
}


@cache
def replies(api: str) -> tuple[corpus.Recording, ...]:
    return tuple(r for op in ("create", "retrieve") for r in corpus.select(api=api, op=op))


def body(recording: corpus.Recording) -> Any:
    return recording.response if recording.sse is None else [data for _, data in recording.sse]


def tools_of(recording: corpus.Recording) -> list[Any] | None:
    tools = (recording.request or {}).get("tools")
    return tools if isinstance(tools, list) else None


def turn_of(recording: corpus.Recording, **more: Any) -> Turn[Any]:
    if recording.sse is None:
        return read(recording.response, **more)
    *_, last = read(body(recording), **more)
    assert isinstance(last, Finished)
    return last.turn


@cache
def read_all(api: str) -> dict[int, Turn[Any] | Exception]:
    out: dict[int, Turn[Any] | Exception] = {}
    for recording in replies(api):
        try:
            out[recording.id] = turn_of(recording, tools=tools_of(recording))
        except Exception as error:  # noqa: BLE001 - the test checks which are expected
            out[recording.id] = error
    return out


def report(kind: str, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{kind}: {count}", end=" ")


@corpus.needs_corpus
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_all_are_read(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = read_all(api)
    failed = {key: error for key, error in found.items() if isinstance(error, Exception)}
    wanted = {key: kind for key, kind in NO_ANSWER.items() if key in found}
    assert failed.keys() == wanted.keys(), failed
    assert all(isinstance(failed[key], kind) for key, kind in wanted.items())
    report(f"recorded {api} replies read", len(found) - len(failed), capsys)
    assert len(found) > 900


@corpus.needs_corpus
def test_responses_streams_equal_their_results(capsys: pytest.CaptureFixture[str]) -> None:
    count = 0
    for recording in replies("responses"):
        if recording.sse is None or recording.id in NO_ANSWER:
            continue
        finished = next(
            data["response"] for _, data in reversed(recording.sse) if "response" in data
        )
        assert turn_of(recording) == read(finished), recording.id
        count += 1
    report("recorded Responses streams equal to their finished Response", count, capsys)
    assert count > 300


@corpus.needs_corpus
def test_turns_of_responses_equal_their_contents(capsys: pytest.CaptureFixture[str]) -> None:
    turns, count = read_all("responses"), 0
    for recording in replies("responses"):
        response = body(recording)
        if recording.sse is not None:
            response = next(
                data["response"] for _, data in reversed(recording.sse) if "response" in data
            )
        turn = turns[recording.id]
        if isinstance(turn, Exception):
            continue
        seen = oracle.seen(response)
        assert (turn.text, turn.refusal, turn.finish) == (
            seen.content or "",
            seen.refusal,
            seen.finish,
        ), recording.id
        assert [(c.id, c.type, c.name, c.arguments) for c in turn.tool_calls] == list(seen.calls), (
            recording.id
        )
        usage = turn.usage
        counts = usage and (
            usage.input_tokens,
            usage.output_tokens,
            usage.total_tokens,
            usage.cached_tokens,
            usage.reasoning_tokens,
        )
        assert counts == seen.usage, recording.id
        web = [c for c in turn.citations if c.type == "url_citation"]
        assert [(c.start_index, c.end_index, c.url, c.title) for c in web] == list(
            seen.citations
        ), recording.id
        listed = [
            annotation
            for item in response["output"]
            for part in item.get("content") or ()
            for annotation in part.get("annotations") or ()
        ]
        assert len(turn.citations) == len(listed), recording.id
        count += 1
    report("recorded Responses equal to their turns", count, capsys)


def accumulated(deltas: Iterator[dict[str, Any]]) -> tuple[str, str, dict[Any, list[str]]]:
    """Join deltas to text, refusal and calls."""
    text, refusal, calls = "", "", dict[Any, list[str]]()
    for delta in deltas:
        text += delta.get("content") or (delta.get("audio") or {}).get("transcript") or ""
        refusal += delta.get("refusal") or ""
        for entry in delta.get("tool_calls") or ():
            inner = entry.get("function") or entry.get("custom") or {}
            call = calls.setdefault(entry.get("index"), ["", ""])
            call[0] += inner.get("name") or ""
            call[1] += inner.get("arguments") or inner.get("input") or ""
        if delta.get("function_call"):
            call = calls.setdefault("legacy", ["", ""])
            call[0] += delta["function_call"].get("name") or ""
            call[1] += delta["function_call"].get("arguments") or ""
    return text, refusal, calls


@corpus.needs_corpus
def test_turns_of_chat_replies_equal_their_contents(capsys: pytest.CaptureFixture[str]) -> None:
    turns, count = read_all("chat"), 0
    for recording in replies("chat"):
        turn = turns[recording.id]
        if isinstance(turn, Exception):
            continue
        lines = (
            [recording.response]
            if recording.sse is None
            else [d for _, d in recording.sse if isinstance(d, dict)]
        )
        firsts = [
            choice
            for line in lines
            for choice in line.get("choices") or ()
            if not choice.get("index")
        ]
        key = "message" if recording.sse is None else "delta"
        inner = [dict(choice.get(key) or {}) for choice in firsts]
        for one in inner if recording.sse is None else ():
            one["tool_calls"] = [
                {**call, "index": n} for n, call in enumerate(one.get("tool_calls") or ())
            ]
        text, refusal, calls = accumulated(iter(inner))
        assert (turn.text, turn.refusal) == (text, refusal or None), recording.id
        assert [[c.name, c.arguments] for c in turn.tool_calls] == list(calls.values()), (
            recording.id
        )
        finish = next(
            (choice["finish_reason"] for choice in reversed(firsts) if choice.get("finish_reason")),
            "stop",
        )
        ended = "tool_calls" if calls else "stop"
        assert turn.finish == (finish if finish in ("length", "content_filter") else ended), (
            recording.id
        )
        usage = next((line["usage"] for line in reversed(lines) if line.get("usage")), None)
        assert (turn.usage and turn.usage.total_tokens) == (usage and usage["total_tokens"]), (
            recording.id
        )
        count += 1
    report("recorded chat replies equal to their turns", count, capsys)
    assert count > 1000


@corpus.needs_corpus
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_through_the_sdk(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Every seventh: reading with the SDK is slow.
    some = [r for r in replies(api) if r.id not in NO_ANSWER][::7]
    some = [r for r in some if len(json.dumps(body(r))) < 60_000]
    bodies = (
        json.dumps(r.response).encode() if r.sse is None else corpus.sse_bytes(r) for r in some
    )
    upstream = answer_forms.Upstream(*bodies)
    client = answer_forms.client(upstream)
    for recording in some:
        call = client.chat.completions.create if api == "chat" else client.responses.create
        conversation: Any = {"messages": []} if api == "chat" else {"input": "…"}
        result = call(model="m", stream=recording.sse is not None, **conversation)
        turn: Turn[Any]
        if recording.sse is None:
            turn = read(result, tools=tools_of(recording))
        else:
            *_, last = read(result, tools=tools_of(recording))
            assert isinstance(last, Finished)
            turn = last.turn
        assert turn == read_all(api)[recording.id], recording.id
    report(f"recorded {api} replies through the SDK", len(some), capsys)
    assert len(some) > 60


def structure(turn: Turn[Any]) -> Any:
    calls = [
        (
            c.name,
            c.type,
            c.parsed is not None,
            c.parsed and sorted(c.parsed) if isinstance(c.parsed, dict) else None,
        )
        for c in turn.tool_calls
    ]
    return turn.finish, turn.refusal is not None, calls, turn.parsed is not None


@corpus.needs_corpus
@corpus.each_part
def test_pairs_agree_in_structure(capsys: pytest.CaptureFixture[str], part: corpus.Part) -> None:
    agree, errors = 0, 0
    differing: set[tuple[int | str, int | str]] = set()
    for pair in corpus.pairs(part):
        sides = pair.chat, pair.responses
        if any(side.status >= 400 or side.id == TEST_DOUBLE for side in sides):
            errors += 1
            continue
        turns = [turn_of(side, tools=tools_of(side)) for side in sides]
        if structure(turns[0]) == structure(turns[1]):
            agree += 1
        else:
            differing.add((pair.chat.id, pair.responses.id))
    report(
        f"pairs that agree ({errors} more hold an HTTP error, {len(differing)} another answer)",
        agree,
        capsys,
    )
    assert differing == ANOTHER_ANSWER[part]
    assert agree + errors + len(differing) == len(corpus.pairs(part)) == {1: 256, 2: 37}[part]


def _is_strict(recording: corpus.Recording, turn: Turn[Any] | Exception) -> bool:
    """Return whether the SDK parses this recording's calls: all tools are strict functions."""
    tools = tools_of(recording)
    if (
        not tools
        or isinstance(turn, Exception)
        or not turn.tool_calls
        or turn.finish != "tool_calls"
    ):
        return False
    return all(
        tool["type"] == "function" and tool.get("function", tool).get("strict") for tool in tools
    )


@corpus.needs_corpus
@needs(SDK >= (2, 0), "types for all recorded tools")
def test_arguments_are_parsed_as_the_sdk_parses_them(capsys: pytest.CaptureFixture[str]) -> None:
    count = 0
    for api in ("chat", "responses"):
        strict = [r for r in replies(api) if r.sse is None and _is_strict(r, read_all(api)[r.id])]
        client = answer_forms.client(
            answer_forms.Upstream(*(json.dumps(r.response).encode() for r in strict))
        )
        for recording in strict:
            asked: Any = {"model": "m", "tools": tools_of(recording)}
            if api == "chat":
                message = helpers_of(client).parse(messages=[], **asked).choices[0].message
                parsed = [call.function.parsed_arguments for call in message.tool_calls]
            else:
                output = client.responses.parse(input="…", **asked).output
                parsed = [item.parsed_arguments for item in output if item.type == "function_call"]
            turn = read_all(api)[recording.id]
            assert isinstance(turn, Turn)
            assert [call.parsed for call in turn.tool_calls] == parsed, recording.id
            count += len(parsed)
    report("recorded calls parsed as the SDK parses them", count, capsys)
    assert count > 50


@corpus.needs_corpus
def test_history_is_what_the_translation_makes_of_it() -> None:
    # A chat turn's items are those that the translation makes of its message.
    for recording in replies("chat"):
        turn = read_all("chat")[recording.id]
        if isinstance(turn, Exception) or any(
            call.type == "function_call" for call in turn.tool_calls
        ):
            continue
        messages = [{"role": "user", "content": "…"}, turn.as_message()]
        body = adapter.translate.chat_to_responses({"model": "m", "messages": messages}).body
        assert body is not None
        assert turn.as_items() == body["input"][1:], recording.id
