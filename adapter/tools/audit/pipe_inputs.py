"""Read inputs that can be read only once: standard input, named pipes, and a shell's `<(…)`."""

from __future__ import annotations

import io
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

from adapter._util.regular_files import Unreadable, reason_of

STDIN = "-"
_SHELL_PATHS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_WRITER_TIMEOUT = 5.0  # seconds until a process must open a named pipe for writing
_READ_BYTES = 1 << 16


class FilePart(io.RawIOBase):
    """A file, up to `size` bytes. `head` was read before; closes the file if `owned`."""

    def __init__(
        self, file: Any, size: int | None = None, head: bytes = b"", *, owned: bool = True
    ) -> None:
        super().__init__()
        self._file, self._remaining, self._head, self._owned = file, size, head, owned

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes into a buffer and return their number, 0 at the end."""
        most = len(buffer) if self._remaining is None else min(len(buffer), self._remaining)
        if self._head:
            data, self._head = self._head[:most], self._head[most:]
        else:
            data = (
                (self._file.read1 if self._remaining is None else self._file.read)(most)
                if most
                else b""
            )
        if self._remaining is not None:
            self._remaining -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file if it is owned."""
        if self._owned and not self.closed:
            self._file.close()
        super().close()


def is_pipe(path: str | Path) -> bool:
    """Return whether a path that was given can be read only once."""
    name = str(path)
    if name == STDIN:
        return True
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116  # follows links
    except (OSError, ValueError):
        return False
    # A file that a shell redirects is a regular file; a terminal is named only by its number.
    return stat.S_ISFIFO(mode) or (
        name.startswith(_SHELL_PATHS) and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    )


def open_pipe(path: str) -> io.BufferedReader[FilePart]:
    """Open a path that `is_pipe`.

    Raises Unreadable for terminals, devices, and a named pipe without a writer.
    """
    try:
        file, head = (_stdin(), b"") if path == STDIN else _open_named_pipe(path)
    except OSError as error:
        raise Unreadable(reason_of(error)) from None
    found = io.BufferedReader(FilePart(file, head=head, owned=path != STDIN), _READ_BYTES)
    try:
        mode = os.fstat(file.fileno())
    except (
        OSError,
        ValueError,
    ):  # not a file of the operating system: sys.stdin was replaced
        return found
    if stat.S_ISCHR(mode.st_mode) and mode.st_rdev != _null_device():
        terminal = os.isatty(file.fileno())
        found.close()
        raise Unreadable("a terminal: expected a pipe or a file" if terminal else "a device")
    return found


def _stdin() -> Any:
    if sys.stdin is None:
        raise Unreadable("closed")
    return sys.stdin.buffer


def _null_device() -> int:
    try:
        return os.stat(os.devnull).st_rdev  # noqa: PTH116  # not a path of the user's
    except OSError:
        return -1


def _open_named_pipe(path: str) -> tuple[Any, bytes]:
    """Open a named pipe, and wait a limited time for a writer."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        head = _read_first(handle) if stat.S_ISFIFO(os.fstat(handle).st_mode) else b""
        os.set_blocking(handle, True)
        return os.fdopen(handle, "rb"), head
    except BaseException:
        os.close(handle)
        raise


def _read_first(handle: int) -> bytes:
    until = time.monotonic() + _WRITER_TIMEOUT
    while True:
        try:
            head = os.read(handle, _READ_BYTES)
        except BlockingIOError:  # there is a writer that hasn't written yet
            return b""
        if head:
            return head
        if time.monotonic() > until:
            raise Unreadable("a named pipe without a writer")
        time.sleep(0.02)
