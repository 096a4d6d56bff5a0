r"""The short way for text deltas, which are most of a stream: read without parsing JSON, and written by copying the text's literal.

Exact, since it takes only what it knows: one event in the form in which the API writes it (keys in the order of its documentation, or
in that of the SDK's own models, as vLLM writes them), for the part of a message that the delta before it was for. Anything else
(other keys, other spacing, CRLF, broken UTF-8) goes the long way, through `ChunksFromEvents.feed`.

What is compared is bytes: a JSON string literal of RFC 8259 §7, whose text is decoded as `json` would.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from adapter._util import json_codec
from adapter.translation.objects.message_text import MessageText, TextSelector

from .chunks import Chunk, ChunkBuilder, ChunkTemplate, TextChunk

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


def _event_pattern(first: str, *names: str) -> re.Pattern[bytes]:
    """Make the form of one event; a name with a question mark may be missing."""
    keys = b"".join(
        rb"(?:, ?+" + _FIELDS[name.rstrip("?")] + rb")" + (b"?" if name.endswith("?") else b"")
        for name in names
    )
    return re.compile(
        rb"(?:event: response\.output_text\.delta\n)?data: \{" + _FIELDS[first] + keys + rb"\}\n\n"
    )


_DOCUMENTED = _event_pattern(
    "type",
    "sequence_number?",
    "item_id",
    "output_index",
    "content_index",
    "delta",
    "logprobs?",
    "obfuscation?",
).match
_SDK_ORDER = _event_pattern(
    "content_index",
    "delta",
    "item_id",
    "logprobs",
    "output_index",
    "sequence_number",
    "type",
    "obfuscation?",
).match

_MAX_PENDING = 16  # deltas that are read before they are entered into the books

_TEXT, _PADDING = "@text@", "@padding@"  # in a template, where the literals go


class TextFastPath:
    """One part's text on its way: `deltas` and `frames` take the events that belong to it, and give what the caller is to see of them.

    Stands only as long as nothing but its own deltas comes; `close` enters them into the same books as the long way.
    """

    __slots__ = (
        "_chunks",
        "_content",
        "_kept_prefix",
        "_message",
        "_output",
        "_pending",
        "_selector",
        "_text",
    )

    def __init__(
        self,
        key: tuple[int, int],
        text: list[str],
        message: MessageText,
        selector: TextSelector,
        chunks: ChunkBuilder,
    ) -> None:
        self._output, self._content = (b"%d" % index for index in key)
        self._text = text
        self._pending: list[str] = []  # and not in the books yet
        self._message = message
        self._selector = selector
        self._chunks = chunks
        self._kept_prefix: bytes | None = None

    def read_deltas(self, data: bytes, out: list[Any]) -> int:
        """Add the text deltas that the data begins with; return where they end, and what goes the long way begins."""
        at, like = 0, self._chunks.template
        while at < len(data) and (found := self._read(data, at)):
            at, text, _, padding = found
            out.append(TextChunk(text, None if padding is None else _decode_literal(padding), like))
        return at

    def read_frames(self, data: bytes, out: list[Any]) -> int:
        """Add the same as events of a Chat stream, as bytes."""
        at, like = 0, self._chunks.template
        before = self._kept_prefix = self._kept_prefix or _prefix(like)
        bare, padded, end = _suffix(like.logprobs_key)
        while at < len(data) and (found := self._read(data, at)):
            at, _, literal, padding = found
            if padding is None:
                out.append(b"".join((before, literal, bare)))
            else:
                out.append(b"".join((before, literal, padded, padding.encode(), end)))
        return at

    def _read(self, data: bytes, at: int) -> tuple[int, str, bytes, str | None] | None:
        """Take an event of this part, where it is one; give its end, its text, and the literals of the text and the padding."""
        found = _DOCUMENTED(data, at) or _SDK_ORDER(data, at)
        if found is None:
            return None
        output, content, literal, padding = found.group("output", "content", "text", "padding")
        if output != self._output or content != self._content:
            return None
        try:
            text = _decode_literal(literal.decode())  # strictly: what is copied must be UTF-8
            padding = None if padding is None else padding.decode()
        except UnicodeDecodeError:
            return None
        if not text:
            return None
        pending = self._pending
        pending.append(text)
        if len(pending) == _MAX_PENDING:
            self.flush()
        return found.end(), text, literal, padding

    def flush(self) -> None:
        """Enter what was read into the books, as one piece: an open stream holds an answer by the character and not by the delta."""
        text = "".join(self._pending)
        self._pending.clear()
        if text:
            self._text.append(text)
            self._selector.append(self._message, text)


@lru_cache(maxsize=2)
def _suffix(logprobs_key: bool) -> tuple[bytes, bytes, bytes]:
    """Return what stands behind the text, without padding; between the text and its padding; and behind the padding."""
    like = ChunkTemplate({}, logprobs_key)
    bare, padded = (
        _encode_chunk(TextChunk(_TEXT, padding, like).chunk()) for padding in (None, _PADDING)
    )
    text, padding = (json.dumps(mark).encode() for mark in (_TEXT, _PADDING))
    between, _, end = padded.partition(text)[2].partition(padding)
    return bare.partition(text)[2], between, end


def _prefix(template: ChunkTemplate) -> bytes:
    """Return what stands before the text."""
    # From the right: what the server says of itself stands before the delta.
    return _encode_chunk(TextChunk(_TEXT, None, template).chunk()).rpartition(
        json.dumps(_TEXT).encode()
    )[0]


def _decode_literal(literal: str) -> str:
    """Return the text of a JSON string literal."""
    text: str = json.loads(literal) if "\\" in literal else literal[1:-1]
    return text


def _encode_chunk(chunk: Chunk) -> bytes:
    return b"data: " + json_codec.dumps(chunk) + b"\n\n"
