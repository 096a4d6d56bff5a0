"""Cut Parquet files into blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .batches import import_pyarrow
from .blocks import DAMAGED, Block, Cursor, Log

_BATCH_ROWS = 4096  # per block


def parquet_blocks(log: Log, begin: Cursor) -> Iterator[Block]:
    """Cut a Parquet file into blocks, from `begin` on. Raises MissingExtra without pyarrow."""
    pa = import_pyarrow()
    from pyarrow import parquet

    at = begin
    try:
        for block in _batch_blocks(log, begin, parquet):
            at = block.end
            yield block
    except (pa.ArrowException, OSError):
        yield Block(
            log.path, at, Cursor(at.block + 1, 0, at.line), log.size, b"", (), ((at.line, DAMAGED),)
        )


def _batch_blocks(log: Log, begin: Cursor, parquet: Any) -> Iterator[Block]:
    pa = import_pyarrow()
    with parquet.ParquetFile(log.path) as file:
        at, rows = Cursor(), max(1, file.metadata.num_rows)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            end = Cursor(at.block + 1, 0, at.line + batch.num_rows)
            if at.block >= begin.block:
                named = {
                    "file": pa.repeat(log.path, batch.num_rows),
                    "line": pa.array(range(at.line, end.line), pa.int64()),
                }
                for name, values in named.items():
                    place = batch.schema.get_field_index(name)
                    batch = batch.remove_column(place) if place >= 0 else batch  # noqa: PLW2901
                    batch = batch.append_column(name, values)  # noqa: PLW2901
                yield Block(log.path, at, end, log.size * (end.line - 1) // rows, batch)
            at = end
