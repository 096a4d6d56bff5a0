"""`adapter audit`: which logged requests would move, what keeps the others on Chat, what helps."""

from __future__ import annotations

import datetime as dt
import errno
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapter._util.safe_names import printable
from adapter.tools.audit.number_format import percent

from .console import (
    EXIT_FINDINGS,
    EXIT_INTERRUPTED,
    Json,
    SettingsFile,
    UsageError,
    err,
    load_settings,
    out,
    print_json,
    progress,
)
from .row_options import BodyPath, FormatsFile, row_formats

_MEGABYTE = 1_000_000
_MAX_ROWS = 12  # of a table on the terminal; the page and the JSON have all rows
_STYLES = {
    "refused": "red",
    "as it is": "green",
    "with changes": "cyan",
    "with settings": "yellow",
}
_VERDICT_TEXT = {
    "as it is": "moves as it is",
    "with changes": "moves; the conversion report lists what changes",
    "with settings": "would move with a setting",
    "with breaking settings": "would move with a setting that breaks replies",
    "stays": "kept on Chat Completions",
    "refused": "would be an error on the Responses API",
}


def audit(  # noqa: PLR0917  # a command's options
    logs: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOGS",
            help="JSON lines, JSON arrays and documents, HAR (also .gz, .zst, .bz2, .xz) "
            "or Parquet; folders of them; - for standard input.",
            show_default=False,
        ),
    ],
    settings: SettingsFile = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write the report as one self-contained HTML page."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="Save the progress in this file, to resume after an interruption or to add logs "
            "later. Without it, --html saves it next to the page until the page is written.",
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Discard the saved progress and start over."),
    ] = False,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            "--engine",
            help="This machine's cores; or a Ray cluster, the one of RAY_ADDRESS "
            "(needs the extra `ray`).",
        ),
    ] = "local",
    body: BodyPath = None,
    formats: FormatsFile = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="How many processes; by default one per core."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show which logged chat requests would move to the Responses API, and what keeps the others.

    It also shows which settings would move more. A row is the body of a request, or contains one in
    the format of a log: batch files, HAR, LiteLLM, Langfuse, LangSmith, OpenTelemetry, structured
    logging; if it also has the reply, tokens are counted. Each verdict comes from the code that
    runs in production, under the given settings. The report contains names of models and
    parameters, counts, and the locations of lines that can't be read, but no prompts or replies.
    Exits with 1 if there are such lines or files.
    """
    from adapter._util.regular_files import Unreadable
    from adapter.tools.audit import audit as run
    from adapter.tools.audit import report
    from adapter.tools.audit.batches import NoRequests
    from adapter.tools.audit.checkpoint import StaleCheckpoint, write_atomically
    from adapter.tools.audit.html_page import page

    in_force, source = load_settings(settings)
    rows = row_formats(body, formats)
    if html is not None and html.is_dir():  # checked before the work begins
        raise UsageError(f"--html {html}: {os.strerror(errno.EISDIR)}")
    unreadable: dict[str, str] = {}
    try:
        found = _find_logs(logs, unreadable, state)
        own_state = state is None and html is not None and all(log.kind != "pipe" for log in found)
        if own_state and html is not None:
            state = html.with_name(f"{html.name}.state")
        with progress("Auditing, MB", sum(log.size for log in found) // _MEGABYTE) as advance:
            done = run(
                [log.path for log in found],
                in_force,
                formats=rows,
                state=state,
                restart=restart,
                engine=engine,
                jobs=jobs,
                progress=_in_megabytes(advance),
                changed=partial(_report_unreadable, unreadable, ""),
            )
        document = report(done.summary, in_force, today=dt.datetime.now(dt.UTC).date())
        document["logs"], document["settings_file"] = len(found), str(source) if source else None
        document["unread"] = [{"file": path, "why": why} for path, why in unreadable.items()]
        if html is not None:
            html.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(html, page(document))
            if own_state and state is not None:
                state.unlink(missing_ok=True)
    except KeyboardInterrupt:
        err().print(
            "Interrupted."
            if state is None
            else f"Interrupted; the same command resumes from {state}."
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenExecutor:
        again = "; the same command resumes from there" if state is not None else ""
        raise UsageError(
            f"a worker process was killed, possibly out of memory: try fewer --jobs{again}"
        ) from None
    except (StaleCheckpoint, NoRequests, Unreadable) as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(
            f"{error.filename or error}: {error.strerror or type(error).__name__}"
        ) from None
    if as_json:
        print_json(document)
    else:
        _show(out(), document)
    if html is not None:
        err().print(f"The page is {printable(html)}.")
    if any(rule.match.tag or rule.match.call_site for rule in in_force.rules):
        err().print(
            "Rules that match a tag or a call site apply to no logged request: "
            "logs don't record them."
        )
    if document["bad_lines"]["count"] or document["adapter_bugs"] or unreadable:
        raise typer.Exit(EXIT_FINDINGS)


def _report_unreadable(unreadable: dict[str, str], what: str, path: str, why: str) -> None:
    unreadable[path] = why
    err().print(Text(f"{printable(path)}: {what}{why}"), soft_wrap=True)


def _find_logs(logs: list[Path], unreadable: dict[str, str], state: Path | None) -> Any:
    """Find the logs; report the files that can't be read and add them to `unreadable`."""
    from adapter.tools.audit.inputs import find_logs

    found = find_logs(
        logs,
        partial(_report_unreadable, unreadable, "not audited: "),
        () if state is None else (state,),
    )
    if not found:
        raise UsageError(
            f"no logs in {', '.join(map(str, logs))}: "
            "expected files, or folders with .jsonl, .jsonl.gz, .parquet …"
        )
    return found


