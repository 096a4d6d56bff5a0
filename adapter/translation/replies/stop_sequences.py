"""Emulate `stop`: cut a text that arrives in pieces at a stop sequence (docs/mapping.md#stop).

Rules (docs/decisions.md#emulation):

1. The text is cut at the earliest start of any sequence, however it is split into pieces:
   `min(text.find(s) for s in stops if s in text)`.
2. The longest end of the text that may still become a sequence is held back, and never more. A
   sequence that was found waits for a longer one that began before it, at most to the text's end.
3. A tool call ends the matching: a sequence before and after it doesn't count.
4. Logprobs are passed on with their token's text; a token that extends beyond the cut is left out.
5. Nothing after the cut is passed on.

Each sequence is searched with the Knuth-Morris-Pratt algorithm, in linear time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from adapter.translation.objects.message_text import TextPiece


class StopCutter:
    """Pass a text on up to the first stop sequence.

    `feed(pieces)` returns at most one piece, of text that is certain to be before any cut. `last`:
    the text ends, or is interrupted, after these pieces. `position`: where the text is cut, None
    before. Without stop sequences all pieces are returned unchanged.
    """

    __slots__ = (
        "_held",
        "_logprobs",
        "_match",
        "_matchers",
        "_received",
        "_released",
        "_skip",
        "_stops",
        "position",
    )

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self.position: int | None = None
        if not stops:
            return
        self._matchers = [_Matcher(stop) for stop in stops]
        self._received = 0  # characters
        self._released = 0  # characters that were passed on
        self._held: deque[str] = deque()
        self._skip = 0  # characters of the first held string that were passed on
        self._logprobs: deque[tuple[int, dict[str, Any]]] = deque()  # by where their token ends
        self._match: int | None = None  # the earliest match so far; an earlier one is possible

    @property
    def is_cut(self) -> bool:
        """Return whether the text was cut."""
        return self.position is not None

    def feed(self, pieces: list[TextPiece], *, last: bool = False) -> list[TextPiece]:
        """Take the next pieces."""
        if not self._stops:
            return pieces
        if self.position is not None:
            return []
        for piece in pieces:
            self._scan(piece)
        if self._match is not None and (last or not self._matchers):
            return self._end_at_match()
        if last:
            self._matchers = [_Matcher(stop) for stop in self._stops]
        return self._release(
            min(
                (self._received - matcher.matched for matcher in self._matchers),
                default=self._received,
            )
        )

    def _scan(self, piece: TextPiece) -> None:
        start = self._received
        self._held.append(piece.text)
        self._received += len(piece.text)
        self._logprobs += zip(
            (start + end for end in _token_ends(piece)), piece.logprobs, strict=True
        )
        for matcher in self._matchers:
            end = matcher.feed(piece.text)
            if end is not None:
                found = start + end - len(matcher.pattern)
                self._match = found if self._match is None else min(found, self._match)
        if self._match is not None:
            # Only a sequence that began before the match can still replace it.
            self._matchers = [
                m for m in self._matchers if m.matched and self._received - m.matched < self._match
            ]

    def _end_at_match(self) -> list[TextPiece]:
        assert self._match is not None
        out = self._release(self._match)
        self.position = self._match
        self._held.clear()
        self._logprobs.clear()
        return out

    def _release(self, end: int) -> list[TextPiece]:
        """Return the text up to `end` that wasn't passed on yet."""
        missing = end - self._released
        if missing <= 0:
            return []
        self._released = end
        texts = []
        while missing:
            first = self._held[0]
            # By index: removing the front each time would copy a long text many times.
            text = first[self._skip : self._skip + missing]
            texts.append(text)
            missing -= len(text)
            self._skip += len(text)
            if self._skip == len(first):
                self._held.popleft()
                self._skip = 0
        logprobs = []
        while self._logprobs and self._logprobs[0][0] <= end:
            logprobs.append(self._logprobs.popleft()[1])
        return [TextPiece("".join(texts), logprobs)]


class _Matcher:
    """Search for one sequence; `matched`: how much of it is at the end of the text so far."""

    __slots__ = ("_failures", "matched", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.matched = 0
        self._failures = list(_failure_table(pattern))

    def feed(self, text: str) -> int | None:
        """Take more text; return where in it the first occurrence ends, or None."""
        pattern, failures, length = self.pattern, self._failures, self.matched
        first, whole = pattern[0], len(pattern)
        i, n = 0, len(text)
        while i < n:
            if length == 0:
                i = text.find(first, i)
                if i < 0:
                    break
            elif text[i] != pattern[length]:
                length = failures[length - 1]
                continue
            i += 1
            length += 1
            if length == whole:
                self.matched = 0
                return i
        self.matched = length
        return None


def _failure_table(pattern: str) -> Iterator[int]:
    """Yield, for each prefix of the pattern, the length of its longest proper prefix and suffix."""
    lengths = [0]
    yield 0
    for i in range(1, len(pattern)):
        length = lengths[-1]
        while length and pattern[i] != pattern[length]:
            length = lengths[length - 1]
        lengths.append(length + (pattern[i] == pattern[length]))
        yield lengths[-1]


def _token_ends(piece: TextPiece) -> Iterator[int]:
    """Yield, for each token of a piece, the number of characters up to its end.

    By the tokens' bytes, since a character may span several tokens. Tokens beyond the text end with
    it.
    """
    if not piece.logprobs:
        return
    widths = accumulate(_utf8_width(character) for character in piece.text)
    characters = reached = 0
    for end in accumulate(_byte_count(entry) for entry in piece.logprobs):
        while reached < end and characters < len(piece.text):
            reached = next(widths)
            characters += 1
        yield characters


def _byte_count(entry: dict[str, Any]) -> int:
    encoded = entry.get("bytes")
    return len(encoded) if isinstance(encoded, list) else 0


def _utf8_width(character: str) -> int:
    """Return the number of bytes of a character in UTF-8."""
    return 1 + (character > "\x7f") + (character > "\u07ff") + (character > "\uffff")
