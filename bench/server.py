"""The server of the benchmarks, in its own process: both APIs, with bodies like the real ones.

    with Server() as server:
        headers = {"x-bench": "n200-g10"}
        client = OpenAI(base_url=server.base_url, api_key="key", default_headers=headers)

The header `x-bench` selects the reply: `n` deltas, `g` tenths of a millisecond between the pieces
(0: all in one piece), and `hold` for a stream that stops in the middle. Without it: 20 deltas in
one piece. `GET /stats` returns the number of connections with a request. Bodies are serialized
once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import random
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Self

WORDS = (  # noqa: SIM905  # a sentence is easier to read
    "the model that answers here has nothing to say but words of a usual length "
    "with a comma, now and then, and a full stop."
).split()
RESPONSE_ID = "resp_68f0c3b1a2d08190b7e4f5a6c7d8e9f00123456789abcdef"
MESSAGE_ID = "msg_68f0c3b1a2d08190b7e4f5a6c7d8e9f00123456789abcdef"
MODEL = "gpt-4.1-2025-04-14"
CREATED = 1760600000
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BENCH_HEADER = re.compile(rb"\r\nx-bench: *n(\d+)-g(\d+)(-hold)?", re.IGNORECASE)
_STREAM = re.compile(rb'"stream" ?: ?true')


def words(count: int) -> list[str]:
    """Make the deltas of a reply."""
    chosen = random.Random(1)  # noqa: S311  # the same text each time
    return [(" " if k else "") + chosen.choice(WORDS) for k in range(count)]


def _response(deltas: list[str], *, done: bool) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": "".join(deltas)}
    message = {
        "id": MESSAGE_ID,
        "type": "message",
        "status": "completed",
        "content": [part],
        "role": "assistant",
    }
    usage = {
        "input_tokens": 36,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(deltas),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 36 + len(deltas),
    }
    return {
        "id": RESPONSE_ID,
        "object": "response",
        "created_at": CREATED,
        "status": "completed" if done else "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": MODEL,
        "output": [message] if done else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default" if done else "auto",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if done else None,
        "user": None,
        "metadata": {},
    }


def _responses_events(count: int) -> list[bytes]:
    deltas = words(count)
    padding = random.Random(2)  # noqa: S311  # the same each time
    where = {"item_id": MESSAGE_ID, "output_index": 0}
    inside = {**where, "content_index": 0}
    whole = _response(deltas, done=True)
    message = whole["output"][0]
    part = message["content"][0]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response([], done=False)},
        {"type": "response.in_progress", "response": _response([], done=False)},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**message, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **inside, "part": {**part, "text": ""}},
    ]
    for delta in deltas:
        hidden = "".join(
            padding.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=padding.randint(1, 15))
        )
        events.append(
            {
                "type": "response.output_text.delta",
                **inside,
                "delta": delta,
                "logprobs": [],
                "obfuscation": hidden,
            }
        )
    events += [
        {"type": "response.output_text.done", **inside, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **inside, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": whole},
    ]
    written = []
    for number, event in enumerate(events):
        numbered = {"type": event.pop("type"), "sequence_number": number, **event}
        written.append(f"event: {numbered['type']}\ndata: {_dumps(numbered)}\n\n".encode())
    return [b"".join(written[:5]), *written[5:]]  # the first delta comes with the events before it


def _chat_usage(count: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 36,
        "completion_tokens": count,
        "total_tokens": 36 + count,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chat_events(count: int) -> list[bytes]:
    padding = random.Random(2)  # noqa: S311  # the same each time
    top = {
        "id": "chatcmpl-CRIvcmXgHzpNNQKXMkCdKzXjTnCnE",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": MODEL,
    }
    top |= {"service_tier": "default", "system_fingerprint": "fp_51e1070cf2"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": word} for word in words(count)]
    written = []
    for k, delta in enumerate([*deltas, {}]):
        hidden = "".join(
            padding.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=padding.randint(1, 15))
        )
        finish = "stop" if k > count else None
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**top, "choices": [choice], "usage": None, "obfuscation": hidden}
        written.append(f"data: {_dumps(chunk)}\n\n".encode())
    written.append(
        f"data: {_dumps({**top, 'choices': [], 'usage': _chat_usage(count)})}\n\n".encode()
    )
    written.append(b"data: [DONE]\n\n")
    return [b"".join(written[:2]), *written[2:]]


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


_HEADERS = (
    b"date: Thu, 16 Oct 2025 08:00:00 GMT\r\nserver: cloudflare\r\n"
    b"openai-organization: org-x\r\nopenai-processing-ms: 412\r\n"
    b"openai-version: 2020-10-01\r\nx-request-id: req_3c9b5bd7dd1f4a1f8d1c6e8c1b1f5a52\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 30000000\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-remaining-tokens: 29999958\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 0s\r\n"
    b"cf-cache-status: DYNAMIC\r\nx-content-type-options: nosniff\r\n"
    b"cf-ray: 9a1b2c3d4e5f6789-CDG\r\n"
)


@functools.cache
def _whole(*, responses: bool, count: int) -> bytes:
    if responses:
        body: dict[str, Any] = _response(words(count), done=True)
    else:
        message = {
            "role": "assistant",
            "content": "".join(words(count)),
            "refusal": None,
            "annotations": [],
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        body = {
            "id": "chatcmpl-CRIvcmXgHzpNNQKXMkCdKzXjTnCnE",
            "object": "chat.completion",
            "created": CREATED,
            "model": MODEL,
        }
        body |= {
            "choices": [choice],
            "usage": _chat_usage(count),
            "service_tier": "default",
            "system_fingerprint": "fp_51",
        }
    written = json.dumps(body, indent=2, ensure_ascii=False).encode()  # as the API formats it
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + _HEADERS
    return head + b"content-length: %d\r\n\r\n" % len(written) + written


@functools.cache
def _streamed(*, responses: bool, count: int) -> list[bytes]:
    events = _responses_events(count) if responses else _chat_events(count)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n" + _HEADERS
    pieces = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    pieces[0] = head + b"transfer-encoding: chunked\r\n\r\n" + pieces[0]
    pieces[-1] += b"0\r\n\r\n"
    return pieces


class _Connection(asyncio.Protocol):
    with_request = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""
        self._counted = False
        self._task: asyncio.Task[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (at := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:at]
            length = _LENGTH.search(head)
            end = at + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            body, self._buffer = self._buffer[at + 4 : end], self._buffer[end:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if path == b"/stats":
            written = json.dumps({"connections": _Connection.with_request}).encode()
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(written) + written
            )
            return
        _Connection.with_request += not self._counted
        self._counted = True
        bench = _BENCH_HEADER.search(head)
        count, gap, hold = (int(bench[1]), int(bench[2]), bench[3]) if bench else (20, 0, None)
        responses = path.partition(b"?")[0].endswith(b"/responses")
        if not _STREAM.search(body):
            self._transport.write(_whole(responses=responses, count=count))
            return
        pieces = _streamed(responses=responses, count=count)
        if hold:
            self._transport.write(b"".join(pieces[: count // 2]))
        elif not gap:
            self._transport.write(b"".join(pieces))
        else:
            self._task = asyncio.get_running_loop().create_task(self._paced(pieces, gap * 1e-4))

    async def _paced(self, pieces: list[bytes], gap: float) -> None:
        for piece in pieces:
            self._transport.write(piece)
            await asyncio.sleep(gap)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)  # until the benchmark closes the pipe


class Server:
    """A context manager for the process of the server."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.server"],  # this file
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=10)

    @property
    def base_url(self) -> str:
        """The `base_url` for the SDK."""
        return f"{self.url}/v1"

    def connections(self) -> int:
        """Return the number of connections with a request so far."""
        with urllib.request.urlopen(f"{self.url}/stats", timeout=10) as reply:  # noqa: S310  # loopback
            found: int = json.load(reply)["connections"]
        return found


if __name__ == "__main__":
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    asyncio.run(_serve())
