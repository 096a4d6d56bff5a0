"""`adapter scan --fix`: what it changes, to the byte; what it leaves, and why."""

from __future__ import annotations

import ast
import errno
import json
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from adapter.tools.cli.app import app
from adapter.tools.scan.imports import fix_imports
from adapter.tools.scan.known_clients import CLIENTS

CHANGED: dict[str, tuple[str, str]] = {
    "alone": ("from openai import OpenAI\n", "from adapter import OpenAI\n"),
    "all four": (
        "from openai import OpenAI, AsyncOpenAI, AzureOpenAI, AsyncAzureOpenAI\n",
        "from adapter import OpenAI, AsyncOpenAI, AzureOpenAI, AsyncAzureOpenAI\n",
    ),
    "an alias": ("from openai import OpenAI as Client  # ours\n", "from adapter import OpenAI as Client  # ours\n"),
    "among others": (
        "from openai import APIError, OpenAI, NOT_GIVEN\n",
        "from adapter import OpenAI\nfrom openai import APIError, NOT_GIVEN\n",
    ),
    "first": ("from openai import OpenAI, APIError\n", "from adapter import OpenAI\nfrom openai import APIError\n"),
    "last": ("from openai import APIError, OpenAI as O\n", "from adapter import OpenAI as O\nfrom openai import APIError\n"),
    "in parentheses": ("from openai import (APIError, OpenAI)\n", "from adapter import OpenAI\nfrom openai import (APIError)\n"),
    "a name a line": (
        "from openai import (\n    APIError,\n    OpenAI,\n)\n",
        "from adapter import OpenAI\nfrom openai import (\n    APIError,\n)\n",
    ),
    "with comments": (
        "from openai import (\n    # errors\n    APIError,  # all\n    OpenAI,  # noqa: X\n)\n",
        "from adapter import (\n    OpenAI,  # noqa: X\n)\nfrom openai import (\n    # errors\n    APIError,  # all\n)\n",
    ),
    "behind a comment": (
        "from openai import (OpenAI,  # ours\n    APIError)\n",
        "from adapter import OpenAI\nfrom openai import (  # ours\n    APIError)\n",
    ),
    "continued": (
        "from openai import APIError, \\\n    OpenAI\n",
        "from adapter import OpenAI\nfrom openai import APIError\n",
    ),
    "in a function": (
        "def f():\n\tfrom openai import OpenAI, APIError\n\treturn OpenAI()\n",
        "def f():\n\tfrom adapter import OpenAI\n\tfrom openai import APIError\n\treturn OpenAI()\n",
    ),
    "tried": (
        "try:\n    from openai import OpenAI\nexcept ImportError:\n    OpenAI = None\n",
        "try:\n    from adapter import OpenAI\nexcept ImportError:\n    OpenAI = None\n",
    ),
    "on one line": ("if x: from openai import OpenAI, APIError\n", "if x: from adapter import OpenAI; from openai import APIError\n"),
    "behind a semicolon": ("a = 1; from openai import APIError, OpenAI\n", "a = 1; from adapter import OpenAI; from openai import APIError\n"),
    "windows": ("import os\r\nfrom openai import OpenAI, APIError\r\n", "import os\r\nfrom adapter import OpenAI\r\nfrom openai import APIError\r\n"),
    "no newline at the end": ("from openai import OpenAI as O; O()", "from adapter import OpenAI as O; O()"),
    "a form feed": ("x = 1\n\x0c\nfrom openai import OpenAI\n", "x = 1\n\x0c\nfrom adapter import OpenAI\n"),
    "by the module": ("import openai\nc = openai.OpenAI(x)\n", "import adapter\nimport openai\nc = adapter.OpenAI(x)\n"),
    "by the module's alias": ("import openai as o\no.AsyncOpenAI()\n", "import adapter\nimport openai as o\nadapter.AsyncOpenAI()\n"),
    "by the module, after others": ("import os, openai\nopenai.OpenAI()\n", "import adapter\nimport os, openai\nadapter.OpenAI()\n"),
    "by the module, known already": ("import adapter\nimport openai\nopenai.OpenAI()\n", "import adapter\nimport openai\nadapter.OpenAI()\n"),
    "by the module, in a function": (
        "def f():\n    import openai\n    return openai.OpenAI()\n",
        "def f():\n    import adapter\n    import openai\n    return adapter.OpenAI()\n",
    ),
    "a subclass": ("import openai\nclass C(openai.OpenAI): pass\n", "import adapter\nimport openai\nclass C(adapter.OpenAI): pass\n"),
    "not annotations, nor tests": (
        "import openai\ndef f(c: openai.OpenAI):\n    assert isinstance(c, openai.OpenAI)\n    return openai.OpenAI()\n",
        "import adapter\nimport openai\ndef f(c: openai.OpenAI):\n    assert isinstance(c, openai.OpenAI)\n    return adapter.OpenAI()\n",
    ),
    "below the future": (
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport openai\n\nopenai.OpenAI()\n',
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport adapter\nimport openai\n\nadapter.OpenAI()\n',
    ),
    "missing, perhaps": (
        "try:\n    import openai\nexcept ImportError:\n    openai = None\ndef f(): return openai.OpenAI()\n",
        "try:\n    import adapter\n    import openai\nexcept ImportError:\n    openai = None\ndef f(): return adapter.OpenAI()\n",
    ),
}  # fmt: skip


