"""Files that nobody else can write or read: what is remembered in a file is as trustworthy as its owner and mode are."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077
_WRITE = 0o022
_SIDES = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file, with the file's mode."""

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class UnsafeFile(OSError):
    """A file that isn't this user's alone; the message says what is wrong with it."""


def check(path: Path) -> None:
    """Look whether a file could be made, or used if it is there, and change nothing. Raises ValueError."""
    if not path.parent.is_dir():
        raise ValueError(f"the folder {path.parent} isn't there")
    problem = None
    for one in _all(path):
        problem = problem or _problem(one, _found(one))
    if problem:
        raise ValueError(problem)


def opened(path: Path) -> tuple[int, int]:
    """Make a file for its owner alone, or see that it is one; return what identifies it.

    Others' reading rights are taken away; others' writing rights are refused, since what is in it may be theirs. A folder may be a
    link, the file itself not. Raises UnsafeFile, and OSError for a file that can't be made.
    """
    for one in _all(path):
        found = _found(one)
        problem = _problem(one, found)
        if problem:
            raise UnsafeFile(problem)
        if one == path:
            _tighten(one, os.O_CREAT)
        elif found is not None:
            with suppress(FileNotFoundError):  # SQLite takes them away, too
                _tighten(one)
    return _identity(path)


def unchanged(path: Path, before: tuple[int, int]) -> None:
    """Raise UnsafeFile where a file is another one than before: SQLite opens it by its name."""
    if _identity(path) != before:
        raise UnsafeFile(f"{path} was replaced while it was opened")


def _all(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + side) for side in _SIDES)]


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _problem(path: Path, found: os.stat_result | None) -> str | None:
    """Say what is wrong with a file; None where nothing is, or it isn't there."""
    if found is None:
        return None
    if stat.S_ISLNK(found.st_mode):
        return f"{path} is a link; name the file that it leads to"
    if not stat.S_ISREG(found.st_mode):
        return f"{path} is a folder, or otherwise no file"
    if not hasattr(os, "geteuid"):  # Windows, whose rights are others
        return None
    if found.st_uid != os.geteuid():
        return f"{path} belongs to another user, who can read and write what is remembered"
    if found.st_nlink > 1:
        return f"{path} has another name as well (a hard link), from where it could be read and written"
    if found.st_mode & _WRITE:
        return f"{path} can be written by others: delete it, or see to what is in it and `chmod 600` it"
    return None


def _tighten(path: Path, create: int = 0) -> None:
    """Take others' rights to a file away, whatever the process's umask."""
    made = os.open(path, os.O_RDWR | create | _NO_FOLLOW, 0o600)
    try:
        found = os.fstat(made)
        problem = _problem(path, found)  # of the file itself, whatever has become of its name since
        if problem:
            raise UnsafeFile(problem)
        if hasattr(os, "fchmod") and stat.S_IMODE(found.st_mode) != 0o600:
            os.fchmod(made, 0o600)
    finally:
        os.close(made)


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
