"""`read()` on what the Responses API really sends.

See docs/edge-cases.md#whole-replies and docs/wire-facts.md.
"""

from __future__ import annotations

from typing import Any

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
    read,
)
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts, Called
from tests.support.reading_items import (
    RAW_REASONING,
    REASONING,
    Json,
    at,
    events,
    expected,
    function,
    message,
    response,
    url,
)

JSON_FORMAT = {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}
INCOMPLETE: Json = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
TWO_SUMMARIES = {
    **REASONING,
    "summary": [
        {"type": "summary_text", "text": "First."},
        {"type": "summary_text", "text": "Second."},
    ],
}
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
    said = AnswerParts(("Hi",))
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
    lines = answer_forms.events(
        AnswerParts(("Hi",), reasoning=("Hm",), calls=(Called("f", ("{}",)),))
    )
    lines[-1]["response"]["output"] = []
    *_, last = read(lines)
    assert isinstance(last, Finished)
    turn = last.turn
    assert (turn.text, turn.reasoning_summary, turn.tool_calls[0].name) == ("Hi", "Hm", "f")
    assert [item["type"] for item in turn.as_items()] == ["message", "function_call"]
