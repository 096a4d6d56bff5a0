"""Decode server-sent events incrementally, and encode them.

Rules, from the WHATWG specification ("Interpreting an event stream"):
1. A line ends with LF, CR or CRLF; CR and LF of one CRLF may arrive in different reads.
2. An event ends with a blank line; several `data` lines are joined with LF.
3. A line that begins with a colon is a comment; a field's value loses one leading space.
4. An event without data is ignored, and so is an unfinished event at the end of the stream.
"""

from __future__ import annotations

from typing import NamedTuple

from . import json_codec

DONE = b"data: [DONE]\n\n"


class Event(NamedTuple):
    """One event: its name ("" if it has none) and its raw data."""

    name: str
    data: bytes


class Decoder:
    """Decode a byte stream into events.

    `feed(chunk)` returns the events that the chunk completed. An unfinished event at the end of the
    stream is dropped, as in the specification and the SDK's own decoder.
    """

    __slots__ = ("_data", "_name", "_pieces", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # the unfinished line; joined when its end arrives
        self._name = b""
        self._data: list[bytes] = []
        self._started = False
        self._skip_lf = False

    @property
    def between_events(self) -> bool:
        """Whether the next byte begins an event."""
        return self._started and not (self._pieces or self._data or self._name or self._skip_lf)

    def feed(self, chunk: bytes) -> list[Event]:
        """Feed the next bytes; return the events that are complete."""
        if self._skip_lf and chunk:
            # The LF of a CRLF whose CR ended the previous chunk.
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if b"\n" not in chunk and b"\r" not in chunk:
            if chunk:
                self._pieces.append(chunk)
            return []
        text = b"".join([*self._pieces, chunk])
        self._pieces.clear()
        if not self._started:
            self._started = True
            text = text.removeprefix(b"\xef\xbb\xbf")
        lines = text.splitlines()
        if not text.endswith((b"\n", b"\r")):
            self._pieces.append(lines.pop())
        self._skip_lf = text.endswith(b"\r")
        del text  # a line may be very long: keep few copies of it
        events: list[Event] = []
        for i, line in enumerate(lines):
            lines[i] = b""
            self._line(line, events)
        return events

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._data:
                events.append(Event(self._name.decode("utf-8", "replace"), b"\n".join(self._data)))
            self._name = b""
            self._data = []
            return
        if line.startswith(b"data: "):
            self._data.append(line[6:])
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value


def frame(payload: object) -> bytes:
    """Encode one event of a Chat stream: `data:` only, no `event:` line.

    See docs/mapping.md#sse-framing.
    """
    return b"data: " + json_codec.dumps_reply(payload) + b"\n\n"
