"""Measure everything, print the table, and write bench/RESULTS.md and the plots in docs/pictures/.

    python -m bench            everything, a few minutes
    python -m bench --short    a short run that writes nothing, to see that the benchmark works

No figure fails a run.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import openai

from . import rows
from .others import others
from .plot import SCHEMES, plot
from .rows import Row
from .server import Server

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "pictures"


def measured(*, short: bool) -> list[Row]:
    """Run all measurements."""
    few = 3 if short else 1
    with Server() as server:
        steps: list[Callable[[], list[Row]]] = [
            lambda: rows.streams(server, 45 // few**2, asynchronous=False),
            lambda: rows.streams(server, 45 // few**2, asynchronous=True),
            lambda: rows.streams(server, 12 // few**2, asynchronous=False, paced=True),
            lambda: rows.wholes(server, 300 // few**3, 1),
            lambda: rows.wholes(server, 40 // few**2, 100),
            lambda: rows.wholes(server, 15 // few, 1000),
            lambda: rows.first_tokens(server, 150 // few**3),
            lambda: rows.connections(server),
            lambda: rows.memory(server, 100, 1),
            lambda: rows.memory(server, 10, 100),
            lambda: rows.concurrent(server, 100 if short else 1000),
            lambda: rows.imports(9 // few),
            *([] if short else [lambda: others(server)]),
        ]
        found = []
        for step in steps:
            for row in step():
                print(line(row), flush=True)
                found.append(row)
    return found


def line(row: Row) -> str:
    """Format one row for the terminal."""
    goal = f"reach {row.reach}" + (f", aim {row.aim}" if row.aim else "") if row.reach else ""
    met = "" if row.met is None else ("met" if row.met else "NOT met")
    figures = f"{_figure(row):>12} {_ratio(row):>7}"
    return f"{row.what:<52} {row.who:<28} {figures}  {goal:<32} {met}".rstrip()


def _figure(row: Row) -> str:
    return f"{row.figure:,.1f} {row.unit}" if row.unit else f"{row.figure:.0f}"


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f}×"


def markdown(found: list[Row]) -> str:
    """Format all rows as a Markdown page."""
    head = [
        "# What it costs",
        "",
        f"Made by `make bench` on Python {platform.python_version()} and openai {openai.VERSION},",
        f"{os.cpu_count()} cores. Medians of interleaved rounds against a server in its own",
        "process; the ratio is the median of the rounds' own ratios to the SDK's native chat call.",
        "CPU time is that of the client's process.",
        "",
        *(f"![Ratios](../docs/pictures/results.{scheme}.svg#only-{scheme})" for scheme in SCHEMES),
        "",
        "| what | who | figure | ratio | reach | aim | |",
        "|---|---|--:|--:|---|---|---|",
    ]
    body = [
        f"| {row.what} | {row.who} | {_figure(row)} | {_ratio(row)} | {row.reach} | {row.aim} | "
        f"{'' if row.met is None else 'met' if row.met else '**not met**'} |"
        for row in found
    ]
    return "\n".join([*head, *body, ""])


def main() -> None:
    """Measure and print; write the page and the plot unless the run is short."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    short = "--short" in sys.argv[1:]
    found = measured(short=short)
    if not short:
        (HERE / "RESULTS.md").write_text(markdown(found), encoding="utf-8")
        for scheme in SCHEMES:
            (PICTURES / f"results.{scheme}.svg").write_text(plot(found, scheme), encoding="utf-8")


if __name__ == "__main__":
    main()
