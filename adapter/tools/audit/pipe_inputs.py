"""Bytes that come once: standard input, named pipes, and what a shell has opened (`<(…)`)."""

from __future__ import annotations

import io
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

from adapter._util.regular_files import Unreadable, why

STDIN = "-"
_OF_SHELLS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_PATIENCE = 5.0  # seconds for somebody to begin to write into a named pipe
_PIECE = 1 << 16


class Piece(io.RawIOBase):
    """A file as far as `size` bytes, or to its end, and closed with it if `owned`; `head` was read before."""

    def __init__(self, file: Any, size: int | None = None, head: bytes = b"", *, owned: bool = True) -> None:
        super().__init__()
        self._file, self._left, self._head, self._owned = file, size, head, owned

    def readable(self) -> bool:
        """Say that it is read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes into a buffer; none are left where it returns 0."""
        most = len(buffer) if self._left is None else min(len(buffer), self._left)
        if self._head:
            data, self._head = self._head[:most], self._head[most:]
        else:
            data = (self._file.read1 if self._left is None else self._file.read)(most) if most else b""
        if self._left is not None:
            self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file, where it is its own."""
        if self._owned and not self.closed:
            self._file.close()
        super().close()


def is_pipe(path: str | Path) -> bool:
    """Tell whether a path that was named stands for bytes that can be read only once."""
    name = str(path)
    if name == STDIN:
        return True
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116  # of what links lead to
    except (OSError, ValueError):
        return False
    # What a shell has redirected a file to is that file; a terminal is named only by its number.
    return stat.S_ISFIFO(mode) or (name.startswith(_OF_SHELLS) and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode))


def opened(path: str) -> io.BufferedReader[Piece]:
    """Open such a path. Raises Unreadable for terminals, devices, and a named pipe that nobody writes to."""
    try:
        file, head = (_stdin(), b"") if path == STDIN else _named(path)
    except OSError as error:
        raise Unreadable(why(error)) from None
    found = io.BufferedReader(Piece(file, head=head, owned=path != STDIN), _PIECE)
    try:
        mode = os.fstat(file.fileno())
    except (OSError, ValueError):  # no file of the system's: what runs this has put something in its place
        return found
    if stat.S_ISCHR(mode.st_mode) and mode.st_rdev != _null():
        terminal = os.isatty(file.fileno())
        found.close()
        raise Unreadable("a terminal: expected a pipe or a file" if terminal else "a device")
    return found


def _stdin() -> Any:
    if sys.stdin is None:
        raise Unreadable("closed")
    return sys.stdin.buffer


def _null() -> int:
    try:
        return os.stat(os.devnull).st_rdev  # noqa: PTH116  # no path of the user's
    except OSError:
        return -1


def _named(path: str) -> tuple[Any, bytes]:
    """Open a named pipe; whoever writes into it may come later, but isn't waited for without end."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        head = _first(handle) if stat.S_ISFIFO(os.fstat(handle).st_mode) else b""
        os.set_blocking(handle, True)
        return os.fdopen(handle, "rb"), head
    except BaseException:
        os.close(handle)
        raise


def _first(handle: int) -> bytes:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            head = os.read(handle, _PIECE)
        except BlockingIOError:  # somebody is there, and writes later
            return b""
        if head:
            return head
        if time.monotonic() > until:
            raise Unreadable("a named pipe that nobody writes to")
        time.sleep(0.02)
