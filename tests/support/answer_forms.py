"""One answer in each of its four forms: a completion, chunks, a Response, events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import openai

from tests.support.http import http

Json = dict[str, Any]
Lines = list[Json]

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Called:
    """A tool call, its arguments in pieces."""

    name: str
    pieces: tuple[str, ...]
    id: str = "call_1"
    custom: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """An answer: text, refusal and reasoning in pieces. `cited` are pairs of positions."""

    text: tuple[str, ...] = ()
    refusal: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    calls: tuple[Called, ...] = ()
    cited: tuple[tuple[int, int], ...] = ()
    finish: Literal["stop", "length", "content_filter"] = "stop"
    usage: bool = True

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.calls and self.finish == "stop" else self.finish


CHAT_USAGE = {
    "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0, "cache_write_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
}  # fmt: skip
USAGE = {
    "input_tokens": 5, "output_tokens": 3, "total_tokens": 8,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
    "output_tokens_details": {"reasoning_tokens": 1},
}  # fmt: skip


def _flat(start: int, end: int) -> Json:
    return {
        "type": "url_citation",
        "url": "https://a.example/",
        "title": "A",
        "start_index": start,
        "end_index": end,
    }


def _nested(start: int, end: int) -> Json:
    flat = _flat(start, end)
    return {"type": flat.pop("type"), "url_citation": flat}


def _entry(call: Called, text: str) -> Json:
    kind, written = ("custom", "input") if call.custom else ("function", "arguments")
    return {"id": call.id, "type": kind, kind: {"name": call.name, written: text}}


def completion(answer: AnswerParts) -> Json:
    """Write the answer as a chat completion."""
    message: Json = {
        "role": "assistant",
        "content": "".join(answer.text) or (None if answer.calls or answer.refusal else ""),
    }
    message |= {
        "refusal": "".join(answer.refusal) or None,
        "annotations": [_nested(*one) for one in answer.cited],
    }
    if answer.calls:
        message["tool_calls"] = [_entry(call, call.arguments) for call in answer.calls]
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    top: Json = {
        "id": "resp_1",
        "object": "chat.completion",
        "created": 1780000000,
        "model": "gpt-4o",
        "choices": [choice],
    }
    return top | ({"usage": CHAT_USAGE} if answer.usage else {})


def chunks(answer: AnswerParts) -> Lines:
    """Write the answer as a chat stream."""
    top: Json = {
        "id": "resp_1",
        "object": "chat.completion.chunk",
        "created": 1780000000,
        "model": "gpt-4o",
    }

    def chunk(delta: Json, finish: str | None = None) -> Json:
        return {
            **top,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }

    out = [
        chunk(
            {
                "role": "assistant",
                "content": None if answer.calls or answer.refusal else "",
                "refusal": None,
            }
        )
    ]
    out += [chunk({"reasoning_content": piece}) for piece in answer.reasoning]
    out += [chunk({"content": piece}) for piece in answer.text]
    out += [chunk({"refusal": piece}) for piece in answer.refusal]
    for n, call in enumerate(answer.calls):
        kind, written = ("custom", "input") if call.custom else ("function", "arguments")
        out.append(chunk({"tool_calls": [{"index": n, **_entry(call, "")}]}))
        out += [
            chunk({"tool_calls": [{"index": n, kind: {written: piece}}]}) for piece in call.pieces
        ]
    last = {"annotations": [_nested(*one) for one in answer.cited]} if answer.cited else {}
    out.append(chunk(last, answer.finish_reason))
    return out + ([{**top, "choices": [], "usage": CHAT_USAGE}] if answer.usage else [])


def _items(answer: AnswerParts) -> Lines:
    out: Lines = []
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": "".join(answer.reasoning)}]
        out.append({"type": "reasoning", "id": "rs_1", "summary": summary})
    parts: Lines = []
    if answer.text:
        notes = [_flat(*one) for one in answer.cited]
        parts.append(
            {
                "type": "output_text",
                "text": "".join(answer.text),
                "annotations": notes,
                "logprobs": [],
            }
        )
    if answer.refusal:
        parts.append({"type": "refusal", "refusal": "".join(answer.refusal)})
    if parts:
        out.append(
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": parts,
            }
        )
    for n, call in enumerate(answer.calls):
        kind, written = (
            ("custom_tool_call", "input") if call.custom else ("function_call", "arguments")
        )
        out.append(
            {
                "type": kind,
                "id": f"fc_{n}",
                "call_id": call.id,
                "name": call.name,
                written: call.arguments,
            }
        )
    return out


def response(answer: AnswerParts, **more: Any) -> Json:
    """Write the answer as a Response."""
    cut = INCOMPLETE.get(answer.finish)
    top: Json = {
        "id": "resp_1", "object": "response", "created_at": 1780000000, "model": "gpt-4o", "output": _items(answer), "error": None,
        "status": "incomplete" if cut else "completed", "incomplete_details": {"reason": cut} if cut else None,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {},
    }  # fmt: skip
    return top | {"usage": USAGE if answer.usage else None} | more


def events(answer: AnswerParts) -> Lines:
    """Write the answer as a Responses stream."""
    whole = response(answer)
    opening = {
        **whole,
        "status": "in_progress",
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }
    out: Lines = [
        {"type": f"response.{name}", "response": opening} for name in ("created", "in_progress")
    ]
    for index, item in enumerate(whole["output"]):
        at: Json = {"output_index": index, "item_id": item["id"]}
        match item["type"]:
            case "reasoning":
                out.append(
                    {"type": "response.output_item.added", **at, "item": {**item, "summary": []}}
                )
                out += _pieces(
                    "reasoning_summary_text", {**at, "summary_index": 0}, answer.reasoning, "text"
                )
            case "message":
                out.append(
                    {"type": "response.output_item.added", **at, "item": {**item, "content": []}}
                )
                out += _parts(item, at, answer)
            case kind:
                (call,) = (one for one in answer.calls if one.id == item["call_id"])
                written = "input" if call.custom else "arguments"
                out.append(
                    {"type": "response.output_item.added", **at, "item": {**item, written: ""}}
                )
                name = (
                    "custom_tool_call_input"
                    if kind == "custom_tool_call"
                    else "function_call_arguments"
                )
                out += _pieces(name, at, call.pieces, written)
        out.append({"type": "response.output_item.done", **at, "item": item})
    out.append({"type": f"response.{whole['status']}", "response": whole})
    return [{**event, "sequence_number": n} for n, event in enumerate(out)]


def _pieces(name: str, at: Json, pieces: Iterable[str], written: str) -> Lines:
    deltas = [{"type": f"response.{name}.delta", **at, "delta": piece} for piece in pieces]
    return [*deltas, {"type": f"response.{name}.done", **at, written: "".join(pieces)}]


def _parts(item: Json, at: Json, answer: AnswerParts) -> Lines:
    out: Lines = []
    for n, part in enumerate(item["content"]):
        here = {**at, "content_index": n}
        written = "text" if part["type"] == "output_text" else "refusal"
        out.append(
            {
                "type": "response.content_part.added",
                **here,
                "part": {**part, written: "", "annotations": []},
            }
        )
        pieces = answer.text if written == "text" else answer.refusal
        out += _pieces(
            "output_text" if written == "text" else "refusal",
            {**here, "logprobs": []},
            pieces,
            written,
        )
        for a, note in enumerate(part.get("annotations", [])):
            kind = "response.output_text.annotation.added"
            out.append({"type": kind, **here, "annotation_index": a, "annotation": note})
        out.append({"type": "response.content_part.done", **here, "part": part})
    return out


def sse(lines: Iterable[Any], *, done: bool = False) -> bytes:
    """Write a stream's bytes."""
    body = b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines)
    return body + (b"data: [DONE]\n\n" if done else b"")


class Body(http.SyncByteStream, http.AsyncByteStream):
    """A reply's body that records when it is closed, and may break."""

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        self.data = data
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.data.splitlines(keepends=True)
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Upstream(http.BaseTransport, http.AsyncBaseTransport):
    """Return prepared replies, in order, to any requests."""

    def __init__(self, *bodies: bytes, error: Exception | None = None) -> None:
        self.bodies = [Body(body, error) for body in bodies]
        self.sent: Lines = []

    def handle_request(self, request: Any) -> Any:
        self.sent.append(json.loads(request.content))
        body = self.bodies[len(self.sent) - 1]
        kind = "application/json" if body.data.startswith(b"{") else "text/event-stream"
        return http.Response(200, headers={"content-type": kind}, stream=body, request=request)

    async def handle_async_request(self, request: Any) -> Any:
        return self.handle_request(request)


def client(upstream: Upstream, kind: Any = openai.OpenAI, **more: Any) -> Any:
    """Make an SDK client, or one of the adapter's, with this upstream."""
    family = http.AsyncClient if "Async" in kind.__name__ else http.Client
    return kind(
        api_key="fake-key",
        base_url="http://replies.invalid/v1",
        max_retries=0,
        http_client=family(transport=upstream),
        **more,
    )
