"""`read()` on what servers really send: docs/wire-facts.md, docs/edge-cases.md#whole-replies.

Also on what compatible servers make of both APIs.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import openai
import pytest

import adapter
from adapter import (
    Citation,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    Turn,
    read,
)
from tests.support import answer_forms
from tests.support.answer_forms import Called, Said
from tests.support.http import http

Json = dict[str, Any]


def message(
    text: str | list[str], *, phase: str | None = None, notes: list[list[Json]] | None = None
) -> Json:
    texts = [text] if isinstance(text, str) else text
    parts = [
        {"type": "output_text", "text": one, "annotations": (notes or [[]] * len(texts))[n]}
        for n, one in enumerate(texts)
    ]
    return {
        "type": "message",
        "id": f"msg_{text}",
        "role": "assistant",
        "content": parts,
        "phase": phase,
    }


def function(name: str, arguments: str, call_id: str | None = "call_1", **more: Any) -> Json:
    return {
        "type": "function_call",
        "id": f"fc_{name}",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        **more,
    }


def response(*output: Json, **more: Any) -> Json:
    return {**answer_forms.response(Said()), "output": list(output), **more}


def events(*output: Json, deltas: bool = False, **more: Any) -> list[Json]:
    """Return a stream of finished items, with text deltas if `deltas`."""
    out: list[Json] = [
        {"type": "response.created", "response": response(**{**more, "status": "in_progress"})}
    ]
    for n, item in enumerate(output):
        out.append(
            {
                "type": "response.output_item.added",
                "output_index": n,
                "item": {**item, "content": []},
            }
        )
        for p, part in enumerate(item["content"] if deltas and item["type"] == "message" else ()):
            at = {"output_index": n, "content_index": p}
            out += [
                {"type": "response.output_text.delta", **at, "delta": letter}
                for letter in part["text"]
            ]
        out.append({"type": "response.output_item.done", "output_index": n, "item": item})
    return [*out, {"type": "response.completed", "response": response(*output, **more)}]


def url(start: int, end: int) -> Json:
    return {
        "type": "url_citation",
        "url": "https://a.example/",
        "title": "A",
        "start_index": start,
        "end_index": end,
    }


JSON_FORMAT = {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}
INCOMPLETE: Json = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
TWO_SUMMARIES = {
    **REASONING,
    "summary": [
        {"type": "summary_text", "text": "First."},
        {"type": "summary_text", "text": "Second."},
    ],
}
RAW_REASONING = {**REASONING, "content": [{"type": "reasoning_text", "text": "Hmm."}]}
FILE = {"type": "file_citation", "file_id": "file_1", "filename": "a.pdf", "index": 3}
CONTAINER = {
    "type": "container_file_citation", "container_id": "cntr_1", "file_id": "file_2",
    "filename": "b.csv", "start_index": 1, "end_index": 2,
}  # fmt: skip
APPROVAL = {
    "type": "mcp_approval_request",
    "id": "mcpr_1",
    "name": "f",
    "arguments": "{}",
    "server_label": "s",
}

RESPONSES: dict[str, tuple[list[Json], Json, Json]] = {
    "commentary_then_final": (
        [message("Let me see.", phase="commentary"), message('{"a":1}', phase="final_answer")],
        {},
        {"text": '{"a":1}'},
    ),
    "commentary_beside_calls": (
        [message("Let me see.", phase="commentary"), function("f", "{}")],
        {},
        {
            "text": "Let me see.",
            "finish": "tool_calls",
            "tool_calls": (ToolCall("call_1", "f", "{}"),),
        },
    ),
    "commentary_alone": ([message("Let me see.", phase="commentary")], {}, {"text": "Let me see."}),
    "twins": ([message('{"a":1}'), message('{"a":1}')], JSON_FORMAT, {"text": '{"a":1}'}),
    "two_finals": ([message("One."), message("Two.")], {}, {"text": "One.\n\nTwo."}),
    "two_finals_of_json": (
        [message('{"a":1}'), message('{"a":2}')],
        JSON_FORMAT,
        {"text": '{"a":1}'},
    ),
    "no_output": ([], {}, {"text": ""}),
    "only_reasoning_incomplete": ([REASONING], INCOMPLETE, {"finish": "length"}),
    "incomplete_call": (
        [function("f", '{"ci', status="incomplete")],
        INCOMPLETE,
        {
            "finish": "length",
            "tool_calls": (
                ToolCall(
                    "call_1",
                    "f",
                    '{"ci',
                    problem="the answer was truncated before the arguments were complete",
                ),
            ),
        },
    ),
    "incomplete_after_a_whole_call": (
        [function("f", "{}")],
        INCOMPLETE,
        {"finish": "length", "tool_calls": (ToolCall("call_1", "f", "{}"),)},
    ),
    "unknown_reason": (
        [message("x")],
        {**INCOMPLETE, "incomplete_details": {"reason": "steered"}},
        {"text": "x", "finish": "length"},
    ),
    "two_parts": (
        [message(["Hello ", "there"], notes=[[url(0, 5)], [url(0, 5)]])],
        {},
        {
            "text": "Hello there",
            "citations": tuple(
                Citation("url_citation", "https://a.example/", "A", *at) for at in ((0, 5), (6, 11))
            ),
        },
    ),
    "citations_that_chat_has_not": (
        [message(["ab", "cdef"], notes=[[FILE], [CONTAINER]])],
        {},
        {
            "text": "abcdef",
            "citations": (
                Citation("file_citation", file_id="file_1", filename="a.pdf", index=3),
                Citation("container_file_citation", None, None, 3, 4, "file_2", "b.csv", "cntr_1"),
            ),
        },
    ),
    "citations_of_dropped_commentary": (
        [
            message("So.", phase="commentary", notes=[[url(0, 2)]]),
            message("Yes.", phase="final_answer"),
        ],
        {},
        {"text": "Yes."},
    ),
    "two_summaries": (
        [TWO_SUMMARIES, message("x")],
        {},
        {"text": "x", "reasoning_summary": "First.\n\nSecond."},
    ),
    "reasoning_itself": (
        [RAW_REASONING, message("x")],
        {},
        {"text": "x", "reasoning_summary": "Hmm."},
    ),
    "unknown_item": ([{"type": "hologram", "id": "h"}, message("x")], {}, {"text": "x"}),
    "waits_for_approval": ([APPROVAL], {}, {"text": ""}),
    "call_without_a_call_id": (
        [function("f", "{}", None)],
        {},
        {"finish": "tool_calls", "tool_calls": (ToolCall("fc_f", "f", "{}"),)},
    ),
    "message_without_content": (
        [{"type": "message", "content": None}, function("f", "{}")],
        {},
        {"finish": "tool_calls", "tool_calls": (ToolCall("call_1", "f", "{}"),)},
    ),
    "no_usage": ([message("x")], {"usage": None}, {"text": "x", "usage": None}),
    "usage_without_details": (
        [message("x")],
        {"usage": {"input_tokens": 1, "output_tokens": 2}},
        {"text": "x", "usage": adapter.Usage(1, 2, 3)},
    ),
    "nulls": (
        [message("x")],
        {"id": None, "model": None, "status": None},
        {"text": "x", "id": "", "model": ""},
    ),
}  # fmt: skip


def expected(**fields: Any) -> Turn[Any]:
    plain: Json = {
        "text": "", "refusal": None, "parsed": None, "tool_calls": (), "citations": (),
        "reasoning_summary": None,
        "finish": "stop", "usage": adapter.Usage(5, 3, 8, 2, 1, 1), "id": "resp_1",
        "model": "gpt-4o", "raw": None,
    }  # fmt: skip
    return Turn(**plain | fields)


@pytest.mark.parametrize("case", RESPONSES)
def test_responses(case: str) -> None:
    output, more, fields = RESPONSES[case]
    assert read(response(*output, **more)) == expected(**fields)


@pytest.mark.parametrize("case", RESPONSES)
@pytest.mark.parametrize("deltas", [False, True], ids=["done_only", "deltas"])
def test_responses_streamed(case: str, deltas: bool) -> None:
    output, more, fields = RESPONSES[case]
    *_, last = read(
        events(
            *output,
            deltas=deltas
            and all(one.get("content") is not None for one in output if one["type"] == "message"),
            **more,
        )
    )
    assert last == Finished(expected(**fields))


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "resp_1",
        "object": "chat.completion.chunk",
        "model": "gpt-4o",
        "choices": [choice],
        **more,
    }


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
TEXT = chunk({"content": "x"})
STOP = chunk({}, "stop")
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


def completion(message: Any, finish: Any = "stop", **more: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        **more,
    }


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


def at(index: int) -> Json:
    return {"output_index": index}


def test_interleaved_calls_of_responses() -> None:
    f, g = function("f", '{"a":1}', "call_f"), function("g", "{}", "call_g")

    def delta(index: int, text: str) -> Json:
        return {"type": "response.function_call_arguments.delta", **at(index), "delta": text}

    lines = [
        {"type": "response.created", "response": response(status="in_progress")},
        {"type": "response.output_item.added", **at(0), "item": {**f, "arguments": ""}},
        {"type": "response.output_item.added", **at(1), "item": {**g, "arguments": ""}},
        delta(0, '{"a"'), delta(1, "{}"), delta(0, ":1}"),
        {"type": "response.completed", "response": response(f, g)},
    ]  # fmt: skip
    assert list(read(lines))[:-1] == [
        ToolCallStarted("f", "call_f", 0), ToolCallStarted("g", "call_g", 1),
        ToolCallDelta('{"a"', "call_f", 0),
        ToolCallDelta("{}", "call_g", 1), ToolCallDelta(":1}", "call_f", 0),
        ToolCallDone("f", '{"a":1}', None, "call_f", 0), ToolCallDone("g", "{}", None, "call_g", 1),
    ]  # fmt: skip


def test_reasoning_in_every_way_it_streams() -> None:
    def part(index: int, kind: str, step: str, text: str, **more: Any) -> Json:
        key = "delta" if step == "delta" else "text"
        return {"type": f"response.reasoning_{kind}.{step}", **at(index), key: text, **more}

    thoughts = {
        **TWO_SUMMARIES,
        "content": [{"type": "reasoning_text", "text": "never shown beside its summary"}],
    }
    lines = [
        {"type": "response.output_item.added", **at(0), "item": REASONING},
        part(0, "summary_text", "delta", "Fir", summary_index=0),
        part(0, "summary_text", "delta", "st.", summary_index=0),
        part(0, "summary_text", "done", "First.", summary_index=0),
        part(0, "summary_text", "done", "Second.", summary_index=1),
        part(0, "text", "delta", "never shown", content_index=0),
        {"type": "response.output_item.done", **at(0), "item": thoughts},
        {"type": "response.output_item.done", **at(1), "item": {**RAW_REASONING, "id": "rs_2"}},
        {
            "type": "response.completed",
            "response": response(thoughts, {**RAW_REASONING, "id": "rs_2"}, message("x")),
        },
    ]  # fmt: skip
    *seen, text, last = read(lines)
    assert seen == [ReasoningDelta(one) for one in ("Fir", "st.", "\n\nSecond.", "\n\nHmm.")]
    assert text == TextDelta("x")
    assert last == Finished(expected(text="x", reasoning_summary="First.\n\nSecond.\n\nHmm."))


def test_unknown_events_and_a_second_end_are_ignored() -> None:
    said = Said(("Hi",))
    lines = answer_forms.events(said)
    more = [
        {"type": "keepalive"},
        {"type": "response.hologram.delta", "delta": "x"},
        {"type": None},
        {"type": {}},
        {},
    ]
    assert list(read([lines[0], *more, *lines[1:], lines[-1], lines[4], *more])) == list(
        read(lines)
    )


def test_the_finished_response_may_list_nothing() -> None:
    lines = answer_forms.events(Said(("Hi",), reasoning=("Hm",), calls=(Called("f", ("{}",)),)))
    lines[-1]["response"]["output"] = []
    *_, last = read(lines)
    assert isinstance(last, Finished)
    turn = last.turn
    assert (turn.text, turn.reasoning_summary, turn.tool_calls[0].name) == ("Hi", "Hm", "f")
    assert [item["type"] for item in turn.as_items()] == ["message", "function_call"]


QUOTA = {
    "type": "insufficient_quota",
    "code": "insufficient_quota",
    "message": "You exceeded your quota.",
    "param": None,
}
FAILED = response(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."})
FAILURES: dict[str, list[Any]] = {
    "chat_error": [TEXT, {"error": QUOTA}],
    "chat_error_first": [{"error": QUOTA}],
    "chat_error_beside_a_choice": [TEXT, {**chunk({}, "error"), "error": QUOTA}],
    "nested": [
        answer_forms.events(Said(("x",)))[0],
        {"type": "error", "sequence_number": 2, "error": QUOTA},
    ],
    "flat": [answer_forms.events(Said(("x",)))[0], {**QUOTA, "type": "error"}],
    "flat_first": [{**QUOTA, "type": "error"}],
    "failed": [
        *answer_forms.events(Said(("x",)))[:-1],
        {"type": "response.failed", "response": {**FAILED, "error": QUOTA}},
    ],
    "cancelled": [
        {
            "type": "response.cancelled",
            "response": {**FAILED, "status": "cancelled", "error": QUOTA},
        }
    ],
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_are_the_sdks(case: str) -> None:
    with pytest.raises(openai.APIError) as caught:
        list(read(FAILURES[case]))
    assert caught.value.code == "insufficient_quota"
    assert caught.value.message == "You exceeded your quota."


@pytest.mark.parametrize("case", [case for case in FAILURES if "chat" not in case])
def test_failures_through_the_sdk(case: str) -> None:
    made = answer_forms.client(answer_forms.Upstream(answer_forms.sse(FAILURES[case])))
    with pytest.raises(openai.APIError) as caught:
        list(read(made.responses.create(model="m", input="…", stream=True)))
    assert caught.value.code == "insufficient_quota"
    assert str(caught.value.request.url) == "http://replies.invalid/v1/responses"


RESULTS: dict[str, tuple[Json, type[Exception]]] = {
    "rate_limit": (FAILED, openai.RateLimitError),
    "server_error": (
        {**FAILED, "error": {"code": "server_error", "message": "Oh."}},
        openai.InternalServerError,
    ),
    "no_error": ({**FAILED, "error": None}, openai.InternalServerError),
    "bad_prompt": (
        {**FAILED, "error": {"code": "invalid_prompt", "message": "No."}},
        openai.BadRequestError,
    ),
    "cancelled": ({**FAILED, "status": "cancelled"}, openai.APIError),
    "queued": (response(status="queued"), openai.APIError),
    "chat_error": ({"error": QUOTA}, openai.APIError),
    "another_object": ({"object": "embedding", "data": []}, adapter.MalformedReply),
    "a_chunk": (TEXT, adapter.MalformedReply),
    "an_event": ({"type": "response.completed", "response": response()}, adapter.MalformedReply),
    "no_choices": ({"object": "chat.completion", "choices": []}, adapter.MalformedReply),
    "no_output": (response() | {"output": "x"}, adapter.MalformedReply),
    "empty": ({}, adapter.MalformedReply),
}


@pytest.mark.parametrize("case", RESULTS)
def test_results_without_an_answer(case: str) -> None:
    body, kind = RESULTS[case]
    with pytest.raises(kind):
        read(body)


@pytest.mark.parametrize("x", [None, "data: {}", b"{}", 7, object()])
def test_neither_a_result_nor_a_stream(x: Any) -> None:
    with pytest.raises(TypeError, match="expected a result or a stream"):
        read(x)


async def test_an_awaitable() -> None:
    async def result() -> Json:
        return response()

    waiting = result()
    with pytest.raises(TypeError, match="await it first"):
        read(waiting)  # type: ignore[call-overload]
    await waiting


@pytest.mark.parametrize(
    "lines", [[], ["[DONE]"], [{"type": "ping"}]], ids=["empty", "done", "ping"]
)
def test_streams_of_nothing(lines: list[Any]) -> None:
    with pytest.raises(adapter.StreamTruncated):
        list(read(lines))


@pytest.mark.parametrize("lines", [["data: {}"], [7], [[TEXT]]], ids=["text", "number", "list"])
def test_streams_of_something_else(lines: list[Any]) -> None:
    with pytest.raises(adapter.MalformedReply):
        list(read(lines))


@pytest.mark.parametrize("given", ["x", 7, []])
def test_an_end_without_a_response(given: Any) -> None:
    lines = answer_forms.events(Said(("Hello",)))
    with pytest.raises(adapter.MalformedReply):
        list(read([*lines[:-1], {"type": "response.completed", "response": given}]))


def test_test_doubles_of_results() -> None:
    message = SimpleNamespace(content="x", tool_calls=None)
    completion: Any = SimpleNamespace(
        choices=[SimpleNamespace(message=message, finish_reason="stop")]
    )
    assert read(completion).text == "x"
    part = SimpleNamespace(type="output_text", text="x")
    item = SimpleNamespace(type="message", content=[part])
    response: Any = SimpleNamespace(output=[item], status="completed")
    assert read(response).text == "x"


def test_legacy_completions_raise() -> None:
    old = {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [{"index": 0, "text": "x", "finish_reason": "stop"}],
    }
    for x in (old, [old]):
        with pytest.raises(adapter.MalformedReply):
            list(read(x))  # type: ignore[call-overload]


def test_a_stream_that_contradicts_itself() -> None:
    lines = answer_forms.events(Said(("Hello",)))
    lines[-1]["response"]["output"][0]["content"][0]["text"] = "Goodbye"
    with pytest.raises(adapter.StreamTruncated):
        list(read(lines))


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_sdk_stream_that_ends_early(api: str) -> None:
    lines = (
        answer_forms.chunks(Said(("Hi",)))[:-2]
        if api == "chat"
        else answer_forms.events(Said(("Hi",)))[:-1]
    )
    made = answer_forms.client(answer_forms.Upstream(answer_forms.sse(lines)))
    asked: Json = {"model": "m", "stream": True}
    stream = (
        made.chat.completions.create(messages=[], **asked)
        if api == "chat"
        else made.responses.create(input="…", **asked)
    )
    with pytest.raises(openai.APIConnectionError) as caught:
        list(read(stream))
    assert isinstance(caught.value.__cause__, adapter.StreamTruncated)
    assert str(caught.value.request.url).startswith("http://replies.invalid/v1/")


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_an_async_sdk_stream_that_fails(api: str) -> None:
    said = (
        answer_forms.chunks(Said(("Hi",))) if api == "chat" else answer_forms.events(Said(("Hi",)))
    )
    failed = (
        {"type": "response.failed", "response": {**FAILED, "error": QUOTA}}
        if api == "responses"
        else {"error": QUOTA}
    )
    wanted: list[tuple[list[Any], type[Exception]]] = [
        (said[:2], openai.APIConnectionError),
        ([said[0], failed], openai.APIError),
    ]
    for lines, kind in wanted:
        made = answer_forms.client(
            answer_forms.Upstream(answer_forms.sse(lines)), openai.AsyncOpenAI
        )
        asked: Json = {"model": "m", "stream": True}
        stream = await (
            made.chat.completions.create(messages=[], **asked)
            if api == "chat"
            else made.responses.create(input="…", **asked)
        )
        with pytest.raises(kind):
            [event async for event in read(stream)]


def test_a_broken_connection_raises_the_sdks_error() -> None:
    def broken() -> Any:
        upstream = answer_forms.Upstream(
            answer_forms.sse(answer_forms.chunks(Said(("Hi",)))[:2]), error=http.ReadError("gone")
        )
        return answer_forms.client(upstream).chat.completions.create(
            model="m", messages=[], stream=True
        )

    with pytest.raises(Exception) as alone:  # noqa: PT011  # depends on the SDK
        list(broken())
    with pytest.raises(type(alone.value)):
        list(read(broken()))


def test_raw_of_chunks_is_the_completion_they_make() -> None:
    lines = answer_forms.chunks(Said(("Hi",), calls=(Called("f", ("{}",)),)))
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


EVERYTHING = Said(
    ("He", "llo"),
    ("No",),
    ("Hm",),
    (Called("f", ('{"a"', ":1}")), Called("sql", ("x",), "call_2", custom=True)),
    cited=((0, 2),),
)
ODD: list[Any] = [None, 7, "x", [], {}, [None], {"type": "message"}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Yield the path of every value inside a JSON value."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] * bool(path) + [
        found for key, one in inner for found in places(one, (*path, key))
    ]


def put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return a copy of a JSON value with another value at one path."""
    if not path:
        return odd
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = put(changed[path[0]], path[1:], odd)
    return changed


@pytest.mark.slow
@pytest.mark.parametrize(
    "write",
    [answer_forms.completion, answer_forms.response, answer_forms.chunks, answer_forms.events],
)
def test_any_value_anywhere_is_read_or_an_adapter_error(write: Any) -> None:
    whole = write(EVERYTHING)
    for path in places(whole):
        for odd in ODD:
            x = put(whole, path, odd)
            try:
                turn = read(x) if isinstance(x, dict) else list(read(x))[-1].turn
                assert isinstance(turn.text, str)
                assert all(
                    isinstance(call.arguments, str) and call.name != {} for call in turn.tool_calls
                )
                turn.as_message(), turn.as_items(), repr(turn)
            except (adapter.TranslationError, openai.APIError):
                pass
