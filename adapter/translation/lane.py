r"""The short way for text deltas, which are most of a stream: read without parsing JSON, and written by copying the text's literal.

Exact, since it takes only what it knows: one event in the form in which the API writes it (keys in the order of its documentation, or
in that of the SDK's own models, as vLLM writes them), for the part of a message that the delta before it was for. Anything else
(other keys, other spacing, CRLF, broken UTF-8) goes the long way, through `ChunksFromEvents.feed`.

What is compared is bytes: a JSON string literal of RFC 8259 §7, whose text is decoded as `json` would.
"""

from __future__ import annotations

import json
import re
from typing import Any

from adapter import codec

from .chunks import Chunk, Chunks, Delta
from .prose import Message, Prose

# Nothing is tried twice (`*+`, `?+`): what doesn't match at once goes the long way.
_PLAIN = rb'[^"\\\x00-\x1f]*+'
_LITERAL = rb'"' + _PLAIN + rb'(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})' + _PLAIN + rb')*+"'
_NUMBER = rb"(?:0|[1-9][0-9]{0,15}+)"
_FIELDS = {
    "type": rb'"type": ?+"response\.output_text\.delta"',
    "sequence_number": rb'"sequence_number": ?+' + _NUMBER,
    "item_id": rb'"item_id": ?+"[ !#-\[\]-~]*+"',
    "output_index": rb'"output_index": ?+(?P<output>' + _NUMBER + rb")",
    "content_index": rb'"content_index": ?+(?P<content>' + _NUMBER + rb")",
    "delta": rb'"delta": ?+(?P<text>' + _LITERAL + rb")",
    "logprobs": rb'"logprobs": ?+\[\]',
    "obfuscation": rb'"obfuscation": ?+(?P<padding>' + _LITERAL + rb")",
}


def _form(first: str, *names: str) -> re.Pattern[bytes]:
    """Make the form of one event; a name with a question mark may be missing."""
    keys = b"".join(
        rb"(?:, ?+" + _FIELDS[name.rstrip("?")] + rb")" + (b"?" if name.endswith("?") else b"") for name in names
    )
    return re.compile(rb"(?:event: response\.output_text\.delta\n)?data: \{" + _FIELDS[first] + keys + rb"\}\n\n")


_DOCUMENTED = _form(
    "type", "sequence_number?", "item_id", "output_index", "content_index", "delta", "logprobs?", "obfuscation?"
).match
_BY_MODEL = _form(
    "content_index", "delta", "item_id", "logprobs", "output_index", "sequence_number", "type", "obfuscation?"
).match

_MOST = 64  # deltas that are read before they are entered into the books

_TEXT, _PADDING = "@text@", "@padding@"  # in a template, where the literals go


class Lane:
    """One part's text on its way: `deltas` and `frames` take the events that belong to it, and give what the caller is to see of them.

    Stands only as long as nothing but its own deltas comes; `close` enters them into the same books as the long way.
    """

    __slots__ = (
        "_before",
        "_behind",
        "_chunks",
        "_content",
        "_like",
        "_message",
        "_output",
        "_pending",
        "_prose",
        "_text",
    )

    def __init__(self, key: tuple[int, int], text: list[str], message: Message, prose: Prose, chunks: Chunks) -> None:
        self._output, self._content = (b"%d" % index for index in key)
        self._text = text
        self._pending: list[str] = []  # and not in the books yet
        self._message = message
        self._prose = prose
        self._chunks = chunks
        self._before: bytes | None = None
        self._behind: tuple[bytes, bytes, bytes] = (b"", b"", b"")

    def deltas(self, data: bytes, out: list[Any]) -> int:
        """Add the text deltas that the data begins with; return where they end, and what goes the long way begins."""
        at, like = 0, self._chunks.like
        while at < len(data) and (found := self._read(data, at)):
            at, text, _, padding = found
            out.append(Delta(text, None if padding is None else _said(padding), like))
        return at

    def frames(self, data: bytes, out: list[Any]) -> int:
        """Add the same as events of a Chat stream, as bytes."""
        at = 0
        while at < len(data) and (found := self._read(data, at)):
            at, _, literal, padding = found
            if self._before is None:
                self._make_template()
                assert self._before is not None
            bare, padded, end = self._behind
            if padding is None:
                out.append(b"".join((self._before, literal, bare)))
            else:
                out.append(b"".join((self._before, literal, padded, padding.encode(), end)))
        return at

    def _read(self, data: bytes, at: int) -> tuple[int, str, bytes, str | None] | None:
        """Take an event of this part, where it is one; give its end, its text, and the literals of the text and the padding."""
        found = _DOCUMENTED(data, at) or _BY_MODEL(data, at)
        if found is None:
            return None
        output, content, literal, padding = found.group("output", "content", "text", "padding")
        if output != self._output or content != self._content:
            return None
        try:
            text = _said(literal.decode())  # strictly: what is copied must be UTF-8
            padding = None if padding is None else padding.decode()
        except UnicodeDecodeError:
            return None
        if not text:
            return None
        pending = self._pending
        pending.append(text)
        if len(pending) == _MOST:
            self.close()
        return found.end(), text, literal, padding

    def close(self) -> None:
        """Enter what was read into the books, as one piece: an open stream holds an answer by the character and not by the delta."""
        text = "".join(self._pending)
        self._pending.clear()
        if text:
            self._text.append(text)
            self._prose.go_on(self._message, text)

    def _make_template(self) -> None:
        bare = _written(self._chunks.delta({"content": _TEXT}))
        padded = _written(self._chunks.delta({"content": _TEXT}, obfuscation=_PADDING))
        text, padding = (json.dumps(mark).encode() for mark in (_TEXT, _PADDING))
        # From the right: what the server says of itself stands before the delta.
        self._before, _, behind = bare.rpartition(text)
        _, _, behind_padded = padded.rpartition(text)
        between, _, end = behind_padded.rpartition(padding)
        self._behind = (behind, between, end)


def _said(literal: str) -> str:
    """Return the text of a JSON string literal."""
    text: str = json.loads(literal) if "\\" in literal else literal[1:-1]
    return text


def _written(chunk: Chunk) -> bytes:
    return b"data: " + codec.dumps(chunk) + b"\n\n"
