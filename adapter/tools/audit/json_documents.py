"""Whole-file JSON, cut into rows while it is read: arrays, objects over many lines, and wrapped arrays.

Nothing is parsed here: the ends of values are found by brackets and quotes, and only the value under
way is held.
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
EXTRA_COMMA = "a comma too many"

Arrays = Mapping[tuple[str, ...], bool]
"""Where in an object the array may stand whose elements are the rows, by the keys that lead to it; and
whether they are kept around each element, since paths to what is in it begin with them. No key: an array
that stands for itself."""

_ROW_KEYS = frozenset(
    {"messages", "model", "prompt", "request", "body", "input", "response", "url"}
)  # of a row itself

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
"""The bytes of a value, the number of the line on which it begins, and why it can't be read, or nothing."""


def arrays_of(formats: RowFormats) -> Arrays:
    """Return the arrays that hold rows: those of known shapes, or the one on the way to bodies."""
    if formats.body is not None:
        keys, rest = _split_at_all(formats.body)
        return {} if rest is None else {keys: True}
    found = (_split_at_all(path) for shape in (*formats.known, *formats.own) for path in shape.rows)
    return {keys: bool(rest) for keys, rest in found if rest is not None and keys}


def _split_at_all(path: Path) -> tuple[tuple[str, ...], Sequence[Step] | None]:
    """Split a path at its first `[*]`, if only keys are in front of it; else None is behind it."""
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
    """Tell by the first bytes of a file whether it holds JSON documents rather than a value a line."""
    head = head.removeprefix(BOM).lstrip(b" \t\r\n")
    if head.startswith(_RECORD):
        return True
    if head.startswith(b"["):
        return _ARRAY_BEGINS.match(head) is not None
    if not head.startswith(b"{"):
        return False
    line, newline, rest = head.partition(b"\n")
    if not newline:  # no end in sight: an array in it needn't be read as one line
        return _array_begins().search(line) is not None
    return _continues(line.rstrip(), rest.lstrip(b" \t\r\n"))


def _continues(line: bytes, rest: bytes) -> bool:
    """Tell whether an object that begins on a line goes on behind it, and wasn't cut there."""
    open_: list[int] = []
    at = 0
    while (at := _TO_BRACKET.match(line, at).end()) < len(line):  # type: ignore[union-attr]  # it matches anything
        if line[at] in b"{[":
            open_.append(line[at])
        elif line[at] in b"}]" and open_:
            open_.pop()
        else:
            return False  # a text that doesn't end on its line, as in no JSON
        at += 1
    if not open_:
        return False
    if line.endswith(b":"):
        return True
    return rest[:1] in b'"}' if open_[-1] == ord("{") else rest[:1] != b""


