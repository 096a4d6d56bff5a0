"""Run an audit from beginning to end."""

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

from .blocks import BLOCK, Log
from .checkpoint import Checkpoint, StaleCheckpoint
from .engines import ENGINES, AuditOptions, Work
from .inputs import find_logs
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
    """Audit logs and return the checkpoint with all figures; resume the one saved in `state`.

    `-` among the paths is standard input. `formats` are the known log formats, by default the
    built-in ones. `jobs` is the number of processes, by default all cores if there is enough to do.
    `size` is the bytes of a block. `progress` is called with the number of bytes read. `changed` is
    called with the path and the reason for logs that change while they are read; what was read of
    them is counted. Raises Unreadable for logs that can't be read, and StaleCheckpoint for a
    checkpoint that doesn't fit or, without `changed`, for a log that changes.
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
    """Raise Unreadable if a pipe would have to be read twice, or by another process."""
    pipe = next((log for log in logs if log.kind == "pipe"), None)
    if pipe is None:
        return
    name = "standard input" if pipe.path == STDIN else f"{pipe.path}, a pipe,"
    if state is not None:
        raise Unreadable(
            f"--state: {name} can't be read again; "
            "save it to a file to resume after an interruption"
        )
    if engine != "local":
        raise Unreadable(f"--engine {engine}: {name} can only be read by this process")


@cache
def code_digest() -> str:
    """Return a digest of the code and the data that verdicts depend on."""
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
    """Mark a log as read to its end, after checking whether it has changed."""
    why = "" if log.kind == "pipe" else _change_of(log)
    if why and changed is None:
        raise StaleCheckpoint(f"{log.path}: {why}; start over with --restart")
    if why and changed is not None:
        changed(log.path, why)
    checkpoint.finish(log.path)


def _change_of(log: Log) -> str:
    """Return how a log has changed since it was found, empty if it hasn't."""
    try:
        now = Log.inspect(log.path)
        if now.fingerprint == log.fingerprint:
            return ""
        if now.has_grown_from(log):
            return "grew while it was read: the new part isn't counted"
    except (Unreadable, OSError):
        pass
    return "changed while it was read"
