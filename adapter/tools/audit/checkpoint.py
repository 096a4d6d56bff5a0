"""The progress of an audit, saved after each block: a resumed audit ends with the same figures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from adapter._util import regular_files
from adapter.errors import AdapterError

from .blocks import Cursor, Log
from .summary import Summary

VERSION = 2
_MAX_BYTES = 1 << 30


class StaleCheckpoint(AdapterError):
    """A checkpoint that can't be resumed: made with other settings, or logs have changed since."""


@dataclass(slots=True)
class Progress:
    """How far a log has been read, and whether to its end."""

    fingerprint: str
    cursor: Cursor = field(default_factory=Cursor)
    done: bool = False


@dataclass(slots=True)
class Checkpoint:
    """The figures so far, and the position in each log.

    `settings`, `formats` and `code` are digests of the settings, the log formats and the adapter's
    code: figures made with different ones can't be added up. With a `path`, `save` writes the
    checkpoint there atomically.
    """

    settings: str
    formats: str
    code: str
    block: int
    path: Path | None = None
    summary: Summary = field(default_factory=Summary)
    logs: dict[str, Progress] = field(default_factory=dict)

    @classmethod
    def open(
        cls, path: Path | None, settings: str, formats: str, code: str, block: int
    ) -> Checkpoint:
        """Read the checkpoint at `path`, or create one. Raises StaleCheckpoint for a wrong one."""
        fresh = cls(settings, formats, code, block, path)
        if path is None or not os.path.lexists(path):
            return fresh
        try:
            value = json.loads(regular_files.read(path, _MAX_BYTES))
            found = cls._read(value, path)
        except regular_files.Unreadable as error:
            raise StaleCheckpoint(f"{path}: {error}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StaleCheckpoint(f"{path}: not the state of an audit") from None
        for other, saved, current in (
            ("other settings", found.settings, settings),
            ("other formats of rows (--body, --formats)", found.formats, formats),
            ("another version of the adapter", found.code, code),
        ):
            if saved != current:
                raise StaleCheckpoint(f"{path}: was made with {other}; start over with --restart")
        return found

    @classmethod
    def _read(cls, value: Mapping[str, Any], path: Path) -> Checkpoint:
        if value["version"] != VERSION:
            raise ValueError("another version")
        logs = {
            str(name): Progress(
                str(log["fingerprint"]), Cursor(*map(int, log["cursor"])), bool(log["done"])
            )
            for name, log in value["logs"].items()
        }
        return cls(
            str(value["settings"]),
            str(value["formats"]),
            str(value["code"]),
            int(value["block"]),
            path,
            Summary.from_json(value["summary"]),
            logs,
        )

    def add_logs(self, logs: list[Log]) -> None:
        """Add logs, new ones included.

        Raises StaleCheckpoint if a log has changed or is missing since it was counted.
        """
        names = {log.path for log in logs}
        for name in self.logs.keys() - names:
            raise StaleCheckpoint(
                f"{name}: was counted and is no longer among the logs; start over with --restart"
            )
        for log in logs:
            known = self.logs.setdefault(log.path, Progress(log.fingerprint))
            if known.fingerprint != log.fingerprint:
                raise StaleCheckpoint(
                    f"{log.path}: has changed since it was counted; start over with --restart"
                )

    def add(self, log: str, cursor: Cursor, summary: Summary) -> None:
        """Add the figures of a log's next block."""
        progress = self.logs[log]
        if cursor.block != progress.cursor.block + 1:
            raise AssertionError("a block was skipped or counted twice")
        self.summary = self.summary.merge(summary)
        progress.cursor = cursor
        self.save()

    def finish(self, log: str) -> None:
        """Mark a log as read to its end."""
        self.logs[log].done = True
        self.save()

    def save(self) -> None:
        """Write the checkpoint atomically if it has a path. Raises OSError."""
        if self.path is None:
            return
        logs = {
            name: {
                "fingerprint": log.fingerprint,
                "cursor": [log.cursor.block, log.cursor.offset, log.cursor.line],
                "done": log.done,
            }
            for name, log in self.logs.items()
        }
        value = {
            "version": VERSION,
            "settings": self.settings,
            "formats": self.formats,
            "code": self.code,
            "block": self.block,
            "logs": logs,
            "summary": self.summary.to_json(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(value, separators=(",", ":")))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step: readers see the old one or the new one. Raises OSError."""
    try:
        handle, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    new = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        new.chmod(0o666 & ~_umask())  # the mode of any new file
        new.replace(path)  # after closing: Windows can't move an open file
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
