"""Find logs and cut them into blocks: files, folders and pipes, read once, in bounded memory."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from adapter._util import regular_files
from adapter._util.regular_files import Unreadable
from adapter.tools.logs.rows import RowFormats

from . import decompression, pipe_inputs
from .blocks import (
    BLOCK,
    DAMAGED,
    EDGE_BYTES,
    PARQUET_MAGIC,
    START,
    Block,
    Cursor,
    Log,
    unsupported_format,
)
from .decompression import Read
from .json_documents import BOM, TOO_LONG, Arrays, DocumentReader, arrays_of, is_document
from .parquet import parquet_blocks

MAX_ROW_BYTES = 256 << 20
"""The maximum length in bytes of a line, or of an element of an array."""

_READ_BYTES = 1 << 18
_MAX_BAD_ROWS = 10_000  # per block
_LOG_SUFFIXES = (".jsonl", ".ndjson", ".json", ".har", ".log")
_SUFFIXES = (*map("".join, product(_LOG_SUFFIXES, decompression.SUFFIXES)), ".parquet")


def find_logs(
    paths: Iterable[str | Path],
    on_unreadable: Callable[[str, str], object] | None = None,
    leave_out: Iterable[str | Path] = (),
) -> list[Log]:
    """List the logs at `paths`, each once; in folders, the files with a log's suffix.

    `-` is standard input. Files in `leave_out` are skipped in folders. `on_unreadable` is called
    with the path and the reason for each file or folder that can't be read; without it these raise
    Unreadable. A path that doesn't exist always does.
    """
    found: dict[str, Log] = {}
    out = {os.path.realpath(path) for path in leave_out}

    def unreadable(path: str, why: str) -> None:
        if on_unreadable is None:
            raise Unreadable(f"{path}: {why}")
        on_unreadable(path, why)

    for path in map(Path, paths):
        if pipe_inputs.is_pipe(path):
            found.setdefault(str(path), Log(str(path), "pipe"))
            continue
        if not os.path.lexists(path):
            raise Unreadable(f"{path}: {os.strerror(errno.ENOENT)}")
        for one in (
            _logs_below(path, unreadable, out) if regular_files.is_folder(path) else [str(path)]
        ):
            if one not in found:
                try:
                    found[one] = Log.inspect(one)
                except Unreadable as error:
                    unreadable(one, str(error))
                except OSError as error:
                    unreadable(one, regular_files.reason_of(error))
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


def read_blocks(
    log: Log, begin: Cursor = START, *, size: int = BLOCK, formats: RowFormats | None = None
) -> Iterator[Block]:
    """Cut a log into blocks from `begin` on.

    The same log, size and formats give the same blocks.
    """
    if log.kind == "parquet":
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
        # The file may have been deleted since it was found.
        end = replace(begin, block=begin.block + 1)
        yield Block(
            log.path,
            begin,
            end,
            log.size,
            b"",
            None,
            ((begin.line, f"can no longer be opened: {error}"),),
        )
        return
    with closing(raw):
        if log.kind == "lines":
            raw.seek(begin.offset)
            # Only up to the size when it was found: what is being appended may be incomplete.
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
    """Cut a log into blocks from its beginning, by its first bytes."""
    if log.kind == "pipe":
        head = _ByteSource(log.path, raw.read1).chunk(EDGE_BYTES)
        file, position = (
            io.BufferedReader(pipe_inputs.FilePart(raw, head=head), _READ_BYTES),
            lambda: 0,
        )
    else:
        head = raw.read(EDGE_BYTES)
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
        head = source.peek(EDGE_BYTES)
    why = (
        "Parquet in a compressed file or a pipe: only plain Parquet files are supported"
        if head.startswith(PARQUET_MAGIC)
        else unsupported_format(head)
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
    """The unpacked bytes of a log; a read error ends them."""

    def __init__(self, path: str, read: Read, position: Callable[[], int] = lambda: 0) -> None:
        self.path = path
        self.position = position  # bytes of the file on disk that have been read
        self.damaged = False
        self._read = read
        self._head = b""

    def peek(self, size: int) -> bytes:
        """Return the first bytes, which will be returned again by the next read."""
        self._head = self.chunk(size)
        return self._head

    def piece(self, size: int = _READ_BYTES) -> bytes:
        """Return some bytes, none at the end."""
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
        """Return `size` bytes, or all that are left."""
        parts: list[bytes] = []
        while size and (part := self.piece(min(size, _READ_BYTES))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _line_blocks(source: _ByteSource, begin: Cursor, size: int) -> Iterator[Block]:
    carry = b""  # the beginning of an unfinished line
    skipped = 0  # bytes dropped of a line that is too long
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
        if skipped and (cut or done):  # an empty line replaces a line that was too long
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
    pending_bytes = 0

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
            pending_bytes += len(row)
        if pending_bytes >= size or len(bad) >= _MAX_BAD_ROWS:
            one = block()
            yield one
            begin, pending_bytes = one.end, 0
            for listed in (rows, lines, bad):
                listed.clear()
    if source.damaged:
        bad = [*bad, (documents.line, DAMAGED)]
    if rows or bad:
        yield block()
