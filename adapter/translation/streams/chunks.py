"""Build the chunks of one stream (docs/mapping.md#chunk-rules)."""

from __future__ import annotations

from typing import Any, NamedTuple

from adapter.translation.objects.message_text import TextPiece
from adapter.translation.parameters import ECHOED_KEYS
from adapter.translation.replies import response_to_chat
from adapter.translation.types import ReplyContext

Chunk = dict[str, Any]

_EMPTY_VALUES: tuple[Any, ...] = (None, [], {})


class ChunkTemplate(NamedTuple):
    """What plain chunks share: the top level, and whether choices have the key `logprobs`."""

    top: Chunk
    logprobs_key: bool


class TextChunk(NamedTuple):
    """A chunk that differs from its template in text and padding only."""

    text: str
    padding: str | None
    template: ChunkTemplate

    def chunk(self) -> Chunk:
        """Return the whole chunk, as a JSON object."""
        return _make_chunk(self.template, {"content": self.text}, None, None, self.padding)


def _make_chunk(
    template: ChunkTemplate, delta: Chunk, finish: str | None, logprobs: Any, obfuscation: Any
) -> Chunk:
    choice: Chunk = {"index": 0, "delta": delta}
    if template.logprobs_key:
        choice["logprobs"] = logprobs
    choice["finish_reason"] = finish
    chunk = template.top | {"choices": [choice]}
    if obfuscation is not None:
        chunk["obfuscation"] = obfuscation
    return chunk


class ChunkBuilder:
    """Build the chunks of one answer, as JSON objects.

    `response`: what is known of the Response so far; the first chunk fixes what chunks share.
    `is_open`: the first chunk of the answer has been made.
    """

    __slots__ = ("_context", "_template", "is_open", "response")

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._template: ChunkTemplate | None = None  # fixed by the first chunk
        self.response: dict[str, Any] = {}
        self.is_open = False

    def take_response(self, response: Any) -> None:
        """Update `response` from a Response that isn't finished."""
        if isinstance(response, dict):
            # Without echoed parameters: with many tools they would be most of an open stream's
            # memory. Without the status, which only counts at the end.
            own = {
                key: value
                for key, value in response.items()
                if value not in _EMPTY_VALUES
                and key not in ECHOED_KEYS
                and key not in ("object", "status")
            }
            self.response = self.response | own

    def set_service_tier(self, tier: Any) -> None:
        """Set the finished response's service tier; earlier events have `auto`.

        See docs/wire-facts.md#responses-streams.
        """
        # A new template, since chunks may exist that refer to the old one.
        if self._template is not None and tier is not None:
            self._template = self._template._replace(
                top=self._template.top | {"service_tier": tier}
            )

    def text(self, pieces: list[TextPiece], obfuscation: Any = None) -> list[Chunk]:
        """Return the chunks for pieces of text, after an opening chunk if needed."""
        out: list[Chunk] = []
        for piece in pieces:
            out += self._opening_once({"content": ""})
            logprobs = (
                {"content": piece.logprobs, "refusal": None} if self._context.logprobs else None
            )
            out.append(
                self.delta({"content": piece.text}, logprobs=logprobs, obfuscation=obfuscation)
            )
        return out

    def refusal(self, pieces: list[TextPiece], obfuscation: Any = None) -> list[Chunk]:
        """Return the chunks for pieces of a refusal, after an opening chunk if needed."""
        out: list[Chunk] = []
        for piece in pieces:
            out += self._opening_once({"content": None, "refusal": ""})
            out.append(self.delta({"refusal": piece.text}, obfuscation=obfuscation))
        return out

    def _opening_once(self, delta: Chunk) -> list[Chunk]:
        """Return an opening chunk, unless there was one."""
        return [] if self.is_open else self.opening(delta)

    def opening(self, delta: Chunk) -> list[Chunk]:
        """Return a chunk, with the role if it is the first (docs/wire-facts.md#chat-streams)."""
        logprobs: Any = None
        if not self.is_open:
            self.is_open = True
            delta = {"role": "assistant", "content": None, **delta}
            delta.setdefault("refusal", None)
            logprobs = (
                {"content": [], "refusal": None}
                if self._context.logprobs and delta["content"] == ""
                else None
            )
        return [self.delta(delta, logprobs=logprobs)]

    def delta(
        self,
        delta: Chunk,
        *,
        finish: str | None = None,
        logprobs: Any = None,
        obfuscation: Any = None,
    ) -> Chunk:
        """Return a chunk with one delta."""
        return _make_chunk(self.template, delta, finish, logprobs, obfuscation)

    def without_choice(self, key: str, value: Any) -> Chunk:
        """Return a chunk without a choice."""
        return self.template.top | {"choices": [], key: value}

    @property
    def template(self) -> ChunkTemplate:
        """What the next chunk shares with the others."""
        if self._template is None:
            # dialect: llama.cpp (no model and no date so far: the request's model, and 0)
            top = response_to_chat.envelope(self.response, self._context, "chat.completion.chunk")
            if self._context.include_usage:
                top["usage"] = None
            self._template = ChunkTemplate(
                top, response_to_chat.writes_logprobs(self.response, self._context)
            )
        return self._template
