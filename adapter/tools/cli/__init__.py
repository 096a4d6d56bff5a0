"""The `adapter` command.

Help and version need nothing beyond the core; a command and its libraries are imported when it is
called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from adapter.errors import AdapterError

from . import exit_codes
from .commands import COMMANDS, missing_packages, unknown_command, usage
from .exit_codes import EXIT_INTERRUPTED, EXIT_USAGE, Interrupted, UsageError

_COMPLETION_VARIABLE = "_ADAPTER_COMPLETE"  # set by the shells' completion


def main() -> None:
    """Run the command line and exit with a code of `exit_codes`.

    An error of the user's is one line on stderr.
    """
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    try:
        if sys.stdout is None:
            raise UsageError("stdout: closed")
        exit_codes.escape_unencodable()
        code = _dispatch(arguments)
        sys.stdout.flush()
    except (KeyboardInterrupt, Interrupted):
        exit_codes.print_error("interrupted")
        return EXIT_INTERRUPTED
    except (UsageError, AdapterError) as mistake:
        exit_codes.print_error(mistake)
        return EXIT_USAGE
    except OSError as error:
        message = exit_codes.usage_error_from(error)
        if message is not None:
            exit_codes.print_error(message)
        exit_codes.discard_stdout()
        return EXIT_USAGE
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    if _COMPLETION_VARIABLE not in os.environ:
        if not arguments:
            print(usage(), end="", file=sys.stderr)
            return EXIT_USAGE
        first, *rest = arguments
        if first in ("-h", "--help"):
            print(usage(), end="")
            return 0
        if first in ("-V", "--version"):
            from adapter import __version__

            print(f"adapter {__version__}")
            return 0
        command = COMMANDS.get(first)
        if command is None and not first.startswith("-"):
            raise UsageError(unknown_command(first))
        need = missing_packages(command or next(iter(COMMANDS.values())))
        if need and command is not None and not {"-h", "--help"}.isdisjoint(rest):
            print(
                f"Usage: adapter {first} …\n\n  {command.help}\n\n"
                f"Its options can't be shown here: it {need}."
            )
            return 0
        if need:
            raise UsageError(f"{first} {need}")
    from .app import run

    return run(arguments)
