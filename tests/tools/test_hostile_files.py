"""Hostile files: each command skips them, reports why in a line, and writes only its own files."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import json
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from adapter import ConfigurationError, Settings
from adapter._routing.reload import reloader_of
from adapter._util.regular_files import Unreadable
from adapter.testing import cassette_check
from adapter.tools.audit import inputs
from adapter.tools.cli.app import app
from adapter.tools.cli.console import UsageError
from adapter.tools.scan import rewrite
from tests.plugin.test_testing import GOOD

USER = {"role": "user", "content": "hi"}
BODY = {"model": "gpt-4.1", "messages": [USER]}
CALL = (
    "from openai import OpenAI\n\nOpenAI().chat.completions.create(model='gpt-4.1', messages=[])\n"
)
SPARSE = 50 << 30
_SOCKETS: list[socket.socket] = []


def _socket(path: Path) -> None:
    made = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        made.bind(path.name)
    finally:
        os.chdir(before)
    _SOCKETS.append(made)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SPARSE)


def _chain(path: Path) -> None:
    target = path.with_name(f"{path.name}-gone")
    path.symlink_to(target)
    target.symlink_to(path.with_name("nowhere at all"))


# What stands there in the place of a file: how it is made, and why it is left (a folder is entered
# instead)
THINGS: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "a named pipe": (os.mkfifo, "not a regular file: a named pipe"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), os.strerror(errno.ENOENT)),
    "links to nowhere": (_chain, os.strerror(errno.ENOENT)),
    "links in a circle": (lambda path: path.symlink_to(path.name), os.strerror(errno.ELOOP)),
    "a folder": (Path.mkdir, None),
    "a link to its own folder": (lambda path: path.symlink_to("."), None),
    "a socket": (_socket, "not a regular file: a socket"),
    "an endless device": (
        lambda path: path.symlink_to("/dev/zero"),
        "not a regular file: a device",
    ),
    "an empty device": (lambda path: path.symlink_to("/dev/null"), "not a regular file: a device"),
    "fifty gigabytes of nothing": (_sparse, "a sparse file with almost no data"),
}
SOME = (
    "a named pipe",
    "links in a circle",
    "a folder",
    "an endless device",
    "fifty gigabytes of nothing",
)
some_things = pytest.mark.parametrize(("make", "why"), [THINGS[name] for name in SOME], ids=SOME)

NAMES = ("new\nline", "esc\x1b[31m", os.fsdecode(b"not utf-8 \xff"), "-f")


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Fail a test that blocks."""

    def late(*_: object) -> None:
        raise TimeoutError("the command waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    while _SOCKETS:
        _SOCKETS.pop().close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a log, a module and a cassette."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text(json.dumps(BODY) + "\n")
    (tmp_path / "good.py").write_text(CALL)
    (tmp_path / "good.yaml").write_text(yaml.safe_dump({"version": 1, "interactions": [GOOD]}))
    return tmp_path


class _Spelling(CliRunner):
    @contextlib.contextmanager
    def isolation(self, *given: Any, **more: Any) -> Iterator[Any]:
        with super().isolation(*given, **more) as streams:
            for stream in (sys.stdout, sys.stderr):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
            yield streams


def run(*arguments: str, ends: tuple[int, ...] = (0, 1)) -> Result:
    """Run a command as `main` does: its streams escape what they can't write."""
    done = _Spelling().invoke(app, list(arguments))
    if not isinstance(done.exception, (SystemExit, type(None))):
        raise done.exception
    assert done.exit_code in ends, done.output
    return done


def check_audit(left: dict[str, str]) -> None:
    document = json.loads(run("audit", "--json", ".", ends=(1,) if left else (0,)).stdout)
    assert document["requests"] == 1
    assert {one["file"]: one["why"] for one in document["unread"]} == left


def check_scan(left: dict[str, str]) -> None:
    document = json.loads(run("scan", "--json", ".", ends=(0,)).stdout)
    assert [one["file"] for one in document["calls"]] == ["good.py"]
    unread = {one["file"]: one["why"] for one in document["unread"]}
    assert unread.keys() == left.keys()
    assert all(left[name] in why for name, why in unread.items())


def check_fix(left: dict[str, str]) -> None:
    document = json.loads(run("scan", "--fix", "--yes", "--json", ".", ends=(0,)).stdout)
    assert [(one["file"], one["written"]) for one in document["changed"]] == [("good.py", True)]
    unread = {one["file"]: one["why"] for one in document["left"]}
    assert unread.keys() == left.keys()
    assert all(left[name] in why for name, why in unread.items())
    assert "from adapter import OpenAI" in Path("good.py").read_text()


def check_hygiene(left: dict[str, str]) -> None:
    for one in ("good.jsonl", "good.py"):
        Path(one).unlink()
    found = {
        str(one.path): one.what
        for one in cassette_check.check(Path(), [Path()])
        if one.what.startswith("can't")
    }
    assert found == {name: f"can't be read: {why}" for name, why in left.items()}


COMMANDS = {
    "audit": (".jsonl", check_audit),
    "scan": (".py", check_scan),
    "fix": (".py", check_fix),
    "hygiene": (".yaml", check_hygiene),
}
each_command = pytest.mark.parametrize(("suffix", "check"), COMMANDS.values(), ids=COMMANDS)


@each_command
def test_a_folder_with_all_of_them(here: Path, suffix: str, check: Callable[[Any], None]) -> None:
    for name, (make, _) in THINGS.items():
        make(here / f"{name}{suffix}")
    check({f"{name}{suffix}": why for name, (_, why) in THINGS.items() if why})


@each_command
def test_names(here: Path, suffix: str, check: Callable[[Any], None]) -> None:
    for name in NAMES:
        os.mkfifo(here / f"{name}{suffix}")
    if suffix == ".py":
        run("scan", "--sarif", ".", ends=(0,))
        run("scan", ".", ends=(0,))
    check({f"{name}{suffix}": "not a regular file: a named pipe" for name in NAMES})


@each_command
def test_folders_that_cant_be_read(
    here: Path, suffix: str, check: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here / "closed"
    folder.mkdir()
    (folder / f"a{suffix}").write_text("x")
    scandir = os.scandir

    def closed(path: Any = ".") -> Any:  # a superuser may read everything
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    check({"closed": "Permission denied"} if suffix != ".yaml" else {})


@some_things
def test_one_that_is_named(here: Path, make: Callable[[Path], object], why: str | None) -> None:
    make(here / "thing")
    for command in (["explain"], ["doctor", "--sample"]):
        with pytest.raises(UsageError, match="thing: "):
            run(*command, "thing")
    if why:
        with pytest.raises(UsageError, match="thing"):
            run("audit", "thing")
        assert "thing: not scanned: " in run("scan", "thing", ends=(0,)).stderr
        make(here / "thing.py")
        assert "thing.py:1: left: " in run("scan", "--fix", "--yes", "thing.py", ends=(0,)).stderr


@some_things
def test_a_settings_file(here: Path, make: Callable[[Path], object], why: str | None) -> None:
    make(here / "thing")
    for command in (["explain", "good.jsonl", "--settings", "thing"], ["force", "chat", "thing"]):
        with pytest.raises(UsageError, match="thing: "):
            run(*command)
    with pytest.raises(ConfigurationError, match="config_file: "):
        Settings(config_file="thing")


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"]
)
def test_a_settings_file_that_becomes_one(here: Path, make: Callable[[Path], object]) -> None:
    path = here / "thing"
    path.write_text('backend = "responses"\n')
    running = reloader_of(Settings(config_file=path))
    path.unlink()
    make(path)
    running._seen_signature = None
    assert running.current().settings.backend == "responses"


def test_nothing_is_a_settings_file(here: Path) -> None:
    assert Settings(config_file=os.devnull).backend == "chat"


@some_things
def test_a_doctor_beside_it(here: Path, make: Callable[[Path], object], why: str | None) -> None:
    for name in ("gunicorn.conf.py", "Procfile", "pyproject.toml", "adapter.toml", "deploy.yaml"):
        make(here / name)
    done = json.loads(run("doctor", "--json").stdout)
    assert "The check itself failed" not in json.dumps(done)
    assert why != ""


@pytest.mark.parametrize(
    "code", ["(" * 100_000, "-" * 100_000 + "1", "x = '\\d'\n", "\0", "workers = 1" + "+1" * 50_000]
)
def test_a_doctor_reads_what_gunicorn_would_run(here: Path, code: str) -> None:
    (here / "gunicorn.conf.py").write_text(code)
    done = run("doctor", "--json")
    assert "The check itself failed" not in done.stdout
    assert "Warning" not in done.stderr


def test_a_state_that_isnt_a_file(here: Path) -> None:
    os.mkfifo(here / "state")
    with pytest.raises(UsageError, match="state: not a regular file"):
        run("audit", "--state", "state", "good.jsonl")


def test_a_log_that_vanishes(here: Path) -> None:
    (log,) = inputs.find_logs(["good.jsonl"])
    (here / "good.jsonl").unlink()
    (block,) = inputs.read_blocks(log)
    assert block.data == b""
    assert "No such file" in str(block)


def test_what_a_shell_has_opened_is_read(here: Path) -> None:
    read, write = os.pipe()
    os.write(write, json.dumps(BODY).encode())
    os.close(write)
    assert json.loads(run("explain", "--json", f"/dev/fd/{read}").stdout)["moves"]
    os.close(read)


# Contents

_LINE = json.dumps(BODY).encode() + b"\n"
LOGS: dict[str, tuple[bytes, int]] = {
    "half of a gzip": (gzip.compress(_LINE * 9000)[:-500], 0),
    "a broken gzip": (gzip.compress(_LINE)[:12] + b"broken" * 9, 0),
    "half of a bz2": (bz2.compress(_LINE * 9000)[:-50], 0),
    "a broken zstd": (b"\x28\xb5\x2f\xfd" + b"broken" * 9, 0),
    "a broken Parquet": (b"PAR1" + b"broken" * 9 + b"PAR1", 0),
    "ten megabytes in a line": (b'{"x":"' + b"x" * (10 << 20) + b'"}\n' + _LINE, 1),
    "deep": (b'{"x":' + b"[" * 100_000 + b"\n" + _LINE, 1),
    "a deep array, of which the lines behind it are a part": (b"[" * 100_000 + b"\n" + _LINE, 0),
    "NUL bytes": (b"\0" * 100 + b"\n" + _LINE, 1),
    "bytes": (bytes(range(256)) + b"\n" + _LINE, 1),
    "text with a lone surrogate": (b'"\\ud800"\n' + _LINE, 1),
}


@pytest.mark.parametrize(("raw", "requests"), LOGS.values(), ids=LOGS)
def test_contents_of_logs(here: Path, raw: bytes, requests: int) -> None:
    (here / "odd.jsonl").write_bytes(raw)
    document = json.loads(run("audit", "--json", ".", ends=(1,)).stdout)
    assert document["requests"] >= 1 + requests
    assert document["bad_lines"]["count"] >= 1
    assert {one["file"] for one in document["bad_lines"]["first"]} == {"odd.jsonl"}
    if len(raw) < 1 << 20:
        with contextlib.suppress(UsageError):
            run("explain", "odd.jsonl")


_HINT = "import openai\nfrom openai import OpenAI\nOpenAI().chat.completions.create()\n"
CODE: dict[str, bytes] = {
    **{
        f"coding: {name}": f"# coding: {name}\n{_HINT}".encode() + b"\xff\xfe-"
        for name in (
            "punycode",
            "idna",
            "undefined",
            "rot13",
            "utf-16",
            "unicode_escape",
            "none",
            "shift_jis",
        )
    },
    "NUL bytes": _HINT.encode() + b"\0",
    "bytes": _HINT.encode() + bytes(range(256)),
    "a syntax error": (_HINT + "def (:\n").encode(),
    "brackets": (_HINT + "(" * 100_000).encode(),
    "a chain": (_HINT + "x = " + "-" * 100_000 + "1\n").encode(),
    "a sum": (_HINT + "x = 1" + "+1" * 100_000 + "\n").encode(),
    "an indentation": (
        _HINT + "".join(f"{' ' * k}if x:\n" for k in range(200)) + " " * 200 + "x\n"
    ).encode(),
    "carriage returns": (_HINT.replace("\n", "\r")).encode() + b"\r(",
}


@pytest.mark.parametrize("raw", CODE.values(), ids=[name[:20] for name in CODE])
def test_contents_of_modules(here: Path, raw: bytes) -> None:
    (here / "odd.py").write_bytes(raw)
    check_scan({"odd.py": ""})
    check_fix({"odd.py": ""})
    assert (here / "odd.py").read_bytes() == raw


def test_a_long_line(here: Path) -> None:
    (here / "long.py").write_text(_HINT + "x = '" + "x" * (10 << 20) + "'\n")
    document = json.loads(run("scan", "--json", ".", ends=(0,)).stdout)
    assert {one["file"] for one in document["calls"]} == {"good.py", "long.py"}
    punycode = here / "slow.py"
    punycode.write_bytes(b"# coding: punycode\n" + _HINT.encode() + b"import openai" * 500_000)
    run("scan", ".", ends=(0,))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0",
        b"\xff",
        b"[" * 10_000,
        b"a: &a [*a]\n",
        b"interactions: [1]\n",
        b"- {",
        b"version: 1\ninteractions: null\n",
        b"interactions: [{request: {uri: 1, headers: [1], body: 3}, response: 4}]\n",
    ],
)
def test_contents_of_cassettes(here: Path, raw: bytes) -> None:
    (here / "odd.yaml").write_bytes(raw)
    assert "odd.yaml" in {str(one.path) for one in cassette_check.check(here.relative_to(here), [])}


