"""How every command ends: its exit code, and the one line on stderr that says what was wrong.

Kept free of other libraries, since it also speaks where those of the commands aren't installed.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from io import TextIOWrapper

from adapter._util import regular_files, safe_names

EXIT_FINDINGS = 1
"""The command worked, and what it found is to be looked at."""
EXIT_USAGE = 2
"""The command was used wrongly, or can't work with what it was given."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, as shells have it."""

_MAX_CHARACTERS = 4000  # characters of a line
_CLOSED_PIPE_ERRORS = {errno.EPIPE, errno.ESHUTDOWN}
_WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF}


class UsageError(Exception):
    """What the user can mend: printed in one line on stderr, without a traceback; the command ends with WRONG."""


class Interrupted(Exception):
    """Ctrl-C, or the end of the input where an answer was asked for; the command ends with INTERRUPTED."""


def print_error(message: object) -> None:
    """Print a mistake as its one line on stderr, if anybody reads that."""
    with suppress(OSError, ValueError, AttributeError):  # full, closed, or none
        print(
            f"adapter: {safe_names.printable(message, _MAX_CHARACTERS)}",
            file=sys.stderr,
            flush=True,
        )


def usage_error_from(error: OSError) -> UsageError | None:
    """Say what the system refused; None where a reader has gone (`| head`), of which nothing is to be said."""
    if error.errno in _CLOSED_PIPE_ERRORS:
        return None
    if isinstance(error.filename, (str, bytes)):
        return UsageError(f"{os.fsdecode(error.filename)}: {regular_files.reason_of(error)}")
    try:
        os.getcwd()  # noqa: PTH109  # only whether it is there
    except OSError:
        return UsageError("the working directory doesn't exist any more")
    return UsageError(
        f"{'stdout' if error.errno in _WRITE_ERRORS else 'system'}: {regular_files.reason_of(error)}"
    )


def escape_unencodable() -> None:
    """Let stdout and stderr spell out what their encoding can't write: a lone surrogate, é in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_stdout() -> None:
    """Let go of what stdout still holds: it can't be written, and Python would try again at its exit."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
