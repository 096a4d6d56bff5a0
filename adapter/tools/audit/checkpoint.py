"""How far an audit has come: written after each block, so that it can go on after anything, and end with the same figures."""

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

from .inputs import Cursor, Log
from .summary import Summary

VERSION = 2
_MAX_BYTES = 1 << 30  # bytes


class StaleCheckpoint(AdapterError):
    """A state that doesn't fit what it is to be gone on with: other settings, or logs that have changed since."""


@dataclass(slots=True)
class Progress:
    """How far a log has been read, and whether to its end."""

    fingerprint: str
    cursor: Cursor = field(default_factory=Cursor)
    done: bool = False


@dataclass(slots=True)
class Checkpoint:
    """The figures so far, and where to go on in each log.

    `settings` is the hash of the settings, `formats` that of the shapes of rows, `code` what tells the adapter's own versions apart: verdicts of different ones don't add
    up. With a `path`, `save` writes it there: whole or not at all.
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
        """Read the state at `path`, or begin a new one. Raises StaleState for one that can't be gone on with."""
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
        for name, theirs, ours in (
            ("settings", found.settings, settings),
            ("formats of rows (--body, --formats)", found.formats, formats),
            ("version of the adapter", found.code, code),
        ):
            if theirs != ours:
                raise StaleCheckpoint(
                    f"{path}: was made with other {name}; begin anew with --restart"
                )
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
        """Take up logs, new ones included. Raises StaleState where one has changed, or is missing, since it was counted."""
        names = {log.path for log in logs}
        for name in self.logs.keys() - names:
            raise StaleCheckpoint(
                f"{name}: has been counted, and isn't among the logs any more; begin anew with --restart"
            )
        for log in logs:
            known = self.logs.setdefault(log.path, Progress(log.fingerprint))
            if known.fingerprint != log.fingerprint:
                raise StaleCheckpoint(
                    f"{log.path}: has changed since it was counted; begin anew with --restart"
                )

    def add(self, log: str, cursor: Cursor, summary: Summary) -> None:
        """Count a block: the next one of its log."""
        progress = self.logs[log]
        if cursor.block != progress.cursor.block + 1:
            raise AssertionError("a block was left out, or counted twice")
        self.summary = self.summary.merge(summary)
        progress.cursor = cursor
        self.save()

    def finish(self, log: str) -> None:
        """Take down that a log has been read to its end."""
        self.logs[log].done = True
        self.save()

    def save(self) -> None:
        """Write it, where it has a path: beside it first, then in its place. Raises OSError."""
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
            "version": VERSION, "settings": self.settings, "formats": self.formats, "code": self.code, "block": self.block, "logs": logs,
            "summary": self.summary.to_json(),
        }  # fmt: skip
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(value, separators=(",", ":")))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_atomically(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads it sees the old one or the new one. Raises OSError, of that file."""
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
        new.chmod(0o666 & ~_umask())  # as any file that is written here
        new.replace(path)  # closed: Windows moves no file that is open
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
