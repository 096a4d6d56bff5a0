"""Notebooks that `adapter scan --fix` changes: only cells change, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapter._util.regular_files import Unreadable
from adapter.tools.cli.app import app
from adapter.tools.scan.notebooks import Notebook
from adapter.tools.scan.rewrite import find_changes


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["scan", "--fix", *arguments])


def notebook(*cells: tuple[str, list[str] | str], **how: Any) -> str:
    made = {
        "cells": [
            {
                "cell_type": kind,
                "execution_count": 3,
                "metadata": {"é": "<b>"},
                "outputs": [{"text": ["openai\n"]}],
                "source": source,
            }
            if kind == "code"
            else {"cell_type": kind, "metadata": {}, "source": source}
            for kind, source in cells
        ],
        "metadata": {"kernelspec": {"name": "python3"}, "source": "from openai import OpenAI"},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(made, **{"indent": 1, "ensure_ascii": False, **how})


def lines(*texts: str) -> list[str]:
    return [*(f"{text}\n" for text in texts[:-1]), texts[-1]]


CALL = "client = OpenAI()"
# The cells of a notebook, before and after.
CHANGED: dict[str, tuple[list[Any], list[Any]]] = {
    "one line": (
        lines("from openai import OpenAI", CALL), lines("from adapter import OpenAI", CALL),
    ),
    "a line more": (
        lines("from openai import APIError, OpenAI", CALL),
        lines("from adapter import OpenAI", "from openai import APIError", CALL),
    ),
    "a line less": (
        lines("from openai import (", "    APIError,", "    OpenAI,  # é", ")", CALL),
        lines(
            "from adapter import (", "    OpenAI,  # é", ")",
            "from openai import (", "    APIError,", ")", CALL,
        ),
    ),
    "the first line less": (
        lines("from openai import (", "    OpenAI,", "    APIError)", CALL),
        lines("from adapter import OpenAI", "from openai import (", "    APIError)", CALL),
    ),
    "by the module": (
        lines("import openai", "client = openai.OpenAI()"),
        lines("import adapter", "import openai", "client = adapter.OpenAI()"),
    ),
    "in one string": (
        ["from openai import OpenAI\nOpenAI()\n"], ["from adapter import OpenAI\nOpenAI()\n"],
    ),
    "an import alone in its cell": (["from openai import OpenAI"], ["from adapter import OpenAI"]),
    "after magics": (
        lines(
            "%pip install openai", "!ls", "x = !pwd", "files, = %sx ls",
            "from openai import OpenAI", "OpenAI?", CALL,
        ),
        lines(
            "%pip install openai", "!ls", "x = !pwd", "files, = %sx ls",
            "from adapter import OpenAI", "OpenAI?", CALL,
        ),
    ),
    "timed": (
        lines("%%time", "from openai import OpenAI", CALL),
        lines("%%time", "from adapter import OpenAI", CALL),
    ),
    "awaited": (
        lines("from openai import AsyncOpenAI", "await AsyncOpenAI().chat.completions.create()"),
        lines("from adapter import AsyncOpenAI", "await AsyncOpenAI().chat.completions.create()"),
    ),
    "text like magics": (
        lines("x = '''", "%pip", "what?", "'''", "from openai import OpenAI", CALL),
        lines("x = '''", "%pip", "what?", "'''", "from adapter import OpenAI", CALL),
    ),
    "other characters": (
        lines('# 😀 \\ " é\u2028\tü', "from openai import OpenAI  # 😀", CALL),
        lines('# 😀 \\ " é\u2028\tü', "from adapter import OpenAI  # 😀", CALL),
    ),
}  # fmt: skip
STYLES: dict[str, dict[str, Any]] = {
    "as Jupyter writes": {},
    "in ASCII": {"ensure_ascii": True},
    "compact": {"indent": None, "separators": (",", ":")},
    "on one line": {"indent": None},
    "by tabs": {"indent": "\t"},
}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_only_cells_change(project: Path, style: dict[str, Any]) -> None:
    for before, after in CHANGED.values():
        check(project, before, after, style)


def check(project: Path, before: list[Any], after: list[Any], style: dict[str, Any]) -> None:
    others: list[tuple[str, list[str] | str]] = [
        ("markdown", ["from openai import OpenAI\n", "OpenAI()"]),
        ("code", ["%%bash\n", "from openai import OpenAI\n", "OpenAI()"]),
        ("code", []),
        ("code", "OpenAI()" if before[0] == "from openai import OpenAI" else ""),
    ]
    path = project / "book.ipynb"
    path.write_text(
        notebook(("code", before), *others, **style) + "\n", encoding="utf-8", newline=""
    )
    for change in find_changes([path]):
        change.write()
    assert path.read_text(encoding="utf-8") == notebook(("code", after), *others, **style) + "\n"
    assert list(find_changes([path])) == []


@pytest.mark.parametrize(
    "text", ["from openai import OpenAI\nOpenAI()\n", "from openai import OpenAI\r\nOpenAI()"]
)
def test_a_source_that_is_one_string(project: Path, text: str) -> None:
    path = project / "book.ipynb"
    raw = notebook(("code", text)).encode()
    path.write_bytes(b"\xef\xbb\xbf" + raw.replace(b"OpenAI()", rb"Open\u0041I()"))
    run("--yes")
    expected = notebook(("code", text.replace("openai", "adapter"))).encode()
    assert path.read_bytes() == b"\xef\xbb\xbf" + expected.replace(b"OpenAI()", rb"Open\u0041I()")


def test_cells_are_named_where_something_is_left(project: Path) -> None:
    cells: list[tuple[str, list[str] | str]] = [
        ("markdown", "x"),
        ("code", lines("", "from openai import OpenAI", "c = OpenAI()", "c.embeddings.create()")),
    ]
    (project / "book.ipynb").write_text(notebook(*cells), encoding="utf-8")
    assert "book.ipynb cell 2:3: left: its client is used for embeddings only" in run().stderr
    [left] = json.loads(run("--json").stdout)["left"]
    assert (left["file"], left["cell"], left["line"]) == ("book.ipynb", 2, 3)


NOT_ONE = {
    "no object": b"[]", "no cells": b'{"openai": 1}', "cells twice": b'{"cells": [], "cells": []}',
    "cut": b'{"cells": [{"source": ["openai',
    "numbers": b'{"cells": [{"cell_type": "code", "source": [1]}]}',
    "other bytes": b'{"cells": "\xff"}', "words": b'{"cells": [{"source" 1}]}',
    "deep": b'{"cells": [{"x": ' + b"[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("raw", NOT_ONE.values(), ids=NOT_ONE)
def test_other_files_are_refused(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        Notebook(raw)
