"""Convert a Chat Completions reply to one of the Responses API, for tests with mocks of Chat.

`make_response` converts a completion, `EventsFromChunks` a stream. Both use a `ResponseBuilder`,
for which a message is one delta with everything in it. A field that a mock leaves out is left out
here as well, or has the value that the API always writes.
"""

from __future__ import annotations

import json
from typing import Any, TypeGuard

from adapter._util.sse import Decoder

from .response_builder import Json, ResponseBuilder, objects_in


def is_completion(body: Any) -> TypeGuard[Json]:
    """Return whether a reply's JSON is a completion."""
    return isinstance(body, dict) and isinstance(body.get("choices"), list)


def choices_of(body: Json) -> list[Json]:
    """List the choices of a completion or a chunk, without malformed ones."""
    return objects_in(body.get("choices"))


def make_response(completion: Json, number: int = 0) -> Json:
    """Return the Response of one choice of a completion; only the first one has the usage."""
    builder = ResponseBuilder()
    builder.update(completion if number == 0 else {**completion, "usage": None})
    for choice in choices_of(completion)[number : number + 1]:
        builder.add(choice, _with_indexes(choice.get("message")))
    builder.end()
    return builder.response(builder.status)


class EventsFromChunks:
    """Convert one choice of a Chat Completions stream to a Responses stream, as bytes.

    `feed(data)` returns the events of the next bytes, `close()` those at the end, both in the
    pieces in which to send them. A stream with neither a finish reason nor `[DONE]` was cut, and
    gets no last event. A Responses stream is passed on unchanged.
    """

    def __init__(self, index: int = 0) -> None:
        self._index = index
        self._decoder = Decoder()
        self._builder = ResponseBuilder()
        self._buffered: list[bytes] | None = []  # until it is known which API's stream it is
        self._passes_through = False
        self._started = self._ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events of the next bytes of the stream."""
        if self._passes_through:
            return [data]
        if self._buffered is not None:
            self._buffered.append(data)
        out: list[bytes] = []
        for event in self._decoder.feed(data):
            if not self._ended:
                out += self._event(event.data)
            if self._buffered is not None:  # a Responses stream
                self._passes_through = True
                return self._buffered
        return out

    def close(self) -> list[bytes]:
        """Return the events at the end of the stream."""
        if self._ended or self._passes_through:
            return []
        # Mocks often leave out the last blank line, without which the last event is incomplete.
        done = any(event.data.startswith(b"[DONE]") for event in self._decoder.feed(b"\n\n"))
        return self._end() if done or self._builder.finish is not None else []

    def _event(self, data: bytes) -> list[bytes]:
        try:
            chunk = json.loads(data)
        except ValueError:
            chunk = None
        if self._buffered is not None:
            if _is_event(chunk):
                return []
            self._buffered = None
        if data.startswith(b"[DONE]"):
            return self._end()
        if not isinstance(chunk, dict):
            return [b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"]  # broken on either API
        if chunk.get("error"):
            self._ended = True
            return [*self._opening(), self._encode([{"type": "error", "error": chunk["error"]}])]
        self._builder.update(chunk if self._index == 0 else {**chunk, "usage": None})
        choices = choices_of(chunk)
        if not choices:
            return []  # the usage; or Azure's filter results of the prompt, first and without an id
        opening, events = self._opening(), []
        for position, choice in enumerate(choices):
            index = choice.get("index")
            if (position if index is None else index) == self._index:
                events += self._builder.add(choice, choice.get("delta"))
        return [*opening, self._encode(events)] if events else opening

    def _opening(self) -> list[bytes]:
        """Return the events that begin the stream, once; they also precede an error."""
        if self._started:
            return []
        self._started = True
        running = self._builder.response("in_progress")
        return [
            self._encode(
                [
                    {"type": f"response.{kind}", "response": running}
                    for kind in ("created", "in_progress")
                ]
            )
        ]

    def _end(self) -> list[bytes]:
        self._ended = True
        opening, status = self._opening(), self._builder.status
        events = [
            *self._builder.end(),
            {"type": f"response.{status}", "response": self._builder.response(status)},
        ]
        return [*opening, self._encode(events)]

    def _encode(self, events: list[Json]) -> bytes:
        return b"".join([self._builder.encode(event) for event in events])


def _is_event(chunk: Any) -> bool:
    kind = chunk.get("type") if isinstance(chunk, dict) and "choices" not in chunk else None
    return isinstance(kind, str) and (kind == "error" or kind.startswith("response."))


def _with_indexes(message: Any) -> Any:
    """Return a message whose tool calls have indexes, as in a stream."""
    if not isinstance(message, dict) or not message.get("tool_calls"):
        return message
    calls = [
        {**call, "index": index} for index, call in enumerate(objects_in(message["tool_calls"]))
    ]
    return {**message, "tool_calls": calls}