def _in_megabytes(advance: Any) -> Any:
    left = 0

    def advance_bytes(count: int) -> None:
        nonlocal left
        whole, left = divmod(left + count, _MEGABYTE)
        advance(whole)

    return advance_bytes


def _show(console: Console, document: dict[str, Any]) -> None:
    total = document["requests"]
    console.print(
        Text(
            f"{_counted(total, 'chat request')} in {_counted(document['logs'], 'log')}",
            style="bold",
        )
    )
    if not total:
        _show_bad(console, document)
        return
    table = _table("", "requests", "share")
    for fate, row in document["fates"].items():
        table.add_row(
            Text(_VERDICT_TEXT[fate], style=_STYLES.get(fate, "")),
            f"{row['requests']:,}",
            percent(row["share"]),
        )
    console.print(table)
    for steps, title in (
        ("steps", "What would move more"),
        ("breaking_steps", "Breaking: programs read what is dropped"),
    ):
        _list(
            console,
            _table(title, "more", "then move", "what it does", left=(3,)),
            document[steps],
            _step,
        )
    _list(
        console,
        _table("What no setting moves", "requests", "why", left=(2,)),
        document["kept"],
        lambda row: (row["path"], f"{row['requests']:,}", row["why"]),
    )
    _list(
        console,
        _table("What the conversion report would list", "requests", "", left=(2,)),
        document["losses"],
        lambda row: (row["path"], f"{row['requests']:,}", row["action"]),
    )
    _list(
        console,
        _table("Models", "requests", "move", "with settings", "", left=(4,)),
        document["models"],
        _model,
    )
    table = _table("What requests use", "requests", "move")
    for row in document["features"]:
        table.add_row(
            row["feature"], f"{row['requests']:,}", percent(100 * row["moves"] / row["requests"])
        )
    if document["features"]:
        console.print(table)
    _show_multiple_choices(console, document["several_answers"])
    if document["unknown_parameters"]:
        names = [
            f"{row['name']} ({row['requests']:,})"
            for row in document["unknown_parameters"][:_MAX_ROWS]
        ]
        console.print(
            Text(f"No parameters of Chat Completions, passed on as they are: {', '.join(names)}"),
            "",
        )
    _show_bad(console, document)


def _step(row: dict[str, Any]) -> tuple[str, ...]:
    effects = "; ".join(dict.fromkeys(row["effects"]))
    return " + ".join(row["settings"]), f"{row['more']:,}", percent(row["share"]), effects