def calls(text: str) -> str:
    """Call all clients that a module imports by name at its top, on a line of their own below it."""
    names = [
        alias.asname or alias.name
        for node in ast.parse(text).body
        for one in (node, *getattr(node, "body", ()))
        if isinstance(one, ast.ImportFrom) and not isinstance(node, ast.FunctionDef)
        for alias in one.names
        if alias.name in CLIENTS
    ]
    ends = "" if text.endswith("\n") else "\n"
    return text + ends + "".join(f"{name}()\n" for name in names)


@pytest.mark.parametrize(("before", "after"), CHANGED.values(), ids=CHANGED)
def test_changes(before: str, after: str) -> None:
    before, after = calls(before), calls(after)
    fixed = fix_imports(before)
    assert (fixed.text, fixed.left) == (after, [])
    assert fix_imports(after).text is None


UNTOUCHED = {
    "nothing of ours": "from openai import APIError\nimport openai\nopenai.APIError\n",
    "somebody else's": "from llama_index.llms.openai import OpenAI\nOpenAI()\n",
    "relative": "from .openai import OpenAI\n",
    "another openai": "openai = thing()\nopenai.OpenAI()\n",
    "a parameter": "import openai\ndef f(openai): return openai.OpenAI()\n",
    "in text": "x = 'from openai import OpenAI'\n",
    "for types only": "if TYPE_CHECKING:\n    import openai\ndef f(c: openai.OpenAI): ...\n",
}


@pytest.mark.parametrize("text", UNTOUCHED.values(), ids=UNTOUCHED)
def test_leaves_alone(text: str) -> None:
    fixed = fix_imports(text)
    assert (fixed.text, fixed.left) == (None, [])


LEFT = {
    "old macs' line ends": ("x = 1\rfrom openai import OpenAI\rOpenAI()\r", 1, "written back"),
    "a star": ("from openai import *\n", 1, "everything"),
    "re-exported": ("from openai import OpenAI\n__all__ = ['OpenAI']\n", 2, "__all__"),
    "re-exported, added": (
        "from openai import OpenAI as O\n__all__ = []\n__all__ += ['O']\n",
        3,
        "__all__",
    ),
    "as itself": ("from openai import OpenAI as OpenAI\n", 1, "re-exports OpenAI"),
    "compared": (
        "from openai import OpenAI\nx = OpenAI()\ntype(x) is OpenAI\n",
        3,
        "openai.OpenAI",
    ),
    "compared with several": (
        "from openai import OpenAI as O\nx = O()\ntype(x) in (str, O)\n",
        3,
        "openai.OpenAI",
    ),
    "compared by the module": (
        "import openai\nx = openai.OpenAI()\ntype(x) == openai.OpenAI\n",
        3,
        "openai.OpenAI",
    ),
    "a method replaced": ("from openai import OpenAI\nOpenAI.post = f\nOpenAI()\n", 2, "replaces"),
    "another adapter": (
        "import openai\nadapter = 1\nopenai.OpenAI()\n",
        3,
        "adapter names something else",
    ),
    "an adapter parameter": (
        "import openai\ndef f(adapter): return openai.OpenAI()\n",
        2,
        "adapter names something else",
    ),
    "a module of that name": (
        "import openai\nfrom . import adapter\nopenai.OpenAI()\n",
        3,
        "adapter names something else",
    ),
    "an adapter elsewhere": (
        "import openai\nfor adapter in x: pass\nopenai.OpenAI()\n",
        3,
        "adapter names something else",
    ),
    "replaced": ("import openai\nopenai.OpenAI = Fake\nopenai.OpenAI()\n", 2, "replaces"),
}