# What is written


def test_a_file_is_written_in_place(here: Path) -> None:
    path, other = here / "good.py", here.with_name("elsewhere.py")
    other.hardlink_to(path)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()
    check_fix({})
    after = path.stat()
    for name in ("st_ino", "st_nlink", "st_uid", "st_gid", "st_mode"):
        assert getattr(after, name) == getattr(before, name), name
    assert "from adapter import OpenAI" in other.read_text()
    other.unlink()


def test_a_patch_is_exact_to_the_byte(here: Path) -> None:
    (here / "good.py").unlink()
    for name, coding in (
        ('odd\n\x1b"\\ü.py', "utf-8"),
        ("größe.py", "latin-1"),
        ("empty.py", "idna"),
    ):
        (here / name).write_bytes(f"# coding: {coding}\n{CALL}".encode())
    patch = run("scan", "--fix", ".").stdout_bytes
    assert b'--- "a/odd\\012\\033\\042\\134\\303\\274.py"\n' in patch
    assert "--- a/größe.py\n".encode() in patch
    assert b"--- a/empty.py\n" in patch


def test_what_may_not_be_written_is_left_and_the_others_are_written(here: Path) -> None:
    for name in ("a.py", "z.py"):
        (here / name).write_text(CALL)
    (here / "a.py").chmod(0o444)
    done = run("scan", "--fix", "--yes", ".", ends=(1,))
    assert "a.py: not written: it is read-only" in done.stderr
    assert "2 files written" in done.stderr
    assert (here / "a.py").read_text() == CALL
    assert stat.S_IMODE((here / "a.py").stat().st_mode) == 0o444
    assert (
        json.loads(run("scan", "--fix", "--yes", "--json", ".", ends=(1,)).stdout)["changed"][0][
            "why"
        ]
        == "it is read-only"
    )


