"""Render one answer as the bytes of either API: Chat Completions and Responses.

The two renderers share nothing but the answer. Each writes what its API writes on the wire: the
keys, their order of appearance, the events, and the values that only one of them has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

CREATED = 1_780_000_000
_PROMPT_TOKENS, _COMPLETION_TOKENS, _CACHED, _REASONING = 19, 11, 4, 3


@dataclass(frozen=True)
class Call:
    """A tool call; `pieces` are its arguments (or a custom tool's input) as they are streamed."""

    call_id: str
    name: str
    pieces: tuple[str, ...]
    kind: Literal["function", "custom"] = "function"

    @property
    def written(self) -> str:
        """Return the whole arguments or input."""
        return "".join(self.pieces)


@dataclass(frozen=True)
class Answer:
    """A model's answer, in pieces as they are streamed; `cut` is why it stopped early.

    `logprobs` gives each piece of the text a logprob and one alternative, `citation` is a (url,
    title, start, end), `thinks` adds reasoning before it, which Chat never shows.
    """

    text: tuple[str, ...] = ()
    refusal: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    cut: Literal["length", "content_filter"] | None = None
    model: str = "gpt-4o-2024-08-06"
    logprobs: bool = False
    citation: tuple[str, str, int, int] | None = None
    thinks: bool = False


def _bytes(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# Chat Completions


def _newer(answer: Answer) -> bool:
    return answer.model.startswith("gpt-5")


def _chat_finish(answer: Answer) -> str:
    return answer.cut or ("tool_calls" if answer.calls else "stop")


def _chat_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": _PROMPT_TOKENS,
        "completion_tokens": _COMPLETION_TOKENS,
        "total_tokens": _PROMPT_TOKENS + _COMPLETION_TOKENS,
        "prompt_tokens_details": {"cached_tokens": _CACHED, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": _REASONING,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chat_token(token: str, position: int) -> dict[str, Any]:
    likely = {"token": token, "logprob": -0.25 - position, "bytes": list(token.encode())}
    other = {"token": "oh", "logprob": -2.5, "bytes": [111, 104]}
    return {**likely, "top_logprobs": [likely, other]}


def _chat_annotations(answer: Answer) -> list[Any]:
    if answer.citation is None:
        return []
    url, title, start, end = answer.citation
    where = {"end_index": end, "start_index": start, "title": title, "url": url}
    return [{"type": "url_citation", "url_citation": where}]


def _chat_call(call: Call) -> dict[str, Any]:
    written = "arguments" if call.kind == "function" else "input"
    return {
        "id": call.call_id,
        "type": call.kind,
        call.kind: {"name": call.name, written: call.written},
    }


def chat_json(answer: Answer) -> bytes:
    """Write the whole answer as Chat Completions does."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(answer.text) if answer.text else None,
    }
    if answer.calls:
        message["tool_calls"] = [_chat_call(call) for call in answer.calls]
    if not (answer.text or answer.calls or answer.refusal):
        message["content"] = ""
    message |= {
        "refusal": "".join(answer.refusal) or None,
        "annotations": _chat_annotations(answer),
    }
    choice: dict[str, Any] = {"index": 0, "message": message}
    if answer.logprobs:
        content = [_chat_token(piece, position) for position, piece in enumerate(answer.text)]
        choice["logprobs"] = {"content": content, "refusal": None}
    elif not _newer(answer):
        choice["logprobs"] = None
    choice["finish_reason"] = _chat_finish(answer)
    top = {
        "id": "chatcmpl-Aa1",
        "object": "chat.completion",
        "created": CREATED,
        "model": answer.model,
    }
    rest = {"usage": _chat_usage(), "service_tier": "default", "system_fingerprint": None}
    return _bytes({**top, "choices": [choice], **rest})


def chat_sse(answer: Answer, *, usage: bool = False) -> bytes:
    """Stream the answer as Chat Completions does, with `[DONE]` at the end."""
    return (
        b"".join(b"data: " + _bytes(chunk) + b"\n\n" for chunk in _chunks(answer, usage))
        + b"data: [DONE]\n\n"
    )


def _chunks(answer: Answer, usage: bool) -> Iterator[dict[str, Any]]:
    top: dict[str, Any] = {
        "id": "chatcmpl-Aa1",
        "object": "chat.completion.chunk",
        "created": CREATED,
    }
    top |= {"model": answer.model, "service_tier": "default", "system_fingerprint": None}

    def chunk(
        delta: dict[str, Any], logprobs: Any = None, finish: str | None = None
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "delta": delta}
        if answer.logprobs or not _newer(answer):
            choice["logprobs"] = logprobs
        out = {**top, "choices": [{**choice, "finish_reason": finish}]}
        return {**out, "usage": None} if usage else out

    yield from (chunk(*parts) for parts in _deltas(answer))
    last: dict[str, Any] = {"annotations": _chat_annotations(answer)} if answer.citation else {}
    yield chunk(last, finish=_chat_finish(answer))
    if usage:
        yield {**top, "choices": [], "usage": _chat_usage()}


def _deltas(answer: Answer) -> Iterator[tuple[Any, ...]]:
    """Return the deltas before the finish chunk; the first one depends on the kind of answer."""
    waiting = list(answer.calls)
    if answer.text or not (answer.calls or answer.refusal):
        empty = {"content": [], "refusal": None} if answer.logprobs else None
        yield {"role": "assistant", "content": "", "refusal": None}, empty
    elif answer.refusal:
        yield {"role": "assistant", "content": None, "refusal": ""}, None
    elif len(waiting) > 1:
        yield {"role": "assistant", "content": None}, None
    else:
        opened = [{"index": 0, **_chat_opening(waiting[0])}]
        yield {"role": "assistant", "content": None, "tool_calls": opened, "refusal": None}, None
    for position, piece in enumerate(answer.text):
        logprobs = (
            {"content": [_chat_token(piece, position)], "refusal": None}
            if answer.logprobs
            else None
        )
        yield {"content": piece}, logprobs
    for piece in answer.refusal:
        yield {"refusal": piece}, None
    for index, call in enumerate(waiting):
        if answer.text or len(waiting) > 1:
            yield {"tool_calls": [{"index": index, **_chat_opening(call)}]}, None
        written = "arguments" if call.kind == "function" else "input"
        for piece in call.pieces:
            yield {"tool_calls": [{"index": index, call.kind: {written: piece}}]}, None


def _chat_opening(call: Call) -> dict[str, Any]:
    written = "arguments" if call.kind == "function" else "input"
    return {"id": call.call_id, "type": call.kind, call.kind: {"name": call.name, written: ""}}


# Responses


def _response(answer: Answer, status: str, output: Sequence[Any], **more: Any) -> dict[str, Any]:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    details = {"reason": reasons[answer.cut]} if status == "incomplete" and answer.cut else None
    return {
        "id": "resp_Bb2",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": details,
        "instructions": None,
        "max_output_tokens": None,
        "model": answer.model,
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
        **more,
    }


def _usage() -> dict[str, Any]:
    return {
        "input_tokens": _PROMPT_TOKENS,
        "input_tokens_details": {"cached_tokens": _CACHED},
        "output_tokens": _COMPLETION_TOKENS,
        "output_tokens_details": {"reasoning_tokens": _REASONING},
        "total_tokens": _PROMPT_TOKENS + _COMPLETION_TOKENS,
    }


def _token(token: str, position: int, *, spelled: bool) -> dict[str, Any]:
    likely: dict[str, Any] = {"token": token, "logprob": -0.25 - position}
    other: dict[str, Any] = {"token": "oh", "logprob": -2.5}
    if spelled:  # not in deltas
        likely["bytes"], other["bytes"] = list(token.encode()), [111, 104]
    return {**likely, "top_logprobs": [likely, other]}


def _annotations(answer: Answer) -> list[Any]:
    if answer.citation is None:
        return []
    url, title, start, end = answer.citation
    return [
        {"type": "url_citation", "end_index": end, "start_index": start, "title": title, "url": url}
    ]


def _text_part(answer: Answer, text: str, *, done: bool) -> dict[str, Any]:
    tokens = (
        [_token(piece, n, spelled=True) for n, piece in enumerate(answer.text)]
        if answer.logprobs and done
        else []
    )
    return {
        "type": "output_text",
        "annotations": _annotations(answer) if done else [],
        "logprobs": tokens,
        "text": text,
    }


def _items(answer: Answer) -> Iterator[dict[str, Any]]:
    status = "incomplete" if answer.cut else "completed"
    if answer.thinks:
        yield {"id": "rs_1", "type": "reasoning", "encrypted_content": "gAAAA", "summary": []}
    message = {"id": "msg_1", "type": "message", "status": status}
    if answer.text:
        yield {
            **message,
            "content": [_text_part(answer, "".join(answer.text), done=True)],
            "role": "assistant",
        }
    if answer.refusal:
        part = {"type": "refusal", "refusal": "".join(answer.refusal)}
        yield {**message, "content": [part], "role": "assistant"}
    for number, call in enumerate(answer.calls):
        if call.kind == "function":
            item = {
                "id": f"fc_{number}",
                "type": "function_call",
                "status": status,
                "arguments": call.written,
            }
        else:
            item = {
                "id": f"ctc_{number}",
                "type": "custom_tool_call",
                "status": status,
                "input": call.written,
            }
        yield {**item, "call_id": call.call_id, "name": call.name}


def _ended(answer: Answer) -> dict[str, Any]:
    return _response(
        answer, "incomplete" if answer.cut else "completed", list(_items(answer)), usage=_usage()
    )


def responses_json(answer: Answer) -> bytes:
    """Write the whole answer as the Responses API does."""
    return json.dumps(_ended(answer), indent=2).encode()


def responses_sse(answer: Answer) -> bytes:
    """Stream the answer as the Responses API does: named and numbered events, no `[DONE]`."""
    out = b""
    for number, (kind, data) in enumerate(_events(answer)):
        out += f"event: {kind}\n".encode()
        out += b"data: " + _bytes({"type": kind, "sequence_number": number, **data}) + b"\n\n"
    return out


_Event = tuple[str, dict[str, Any]]


def _events(answer: Answer) -> Iterator[_Event]:
    begun = _response(answer, "in_progress", [])
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for index, item in enumerate(_items(answer)):
        opened = {**item, "status": "in_progress"}
        match item["type"]:
            case "message":
                opened["content"] = []
            case "function_call":
                opened["arguments"] = ""
            case "custom_tool_call":
                opened["input"] = ""
            case _:
                del opened["status"]
        yield "response.output_item.added", {"output_index": index, "item": opened}
        where = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            yield from _part_events(answer, item["content"][0], {**where, "content_index": 0})
        elif item["type"] != "reasoning":
            call = next(each for each in answer.calls if each.call_id == item["call_id"])
            yield from _call_events(call, where)
        yield "response.output_item.done", {"output_index": index, "item": item}
    yield f"response.{'incomplete' if answer.cut else 'completed'}", {"response": _ended(answer)}


def _part_events(answer: Answer, part: dict[str, Any], where: dict[str, Any]) -> Iterator[_Event]:
    if part["type"] == "refusal":
        yield "response.content_part.added", {**where, "part": {"type": "refusal", "refusal": ""}}
        for piece in answer.refusal:
            yield "response.refusal.delta", {**where, "delta": piece}
        yield "response.refusal.done", {**where, "refusal": part["refusal"]}
    else:
        yield "response.content_part.added", {**where, "part": _text_part(answer, "", done=False)}
        for position, piece in enumerate(answer.text):
            tokens = [_token(piece, position, spelled=False)] if answer.logprobs else []
            yield "response.output_text.delta", {**where, "delta": piece, "logprobs": tokens}
        for number, annotation in enumerate(part["annotations"]):
            noted = {**where, "annotation_index": number, "annotation": annotation}
            yield "response.output_text.annotation.added", noted
        yield (
            "response.output_text.done",
            {**where, "text": part["text"], "logprobs": part["logprobs"]},
        )
    yield "response.content_part.done", {**where, "part": part}


def _call_events(call: Call, where: dict[str, Any]) -> Iterator[_Event]:
    function = call.kind == "function"
    kind = "response.function_call_arguments" if function else "response.custom_tool_call_input"
    for piece in call.pieces:
        yield f"{kind}.delta", {**where, "delta": piece}
    yield f"{kind}.done", {**where, "arguments" if function else "input": call.written}
