"""The commands as one typer application; each is imported when it is called."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .commands import COMMANDS, unknown_command, usage
from .exit_codes import Interrupted, UsageError
from .typer_errors import error_message

_HELP = ["-h", "--help"]
_COMPLETION = ("--install-completion", "--show-completion")
# ClickException, of click itself or of the copy in typer.
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]


class _Commands(TyperGroup):
    """The group of the commands in `COMMANDS`."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command."""
        one = COMMANDS.get(cmd_name)
        if one is None:
            return None
        if self._listing:
            return TyperCommand(one.name, help=one.help)
        single = _new_app()
        single.command(one.name, context_settings={"help_option_names": _HELP})(one.load())
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called. Raises UsageError."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing and not args[0].startswith("-"):
            raise UsageError(unknown_command(args[0]))
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: Any) -> str:
        """Return the help text, which is the same if typer isn't installed."""
        return usage().rstrip("\n")

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete names of commands without importing these."""
        self._listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._listing = False

    def invoke(self, ctx: Any) -> Any:
        """Run the command; turn interrupts and OSErrors into exceptions that typer passes on."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None
        except OSError as error:  # typer would end the process if a pipe is closed
            raise _CarriedOSError(error) from None


class _CarriedOSError(Exception):
    """Carries an OSError past typer."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _new_app(**more: Any) -> typer.Typer:
    return typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **more
    )


app = typer.Typer(
    name="adapter",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": _HELP},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from adapter import __version__

        print(f"adapter {__version__}")
        raise typer.Exit


@app.callback()
def adapter(
    version: Annotated[
        bool,
        typer.Option(
            "-V",
            "--version",
            help="Show the version and exit.",
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
) -> None:
    """Run Chat Completions code on the Responses API."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code.

    Raises UsageError, Interrupted, AdapterError and OSError.
    """
    if arguments and arguments[0] in _COMPLETION:
        return _completion(*arguments)
    return _run(arguments)


def _completion(option: str, *shell: str) -> int:
    """Show or install the completion of the named shell, by default of the current one."""
    if shell:  # typer's option takes a value only if it doesn't detect the shell
        os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    stderr = io.StringIO()
    with redirect_stderr(stderr):
        code = _run((option, *shell))
    if code:
        raise UsageError(
            f"{option}: the shell can't be detected; name it: bash, zsh, fish, powershell, pwsh"
        )
    print(stderr.getvalue(), end="", file=sys.stderr)
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(list(arguments), prog_name="adapter", standalone_mode=False)
    except _CarriedOSError as carried:
        raise carried.error from None
    except typer.Abort:
        raise Interrupted from None
    except _ClickException as error:
        raise UsageError(error_message(error)) from None
    except SystemExit as end:  # completion
        if not isinstance(end.code, (int, type(None))):
            print(end.code, file=sys.stderr)
            return 1
        code = end.code
    return code if isinstance(code, int) else 0
