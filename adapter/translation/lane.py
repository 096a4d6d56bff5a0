r"""The short way for text deltas, which are most of a stream: read without parsing JSON, and written by copying the text's literal.

Exact, since it takes only what it knows: one event in the form in which the API writes it (keys in the order of its documentation, or
in that of the SDK's own models, as vLLM writes them), for the part of a message that the delta before it was for. Anything else
(other keys, other spacing, CRLF, broken UTF-8) goes the long way, through `ChunksFromEvents.feed`.

What is compared is bytes: a JSON string literal of RFC 8259 §7, whose text is decoded as `json` would.
"""

from __future__ import annotations

import json
import re

from adapter import codec

from .chunks import Chunk, Chunks
from .prose import Message, Prose

_PLAIN = rb'[^"\\\x00-\x1f]*'
_LITERAL = rb'"' + _PLAIN + rb'(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})' + _PLAIN + rb')*"'
_NUMBER = rb"(?:0|[1-9][0-9]{0,15})"
_FIELDS = {
    "type": rb'"type": ?"response\.output_text\.delta"',
    "sequence_number": rb'"sequence_number": ?' + _NUMBER,
    "item_id": rb'"item_id": ?"[ !#-\[\]-~]*"',
    "output_index": rb'"output_index": ?(?P<output>' + _NUMBER + rb")",
    "content_index": rb'"content_index": ?(?P<content>' + _NUMBER + rb")",
    "delta": rb'"delta": ?(?P<text>' + _LITERAL + rb")",
    "logprobs": rb'"logprobs": ?\[\]',
    "obfuscation": rb'"obfuscation": ?(?P<padding>' + _LITERAL + rb")",
}


def _form(first: str, *names: str) -> re.Pattern[bytes]:
    """Make the form of one event; a name with a question mark may be missing."""
    keys = b"".join(
        rb"(?:, ?" + _FIELDS[name.rstrip("?")] + rb")" + (b"?" if name.endswith("?") else b"") for name in names
    )
    return re.compile(rb"(?:event: response\.output_text\.delta\n)?data: \{" + _FIELDS[first] + keys + rb"\}\n\n")


_DOCUMENTED = _form(
    "type", "sequence_number?", "item_id", "output_index", "content_index", "delta", "logprobs?", "obfuscation?"
).match
_BY_MODEL = _form(
    "content_index", "delta", "item_id", "logprobs", "output_index", "sequence_number", "type", "obfuscation?"
).match

_TEXT, _PADDING = "@text@", "@padding@"  # in a template, where the literals go


class Lane:
    """One part's text on its way: `read` tells whether an event belongs to it, and gives what the caller is to see of it.

    Stands only as long as nothing but its own deltas comes; it writes down what the long way would.
    """

    __slots__ = ("_before", "_behind", "_chunks", "_content", "_message", "_output", "_prose", "_texts", "last")

    def __init__(self, key: tuple[int, int], texts: list[str], message: Message, prose: Prose, chunks: Chunks) -> None:
        self._output, self._content = (b"%d" % index for index in key)
        self._texts = texts
        self._message = message
        self._prose = prose
        self._chunks = chunks
        self._before: bytes | None = None
        self._behind: tuple[bytes, bytes, bytes] = (b"", b"", b"")
        self.last = 0

    def chunk(self, data: bytes, at: int) -> Chunk | None:
        """Read the event that begins there as a chunk, or None where it goes the long way; `last` is where it ends."""
        found = self._read(data, at)
        if found is None:
            return None
        padding = found["padding"]
        return self._chunks.delta(
            {"content": self._texts[-1]}, obfuscation=None if padding is None else _said(padding.decode())
        )

    def frame(self, data: bytes, at: int) -> bytes | None:
        """Read the event that begins there as an event of a Chat stream, or None; `last` is where it ends."""
        found = self._read(data, at)
        if found is None:
            return None
        if self._before is None:
            self._make_template()
            assert self._before is not None
        bare, padded, end = self._behind
        padding = found["padding"]
        if padding is None:
            return b"".join((self._before, found["text"], bare))
        return b"".join((self._before, found["text"], padded, padding, end))

    def _read(self, data: bytes, at: int) -> re.Match[bytes] | None:
        """Take an event of this part, where it is one, into the books."""
        found = _DOCUMENTED(data, at) or _BY_MODEL(data, at)
        if found is None:
            return None
        output, content, literal, padding = found.group("output", "content", "text", "padding")
        if output != self._output or content != self._content:
            return None
        try:
            text = _said(literal.decode())  # strictly: what is copied must be UTF-8
            if padding is not None:
                padding.decode()
        except UnicodeDecodeError:
            return None
        if not text:
            return None
        self._texts.append(text)
        self._prose.go_on(self._message, text)
        self.last = found.end()
        return found

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
