"""`adapter scan --fix` on files: bytes, links, permissions, encodings, the diff and the JSON."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapter.tools.cli.app import app

USED = "from openai import OpenAI\nOpenAI()\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["scan", "--fix", *arguments], input=answer)


ENCODED = {
    "utf-8": "x = 'é'\nfrom openai import OpenAI\nOpenAI()\n".encode(),
    "a mark": b"\xef\xbb\xbf" + "x = 'é'\nfrom openai import OpenAI\nOpenAI()\n".encode(),
    "latin-1": "# coding: latin-1\nx = 'é'\nfrom openai import OpenAI\nOpenAI()\n".encode(
        "latin-1"
    ),
    "windows": b"x = 1\r\nfrom openai import OpenAI, APIError\r\nOpenAI()\r\n",
}


@pytest.mark.parametrize("raw", ENCODED.values(), ids=ENCODED)
def test_files_keep_their_bytes(project: Path, raw: bytes) -> None:
    path = project / "a.py"
    path.write_bytes(raw)
    path.chmod(0o751)
    done = run("--yes")
    assert done.exit_code == 0, done.output
    expected = raw.replace(
        b"from openai import OpenAI, APIError",
        b"from adapter import OpenAI\r\nfrom openai import APIError",
    )
    assert path.read_bytes() == expected.replace(
        b"from openai import OpenAI", b"from adapter import OpenAI"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert list(project.iterdir()) == [path]
    assert "nothing to change" in run("--yes").stderr


def test_nothing_is_written_through_a_link(project: Path) -> None:
    (project / "real").mkdir()
    target = project / "real" / "a.py"
    target.write_text(USED)
    (project / "link.py").symlink_to(target)
    assert "link.py:1: left: a symbolic link: name its target" in run("--yes", "link.py").stderr
    assert target.read_text() == USED
    done = run("--yes")  # the target is in the folder as well
    assert "1 file written" in done.stderr
    assert "left" not in done.stderr
    assert (project / "link.py").is_symlink()
    assert target.read_text() == USED.replace("openai", "adapter")


def test_nothing_is_written_below_a_linked_folder(project: Path) -> None:
    outside = project / "outside"
    outside.mkdir()
    (outside / "a.py").write_text(USED)
    tree = project / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    for named in ("tree", "tree/link", "tree/link/a.py", str(tree / "link")):
        done = run("--yes", named)
        assert ("a symbolic link" in done.stderr) is (named != "tree"), done.stderr
        assert (outside / "a.py").read_text() == USED
    assert "1 file written" in run("--yes", "outside").stderr


def test_both_names_of_a_file_are_changed_at_once(project: Path) -> None:
    (project / "a.py").write_text(USED)
    (project / "b.py").hardlink_to(project / "a.py")
    done = run("--yes")
    assert (done.exit_code, "2 files written" in done.stderr) == (0, True)
    assert (project / "a.py").samefile(project / "b.py")
    assert (project / "b.py").read_text() == USED.replace("openai", "adapter")


def test_read_only_files_are_reported(project: Path) -> None:
    (project / "a.py").write_text(USED)
    (project / "a.py").chmod(0o444)
    (project / "b.py").write_text(USED)
    done = run("--yes")
    assert (done.exit_code, "a.py: not written: it is read-only" in done.stderr) == (1, True)
    assert ((project / "a.py").read_text(), (project / "b.py").read_text()) == (
        USED,
        USED.replace("openai", "adapter"),
    )


def test_special_files_are_skipped(project: Path) -> None:
    os.mkfifo(project / "pipe.py")
    (project / "dangling.py").symlink_to("nowhere")
    (project / "folder.py").mkdir()
    (project / "folder.py" / "a.py").write_text(USED)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.py")
        done = run("--yes")
    assert done.exit_code == 0
    assert "pipe.py:1: left: not a regular file: a named pipe" in done.stderr
    assert "s.py:1: left: not a regular file: a socket" in done.stderr
    assert "dangling.py:1: left" in done.stderr
    assert (project / "folder.py" / "a.py").read_text() == USED.replace("openai", "adapter")


def test_a_change_that_fails_half_way_is_undone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "a.py"
    path.write_text("import openai\nopenai.OpenAI()\n" + "# more\n" * 100)
    before = path.read_text()
    real = os.fsync
    failed: list[int] = []

    def fsync(handle: int) -> None:
        if not failed:
            failed.append(handle)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr("adapter.tools.scan.rewrite.os.fsync", fsync)
    done = run("--yes")
    assert (done.exit_code, "not written: it can't be written: No space left" in done.stderr) == (
        1,
        True,
    )
    assert path.read_text() == before


def test_control_characters_in_file_names_are_escaped(project: Path) -> None:
    name = "a\x1b[31m\n.py"
    (project / name).write_text(USED + "isinstance(x, OpenAI)\n")
    done = run()
    assert "\x1b" not in done.output
    assert r"a\x1b[31m\n.py:3: left" in done.stderr
    assert r'+++ "b/a\033[31m\012.py"' in done.stdout
    assert [one["file"] for one in json.loads(run("--json").stdout)["changed"]] == [name]
    assert "\x1b" not in run("--json").stdout


CODED = {
    "punycode": ("# coding: punycode\n", "incompatible with ASCII"),
    "UTF-16": ("# coding: utf-16\n", "incompatible with ASCII"),
    "none such": ("# coding: nonesuch\n", "unknown"),
}  # fmt: skip


@pytest.mark.parametrize(("head", "why"), CODED.values(), ids=CODED)
def test_strange_encodings_are_left_with_the_reason(project: Path, head: str, why: str) -> None:
    (project / "a.py").write_text(head + USED)
    done = run("--yes")
    assert (done.exit_code, why in done.stderr) == (0, True)
    assert (project / "a.py").read_text() == head + USED


def test_the_diff_is_one_that_git_applies(project: Path) -> None:
    (project / "pkg").mkdir()
    files = {
        "a.py": b"from openai import OpenAI as O; O()",
        "pkg/b.py": b"import os\r\nfrom openai import OpenAI, APIError\r\nOpenAI()\r\n",
        "latin.py": "# coding: latin-1\nx = 'é'\nfrom openai import OpenAI\nOpenAI()\n".encode(
            "latin-1"
        ),
        "mark.py": "\ufeffx = 'é'\nfrom openai import OpenAI\nOpenAI()\n".encode(),
    }
    for name, raw in files.items():
        (project / name).write_bytes(raw)
    done = run()
    assert (done.exit_code, {name: (project / name).read_bytes() for name in files}) == (1, files)
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        input=done.stdout_bytes,
        cwd=project,
        check=True,
    )
    assert (project / "a.py").read_bytes() == b"from adapter import OpenAI as O; O()"
    assert (
        (project / "pkg/b.py").read_bytes() == b"import os\r\nfrom adapter import OpenAI\r\n"
        b"from openai import APIError\r\nOpenAI()\r\n"
    )


def test_a_module_of_the_projects_own_comes_first(project: Path) -> None:
    (project / "adapter.py").touch()
    (project / "a.py").write_text(USED)
    done = run("--yes")
    assert "a.py:1: left: adapter.py would be imported instead of the adapter" in done.stderr
    assert (project / "a.py").read_text() == USED


def test_as_json(project: Path) -> None:
    (project / "a.py").write_text(USED)
    (project / "b.py").write_text("from openai import *\n")
    (project / "c.ipynb").write_text("openai")
    done = run("--json")
    shown: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [(one["file"], one["written"]) for one in shown["changed"]] == [("a.py", False)]
    assert [(one["file"], one["line"]) for one in shown["left"]] == [("b.py", 1), ("c.ipynb", 1)]
    done = run("--json", "--yes")
    assert (done.exit_code, json.loads(done.stdout)["changed"][0]["written"]) == (0, True)


@pytest.mark.parametrize(("answer", "written"), [("y\n", True), ("n\n", False)], ids=["yes", "no"])
def test_on_a_terminal_it_asks(
    project: Path, monkeypatch: pytest.MonkeyPatch, answer: str, written: bool
) -> None:
    monkeypatch.setattr("adapter.tools.cli.fix._is_interactive", lambda: True)
    (project / "a.py").write_text(USED)
    done = run(answer=answer)
    assert "Write 1 file?" in done.stderr
    assert done.exit_code == (0 if written else 1)
    assert ("adapter" in (project / "a.py").read_text()) is written
