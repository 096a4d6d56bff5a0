"""Read files that others may have written: only regular ones, without blocking, up to a size."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Don't wait for the other end of a pipe, and let no device become the controlling terminal.
# Windows has neither flag.
_OPEN = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_SPARSE_LIMIT = 1 << 30  # bytes; larger files are checked for holes


class Unreadable(ValueError):
    """A file that can't be read or written; the message says why."""


def reason_of(error: OSError) -> str:
    """Return the system's reason."""
    return error.strerror or type(error).__name__


def is_file(path: str | Path) -> bool:
    """Return whether a file exists; pathlib raises if a parent folder can't be entered."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Return whether a folder exists; see is_file."""
    return os.path.isdir(path)  # noqa: PTH112


def check_regular(found: os.stat_result) -> None:
    """Raise Unreadable for anything but a regular file, and for a huge sparse file."""
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for matches, name in _KINDS if matches(found.st_mode)), "something else")
        raise Unreadable(f"not a regular file: {kind}")
    blocks = getattr(found, "st_blocks", None)  # of 512 bytes
    if (
        blocks is not None
        and found.st_size > _SPARSE_LIMIT
        and blocks * 512 < found.st_size // 1000
    ):
        raise Unreadable("a sparse file with almost no data")


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a regular file for reading. Raises Unreadable."""
    try:
        check_regular(os.stat(path))  # noqa: PTH116  # opening a device may have effects
        handle = os.open(path, _OPEN)
    except OSError as error:
        raise Unreadable(reason_of(error)) from None
    except Unreadable:
        raise
    except ValueError:  # a NUL in the name
        raise Unreadable("not a valid file name") from None
    try:
        check_regular(os.fstat(handle))  # again: the file may have been replaced in between
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read(path: str | Path, max_bytes: int) -> bytes:
    """Read a regular file of at most `max_bytes` bytes. Raises Unreadable."""
    with open_regular(path) as file:
        return read_open(file, max_bytes)


def read_open(file: IO[bytes], max_bytes: int) -> bytes:
    """Read an open file of at most `max_bytes` bytes. Raises Unreadable."""
    try:
        raw = file.read(max_bytes + 1)
    except OSError as error:
        raise Unreadable(reason_of(error)) from None
    if len(raw) > max_bytes:
        raise Unreadable(f"larger than {max_bytes >> 20} MiB")
    return raw
