"""The calls that tracers observe, each for sync and async code, and the answers on each API."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pydantic

from tests.support import answers
from tests.support.loopback import Reply, Request

# A word for each place, so that an export shows which place it comes from.
WORDS = {
    "system": "zebrasystem", "prompt": "zebraprompt", "tool": "zebratool", "described": "zebradescribed",
    "sent arguments": "zebrasentarguments", "sent output": "zebrasentoutput", "user": "zebrauser", "metadata": "zebrametadata",
    "answer": "zebraanswer", "arguments": "zebraarguments",
}  # fmt: skip
CONTENTS = frozenset({"system", "prompt", "sent arguments", "sent output", "answer", "arguments"})
"""The places with contents of people and models, which masking removes."""


class Person(pydantic.BaseModel):
    """A parsed answer."""

    name: str


ANSWER = json.dumps({"name": WORDS["answer"]})
ARGUMENTS = json.dumps({"at": WORDS["arguments"]})
TEXT: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": WORDS["system"]},
        {"role": "user", "content": WORDS["prompt"]},
    ],
    "temperature": 0.5,
    "max_completion_tokens": 100,
    "user": WORDS["user"],
    "metadata": {"key": WORDS["metadata"]},
}
_SENT = {"name": "look", "arguments": json.dumps({"at": WORDS["sent arguments"]})}
_PARAMETERS = {
    "type": "object", "properties": {"at": {"type": "string", "description": WORDS["described"]}}, "required": ["at"],
    "additionalProperties": False,
}  # fmt: skip
_LOOK = {"name": "look", "description": WORDS["tool"], "parameters": _PARAMETERS, "strict": True}
TOOLS: dict[str, Any] = {
    **TEXT,
    "messages": [
        *TEXT["messages"],
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_0", "type": "function", "function": _SENT}],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": WORDS["sent output"]},
    ],
    "tools": [{"type": "function", "function": _LOOK}],
}
STREAM: dict[str, Any] = {"stream": True}
USAGE: dict[str, Any] = {**STREAM, "stream_options": {"include_usage": True}}


# A call's steps: a generator, whose yielded values are awaited where possible


@dataclass(frozen=True)
class Each:
    """Read a stream, to its end or for so many pieces, and close it."""

    source: Any
    most: int | None = None


@dataclass(frozen=True)
class Within:
    """Enter a context manager, and use its value."""

    manager: Any
    use: Callable[[Any], Any]


Steps = Generator[Any, Any, Any]


def drive(steps: Steps) -> Any:
    """Make a call in sync code; return its result."""
    got = None
    while True:
        try:
            got = _do(steps.send(got))
        except StopIteration as end:
            return end.value


def _do(step: Any) -> Any:
    if isinstance(step, Within):
        with step.manager as entered:
            return _do(step.use(entered))
    if not isinstance(step, Each):
        return step
    pieces = []
    for piece in step.source:
        pieces.append(piece)
        if len(pieces) == step.most:
            step.source.close()
            break
    return pieces


async def adrive(steps: Steps) -> Any:
    """Make a call in async code; return its result."""
    got = None
    while True:
        try:
            got = await _ado(steps.send(got))
        except StopIteration as end:
            return end.value


async def _ado(step: Any) -> Any:
    if isinstance(step, Within):
        async with step.manager as entered:
            return await _ado(step.use(entered))
    if not isinstance(step, Each):
        return await step if inspect.isawaitable(step) else step
    pieces = []
    async for piece in step.source:
        pieces.append(piece)
        if len(pieces) == step.most:
            await step.source.close()
            break
    return pieces


def _create(**body: Any) -> Callable[[Any], Steps]:
    def steps(completions: Any) -> Steps:
        got = yield completions.create(**body)
        return (yield Each(got)) if body.get("stream") else got

    return steps


def _parse(completions: Any) -> Steps:
    return (yield completions.parse(**TEXT, response_format=Person))


def _helper(**body: Any) -> Callable[[Any], Steps]:
    def steps(completions: Any) -> Steps:
        return (yield Within(completions.stream(**body), Each))

    return steps


def _raw(completions: Any) -> Steps:
    got = yield completions.with_raw_response.create(**TEXT)
    return got.parse()


def _raw_streamed(completions: Any) -> Steps:
    got = yield completions.with_raw_response.create(**TEXT, **USAGE)
    return (yield Each(got.parse()))


def _streaming_response(completions: Any) -> Steps:
    return (
        yield Within(completions.with_streaming_response.create(**TEXT), lambda got: got.parse())
    )


def _left(completions: Any) -> Steps:
    return (yield Each((yield completions.create(**TEXT, **USAGE)), most=2))


# The server's answers


def _text(request: Request) -> Reply:
    if request.path.endswith("/responses"):
        return _responses(request, answers.message_item(ANSWER))
    return _chat(request, {"content": ANSWER})


def _tool_call(request: Request) -> Reply:
    if request.path.endswith("/responses"):
        return _responses(request, answers.call_item("look", ARGUMENTS))
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": ARGUMENTS},
    }
    return _chat(request, {"content": None, "tool_calls": [call]})


def _half(request: Request) -> Reply:
    """Answer one of two requests whose usages add up to that of one request for two answers."""
    if not request.path.endswith("/responses"):
        return _text(request)
    return _responses(request, answers.message_item(ANSWER), _HALF_THE_PROMPT)


def _responses(
    request: Request, item: dict[str, Any], usage: dict[str, Any] | None = None
) -> Reply:
    more = {"service_tier": "default", "usage": usage or _USAGE}
    whole = answers.response(item, **more)
    if request.json().get("stream") is not True:
        return Reply.of_json(whole)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    opening = [
        answers.event(f"response.{kind}", response=begun) for kind in ("created", "in_progress")
    ]
    return Reply.of_sse(
        [*opening, *_item_events(item), answers.event("response.completed", response=whole)]
    )


def _item_events(item: dict[str, Any]) -> Iterator[bytes]:
    empty = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
    place: dict[str, Any] = {"output_index": 0, "item_id": item["id"]}
    yield answers.event(
        "response.output_item.added",
        output_index=0,
        item={**item, "status": "in_progress", **empty},
    )
    if item["type"] == "function_call":
        for piece in _pieces(ARGUMENTS):
            yield answers.event("response.function_call_arguments.delta", **place, delta=piece)
        yield answers.event("response.function_call_arguments.done", **place, arguments=ARGUMENTS)
    else:
        part = {**item["content"][0], "text": ""}
        yield answers.event("response.content_part.added", **place, content_index=0, part=part)
        for piece in _pieces(ANSWER):
            yield answers.event("response.output_text.delta", **place, content_index=0, delta=piece)
        yield answers.event("response.output_text.done", **place, content_index=0, text=ANSWER)
        yield answers.event(
            "response.content_part.done", **place, content_index=0, part=item["content"][0]
        )
    yield answers.event("response.output_item.done", output_index=0, item=item)


def _pieces(text: str) -> tuple[str, str]:
    """Cut a text before the word that it contains."""
    cut = text.index("zebra")
    return text[:cut], text[cut:]


_USAGE = {
    "input_tokens": 50, "input_tokens_details": {"cached_tokens": 20},
    "output_tokens": 30, "output_tokens_details": {"reasoning_tokens": 10}, "total_tokens": 80,
}  # fmt: skip
_HALF_THE_PROMPT = {
    **_USAGE,
    "input_tokens": 25,
    "input_tokens_details": {"cached_tokens": 10},
    "total_tokens": 55,
}
_CHAT_USAGE = {
    "prompt_tokens": 50, "completion_tokens": 30, "total_tokens": 80,
    "prompt_tokens_details": {"cached_tokens": 20, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 10, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
    },
}  # fmt: skip


def _chat(request: Request, answer: dict[str, Any]) -> Reply:
    body = request.json()
    finish = "tool_calls" if "tool_calls" in answer else "stop"
    top = {
        "id": "chatcmpl-1", "created": 1780000000, "model": "gpt-4o", "service_tier": "default",
        "system_fingerprint": "fp_1",
    }  # fmt: skip
    if body.get("stream") is not True:
        message = {"role": "assistant", "refusal": None, "annotations": [], **answer}
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": finish}
            for index in range(body.get("n", 1))
        ]
        usage = _several(body.get("n", 1))
        return Reply.of_json(
            {**top, "object": "chat.completion", "choices": choices, "usage": usage}
        )
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": answer["content"] and "", "refusal": None}
    ]
    if "tool_calls" in answer:
        (call,) = answer["tool_calls"]
        deltas[0]["tool_calls"] = [
            {"index": 0, **call, "function": {**call["function"], "arguments": ""}}
        ]
        deltas += [
            {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
            for piece in _pieces(ARGUMENTS)
        ]
    else:
        deltas += [{"content": piece} for piece in _pieces(ANSWER)]
    usage_told = (body.get("stream_options") or {}).get("include_usage") is True
    top |= {"object": "chat.completion.chunk", **({"usage": None} if usage_told else {})}
    choices = [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish})
    chunks = [{**top, "choices": [choice]} for choice in choices]
    chunks += [{**top, "choices": [], "usage": _CHAT_USAGE}] if usage_told else []
    return Reply.of_sse(
        [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]
    )


def _several(count: int) -> dict[str, Any]:
    """Count the prompt once and each answer."""
    usage = json.loads(json.dumps(_CHAT_USAGE))
    usage["completion_tokens"] *= count
    usage["completion_tokens_details"]["reasoning_tokens"] *= count
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    return dict(usage)


def _failing(status: int, code: str, kind: str) -> Callable[[Request], Reply]:
    body = {"error": {"message": "The server says no.", "type": kind, "param": None, "code": code}}
    return lambda _: Reply.of_json(body, status, headers=(("x-should-retry", "false"),))


def _cut(request: Request) -> Reply:
    """Break the connection after the first piece of text."""
    parts = list(_text(request).parts)
    cut = next(number for number, part in enumerate(parts) if b'"name' in part) + 1
    return Reply.of_sse(parts[:cut], ending="reset")


class _OnceBusy:
    """Answer once in each call that the server is busy, with an immediate retry."""

    def __init__(self) -> None:
        self.succeeded = False

    def __call__(self, request: Request) -> Reply:
        self.succeeded = not self.succeeded
        if not self.succeeded:
            return _text(request)
        body = {
            "error": {"message": "Try again.", "type": "server_error", "param": None, "code": None}
        }
        return Reply.of_json(body, 500, headers=(("retry-after-ms", "1"),))


@dataclass(frozen=True)
class Call:
    """A call and its answer; `nested` calls run inside a span of the application's."""

    steps: Callable[[Any], Steps]
    answer: Callable[[Request], Reply] = _text
    nested: bool = False


