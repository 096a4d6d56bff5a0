"""Merge N Chat streams into one with N choices (docs/mapping.md#several-choices).

Rules:

1. All chunks have the id, date, model, fingerprint and tier of the last chunk of stream 0. All
   chunks are held until its first choice arrives.
2. Then each index is opened in ascending order, since the SDK's `.stream()` raises IndexError for
   an index that isn't the next one. A stream that has begun opens it with its own first chunk; for
   any other a chunk with only the role does, so that its content stays null.
3. A role is sent once per index, since the SDK joins strings, including roles.
4. Moderation and then usage, which belong to the whole answer, come once at the end; `.stream()`
   takes the usage from the last chunk.
"""

from __future__ import annotations

from typing import Any

from adapter.errors import StreamTruncated
from adapter.translation.replies.merge import merge_moderation, sum_usage

Chunk = dict[str, Any]

_SHARED_KEYS = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class ChoicesFromStreams:
    """Interleave the chunks of N Chat Completions streams under one id.

    `feed(k, chunk)` takes a chunk of stream `k` as JSON, and `end(k)` its end; both return the
    chunks that can be passed on. `end` raises StreamTruncated for a stream without a finish reason.
    Chunks after a stream's end are skipped. Input is not changed.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ValueError("at least one stream is needed")
        self._n = n
        self._top: Chunk = {}
        self._open = False
        self._held: list[tuple[int, Chunk]] = []  # in order of arrival
        self._role_sent: set[int] = set()  # indexes
        self._finished: set[int] = set()  # indexes whose finish chunk has arrived
        self._ended: set[int] = set()
        self._usages: dict[int, Chunk] = {}  # the chunks with them
        self._moderations: dict[int, Chunk] = {}

    @property
    def done(self) -> bool:
        """Return whether all streams have ended."""
        return len(self._ended) == self._n

    def feed(self, k: int, chunk: Chunk) -> list[Chunk]:
        """Take the next chunk of stream `k`."""
        self._check(k)
        if k in self._ended:
            return []
        choices = chunk.get("choices") if _is_answer_chunk(chunk) else None
        if k == 0 and _is_answer_chunk(chunk):
            self._top = {key: chunk[key] for key in _SHARED_KEYS if key in chunk}
        if choices and any(choice.get("finish_reason") for choice in choices):
            self._finished.add(k)
        if not choices and self._keep_for_end(k, chunk):
            return []
        if self._open:
            return [self._merged_chunk(k, chunk)]
        self._held.append((k, chunk))
        return self._opening(chunk) if k == 0 and choices else []

    def end(self, k: int) -> list[Chunk]:
        """End stream `k`, after all of its chunks."""
        self._check(k)
        if k in self._ended:
            return []
        if k not in self._finished:
            raise StreamTruncated(f"choices[{k}]", "the stream ended before its finish reason")
        self._ended.add(k)
        return self._closing() if self.done else []

    def _check(self, k: int) -> None:
        if not 0 <= k < self._n:
            raise IndexError(f"there are {self._n} streams")

    def _keep_for_end(self, k: int, chunk: Chunk) -> bool:
        """Keep a chunk with usage or moderation for the end; return whether it was one."""
        kept = False
        for key, home in (("usage", self._usages), ("moderation", self._moderations)):
            if isinstance(chunk.get(key), dict):
                home[k] = chunk
                kept = True
        return kept

    def _opening(self, first: Chunk) -> list[Chunk]:
        self._open = True
        held, self._held = self._held, []
        begun: dict[int, Chunk] = {}
        rest: list[tuple[int, Chunk]] = []
        for k, chunk in held:
            if chunk.get("choices") and _is_answer_chunk(chunk) and k not in begun:
                begun[k] = chunk
            else:
                rest.append((k, chunk))
        out = [
            self._merged_chunk(k, begun[k]) if k in begun else self._role_chunk(k, first)
            for k in range(self._n)
        ]
        return out + [self._merged_chunk(k, chunk) for k, chunk in rest]

    def _role_chunk(self, k: int, first: Chunk) -> Chunk:
        self._role_sent.add(k)
        choice: Chunk = {"index": k, "delta": {"role": "assistant"}}
        if "logprobs" in first["choices"][0]:
            choice["logprobs"] = None
        choice["finish_reason"] = None
        return self._shared_chunk(first, [choice])

    def _merged_chunk(self, k: int, chunk: Chunk) -> Chunk:
        """Return a chunk of stream `k` with the shared top level and index `k`."""
        top = (
            self._top
            if _is_answer_chunk(chunk)
            else {key: chunk[key] for key in _SHARED_KEYS if key in chunk}
        )
        rest = {key: value for key, value in chunk.items() if key not in _SHARED_KEYS}
        if chunk.get("choices"):
            rest["choices"] = [self._choice(k, choice) for choice in chunk["choices"]]
        return top | rest

    def _choice(self, k: int, choice: Chunk) -> Chunk:
        made = {**choice, "index": k}
        delta = choice.get("delta")
        if isinstance(delta, dict) and delta.get("role") is not None:
            if k in self._role_sent:
                made["delta"] = {key: value for key, value in delta.items() if key != "role"}
            self._role_sent.add(k)
        return made

    def _closing(self) -> list[Chunk]:
        out: list[Chunk] = []
        for key, home, joined in (
            ("moderation", self._moderations, merge_moderation),
            ("usage", self._usages, sum_usage),
        ):
            chunks = [home[k] for k in sorted(home)]
            if chunks:
                out.append(
                    self._shared_chunk(chunks[0], [])
                    | {key: joined(chunk[key] for chunk in chunks)}
                )
        return out

    def _shared_chunk(self, like: Chunk, choices: list[Chunk]) -> Chunk:
        """Return a chunk that belongs to no stream, with `usage: null` if `like` has the key."""
        return self._top | {"choices": choices} | ({"usage": None} if "usage" in like else {})


def _is_answer_chunk(chunk: Chunk) -> bool:
    """Return whether a chunk is part of the answer."""
    # dialect: Azure (a first chunk of filter results with an empty `object`, which SDKs skip)
    return chunk.get("object") == "chat.completion.chunk"
