"""Logs on disk, cut into blocks: JSON lines, plain or compressed, and Parquet; each read once, in bounded memory."""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

from adapter import regular
from adapter.regular import Unreadable

from .batches import arrow, batch_of_lines

BLOCK = 4 << 20
"""About how many bytes of JSON lines make a block: some thousands of requests, some tenths of a second."""

LONGEST = 256 << 20
"""The longest line that is read, in bytes."""

_ROWS = 4096  # of Parquet, in a block
_EDGE = 1 << 16
_PIECE = 1 << 18
_SUFFIXES = (
    ".jsonl",
    ".ndjson",
    ".jsonl.gz",
    ".ndjson.gz",
    ".jsonl.zst",
    ".ndjson.zst",
    ".jsonl.bz2",
    ".parquet",
    ".log",
    ".log.gz",
)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "parquet"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bz2"),
)

Kind = Literal["lines", "gzip", "zstd", "bz2", "parquet"]
DAMAGED = "the rest of the file is damaged"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a file has been read: `block` is the next block's number, `offset` and `line` where it begins."""

    block: int = 0
    offset: int = 0
    line: int = 1


@dataclass(frozen=True, slots=True)
class Log:
    """One file of logs. `fingerprint` is a digest of its size, times and edges: another one means that it has changed."""

    path: str
    kind: Kind
    size: int
    fingerprint: str

    @classmethod
    def at(cls, path: str) -> Log:
        """Look at a file. Raises Unreadable."""
        with regular.opened(path) as file:
            stat = os.fstat(file.fileno())
            head = file.read(_EDGE)
            file.seek(max(0, stat.st_size - _EDGE))
            digest = hashlib.sha256(b"%d %d " % (stat.st_size, stat.st_mtime_ns) + head + file.read(_EDGE)).hexdigest()[
                :24
            ]
        kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), "lines")
        return cls(path, kind, stat.st_size, digest)  # type: ignore[arg-type]  # of the table above


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a log: its lines as bytes, or a record batch of Parquet.

    `begin` is where it begins, `end` where the next one does. `position` is how far the file on disk has been read by then, in
    bytes. `too_long` are the numbers of lines that were passed over. Without data it is read again from the file (`loaded`).
    """

    path: str
    begin: Cursor
    end: Cursor
    position: int
    data: Any = None
    too_long: tuple[int, ...] = ()
    damaged: bool = False

    def loaded(self) -> Block:
        """Return the block with its data, where it was left out of a file of plain lines."""
        if self.data is not None:
            return self
        with regular.opened(self.path) as file:
            file.seek(self.begin.offset)
            return replace(self, data=file.read(self.end.offset - self.begin.offset))

    def batch(self) -> Any:
        """Return it as a record batch."""
        return batch_of_lines(self.data, self.path, self.begin.line) if isinstance(self.data, bytes) else self.data


def find(paths: Iterable[str | Path], refused: Callable[[str, str], object] | None = None) -> list[Log]:
    """List the logs that paths name, each once; of a folder those with a log's suffix.

    `refused` is told of files and folders that can't be read, and why; without it they raise Unreadable. What isn't there, though it is
    named, always does.
    """
    found: dict[str, Log] = {}

    def tell(path: str, why: str) -> None:
        if refused is None:
            raise Unreadable(f"{path}: {why}")
        refused(path, why)

    for path in map(Path, paths):
        if not os.path.lexists(path):
            raise Unreadable(f"{path}: {os.strerror(errno.ENOENT)}")
        for one in _below(path, tell) if regular.is_folder(path) else [str(path)]:
            if one not in found:
                try:
                    found[one] = Log.at(one)
                except Unreadable as error:
                    tell(one, str(error))
                except OSError as error:
                    tell(one, regular.why(error))
    return list(found.values())


def _below(root: Path, refused: Callable[[str, str], object]) -> list[str]:
    def failed(error: OSError) -> None:
        refused(str(Path(error.filename or root)), regular.why(error))

    walk = os.walk(root, onerror=failed)
    return sorted(str(Path(folder) / name) for folder, _, names in walk for name in names if name.endswith(_SUFFIXES))


def blocks(log: Log, begin: Cursor = Cursor(), *, size: int = BLOCK) -> Iterator[Block]:
    """Cut a log into blocks from `begin` on; the same log and size give the same blocks."""
    if log.kind == "parquet":
        yield from _of_parquet(log, begin)
        return
    try:
        raw = regular.opened(log.path)
    except Unreadable as error:  # it has vanished, say
        raise Unreadable(f"{log.path}: {error}") from None
    with raw:
        if log.kind == "lines":
            raw.seek(begin.offset)
            yield from _of_lines(log, raw, raw, begin, size)
            return
        for block in _of_lines(log, raw, _opened(log.kind, raw), Cursor(), size):
            if block.begin.block >= begin.block:
                yield block


def _opened(kind: Kind, raw: IO[bytes]) -> Any:
    match kind:
        case "gzip":
            return gzip.GzipFile(fileobj=raw)
        case "bz2":
            return bz2.BZ2File(raw)
        case _:
            pa = arrow()
            return pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd")


def _of_lines(log: Log, raw: IO[bytes], stream: Any, at: Cursor, size: int) -> Iterator[Block]:
    carry, skipped = b"", 0  # the beginning of a line that hasn't ended; how much of one was thrown away
    done = False
    while not done:
        chunk, damaged = _chunk(stream, size)
        done = damaged or not chunk
        begun = carry + chunk
        cut = len(begun) if done else begun.rfind(b"\n") + 1
        data, carry = begun[:cut], begun[cut:]
        over = 0
        if skipped and (cut or done):  # the end of a line that was too long; its place is taken by an empty one
            lost, newline, rest = data.partition(b"\n")
            data, over, skipped = newline + rest, skipped + len(lost), 0
        if len(carry) + skipped > LONGEST:
            carry, skipped = b"", skipped + len(carry)
        if data or over or damaged:
            lines = data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)
            end = Cursor(at.block + 1, at.offset + len(data) + over, at.line + lines)
            yield Block(log.path, at, end, raw.tell(), data, (at.line,) if over else (), damaged)
            at = end


def _chunk(stream: Any, size: int) -> tuple[bytes, bool]:
    """Read `size` bytes, or to the end; tell whether the file is damaged behind them: cut short, or overwritten."""
    read = getattr(stream, "read1", stream.read)  # gives what there is before it finds fault
    parts: list[bytes] = []
    missing = size
    try:
        while missing and (part := read(min(missing, _PIECE))):
            parts.append(part)
            missing -= len(part)
    except (EOFError, OSError, zlib.error):
        return b"".join(parts), True
    return b"".join(parts), False


def _of_parquet(log: Log, begin: Cursor) -> Iterator[Block]:
    pa = arrow()
    from pyarrow import parquet

    at = begin
    try:
        for block in _of_rows(log, begin, parquet):
            at = block.end
            yield block
    except (pa.ArrowException, OSError):
        yield Block(log.path, at, Cursor(at.block + 1, 0, at.line), log.size, b"", (), damaged=True)


def _of_rows(log: Log, begin: Cursor, parquet: Any) -> Iterator[Block]:
    pa = arrow()
    with parquet.ParquetFile(log.path) as file:
        at, rows = Cursor(), max(1, file.metadata.num_rows)
        for batch in file.iter_batches(batch_size=_ROWS):
            end = Cursor(at.block + 1, 0, at.line + batch.num_rows)
            if at.block >= begin.block:
                named = {
                    "file": pa.repeat(log.path, batch.num_rows),
                    "line": pa.array(range(at.line, end.line), pa.int64()),
                }
                for name, values in named.items():
                    place = batch.schema.get_field_index(name)
                    batch = batch.remove_column(place) if place >= 0 else batch  # noqa: PLW2901  # the same batch
                    batch = batch.append_column(name, values)  # noqa: PLW2901  # same
                yield Block(log.path, at, end, log.size * (end.line - 1) // rows, batch)
            at = end
