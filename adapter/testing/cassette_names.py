"""Name the cassettes of a test: one file for each backend, beside the test."""

from __future__ import annotations

import re
from pathlib import Path

from .backends import without_backend

_FORBIDDEN = re.compile(r"[<>?%*:|\"'/\\]")  # in file names, on one platform or another


def cassette_name(cls: type | None, test: str) -> str:
    """Return a cassette's name without the backend, such as `TestReplies.test_reply[case]`."""
    name = without_backend(test)
    return _FORBIDDEN.sub("-", f"{cls.__name__}.{name}" if cls is not None else name)


def cassette_path(folder: Path, name: str, backend: str) -> Path:
    """Return the path of a test's cassette: `NAME.BACKEND.yaml`.

    An earlier cassette `NAME.yaml` is used for Chat if there is no `NAME.chat.yaml`.
    """
    path = folder / f"{name}.{backend}.yaml"
    earlier = folder / f"{name}.yaml"
    return earlier if backend == "chat" and not path.is_file() and earlier.is_file() else path
