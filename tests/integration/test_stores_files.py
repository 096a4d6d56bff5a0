"""SQLite files with many processes, crashes, forks and other programs."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter._memory import sqlite as sqlite_module
from adapter._memory import stores
from adapter._memory.sqlite import SQLiteStore
from tests.support.stores import sqlite_url

_WRITER = """
import sys, pathlib
from adapter._memory.sqlite import SQLiteStore
path, number, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = SQLiteStore(pathlib.Path(path), seconds=60, count=10**6, size=10**9, age=3600)
for k in range(count):
    store.put(f"s:c{number}:{k}", f"{number} {k}".encode() * 50)
    print(k, flush=True)
"""


@contextlib.contextmanager
def _running(program: str, arguments: list[list[str]]) -> Iterator[list[subprocess.Popen[str]]]:
    """Run a program several times at once; kill what still runs at the end."""
    with contextlib.ExitStack() as stack:
        processes = []
        for each in arguments:
            process = subprocess.Popen(
                [sys.executable, "-c", program, *each],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield processes


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _read(path: Path) -> SQLiteStore:
    return SQLiteStore(path, seconds=60, count=10**6, size=10**9, age=3600)


def test_eight_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with _running(_WRITER, [[str(path), str(number), "100"] for number in range(8)]) as writers:
        for writer in writers:
            writer.communicate()
            assert writer.returncode == 0
    names = [f"s:c{number}:{k}" for number in range(8) for k in range(100)]
    found = _read(path).get(names)
    assert found == {f"s:c{n}:{k}": f"{n} {k}".encode() * 50 for n in range(8) for k in range(100)}


def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    acknowledged: list[int] = []
    with _running(_WRITER, [[str(path), str(number), "100000"] for number in range(3)]) as writers:
        for writer in writers:
            for _ in range(60):
                last = int(_line(writer))
            writer.kill()
            rest, _ = writer.communicate()
            acknowledged.append(int(([str(last), *rest.split("\n")[:-1]])[-1]))
    store = _read(path)
    for number, last in enumerate(acknowledged):
        names = [f"s:c{number}:{k}" for k in range(last + 1)]
        assert store.get(names).keys() == set(names)
    with store._lease() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.put("s:c:after", b"x")
    assert store.get(["s:c:after"])


_STARTER = """
import sys, pathlib
from adapter._memory.sqlite import SQLiteStore
for k in range(60):
    print("ready", flush=True)
    sys.stdin.readline()
    path = pathlib.Path(sys.argv[1]) / f"{k}.db"
    store = SQLiteStore(path, seconds=60, count=10**6, size=10**9, age=3600)
    store.put("s:c:" + sys.argv[2], b"1")
    store.close()
"""


def test_processes_that_start_at_once_share_a_new_file(tmp_path: Path) -> None:
    with _running(_STARTER, [[str(tmp_path), str(number)] for number in range(4)]) as starters:
        for _ in range(60):
            assert [_line(starter) for starter in starters] == ["ready"] * 4
            for starter in starters:
                _go(starter)
        for starter in starters:
            assert starter.wait() == 0
    names = [f"s:c:{number}" for number in range(4)]
    for k in range(60):
        assert _read(tmp_path / f"{k}.db").get(names).keys() == set(names)


def test_a_file_that_another_begins_after_the_first_look_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, own = _read(tmp_path / "memory.db"), _read(tmp_path / "memory.db")
    look = sqlite_module._version

    def first(made: sqlite3.Connection) -> int:
        found = look(made)
        monkeypatch.setattr(sqlite_module, "_version", look)
        other.put("s:c:other", b"1")
        return found

    monkeypatch.setattr(sqlite_module, "_version", first)
    own.put("s:c:own", b"2")
    assert other.get(["s:c:own", "s:c:other"]) == {"s:c:own": b"2", "s:c:other": b"1"}


def test_the_change_of_mode_waits_for_readers(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with contextlib.closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as reader:
        # As another process leaves it for a moment: created, and not yet in WAL mode.
        reader.executescript(
            f"BEGIN; {sqlite_module._SCHEMA} "
            f"PRAGMA user_version = {sqlite_module._VERSION}; COMMIT;"
        )
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM turns").fetchall()
        hasty = SQLiteStore(path, seconds=0.02, count=10**6, size=10**9, age=3600)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            hasty.put("s:c:1", b"1")
        end = threading.Timer(0.05, lambda: reader.execute("COMMIT"))
        end.start()
        _read(path).put("s:c:2", b"2")
        end.join()
        with contextlib.closing(sqlite3.connect(path)) as again:
            assert again.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert hasty.get(["s:c:1", "s:c:2"]) == {"s:c:2": b"2"}


class _Changing(sqlite3.Connection):
    """A connection that fails twice, as SQLite does while others change the mode."""

    refused = 0

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "PRAGMA journal_mode = WAL" and self.refused < 2:
            self.refused += 1
            raise sqlite3.OperationalError("database is locked")
        return super().execute(statement, *values)


def test_a_change_of_mode_that_others_make_as_well_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=_Changing))
    store = _read(tmp_path / "memory.db")
    store.put("s:c:1", b"1")
    assert isinstance(store._connection, _Changing)
    assert store._connection.refused == 2
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = stores.open_store(sqlite_url(tmp_path), 5)
        store.put("s:c:1", b"1")
    finally:
        os.umask(before)
    files = sorted(tmp_path.iterdir())
    assert {file.name for file in files} == {"memory.db", "memory.db-wal", "memory.db-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_file_that_was_replaced_is_opened_again(tmp_path: Path) -> None:
    store = _read(tmp_path / "memory.db")
    store.put("s:c:1", b"1")
    store.close()
    (tmp_path / "memory.db").write_bytes(
        b"not a database, but long enough to be taken for one" * 100
    )
    with pytest.raises(sqlite3.DatabaseError):
        store.get(["s:c:1"])
    for file in tmp_path.iterdir():
        file.unlink()
    store.put("s:c:2", b"2")
    assert store.get(["s:c:1", "s:c:2"]) == {"s:c:2": b"2"}


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "memory.db")
    other.execute("PRAGMA user_version = 7")
    other.close()
    with pytest.raises(sqlite3.DatabaseError, match="another version"):
        _read(tmp_path / "memory.db").get(["s:c:1"])


_FORK = """
import os, sys, pathlib
from adapter._memory.sqlite import SQLiteStore
store = SQLiteStore(pathlib.Path(sys.argv[1]), seconds=60, count=10**6, size=10**9, age=3600)
store.put("s:c:parent", b"1")
store._lock.acquire()
child = os.fork()
if child == 0:
    store.put("s:c:child", b"2")
    found = store.get(["s:c:parent", "s:c:child"])
    os._exit(0 if found.keys() == {"s:c:parent", "s:c:child"} else 1)
