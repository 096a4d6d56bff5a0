"""Logs, found and cut into blocks: files, folders of them, and pipes; each read once, in bounded memory."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path
from typing import Any, Literal

from adapter._util import regular_files
from adapter._util.regular_files import Unreadable
from adapter.tools.logs.rows import RowFormats

from . import decompression, pipe_inputs
from .decompression import Read
from .json_documents import BOM, TOO_LONG, Arrays, DocumentReader, arrays_of, is_document

BLOCK = 4 << 20
"""About how many bytes of JSON make a block: some thousands of requests, some tenths of a second."""

MAX_ROW_BYTES = 256 << 20
"""The longest line, or element of an array, that is read, in bytes."""

DAMAGED = "the rest of the file is damaged"

_EDGE_BYTES = 1 << 16
_READ_BYTES = 1 << 18
_MAX_BAD_ROWS = 10_000  # of a block
_LOG_SUFFIXES = (".jsonl", ".ndjson", ".json", ".har", ".log")
_SUFFIXES = (*map("".join, product(_LOG_SUFFIXES, decompression.SUFFIXES)), ".parquet")
_PARQUET = b"PAR1"
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
)  # how UTF-16 and UTF-32 begin

Kind = Literal["lines", "document", "packed", "parquet", "pipe"]
"""How a log is read: line by line, as JSON documents, by what is packed in it, as a table, or as a pipe,
which can't be read twice."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a file has been read: `block` is the next block's number, `offset` and `line` where it begins."""

    block: int = 0
    offset: int = 0
    line: int = 1


@dataclass(frozen=True, slots=True)
class Log:
    """One file of logs. `fingerprint` is a digest of its size, times and edges: another one means that it has changed.

    A pipe has no size, and none. `begin` is a digest of its first bytes alone.
    """

    path: str
    kind: Kind
    size: int = 0
    fingerprint: str = ""
    head_digest: str = ""

    @classmethod
    def inspect(cls, path: str) -> Log:
        """Look at a file. Raises Unreadable; MissingExtra where what unpacks it isn't installed."""
        with regular_files.open_regular(path) as file:
            stat = os.fstat(file.fileno())
            head = file.read(_EDGE_BYTES)
            file.seek(max(0, stat.st_size - _EDGE_BYTES))
            mark = b"%d %d " % (stat.st_size, stat.st_mtime_ns)
            digest = _digest(mark + head + file.read(_EDGE_BYTES))
        return cls(path, _kind(head), stat.st_size, digest, _digest(head))

    def has_grown_from(self, before: Log) -> bool:
        """Tell whether this is the same file with more at its end."""
        if self.size <= before.size or before.size == 0:
            return False
        with regular_files.open_regular(self.path) as file:
            return _digest(file.read(min(_EDGE_BYTES, before.size))) == before.head_digest


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]


def _kind(head: bytes) -> Kind:
    """Tell by its first bytes how a file is read. Raises Unreadable, MissingExtra."""
    if head.startswith(_PARQUET):
        return "parquet"
    packed = decompression.detect_compression(head)
    if packed is not None:
        decompression.check_readable(packed)
        return "packed"
    why = _unsupported_format(head)
    if why:
        raise Unreadable(why)
    return "document" if is_document(head) else "lines"


