"""The options for reading log rows, shared by the commands that read some."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import UsageError

BodyPath = Annotated[
    str | None,
    typer.Option(
        "--body",
        metavar="PATH",
        help="Where a row holds the request, as in request.body or "
        'attributes["http.request.body"]; and nowhere else.',
    ),
]
FormatsFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--formats",
        metavar="FILE",
        help="TOML tables [[logs]] that describe your own log formats, which come before the "
        "built-in ones; may be repeated.",
    ),
]


def row_formats(body: str | None, files: Iterable[Path] | None) -> Any:
    """Return the known log formats. Raises UsageError, which names the option."""
    from adapter.tools.logs.rows import BadFormat, RowFormats

    formats, option = RowFormats.builtin(), "--formats"
    try:
        for file in files or ():
            formats = formats.with_file(file)
        option = "--body"
        return formats if body is None else formats.with_body(body)
    except BadFormat as error:
        raise UsageError(f"{option}: {error}") from None
