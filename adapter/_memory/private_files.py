"""Files that nobody else can write or read.

What is remembered in a file is as trustworthy as its owner and mode are.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_OWNER_ONLY = 0o600
_WRITABLE_BY_OTHERS = 0o022
_COMPANION_SUFFIXES = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file, with the file's mode."""


class UnsafeFile(OSError):
    """A file that isn't this user's alone; the message says what is wrong with it."""


def check(path: Path) -> None:
    """Look whether a file could be made, or used if it is there, and change nothing.

    Raises ValueError.
    """
    problem: str | None = None
    try:
        if not path.parent.is_dir():
            problem = f"the folder {path.parent} isn't there"
        for one in _with_companions(path):
            problem = problem or _problem(one, _stat(one))
    except OSError as error:
        problem = f"{path}: {error.strerror}"
    if problem:
        raise ValueError(problem)


def make_private(path: Path) -> tuple[int, int]:
    """Make a file for its owner alone, or see that it is one; return what identifies it.

    Others' reading rights are taken away; others' writing rights are refused, since what is in it
    may be theirs. A folder may be a link, the file itself not. No file is opened that is there:
    when it is closed again, the locks of this process's connections to it would be gone. Raises
    UnsafeFile, and OSError for a file that can't be made.
    """
    for one in _with_companions(path):
        found = _stat(one)
        _refuse(one, found)
        if found is None and one == path:
            _create(one)
            found = one.lstat()
            _refuse(one, found)
        if found is not None and _modes_matter() and stat.S_IMODE(found.st_mode) != _OWNER_ONLY:
            with suppress(FileNotFoundError):  # SQLite takes those beside it away, too
                one.chmod(_OWNER_ONLY)  # whatever the umask
    return _identity(path)


def check_unchanged(path: Path, before: tuple[int, int]) -> None:
    """Raise UnsafeFile where a file is another one than before: SQLite opens it by its name."""
    _refuse(path, _stat(path))
    if _identity(path) != before:
        raise UnsafeFile(f"{path} was replaced while it was opened")


def _create(path: Path) -> None:
    with suppress(
        FileExistsError
    ):  # another process makes it at this moment; what it is will be seen
        try:
            os.mknod(path, _OWNER_ONLY | stat.S_IFREG)
        except (AttributeError, PermissionError):  # elsewhere than on Linux
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))


def _refuse(path: Path, found: os.stat_result | None) -> None:
    problem = _problem(path, found)
    if problem:
        raise UnsafeFile(problem)


def _modes_matter() -> bool:
    return hasattr(os, "geteuid")  # not on Windows, whose rights are others


def _with_companions(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + side) for side in _COMPANION_SUFFIXES)]


def _stat(path: Path) -> os.stat_result | None:
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
    if not _modes_matter():
        return None
    if found.st_uid != os.geteuid():
        return f"{path} belongs to another user, who can read and write what is remembered"
    if found.st_nlink > 1:
        return f"{path} has another name as well (a hard link), from where it could be read and written"
    if found.st_mode & _WRITABLE_BY_OTHERS:
        return f"{path} can be written by others: delete it, or see to what is in it and `chmod 600` it"
    return None


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
