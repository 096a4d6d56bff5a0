"""One scripted server that answers both APIs alike, each in its own form.

    script = [say("Let me look.", call("get_weather", city="Oslo")), say("It rains."), fail(429, "Slow down.")]

Ids, times and token counts are the same on both, so that an application's output can be compared.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.apps import known
from tests.support.loopback import Loopback, Reply, Request

Json = dict[str, Any]
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
MODELS = ("gpt-4o", "gpt-4o-mini")
CREATED = 1780000000
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True)
class Called:
    """A tool call; its arguments are JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Answer:
    """What the model does: text, a refusal and tool calls; or (`status`) an error of the API."""

    text: str = ""
    calls: tuple[Called, ...] = ()
    refusal: str = ""
    finish: str = "stop"
    status: int = 200
    error: Json = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()


Step = Answer | Callable[[Json], Answer]
"""A step of a script: an answer, or a function of the request's body where call order is
uncertain."""


def say(text: str = "", *calls: Called, finish: str = "stop") -> Answer:
    """Answer with text, with tool calls, or both."""
    return Answer(text, calls, finish=finish)


def say_json(value: object) -> Answer:
    """Answer with JSON, as structured output."""
    return Answer(json.dumps(value))


def refuse(text: str) -> Answer:
    """Answer with a refusal."""
    return Answer(refusal=text)


def call(name: str, /, **arguments: Any) -> Called:
    """Make a tool call, for `say`."""
    return Called(name, json.dumps(arguments))


def fail(
    status: int, message: str, *, kind: str = "invalid_request_error", code: str | None = None
) -> Answer:
    """Answer with an error; a retry is immediate."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Answer(status=status, error=error, headers=(("retry-after-ms", "1"),))


@dataclass
class Asked:
    """A received request, and a description of its problem."""

    path: str
    body: Json
    trouble: str = ""


class Scripted:
    """The server; `play` begins a new script, after which `asked` holds its requests."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._steps: list[Step] = []
        self._taken = 0
        self._lock = threading.Lock()
        self._server = Loopback(self._answer)
        self.base_url, self.port = self._server.base_url, self._server.port

    def play(self, *steps: Step) -> None:
        """Begin a script, and forget earlier requests."""
        with self._lock:
            self.asked, self._steps, self._taken = [], list(steps), 0

    def close(self) -> None:
        """Close the server."""
        self._server.close()

    def _answer(self, request: Request) -> Reply:
        if request.method == "GET" and request.path == "/v1/models":
            return Reply.of_json({"object": "list", "data": [_model(name) for name in MODELS]})
        if request.method == "GET" and request.path.startswith("/v1/models/"):
            return Reply.of_json(_model(request.path.rpartition("/")[2]))
        body = request.json() if request.body else {}
        asked = Asked(request.path, body)
        with self._lock:
            self.asked.append(asked)
        if request.path == "/v1/embeddings":
            return Reply.of_json(_embeddings(body))
        if request.path not in (CHAT, RESPONSES):
            asked.trouble = "no such route"
            return _failed(404, "Invalid URL")
        if trouble := known.trouble(body, chat=request.path == CHAT):
            asked.trouble = trouble
            return _failed(400, trouble)
        return self._completion(asked)

    def _completion(self, asked: Asked) -> Reply:
        with self._lock:
            number, left = self._taken, self._steps[self._taken :]
            self._taken += 1
        if not left:
            asked.trouble = "the script has no answer left"
            return _failed(400, asked.trouble)
        answer = left[0] if isinstance(left[0], Answer) else left[0](asked.body)
        if answer.status != 200:
            return Reply.of_json({"error": answer.error}, answer.status, answer.headers)
        form = (
            _Chat(asked.body, answer, number)
            if asked.path == CHAT
            else _Responses(asked.body, answer, number)
        )
        head = (("x-request-id", f"req_{number}"),)
        return (
            Reply.of_sse(form.stream(), head)
            if asked.body.get("stream")
            else Reply.of_json(form.whole(), 200, head)
        )


def _failed(status: int, message: str) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return Reply.of_json({"error": error}, status)


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "openai"}


