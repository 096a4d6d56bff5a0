"""Read Chat Completions: a whole completion, or its chunks one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapter.errors import MalformedReply
from adapter.translation.json_types import json_type
from adapter.translation.replies.errors import event_failure

from .accumulator import AnswerAccumulator, EventList
from .events import Finished
from .sdk_objects import as_json, as_list, fields, string
from .turn import Turn
from .types import Usage

_SHARED_KEYS = ("id", "created", "model", "service_tier", "system_fingerprint")


class ChatReader:
    """Read the chunks of a stream (`feed`, then `close`) or a completion (`whole`).

    Of `n` choices the first is read.
    """

    def __init__(self, answer: AnswerAccumulator) -> None:
        self._answer = answer
        self._first_chunk: Mapping[str, Any] | None = None
        self._logprobs: list[Any] = []
        self._raw_usage: Any = None
        # The usage, or the end of an audio answer, has arrived: audio models send no finish reason
        # (docs/edge-cases.md#audio-without-finish-reason).
        self._end_seen = False
        self._id = ""
        self._model = ""

    def feed(self, chunk: Any) -> EventList:
        """Feed a chunk, as an object or a dict, or an event of the SDK's `.stream()` helper."""
        top: Mapping[str, Any] = (
            chunk if isinstance(chunk, dict) else getattr(chunk, "__dict__", {})
        )
        choices = top.get("choices")
        if top.get("error"):  # the SDK raises too, whatever else the chunk contains
            raise event_failure({"error": as_json(top["error"])})
        if choices is None:
            # Only the helper's `chunk` events count; its other events repeat their contents.
            return self.feed(top["chunk"]) if top.get("type") == "chunk" else []
        if self._first_chunk is None or not self._id:
            self._keep_shared(top)
        usage = top.get("usage")
        if usage is not None:
            self._raw_usage = usage
            self._end_seen = self._end_seen or not choices
        out: EventList = []
        for choice in as_list(choices):
            one = fields(choice)
            if not one.get("index"):
                out += self._read_choice(one)
        return out

    def _keep_shared(self, top: Mapping[str, Any]) -> None:
        """Keep the fields that all chunks share; Azure's first chunk lacks them.

        See docs/wire-facts.md#chat-streams.
        """
        self._first_chunk = top
        self._id = string(top.get("id"))
        self._model = string(top.get("model"))

    def _read_choice(self, choice: Mapping[str, Any]) -> EventList:
        finish = choice.get("finish_reason")
        if finish is not None and isinstance(finish, str):
            self._answer.finish_reason = finish
        logprobs = choice.get("logprobs")
        if logprobs is not None:
            self._logprobs += as_list(fields(logprobs).get("content"))
        delta = choice.get("delta")
        if delta is None:
            if choice.get("text") is not None:
                raise MalformedReply(
                    "choices[0]",
                    "expected a chat completion chunk, got a chunk of the legacy completions API",
                )
            return []  # docs/edge-cases.md#choice-without-delta
        fields_of_delta = fields(delta)
        audio = fields_of_delta.get("audio")
        if audio is not None and fields(audio).get("expires_at") is not None:
            self._end_seen = True
        return self._answer.add_delta(fields_of_delta)

    def close(self) -> EventList:
        """End the stream; return the remaining events."""
        if self._end_seen and self._answer.finish_reason is None:
            self._answer.finish_reason = "stop"
        *before, last = self._answer.finish(
            usage=Usage.of(self._raw_usage), id_=self._id, model=self._model, raw=None
        )
        assert isinstance(last, Finished)
        return [*before, Finished(replace(last.turn, raw=self._completion(last.turn)))]

    def _completion(self, turn: Turn[Any]) -> dict[str, Any]:
        """Return the completion that the chunks make."""
        shared = {
            key: as_json(value)
            for key, value in fields(self._first_chunk).items()
            if key in _SHARED_KEYS
        }
        choice: dict[str, Any] = {
            "index": 0,
            "message": turn.as_message(),
            "finish_reason": self._answer.finish_reason,
        }
        if self._logprobs:
            choice["logprobs"] = {"content": as_json(self._logprobs), "refusal": None}
        return {
            **shared,
            "object": "chat.completion",
            "choices": [choice],
            "usage": as_json(self._raw_usage),
        }

    def whole(self, completion: Any) -> EventList:
        """Read a whole completion."""
        top = fields(completion)
        choices = top.get("choices")
        if not isinstance(choices, list) or not choices:
            if top.get("error"):
                raise event_failure({"error": as_json(top["error"])})
            raise MalformedReply("choices", f"expected choices, got {json_type(choices)}")
        choice = next(
            (one for one in map(fields, choices) if not one.get("index")), fields(choices[0])
        )
        message = fields(choice.get("message"))
        calls = [
            {**fields(call), "index": n}
            for n, call in enumerate(as_list(message.get("tool_calls")))
        ]
        self._answer.add_delta({**message, "tool_calls": calls})
        # A whole completion is complete, even if the server sends no finish reason.
        self._answer.finish_reason = string(choice.get("finish_reason")) or "stop"
        return self._answer.finish(
            usage=Usage.of(top.get("usage")),
            id_=string(top.get("id")),
            model=string(top.get("model")),
            raw=completion,
        )
