"""Cut whole-file JSON into rows while it is read: arrays, wrapped arrays, objects over many lines.

Nothing is parsed: brackets and quotes show where a value ends, and only the current value is kept
in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import cache

from adapter.tools.logs.json_path import ALL, Key, Path, Step
from adapter.tools.logs.rows import RowFormats

BOM = b"\xef\xbb\xbf"
NOT_JSON = "not JSON"
TOO_LONG = "too long"
EXTRA_COMMA = "extra comma"

Arrays = Mapping[tuple[str, ...], bool]
"""The arrays in an object whose elements are the rows, by the keys that lead to them, and whether
the keys are kept around each element (paths to its contents begin with them). No keys: an array on
its own."""

# The keys of a row itself.
_ROW_KEYS = frozenset(
    {"messages", "model", "prompt", "request", "body", "input", "response", "url"}
)

_RECORD = b"\x1e"  # begins a record of a JSON text sequence
_MAX_KEY_BYTES = 64
_MAX_INDENT = 256  # characters of a line's indentation
# These match at any place, if only nothing.
_SPACE = re.compile(rb"(?:[ \t\r\n\x1e]++|\xef\xbb\xbf)*+")
_TO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"[^"{}\[\]]*+)*+')
_TO_QUOTE = re.compile(rb'[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+')
_TO_SEPARATOR = re.compile(rb'[^,\[\]{}"\s]*+')
_ARRAY_BEGINS = re.compile(rb'\[\s*+(?:[\[{\]"]|$)')

Row = tuple[bytes, int, str]
"""The bytes of a value, its first line, and why it can't be read (empty if it can)."""


def arrays_of(formats: RowFormats) -> Arrays:
    """Return the arrays that hold rows: those of the formats, or the one in the path of bodies."""
    if formats.body is not None:
        keys, rest = _split_at_all(formats.body)
        return {} if rest is None else {keys: True}
    found = (_split_at_all(path) for shape in (*formats.known, *formats.own) for path in shape.rows)
    return {keys: bool(rest) for keys, rest in found if rest is not None and keys}


def _split_at_all(path: Path) -> tuple[tuple[str, ...], Sequence[Step] | None]:
    """Split a path at its first `[*]` if only keys precede it; otherwise the rest is None."""
    keys: list[str] = []
    for at, step in enumerate(path.steps):
        if step == ALL:
            return tuple(keys), path.steps[at + 1 :]
        if not isinstance(step, Key):
            break
        keys.append(step.name)
    return (), None


@cache
def _array_begins() -> re.Pattern[bytes]:
    names = sorted({re.escape(keys[-1].encode()) for keys in arrays_of(RowFormats.builtin())})
    return re.compile(rb'"(?:%s)"\s*+:\s*+\[' % b"|".join(names))


def is_document(head: bytes) -> bool:
    """Return whether a file that begins like this holds JSON documents, not one value per line."""
    head = head.removeprefix(BOM).lstrip(b" \t\r\n")
    if head.startswith(_RECORD):
        return True
    if head.startswith(b"["):
        return _ARRAY_BEGINS.match(head) is not None
    if not head.startswith(b"{"):
        return False
    line, newline, rest = head.partition(b"\n")
    if not newline:  # only the beginning of the line is known
        return _array_begins().search(line) is not None
    return _continues(line.rstrip(), rest.lstrip(b" \t\r\n"))


def _continues(line: bytes, rest: bytes) -> bool:
    """Return whether an object that begins on a line continues after it and wasn't cut off."""
    open_: list[int] = []
    at = 0
    while (at := _TO_BRACKET.match(line, at).end()) < len(line):  # type: ignore[union-attr]
        if line[at] in b"{[":
            open_.append(line[at])
        elif line[at] in b"}]" and open_:
            open_.pop()
        else:
            return False  # an unterminated string: not JSON
        at += 1
    if not open_:
        return False
    if line.endswith(b":"):
        return True
    return rest[:1] in b'"}' if open_[-1] == ord("{") else rest[:1] != b""


