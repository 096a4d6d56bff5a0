"""Items, events, chunks and completions as servers really send them, for tests of `read()`."""

from __future__ import annotations

from typing import Any

import adapter
from adapter import Turn
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts

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
    return {**answer_forms.response(AnswerParts()), "output": list(output), **more}


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


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
RAW_REASONING = {**REASONING, "content": [{"type": "reasoning_text", "text": "Hmm."}]}


def expected(**fields: Any) -> Turn[Any]:
    plain: Json = {
        "text": "", "refusal": None, "parsed": None, "tool_calls": (), "citations": (),
        "reasoning_summary": None,
        "finish": "stop", "usage": adapter.Usage(5, 3, 8, 2, 1, 1), "id": "resp_1",
        "model": "gpt-4o", "raw": None,
    }  # fmt: skip
    return Turn(**plain | fields)


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "resp_1",
        "object": "chat.completion.chunk",
        "model": "gpt-4o",
        "choices": [choice],
        **more,
    }


TEXT = chunk({"content": "x"})
STOP = chunk({}, "stop")


def completion(message: Any, finish: Any = "stop", **more: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        **more,
    }


def at(index: int) -> Json:
    return {"output_index": index}
