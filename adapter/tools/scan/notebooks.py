"""Read a notebook's code cells as one module, and write changes of it back into the file.

Everything else in the file stays the same, byte for byte.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from adapter._util.regular_files import Unreadable

_MAGIC = re.compile(r"^(\s*)(?:[%!?]|[\w, ]+=\s*[%!])")
# Magics of cells whose code is Python.
_PYTHON = re.compile(r"\s*%%(capture|memit|mprun|prun|snakeviz|time|timeit)\b")
_LINES = re.compile(r"\r\n|\r|\n")  # Python's line ends
_STRING_TOKEN = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(slots=True)
class _Piece:
    """One string of a cell's source: its value, and its span in the file, without quotes."""

    value: str
    start: int
    end: int


@dataclass(slots=True)
class _Cell:
    number: int  # from 1, cells of all kinds counted
    pieces: list[_Piece] = field(default_factory=list)
    is_list: bool = False
    kind: object = None

    @property
    def text(self) -> str:
        return "".join(one.value for one in self.pieces)


@dataclass(slots=True)
class _Line:
    cell: _Cell
    number: int  # from 1, in its cell
    start: int  # in the cell's text
    text: str  # in the module


class Notebook:
    """A notebook file, parsed from its bytes. Raises Unreadable if it isn't a notebook."""

    def __init__(self, raw: bytes) -> None:
        try:
            self._json = raw.decode("utf-8")
            cells = list(_cells(self._json))
        except UnicodeDecodeError:
            raise Unreadable("not utf-8") from None
        except (ValueError, IndexError, RecursionError):
            raise Unreadable("not a notebook") from None
        self._lines = [line for cell in cells if cell.kind == "code" for line in _code(cell)]

    @property
    def text(self) -> str:
        """Return the module: the Python cells in order, with `pass` for magics."""
        return "".join(f"{line.text}\n" for line in self._lines) or "\n"

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Return for each line of the module its cell and its line in the cell, both from 1."""
        return tuple((line.cell.number, line.number) for line in self._lines)

    def changed(self, edits: Iterable[tuple[int, int, bytes]]) -> bytes:
        """Return the file with the module's changes made.

        Each edit is start and end, as byte offsets into the UTF-8 of `text`, and the new bytes.
        Raises Unreadable if an edit can't be made.
        """
        starts = [0]
        for line in self._lines:
            starts.append(starts[-1] + len(line.text.encode("utf-8", "surrogatepass")) + 1)
        splices: list[tuple[int, int, str]] = []
        for start, end, new in edits:
            cell, at = self._place(starts, start)
            other, until = self._place(starts, end)
            if cell is not other:
                raise Unreadable("a change spans several cells")
            splices += self._splices(cell, at, until, new.decode())
        text = self._json
        for begin, finish, put in sorted(splices, key=lambda one: (one[0], one[1]), reverse=True):
            text = text[:begin] + put + text[finish:]
        return text.encode()

    def _place(self, starts: list[int], offset: int) -> tuple[_Cell, int]:
        """Return the cell of a byte offset into the module, and the index in the cell's text."""
        number = max(k for k in range(len(self._lines)) if starts[k] <= offset)
        line = self._lines[number]
        before = line.text.encode("utf-8", "surrogatepass")[: offset - starts[number]]
        ends = offset - starts[number] > len(before)
        return line.cell, line.start + len(before.decode("utf-8", "surrogatepass")) + ends

    def _splices(
        self, cell: _Cell, at: int, until: int, new: str
    ) -> Iterator[tuple[int, int, str]]:
        """Yield the changes of the file that make one change of a cell."""
        start = 0
        put = new
        for k, piece in enumerate(cell.pieces):
            end = start + len(piece.value)
            last = k == len(cell.pieces) - 1
            if start <= at < end or (put and at == end and last) or (at < start < until):
                marks = self._offsets(piece)
                begin, finish = marks[max(at, start) - start], marks[min(until, end) - start]
                if (
                    (begin, finish) == (piece.start, piece.end)
                    and not put
                    and piece.value
                    and len(cell.pieces) > 1
                ):
                    begin, finish = self._with_comma(cell, k)
                yield begin, finish, self._written(cell, put)
                put = ""
            start = end

    def _offsets(self, piece: _Piece) -> list[int]:
        """Return the index in the file of each character of a string, and of its end."""
        marks = [
            found.start() + piece.start
            for found in _STRING_TOKEN.finditer(self._json[piece.start : piece.end])
        ]
        if len(marks) != len(piece.value):
            raise Unreadable("can't be written back exactly")
        return [*marks, piece.end]

    def _with_comma(self, cell: _Cell, k: int) -> tuple[int, int]:
        """Return the span of a whole string in a list, with its quotes and its comma."""
        if k + 1 < len(cell.pieces):
            return cell.pieces[k].start - 1, cell.pieces[k + 1].start - 1
        return cell.pieces[k - 1].end + 1, cell.pieces[k].end + 1

    def _written(self, cell: _Cell, text: str) -> str:
        """Return new text as JSON in the file's own style: in a list, one string for each line."""
        plain = json.dumps(text, ensure_ascii=self._json.isascii())[1:-1]
        if not cell.is_list:
            return plain
        if len(cell.pieces) > 1:
            between = self._json[cell.pieces[0].end : cell.pieces[1].start]
        else:
            opened = self._json.rindex("[", 0, cell.pieces[0].start)
            between = f'",{self._json[opened + 1 : cell.pieces[0].start] or chr(34)}'
        return plain.replace("\\n", f"\\n{between}")


