"""Fast path for text deltas, most of a stream's events: no JSON is parsed, literals are copied.

It only takes events in the exact form in which the API writes them, for the same part of a message
as the delta before. Anything else (other keys, other spacing, CRLF, invalid UTF-8) takes the
general path, `ChunksFromEvents.feed` (docs/performance.md#text-deltas).

The bytes are matched with the grammar of JSON strings (RFC 8259 §7), and the text is decoded as
`json` would.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from adapter._util import json_codec
from adapter.translation.objects.message_text import MessageText, TextSelector

from .chunks import Chunk, ChunkBuilder, ChunkTemplate, TextChunk

# Possessive quantifiers (`*+`, `?+`), so that matching takes linear time.
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
    """Return the pattern of an event with these keys; a `?` marks an optional one."""
    keys = b"".join(
        rb"(?:, ?+" + _FIELDS[name.rstrip("?")] + rb")" + (b"?" if name.endswith("?") else b"")
        for name in names
    )
    return re.compile(
        rb"(?:event: response\.output_text\.delta\n)?data: \{" + _FIELDS[first] + keys + rb"\}\n\n"
    )


# The order of the API's documentation.
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
# dialect: vLLM (the order of the SDK's models)
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

_MAX_PENDING = 16  # deltas that are read before the state is updated

_TEXT, _PADDING = "@text@", "@padding@"  # placeholders for the literals


class TextFastPath:
    """Fast path for the text deltas of one content part.

    `read_deltas` and `read_frames` take the events of the part at the start of some data. Valid
    until any other event arrives; `flush` then updates the state that the general path uses.
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
        self._pending: list[str] = []  # texts that the state lacks so far
        self._message = message
        self._selector = selector
        self._chunks = chunks
        self._kept_prefix: bytes | None = None

    def read_deltas(self, data: bytes, out: list[Any]) -> int:
        """Append the text deltas at the start of the data to `out`; return where they end."""
        at, template = 0, self._chunks.template
        while at < len(data) and (found := self._read(data, at)):
            at, text, _, padding = found
            padding = None if padding is None else _decode_literal(padding)
            out.append(TextChunk(text, padding, template))
        return at

    def read_frames(self, data: bytes, out: list[Any]) -> int:
        """Append the same as encoded events of a Chat stream; return where they end."""
        at, template = 0, self._chunks.template
        prefix = self._kept_prefix = self._kept_prefix or _prefix(template)
        bare, padded, end = _suffix(template.logprobs_key)
        while at < len(data) and (found := self._read(data, at)):
            at, _, literal, padding = found
            if padding is None:
                out.append(b"".join((prefix, literal, bare)))
            else:
                out.append(b"".join((prefix, literal, padded, padding.encode(), end)))
        return at

    def _read(self, data: bytes, at: int) -> tuple[int, str, bytes, str | None] | None:
        """Read an event of this part at `at`; None if there is none.

        Returns its end, its text, and the literals of text and padding.
        """
        found = _DOCUMENTED(data, at) or _SDK_ORDER(data, at)
        if found is None:
            return None
        output, content, literal, padding = found.group("output", "content", "text", "padding")
        if output != self._output or content != self._content:
            return None
        try:
            text = _decode_literal(literal.decode())  # strict, since the bytes are copied
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
        """Update the state with the deltas read so far, as one piece, which takes less memory."""
        text = "".join(self._pending)
        self._pending.clear()
        if text:
            self._text.append(text)
            self._selector.append(self._message, text)


@lru_cache(maxsize=2)
def _suffix(logprobs_key: bool) -> tuple[bytes, bytes, bytes]:
    """Return the bytes after the text without padding, between text and padding, after padding."""
    template = ChunkTemplate({}, logprobs_key)
    bare, padded = (
        _encode_chunk(TextChunk(_TEXT, padding, template).chunk()) for padding in (None, _PADDING)
    )
    text, padding = (json.dumps(mark).encode() for mark in (_TEXT, _PADDING))
    between, _, end = padded.partition(text)[2].partition(padding)
    return bare.partition(text)[2], between, end


def _prefix(template: ChunkTemplate) -> bytes:
    """Return the bytes before the text."""
    # From the right: the server's values before the delta may contain the placeholder.
    return _encode_chunk(TextChunk(_TEXT, None, template).chunk()).rpartition(
        json.dumps(_TEXT).encode()
    )[0]


def _decode_literal(literal: str) -> str:
    """Return the text of a JSON string literal."""
    text: str = json.loads(literal) if "\\" in literal else literal[1:-1]
    return text


def _encode_chunk(chunk: Chunk) -> bytes:
    return b"data: " + json_codec.dumps(chunk) + b"\n\n"
