"""The console of every command: its result on stdout, everything else on stderr.

Exit codes: 0 success; 1 the command worked and found something that needs attention; 2 it was used
wrongly or can't work with its input; 130 it was interrupted (see `exit_codes`). With `--json`,
stdout is one JSON document and nothing else.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment

from adapter import Settings
from adapter._settings import environment, settings_file
from adapter._util import regular_files, safe_names
from adapter._util.regular_files import Unreadable
from adapter.errors import ConfigurationError

from .exit_codes import EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_USAGE, UsageError

__all__ = [
    "EXIT_FINDINGS",
    "EXIT_INTERRUPTED",
    "EXIT_USAGE",
    "VERSION",
    "Json",
    "SettingsFile",
    "UsageError",
    "err",
    "find_settings_file",
    "load_settings",
    "out",
    "print_json",
    "progress",
    "read_file_argument",
    "read_stdin",
]

VERSION = 1
"""The version of the `--json` documents; increased if a field is removed or changes its meaning."""

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="The settings file, as in production; else ADAPTER_CONFIG's, else (not for the "
        "doctor) adapter.toml or [tool.adapter] of pyproject.toml here.",
    ),
]


def print_json(document: Mapping[str, Any]) -> None:
    """Print the document of `--json`, with `version` first unless it has its own."""
    document = document if "version" in document else {"version": VERSION, **document}
    text = safe_names.in_json(json.dumps(document, indent=2, ensure_ascii=False))
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # an encoding other than UTF-8, or a lone surrogate
        text = json.dumps(document, indent=2)
    sys.stdout.write(f"{text}\n")


class _Console(Console):
    """A console that prints text as it is, without markup and terminal control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Raise, so that `main` ends the command; rich would exit with 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield the segments to print, with control characters made visible."""
        for piece in super().render(renderable, options):
            text = piece.text if piece.control else safe_names.visible(piece.text)
            yield piece if text == piece.text else Segment(text, piece.style)


def out() -> Console:
    """Return the console for results; 120 columns wide if stdout isn't a terminal."""
    console = _Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 120
    return console


def err() -> Console:
    """Return the console for remarks and progress, on stderr."""
    return _Console(stderr=True)


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Any]:
    """Show a progress bar on stderr while the block runs, if stderr is a terminal.

    Yields `advance(by=1)`.
    """
    console = err()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(description, total=total)

        def advance(by: int = 1) -> None:
            bar.advance(task, by)

        yield advance


_MAX_SETTINGS_BYTES = 1 << 20  # of a settings file in the working directory
_MAX_REQUEST_BYTES = 256 << 20


def read_file_argument(path: Path, option: str = "") -> bytes:
    """Read a regular file, or a shell's `<(…)`, that the user names. Raises UsageError."""
    try:
        if path.as_posix().startswith(("/dev/fd/", "/dev/stdin", "/proc/self/fd/")):
            with path.open("rb") as file:
                return regular_files.read_open(file, _MAX_REQUEST_BYTES)
        return regular_files.read(path, _MAX_REQUEST_BYTES)
    except Unreadable as error:
        raise UsageError(f"{option}{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{option}{path}: {regular_files.reason_of(error)}") from None


def read_stdin() -> bytes:
    """Read standard input. Raises UsageError."""
    if sys.stdin is None:
        raise UsageError("stdin: closed")
    try:
        return regular_files.read_open(sys.stdin.buffer, _MAX_REQUEST_BYTES)
    except Unreadable as error:
        raise UsageError(f"stdin: {error}") from None


def load_settings(
    path: Path | None, *, allow_kill_switch: bool = False, search_working_directory: bool = True
) -> tuple[Settings, Path | None]:
    """Read the settings from the file named, else ADAPTER_CONFIG's, else the working directory's.

    Returns the settings and the file they came from, if any. Raises UsageError for settings that
    can't be used; with `allow_kill_switch` not for those that still apply a kill switch. Without
    `search_working_directory` the settings are those of a program, which reads only a file that is
    named. A file found in the working directory is reported on stderr.
    """
    named = path or environment.read().get(environment.CONFIG)
    if named is None and search_working_directory:
        named = find_settings_file()
        if named is not None:
            err().print(
                f"settings: {named}, found in the working directory; "
                "programs read it only if ADAPTER_CONFIG names it",
                soft_wrap=True,
            )
    logger = logging.getLogger("adapter")
    logger.addFilter(_is_below_error)
    try:
        settings = Settings(config_file=named)
    except ConfigurationError as error:
        raise UsageError(str(error).removeprefix("config_file: ")) from None
    finally:
        logger.removeFilter(_is_below_error)
    # A command's results must not depend on half of a settings file.
    if settings._problem and not allow_kill_switch:
        raise UsageError(settings._problem)
    return settings, Path(named) if named else None


def _is_below_error(record: logging.LogRecord) -> bool:
    """Filter errors from the log: the command reports problems of the settings itself."""
    return record.levelno < logging.ERROR


def find_settings_file() -> Path | None:
    """Find a settings file in the working directory. Raises UsageError if it can't be read."""
    own, project = Path("adapter.toml"), Path("pyproject.toml")
    if regular_files.is_file(own):
        try:
            regular_files.read(own, _MAX_SETTINGS_BYTES)
        except Unreadable as error:
            raise UsageError(f"{own}: {error}") from None
        return own
    try:
        regular_files.read(project, _MAX_SETTINGS_BYTES)
        found = settings_file.read(project)
    except (Unreadable, ConfigurationError):
        return None  # a project without settings for the adapter
    return None if found.problem else project
