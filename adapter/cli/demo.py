"""Be `adapter demo`: the same programs on both APIs, side by side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from adapter.cli.running import PROGRAMS, Source, run
from adapter.cli.saying import Json, print_json
from adapter.cli.showing import document, side_by_side

_SCRIPTED = (
    "Replayed from recordings, without a key or the network. The server that was recorded and its wire are real (vLLM, which "
    "speaks both APIs); its model is a scripted stand-in, so the replies were written beforehand. Use --live for real ones."
)
_LIVE = "Live: the programs talk to {where}. A model words two replies differently, so only types, ends and calls are compared."


def demo(
    live: Annotated[
        bool, typer.Option("--live", help="Ask the real API, with OPENAI_API_KEY; this costs a little.")
    ] = False,
    server: Annotated[str | None, typer.Option(help="Ask a compatible server, by its base URL (…/v1).")] = None,
    key: Annotated[str | None, typer.Option(help="The key for --server.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Run only this program; may be repeated.")] = None,
    save: Annotated[Path | None, typer.Option(help="Keep the cassettes of a live run in this folder.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Run Chat Completions programs on both APIs, and show what each call site saw, what went out and what was decided."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 100  # rich takes 80 for a pipe, too narrow for two columns
    source = Source(live=live or server is not None, url=server, key=key)
    if live and not server and not os.environ.get("OPENAI_API_KEY"):
        raise typer.BadParameter("--live needs OPENAI_API_KEY in the environment")
    unknown = set(only or ()) - {program.name for program in PROGRAMS}
    if unknown:
        raise typer.BadParameter(
            f"--only: no program {', '.join(sorted(unknown))}; there are {', '.join(program.name for program in PROGRAMS)}"
        )
    if not as_json:
        where = server or "the real API"
        console.print(Text(_LIVE.format(where=where) if source.live else _SCRIPTED, style="italic"), "")
    differing, shown = [], []
    for program in PROGRAMS:
        if only and program.name not in only:
            continue
        outcomes = [run(program, side, source, save_to=save) for side in program.sides]
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
    if differing:
        raise typer.Exit(1)
