"""The command `adapter`: help, version, completion, errors and exit codes."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter.tools import cli
from adapter.tools.cli.commands import COMMANDS
from tests.support.command import Done, command

LIBRARIES = ("typer", "click", "rich", "vcr", "yaml", "libcst", "pyarrow", "shellingham")
CALL = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}'


def one_line(done: Done, code: int = 2) -> str:
    """Return the text after `adapter: ` on the only line printed."""
    assert (done.code, done.out) == (code, "")
    line, end, rest = done.err.partition("\n")
    assert (line[:9], end, rest) == ("adapter: ", "\n", "")
    return line[9:]


# Help and version


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option: str) -> None:
    assert command(option) == Done(0, f"adapter {adapter.__version__}\n", "")


def test_help_lists_the_commands() -> None:
    for option in ("--help", "-h"):
        done = command(option)
        assert (done.code, done.err) == (0, "")
        assert "Not installed here" not in done.out
        for one in COMMANDS.values():
            assert f"  {one.name:7}  {one.help}\n" in done.out
    assert command() == Done(2, "", done.out)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_help(name: str) -> None:
    one = COMMANDS[name]
    function = one.load()
    for option in ("--help", "-h"):
        done = command(name, option)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Usage: adapter {name}")
        first = function.__doc__.partition(".")[0].split()  # however it is wrapped
        assert done.out.partition("\n\n")[2].replace(".", " ").split()[: len(first)] == first
        assert "--help" in done.out


def python(code: str, *arguments: str, **environment: str) -> Done:
    """Run code in a new Python process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def test_help_and_version_work_without_the_libraries() -> None:
    """Neither imports a module that is slow to import."""
    code = f"""
import io, json, sys
for name in {LIBRARIES}: sys.modules[name] = None
from contextlib import redirect_stderr, redirect_stdout
from adapter.tools.cli import main
found = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["adapter", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try: main()
        except SystemExit as end: found.append((end.code, out.getvalue(), err.getvalue()))
    heavy = {{"openai", "pydantic", "adapter._settings.settings", "asyncio"}} & set(sys.modules)
    assert not heavy, heavy
print(json.dumps(found))
"""
    asked = [
        ["--version"],
        ["--help"],
        ["explian"],
        [],
        *([name, "--help"] for name in COMMANDS),
        ["doctor"],
        ["--jsno"],
    ]
    done = python(code, json.dumps(asked))
    assert (done.code, done.err) == (0, "")
    found = {
        " ".join(arguments): Done(*one)
        for arguments, one in zip(asked, json.loads(done.out), strict=True)
    }
    assert found["--version"] == Done(0, f"adapter {adapter.__version__}\n", "")
    assert found["--help"].code == 0
    assert (
        "Not installed here:\n  audit    needs typer, rich (extra `tools`)\n" in found["--help"].out
    )
    assert "  scan     needs typer, rich, libcst (extra `tools`)\n" in found["--help"].out
    assert found[""] == Done(2, "", found["--help"].out)
    assert one_line(found["explian"]) == "explian: no such command; did you mean explain?"
    assert one_line(found["doctor"]) == "doctor needs typer, rich (extra `tools`)"
    assert one_line(found["--jsno"]) == "--jsno needs typer, rich (extra `tools`)"
    for name, one in COMMANDS.items():
        assert found[f"{name} --help"].code == 0
        assert one.help in found[f"{name} --help"].out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_library_is_named_with_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in COMMANDS[name].needs:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, library, None)
            message = one_line(command(name))
        assert message.startswith(f"{name} needs ")
        assert "(extra `" in message


def test_the_table_names_the_imports_of_each_command() -> None:
    """The libraries of extras that a command's module imports are those in its row."""
    for one in COMMANDS.values():
        pending, seen, libraries = [f"adapter.tools.cli.{one.name}"], set(), set()
        while pending:
            module = pending.pop()
            if module in seen:
                continue
            seen.add(module)
            path = Path(str(import_module(module).__file__))
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                names = (
                    [alias.name for alias in node.names] if isinstance(node, ast.Import)
                    else [node.module] if isinstance(node,
                        ast.ImportFrom) and node.module and not node.level else []
                )  # fmt: skip
                pending += [name for name in names if name.startswith("adapter.tools.cli")]
                libraries |= {name.partition(".")[0] for name in names} & set(LIBRARIES)
        assert libraries <= {*one.needs, "rich"}, one.name


