"""One stream's chunks: what they share, what opens the answer, and how text is written into them (MAPPING §5.3)."""

from __future__ import annotations

from typing import Any, NamedTuple

from adapter.translation.objects.message_text import Piece
from adapter.translation.replies import response_to_chat
from adapter.translation.types import Asked

Chunk = dict[str, Any]

_SAID_BACK = frozenset({
    "background", "frequency_penalty", "instructions", "max_output_tokens", "max_tool_calls", "parallel_tool_calls", "presence_penalty",
    "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention", "reasoning", "safety_identifier", "store",
    "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
})  # fmt: skip
"""Parameters of the request that a Response repeats and no completion has."""

_NOTHING: tuple[Any, ...] = (None, [], {})


class Like(NamedTuple):
    """What the plain chunks of an answer share: the top level, and whether their choices have the key `logprobs`."""

    top: Chunk
    logprobs_key: bool


class Delta(NamedTuple):
    """A piece of text on its way, where its chunk differs from others in nothing else; `chunk` makes the whole of it."""

    text: str
    padding: str | None
    like: Like

    def chunk(self) -> Chunk:
        """Make the chunk, as a JSON object."""
        return _plain(self.like, {"content": self.text}, None, None, self.padding)


def _plain(like: Like, delta: Chunk, finish: str | None, logprobs: Any, obfuscation: Any) -> Chunk:
    choice: Chunk = {"index": 0, "delta": delta}
    if like.logprobs_key:
        choice["logprobs"] = logprobs
    choice["finish_reason"] = finish
    chunk = like.top | {"choices": [choice]}
    if obfuscation is not None:
        chunk["obfuscation"] = obfuscation
    return chunk


class Chunks:
    """Make the chunks of one answer, as JSON objects.

    `response` is what is known of the Response so far; what the chunks share is taken from it with the first chunk and
    then stands. `spoke` tells whether the answer was opened.
    """

    __slots__ = ("_asked", "_like", "response", "spoke")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._like: Like | None = None  # stands from the first chunk on
        self.response: dict[str, Any] = {}
        self.spoke = False

    def opened(self, response: Any) -> None:
        """Take what a Response says of itself before it is finished."""
        if isinstance(response, dict):
            # Without what servers merely say back: with many tools that is most of what an open stream would hold. And
            # without the status, which only counts at the end.
            own = {
                key: value
                for key, value in response.items()
                if value not in _NOTHING and key not in _SAID_BACK and key not in ("object", "status")
            }
            self.response = self.response | own

    def settle_tier(self, tier: Any) -> None:
        """Take the service tier that the finished response gives: it was `auto` until then (WIRE_FACTS, Responses streams)."""
        if self._like is not None and tier is not None:  # anew: chunks may be under way that are like the old one
            self._like = self._like._replace(top=self._like.top | {"service_tier": tier})

    def say(self, pieces: list[Piece], obfuscation: Any = None) -> list[Chunk]:
        """Write text."""
        out: list[Chunk] = []
        for piece in pieces:
            out += self._role({"content": ""})
            logprobs = {"content": piece.logprobs, "refusal": None} if self._asked.logprobs else None
            out.append(self.delta({"content": piece.text}, logprobs=logprobs, obfuscation=obfuscation))
        return out

    def refuse(self, pieces: list[Piece], obfuscation: Any = None) -> list[Chunk]:
        """Write a refusal."""
        out: list[Chunk] = []
        for piece in pieces:
            out += self._role({"content": None, "refusal": ""})
            out.append(self.delta({"refusal": piece.text}, obfuscation=obfuscation))
        return out

    def _role(self, delta: Chunk) -> list[Chunk]:
        """Open the answer with a chunk of its own, where nothing has been said yet."""
        return [] if self.spoke else self.first(delta)

    def first(self, delta: Chunk) -> list[Chunk]:
        """Make a chunk that is the answer's first where nothing has been said yet (WIRE_FACTS, chat streams)."""
        logprobs: Any = None
        if not self.spoke:
            self.spoke = True
            delta = {"role": "assistant", "content": None, **delta}
            delta.setdefault("refusal", None)
            logprobs = {"content": [], "refusal": None} if self._asked.logprobs and delta["content"] == "" else None
        return [self.delta(delta, logprobs=logprobs)]

    def delta(self, delta: Chunk, *, finish: str | None = None, logprobs: Any = None, obfuscation: Any = None) -> Chunk:
        """Make a chunk with one delta."""
        return _plain(self.like, delta, finish, logprobs, obfuscation)

    def beside(self, key: str, value: Any) -> Chunk:
        """Make a chunk without a choice."""
        return self.like.top | {"choices": [], key: value}

    @property
    def like(self) -> Like:
        """What the next chunk shares with others."""
        if self._like is None:
            top = response_to_chat.envelope(self.response, self._asked, "chat.completion.chunk")
            if self._asked.include_usage:
                top["usage"] = None
            self._like = Like(top, response_to_chat.writes_logprobs(self.response, self._asked))
        return self._like