class DocumentReader:
    """The rows of JSON documents, one behind the other, from pieces of bytes.

    `read` gives the next piece, and none at the end. `arrays` are those whose elements are rows. Values
    longer than `longest` bytes are passed over.
    """

    def __init__(self, read: Callable[[], bytes], longest: int, arrays: Arrays) -> None:
        self._read = read
        self._longest = longest
        self._arrays = arrays
        self._prefixes = {keys[:end] for keys in arrays for end in range(1, len(keys))}
        self._buffer = bytearray()
        self._at = 0  # where the next byte to look at is
        self._value_start: int | None = (
            None  # where the value under way begins: what stands before may go
        )
        self._overlong = False  # the beginning of the value under way was let go
        self._line, self._counted = 1, 0  # the line of the byte at `_counted`
        self._indent = 0  # the widest indentation of a row
        self._ended = False

    def rows(self) -> Iterator[Row]:
        """Give the rows in order; those that can't be read with the reason."""
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
        """The number of the line that is being read."""
        return self._line + self._buffer.count(b"\n", self._counted, self._at)

    def _read_more(self) -> bool:
        """Take in another piece; what nobody needs any more goes."""
        if self._ended:
            return False
        if self._value_start is not None and self._at - self._value_start > self._longest:
            # The end stays: a key that is read may be in it.
            self._value_start, self._overlong = (
                max(self._value_start, self._at - _MAX_KEY_BYTES),
                True,
            )
        gone = max(
            0, (self._at if self._value_start is None else self._value_start) - _MAX_INDENT
        )  # how a line is indented stays
        if gone > self._counted:
            self._line += self._buffer.count(b"\n", self._counted, gone)
        del self._buffer[:gone]
        self._counted = max(0, self._counted - gone)
        self._at -= gone
        self._value_start = None if self._value_start is None else self._value_start - gone
        piece = self._read()
        self._ended = not piece
        self._buffer += piece
        return bool(piece)

    def _skip(self, pattern: re.Pattern[bytes]) -> bool:
        """Pass over what a pattern matches; tell whether there are bytes behind it."""
        match = pattern.match(self._buffer, self._at)
        assert match is not None, "it matches anywhere"
        self._at = match.end()
        return self._at < len(self._buffer)

    def _next_byte(self) -> int:
        """Pass over white space; return the byte behind it, -1 at the end."""
        while not self._skip(_SPACE):
            if not self._read_more():
                return -1
        return self._buffer[self._at]

    def _begin_value(self) -> int:
        """Begin a value; return its line."""
        self._line, self._counted = self.line, self._at
        self._value_start, self._overlong = self._at, False
        begin = self._buffer.rfind(b"\n", max(0, self._at - _MAX_INDENT), self._at) + 1
        if begin and (line := self._buffer[begin : self._at]).strip(b" \t") == b"":
            self._indent = max(self._indent, len(line))
        return self._line

    def _end_value(self, line: int, complete: bool, wrapper: bytes) -> Row:
        """End a value; return its row."""
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
        """Give the elements of the array that begins here, to which keys lead."""
        wrapper = b"%s"
        if self._arrays.get(keys):
            wrapper = b"[%s]"
            for key in reversed(keys):
                wrapper = b"{%s:%s}" % (json.dumps(key).replace("%", "%%").encode(), wrapper)
        self._at += 1
        whole = first = comma = True  # as if there were one before the first
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
        if whole:  # else it has been told of
            yield b"", self.line, NOT_JSON

    def _object(self) -> Iterator[Row]:
        """Give the object that begins here; or, where it wraps an array of rows, those."""
        line = self._begin_value()
        given, whole, row_itself = 0, True, False
        path = [""]  # the last key of each object that is open
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
                    given += 1
                    yield row
            elif byte == ord("{") and here in self._prefixes:
                self._at += 1
                path.append("")
            elif not self._value():
                whole = False
                break
        if not given:
            yield self._end_value(line, whole, b"%s")
        elif not whole:
            yield b"", self.line, NOT_JSON
        self._value_start = None
        if not whole:
            self._recover()

    def _key(self) -> str | None:
        """Pass over a key and its colon; return the key, of a long one the end, or None for none."""
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
        """Pass over a value; tell whether it ends as JSON does."""
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
            if byte == ord('"'):  # a text that doesn't end in this piece
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
            behind = self._skip(_TO_SEPARATOR)
            found = found or self._at > before
            if behind or not self._read_more():
                return found

    def _string(self) -> bool:
        """Pass over the text that begins here; tell whether it ends before its line does."""
        self._at += 1
        while True:
            self._skip(_TO_QUOTE)
            if self._buffer[self._at : self._at + 1] == b'"':
                self._at += 1
                return True
            if (
                self._at + 1 < len(self._buffer) or not self._read_more()
            ):  # not a backslash that ends the piece
                return False

    def _recover(self) -> None:
        """Go to the next line with a value on it that isn't indented further than rows are."""
        begins = re.compile(rb"\n[ \t]{0,%d}(?=[\[{\]\x1e])" % self._indent)
        while (match := begins.search(self._buffer, self._at)) is None:
            # The beginning of such a line may end the piece.
            self._at = max(self._at, len(self._buffer) - self._indent - 1)
            if not self._read_more():
                self._at = len(self._buffer)
                return
        self._at = match.end()