class DocumentReader:
    """Yield the rows of consecutive JSON documents from pieces of bytes.

    `read` returns the next piece, empty at the end. `arrays` are those whose elements are rows.
    Values longer than `longest` bytes are skipped.
    """

    def __init__(self, read: Callable[[], bytes], longest: int, arrays: Arrays) -> None:
        self._read = read
        self._longest = longest
        self._arrays = arrays
        self._prefixes = {keys[:end] for keys in arrays for end in range(1, len(keys))}
        self._buffer = bytearray()
        self._at = 0  # index of the next byte
        self._value_start: int | None = None  # of the current value; earlier bytes may be dropped
        self._overlong = False  # the beginning of the current value was dropped
        self._line, self._counted = 1, 0  # the line of the byte at `_counted`
        self._indent = 0  # the widest indentation of a row
        self._ended = False

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order; those that can't be read with the reason."""
        while (byte := self._next_byte()) != -1:
            if byte == ord("["):
                yield from self._elements(())
            elif byte == ord("{"):
                yield from self._object()
            elif byte == ord(","):
                yield b"", self.line, EXTRA_COMMA
                self._at += 1
            else:
                yield from self._value_as_row(b"%s")

    @property
    def line(self) -> int:
        """The number of the current line."""
        return self._line + self._buffer.count(b"\n", self._counted, self._at)

    def _read_more(self) -> bool:
        """Read another piece, and drop the bytes that are no longer needed."""
        if self._ended:
            return False
        if self._value_start is not None and self._at - self._value_start > self._longest:
            # Keep the end: it may contain a key.
            self._value_start = max(self._value_start, self._at - _MAX_KEY_BYTES)
            self._overlong = True
        needed_from = self._at if self._value_start is None else self._value_start
        dropped = max(0, needed_from - _MAX_INDENT)  # keep the indentation
        if dropped > self._counted:
            self._line += self._buffer.count(b"\n", self._counted, dropped)
        del self._buffer[:dropped]
        self._counted = max(0, self._counted - dropped)
        self._at -= dropped
        self._value_start = None if self._value_start is None else self._value_start - dropped
        piece = self._read()
        self._ended = not piece
        self._buffer += piece
        return bool(piece)

    def _skip(self, pattern: re.Pattern[bytes]) -> bool:
        """Skip what a pattern matches and return whether there are bytes after it."""
        match = pattern.match(self._buffer, self._at)
        assert match is not None, "it matches anywhere"
        self._at = match.end()
        return self._at < len(self._buffer)

    def _next_byte(self) -> int:
        """Skip white space and return the byte after it, -1 at the end."""
        while not self._skip(_SPACE):
            if not self._read_more():
                return -1
        return self._buffer[self._at]

    def _begin_value(self) -> int:
        """Begin a value and return its line."""
        self._line, self._counted = self.line, self._at
        self._value_start, self._overlong = self._at, False
        begin = self._buffer.rfind(b"\n", max(0, self._at - _MAX_INDENT), self._at) + 1
        if begin and (line := self._buffer[begin : self._at]).strip(b" \t") == b"":
            self._indent = max(self._indent, len(line))
        return self._line

    def _end_value(self, line: int, complete: bool, wrapper: bytes) -> Row:
        """End a value and return its row."""
        kept, self._value_start = self._value_start or 0, None
        if self._overlong or self._at - kept > self._longest:
            return b"", line, TOO_LONG
        if not complete:
            return b"", line, NOT_JSON
        found = bytes(self._buffer[kept : self._at]).replace(b"\n", b" ")
        return wrapper % found, line, ""

    def _value_as_row(self, wrapper: bytes) -> Generator[Row, None, bool]:
        line = self._begin_value()
        whole = self._value()
        yield self._end_value(line, whole, wrapper)
        if not whole:
            self._recover()
        return whole

    def _elements(self, keys: tuple[str, ...]) -> Iterator[Row]:
        """Yield the elements of the array that begins here, at the path `keys`."""
        wrapper = b"%s"
        if self._arrays.get(keys):
            wrapper = b"[%s]"
            for key in reversed(keys):
                wrapper = b"{%s:%s}" % (json.dumps(key).replace("%", "%%").encode(), wrapper)
        self._at += 1
        whole = first = comma = True  # as after a complete element
        while (byte := self._next_byte()) != -1:
            if byte == ord(","):
                if comma:
                    yield b"", self.line, EXTRA_COMMA
                comma = True
                self._at += 1
            elif byte in b"]}":
                if comma and not first:
                    yield b"", self.line, EXTRA_COMMA
                self._at += 1
                return
            else:
                whole = yield from self._value_as_row(wrapper)
                first, comma = False, not whole
        if whole:  # otherwise the error has been reported
            yield b"", self.line, NOT_JSON

    def _object(self) -> Iterator[Row]:
        """Yield the object that begins here; if it wraps an array of rows, yield these instead."""
        line = self._begin_value()
        yielded, whole, row_itself = 0, True, False
        path = [""]  # the current key of each open object
        self._at += 1
        while path:
            byte = self._next_byte()
            if byte in b"},":
                self._at += 1
                if byte == ord("}"):
                    path.pop()
                continue
            key = self._key() if byte == ord('"') else None
            if key is None:
                whole = False
                break
            path[-1] = key
            byte, here = self._next_byte(), tuple(path)
            row_itself = row_itself or key in _ROW_KEYS
            if byte == ord("[") and here in self._arrays and not row_itself:
                for row in self._elements(here):
                    yielded += 1
                    yield row
            elif byte == ord("{") and here in self._prefixes:
                self._at += 1
                path.append("")
            elif not self._value():
                whole = False
                break
        if not yielded:
            yield self._end_value(line, whole, b"%s")
        elif not whole:
            yield b"", self.line, NOT_JSON
        self._value_start = None
        if not whole:
            self._recover()

    def _key(self) -> str | None:
        """Skip a key and its colon; return the key (the end of a long one), or None."""
        if not self._string():
            return None
        end = self._at - 1
        begin = max(0, end - _MAX_KEY_BYTES)
        key = bytes(self._buffer[begin:end]).rpartition(b'"')[2].decode("utf-8", "replace")
        if self._next_byte() != ord(":"):
            return None
        self._at += 1
        return key

    def _value(self) -> bool:
        """Skip a value and return whether it is complete."""
        byte = self._next_byte()
        if byte == ord('"'):
            return self._string()
        if byte not in b"{[":
            return self._scalar()
        depth = 0
        while True:
            if not self._skip(_TO_BRACKET):
                if not self._read_more():
                    return False
                continue
            byte = self._buffer[self._at]
            if byte == ord('"'):  # a string that continues in the next piece
                if not self._string():
                    return False
                continue
            self._at += 1
            depth += 1 if byte in b"{[" else -1
            if depth == 0:
                return True

    def _scalar(self) -> bool:
        found = False
        while True:
            before = self._at
            at_separator = self._skip(_TO_SEPARATOR)
            found = found or self._at > before
            if at_separator or not self._read_more():
                return found

    def _string(self) -> bool:
        """Skip the string that begins here and return whether it ends on its line."""
        self._at += 1
        while True:
            self._skip(_TO_QUOTE)
            if self._buffer[self._at : self._at + 1] == b'"':
                self._at += 1
                return True
            if (
                self._at + 1 < len(self._buffer) or not self._read_more()
            ):  # not a backslash at the end of the piece
                return False

    def _recover(self) -> None:
        """Skip to the next line that begins with a value and isn't indented more than rows are."""
        begins = re.compile(rb"\n[ \t]{0,%d}(?=[\[{\]\x1e])" % self._indent)
        while (match := begins.search(self._buffer, self._at)) is None:
            # The piece may end within the beginning of such a line.
            self._at = max(self._at, len(self._buffer) - self._indent - 1)
            if not self._read_more():
                self._at = len(self._buffer)
                return
        self._at = match.end()