@pytest.mark.parametrize("grows", [False, True])
def test_a_file_that_cant_be_written_whole_is_as_it_was(
    here: Path, grows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (CALL + "#\n" * 50).encode()
    (here / "good.py").write_bytes(before)
    change = rewrite.FileChange(here / "good.py", before, before * 2 if grows else b"x\n")
    monkeypatch.setattr(os, "fsync", _full_once())
    with pytest.raises(Unreadable, match="No space left"):
        change.write()
    assert (here / "good.py").read_bytes() == before


def _full_once() -> Callable[[int], None]:
    left = [OSError(28, "No space left on device")]

    def fsync(_: int) -> None:
        if left:
            raise left.pop()

    return fsync


def test_a_file_that_has_changed_meanwhile_is_left(here: Path) -> None:
    change = rewrite.FileChange(here / "good.py", b"something else", b"x")
    with pytest.raises(Unreadable, match="changed"):
        change.write()
    (here / "good.py").unlink()
    with pytest.raises(Unreadable, match="No such file"):
        change.write()
    (here / "good.py").symlink_to("good.jsonl")
    with pytest.raises(Unreadable, match="link"):
        change.write()


# `adapter doctor` in another project's folder


@pytest.fixture
def server() -> Iterator[tuple[int, list[Any]]]:
    """Listen on the loopback, close each connection at once, and count them."""
    came: list[Any] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, address = listener.accept()
                came.append(address)
                connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1], came
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


