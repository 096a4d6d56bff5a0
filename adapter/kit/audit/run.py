"""An audit from beginning to end: logs and settings in, the state with all figures out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from adapter.regular import Unreadable
from adapter.routing.settings import Settings
from adapter.translation.models import BUILT_IN
from adapter.translation.rules import CHAT_PARAMETERS

from .engines import ENGINES, Work, cores
from .inputs import BLOCK, Log, find
from .state import StaleState, State

_SMALL = 2 * BLOCK  # bytes for which no further process is worth its start


def audit(
    paths: Iterable[str | Path],
    settings: Settings,
    *,
    state: Path | None = None,
    restart: bool = False,
    engine: str = "local",
    jobs: int | None = None,
    size: int = BLOCK,
    progress: Callable[[int], object] = lambda _: None,
) -> State:
    """Audit logs, and go on where `state` says that an earlier run was interrupted.

    `jobs` is the number of processes (all cores), `size` the bytes in a block; `progress` is told of bytes that were read. Raises
    Unreadable for logs that can't be read, StaleState for a state that doesn't fit, and for a log that changes while it is read.
    """
    if restart and state is not None:
        state.unlink(missing_ok=True)
    logs = find(paths)
    done = State.open(state, settings.hash, code(), size)
    done.begin(logs)
    work: Work = [(log, done.logs[log.path].cursor) for log in logs if not done.logs[log.path].done]
    known = {log.path: log for log in logs}
    progress(sum(log.size for log in logs if done.logs[log.path].done))
    if engine == "local":
        jobs = min(
            jobs or cores(),
            1 if sum(log.size for log, _ in work if log.kind != "parquet") < _SMALL and jobs is None else 10_000,
        )
    read: dict[str, int] = {}
    current: str | None = None
    for one in ENGINES[engine](work, settings, jobs=jobs, size=done.block):
        if current not in (None, one.log):
            _finish(done, known[str(current)])
        current = one.log
        done.add(one.log, one.end, one.summary)
        progress(max(0, one.position - read.get(one.log, 0)))
        read[one.log] = max(one.position, read.get(one.log, 0))
    for log, _ in work:
        if not done.logs[log.path].done:
            _finish(done, log)
    return done


@cache
def code() -> str:
    """Tell versions of the adapter apart whose verdicts may differ: by the rules and the facts, and by all of the translation's code."""
    import adapter

    digest = hashlib.sha256(repr((BUILT_IN, sorted(CHAT_PARAMETERS))).encode())
    root = Path(adapter.__file__).parent
    for folder in ("translation", "routing", "kit/audit"):
        for path in sorted((root / folder).glob("*.py")):
            digest.update(path.read_bytes())
    for name in ("planning.py", "endpoints.py"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()[:12]


def _finish(state: State, log: Log) -> None:
    try:
        now = Log.at(log.path).fingerprint
    except (Unreadable, OSError):
        now = ""
    if now != log.fingerprint:
        raise StaleState(f"{log.path}: changed while it was read; begin anew with --restart")
    state.finish(log.path)
