"""Be the command `adapter`.

The commands need the extra `cli`, and are imported when one is called: `import adapter` never pays for them.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

from adapter import names
from adapter.errors import MissingExtra

_LONGEST_MISTAKE = 4000
_INTERRUPTED = 130  # as shells have it
_NEEDED = frozenset({"typer", "click", "rich", "vcr", "yaml"})


def main() -> None:
    """Run the command line; without the extra `cli`, say so and exit with 1. What the user can mend is one line, and exit 2."""
    try:
        _run()
    except KeyboardInterrupt:  # while a command is being imported; later Typer says it
        print("Aborted.", file=sys.stderr)
        raise SystemExit(_INTERRUPTED) from None


def _run() -> None:
    try:
        from adapter.cli.app import app
        from adapter.cli.saying import WRONG, Mistake
    except ImportError as missing:
        if (missing.name or "").partition(".")[0] not in _NEEDED and not isinstance(missing, MissingExtra):
            raise
        print("The command line needs its extra: pip install 'chat-responses-adapter[cli]'", file=sys.stderr)
        raise SystemExit(1) from missing
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # what it can't write is spelled out: a lone surrogate, é in ASCII
                stream.reconfigure(errors="backslashreplace")
        app()
    except (Mistake, MissingExtra) as mistake:
        print(f"adapter: {names.printable(mistake, _LONGEST_MISTAKE)}", file=sys.stderr)
        raise SystemExit(WRONG) from None