def _code(cell: _Cell) -> Iterator[_Line]:
    """Yield the lines of a Python cell as they are in the module."""
    text = cell.text
    if text.lstrip().startswith("%%") and not _PYTHON.match(text):
        return  # a cell magic: another language, or the contents of a file
    plain = _is_python(text)
    start = 0
    for number, found in enumerate([*_LINES.finditer(text), None], 1):
        end = found.start() if found is not None else len(text)
        line = text[start:end]
        if found is None and not line:
            return
        magic = None if plain else _MAGIC.match(line)
        if magic is not None:
            line = f"{magic[1]}pass"
        elif not plain:
            line = re.sub(r"\?+\s*$", "", line)
        yield _Line(cell, number, start, line)
        start = found.end() if found is not None else end


def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(
                text,
                "cell",
                "exec",
                ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _cells(text: str) -> Iterator[_Cell]:
    """Yield the cells of a notebook's JSON. Raises ValueError or IndexError if it isn't one."""
    found = None
    for key, at in _members(text, _skip(text, 1 if text.startswith("\ufeff") else 0)):
        if key == "cells":
            if found is not None:
                raise ValueError("two lists of cells")
            found = at
    if found is None:
        raise ValueError("no cells")
    for number, at in enumerate(_elements(text, found), 1):
        cell = _Cell(number)
        for key, inner in _members(text, at):
            if key == "cell_type":
                cell.kind = _DECODER.raw_decode(text, inner)[0]
            elif key == "source":
                cell.is_list = text[inner] == "["
                places = list(_elements(text, inner)) if cell.is_list else [inner]
                cell.pieces = [_piece(text, one) for one in places]
        yield cell


def _piece(text: str, at: int) -> _Piece:
    if text[at] != '"':
        raise ValueError("no string")
    value, end = _DECODER.raw_decode(text, at)
    return _Piece(value, at + 1, end - 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield the keys of an object, each with the index of its value."""
    if text[at] != "{":
        raise ValueError("no object")
    at = _skip(text, at + 1)
    while text[at] != "}":
        key = _piece(text, at)
        at = _skip(text, key.end + 1)
        if text[at] != ":":
            raise ValueError("no value")
        at = _skip(text, at + 1)
        yield key.value, at
        at = _next(text, at, "}")


def _elements(text: str, at: int) -> Iterator[int]:
    """Yield the indexes of an array's elements."""
    if text[at] != "[":
        raise ValueError("no array")
    at = _skip(text, at + 1)
    while text[at] != "]":
        yield at
        at = _next(text, at, "]")


def _next(text: str, at: int, end: str) -> int:
    """Return the index of the next member, or of the closing bracket."""
    at = _skip(text, _DECODER.raw_decode(text, at)[1])
    if text[at] == ",":
        return _skip(text, at + 1)
    if text[at] != end:
        raise ValueError("no end")
    return at
