"""Where a test's cassette is: one file for each side, beside the test."""

from __future__ import annotations

import re
from pathlib import Path

from .backends import without_backend

_FORBIDDEN = re.compile(r"[<>?%*:|\"'/\\]")  # in file names, on one platform or another


def cassette_name(cls: type | None, test: str) -> str:
    """Name a test's cassette, without its side: `test_reply`, `TestReplies.test_reply`, `test_reply[case]`."""
    name = without_backend(test)
    return _FORBIDDEN.sub("-", f"{cls.__name__}.{name}" if cls is not None else name)


def cassette_path(folder: Path, name: str, side: str) -> Path:
    """Give the path of a test's cassette: `NAME.SIDE.yaml`.

    A cassette `NAME.yaml` from before the move counts as the chat side's, where there is none of its own.
    """
    path = folder / f"{name}.{side}.yaml"
    before = folder / f"{name}.yaml"
    return before if side == "chat" and not path.is_file() and before.is_file() else path
