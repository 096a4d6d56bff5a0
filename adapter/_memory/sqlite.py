"""`sqlite:///path`: what the processes of one machine remember, in one file.

The file is in WAL mode: readers don't wait for writers, and what was committed survives the end of its writer, however sudden
(SQLite's documentation, "Write-Ahead Logging"); with `synchronous = NORMAL` a power failure may cost the newest of it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import private_files
from .store import MAX_TOTAL, MAX_VALUE, Store

_BATCH = 500  # names in one question; old builds of SQLite take 999
_PRUNE_INTERVAL = 256  # how many values are put between two looks at the bounds
_RETRY_PAUSE = 0.001  # seconds between two attempts at what SQLite doesn't wait for
_VERSION = 1

# In the order of `number` values grow younger, so that nothing else has to be kept in order: every index is one more page to write.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS turns (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, value BLOB NOT NULL, expires INTEGER NOT NULL
);
"""
_OLDEST = "SELECT number FROM turns ORDER BY number LIMIT ?"

_INHERITED: list[Any] = []  # connections of a parent process: closing them here could disturb it


class SQLiteStore(Store):
    """Keep values in a file, for all processes of this machine.

    `seconds` bounds how long a method waits for others' locks; `count`, `size` (bytes) and `age` (seconds) bound the file, roughly: old
    values go first, every so many writes. The file is made on first use, for its owner alone (mode 0600). Raises sqlite3.Error for
    a file that is locked, full or none of SQLite's, and OSError for one that can't be made.
    """

    bounded = True

    def __init__(self, path: Path, *, seconds: float, count: int, size: int, age: float) -> None:
        self._path, self._seconds = path, seconds
        self._count, self._size, self._age = count, size, age
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._puts = 0

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        found: dict[str, bytes] = {}
        room = MAX_TOTAL
        with self._lease() as connection:
            for end in range(
                len(names), 0, -_BATCH
            ):  # the newest first, for what there is room for
                some = names[max(end - _BATCH, 0) : end]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT name, value FROM turns WHERE name IN ({marks}) AND expires > ? AND typeof(value) = 'blob' AND length(value) <= ?",  # noqa: S608  # marks alone
                    (*some, int(time.time()), MAX_VALUE),
                )
                for name, value in rows:
                    room -= len(value)
                    if room < 0:
                        return found
                    found[name] = value
        return found

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        with self._lease() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO turns (name, value, expires) VALUES (?, ?, ?)",
                (name, value, int(time.time() + self._age)),
            )
            self._puts += 1
            if self._puts % _PRUNE_INTERVAL == 0:
                self._prune(connection)

    def delete(self, names: Sequence[str]) -> None:
        """Forget values."""
        with self._lease() as connection:
            connection.executemany("DELETE FROM turns WHERE name = ?", [(name,) for name in names])

    def forget(self, pattern: str) -> int:
        """Forget every value whose name matches a pattern; return how many there were."""
        with self._lease() as connection:
            return connection.execute("DELETE FROM turns WHERE name GLOB ?", (pattern,)).rowcount

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._reset_after_fork()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        # Python 3.13 warns of a connection that goes without having been closed.
        with suppress(Exception):  # one that was never made, or an interpreter that ends
            self.close()

    def _open(self) -> None:
        """Open the file before anybody waits for it."""
        with self._lease():
            pass

    def _reset_after_fork(self) -> None:
        """Give up what was opened before a fork: a connection must not cross one, and a thread that isn't here may hold the lock."""
        if self._pid != os.getpid():
            _INHERITED.append(self._connection)
            self._connection, self._lock, self._pid = None, threading.Lock(), os.getpid()

    def _prune(self, connection: sqlite3.Connection) -> None:
        gone = f"DELETE FROM turns WHERE number IN ({_OLDEST})"  # noqa: S608  # constants
        connection.execute(f"{gone} AND expires <= ?", (4 * _PRUNE_INTERVAL, int(time.time())))
        connection.execute(
            "DELETE FROM turns WHERE number <= (SELECT max(number) FROM turns) - ?", (self._count,)
        )
        pages, free, page = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        used = (pages - free) * page
        if used > self._size:
            rows = connection.execute("SELECT count(*) FROM turns").fetchone()[0]
            connection.execute(gone, (rows - int(rows * 0.9 * self._size / used),))

    def _lease(self) -> _Lease:
        self._reset_after_fork()
        return _Lease(self)

    def _connect(self) -> sqlite3.Connection:
        # Made here, so that nobody else can read it from the first moment; SQLite's other files take its mode.
        one = private_files.make_private(self._path)
        made = sqlite3.connect(
            self._path, timeout=self._seconds, isolation_level=None, check_same_thread=False
        )
        try:
            version = _version(made)  # by now the file is open
            private_files.check_unchanged(self._path, one)
            if version == 0:
                self._create_tables(made)
            if _version(made) != _VERSION:
                raise sqlite3.DatabaseError("a file of another version, or of another program")
            self._enable_wal(made)
            made.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            made.close()
            raise
        return made

    def _create_tables(self, connection: sqlite3.Connection) -> None:
        # Looked at under the lock: another process may be making the same file at this moment.
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) == 0:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError("a file of another program")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")

    def _enable_wal(self, connection: sqlite3.Connection) -> None:
        # While others make the same change SQLite says at once that the file is locked, and doesn't wait: to wait could be for ever
        # (its documentation, "sqlite3_busy_handler").
        until = time.monotonic() + self._seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(_RETRY_PAUSE)
            else:
                return


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


class _Lease:
    """The connection, for one thread at a time; one that failed is made anew."""

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        store = self._store
        if not store._lock.acquire(timeout=store._seconds):
            raise sqlite3.OperationalError("other threads wait for the file")
        try:
            if store._connection is None:
                store._connection = store._connect()
        except BaseException:
            store._lock.release()
            raise
        return store._connection

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        store = self._store
        if (
            isinstance(error, sqlite3.Error)
            and "locked" not in str(error)
            and store._connection is not None
        ):
            store._connection.close()  # the file may have been replaced
            store._connection = None
        store._lock.release()
