"""`adapter demo`: run the same programs on both APIs, side by side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from adapter.testing.credentials import clean_url
from adapter.tools.connection_errors import is_http_url
from adapter.tools.doctor.connectivity import OFFICIAL_URL, why_unusable

from .console import EXIT_FINDINGS, Json, UsageError, out, print_json
from .demo_runs import PROGRAMS, Program, RunResult, Side, Source, run
from .demo_view import document, next_steps, side_by_side

_INTRODUCTION = (
    "Each program, written for Chat Completions, runs twice: on Chat Completions and on the "
    "Responses API. A column is one run: what its call site got, what was sent over HTTP, and "
    "which API was chosen and why. What the call sites get must be the same."
)
_SCRIPTED = (
    "Replayed from recordings of vLLM, without a key or the network. The server and its replies "
    "are real; its model is a scripted stand-in."
)
_LIVE = (
    "Live: the programs talk to {where}. Two replies of a model differ in wording, so only types, "
    "finish reasons and tool calls are compared."
)


def demo(
    live: Annotated[
        bool,
        typer.Option("--live", help="Ask the real API, with OPENAI_API_KEY; this costs a little."),
    ] = False,
    server: Annotated[
        str | None, typer.Option(help="Ask a compatible server, by its base URL (…/v1).")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The key for --server.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run only this program; may be repeated.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Keep the cassettes of a live run in this folder.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Run Chat Completions programs on both APIs; show results, HTTP requests and routing."""
    if live and not server and not os.environ.get("OPENAI_API_KEY"):
        raise UsageError("--live: needs OPENAI_API_KEY in the environment")
    known = [program.name for program in PROGRAMS]
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        raise UsageError(f"--only: no program {', '.join(unknown)}; there are {', '.join(known)}")
    if save is not None and not (live or server):
        raise UsageError("--save: only with --live or --server")
    source = Source(live=live or server is not None, url=server, key=key)
    where = "" if not source.live else _reachable(source)
    console = out()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 100  # two columns
    if not as_json:
        console.print(Text(_INTRODUCTION))
        console.print(Text(_LIVE.format(where=where) if source.live else _SCRIPTED, style="italic"))
        console.print()
    differing, shown = [], []
    for program in PROGRAMS:
        if only and program.name not in only:
            continue
        outcomes = [_run(program, side, source, where, save) for side in program.sides]
        same = outcomes[0].agrees_with(outcomes[1], words=not source.live)
        if as_json:
            shown.append(document(program, outcomes, same=same))
        else:
            side_by_side(console, program, outcomes, same=same)
        if not same:
            differing.append(program.name)
    if as_json:
        print_json({"live": source.live, "same": not differing, "programs": shown})
    elif differing:
        console.print(Text(f"Different outcomes: {', '.join(differing)}", style="bold red"))
    else:
        next_steps(console)
    if differing:
        raise typer.Exit(EXIT_FINDINGS)


def _reachable(source: Source) -> str:
    """Check that there is an API, and return its URL without credentials. Raises UsageError."""
    named = source.url is not None
    base = (
        source.url if source.url is not None else os.environ.get("OPENAI_BASE_URL") or OFFICIAL_URL
    )
    if not is_http_url(base):
        raise UsageError(
            f"{'--server' if named else 'OPENAI_BASE_URL'}: expected http(s)://host/path"
        )
    key = source.api_key
    if not (key.isascii() and key.isprintable()):
        raise UsageError(
            f"{'--key' if named else 'OPENAI_API_KEY'}: contains characters that no key has, "
            "such as a line break"
        )
    shown = clean_url(base)
    why = why_unusable(base, key)
    if why:
        raise UsageError(f"{shown}: {why}")
    return shown


def _run(program: Program, side: Side, source: Source, where: str, save: Path | None) -> RunResult:
    """Run a program. Raises UsageError if a real server fails on Chat Completions itself."""
    outcome = run(program, side, source, save_to=save)
    why = outcome.failure_reason if source.live else ""
    if why and (side is program.sides[0] or why.startswith("not reachable")):
        raise UsageError(f"{where}: {program.name}: {why}")
    return outcome
