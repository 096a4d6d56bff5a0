"""Run the command `adapter` in this process, as a shell would."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from adapter import cli


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code, and all that it wrote."""

    code: int
    out: str
    err: str


def command(
    *arguments: object, stdin: str | bytes = b"", env: Mapping[str, str] | None = None, encoding: str = "utf-8"
) -> Done:
    """Run `adapter` with arguments; `encoding` is the terminal's."""

    def stream(raw: bytes = b"") -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(raw), encoding=encoding, write_through=True)

    out, err = stream(), stream()
    raw = stdin if isinstance(stdin, bytes) else stdin.encode("utf-8", "surrogatepass")
    streams: dict[str, Any] = {"stdin": stream(raw), "stdout": out, "stderr": err}
    with (
        mock.patch.multiple(sys, argv=["adapter", *map(str, arguments)], **streams),
        mock.patch.dict("os.environ", {"COLUMNS": "500", **(env or {})}),
    ):
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
    return Done(code, *(one.buffer.getvalue().decode(encoding) for one in (out, err)))  # type: ignore[attr-defined]
