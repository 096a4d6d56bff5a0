"""How every command ends: its exit code, and an error message in one line on stderr.

This module imports no third-party library, so that it works if those of the commands are missing.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from io import TextIOWrapper

from adapter._util import regular_files, safe_names

EXIT_FINDINGS = 1
"""The command worked and found something that needs attention."""
EXIT_USAGE = 2
"""The command was used wrongly or can't work with its input."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, by the convention of shells."""

_MAX_CHARACTERS = 4000  # of an error message
_CLOSED_PIPE_ERRORS = {errno.EPIPE, errno.ESHUTDOWN}
_WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF}


class UsageError(Exception):
    """An error that the user can fix: one line on stderr, no traceback, exit code EXIT_USAGE."""


class Interrupted(Exception):
    """Ctrl-C, or the end of the input at a prompt; the exit code is EXIT_INTERRUPTED."""


def print_error(message: object) -> None:
    """Print an error message in one line on stderr, if that can be written."""
    with suppress(OSError, ValueError, AttributeError):  # full, closed or missing
        print(
            f"adapter: {safe_names.printable(message, _MAX_CHARACTERS)}",
            file=sys.stderr,
            flush=True,
        )


def usage_error_from(error: OSError) -> UsageError | None:
    """Return the message for an OSError; None if the reader closed the pipe (`| head`)."""
    if error.errno in _CLOSED_PIPE_ERRORS:
        return None
    if isinstance(error.filename, (str, bytes)):
        return UsageError(f"{os.fsdecode(error.filename)}: {regular_files.reason_of(error)}")
    try:
        os.getcwd()  # noqa: PTH109  # only to see whether it exists
    except OSError:
        return UsageError("the working directory doesn't exist any more")
    where = "stdout" if error.errno in _WRITE_ERRORS else "system"
    return UsageError(f"{where}: {regular_files.reason_of(error)}")


def escape_unencodable() -> None:
    """Escape characters that the encoding of stdout or stderr lacks, such as lone surrogates."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_stdout() -> None:
    """Discard the rest of stdout, which can't be written; Python would try again when it exits."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
