"""An audit from beginning to end: logs and settings in, the state with all figures out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from adapter._settings.settings import Settings
from adapter._util.regular_files import Unreadable
from adapter.tools.logs.rows import RowFormats
from adapter.translation.model_profiles import BUILT_IN_FACTS
from adapter.translation.parameters import CHAT_PARAMETERS

from .checkpoint import Checkpoint, StaleCheckpoint
from .engines import ENGINES, AuditOptions, Work
from .inputs import BLOCK, Log, find_logs
from .pipe_inputs import STDIN


def audit(
    paths: Iterable[str | Path],
    settings: Settings,
    *,
    formats: RowFormats | None = None,
    state: Path | None = None,
    restart: bool = False,
    engine: str = "local",
    jobs: int | None = None,
    size: int = BLOCK,
    progress: Callable[[int], object] = lambda _: None,
    changed: Callable[[str, str], object] | None = None,
) -> Checkpoint:
    """Audit logs, and go on where `state` says that an earlier run was interrupted.

    `-` among the paths is standard input. `formats` are the shapes of rows that are known, the built-in ones by default. `jobs` is the number of processes (as many as there are cores, if there is enough to do),
    `size` the bytes in a block; `progress` is told of bytes that were read. `changed` is told of logs that change while they are read,
    and how; what was read of them is counted. Raises Unreadable for logs that can't be read, StaleState for a state that doesn't fit,
    and, without `changed`, for a log that changes.
    """
    if restart and state is not None:
        state.unlink(missing_ok=True)
    logs = find_logs(paths, leave_out=() if state is None else (state,))
    _check_pipes(logs, state, engine)
    formats = RowFormats.builtin() if formats is None else formats
    done = Checkpoint.open(state, settings.hash, formats.digest, code_digest(), size)
    done.add_logs(logs)
    work: Work = [(log, done.logs[log.path].cursor) for log in logs if not done.logs[log.path].done]
    known = {log.path: log for log in logs}
    progress(sum(log.size for log in logs if done.logs[log.path].done))
    read: dict[str, int] = {}
    current: str | None = None
    for one in ENGINES[engine](work, AuditOptions(settings, formats), jobs=jobs, size=done.block):
        if current not in (None, one.log):
            _finish(done, known[str(current)], changed)
        current = one.log
        done.add(one.log, one.end, one.summary)
        progress(max(0, one.position - read.get(one.log, 0)))
        read[one.log] = max(one.position, read.get(one.log, 0))
    for log, _ in work:
        if not done.logs[log.path].done:
            _finish(done, log, changed)
    return done


def _check_pipes(logs: list[Log], state: Path | None, engine: str) -> None:
    """Raise Unreadable where a pipe would have to be read twice, or elsewhere."""
    pipe = next((log for log in logs if log.kind == "pipe"), None)
    if pipe is None:
        return
    name = "standard input" if pipe.path == STDIN else f"{pipe.path}, a pipe,"
    if state is not None:
        raise Unreadable(
            f"--state: {name} can't be read again; write it into a file to go on after an interruption"
        )
    if engine != "local":
        raise Unreadable(f"--engine {engine}: {name} can't be read by others than this process")


@cache
def code_digest() -> str:
    """Tell versions of the adapter apart whose verdicts may differ: by the rules and the facts, and by all of the translation's code."""
    import adapter

    digest = hashlib.sha256(repr((BUILT_IN_FACTS, sorted(CHAT_PARAMETERS))).encode())
    root = Path(adapter.__file__).parent
    for folder in (
        "translation",
        "_settings",
        "_routing",
        "tools/explain",
        "tools/audit",
        "tools/logs",
    ):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    for name in ("plan.py", "endpoints.py"):
        digest.update((root / "_exchange" / name).read_bytes())
    return digest.hexdigest()[:12]


def _finish(checkpoint: Checkpoint, log: Log, changed: Callable[[str, str], object] | None) -> None:
    """Take down that a log was read to its end, unless it isn't any more what it was."""
    why = "" if log.kind == "pipe" else _change_of(log)
    if why and changed is None:
        raise StaleCheckpoint(f"{log.path}: {why}; begin anew with --restart")
    if why and changed is not None:
        changed(log.path, why)
    checkpoint.finish(log.path)


def _change_of(log: Log) -> str:
    """Say how a log has changed since it was found."""
    try:
        now = Log.inspect(log.path)
        if now.fingerprint == log.fingerprint:
            return ""
        if now.has_grown_from(log):
            return "grew while it was read: what was added isn't counted"
    except (Unreadable, OSError):
        pass
    return "changed while it was read"
