"""Files that others may have put there: only regular ones are read, none is waited for, and none without a bound."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)  # fmt: skip
# Without a wait for a pipe's other end; no device becomes this process's terminal. Windows has neither.
_OPEN = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_SPARSE_LIMIT = 1 << 30  # bytes from which on a file of holes isn't read


class Unreadable(ValueError):
    """A file that can't be read or written; the message says why."""


def reason_of(error: OSError) -> str:
    """Say why the system refused."""
    return error.strerror or type(error).__name__


def is_file(path: str | Path) -> bool:
    """Tell whether a file is there; pathlib raises where a folder on the way can't be entered."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Tell whether a folder is there; see is_file."""
    return os.path.isdir(path)  # noqa: PTH112


def check_regular(found: os.stat_result) -> None:
    """Raise Unreadable for what is no regular file, or nothing but a hole."""
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_one, name in _KINDS if is_one(found.st_mode)), "something else")
        raise Unreadable(f"not a regular file: {kind}")
    blocks = getattr(found, "st_blocks", None)  # of 512 bytes
    if (
        blocks is not None
        and found.st_size > _SPARSE_LIMIT
        and blocks * 512 < found.st_size // 1000
    ):
        raise Unreadable("a sparse file: nearly all of it is a hole")


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a regular file to be read. Raises Unreadable."""
    try:
        check_regular(os.stat(path))  # noqa: PTH116  # first: opening a device may do something
        handle = os.open(path, _OPEN)
    except OSError as error:
        raise Unreadable(reason_of(error)) from None
    except Unreadable:
        raise
    except ValueError:  # a NUL in the name
        raise Unreadable("no name of a file") from None
    try:
        check_regular(os.fstat(handle))  # what stands there now
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read(path: str | Path, max_bytes: int) -> bytes:
    """Read a regular file of at most so many bytes. Raises Unreadable."""
    with open_regular(path) as file:
        return read_open(file, max_bytes)


def read_open(file: IO[bytes], max_bytes: int) -> bytes:
    """Read at most so many bytes of what is open. Raises Unreadable."""
    try:
        raw = file.read(max_bytes + 1)
    except OSError as error:
        raise Unreadable(reason_of(error)) from None
    if len(raw) > max_bytes:
        raise Unreadable(f"larger than {max_bytes >> 20} MiB")
    return raw
