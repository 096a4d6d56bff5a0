"""Choose the text of a ChatCompletion among a Response's messages, for results and for streams.

A Response may have several message items; a ChatCompletion has one text. Rules
(docs/decisions.md#several-messages):

1. Commentary (any phase but `final_answer`) is held. A final text drops it; without one it is the
   text: from the following call on, as Chat's models write preambles, or at the end.
2. A final message is shown as it arrives. A later one is held as long as it may still repeat an
   earlier one: a duplicate is dropped, anything else follows after a blank line.
3. If JSON was requested, only the first final text counts, since two documents in one string are
   no JSON. Commentary is then held until the end. A message whose phase may still arrive is held
   until it is finished, unless it begins like a JSON document.
4. Messages without text are ignored.

Results are fed message by message, streams piece by piece, with the same outcome.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from adapter.errors import StreamTruncated
from adapter.translation.ledger import Ledger

SEPARATOR = "\n\n"

_DUPLICATE = "duplicates an earlier message"
_COMMENTARY = "commentary next to a final answer"
_LATER_JSON_TEXT = "JSON was requested; only the first text is the answer"


class TextPiece(NamedTuple):
    """A piece of text for the caller, with its logprobs."""

    text: str
    logprobs: list[dict[str, Any]] = []  # noqa: RUF012  # never written to


class _State(Enum):
    HELD = "held"  # not decided yet
    SHOWN = "shown"
    DROPPED = "dropped"


@dataclass(slots=True, eq=False)
class MessageText:
    """The text of one message.

    `offset`: where it begins in the caller's text, None if it isn't shown. `phase_known`: whether
    it is commentary can't change any more; servers may give the phase as late as in the finished
    item. `may_duplicate`: the earlier texts that it may still repeat, as a range of the sorted
    texts; None before its first piece and once it is shown. `is_duplicate`: it does repeat one.
    """

    path: str
    commentary: bool
    state: _State = _State.HELD
    offset: int | None = None
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    held: list[TextPiece] = field(default_factory=list)
    may_duplicate: tuple[int, int] | None = None
    is_duplicate: bool = False
    phase_known: bool = False

    @property
    def text(self) -> str:
        """The whole text so far."""
        return "".join(self.pieces)

    def add(self, text: str) -> None:
        """Append the next piece."""
        self.pieces.append(text)
        self.length += len(text)


class TextSelector:
    """Take the texts of messages in order; return what the caller reads, once it is certain."""

    __slots__ = (
        "_commentary",
        "_current",
        "_final_shown",
        "_final_texts",
        "_first_only",
        "_last",
        "_ledger",
        "_length",
        "_shown_commentary",
    )

    def __init__(self, ledger: Ledger, *, first_only: bool = False) -> None:
        self._ledger = ledger
        self._first_only = first_only
        self._current: MessageText | None = None
        self._commentary: list[MessageText] = []
        self._final_texts: list[str] = []  # of finished messages, sorted
        self._shown_commentary: set[str] | None = None  # texts
        self._last: MessageText | None = None  # the last message that was shown
        self._length = 0
        self._final_shown = False

    @property
    def empty(self) -> bool:
        """Return whether nothing has been shown so far."""
        return self._length == 0

    def write(
        self, message: MessageText, text: str, logprobs: list[dict[str, Any]]
    ) -> list[TextPiece]:
        """Take the next piece of a message; a new message ends the one before it."""
        out: list[TextPiece] = []
        if message is not self._current:
            out += self.end()
            self._current = message
        at = message.length
        message.add(text)
        piece = TextPiece(text, logprobs)
        if self.is_closed(message):
            raise StreamTruncated(
                message.path, "a delta arrived after later messages had been streamed"
            )
        if message.state is _State.SHOWN:
            self._length += len(text)
            out.append(piece)
        elif message.state is _State.HELD:
            message.held.append(piece)
            if message.commentary:
                if at == 0:
                    self._commentary.append(message)
            elif self._first_only and self._final_texts:
                self._drop(message, _LATER_JSON_TEXT)
            elif self._may_be_shown(message) and not self._may_duplicate(message, text, at):
                out += self._show(message)
        return out

    def is_closed(self, message: MessageText) -> bool:
        """Return whether no more of a message can be shown: a duplicate, or others follow it."""
        return message.is_duplicate or (message.state is _State.SHOWN and message is not self._last)

    def _may_be_shown(self, message: MessageText) -> bool:
        """Return whether a text is taken for the answer: JSON is before its phase is known."""
        if not self._first_only or message.phase_known:
            return True
        begun = next(filter(None, map(str.lstrip, message.pieces)), "")
        return begun.startswith(("{", "["))

    def settle(self, message: MessageText) -> list[TextPiece]:
        """Fix the phase of a message that is finished, or continues with a refusal."""
        message.phase_known = True
        held = message is self._current and message.state is _State.HELD and message.length > 0
        if not (self._first_only and held) or message.commentary or self._final_texts:
            return []
        return self._show(message)

    def set_commentary(self, message: MessageText, *, commentary: bool) -> None:
        """Set the phase of a message that hasn't been shown yet.

        If other messages follow it, it keeps its place.
        """
        # dialect: several (no phase in the announcement, or only in the finished item)
        if message.state is not _State.HELD or message.commentary == commentary:
            return
        if not message.length:
            message.commentary = commentary
        elif commentary:
            message.commentary = True
            self._commentary.append(message)
        elif message is self._current:
            message.commentary = False
            self._commentary.remove(message)

    def _may_duplicate(self, message: MessageText, text: str, at: int) -> bool:
        """Return whether a message with this text at this offset may repeat an earlier one."""
        low, high = message.may_duplicate or (0, len(self._final_texts))

        def begins(earlier: str) -> str:
            return earlier[at : at + len(text)]

        # The texts in the range are equal up to `at`, so their rests are sorted as well.
        low = bisect_left(self._final_texts, text, low, high, key=begins)
        high = bisect_right(self._final_texts, text, low, high, key=begins)
        message.may_duplicate = low, high
        return low < high

    def is_shown(self, message: MessageText) -> bool:
        """Return whether the next piece of this message is shown at once, whatever it is."""
        return message is self._current and message.state is _State.SHOWN and not message.commentary

    def append(self, message: MessageText, text: str) -> None:
        """Append the next piece of a message for which `is_shown` holds."""
        message.add(text)
        self._length += len(text)

    def end(self) -> list[TextPiece]:
        """End the current message."""
        message, self._current = self._current, None
        if message is None or message.commentary or message.state is _State.DROPPED:
            return []
        out: list[TextPiece] = []
        text = message.text
        at = bisect_left(self._final_texts, text)
        if message.state is _State.HELD:
            if self._first_only and self._final_texts:
                self._drop(message, _LATER_JSON_TEXT)
                return []
            if self._final_texts[at : at + 1] == [text]:
                self._drop(message, _DUPLICATE)
                message.is_duplicate = True
                return []
            out = self._show(message)
        self._final_texts.insert(at, text)
        return out

    def call(self) -> list[TextPiece]:
        """Take a call: the commentary before it is its preamble."""
        return self.end() + ([] if self._first_only else self._release_commentary())

    def finish(self) -> list[TextPiece]:
        """End the answer: commentary is the text if there is no other."""
        return self.end() + self._release_commentary()

    def _release_commentary(self) -> list[TextPiece]:
        pending, self._commentary = self._commentary, []
        out: list[TextPiece] = []
        if not pending:
            return out
        shown = self._shown_commentary = self._shown_commentary or set()
        for message in pending:
            text = message.text
            if self._final_shown:
                self._drop(message, _COMMENTARY)
            elif text in shown:
                self._drop(message, _DUPLICATE)
            else:
                shown.add(text)
                out += self._release(message)
        return out

    def _show(self, message: MessageText) -> list[TextPiece]:
        for commentary in self._commentary:
            self._drop(commentary, _COMMENTARY)
        self._commentary = []
        self._final_shown = True
        return self._release(message)

    def _release(self, message: MessageText) -> list[TextPiece]:
        out = [TextPiece(SEPARATOR)] if self._length else []
        out += message.held
        message.state = _State.SHOWN
        self._last = message
        message.held, message.may_duplicate = [], None
        message.offset = self._length + (len(SEPARATOR) if self._length else 0)
        self._length += sum(len(piece.text) for piece in out)
        return out

    def _drop(self, message: MessageText, why: str) -> None:
        message.state = _State.DROPPED
        message.held = []
        self._ledger.add(message.path, "dropped", why)
