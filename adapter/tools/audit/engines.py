"""The engines that run an audit: this machine's cores, or a Ray cluster, with the same blocks."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from adapter._settings.settings import Settings
from adapter.errors import MissingExtra
from adapter.tools.logs.rows import RowFormats

from .batches import NoRequests, audit_batch, audit_rows, import_pyarrow
from .blocks import BLOCK, Block, Cursor, Log
from .inputs import read_blocks
from .summary import Summary

_MIN_PARALLEL_BYTES = 2 * BLOCK  # bytes
_QUEUED_PER_WORKER = 2  # blocks; bounds memory


@dataclass(frozen=True, slots=True)
class AuditedBlock:
    """The figures of one block: its log, the next block's cursor, and bytes of the file read."""

    log: str
    end: Cursor
    position: int
    summary: Summary


Work = list[tuple[Log, Cursor]]
"""The logs to read, each with the position to start at."""


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How rows are read and classified. Can be pickled."""

    settings: Settings
    formats: RowFormats


def audit_block(block: Block, options: AuditOptions) -> Summary:
    """Audit one block, including the lines that couldn't be read."""
    block = block.loaded()
    if isinstance(block.data, bytes):
        summary = audit_rows(block.rows(), options.settings, formats=options.formats)
    else:
        try:
            summary = audit_batch(block.data, options.settings, formats=options.formats)
        except NoRequests:  # the other files may still have requests
            block = replace(block, bad=((block.begin.line, "no column that could hold requests"),))
            summary = Summary()
    for _, why in block.bad:
        summary.add("bad", why)
    summary.bad_lines += tuple((block.path, line, why) for line, why in block.bad)
    return summary.trim()


def local(
    work: Work, options: AuditOptions, *, jobs: int | None, size: int
) -> Iterator[AuditedBlock]:
    """Audit on this machine. The blocks come in order.

    `jobs` is the number of processes: by default all cores, or none besides this one for little
    data; 1 means no further process.
    """
    cut: Iterator[Block] = (
        block
        for log, begin in work
        for block in read_blocks(log, begin, size=size, formats=options.formats)
    )
    first: list[Block] = []
    if jobs is None:  # starting processes isn't worth it for little data
        size_so_far = 0
        for block in cut:
            first.append(block)
            size_so_far += len(block.data) if isinstance(block.data, bytes) else block.data.nbytes
            if size_so_far >= _MIN_PARALLEL_BYTES:
                break
        jobs = cores() if size_so_far >= _MIN_PARALLEL_BYTES else 1
    cut = chain(first, cut)
    if jobs == 1:
        for block in cut:
            yield AuditedBlock(block.path, block.end, block.position, audit_block(block, options))
        return
    # Spawned, not forked: this process may have threads (a progress bar).
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _start_worker, (pickle.dumps(options),)
    )
    waiting: deque[tuple[Block, Future[Summary]]] = deque()
    try:
        for block in cut:
            waiting.append((replace(block, data=None), pool.submit(_audit_in_worker, block)))
            if len(waiting) > jobs * _QUEUED_PER_WORKER:
                yield _next_result(waiting)
        while waiting:
            yield _next_result(waiting)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _next_result(waiting: deque[tuple[Block, Future[Summary]]]) -> AuditedBlock:
    block, future = waiting.popleft()
    return AuditedBlock(block.path, block.end, block.position, future.result())


_WORKER_OPTIONS: list[AuditOptions] = []  # set in worker processes only


def _start_worker(pickled: bytes) -> None:
    _WORKER_OPTIONS[:] = [pickle.loads(pickled)]  # noqa: S301  # written by the parent process
    # The parent handles interrupts. If the parent is killed, the worker must end by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()
    # A request's JSON has no cycles, and garbage collection takes an eighth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _exit_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _audit_in_worker(block: Block) -> Summary:
    return audit_block(block, _WORKER_OPTIONS[0])


def ray(
    work: Work, options: AuditOptions, *, jobs: int | None, size: int
) -> Iterator[AuditedBlock]:
    """Audit with Ray Data, on the cluster of RAY_ADDRESS or a local one. The blocks come in order.

    Workers read the logs themselves, so the paths must be the same on all machines. Files of plain
    lines are cut here, which reads them once; compressed files and Parquet go to one worker each.
    Ray repeats the work of a lost worker. `jobs` limits the concurrent tasks.
    """
    try:
        import ray as cluster
        from ray import data
    except ImportError:
        raise MissingExtra("--engine ray needs Ray (extra `ray`)") from None
    import_pyarrow()
    if not cluster.is_initialized():
        cluster.init(log_to_driver=False, logging_level="ERROR", configure_logging=True)
    data.DataContext.get_current().enable_progress_bars = False
    pieces = list(_pieces(work, options, size))
    if not pieces:
        return
    given = [{"order": order, "piece": pickle.dumps(piece)} for order, piece in enumerate(pieces)]
    parts = data.from_items(given, override_num_blocks=len(given))
    mapped = parts.map_batches(
        _PieceAuditor(pickle.dumps(options), size),
        batch_size=1,
        batch_format="pyarrow",
        **({"concurrency": jobs} if jobs else {}),
    )
    early: dict[int, list[AuditedBlock]] = {}
    turn = 0
    for row in mapped.iter_rows():
        early[row["order"]] = pickle.loads(row["done"])  # noqa: S301  # from our workers
        while turn in early:
            yield from early.pop(turn)
            turn += 1


Piece = Block | tuple[Log, Cursor]


def _pieces(work: Work, options: AuditOptions, size: int) -> Iterator[Piece]:
    for log, begin in work:
        if log.kind == "lines":
            for block in read_blocks(log, begin, size=size, formats=options.formats):
                yield block if block.bad else replace(block, data=None)
        else:
            yield log, begin


class _PieceAuditor:
    """Map a table of pieces to a table of their figures, in a worker."""

    def __init__(self, options: bytes, size: int) -> None:
        self.options, self.size = options, size

    def __call__(self, table: Any) -> Any:
        options: AuditOptions = pickle.loads(self.options)  # noqa: S301  # from the driver
        done = []
        for written in table.column("piece").to_pylist():
            piece = pickle.loads(written)  # noqa: S301  # from the driver
            cut = (
                [piece]
                if isinstance(piece, Block)
                else read_blocks(*piece, size=self.size, formats=options.formats)
            )
            done.append(
                pickle.dumps(
                    [
                        AuditedBlock(one.path, one.end, one.position, audit_block(one, options))
                        for one in cut
                    ]
                )
            )
        return import_pyarrow().table({"order": table.column("order"), "done": done})


Engine = Callable[..., Iterator[AuditedBlock]]
ENGINES: dict[str, Engine] = {"local": local, "ray": ray}
"""The engines, by the names that `--engine` takes."""