WAYS: dict[str, tuple[list[str], dict[str, str], bool]] = {
    "found": ([], {}, False),
    "found, no variable": ([], {"ADAPTER_CONFIG": ""}, False),
    "named": (["--settings", "adapter.toml"], {}, True),
    "named by a variable": ([], {"ADAPTER_CONFIG": "adapter.toml"}, True),
}


@pytest.mark.parametrize("project", ["adapter.toml", "pyproject.toml"])
@pytest.mark.parametrize(("arguments", "variables", "opened"), WAYS.values(), ids=WAYS)
def test_only_a_store_that_the_user_names_is_opened(  # noqa: PLR0917  # a table's
    here: Path,
    server: tuple[int, list[Any]],
    project: str,
    arguments: list[str],
    variables: dict[str, str],
    opened: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("redis")
    port, came = server
    table = "[tool.adapter]\n" if project == "pyproject.toml" else ""
    (here / project).write_text(
        f'{table}backend = "responses"\nmemory = "redis://127.0.0.1:{port}"\n'
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("adapter.toml", project))
    given = [one.replace("adapter.toml", project) for one in arguments]
    form = ["--json"] if project == "adapter.toml" else []
    done = run("doctor", *given, *form)
    assert bool(came) == opened
    if form:
        findings = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
        assert findings["store"]["state"] == ("failed" if opened else "skipped")
        assert ("file" in findings) == (not opened)
        assert "decision" in findings


def test_a_file_for_the_store_isnt_made_either(here: Path) -> None:
    (here / "adapter.toml").write_text('backend = "responses"\nmemory = "sqlite:///made.db"\n')
    run("doctor")
    assert not (here / "made.db").exists()
    run("doctor", "--settings", "adapter.toml")
    assert (here / "made.db").exists()
