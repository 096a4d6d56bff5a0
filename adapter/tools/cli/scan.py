"""`adapter scan`: find the calls of a code base, what becomes of each, and imports to change."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapter._util.safe_names import printable
from adapter.tools.scan.run import Finding, Report, require_libcst, scan
from adapter.tools.scan.sources import find_files

from .console import (
    EXIT_FINDINGS,
    Json,
    SettingsFile,
    UsageError,
    err,
    load_settings,
    out,
    print_json,
    progress,
)

_STYLES = {
    "moves": "green",
    "unless": "green",
    "setting": "yellow",
    "unclear": "cyan",
    "stays": "red",
    "refused": "bold red",
}


def scan_(  # noqa: PLR0917  # typer gives them by name
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Files and folders; else the working directory."),
    ] = None,
    settings: SettingsFile = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Leave out files or folders; may be repeated."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VERDICT",
            help="Exit with 1 if a call has this verdict: moves, unless, setting, unclear, stays, "
            "refused; may be repeated.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; else as many as there are cores.")
    ] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Change imports: show the diff and ask before writing. Piped, only the diff is "
            "shown.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --fix: write without asking.")
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Show every parameter of every call.")
    ] = False,
    sarif: Annotated[
        bool,
        typer.Option("--sarif", help="Print SARIF 2.1.0 on stdout, for code hosts and editors."),
    ] = False,
    json_: Json = False,
) -> None:
    """Find the calls of Chat Completions in Python files and notebooks, and judge each one.

    Nothing is run or imported. Verdicts: moves (as it is), unless (moves unless it gets what the
    code doesn't show: the parameters are named, and where they may come from), setting (moves with
    the settings named), unclear (can't be judged), stays (kept on Chat Completions), refused (an
    error under these settings). With --fix it changes imports instead: `from openai import OpenAI`
    to `from adapter import OpenAI`, and so on. Folders like .venv, node_modules and site-packages
    are skipped unless they are named. Exit codes: 0; 1 with --fail-on if such a call was found,
    or with --fix if changes were shown but not written; 2 if it was used wrongly.
    """
    require_libcst()
    from adapter.tools.scan.assessment import VERDICTS  # imports libcst

    named = paths or [Path()]
    for path in named:
        if not os.path.lexists(path):
            raise UsageError(f"{path}: no such file or folder")
    unknown = set(fail_on or ()) - set(VERDICTS)
    if unknown:
        raise UsageError(
            f"--fail-on: {', '.join(sorted(unknown))}: expected one of {', '.join(VERDICTS)}"
        )
    if yes and not fix:
        raise UsageError("--yes: only with --fix")
    if sarif and (json_ or fix):
        raise UsageError("--sarif: not together with --json or --fix")
    if fix:
        from .fix import fix_imports

        fix_imports(named, exclude or (), yes=yes, as_json=json_)
        return
    in_force, _ = load_settings(settings)
    report = _scan(named, in_force, exclude or [], jobs)
    if json_ or sarif:
        from adapter.tools.scan.output import report_json, report_sarif

        print_json(report_sarif(report, Path()) if sarif else report_json(report))
    else:
        _show(out(), report, details=details)
    if any(one.assessment.verdict in (fail_on or ()) for one in report.findings):
        raise typer.Exit(EXIT_FINDINGS)


def _scan(paths: list[Path], settings: Any, exclude: list[str], jobs: int | None) -> Report:
    unreadable: dict[str, str] = {}
    files = list(
        find_files(paths, exclude, lambda path, why: unreadable.update({path.as_posix(): why}))
    )
    with progress("scanning", len(files)) as advance:
        report = scan(files, settings, jobs=jobs, advance=advance)
    report.unread |= unreadable
    return report


def _show(console: Console, report: Report, *, details: bool) -> None:
    from adapter.tools.scan.assessment import VERDICTS
    from adapter.tools.scan.output import VERDICT_TEXT

    _calls(console, report, details=details)
    verdicts = report.by_verdict()
    line = Text(
        f"{len(report.findings)} call{'s' * (len(report.findings) != 1)} "
        f"in {report.files} file{'s' * (report.files != 1)}"
    )
    for verdict in VERDICTS:
        if verdicts[verdict]:
            line.append(", ").append(
                f"{verdicts[verdict]} {VERDICT_TEXT[verdict]}", style=_STYLES[verdict]
            )
    console.print(line)
    wanted: Counter[str] = Counter(
        setting for one in report.findings for setting in one.assessment.settings
    )
    for setting, count in wanted.most_common():
        console.print(
            Text(f"  {setting} would move {count} of them, alone or with others"), style="yellow"
        )
    _parameters(console, report)
    for file, lines in sorted(report.recordings.items()):
        console.print(
            Text(
                f"{printable(file)}:{lines[0]}: a recording of {len(lines)} /chat/completions "
                f"request{'s' * (len(lines) != 1)}: record the Responses API as well"
            ),
            soft_wrap=True,
        )
    for file, lines in sorted(report.batches.items()):
        console.print(
            Text(
                f"{printable(file)}:{lines[0]}: the input of a batch, "
                f"{len(lines)} × /chat/completions: the Batch API isn't moved"
            ),
            soft_wrap=True,
        )
    for file, why in sorted(report.unread.items()):
        err().print(Text(f"{printable(file)}: not scanned: {why}"), soft_wrap=True)


def _calls(console: Console, report: Report, *, details: bool) -> None:
    """Print the calls, with locations on lines of their own that terminals and editors can open."""
    from adapter.tools.scan.output import VERDICT_TEXT, shown_value

    for one in report.findings:
        site, assessed = one.site, one.assessment
        place = (
            f"{printable(one.file)}:{site.line}:{site.column}"
            if one.cell is None
            else f"{printable(one.file)} cell {one.cell}:{site.line}:{site.column}"
        )
        line = Text(f"{place}: ")
        line.append(VERDICT_TEXT[assessed.verdict], style=_STYLES[assessed.verdict]).append(
            f"  {site.kind} {printable(site.call)}", style="dim"
        )
        console.print(line, soft_wrap=True)
        for text in _remarks(one):
            console.print(Text(f"    {text}"), soft_wrap=True)
        if details:
            table = Table(box=None, padding=(0, 2), show_header=False)
            for fate in assessed.parameters:
                value = shown_value(fate.name, site.arguments.values.get(fate.name))
                table.add_row(
                    "", fate.redacted().name, Text(str(value)), fate.outcome, Text(fate.why)
                )
            console.print(table)
    if report.findings:
        console.print()


def _remarks(one: Finding) -> list[str]:
    assessed = one.assessment
    texts = [assessed.why] if assessed.why else []
    if one.site.unknown_client_note:
        texts.append(one.site.unknown_client_note)
    if assessed.settings:
        texts.append(f"set {', '.join(assessed.settings)}")
    if one.site.wire:
        texts.append(f"wire it: {one.site.wire}")
    if assessed.responses_only_reason:
        texts.append(f"Responses-only: {assessed.responses_only_reason}")
    return texts


def _parameters(console: Console, report: Report) -> None:
    counts = {
        name: found
        for name, found in report.by_parameter().items()
        if set(found) - {"moves", "left out"}
    }
    if not counts:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("holds", "refused", "depends", "dropped", "clamped", "changed", "moves", "left out")
    used = [column for column in columns if any(found[column] for found in counts.values())]
    for heading in ("parameter", *used):
        table.add_column(heading, justify="left" if heading == "parameter" else "right")
    for name, found in counts.items():
        table.add_row(name, *(str(found[column] or "") for column in used))
    console.print(table)