@pytest.mark.parametrize(("text", "line", "why"), LEFT.values(), ids=LEFT)
def test_unsafe_files_are_left_with_the_reason(text: str, line: int, why: str) -> None:
    fixed = fix_imports(text)
    assert fixed.text is None
    assert [(at, why in said) for at, said in fixed.left] == [(line, True)]


NOTED: dict[str, tuple[str, str]] = {
    "the other name": ("import openai\nc = openai.Client()\n", "write OpenAI"),
    "the other name, imported": ("from openai import AsyncClient, APIError\n", "write AsyncOpenAI"),
    "the module's own client": (
        "import openai\nopenai.chat.completions.create(model='m')\n",
        "adapter.install(openai)",
    ),
}
SAFE = (
    "isinstance(c, openai.OpenAI)", "cast(openai.OpenAI, c)", "Mock(spec=openai.OpenAI)", "def f(c: openai.OpenAI): ...",
    "class C(openai.OpenAI): ...", "openai.OpenAI()", "openai.responses.create()",
)  # fmt: skip


@pytest.mark.parametrize(("text", "said"), NOTED.values(), ids=NOTED)
def test_what_isnt_changed_is_told_of(text: str, said: str) -> None:
    fixed = fix_imports(text)
    assert fixed.text is None
    [(_, note)] = fixed.notes
    assert said in note


@pytest.mark.parametrize("text", SAFE)
def test_what_needs_no_word(text: str) -> None:
    fixed = fix_imports(f"import openai\n{text}\n")
    assert (fixed.notes, fixed.left) == ([], [])


def test_a_packages_init_hands_on_what_it_doesnt_use() -> None:
    text = "from openai import OpenAI\n"
    assert fix_imports(text, is_package=True).left == [(1, "re-exports OpenAI")]
    assert fix_imports(f"{text}client = OpenAI()\n", is_package=True).text is not None


def test_several_imports_of_the_module_get_one_of_ours() -> None:
    text = "import openai\nimport openai.types.chat\nimport openai as o\nc = openai.OpenAI(), o.OpenAI()\n"
    fixed = fix_imports(text).text
    assert fixed is not None
    assert fixed.startswith("import adapter\nimport openai\n")
    assert fixed.count("import adapter") == 1


def test_patches_by_name_are_told_of() -> None:
    fixed = fix_imports("from openai import OpenAI\npatch('openai.OpenAI')\nOpenAI()\n")
    assert fixed.text is not None
    assert [line for line, _ in fixed.notes] == [2]


# Any import

NAMES = (
    "OpenAI",
    "AsyncOpenAI",
    "AzureOpenAI",
    "AsyncAzureOpenAI",
    "APIError",
    "NOT_GIVEN",
    "Stream",
    "types",
)
NAMED = st.tuples(st.sampled_from(NAMES), st.sampled_from(["", " as mine", "  as  _x"]))
LAYOUTS = ("plain", "continued", "parentheses", "lines", "lines with comments", "ragged")


def written(names: list[tuple[str, str]], layout: str, newline: str, indent: str) -> str:
    """Write an import in one of the ways that people have."""
    words = [name + alias for name, alias in names]
    if layout == "plain":
        return f"from openai import {', '.join(words)}"
    if layout == "continued":
        continued = f", \\{newline}{indent}    "
        return f"from  openai  import {continued.join(words)}"
    if layout == "parentheses":
        return f"from openai import ( {' , '.join(words)},)"
    if layout == "lines":
        return f"from openai import ({newline}{''.join(f'{indent}    {word},{newline}' for word in words)}{indent})"
    if layout == "lines with comments":
        lines = "".join(
            f"{indent}    # above {k}{newline}{indent}    {word},  # {k}{newline}"
            for k, word in enumerate(words)
        )
        return f"from openai import (  # first{newline}{lines}{indent})  # last"
    return f"from openai import ({f',{newline}{indent}  '.join(words)}{newline}{indent} )"


