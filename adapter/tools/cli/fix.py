"""`adapter scan --fix`: show the diff, ask, write."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from adapter._util.regular_files import Unreadable
from adapter._util.safe_names import printable
from adapter.tools.scan.rewrite import FileChange, find_changes
from adapter.tools.scan.run import require_libcst

from .console import EXIT_FINDINGS, err, out, print_json, progress

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def fix_imports(paths: list[Path], exclude: Iterable[str], *, yes: bool, as_json: bool) -> None:
    """Change the imports of files and folders. Exits with 1 if a change shown wasn't written."""
    require_libcst()
    with progress("reading") as advance:
        found = list(find_changes(paths, exclude, advance))
    changed = [one for one in found if one.after is not None]
    if not as_json:
        _show(found, changed)
    write = bool(changed) and (
        yes
        or (
            not as_json
            and _is_interactive()
            and typer.confirm(f"Write {_file_count(len(changed))}?", err=True)
        )
    )
    failed = _write(changed) if write else {}
    written = [one for one in changed if write and one.path not in failed]
    if as_json:
        print_json(
            {
                "changed": [
                    {
                        "file": one.path.as_posix(),
                        "diff": one.diff(),
                        "written": one in written,
                        "why": failed.get(one.path),
                    }
                    for one in changed
                ],
                "left": [
                    {**_location(one, line), "why": why} for one in found for line, why in one.left
                ],
                "notes": [
                    {**_location(one, line), "note": note}
                    for one in found
                    for line, note in one.notes
                ],
            }
        )
    elif write:
        for path, why in failed.items():
            err().print(Text(f"{printable(path.as_posix())}: not written: {why}"), soft_wrap=True)
        err().print(f"{_file_count(len(written))} written")
    elif changed:
        err().print(
            f"{_file_count(len(changed))} to change, none written: --yes writes without asking"
        )
    else:
        err().print("nothing to change")
    if len(written) < len(changed):
        raise typer.Exit(EXIT_FINDINGS)


def _location(change: FileChange, number: int) -> dict[str, Any]:
    cell, line = change.place(number)
    return {"file": change.path.as_posix(), "line": line, "cell": cell}


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _file_count(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def _write(changed: list[FileChange]) -> dict[Path, str]:
    """Write the files and return those that failed, with reasons."""
    failed: dict[Path, str] = {}
    for one in changed:
        try:
            one.write()
        except Unreadable as error:
            failed[one.path] = str(error)
    return failed


def _show(found: list[FileChange], changed: list[FileChange]) -> None:
    console = out()
    for one in changed:
        if console.is_terminal:
            for line in one.diff().split("\n")[:-1]:
                console.print(
                    Text(line.rstrip("\r"), style=_STYLES.get(line[:1], "")), soft_wrap=True
                )
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(one.patch())
    sys.stdout.flush()
    for one in found:
        for number, text in [*((number, f"left: {why}") for number, why in one.left), *one.notes]:
            where = _location(one, number)
            cell = "" if where["cell"] is None else f" cell {where['cell']}"
            err().print(
                Text(f"{printable(where['file'])}{cell}:{where['line']}: {text}"), soft_wrap=True
            )
