"""The commands as one typer application, each of them imported when it is called."""

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
_ClickException: type[Exception] = typer.BadParameter.__mro__[
    2
]  # ClickException, which typer may bring itself


class _Commands(TyperGroup):
    """The group of the table's commands."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """List the names."""
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
        """Find the command that is called. Raises Mistake."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing and not args[0].startswith("-"):
            raise UsageError(unknown_command(args[0]))
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: Any) -> str:
        """Return the help, which is the same without these libraries."""
        return usage().rstrip("\n")

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """List names for a shell, without an import of what they name."""
        self._listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._listing = False

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what ends it from outside is ours to say."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None
        except OSError as error:  # typer would end by itself where a pipe is closed
            raise _CarriedOSError(error) from None


class _CarriedOSError(Exception):
    """Carries what the system refused past typer."""

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
    """Run a command line, and return its exit code. Raises Mistake, Interrupted, AdapterError and OSError."""
    if arguments and arguments[0] in _COMPLETION:
        return _completion(*arguments)
    return _run(arguments)


def _completion(option: str, *shell: str) -> int:
    """Show or install the completion of the shell that is named, else of the one that this runs in."""
    if shell:  # typer's option takes a value only where it doesn't look for the shell by itself
        os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    said = io.StringIO()
    with redirect_stderr(said):
        code = _run((option, *shell))
    if code:
        raise UsageError(
            f"{option}: which shell this is can't be told; name it: bash, zsh, fish, powershell, pwsh"
        )
    print(said.getvalue(), end="", file=sys.stderr)
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