def test_python_m_adapter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adapter", "-V"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"adapter {adapter.__version__}\n",
        "",
    )


# Completion

ASKED: dict[str, tuple[dict[str, str], set[str]]] = {
    "commands in bash": (
        {"_ADAPTER_COMPLETE": "complete_bash", "COMP_WORDS": "adapter e", "COMP_CWORD": "1"},
        {"explain"}),
    "options in bash": (
        {"_ADAPTER_COMPLETE": "complete_bash", "COMP_WORDS": "adapter explain --call",
            "COMP_CWORD": "2"}, {"--call-site"},
    ),
    "choices in bash": (
        {"_ADAPTER_COMPLETE": "complete_bash", "COMP_WORDS": "adapter force n", "COMP_CWORD": "2"},
        {"native"},
    ),
    "commands in zsh": ({"_ADAPTER_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "adapter sch"}, {'"schema"'}),
    "options in zsh": ({"_ADAPTER_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "adapter audit --ht"}, {'"--html"'}),
    "commands in fish": (
        {"_ADAPTER_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "_TYPER_COMPLETE_ARGS": "adapter do"},
        {"doctor"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED)
def test_completion(case: str) -> None:
    environment, wanted = ASKED[case]
    done = command(env=environment)
    assert (done.code, done.err) == (0, "")
    for name in wanted:
        assert name in done.out
    assert not any(other in done.out for other in {"audit", "demo", "--json"} - wanted)


@pytest.mark.parametrize(
    ("shell", "message"), [("bash", "complete -o default -F"), ("zsh", "#compdef adapter"),
        ("fish", "complete --command adapter")]
)  # fmt: skip
def test_completion_scripts(
    shell: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "")  # restored afterwards
    monkeypatch.setenv("HOME", str(tmp_path))
    done = command("--show-completion", shell)
    assert (done.code, done.err) == (0, "")
    assert message in done.out
    assert f"_ADAPTER_COMPLETE=complete_{shell}" in done.out
    assert command("--install-completion", shell).code == 0
    assert any(message in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_an_unknown_shell_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "")
    assert one_line(command("--show-completion", "tcsh")).startswith(
        "--show-completion: 'tcsh' is not one of"
    )


# Errors: one line that begins with the option or the path

NUMBER = "expected"
MISTAKES: dict[tuple[str, ...], str] = {
    ("explian",): "explian: no such command; did you mean explain?",
    ("x\n\x1b[31m" + "y" * 10_000,): r"x\n\x1b[31my",
    ("--jsno",): "--jsno: no such option of adapter",
    ("explain", "--jsno"): "--jsno: no such option of explain; did you mean --json?",
    ("explain", "--line"): "--line: requires an argument",
    ("explain", "--line", "two"): "--line: expected",
    ("explain", "--line", "0"): "--line: expected",
    ("explain", "--check=3"): "--check: does not take a value",
    ("explain", "a.json", "b.json"): "b.json: not expected here",
    ("explain", "none.json"): "none.json: No such file or directory",
    ("explain", "."): ".: not a regular file: a folder",
    ("explain", "--url", "nonsense"): "--url: expected http(s)://host/path",
    ("explain", "--url", "http://[x"): "--url: expected http(s)://host/path",
    ("explain", "--header", "x"): "--header: expected NAME:VALUE",
    ("explain", "--settings", "none.toml"): "/",
    ("audit",): "LOGS: missing",
    ("audit", "none"): "none: ",
    ("audit", ".", "--engine", "local", "--jobs", "x"): "--jobs: expected",
    ("audit", ".", "--engine", "spark"): "--engine: ",
    ("audit", "a.jsonl", "--html", "."): "--html .: Is a directory",
    ("scan", "none"): "none: no such file or folder",
    ("scan", "--fail-on", "x"): "--fail-on: x: expected one of",
    ("scan", "--yes"): "--yes: only with --fix",
    ("scan", "--sarif", "--json"): "--sarif: not together with",
    ("scan", "--jobs", "0"): "--jobs: expected",
    ("demo", "--only", "x"): "--only: no program x",
    ("demo", "--live"): "--live: needs OPENAI_API_KEY",
    ("demo", "--server"): "--server: requires an argument",
    ("doctor", "--sample", "none.json"): "--sample none.json: No such file or directory",
    ("doctor", "--sample", "a.jsonl"): "--sample a.jsonl: ",
    ("doctor", "x"): "x: not expected here",
    ("force",): "chat|native|off: missing",
    ("force", "x"): "chat|native|off: ",
    ("force", "chat"): "FILE: name the settings file",
    ("force", "chat", "none.toml"): "none.toml: ",
    ("schema", "--x"): "--x: no such option of schema",
}  # fmt: skip


@pytest.mark.parametrize("arguments", MISTAKES, ids=lambda one: ascii(" ".join(one))[:60])
def test_an_error_is_one_line(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("[1]\n", encoding="utf-8")
    message = one_line(command(*arguments))
    assert message.startswith(MISTAKES[arguments])
    assert len(message) < 4100
    assert message.isprintable()


def test_a_request_is_required_on_a_terminal() -> None:
    assert one_line(command("explain", stdin=None)).startswith("no request: name a file")


# Errors of the system


def failing(error: BaseException) -> Any:
    def write(*_: Any) -> Any:
        raise error

    return write


ENDS: dict[str, tuple[BaseException, int, str]] = {
    "a reader that closed the pipe": (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, ""),
    "a full disk": (
        OSError(errno.ENOSPC, "No space left on device"),
        2,
        "adapter: stdout: No space left on device\n",
    ),
    "a quota": (
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        2,
        "adapter: stdout: Disk quota exceeded\n",
    ),
    "Ctrl-C": (KeyboardInterrupt(), 130, "adapter: interrupted\n"),
}
PRINTING = {
    "a version": ["--version"], "help": ["--help"], "a schema": ["schema"], "people": ["explain"],
    "JSON": ["explain", "--json"],
    "a demo": ["demo", "--only", "backoff"],
}  # fmt: skip


@pytest.mark.parametrize("what", PRINTING)
@pytest.mark.parametrize("end", ENDS)
def test_a_result_that_cannot_be_written(
    end: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, code, message = ENDS[end]

    class Stream(io.StringIO):
        write = failing(error)
        encoding = "utf-8"  # type: ignore[assignment]

    err = io.StringIO()
    monkeypatch.setattr(sys, "argv", ["adapter", *PRINTING[what]])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CALL.encode())))
    monkeypatch.setattr(sys, "stdout", Stream())
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, err.getvalue()) == (code, message)


def test_without_a_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "argv", ["adapter", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (2, "adapter: stdout: closed\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["explain"], "stdin"), (["explain", "-"], "stdin"), (["audit", "-"], "-")],
    ids=str,
)
def test_without_a_stdin(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "argv", ["adapter", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (2, f"adapter: {message}: closed\n")


def test_a_request_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.tools.cli.console._MAX_REQUEST_BYTES", 1 << 20)
    assert one_line(command("explain", stdin=b" " * (2 << 20))) == "stdin: larger than 1 MiB"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the shells of POSIX")
def test_a_pipe_that_closes_early_gives_no_message() -> None:
    script = (
        'adapter() { "$PYTHON" -m adapter "$@"; }; '
        "(adapter schema; echo $? >&2) | head -c 1 >/dev/null"
    )
    done = subprocess.run(
        ["sh", "-c", script], env={**os.environ, "PYTHON": sys.executable}, capture_output=True,
        text=True, check=False
    )  # fmt: skip
    assert done.stderr in ("2\n", "0\n")  # 0: it finished before the reader closed the pipe


DELETED = {
    "scan": ["scan"], "doctor": ["doctor"], "audit": ["audit", "x"],
    "explain": ["explain", "x.json"],
    "force": ["force", "chat", "x.toml"],
}  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="a working directory can't be deleted there")
@pytest.mark.parametrize("name", DELETED)
def test_a_deleted_working_directory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deleted").mkdir()
    monkeypatch.chdir(tmp_path / "deleted")
    (tmp_path / "deleted").rmdir()
    assert (
        "doesn't exist" in (message := one_line(command(*DELETED[name])))
        or "No such file" in message
    )


# Documents


def test_every_document_has_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.jsonl").write_text(f"{CALL}\n", encoding="utf-8")
    (tmp_path / "code.py").write_text(
        "from openai import OpenAI\nOpenAI().chat.completions.create()\n", encoding="utf-8"
    )
    for arguments in (
        ["explain", "log.jsonl"], ["audit", "log.jsonl", "--jobs", "1"], ["scan", "code.py"],
        ["scan", "--fix", "code.py"],
        ["doctor"], ["demo", "--only", "backoff"],
    ):  # fmt: skip
        done = command(*arguments, "--json")
        document = json.loads(done.out)
        assert next(iter(document.items())) == ("version", 1), arguments
    sarif = json.loads(command("scan", "code.py", "--sarif").out)
    assert sarif["version"] == "2.1.0"


# Names with control characters

NASTY = "a\nb\r\x1b[31m\u202ex\u2066\u2028\x9b\x07"
ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def nasty_body(word: str) -> str:
    tool = {"type": "function", "function": {"name": word, word: word}}
    parts = [
        {"role": "user", "content": [{"type": word, word: word}]},
        {"role": word, "name": word, "content": word},
    ]
    return json.dumps(
        {
            "model": word,
            "messages": parts,
            word: word,
            "tools": [tool],
            "metadata": {word: word},
            "stop": [word],
        }
    )


@pytest.fixture
def nasty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of files whose names and contents have terminal control characters."""
    monkeypatch.chdir(tmp_path)
    code = (
        "from openai import OpenAI\n"
        f"OpenAI().chat.completions.create(model={NASTY!r}, **{{{NASTY!r}: 1}})\n"
    )
    rules = 'match = {model = "a\\u001b\\u202eb*"}\nbackend = "responses"\nunsupported = "drop"\n'
    for name, text in {
        "request.json": nasty_body(f"{NASTY}\ud83d"),
        "large.json": nasty_body("m" * 1_000_000),
        "log.jsonl": f'{{"body": {nasty_body(NASTY)}}}\n{{{NASTY}\n',
        "code.py": code,
        "adapter.toml": f'service = "x"\n[[rules]]\n{rules}',
        "bad.toml": '"a\\u001b\\u202eb" = 1\nbackend = "\\u001b\\u202e"\nforce = "chat"\n',
    }.items():
        (tmp_path / f"{NASTY}{name}").write_text(text, encoding="utf-8", newline="\n")
    return tmp_path


NASTY_RUNS: tuple[tuple[str, ...], ...] = (
    *(("explain", f"{NASTY}{name}.json", "--settings", f"{NASTY}adapter.toml", "--tag", NASTY,
        *form)
      for name in ("request", "large") for form in ((), ("--json",), ("--no-contents",))),
    *(("audit", f"{NASTY}log.jsonl", "--jobs", "1", *form) for form in ((), ("--json",),
        ("--html", "page.html"))),
    *(("scan", ".", *form) for form in ((), ("--json",), ("--sarif",), ("--details",), ("--fix",),
        ("--fix", "--json"))),
    *(("doctor", "--settings", f"{NASTY}{name}.toml", *form) for name in ("adapter",
        "bad") for form in ((), ("--json",))),
    *((command, *more) for command, *more in (
        ("force", "chat", f"{NASTY}adapter.toml"), ("force", "chat", f"{NASTY}bad.toml"),
        ("force", NASTY), ("explain", NASTY),
        ("explain", "--header", NASTY), ("explain", "--url", f"http://h/{NASTY}"),
        ("explain", "--settings", f"{NASTY}bad.toml"),
        ("explain", f"{NASTY}code.py"), ("explain", "--line", NASTY), ("explain", f"--{NASTY}"),
        ("audit", NASTY),
        ("audit", "--state", f"{NASTY}request.json", f"{NASTY}log.jsonl"),
        ("audit", "--engine", NASTY, "x"), ("scan", NASTY),
        ("scan", "--fail-on", NASTY), ("demo", "--only", NASTY), ("demo", "--server", NASTY),
        ("demo", "--server", f"http://127.0.0.1:1/{NASTY}"), ("doctor", "--flags", f"{NASTY}:x"),
        (NASTY,), (f"--{NASTY}",),
        ("x" * 1_000_000,), ("--show-completion", NASTY),
    )),
)  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="no file there has such a name")
def test_names_reach_a_terminal_escaped(
    nasty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "")
    for arguments in NASTY_RUNS:
        done = command(*arguments, env={"OPENAI_BASE_URL": f"http://{NASTY}"})
        assert not ACTIVE.search(done.out + done.err), arguments
        assert len(done.out) + len(done.err) < 300_000, arguments
        assert done.code in (0, 1, 2)
        if done.code == 2:
            assert (done.out, done.err.count("\n")) == ("", 1), arguments
        elif "--json" in arguments:
            json.loads(done.out)
    assert not ACTIVE.search((nasty_folder / "page.html").read_text(encoding="utf-8"))
