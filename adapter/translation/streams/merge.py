"""N answers → one with N choices: what `n` becomes where each answer is a request of its own (docs/mapping.md#several-choices).

Rules of a stream:
1. All chunks have the id, date, model, fingerprint and tier of stream 0, as it last had them. Until its first choice is there,
   everything is held.
2. Then each index is opened, in ascending order: the SDK's `.stream()` appends what it hasn't seen and raises IndexError for what
   isn't next (docs/mapping.md#chunk-rules). Where a stream has begun, its own first chunk opens its index; where it hasn't, a chunk that
   says nothing but the role does, so that its content stays null until the stream says otherwise.
3. A role is sent once per index: the SDK joins what strings it is given, roles as well.
4. What is said about the whole answer and not about one choice comes at the very end, once: moderation, then usage,
   which `.stream()` takes from the last chunk.
"""

from __future__ import annotations

from typing import Any

from adapter.errors import StreamTruncated
from adapter.translation.replies.merge import merge_moderation, sum_usage

Chunk = dict[str, Any]

_SHARED_KEYS = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class ChoicesFromStreams:
    """Interleave the chunks of N Chat Completions streams under one id.

    `feed(k, chunk)` takes a chunk of stream `k` as JSON, `end(k)` says that it ended whole; both return the chunks that
    can be passed on. `end` raises StreamTruncated for a stream whose answer was not finished. After the last `end` the
    machine is `done`. What comes from a stream after its end is skipped. Input is not changed.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ValueError("there has to be a stream")
        self._n = n
        self._top: Chunk = {}
        self._open = False
        self._held: list[tuple[int, Chunk]] = []  # in the order in which they came
        self._role_sent: set[int] = set()  # the indexes whose role has been sent
        self._finished: set[int] = set()  # those whose finish chunk has come
        self._ended: set[int] = set()
        self._usages: dict[int, Chunk] = {}  # the chunks that hold them
        self._moderations: dict[int, Chunk] = {}

    @property
    def done(self) -> bool:
        """Tell whether all streams have ended."""
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
        """Take the end of stream `k`, after all of its chunks."""
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
        """Keep a chunk without choices for the end, if that is where it belongs."""
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
        """Make stream `k`'s chunk one of the whole: with the shared top level and its own index."""
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
        """Make a chunk of no stream's own, with `usage: null` where `like` has the key."""
        return self._top | {"choices": choices} | ({"usage": None} if "usage" in like else {})


def _is_answer_chunk(chunk: Chunk) -> bool:
    """Tell a chunk of the answer from Azure's filter results, whose id and kind are empty: `.stream()` skips those by that."""
    return chunk.get("object") == "chat.completion.chunk"