def _embeddings(body: Json) -> Json:
    given = body["input"] if isinstance(body["input"], list) else [body["input"]]
    if given and isinstance(given[0], int):
        given = [given]
    vectors = []
    for each in given:
        whole = json.dumps(each).encode()
        made = [sum(whole[at::8]) % 97 / 97 for at in range(body.get("dimensions") or 8)]
        packed = base64.b64encode(struct.pack(f"<{len(made)}f", *made)).decode()
        vectors.append(packed if body.get("encoding_format") == "base64" else made)
    data = [
        {"object": "embedding", "index": index, "embedding": each}
        for index, each in enumerate(vectors)
    ]
    return {
        "object": "list",
        "model": body["model"],
        "data": data,
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def _token(number: int) -> str:
    """Return what distinguishes an answer's calls.

    As hard to guess as the services' own, but the same each time.
    """
    return hashlib.sha256(f"answer {number}".encode()).hexdigest()[:23]


def _pieces(text: str) -> Sequence[str]:
    """Cut text as a model writes it: word by word."""
    return re.findall(r"\s*\S+|\s+$", text)


def _words(value: Any) -> int:
    """Count the words of a request's text, which is the same in both forms."""
    if isinstance(value, list):
        return sum(map(_words, value))
    if isinstance(value, dict):
        named = value.get("content") and value.get("role") not in (None, "tool", "function")
        keys = ("content", "text", "output", "input", *(("name",) if named else ()))
        return sum(_words(value.get(key)) for key in keys)
    return len(value.split()) if isinstance(value, str) else 0


@dataclass
class _Form:
    """An answer, and the body that it answers."""

    body: Json
    answer: Answer
    number: int

    def counts(self) -> tuple[int, int]:
        asked = 10 + _words(self.body.get("messages") or self.body.get("input"))
        answer = (
            self.answer.text
            + self.answer.refusal
            + " ".join(f" {each.arguments}" for each in self.answer.calls)
        )
        return asked, 1 + len(answer.split())


class _Chat(_Form):
    """The answer in the form of Chat Completions."""

    def text(self) -> str:
        """Return the text up to the first stop sequence."""
        stop = self.body.get("stop") or ()
        ends = [self.answer.text.find(each) for each in ([stop] if isinstance(stop, str) else stop)]
        return self.answer.text[: min((end for end in ends if end >= 0), default=None)]

    def whole(self) -> Json:
        """Write a completion."""
        answer, text = self.answer, self.text()
        message: Json = {
            "role": "assistant",
            "content": text or (None if answer.calls or answer.refusal else ""),
        }
        message |= {"refusal": answer.refusal or None, "annotations": []}
        if answer.calls:
            message["tool_calls"] = self._calls()
        choice = {
            "message": message,
            **self._logprobs(_pieces(text)),
            "finish_reason": self._finish(),
        }
        choices = [{"index": index, **choice} for index in range(self.body.get("n") or 1)]
        return {**self._top("chat.completion"), "choices": choices, "usage": self._usage()}

    def stream(self) -> Iterator[bytes]:
        """Write chunks."""
        answer, counted = self.answer, (self.body.get("stream_options") or {}).get("include_usage")
        top = self._top("chat.completion.chunk") | ({"usage": None} if counted else {})
        role: Json = {
            "role": "assistant",
            "content": "" if answer.text or not (answer.calls or answer.refusal) else None,
        }
        if len(answer.calls) < 2 or answer.text:
            role["refusal"] = "" if answer.refusal else None
        alone = len(answer.calls) == 1 and not answer.text  # such a call begins in the first chunk
        steps: list[tuple[Json, Sequence[str], str | None]] = [] if alone else [(role, (), None)]
        steps += [({"content": piece}, [piece], None) for piece in _pieces(self.text())]
        steps += [({"refusal": piece}, (), None) for piece in _pieces(answer.refusal)]
        for at, made in enumerate(self._calls()):
            function = made["function"]
            opening = {"index": at, **made, "function": {**function, "arguments": ""}}
            steps.append(({**(role if alone else {}), "tool_calls": [opening]}, (), None))
            for piece in _pieces(function["arguments"]):
                steps.append(
                    ({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}, (), None)
                )
        steps.append(({}, (), self._finish()))
        for index in range(self.body.get("n") or 1):
            for delta, pieces, finish in steps:
                choice = {
                    "index": index,
                    "delta": delta,
                    **self._logprobs(pieces),
                    "finish_reason": finish,
                }
                yield _line({**top, "choices": [choice]})
        if counted:
            yield _line({**top, "choices": [], "usage": self._usage()})
        yield b"data: [DONE]\n\n"

    def _top(self, kind: str) -> Json:
        top = {
            "id": f"chatcmpl-resp_{self.number}",
            "object": kind,
            "created": CREATED,
            "model": self.body["model"],
        }
        return {**top, "service_tier": "default", "system_fingerprint": None}

    def _finish(self) -> str:
        named = isinstance(
            self.body.get("tool_choice"), dict
        )  # a call that was required by name ends with `stop`
        calls = self.answer.calls and self.answer.finish == "stop" and not named
        return "tool_calls" if calls else self.answer.finish

    def _calls(self) -> list[Json]:
        return [
            {
                "id": f"call_{_token(self.number)}{at}",
                "type": "function",
                "function": {"name": each.name, "arguments": each.arguments},
            }
            for at, each in enumerate(self.answer.calls)
        ]

    def _logprobs(self, pieces: Sequence[str]) -> Json:
        if re.match(r"gpt-[5-9]|o\d", self.body["model"]):  # their choices have no such key
            return {}
        asked = self.body.get("logprobs") and pieces
        return {"logprobs": {"content": _tokens(pieces), "refusal": None} if asked else None}

    def _usage(self) -> Json:
        asked, answered = self.counts()
        answered *= self.body.get("n") or 1
        return {
            "prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0, "cache_write_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
            },
        }  # fmt: skip


