"""Run the command `adapter` in this process, as a shell would."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from adapter.tools import cli


@dataclass(frozen=True)
class Done:
    """The result of a command: its exit code and its output."""

    code: int
    out: str
    err: str


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def command(
    *arguments: object,
    stdin: str | bytes | None = b"",
    env: Mapping[str, str] | None = None,
    encoding: str = "utf-8",
) -> Done:
    """Run `adapter` with arguments.

    `encoding` is the terminal's encoding. Without `stdin`, standard input is a terminal.
    """

    def stream(raw: bytes = b"") -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(raw), encoding=encoding, write_through=True)

    out, err = stream(), stream()
    raw = stdin if isinstance(stdin, bytes) else (stdin or "").encode("utf-8", "surrogatepass")
    keys = _Terminal(io.BytesIO(), encoding=encoding) if stdin is None else stream(raw)
    streams: dict[str, Any] = {"stdin": keys, "stdout": out, "stderr": err}
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