def _show_multiple_choices(console: Console, choices: dict[str, Any]) -> None:
    for when, words in (("now", ""), ("with_settings", "would be sent with emulate n")):
        row = choices[when]
        if row["requests"]:
            are = "is sent" if row["requests"] == 1 else "are sent"
            tokens = row["more_prompt_tokens"] + row["more_prompt_tokens_estimated"]
            about = "about " if row["more_prompt_tokens_estimated"] else ""
            console.print(
                Text(
                    f"Requests with n > 1: {_counted(row['requests'], 'request')} {words or are}, "
                    f"as {_counted(row['more_requests'], 'more request')} "
                    f"with {about}{_counted(tokens, 'more prompt token')}."
                ),
                "",
            )


def _show_bad(console: Console, document: dict[str, Any]) -> None:
    if document["formats"]:
        named = [f"{row['name']} ({row['requests']:,})" for row in document["formats"]]
        console.print(Text(f"Rows by format: {', '.join(named)}"), "")
    for row in document["not_in_the_log"]:
        were = "was logged without its" if row["requests"] == 1 else "were logged without their"
        console.print(
            Text(f"{_counted(row['requests'], 'request')} {were} {row['part']}: {row['means']}."),
            "",
        )
    left_out = [
        f"{_counted(count, what)} {rest}" for count, what, rest in _left_out(document) if count
    ]
    if left_out:
        console.print(Text(f"Left out: {', '.join(left_out)}."))
    if document["adapter_bugs"]:
        console.print(
            Text(
                f"The adapter itself failed on {_counted(document['adapter_bugs'], 'request')}; "
                "they would be kept on Chat. Please report it.",
                style="red",
            )
        )
    bad = document["bad_lines"]
    if bad["count"]:
        reasons = ", ".join(f"{count:,} {why}" for why, count in bad["reasons"].items())
        console.print(
            Text(f"{_counted(bad['count'], 'line')} can't be read: {reasons}", style="yellow")
        )
        for row in bad["first"][:5]:
            console.print(Text(f"  {printable(row['file'])}:{row['line']}: {row['why']}"))
        if bad["count"] > 5 and len(bad["first"]) > 5:
            console.print(Text("  …"))


def _counted(count: int, what: str) -> str:
    """Format a count of things, with an -s unless there is one."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _left_out(document: dict[str, Any]) -> tuple[tuple[int, str, str], ...]:
    rows = document["rows_without_request"]
    return (
        (document["other_endpoints"], "request", "to other endpoints"),
        (rows["answers"], "row", "with a reply only"),
        (rows["others"], "row", "of another kind"),
    )


def _remarks(row: dict[str, Any]) -> str:
    remarks = []
    if row["shutdown"]:
        remarks.append(f"{'was shut down' if row['gone'] else 'shuts down'} on {row['shutdown']}")
    if row["chat_only"]:
        remarks.append("Chat only")
    if row["one_way"]:
        remarks.append(f"Responses-only, {row['one_way']['requests']:,}")
    return "; ".join(remarks)


def _model(row: dict[str, Any]) -> tuple[str, ...]:
    count, fates = row["requests"], row["fates"]
    moving = fates.get("as it is", 0) + fates.get("with changes", 0)
    more = percent(100 * fates["with settings"] / count) if fates.get("with settings") else ""
    return row["model"], f"{count:,}", percent(100 * moving / max(1, count)), more, _remarks(row)


def _list(
    console: Console, table: Table, rows: list[Any], cells: Callable[[Any], tuple[str, ...]]
) -> None:
    """Print the first rows and the number of the others; nothing if there are no rows."""
    for row in rows[:_MAX_ROWS]:
        table.add_row(*cells(row))
    if len(rows) > _MAX_ROWS:
        table.add_row(f"… {len(rows) - _MAX_ROWS} more, in the page and the JSON")
    if rows:
        console.print(table)


def _table(*columns: str, left: tuple[int, ...] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if not i or i in left else "right", overflow="fold")
    return table
