"""The data of reading a log: the file, a position in it, and a block of its rows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal

from adapter._util import regular_files
from adapter._util.regular_files import Unreadable

from . import decompression
from .json_documents import is_document

BLOCK = 4 << 20
"""Approximate bytes of JSON in a block: some thousands of requests, some tenths of a second."""

DAMAGED = "the rest of the file is damaged"

EDGE_BYTES = 1 << 16
"""How many bytes at the start and the end of a file go into its fingerprint."""

PARQUET_MAGIC = b"PAR1"
_ZIP = b"PK\x03\x04"
_UTF16_AND_32_STARTS = (
    b"\xff\xfe",
    b"\xfe\xff",
    b"{\x00",
    b"\x00{\x00",
    b"[\x00",
    b"\x00[\x00",
    b"\x00\x00\x00{\x00",
    b"\x00\x00\x00[\x00",
)
"""How UTF-16 and UTF-32 text of JSON begins."""

Kind = Literal["lines", "document", "packed", "parquet", "pipe"]
"""How a log is read: line by line, as JSON documents, by its unpacked contents, as a table, or as
a pipe, which can be read only once."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a log: the number of the next block, its byte offset and its line (from 1)."""

    block: int = 0
    offset: int = 0
    line: int = 1


START = Cursor()
"""The beginning of a log."""


@dataclass(frozen=True, slots=True)
class Log:
    """One log file.

    `fingerprint` is a digest of size, modification time and edges; a different one means that the
    file has changed. `head_digest` is a digest of the first bytes alone. A pipe has no size and no
    fingerprint.
    """

    path: str
    kind: Kind
    size: int = 0
    fingerprint: str = ""
    head_digest: str = ""

    @classmethod
    def inspect(cls, path: str) -> Log:
        """Inspect a file.

        Raises Unreadable, or MissingExtra if its compression needs a package that isn't installed.
        """
        with regular_files.open_regular(path) as file:
            stat = os.fstat(file.fileno())
            head = file.read(EDGE_BYTES)
            file.seek(max(0, stat.st_size - EDGE_BYTES))
            mark = b"%d %d " % (stat.st_size, stat.st_mtime_ns)
            digest = _digest(mark + head + file.read(EDGE_BYTES))
        return cls(path, _kind(head), stat.st_size, digest, _digest(head))

    def has_grown_from(self, before: Log) -> bool:
        """Return whether this is the same file with more data at its end."""
        if self.size <= before.size or before.size == 0:
            return False
        with regular_files.open_regular(self.path) as file:
            return _digest(file.read(min(EDGE_BYTES, before.size))) == before.head_digest


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]


def _kind(head: bytes) -> Kind:
    """Return how a file is read, by its first bytes. Raises Unreadable, MissingExtra."""
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    packed = decompression.detect_compression(head)
    if packed is not None:
        decompression.check_readable(packed)
        return "packed"
    why = unsupported_format(head)
    if why:
        raise Unreadable(why)
    return "document" if is_document(head) else "lines"


def unsupported_format(head: bytes) -> str:
    """Return why data that begins like this can't be read, or an empty string if it can."""
    if head.startswith(_ZIP):
        return "a zip archive: unpack it"
    if head.startswith(_UTF16_AND_32_STARTS):
        return "not UTF-8: UTF-16 or UTF-32, by its first bytes"
    return ""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a log: rows of JSON, one per line, as bytes; or a record batch of Parquet.

    It begins at `begin`, and the next block at `end`. `position` is how many bytes of the file on
    disk have been read so far. `lines` are the line numbers of the rows, if these aren't
    consecutive. `bad` are the lines that can't be read, with reasons. A block without data is read
    again from the file (`loaded`).
    """

    path: str
    begin: Cursor
    end: Cursor
    position: int
    data: Any = None
    lines: tuple[int, ...] | None = None
    bad: tuple[tuple[int, str], ...] = ()

    def loaded(self) -> Block:
        """Return the block with its data, read from a file of plain lines if it was left out."""
        if self.data is not None:
            return self
        with regular_files.open_regular(self.path) as file:
            file.seek(self.begin.offset)
            return replace(self, data=file.read(self.end.offset - self.begin.offset))

    def rows(self) -> Iterator[tuple[bytes, str, int]]:
        """Yield each row of JSON with its file and line."""
        numbers = count(self.begin.line) if self.lines is None else self.lines
        for row, line in zip(self.data.split(b"\n"), numbers, strict=False):
            yield row, self.path, line
