"""`sqlite:///path`: a store for the processes of one machine, in one file.

The file is in WAL mode: readers don't wait for writers, and committed values survive a crash of the
process that wrote them (SQLite's documentation, "Write-Ahead Logging"). With `synchronous = NORMAL`
a power failure may lose the newest ones.
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

_BATCH = 500  # names in one query; old builds of SQLite take 999
_PRUNE_INTERVAL = 256  # writes between two checks of the bounds
_RETRY_PAUSE = 0.001  # seconds between two attempts where SQLite doesn't wait by itself
_VERSION = 1

# `number` orders values by age, so that no index is needed: each is one more page to write.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS turns (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    value BLOB NOT NULL,
    expires INTEGER NOT NULL
);
"""
_OLDEST = "SELECT number FROM turns ORDER BY number LIMIT ?"

_INHERITED: list[Any] = []  # connections of a parent process, which closing could disturb


class SQLiteStore(Store):
    """Keep values in a file, for all processes of this machine.

    `seconds` bounds the wait for locks. `count`, `size` (bytes) and `age` (seconds) bound the file
    roughly: every few hundred writes the oldest values are deleted. The file is made on first use,
    for its owner alone (mode 0600). Raises sqlite3.Error for a file that is locked, full or not a
    SQLite database, and OSError for one that can't be made.
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
        """Return the values found, by name."""
        found: dict[str, bytes] = {}
        room = MAX_TOTAL
        with self._lease() as connection:
            for end in range(len(names), 0, -_BATCH):  # the newest first, as many as fit
                batch = names[max(end - _BATCH, 0) : end]
                marks = ",".join("?" * len(batch))
                rows = connection.execute(
                    f"SELECT name, value FROM turns WHERE name IN ({marks})"  # noqa: S608  # marks
                    " AND expires > ? AND typeof(value) = 'blob' AND length(value) <= ?",
                    (*batch, int(time.time()), MAX_VALUE),
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
        """Delete values."""
        with self._lease() as connection:
            connection.executemany("DELETE FROM turns WHERE name = ?", [(name,) for name in names])

    def forget(self, pattern: str) -> int:
        """Delete every value whose name matches a pattern; return their number."""
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
        # Python 3.13 warns of a connection that is collected while it is open.
        with suppress(Exception):  # a failed __init__, or the interpreter's shutdown
            self.close()

    def _open(self) -> None:
        """Open the file ahead of the first call."""
        with self._lease():
            pass

    def _reset_after_fork(self) -> None:
        """Drop the connection and the lock of the parent process (docs/decisions.md#forks).

        A SQLite connection must not be used after a fork, and a thread that the child doesn't have
        may hold the lock.
        """
        if self._pid != os.getpid():
            _INHERITED.append(self._connection)
            self._connection, self._lock, self._pid = None, threading.Lock(), os.getpid()

    def _prune(self, connection: sqlite3.Connection) -> None:
        delete_oldest = f"DELETE FROM turns WHERE number IN ({_OLDEST})"  # noqa: S608  # constants
        connection.execute(
            f"{delete_oldest} AND expires <= ?", (4 * _PRUNE_INTERVAL, int(time.time()))
        )
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
            connection.execute(delete_oldest, (rows - int(rows * 0.9 * self._size / used),))

    def _lease(self) -> _Lease:
        self._reset_after_fork()
        return _Lease(self)

    def _connect(self) -> sqlite3.Connection:
        # Made before SQLite does, so that no other user can read it at any moment. SQLite gives its
        # companion files the same mode.
        identity = private_files.make_private(self._path)
        connection = sqlite3.connect(
            self._path, timeout=self._seconds, isolation_level=None, check_same_thread=False
        )
        try:
            version = _version(connection)  # opens the file
            private_files.check_unchanged(self._path, identity)
            if version == 0:
                self._create_tables(connection)
            if _version(connection) != _VERSION:
                raise sqlite3.DatabaseError("a file of another version, or of another program")
            self._enable_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create_tables(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")  # another process may create the same tables
        if _version(connection) == 0:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError("a file of another program")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")

    def _enable_wal(self, connection: sqlite3.Connection) -> None:
        # While another connection makes the same change, SQLite reports a lock at once instead of
        # waiting, which could deadlock (its documentation, "sqlite3_busy_handler").
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
    """Lend the connection to one thread at a time; replace it after a failure."""

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
