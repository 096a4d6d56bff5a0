"""`adapter force`: write the kill switch into a settings file, or remove it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from adapter._settings import environment
from adapter._util.safe_names import printable
from adapter.tools.kill_switch import ForceError, ForceResult, force_file

from .console import EXIT_FINDINGS, UsageError, err, out

_EFFECTS = {
    "chat": "every call goes to Chat Completions",
    "native": "every call goes to the API it was written for",
}


def force_(
    value: Annotated[
        Literal["chat", "native", "off"],
        typer.Argument(
            metavar="chat|native|off",
            help="chat: every call to Chat Completions; native: each to the API it was written "
            "for; "
            "off: as the settings say.",
            show_default=False,
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="The settings file that the program reads; else ADAPTER_CONFIG.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the kill switch into a settings file, or remove it; running programs follow at once.

    The file must exist. It is replaced in one step; everything else in it is kept. Exits with 1 if
    the file needs attention (it has an error, for example), and with 2 if nothing was written.
    """
    variables = environment.read()
    config = variables.get(environment.CONFIG)
    named = file or (None if config is None else Path(config))
    if named is None:
        raise UsageError(f"FILE: name the settings file, or set {environment.CONFIG}")
    try:
        done = force_file(named, value)
    except ForceError as error:
        raise UsageError(str(error)) from None
    out().print(_message(done), soft_wrap=True)
    for remark in done.remarks:
        err().print(printable(f"{named}: {remark}", 4000), soft_wrap=True)
    if variables.get("ADAPTER_FORCE") is not None:
        err().print("ADAPTER_FORCE is also set in this environment and applies as well.")
    if done.remarks:
        raise typer.Exit(EXIT_FINDINGS)


def _message(result: ForceResult) -> str:
    if result.value is not None:
        how = "now sets" if result.written else "already sets"
        effect = _EFFECTS.get(result.value, "every call is forced")
        return f'{result.path} {how} force = "{result.value}" (line {result.line}): {effect}.'
    if not result.written:
        return f"{result.path} forces nothing: there was nothing to remove."
    lines = f"line{'s' * (len(result.removed_from) > 1)} {', '.join(map(str, result.removed_from))}"
    return (
        f"{result.path} no longer forces a backend (removed from {lines}): "
        "calls go where the settings say."
    )
