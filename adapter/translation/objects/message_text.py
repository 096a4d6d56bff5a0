"""Which of several messages a Chat caller reads: one decision for results and for streams.

A Response may hold several message items; a ChatCompletion has one text. Rules (docs/decisions.md#several-messages):
1. Commentary (messages of any phase but `final_answer`) is held. A final text drops it; without
   one it is the text, as Chat's own preambles are: from the call that follows it on, or at the end.
2. A final message is read as it comes. The next one is held while it still equals an earlier one: an identical twin is
   dropped, anything else follows after a blank line.
3. Where JSON was asked for, only the first final text counts: two documents in one string are none.
   There commentary is held until the end; and so is a message whose phase may still come, until it
   is finished, unless it begins as a document does.
4. Messages without text are nothing.

Results are fed message by message, streams piece by piece; both come out the same.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from adapter.errors import StreamTruncated
from adapter.translation.ledger import Ledger

SEPARATOR = "\n\n"

_LATER_JSON_TEXT = "JSON was asked for, and the first text is the answer"


class TextPiece(NamedTuple):
    """A piece of text on its way to the caller, with its logprobs."""

    text: str
    logprobs: list[dict[str, Any]] = []  # noqa: RUF012  # never written to


class _State(Enum):
    HELD = "held"  # it isn't decided yet whether the caller reads this
    SHOWN = "shown"
    DROPPED = "dropped"


@dataclass(slots=True, eq=False)
class MessageText:
    """One message's text. `offset` is where it begins in the text that the caller reads, None while it isn't shown.

    `certain` tells that it is known whether it is commentary: servers may say so as late as when they
    finish it. `twins` are the earlier texts that it may still turn out to repeat, as a range of those
    in order; None before its first word, and once it is shown. `repeats` tells that it turned out to
    repeat one.
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
        """All of it so far."""
        return "".join(self.pieces)

    def add(self, text: str) -> None:
        """Take the next piece."""
        self.pieces.append(text)
        self.length += len(text)


class TextSelector:
    """Take the messages' texts in order; give back what the caller reads, as soon as it is certain."""

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
        self._final_texts: list[str] = []  # the finished final texts, sorted
        self._shown_commentary: set[str] | None = None  # the commentary that was shown
        self._last: MessageText | None = None  # the last one that was shown
        self._length = 0
        self._final_shown = False  # a final text is or was being shown

    @property
    def empty(self) -> bool:
        """Tell whether the caller has been given nothing so far."""
        return self._length == 0

    def write(
        self, message: MessageText, text: str, logprobs: list[dict[str, Any]]
    ) -> list[TextPiece]:
        """Take the next piece of a message; a new message ends the one before."""
        out: list[TextPiece] = []
        if message is not self._current:
            out += self.end()
            self._current = message
        at = message.length
        message.add(text)
        piece = TextPiece(text, logprobs)
        if self.is_closed(message):
            raise StreamTruncated(message.path, "it goes on after other messages were shown")
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
        """Tell whether nothing more of a message can be shown: it is a twin, or others follow it."""
        return message.is_duplicate or (message.state is _State.SHOWN and message is not self._last)

    def _may_be_shown(self, message: MessageText) -> bool:
        """Tell whether a text can be taken for the answer: JSON can be before its phase is known."""
        if not self._first_only or message.phase_known:
            return True
        begun = next(filter(None, map(str.lstrip, message.pieces)), "")
        return begun.startswith(("{", "["))

    def settle(self, message: MessageText) -> list[TextPiece]:
        """Take a message for what it is known to be: it has finished, or goes on with a refusal."""
        message.phase_known = True
        held = message is self._current and message.state is _State.HELD and message.length > 0
        if not (self._first_only and held) or message.commentary or self._final_texts:
            return []
        return self._show(message)

    def set_commentary(self, message: MessageText, *, commentary: bool) -> None:
        """Take note of what a message is, before anybody has read it.

        Once others have followed it keeps its place.
        """
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
        """Tell whether a message that goes on with this text, there, may still turn out to repeat an earlier one."""
        low, high = message.may_duplicate or (0, len(self._final_texts))

        def begins(earlier: str) -> str:
            return earlier[at : at + len(text)]

        # All in the range are the same up to here, so that what follows is in order as well.
        low = bisect_left(self._final_texts, text, low, high, key=begins)
        high = bisect_right(self._final_texts, text, low, high, key=begins)
        message.may_duplicate = low, high
        return low < high

    def is_shown(self, message: MessageText) -> bool:
        """Tell whether the next piece of this message is read by the caller as it comes, whatever it says."""
        return message is self._current and message.state is _State.SHOWN and not message.commentary

    def append(self, message: MessageText, text: str) -> None:
        """Take the next piece of a message that runs; the caller reads it as it is."""
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
                self._drop(message, "an identical message stands before it")
                message.is_duplicate = True
                return []
            out = self._show(message)
        self._final_texts.insert(at, text)
        return out

    def call(self) -> list[TextPiece]:
        """Note that a call follows: commentary that stands before it is its preamble."""
        return self.end() + ([] if self._first_only else self._release_commentary())

    def finish(self) -> list[TextPiece]:
        """End the answer: commentary is the text where there is no other."""
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
                self._drop(message, "commentary beside a final text")
            elif text in shown:
                self._drop(message, "an identical message stands before it")
            else:
                shown.add(text)
                out += self._release(message)
        return out

    def _show(self, message: MessageText) -> list[TextPiece]:
        for commentary in self._commentary:
            self._drop(commentary, "commentary beside a final text")
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
