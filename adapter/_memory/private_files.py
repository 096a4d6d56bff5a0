"""Files that no other user can write or read.

A stored turn is as trustworthy as its file's owner and mode (docs/decisions.md#untrusted-store).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_OWNER_ONLY = 0o600
_WRITABLE_BY_OTHERS = 0o022
_COMPANION_SUFFIXES = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite makes beside a database, with its mode."""


class UnsafeFile(OSError):
    """Raised for a file that other users may write or read; the message says why."""


def check(path: Path) -> None:
    """Raise ValueError if a file couldn't be used, or made if it is missing; change nothing."""
    problem: str | None = None
    try:
        if not path.parent.is_dir():
            problem = f"the folder {path.parent} isn't there"
        for file in _with_companions(path):
            problem = problem or _problem(file, _stat(file))
    except OSError as error:
        problem = f"{path}: {error.strerror}"
    if problem:
        raise ValueError(problem)


def make_private(path: Path) -> tuple[int, int]:
    """Make a file for its owner alone, or restrict an existing one; return its identity.

    A file that others can read is restricted; one that others can write is refused, since they
    may have written its contents. The folder may be a symbolic link, the file may not. An existing
    file is not opened: closing it would release the locks of this process's connections to it.
    Raises UnsafeFile, and OSError for a file that can't be made.
    """
    for file in _with_companions(path):
        status = _stat(file)
        _refuse(file, status)
        if status is None and file == path:
            _create(file)
            status = file.lstat()
            _refuse(file, status)
        if status is not None and _modes_matter() and stat.S_IMODE(status.st_mode) != _OWNER_ONLY:
            with suppress(FileNotFoundError):  # SQLite may delete a companion meanwhile
                file.chmod(_OWNER_ONLY)  # whatever the umask
    return _identity(path)


def check_unchanged(path: Path, before: tuple[int, int]) -> None:
    """Raise UnsafeFile if a file was replaced: SQLite opens it by name."""
    _refuse(path, _stat(path))
    if _identity(path) != before:
        raise UnsafeFile(f"{path} was replaced while it was opened")


def _create(path: Path) -> None:
    with suppress(FileExistsError):  # another process has just made it; it is checked below
        try:
            os.mknod(path, _OWNER_ONLY | stat.S_IFREG)
        except (AttributeError, PermissionError):  # not Linux
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))


def _refuse(path: Path, status: os.stat_result | None) -> None:
    problem = _problem(path, status)
    if problem:
        raise UnsafeFile(problem)


def _modes_matter() -> bool:
    return hasattr(os, "geteuid")  # not on Windows, which has no modes


def _with_companions(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in _COMPANION_SUFFIXES)]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _problem(path: Path, status: os.stat_result | None) -> str | None:
    """Return what is wrong with a file; None if nothing is, or if it doesn't exist."""
    if status is None:
        return None
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a link; name the file that it leads to"
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is a folder, or otherwise no file"
    if not _modes_matter():
        return None
    if status.st_uid != os.geteuid():
        return f"{path} belongs to another user, who can read and write what is remembered"
    if status.st_nlink > 1:
        return (
            f"{path} has another name as well (a hard link), "
            "through which it could be read and written"
        )
    if status.st_mode & _WRITABLE_BY_OTHERS:
        return (
            f"{path} can be written by others: delete it, or check its contents and `chmod 600` it"
        )
    return None


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
