"""Measure `read()` of a stream against a plain loop over it, in microseconds of CPU time.

    python -m bench.reading

Each row is a stream of the SDK or of the adapter's client over prepared bytes, without a network. A
plain loop and a loop over `read()` are interleaved, and the median of the pairs' ratios is taken,
so that other load on the machine affects both alike.
"""

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai

import adapter
from adapter import Finished, read

ROUNDS, DELTAS = 60, 300
KEY = {"api_key": "fake-key", "base_url": "http://bench.invalid/v1", "max_retries": 0}
http: Any = importlib.import_module(
    openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]
)

Lines = list[dict[str, Any]]


def chat_text() -> Lines:
    """Make the chunks of a text (docs/wire-facts.md#chat-streams)."""
    top = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "service_tier": "default",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {
            **top,
            "system_fingerprint": None,
            "choices": [choice],
            "usage": None,
            "obfuscation": "Xx1",
        }

    usage = {"prompt_tokens": 1, "completion_tokens": DELTAS, "total_tokens": DELTAS + 1}
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": f" word{n}"}) for n in range(DELTAS)),
        chunk({}, "stop"),
        {**top, "choices": [], "usage": usage},
    ]


def chat_call() -> Lines:
    """Make the chunks of a tool call whose arguments come in many pieces."""
    head = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "note", "arguments": ""},
    }
    pieces = ['{"text": "', *(f" word{n}" for n in range(DELTAS)), '"}']
    first, *_, finish, usage = chat_text()

    def chunk(entry: dict[str, Any], **more: Any) -> dict[str, Any]:
        choice = {
            "index": 0,
            "delta": {**more, "tool_calls": [entry]},
            "logprobs": None,
            "finish_reason": None,
        }
        return {**first, "choices": [choice]}

    finish["choices"][0]["finish_reason"] = "tool_calls"
    chunks = [chunk({"index": 0, "function": {"arguments": piece}}) for piece in pieces]
    return [chunk(head, role="assistant", content=None), *chunks, finish, usage]


def _response(status: str, output: Lines, **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "gpt-4o",
        "output": output,
        "error": None,
        "incomplete_details": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "usage": None,
        **more,
    }


def _events(
    item: dict[str, Any], done: dict[str, Any], kind: str, pieces: list[str], **more: Any
) -> Lines:
    usage = {"input_tokens": 1, "output_tokens": DELTAS, "total_tokens": DELTAS + 1}
    usage |= {
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # type: ignore[dict-item]
    at = {"output_index": 0, "item_id": item["id"]} | more
    events = [
        {"type": "response.created", "response": _response("in_progress", [])},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        *(
            {"type": f"response.{kind}.delta", **at, "delta": piece, "obfuscation": "Xx1"}
            for piece in pieces
        ),
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": _response("completed", [done], usage=usage)},
    ]
    return [{**event, "sequence_number": n} for n, event in enumerate(events)]


def responses_text() -> Lines:
    """Make the events of a text."""
    pieces = [f" word{n}" for n in range(DELTAS)]
    item: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }
    part = {"type": "output_text", "text": "".join(pieces), "annotations": [], "logprobs": []}
    done = {**item, "status": "completed", "content": [part]}
    return _events(item, done, "output_text", pieces, content_index=0, logprobs=[])


def responses_call() -> Lines:
    """Make the events of a tool call whose arguments come in many pieces."""
    pieces = ['{"text": "', *(f" word{n}" for n in range(DELTAS)), '"}']
    item = {
        "id": "fc_1",
        "type": "function_call",
        "call_id": "call_1",
        "name": "note",
        "arguments": "",
    }
    return _events(item, {**item, "arguments": "".join(pieces)}, "function_call_arguments", pieces)


def _client(kind: Any, lines: Lines, **more: Any) -> Any:
    body = b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines)
    head = {"content-type": "text/event-stream"}
    transport = http.MockTransport(lambda _: http.Response(200, headers=head, content=body))
    return kind(http_client=http.Client(transport=transport), **KEY, **more)


def rows() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the name of each row and a function that opens its stream."""
    asked: dict[str, Any] = {"model": "gpt-4o", "stream": True}
    messages = [{"role": "user", "content": "…"}]
    for name, lines in (("text", chat_text()), ("call", chat_call())):
        chat = _client(openai.OpenAI, lines).chat.completions
        yield f"SDK, chat, {name}", lambda chat=chat: chat.create(**asked, messages=messages)
    for name, lines in (("text", responses_text()), ("call", responses_call())):
        responses = _client(openai.OpenAI, lines).responses
        yield (
            f"SDK, responses, {name}",
            lambda responses=responses: responses.create(**asked, input="…"),
        )
        chat = _client(
            adapter.OpenAI, lines, settings=adapter.Settings(backend="responses")
        ).chat.completions
        yield (
            f"SDK client on responses, {name}",
            lambda chat=chat: chat.create(**asked, messages=messages),
        )


def _seconds(stream: Any) -> float:
    began = time.thread_time()
    for _ in stream:
        pass
    return time.thread_time() - began


def main() -> None:
    """Measure all rows and print them."""
    print(f"{'':<34} {'iterated':>12} {'read':>12} {'ratio':>7}   (µs of CPU time per delta)")
    for name, opened in rows():
        *_, last = read(opened())
        assert isinstance(last, Finished)
        assert len(last.turn.text or last.turn.tool_calls[0].arguments) > DELTAS
        pairs = [(_seconds(opened()), _seconds(read(opened()))) for _ in range(ROUNDS)]
        plain, reading = (
            statistics.median(side) / DELTAS * 1e6 for side in zip(*pairs, strict=True)
        )
        ratio = statistics.median(read_ / plain_ for plain_, read_ in pairs)
        print(f"{name:<34} {plain:12.2f} {reading:12.2f} {ratio:7.2f}")


if __name__ == "__main__":
    main()
