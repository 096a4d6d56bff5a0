"""`stop`, done here: one text, cut at the earliest start of any stop sequence while it comes in pieces (docs/mapping.md#stop).

Rules (docs/decisions.md#emulation):
1. Where the cut falls doesn't depend on how the text is split: `min(text.find(s) for s in stops if s in text)`.
2. Held back is the longest end of the text that may still become a sequence, and never more. So a sequence that is
   found waits for a longer one that began before it; at the end of the text it waits no longer.
3. What interrupts the text (a tool call) ends the matching: a sequence has to stand in one piece.
4. Logprobs go with the text that their token is in, whole tokens only: one that reaches over the cut is left out.
5. Behind the cut there is nothing.

Each sequence is looked for as Knuth, Morris and Pratt do, so that every character is looked at about once, however long
sequences, texts and deltas are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from adapter.translation.objects.message_text import TextPiece


class StopCutter:
    """Pass a text on up to the first stop sequence.

    `take(pieces)` returns what is certain to be read, as one piece at most; `last=True` says that the text is
    interrupted or over behind them. `at` is where the text is cut, None as long as it isn't. Without sequences all
    pieces pass as they are.
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
            return  # then nothing is ever held
        self._matchers = [_Matcher(stop) for stop in stops]
        self._received = 0  # how long the text is so far
        self._released = 0  # how much of it was passed on
        self._held: deque[str] = deque()
        self._skip = 0  # how much of the first held string was passed on
        self._logprobs: deque[tuple[int, dict[str, Any]]] = (
            deque()
        )  # with where in the text each token ends
        self._match: int | None = (
            None  # the earliest match so far, while an earlier one is still possible
        )

    @property
    def is_cut(self) -> bool:
        """Tell whether the text was cut."""
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
                (self._received - search.matched for search in self._matchers),
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
        for search in self._matchers:
            end = search.feed(piece.text)
            if end is not None:
                found = start + end - len(search.pattern)
                self._match = found if self._match is None else min(found, self._match)
        if self._match is not None:
            # Only what began before the match can still beat it; a sequence that was found looks no further.
            self._matchers = [
                s for s in self._matchers if s.matched and self._received - s.matched < self._match
            ]

    def _end_at_match(self) -> list[TextPiece]:
        assert self._match is not None
        out = self._release(self._match)
        self.position = self._match
        self._held.clear()
        self._logprobs.clear()
        return out

    def _release(self, end: int) -> list[TextPiece]:
        """Pass the text on up to `end`."""
        missing = end - self._released
        if missing <= 0:
            return []
        self._released = end
        texts = []
        while missing:
            first = self._held[0]
            # By index: cutting the front off again and again would copy a long text again and again.
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
    """Look for one sequence; `length` of it stand at the end of what was seen."""

    __slots__ = ("_failures", "matched", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.matched = 0
        self._failures = list(_failure_table(pattern))

    def feed(self, text: str) -> int | None:
        """Take more text; return where in it the sequence's first occurrence ends, if it does."""
        word, borders, length = self.pattern, self._failures, self.matched
        first, whole = word[0], len(word)
        i, n = 0, len(text)
        while i < n:
            if length == 0:
                i = text.find(first, i)
                if i < 0:
                    break
            elif text[i] != word[length]:
                length = borders[length - 1]
                continue
            i += 1
            length += 1
            if length == whole:
                self.matched = 0
                return i
        self.matched = length
        return None


def _failure_table(pattern: str) -> Iterator[int]:
    """For each beginning of the word, how long its longest end is that is a beginning as well, but for itself."""
    borders = [0]
    yield 0
    for i in range(1, len(pattern)):
        length = borders[-1]
        while length and pattern[i] != pattern[length]:
            length = borders[length - 1]
        borders.append(length + (pattern[i] == pattern[length]))
        yield borders[-1]


def _token_ends(piece: TextPiece) -> Iterator[int]:
    """For each token of a piece, how much of the piece's text there is when it is complete.

    Told by the tokens' bytes, since a character may be spread over several. Tokens that don't fit the text end with it.
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
    spelled = entry.get("bytes")
    return len(spelled) if isinstance(spelled, list) else 0


def _utf8_width(character: str) -> int:
    """How many bytes a character has in UTF-8."""
    return 1 + (character > "\x7f") + (character > "\u07ff") + (character > "\uffff")