_BAD = _failing(400, "invalid_value", "invalid_request_error")
_LIMITED = _failing(429, "rate_limit_exceeded", "requests")
CALLS: dict[str, Call] = {
    "whole": Call(_create(**TEXT)),
    "streamed": Call(_create(**TEXT, **STREAM)),
    "streamed with usage": Call(_create(**TEXT, **USAGE)),
    "tools": Call(_create(**TOOLS), _tool_call),
    "tools streamed": Call(_create(**TOOLS, **USAGE), _tool_call),
    "several": Call(_create(**TEXT, n=2), _half),
    "parsed": Call(_parse),
    "helper": Call(_helper(**TEXT)),
    "helper with tools": Call(_helper(**TOOLS), _tool_call),
    "raw": Call(_raw),
    "raw streamed": Call(_raw_streamed),
    "streaming response": Call(_streaming_response),
    "nested": Call(_create(**TEXT), nested=True),
    "nested streamed": Call(_create(**TEXT, **USAGE), nested=True),
    "left": Call(_left),
    "cut": Call(_create(**TEXT, **USAGE), _cut),
    "bad": Call(_create(**TEXT), _BAD),
    "bad streamed": Call(_create(**TEXT, **USAGE), _BAD),
    "limited": Call(_create(**TEXT), _LIMITED),
    "retried": Call(_create(**TEXT), _OnceBusy()),
    "retried streamed": Call(_create(**TEXT, **USAGE), _OnceBusy()),
}