_, status = os.waitpid(child, 0)
store._lock.release()
sys.exit(status or store.get(["s:c:child"]) != {"s:c:child": b"2"})
"""


def test_a_file_may_be_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    assert (
        subprocess.run(
            [sys.executable, "-c", _FORK, str(tmp_path / "m.db")], check=False
        ).returncode
        == 0
    )


def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "memory.db")
    other.execute("CREATE TABLE other (x)")
    other.close()
    before = (tmp_path / "memory.db").read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match="another program"):
        _read(tmp_path / "memory.db").get(["s:c:1"])
    assert (tmp_path / "memory.db").read_bytes() == before


def test_a_collected_store_closes_its_file(tmp_path: Path) -> None:
    store = _read(tmp_path / "memory.db")
    store.put("s:c:1", b"1")
    connection = store._connection
    assert connection is not None
    del store
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


# Owners and modes

needs_rights = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of another kind")


def _used(path: Path) -> None:
    store = _read(path)
    store.put("s:c:1", b"1")
    store.close()


def _linked(path: Path) -> None:
    _used(path.with_name("other.db"))
    path.symlink_to(path.with_name("other.db"))


def _named_twice(path: Path) -> None:
    _used(path)
    path.with_name("other.db").hardlink_to(path)


def _with_mode(mode: int, side: str = "") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        _used(path)
        beside = path.with_name(path.name + side)
        beside.touch()
        beside.chmod(mode)

    return make


def _beside(side: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def both(path: Path) -> None:
        _used(path)
        make(path.with_name(path.name + side))

    return both


def _of_another_user(path: Path) -> None:
    _used(path)
    os.chown(path, 65534, 65534)


as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)

UNSAFE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (_linked, "memory.db is a link"),
    "a link to nothing": (
        lambda path: path.symlink_to(path.with_name("absent")),
        "memory.db is a link",
    ),
    "a second name": (_named_twice, "memory.db has another name as well"),
    "a pipe": (os.mkfifo, "no file"),
    "a folder": (Path.mkdir, "is a folder"),
    "written by everybody": (_with_mode(0o666), r"memory.db can be written by others.*chmod 600"),
    "written by a group": (_with_mode(0o660), "memory.db can be written by others"),
    "a log that others write": (
        _with_mode(0o666, "-wal"),
        "memory.db-wal can be written by others",
    ),
    "an index that others write": (
        _with_mode(0o622, "-shm"),
        "memory.db-shm can be written by others",
    ),
    "a journal that others write": (
        _with_mode(0o602, "-journal"),
        "memory.db-journal can be written by others",
    ),
    "a log that is a link": (
        _beside("-wal", lambda path: path.symlink_to("there")),
        "memory.db-wal is a link",
    ),
    "an index that is a link": (
        _beside("-shm", lambda path: path.symlink_to("there")),
        "memory.db-shm is a link",
    ),
    "a journal that is a pipe": (_beside("-journal", os.mkfifo), "no file"),
}


@needs_rights
@pytest.mark.parametrize("case", UNSAFE)
def test_an_unsafe_file_is_refused(case: str, tmp_path: Path) -> None:
    make, why = UNSAFE[case]
    path = tmp_path / "memory.db"
    make(path)
    before = {one.name: one.lstat() for one in tmp_path.iterdir()}
    with pytest.raises(adapter.ConfigurationError, match=rf"^memory: .*{why}"):
        adapter.Settings(memory=sqlite_url(tmp_path))
    with pytest.raises(OSError, match=why):  # also if it changes later
        _read(path).put("s:c:2", b"2")
    after = {one.name: one.lstat() for one in tmp_path.iterdir()}
    assert {name: (found.st_mode, found.st_size) for name, found in before.items()} == {
        name: (found.st_mode, found.st_size) for name, found in after.items()
    }


@as_root
@pytest.mark.parametrize("side", ["", "-wal", "-shm", "-journal"])
def test_a_file_of_another_user(side: str, tmp_path: Path) -> None:
    _used(tmp_path / "memory.db")
    beside = tmp_path / f"memory.db{side}"
    beside.touch(0o600)
    os.chown(beside, 65534, 65534)
    with pytest.raises(adapter.ConfigurationError, match=r"^memory: .* belongs to another user"):
        adapter.Settings(memory=sqlite_url(tmp_path))
    with pytest.raises(OSError, match="belongs to another user"):
        _used(tmp_path / "memory.db")


@needs_rights
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o700, 0o400])
@pytest.mark.parametrize("side", ["", "-wal", "-shm"])
def test_a_file_that_others_can_read_is_restricted(mode: int, side: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    _with_mode(mode, side)(path)
    adapter.Settings(memory=sqlite_url(tmp_path))
    store = _read(path)
    store.put("s:c:2", b"2")
    assert store.get(["s:c:1", "s:c:2"]) == {"s:c:1": b"1", "s:c:2": b"2"}
    assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}


@needs_rights
@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o277, 0o777], ids=oct)
def test_the_umask_does_not_matter(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        store = _read(tmp_path / "memory.db")
        store.put("s:c:1", b"1")
        files = list(tmp_path.iterdir())
    finally:
        os.umask(before)
    assert len(files) == 3
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


@needs_rights
def test_the_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    adapter.Settings(memory=sqlite_url(tmp_path / "link"))
    _used(tmp_path / "link" / "memory.db")
    assert (tmp_path / "real" / "memory.db").exists()


@needs_rights
def test_a_file_that_is_replaced_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "memory.db"
    _used(tmp_path / "other.db")
    connect = sqlite3.connect

    def replaced(*given: Any, **named: Any) -> sqlite3.Connection:
        path.unlink()
        path.symlink_to("other.db")
        return connect(*given, **named)

    monkeypatch.setattr(sqlite3, "connect", replaced)
    with pytest.raises(OSError, match="is a link"):
        _read(path).put("s:c:2", b"2")
    monkeypatch.undo()
    assert _read(tmp_path / "other.db").get(["s:c:1", "s:c:2"]) == {"s:c:1": b"1"}


def test_a_second_connection_leaves_the_first_ones_locks_alone(tmp_path: Path) -> None:
    """A process that closes a file loses all its locks on it."""
    path = tmp_path / "memory.db"
    one, other = _read(path), _read(path)
    one.put("s:c:1", b"1")
    with one._lease() as connection:
        connection.execute("BEGIN IMMEDIATE")
        other._open()
        program = (
            "import sqlite3, sys; "
            "sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
        )
        connection.execute("ROLLBACK")
    assert "database is locked" in done.stderr


def test_what_others_wrote_into_a_file_is_left_out(tmp_path: Path) -> None:
    store = _read(tmp_path / "memory.db")
    store.put("s:c:sound", b"1")
    with store._lease() as connection:
        for name, value in {"text": "x", "number": 7, "null": b"", "big": b"x" * 3_000_000}.items():
            connection.execute(
                "INSERT INTO turns (name, value, expires) VALUES (?, ?, 1e11)",
                (f"s:c:{name}", value),
            )
    names = [f"s:c:{name}" for name in ("sound", "text", "number", "null", "big")]
    assert store.get(names) == {"s:c:sound": b"1", "s:c:null": b""}
    with store._lease() as connection:
        for k in range(40):
            connection.execute(
                "INSERT INTO turns (name, value, expires) VALUES (?, ?, 1e11)",
                (f"s:m:{k}", b"x" * 900_000),
            )
    found = store.get([f"s:m:{k}" for k in range(40)])
    assert 10 < len(found) < 20