def _unsupported_format(head: bytes) -> str:
    if head.startswith(_ZIP):
        return "a zip archive: unpack it"
    if head.startswith(_UTF16_AND_32_STARTS):
        return "not UTF-8: UTF-16 or UTF-32, by its first bytes"
    return ""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a log: rows of JSON as bytes, one a line, or a record batch of Parquet.

    `begin` is where it begins, `end` where the next one does. `position` is how far the file on disk has been read by then, in
    bytes. `lines` are the numbers of the rows' lines; without them these follow on each other. `bad` are the lines that can't be
    read, each with its reason. Without data it is read again from the file (`loaded`).
    """

    path: str
    begin: Cursor
    end: Cursor
    position: int
    data: Any = None
    lines: tuple[int, ...] | None = None
    bad: tuple[tuple[int, str], ...] = ()

    def loaded(self) -> Block:
        """Return the block with its data, where it was left out of a file of plain lines."""
        if self.data is not None:
            return self
        with regular_files.open_regular(self.path) as file:
            file.seek(self.begin.offset)
            return replace(self, data=file.read(self.end.offset - self.begin.offset))

    def rows(self) -> Iterator[tuple[bytes, str, int]]:
        """Give each row of JSON, with the file and the line."""
        numbers = count(self.begin.line) if self.lines is None else self.lines
        for row, line in zip(self.data.split(b"\n"), numbers, strict=False):
            yield row, self.path, line


def find_logs(
    paths: Iterable[str | Path],
    on_unreadable: Callable[[str, str], object] | None = None,
    leave_out: Iterable[str | Path] = (),
) -> list[Log]:
    """List the logs that paths name, each once; of a folder those with a log's suffix, but for `leave_out`.

    `-` is standard input. `refused` is told of files and folders that can't be read, and why; without it they raise Unreadable. What
    isn't there, though it is named, always does.
    """
    found: dict[str, Log] = {}
    out = {os.path.realpath(path) for path in leave_out}

    def tell(path: str, why: str) -> None:
        if on_unreadable is None:
            raise Unreadable(f"{path}: {why}")
        on_unreadable(path, why)

    for path in map(Path, paths):
        if pipe_inputs.is_pipe(path):
            found.setdefault(str(path), Log(str(path), "pipe"))
            continue
        if not os.path.lexists(path):
            raise Unreadable(f"{path}: {os.strerror(errno.ENOENT)}")
        for one in _logs_below(path, tell, out) if regular_files.is_folder(path) else [str(path)]:
            if one not in found:
                try:
                    found[one] = Log.inspect(one)
                except Unreadable as error:
                    tell(one, str(error))
                except OSError as error:
                    tell(one, regular_files.reason_of(error))
    return list(found.values())


def _logs_below(
    root: Path, on_unreadable: Callable[[str, str], object], excluded: set[str]
) -> list[str]:
    def failed(error: OSError) -> None:
        on_unreadable(str(Path(error.filename or root)), regular_files.reason_of(error))

    walk = os.walk(root, onerror=failed)
    found = (
        str(Path(folder) / name)
        for folder, _, names in walk
        for name in names
        if name.endswith(_SUFFIXES)
    )
    return sorted(path for path in found if not excluded or os.path.realpath(path) not in excluded)


def blocks(
    log: Log, begin: Cursor = Cursor(), *, size: int = BLOCK, formats: RowFormats | None = None
) -> Iterator[Block]:
    """Cut a log into blocks from `begin` on; the same log, size and formats give the same blocks."""
    if log.kind == "parquet":
        from .parquet import parquet_blocks

        yield from parquet_blocks(log, begin)
        return
    try:
        raw = (
            pipe_inputs.open_pipe(log.path)
            if log.kind == "pipe"
            else regular_files.open_regular(log.path)
        )
    except Unreadable as error:
        if log.kind == "pipe":
            raise Unreadable(f"{log.path}: {error}") from None
        # It has vanished since it was found, say.
        end = replace(begin, block=begin.block + 1)
        yield Block(
            log.path,
            begin,
            end,
            log.size,
            b"",
            None,
            ((begin.line, f"can't be opened any more: {error}"),),
        )
        return
    with closing(raw):
        if log.kind == "lines":
            raw.seek(begin.offset)
            # As far as it went when it was found: what is written meanwhile isn't whole.
            file = io.BufferedReader(
                pipe_inputs.FilePart(raw, log.size - begin.offset), _READ_BYTES
            )
            yield from _line_blocks(_ByteSource(log.path, file.read1, raw.tell), begin, size)
            return
        for block in _cut_from_start(
            log, raw, size, arrays_of(RowFormats.builtin() if formats is None else formats)
        ):
            if block.begin.block >= begin.block:
                yield block


def _cut_from_start(log: Log, raw: Any, size: int, arrays: Arrays) -> Iterator[Block]:
    """Cut a log from its beginning, by what its first bytes are."""
    if log.kind == "pipe":
        head = _ByteSource(log.path, raw.read1).chunk(_EDGE_BYTES)
        file, position = (
            io.BufferedReader(pipe_inputs.FilePart(raw, head=head), _READ_BYTES),
            lambda: 0,
        )
    else:
        head = raw.read(_EDGE_BYTES)
        raw.seek(0)
        file, position = (
            io.BufferedReader(pipe_inputs.FilePart(raw, log.size), _READ_BYTES),
            raw.tell,
        )
    packed = decompression.detect_compression(head)
    source = _ByteSource(
        log.path,
        decompression.decompressor(file, packed) if packed is not None else file.read1,
        position,
    )
    if packed is not None:
        head = source.peek(_EDGE_BYTES)
    why = (
        "Parquet, which is read from a file of its own"
        if head.startswith(_PARQUET)
        else _unsupported_format(head)
    )
    if why:
        if log.kind == "pipe":
            raise Unreadable(f"{log.path}: {why}")
        yield Block(log.path, Cursor(), Cursor(1), log.size, b"", None, ((1, why),))
        return
    if is_document(head):
        yield from _document_blocks(source, Cursor(), size, arrays)
    else:
        yield from _line_blocks(source, Cursor(), size)


class _ByteSource:
    """The bytes of a log, unpacked; a fault ends them."""

    def __init__(self, path: str, read: Read, position: Callable[[], int] = lambda: 0) -> None:
        self.path = path
        self.position = position  # how far the file on disk has been read
        self.damaged = False
        self._read = read
        self._head = b""

    def peek(self, size: int) -> bytes:
        """Return the first bytes, which are given again."""
        self._head = self.chunk(size)
        return self._head

    def piece(self, size: int = _READ_BYTES) -> bytes:
        """Give some bytes, and none at the end."""
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        if self.damaged:
            return b""
        try:
            return self._read(size)
        except decompression.ERRORS:
            self.damaged = True
            return b""

    def chunk(self, size: int) -> bytes:
        """Give so many bytes, or all to the end."""
        parts: list[bytes] = []
        while size and (part := self.piece(min(size, _READ_BYTES))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _line_blocks(source: _ByteSource, begin: Cursor, size: int) -> Iterator[Block]:
    carry, skipped = (
        b"",
        0,
    )  # the beginning of a line that hasn't ended; how much of one was thrown away
    done = False
    while not done:
        chunk = source.chunk(size)
        if begin == Cursor() and not carry and not skipped and chunk.startswith(BOM):
            chunk = b"   " + chunk[len(BOM) :]
        done = source.damaged or not chunk
        begun = carry + chunk
        cut = len(begun) if done else begun.rfind(b"\n") + 1
        data, carry = begun[:cut], begun[cut:]
        over = 0
        if skipped and (
            cut or done
        ):  # the end of a line that was too long; its place is taken by an empty one
            lost, newline, rest = data.partition(b"\n")
            data, over, skipped = newline + rest, skipped + len(lost), 0
        if len(carry) + skipped > MAX_ROW_BYTES:
            carry, skipped = b"", skipped + len(carry)
        if data or over or source.damaged:
            lines = data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)
            end = Cursor(begin.block + 1, begin.offset + len(data) + over, begin.line + lines)
            bad = (((begin.line, TOO_LONG),) if over else ()) + (
                ((end.line, DAMAGED),) if source.damaged else ()
            )
            yield Block(source.path, begin, end, source.position(), data, None, bad)
            begin = end


def _document_blocks(
    source: _ByteSource, begin: Cursor, size: int, arrays: Arrays
) -> Iterator[Block]:
    documents = DocumentReader(source.piece, MAX_ROW_BYTES, arrays)
    rows: list[bytes] = []
    lines: list[int] = []
    bad: list[tuple[int, str]] = []
    held = 0

    def block() -> Block:
        end = Cursor(begin.block + 1, 0, documents.line)
        return Block(
            source.path, begin, end, source.position(), b"\n".join(rows), tuple(lines), tuple(bad)
        )

    for row, line, why in documents.rows():
        if why:
            bad.append((line, why))
        else:
            rows.append(row)
            lines.append(line)
            held += len(row)
        if held >= size or len(bad) >= _MAX_BAD_ROWS:
            one = block()
            yield one
            begin, held = one.end, 0
            for listed in (rows, lines, bad):
                listed.clear()
    if source.damaged:
        bad = [*bad, (documents.line, DAMAGED)]
    if rows or bad:
        yield block()
