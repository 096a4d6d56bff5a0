"""The files that a scan reads or skips, its output, and files that it can't read."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from adapter.tools.cli.app import app

CALL = "client.chat.completions.create(model='m', messages=[])\n"
SEED = "client.chat.completions.create(model='m', messages=[], seed=1)\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["scan", *arguments], env={"NO_COLOR": "1"})


def document(*arguments: str) -> dict[str, Any]:
    done = run("--json", *arguments)
    assert done.exit_code == 0, done.stderr
    shown = json.loads(done.stdout)
    assert isinstance(shown, dict)
    return shown


def files(*arguments: str) -> list[str]:
    return [one["file"] for one in document(*arguments)["calls"]]


def test_other_peoples_code_is_left_out_unless_it_is_named(project: Path) -> None:
    put(project, {
        "a.py": CALL, "pkg/b.py": CALL, ".venv/lib/c.py": CALL, "node_modules/d.py": CALL,
        "x/site-packages/e.py": CALL, ".git/f.py": CALL,
        "env/pyvenv.cfg": "", "env/g.py": CALL, "notes.txt": CALL,
    })  # fmt: skip
    assert files() == ["a.py", "pkg/b.py"]
    assert files("x/site-packages", ".git/f.py") == ["x/site-packages/e.py", ".git/f.py"]
    assert files("a.py", "a.py", ".") == ["a.py", "pkg/b.py"]


@pytest.mark.parametrize(
    ("glob", "left"),
    [("b.py", ["a.py"]), ("pkg", ["a.py"]), ("pkg/*", ["a.py"]), ("*.pyi", ["a.py", "pkg/b.py"])],
)
def test_exclude(project: Path, glob: str, left: list[str]) -> None:
    put(project, {"a.py": CALL, "pkg/b.py": CALL})
    assert files("--exclude", glob) == left


def test_unreadable_files_are_listed(project: Path) -> None:
    put(project, {
        "broken.py": "client.chat.completions.create(",
        "latin.py": b"# completions caf\xe9 chat.completions\n",
        "zero.py": b"x = 'chat.completions\x00'\n",
        "strange.py": b"# coding: nonesuch\n# chat.completions\n", "good.py": CALL,
        "not.ipynb": '{"OpenAI": 1}',
        "deep.py": "# chat.completions\nx = " + "(" * 3000 + ")" * 3000,
    })  # fmt: skip
    shown = document()
    assert [one["file"] for one in shown["calls"]] == ["good.py"]
    why = {one["file"]: one["why"] for one in shown["unread"]}
    assert why.keys() == {"broken.py", "latin.py", "zero.py", "strange.py", "not.ipynb", "deep.py"}
    assert why["broken.py"].startswith("syntax error at line 1")
    assert why["latin.py"] == "not utf-8"
    assert why["strange.py"] == "an unknown encoding"
    assert "broken.py: not scanned: syntax error" in run().stderr


@pytest.mark.parametrize(
    "called", ["task()", "task()()", "task()[0]", "app.task()", "app.task().client", "app()"]
)
def test_a_module_that_is_called_stops_nothing(project: Path, called: str) -> None:
    put(project, {
        "app/__init__.py": "", "app/task.py": f"{CALL}\n",
        "app/use.py": (
            f"import app.task\nfrom . import task\nmade = {called}\nmade.client\n{CALL}\n"
        ),
    })  # fmt: skip
    shown = document()
    assert shown["unread"] == []
    assert sorted({one["file"] for one in shown["calls"]}) == ["app/task.py", "app/use.py"]


def test_special_files_stop_nothing(project: Path) -> None:
    put(project, {"good.py": CALL})
    (project / "circle.py").symlink_to("circle.py")
    os.mkfifo(project / "pipe.py")
    shown = document()
    assert [one["file"] for one in shown["calls"]] == ["good.py"]
    assert {one["file"]: one["why"] for one in shown["unread"]} == {
        "circle.py": os.strerror(errno.ELOOP),
        "pipe.py": "not a regular file: a named pipe",
    }
    assert "circle.py:1: left" in run("--fix").stderr
    assert json.loads(run("--sarif").stdout)["runs"]


def test_encodings_and_line_endings(project: Path) -> None:
    put(project, {
        "mark.py": b"\xef\xbb\xbf" + CALL.encode(),
        "latin.py": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n" + CALL.encode(),
        "crlf.py": ("x = 1\r\n" + CALL).encode(),
    })  # fmt: skip
    assert [(one["file"], one["line"]) for one in document()["calls"]] == [
        ("crlf.py", 2),
        ("latin.py", 3),
        ("mark.py", 1),
    ]


def test_notebooks(project: Path) -> None:
    def cell(kind: str, *lines: str) -> dict[str, Any]:
        return {"cell_type": kind, "source": [f"{line}\n" for line in lines], "metadata": {}}

    cells = [
        cell("markdown", "client.chat.completions.create()"),
        cell(
            "code",
            "%pip install openai",
            "!ls",
            "from openai import OpenAI",
            "c = OpenAI().chat.completions",
        ),
        cell("code", "%%bash", "curl /chat/completions"),
        cell("code", "", "c.create(model='m', n=2)", "c?"),
    ]
    put(project, {"book.ipynb": json.dumps({"cells": cells})})
    (found,) = document()["calls"]
    assert (found["file"], found["cell"], found["line"], found["verdict"]) == (
        "book.ipynb",
        4,
        2,
        "setting",
    )
    assert "book.ipynb cell 4:2:1: moves with a setting" in run().stdout


def test_recordings(project: Path) -> None:
    put(project, {
        "tests/cassettes/one.yaml": (
            "uri: https://host.example/v1/chat/completions\nx: 1\nuri: /v1/chat/completions\n"
        ),
        "tests/two.json": '{"uri": "/v1/responses"}',
        "tests/test_a.py": "mock.post('https://host.example/v1/chat/completions')\n",
    })  # fmt: skip
    shown = document()
    assert shown["recordings"] == [{"file": "tests/cassettes/one.yaml", "lines": [1, 3]}]
    assert [
        (one["file"], one["kind"], one["verdict"], one["in_test"]) for one in shown["calls"]
    ] == [("tests/test_a.py", "test double", "unclear", True)]


BATCH = '{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}\n'


def test_the_input_of_a_batch_is_no_recording(project: Path) -> None:
    put(
        project,
        {
            "in.jsonl": BATCH * 2,
            "log.jsonl": '{"url": "/v1/chat/completions"}\n',
            "own.json": BATCH,
        },
    )
    shown = document()
    assert shown["batches"] == [{"file": "in.jsonl", "lines": [1, 2]}]
    assert [one["file"] for one in shown["recordings"]] == ["log.jsonl", "own.json"]
    text = "the input of a batch, 2 × /chat/completions: the Batch API isn't moved"
    assert f"in.jsonl:1: {text}" in run().stdout
    (sarif,) = json.loads(run("--sarif").stdout)["runs"]
    assert [one["ruleId"] for one in sarif["results"]] == ["recording", "recording", "batch"]
    assert sarif["results"][2]["message"]["text"] == text


def test_the_summary(project: Path) -> None:
    put(project, {"a.py": CALL + SEED + SEED, "b.py": "x = 1"})
    summary = document()["summary"]
    assert summary == {
        "files": 2, "parsed": 1, "calls": 3,
        "verdicts": {"moves": 1, "unless": 0, "setting": 2, "unclear": 0, "stays": 0, "refused": 0},
        "parameters": {"messages": {"moves": 3}, "model": {"moves": 3}, "seed": {"holds": 2}},
    }  # fmt: skip
    shown = run("--details").stdout
    assert "a.py:2:1: moves with a setting" in shown
    assert "3 calls in 2 files, 1 moves as is, 2 moves with a setting" in shown
    assert 'drop = ["seed"] would move 2 of them' in shown
    assert "\x1b[" not in shown


def test_fail_on(project: Path) -> None:
    put(project, {"a.py": SEED})
    assert run("--fail-on", "stays").exit_code == 0
    assert run("--fail-on", "stays", "--fail-on", "setting").exit_code == 1
    assert run("--fail-on", "setting", "--sarif").exit_code == 1
    put(project, {"adapter.toml": 'drop = ["seed"]'})
    assert run("--fail-on", "setting").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none"], "none: no such file or folder"),
        (["--fail-on", "never"], "--fail-on: never: expected one of moves"),
        (["--yes"], "--yes: only with --fix"),
        (["--sarif", "--json"], "--sarif: not together"),
        (["--settings", "none.toml"], "none.toml"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_mistakes(project: Path, arguments: list[str], error: str) -> None:
    assert error in str(run(*arguments).exception)


def test_without_contents(project: Path) -> None:
    code = (
        "c.chat.completions.create("
        "messages=[{'role': 'user', 'content': 'secret'}], user='customer-7', seed=1)\n"
    )
    put(project, {"a.py": code})
    for arguments in (["--json"], ["--details"], ["--sarif"]):
        shown = run(*arguments).output
        assert "secret" not in shown
        assert "customer-7" not in shown


def test_several_processes_find_the_same(project: Path) -> None:
    put(project, {f"m{k}.py": SEED * (k + 1) for k in range(16)})
    alone = document("--jobs", "1")
    assert alone["summary"]["calls"] == 136
    assert document("--jobs", "2") == alone


# The parts of the schema of SARIF 2.1.0 that are used here.
def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


def _array(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 1}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_MESSAGE = _object("text", text={"type": "string", "minLength": 1})
_LOCATION = _object(
    "physicalLocation",
    physicalLocation=_object(
        "artifactLocation",
        artifactLocation=_object(
            "uri",
            uri={"type": "string", "pattern": r"^[^/\\ ][^\\ ]*$"},
            uriBaseId={"const": "%SRCROOT%"},
        ),
        region=_object("startLine", startLine=_COUNT, startColumn=_COUNT),
    ),
)
_LOCATIONS = _array(_LOCATION, minItems=1)
_RULE = _object(
    "id",
    id=_TEXT,
    name=_TEXT,
    shortDescription=_MESSAGE,
    defaultConfiguration=_object("", level=_LEVEL),
)
_NOTIFICATION = _object("message", message=_MESSAGE, level=_LEVEL, locations=_LOCATIONS)
_RESULT = _object(
    "message ruleId ruleIndex level locations",
    message=_MESSAGE,
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=_LEVEL,
    locations=_LOCATIONS,
)
_RUN = _object(
    "tool results",
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    tool=_object(
        "driver",
        driver=_object("name", name=_TEXT, version=_TEXT, rules=_array(_RULE, uniqueItems=True)),
    ),
    invocations=_array(
        _object(
            "executionSuccessful",
            executionSuccessful={"type": "boolean"},
            toolExecutionNotifications=_array(_NOTIFICATION),
        )
    ),
    results=_array(_RESULT),
)
SARIF = _object(
    "version runs $schema",
    **{
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": _array(_RUN, minItems=1),
    },
)


def test_sarif(project: Path) -> None:
    put(
        project,
        {
            "a b/ä.py": CALL + SEED,
            "broken.py": "chat.completions(",
            "c.yaml": "x: /chat/completions",
        },
    )
    done = run("--sarif")
    shown = json.loads(done.stdout)
    jsonschema.Draft7Validator(SARIF).validate(shown)
    (only,) = shown["runs"]
    rules = [rule["id"] for rule in only["tool"]["driver"]["rules"]]
    assert (
        [rules[one["ruleIndex"]] for one in only["results"]]
        == [one["ruleId"] for one in only["results"]]
        == ["setting", "recording"]
    )
    place = only["results"][0]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "a%20b/%C3%A4.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 2, "startColumn": 1},
    }  # fmt: skip
    assert len(only["invocations"][0]["toolExecutionNotifications"]) == 1


def test_the_real_command(project: Path) -> None:
    put(project, {"a.py": SEED, "b.py": "from openai import OpenAI as O; O()\n"})
    code = "from adapter.tools.cli import main; main()"

    def real(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, "scan", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ},
        )

    done = real("--json")
    assert (done.returncode, done.stderr, json.loads(done.stdout)["summary"]["calls"]) == (0, "", 1)
    done = real("--fix")  # piped: only shown
    assert done.returncode == 1
    assert (
        done.stdout == "--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n"
        "-from openai import OpenAI as O; O()\n+from adapter import OpenAI as O; O()\n"
    )
    assert (project / "b.py").read_text() == "from openai import OpenAI as O; O()\n"


def test_without_libcst_the_extra_is_named(project: Path) -> None:
    put(project, {"a.py": CALL})
    code = "import sys; sys.modules['libcst'] = None; from adapter.tools.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "scan"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "adapter: scan needs libcst (extra `tools`)\n"