def imported(text: str) -> list[tuple[str, str, str | None]]:
    return sorted(
        (node.module or "", alias.name, alias.asname or "")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )


@given(
    imports=st.lists(
        st.tuples(st.lists(NAMED, min_size=1, max_size=5), st.sampled_from(LAYOUTS)),
        min_size=1,
        max_size=3,
    ),
    newline=st.sampled_from(["\n", "\r\n"]),
    indent=st.sampled_from(["", "    ", "\t"]),
    final=st.booleans(),
)
def test_any_import(
    imports: list[tuple[list[tuple[str, str]], str]], newline: str, indent: str, final: bool
) -> None:
    head = "def f():" if indent else "# ünï"
    lines = [indent + written(names, layout, newline, indent) for names, layout in imports]
    lines += [
        f"{indent}{alias.split()[-1] if alias else name}()"
        for names, _ in imports
        for name, alias in names
        if name in CLIENTS
    ]
    text = newline.join([head, f"{indent}x = 'é'", *lines, f"{indent}y = 2"]) + (
        newline if final else ""
    )
    fixed = fix_imports(text)
    assert fixed.left == []
    changed = text if fixed.text is None else fixed.text
    assert imported(changed) == sorted(
        ("adapter" if name in CLIENTS else module, name, alias)
        for module, name, alias in imported(text)
    )
    assert changed.count("#") == text.count("#")  # no comment is lost
    assert fix_imports(changed).text is None
    if newline == "\r\n":
        assert changed.count("\n") == changed.count("\r\n")
    assert changed.endswith(newline) is final


# Files


USED = "from openai import OpenAI\nOpenAI()\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder, and work in it."""
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
    assert (
        "link.py:1: left: a symbolic link: name what it leads to" in run("--yes", "link.py").stderr
    )
    assert target.read_text() == USED
    done = run("--yes")  # what it leads to is there as well
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


def test_what_may_not_be_written_is_refused_with_a_line(project: Path) -> None:
    (project / "a.py").write_text(USED)
    (project / "a.py").chmod(0o444)
    (project / "b.py").write_text(USED)
    done = run("--yes")
    assert (done.exit_code, "a.py: not written: it is read-only" in done.stderr) == (1, True)
    assert ((project / "a.py").read_text(), (project / "b.py").read_text()) == (
        USED,
        USED.replace("openai", "adapter"),
    )


def test_what_is_no_file_is_passed_over(project: Path) -> None:
    os.mkfifo(project / "pipe.py")
    (project / "gone.py").symlink_to("nowhere")
    (project / "folder.py").mkdir()
    (project / "folder.py" / "a.py").write_text(USED)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.py")
        done = run("--yes")
    assert done.exit_code == 0
    assert "pipe.py:1: left: not a regular file: a named pipe" in done.stderr
    assert "s.py:1: left: not a regular file: a socket" in done.stderr
    assert "gone.py:1: left" in done.stderr
    assert (project / "folder.py" / "a.py").read_text() == USED.replace("openai", "adapter")


def test_a_change_that_fails_half_way_is_taken_back(
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


def test_names_of_files_act_on_no_terminal(project: Path) -> None:
    name = "a\x1b[31m\n.py"
    (project / name).write_text(USED + "isinstance(x, OpenAI)\n")
    done = run()
    assert "\x1b" not in done.output
    assert r"a\x1b[31m\n.py:3: left" in done.stderr
    assert r'+++ "b/a\033[31m\012.py"' in done.stdout
    assert [one["file"] for one in json.loads(run("--json").stdout)["changed"]] == [name]
    assert "\x1b" not in run("--json").stdout


CODED = {
    "punycode": ("# coding: punycode\n", "something else"),
    "UTF-16": ("# coding: utf-16\n", "something else"), "none such": ("# coding: nonesuch\n", "unknown"),
}  # fmt: skip


@pytest.mark.parametrize(("head", "why"), CODED.values(), ids=CODED)
def test_strange_encodings_are_left_with_a_line(project: Path, head: str, why: str) -> None:
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
        (project / "pkg/b.py").read_bytes()
        == b"import os\r\nfrom adapter import OpenAI\r\nfrom openai import APIError\r\nOpenAI()\r\n"
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