class _Responses(_Form):
    """The answer in the form of the Responses API."""

    def whole(self) -> Json:
        """Write a Response."""
        cut = _INCOMPLETE.get(self.answer.finish)
        asked, answered = self.counts()
        usage = {
            "input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }  # fmt: skip
        return self._top() | {
            "status": "incomplete" if cut else "completed", "incomplete_details": {"reason": cut} if cut else None,
            "output": list(self._items()), "usage": usage,
        }  # fmt: skip

    def stream(self) -> Iterator[bytes]:
        """Write events."""
        for number, made in enumerate(self._events()):
            yield f"event: {made['type']}\n".encode() + _line({**made, "sequence_number": number})

    def _top(self) -> Json:
        return {
            "id": f"resp_{self.number}", "object": "response", "created_at": CREATED, "model": self.body["model"], "error": None,
            "status": "in_progress", "incomplete_details": None, "output": [], "usage": None, "service_tier": "default",
            "instructions": None, "metadata": {}, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "temperature": 1.0, "top_p": 1.0, "text": self.body.get("text") or {"format": {"type": "text"}},
            "store": self.body.get("store", True), "truncation": "disabled", "previous_response_id": None,
        }  # fmt: skip

    def _parts(self) -> list[Json]:
        answer = self.answer
        logprobs = (
            _tokens(_pieces(answer.text))
            if "message.output_text.logprobs" in self._included()
            else []
        )
        parts: list[Json] = []
        if answer.text or not (answer.calls or answer.refusal):
            parts.append(
                {
                    "type": "output_text",
                    "text": answer.text,
                    "annotations": [],
                    "logprobs": logprobs,
                }
            )
        if answer.refusal:
            parts.append({"type": "refusal", "refusal": answer.refusal})
        return parts

    def _items(self) -> Iterator[Json]:
        if "reasoning.encrypted_content" in self._included():
            yield {
                "type": "reasoning",
                "id": f"rs_{self.number}",
                "summary": [],
                "encrypted_content": f"sealed-{_token(self.number)}",
            }
        if parts := self._parts():
            top = {
                "type": "message",
                "id": f"msg_{self.number}",
                "role": "assistant",
                "status": "completed",
            }
            yield {**top, "content": parts}
        for at, each in enumerate(self.answer.calls):
            top = {
                "type": "function_call",
                "id": f"fc_{self.number}_{at}",
                "call_id": f"call_{_token(self.number)}{at}",
            }
            yield {**top, "status": "completed", "name": each.name, "arguments": each.arguments}

    def _included(self) -> Sequence[str]:
        return self.body.get("include") or ()

    def _events(self) -> Iterator[Json]:
        for name in ("created", "in_progress"):
            yield {"type": f"response.{name}", "response": self._top()}
        for index, item in enumerate(self._items()):
            at = {"output_index": index, "item_id": item["id"]}
            emptied = {
                "message": {"content": []},
                "function_call": {"arguments": ""},
                "reasoning": {},
            }[item["type"]]
            begun = {**item, **emptied, "status": "in_progress"}
            yield {"type": "response.output_item.added", "output_index": index, "item": begun}
            if item["type"] == "message":
                yield from self._part_events(item, at)
            elif item["type"] == "function_call":
                for piece in _pieces(item["arguments"]):
                    yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
                done = {"name": item["name"], "arguments": item["arguments"]}
                yield {"type": "response.function_call_arguments.done", **at, **done}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        whole = self.whole()
        yield {"type": f"response.{whole['status']}", "response": whole}

    def _part_events(self, item: Json, at: Json) -> Iterator[Json]:
        for index, part in enumerate(item["content"]):
            here = {**at, "content_index": index}
            key = "text" if part["type"] == "output_text" else "refusal"
            name = "output_text" if key == "text" else "refusal"
            cleared = {"annotations": [], "logprobs": []} if key == "text" else {}
            yield {
                "type": "response.content_part.added",
                **here,
                "part": {**part, **cleared, key: ""},
            }
            for piece in _pieces(part[key]):
                more = (
                    {"logprobs": _tokens([piece]) if part.get("logprobs") else []}
                    if key == "text"
                    else {}
                )
                yield {"type": f"response.{name}.delta", **here, "delta": piece, **more}
            more = {"logprobs": part["logprobs"]} if key == "text" else {}
            yield {"type": f"response.{name}.done", **here, key: part[key], **more}
            yield {"type": "response.content_part.done", **here, "part": part}


def _tokens(pieces: Sequence[str]) -> list[Json]:
    return [
        {
            "token": piece,
            "logprob": -0.125 * len(piece),
            "bytes": list(piece.encode()),
            "top_logprobs": [],
        }
        for piece in pieces
    ]


def _line(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
