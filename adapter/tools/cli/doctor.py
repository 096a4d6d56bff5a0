"""`adapter doctor`: check an installation for problems."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from adapter._util import json_codec
from adapter.errors import ConfigurationError
from adapter.tools.doctor import CHECKS, Environment, Finding, State, run_checks

from .console import (
    EXIT_FINDINGS,
    Json,
    SettingsFile,
    UsageError,
    find_settings_file,
    load_settings,
    out,
    print_json,
    progress,
    read_file_argument,
)

_STATE_STYLES: dict[State, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("note", "cyan"),
    "warning": ("warning", "yellow"),
    "failed": ("FAILED", "bold red"),
    "skipped": ("skipped", "dim"),
}


def doctor(
    settings: SettingsFile = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Also ask both endpoints of OPENAI_BASE_URL, with an empty request that costs "
            "nothing.",
        ),
    ] = False,
    flags: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:OBJECT",
            help="Also ask this OpenFeature client (or a factory of one) for the flag.",
        ),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Route this call, the JSON body of a Chat Completions request."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check this installation: package, SDK, settings, rules, memory, flag, endpoints and routing.

    Run it where your program runs, with its environment: the settings are those that the program
    gets from its environment and file. Settings in code (`settings=…`, `_env_file=…`) aren't
    visible to it.
    Exits with 0 if no check failed, otherwise with 1; shows no secrets.
    """
    problem, in_force, file = "", None, None
    try:
        in_force, file = load_settings(
            settings, allow_kill_switch=True, search_working_directory=False
        )
    except UsageError as mistake:
        problem = str(mistake)
    installation = Environment(
        in_force,
        problem,
        dict(os.environ),
        Path.cwd(),
        flags,
        live,
        sample=None if sample is None else _read(sample),
        unread_settings_file=(
            _unread_settings_file() if in_force is not None and file is None else None
        ),
    )
    found: list[Finding] = []
    with progress("checking", total=len(CHECKS)) as advance:
        try:
            for finding in run_checks(installation):
                found.append(finding)
                advance()
        except ConfigurationError as error:
            raise UsageError(str(error)) from None
    failed = any(one.state == "failed" for one in found)
    if as_json:
        print_json({"ok": not failed, "findings": [one.document() for one in found]})
    else:
        _print(found)
    if failed:
        raise typer.Exit(EXIT_FINDINGS)


def _unread_settings_file() -> Path | None:
    """Find the settings file in the working directory, which no program reads."""
    try:
        return find_settings_file()
    except UsageError:
        return Path("adapter.toml")


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json_codec.loads_strictly(
            read_file_argument(path, "--sample ").removeprefix(b"\xef\xbb\xbf")
        )
        json_codec.dumps(body)  # raises for 1e999, which is an infinity
    except ValueError:
        raise UsageError(f"--sample {path}: not JSON") from None
    if not isinstance(body, dict) or "messages" not in body:
        raise UsageError(
            f"--sample {path}: expected the body of a Chat Completions call, "
            "an object with `messages`"
        )
    return body


def _print(found: list[Finding]) -> None:
    console = out()
    for one in found:
        if one.name == "settings" and one.state == "ok":
            console.print(_settings(one.details["settings"]))
    table = Table.grid(padding=(0, 2))
    for one in found:
        word, style = _STATE_STYLES[one.state]
        message = Text(one.message)
        if one.advice:
            message.append(f"\n{one.advice}", style="italic")
        table.add_row(Text(word, style=style), one.name, message)
    console.print(table)
    counts = Counter(one.state for one in found)
    console.print(
        Text(
            ", ".join(f"{counts[state]} {state}" for state in _STATE_STYLES if counts[state]),
            style="bold",
        )
    )


def _settings(rows: list[dict[str, Any]]) -> Table:
    table = Table("setting", "value", "from", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        value = (
            row["value"]
            if isinstance(row["value"], str)
            else json.dumps(row["value"], ensure_ascii=False)
        )
        style = "dim" if row["from"] == "default" else ""
        table.add_row(
            *(
                Text(text, style=style, overflow="fold")
                for text in (row["name"], value, row["from"])
            )
        )
    return table
