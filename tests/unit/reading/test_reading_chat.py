"""`read()` on what Chat Completions and compatible servers really send (docs/wire-facts.md)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import openai
import pytest

import adapter
from adapter import Finished, ToolCall, ToolCallDelta, ToolCallDone, read
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts, Called
from tests.support.reading_items import STOP, TEXT, Json, chunk, completion, expected


def entry(
    index: int | None, arguments: str | None, name: str | None = None, call_id: str | None = None
) -> Json:
    made: Json = {"function": {"arguments": arguments}}
    made |= {} if index is None else {"index": index}
    made |= {} if call_id is None else {"id": call_id, "type": "function"}
    if name is not None:
        made["function"]["name"] = name
    return chunk({"tool_calls": [made]})


F, G = ToolCall("call_f", "f", '{"a":1}'), ToolCall("call_g", "g", "{}")
BOTH: Json = {"finish": "tool_calls", "tool_calls": (F, G)}
END = chunk({}, "tool_calls")
AZURE = {
    "choices": [],
    "id": "",
    "model": "",
    "object": "",
    "created": 0,
    "prompt_filter_results": [],
}

CHUNKS: dict[str, tuple[list[Any], Json]] = {
    "azure": ([AZURE, TEXT, STOP], {"text": "x"}),
    "choice_without_delta": (
        [chunk(), {**TEXT, "choices": [{"index": 0}]}, TEXT, STOP],
        {"text": "x"},
    ),
    "choices_null": ([{**TEXT, "choices": None}, TEXT, STOP], {"text": "x"}),
    "several_choices": (
        [
            {**TEXT, "choices": [{"index": 1, "delta": {"content": "no"}}, *TEXT["choices"]]},
            STOP,
            chunk() | {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
        ],
        {"text": "x"},
    ),
    "everything_at_once": ([chunk({"role": "assistant", "content": "x"}, "stop")], {"text": "x"}),
    "content_in_parts": (
        [chunk({"content": [{"type": "text", "text": "x"}]}), STOP],
        {"text": "x"},
    ),
    "moderation_after_usage": (
        [TEXT, STOP, {**TEXT, "choices": [], "moderation": {}}],
        {"text": "x"},
    ),
    "ping_first": ([{"type": "ping"}, TEXT, {"type": "ping"}, STOP], {"text": "x"}),
    "done_twice": ([TEXT, STOP, "[DONE]", "[DONE]"], {"text": "x"}),
    "finish_twice": ([TEXT, STOP, STOP], {"text": "x"}),
    "named_choice_says_stop": (
        [entry(0, "{}", "g", "call_g"), STOP],
        {"finish": "tool_calls", "tool_calls": (G,)},
    ),
    "tool_calls_without_calls": ([TEXT, END], {"text": "x"}),
    "unknown_finish": ([TEXT, chunk({}, "eos")], {"text": "x", "finish": "eos"}),
    "headers_later": (
        [
            chunk({"role": "assistant", "content": None}),
            entry(0, "", "f", "call_f"),
            entry(0, '{"a":1}'),
            entry(1, "{}", "g", "call_g"),
            END,
        ],
        BOTH,
    ),
    "interleaved": (
        [
            entry(0, "", "f", "call_f"),
            entry(1, "", "g", "call_g"),
            entry(0, '{"a"'),
            entry(1, "{}"),
            entry(0, ":1}"),
            END,
        ],
        BOTH,
    ),
    "two_in_one_chunk": (
        [
            chunk(
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "call_f",
                            "function": {"name": "f", "arguments": '{"a":1}'},
                        },
                        {"index": 1, "id": "call_g", "function": {"name": "g", "arguments": "{}"}},
                    ]
                }
            ),
            END,
        ],
        BOTH,
    ),
    "index_with_gaps": (
        [entry(1, '{"a":1}', "f", "call_f"), entry(3, "{}", "g", "call_g"), END],
        BOTH,
    ),
    "no_index": (
        [
            entry(None, '{"a"', "f", "call_f"),
            entry(None, ":1}"),
            entry(None, "{}", "g", "call_g"),
            END,
        ],
        BOTH,
    ),
    "the_same_index_for_all": (
        [entry(0, '{"a":1}', "f", "call_f"), entry(0, "{}", "g", "call_g"), END],
        BOTH,
    ),
    "header_in_every_chunk": (
        [
            entry(0, '{"a"', "f", "call_f"),
            entry(0, ":1}", "f", "call_f"),
            entry(1, "{}", "g", "call_g"),
            END,
        ],
        BOTH,
    ),
    "name_after_arguments": (
        [
            entry(0, '{"a"', None, "call_f"),
            entry(0, ":1}", "f"),
            entry(1, "{}", "g", "call_g"),
            END,
        ],
        BOTH,
    ),
    "arguments_as_an_object": (
        [
            chunk(
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "call_g",
                            "function": {"name": "g", "arguments": {"a": "ü"}},
                        }
                    ]
                }
            ),
            END,
        ],
        {"finish": "tool_calls", "tool_calls": (ToolCall("call_g", "g", '{"a": "ü"}'),)},
    ),
    "legacy": (
        [
            chunk({"function_call": {"name": "f", "arguments": ""}}),
            chunk({"function_call": {"arguments": "{}"}}),
            chunk({}, "function_call"),
        ],
        {"finish": "tool_calls", "tool_calls": (ToolCall("", "f", "{}", type="function_call"),)},
    ),
    "reasoning_of_openrouter": (
        [chunk({"reasoning": "Hm"}), TEXT, STOP],
        {"text": "x", "reasoning_summary": "Hm"},
    ),
    "audio": (
        [
            chunk({"audio": {"id": "a", "transcript": "He"}}),
            chunk({"audio": {"transcript": "y"}}),
            chunk({"audio": {"data": "AAAA"}}),
            chunk({"audio": {"expires_at": 1}}),
        ],
        {"text": "Hey"},
    ),
    "no_finish_but_usage": (
        [
            entry(0, "{}", "g", "call_g"),
            {
                **TEXT,
                "choices": [],
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            },
        ],
        {"finish": "tool_calls", "tool_calls": (G,), "usage": adapter.Usage(1, 2, 3)},
    ),
    "usage_in_every_chunk": (
        [
            {**TEXT, "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
            {**STOP, "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
        ],
        {"text": "x", "usage": adapter.Usage(1, 2, 3)},
    ),
    "more_behind_a_whole_object": (
        [entry(0, '{"a":1}', "f", "call_f"), entry(1, "{}", "g", "call_g"), entry(0, "\n"), END],
        {"finish": "tool_calls", "tool_calls": (ToolCall("call_f", "f", '{"a":1}\n'), G)},
    ),
    "no_index_and_no_ids": (
        [entry(None, '{"a":1}', "f"), entry(None, "{}", "g"), END],
        {
            "finish": "tool_calls",
            "tool_calls": (ToolCall("", "f", '{"a":1}'), ToolCall("", "g", "{}")),
        },
    ),
    "a_note_that_is_none": ([chunk({"content": "x", "annotations": [None]}), STOP], {"text": "x"}),
    "objects_that_are_not_the_sdks": (
        [
            SimpleNamespace(
                id="resp_1",
                model="gpt-4o",
                choices=[
                    SimpleNamespace(
                        index=0, delta=SimpleNamespace(content="x"), finish_reason="stop"
                    )
                ],
            )
        ],
        {"text": "x"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHUNKS)
def test_chunks(case: str) -> None:
    lines, fields = CHUNKS[case]
    *before, last = read(lines)
    assert last == Finished(expected(**{"usage": None} | fields))
    done = sorted((e for e in before if isinstance(e, ToolCallDone)), key=lambda e: e.index)
    calls = last.turn.tool_calls
    assert [(e.id, e.name, e.arguments) for e in done] == [
        (c.id, c.name, c.arguments.strip()) for c in calls
    ]
    for event in () if case == "more_behind_a_whole_object" else done:
        pieces = [
            e.arguments for e in before if isinstance(e, ToolCallDelta) and e.index == event.index
        ]
        assert "".join(pieces) == event.arguments


@pytest.mark.parametrize(
    "case", [case for case in CHUNKS if not case.startswith(("objects", "ping", "done_twice"))]
)
def test_chunks_through_the_sdk(case: str) -> None:
    lines, fields = CHUNKS[case]
    made = answer_forms.client(answer_forms.Upstream(answer_forms.sse(lines, done=True)))
    stream = made.chat.completions.create(model="m", messages=[], stream=True)
    *_, last = read(stream)
    assert last == Finished(expected(**{"usage": None} | fields))


COMPLETIONS: dict[str, tuple[Json, Json]] = {
    "plain": (completion({"role": "assistant", "content": "x"}), {"text": "x"}),
    "several_choices": (
        {
            **completion({"content": "x"}),
            "choices": [
                {"index": 1, "message": {"content": "no"}, "finish_reason": "length"},
                {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"},
            ],
        },
        {"text": "x"},
    ),
    "no_finish": (completion({"content": "x"}, None), {"text": "x"}),
    "no_message": (completion(None), {"text": ""}),
    "no_object": (
        {k: v for k, v in completion({"content": "x"}).items() if k != "object"},
        {"text": "x"},
    ),
    "tool_calls_null": (
        completion({"content": "x", "tool_calls": None, "refusal": None, "annotations": None}),
        {"text": "x"},
    ),
    "tool_calls_empty": (completion({"content": "x", "tool_calls": []}), {"text": "x"}),
    "same_id_twice": (
        completion(
            {"tool_calls": [{"id": "call_0", "function": {"name": "f", "arguments": "{}"}}] * 2},
            "tool_calls",
        ),
        {"finish": "tool_calls", "tool_calls": (ToolCall("call_0", "f", "{}"),) * 2},
    ),
    "legacy": (
        completion(
            {"content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call"
        ),
        {"finish": "tool_calls", "tool_calls": (ToolCall("", "f", "{}", type="function_call"),)},
    ),
    "audio": (
        completion(
            {"content": None, "audio": {"id": "audio_1", "data": "AAAA", "transcript": "Hey"}}
        ),
        {"text": "Hey"},
    ),
    "length_with_calls": (
        completion(
            {"tool_calls": [{"id": "call_g", "function": {"name": "g", "arguments": "{}"}}]},
            "length",
        ),
        {"finish": "length", "tool_calls": (G,)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COMPLETIONS)
@pytest.mark.parametrize("typed", [False, True], ids=["dict", "object"])
def test_completions(case: str, typed: bool) -> None:
    body, fields = COMPLETIONS[case]
    x: Any = openai.types.chat.ChatCompletion.construct(**body) if typed else body
    assert read(x) == expected(**{"usage": None} | fields)


def test_raw_of_chunks_is_the_completion_they_make() -> None:
    lines = answer_forms.chunks(AnswerParts(("Hi",), calls=(Called("f", ("{}",)),)))
    for line in lines:
        line["service_tier"] = "default"
        for choice in line["choices"]:
            choice["logprobs"] = (
                {"content": [{"token": "Hi"}]} if choice["delta"].get("content") else None
            )
    *_, last = read(lines)
    assert isinstance(last, Finished)
    raw = last.turn.raw
    assert raw["service_tier"] == "default"
    assert raw["choices"][0]["logprobs"] == {"content": [{"token": "Hi"}], "refusal": None}
    assert read(raw) == last.turn
