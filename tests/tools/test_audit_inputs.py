"""The inputs of `adapter audit`: pipes, whole-file JSON, other files; and without pyarrow."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapter import Settings
from adapter.tools.audit import engines, pipe_inputs, run
from adapter.tools.audit.blocks import Cursor
from adapter.tools.audit.checkpoint import write_atomically
from adapter.tools.audit.inputs import find_logs
from adapter.tools.audit.json_documents import DocumentReader, arrays_of, is_document
from adapter.tools.audit.summary import Summary
from adapter.tools.cli.app import app
from adapter.tools.cli.console import UsageError
from adapter.tools.logs.rows import RowFormats
from tests.support import traffic

WIDE = {"COLUMNS": "160", "NO_COLOR": "1"}


def audit(*arguments: Any, stdin: bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)], env=WIDE, input=stdin)


def counted(*arguments: Any, stdin: bytes | None = None) -> dict[str, Any]:
    """Return a report without the names of files."""
    result = audit(*arguments, "--json", stdin=stdin)
    assert result.exit_code in (0, 1), result.exception
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    for row in document["bad_lines"]["first"]:
        del row["file"], row["line"]
    return document


def body(model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": 'a "quoted" { [ \\ word'}],
        **more,
    }


LINES = [line for line in traffic.rows(300, 9, traffic.Totals()) if line.endswith(b"}")]
VALUES = [json.loads(line) for line in LINES]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("plain") / "a.jsonl"
    path.write_bytes(b"\n".join(LINES))
    return counted(path)


def _dumped(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=False).encode()


WRITTEN: dict[str, bytes] = {
    "lines": b"\n".join(LINES),
    "lines with CRLF, a BOM and blanks between": b"\xef\xbb\xbf"
    + b"\r\n\r\n".join(LINES)
    + b"\r\n",
    "an array on one line": _dumped(VALUES),
    "an array, an element a line": b"[\n" + b",\n".join(LINES) + b"\n]\n",
    "a pretty-printed array": _dumped(VALUES, 2),
    "a pretty-printed array with CRLF and a BOM": b"\xef\xbb\xbf"
    + _dumped(VALUES, 4).replace(b"\n", b"\r\n"),
    "pretty-printed objects": b"\n".join(_dumped(value, 1) for value in VALUES),
    "a JSON text sequence": b"".join(b"\x1e" + line + b"\n" for line in LINES),
    "a pretty-printed JSON text sequence": b"".join(
        b"\x1e" + _dumped(value, 2) + b"\n" for value in VALUES
    ),
    "a list": _dumped({"object": "list", "data": VALUES, "has_more": False}),
    "a pretty-printed list": _dumped({"object": "list", "data": VALUES, "has_more": False}, 2),
    "a batch after other keys": _dumped({"meta": {"data": [[]], "x": "]}"}, "batch": VALUES}, 2),
    "entries of a log": _dumped(
        {"log": {"version": "1.2", "creator": {"name": "x"}, "entries": VALUES}}
    ),
    "consecutive arrays with BOMs": b"".join(
        b"\xef\xbb\xbf" + _dumped(some) for some in (VALUES[:99], VALUES[99:])
    ),
    "an array of JSON strings": _dumped([json.dumps(value) for value in VALUES]),
    "elements without brackets, pretty-printed": b"\n".join(_dumped(value, 2) for value in VALUES),
}
PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (".gz", gzip.compress), "bz2": (".bz2", bz2.compress), "xz": (".xz", lzma.compress),
}  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_the_layout_of_json_makes_no_difference(
    written: bytes, tmp_path: Path, plain: dict[str, Any]
) -> None:
    (tmp_path / "a.json").write_bytes(written)
    assert counted(tmp_path) == plain
    assert counted("-", stdin=written) == plain


@pytest.mark.parametrize(("suffix", "pack"), PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("name", ["lines", "a pretty-printed array"])
def test_compression_makes_no_difference(
    name: str, suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path, plain: dict[str, Any]
) -> None:
    packed = pack(WRITTEN[name])
    (tmp_path / f"a.jsonl{suffix}").write_bytes(packed)
    assert counted(tmp_path) == plain
    assert counted("-", stdin=packed) == plain
    cut = counted("-", stdin=packed[:-40])
    assert cut["bad_lines"]["reasons"]["the rest of the file is damaged"] == 1


# Cut into pieces


def _rows(data: bytes, piece: int, longest: int = 1 << 20) -> list[tuple[bytes, int, str]]:
    file = io.BytesIO(data)
    arrays = arrays_of(RowFormats.builtin())
    return list(DocumentReader(lambda: file.read(piece), longest, arrays).rows())


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 4096])
def test_pieces_of_any_size_give_the_same_rows(piece: int) -> None:
    values: list[Any] = [
        '"',
        "\\",
        '\\"',
        "]}",
        "é😀\u2028",
        "",
        None,
        [[], {}],
        1.5,
        {"a": [{"b": "}"}]},
    ]
    odd = [{"k": value} for value in values]
    for indent in (None, 0, 2):
        for data in (
            _dumped(odd, indent),
            _dumped({"data": odd, "z": 1}, indent),
            _dumped({"log": {"entries": odd}}, indent),
        ):
            found = _rows(data, piece)
            assert [json.loads(row) for row, _, _ in found] == odd
            lines = data.split(b"\n")
            if indent == 0:
                assert [lines[line - 1] for _, line, _ in found] == [b"{"] * len(odd)


BAD: dict[str, tuple[bytes, list[tuple[int, str]],
    int]] = {  # the data, the bad lines, how many good rows
    "a comma after the last": (b'[\n{"a": 1},\n{"b": 2},\n]', [(4, "extra comma")], 2),
    "two commas": (b'[{"a": 1},,{"b": 2}]', [(1, "extra comma")], 2),
    "no end": (b'[\n{"a": 1},\n{"b": 2}\n', [(4, "not JSON")], 2),
    "the end in an element": (b'[\n{"a": 1},\n{"b": [', [(3, "not JSON")], 1),
    "an unterminated string": (b'[\n {"a": 1},\n {"b": "x},\n {"c": 3},\n {"d": 4}\n]',
        [(3, "not JSON")], 3),
    "a pretty-printed one cut": (b'{\n "a": "x\n}\n{\n "b": 2\n}\n', [(1, "not JSON")], 1),
    "one that is too long": (b'[{"a": "' + b"x" * 200 + b'"},\n{"b": 2}]', [(1, "too long")], 1),
    "an object that is too long": (b'{"a": "' + b"x" * 200 + b'"}\n{"b": 2}', [(1, "too long")], 1),
    "a stray bracket": (b'[{"a": 1}]\n]\n{"b": 2}', [(2, "not JSON")], 2),
    "an empty array": (b"[]", [], 0),
    "an empty list": (b'{"data": []}', [], 1),
    "a request with a key of a list's": (b'{"model": "m", "messages": [], "data": [{}, {}]}', [],
        1),
}  # fmt: skip


@pytest.mark.parametrize("piece", [1, 5, 4096])
@pytest.mark.parametrize(("data", "bad", "good"), BAD.values(), ids=BAD)
def test_errors_are_reported_by_line(
    data: bytes, bad: list[tuple[int, str]], good: int, piece: int
) -> None:
    found = _rows(data, piece, 100)
    assert [(line, why) for _, line, why in found if why] == bad
    assert len(found) - len(bad) == good


HEADS: dict[str, tuple[bytes, bool]] = {
    "lines": (b'{"model": "a"}\n{"model": "b"}', False),
    "one line": (b'{"model": "a"}', False),
    "an object over lines": (b'{\n  "a": 1}', True),
    "an object over lines that begins with a key": (b'{"a": 1,\r\n "b": 2}', True),
    "messages over lines": (b'{"messages": [\n{"role": 1}]}', True),
    "a first line cut in a string": (b'{"a": "x\n{"b": 1}', False),
    "a first line cut after a comma": (b'{"a": 1,\n{"b": 2}', False),
    "no JSON that looks like an array": (b"[2026-01-01 10:00] GET /", False),
    "an array": (b" \n[ {", True),
    "a line that has no end, with a list in it": (
        b'{"object": "list", "data": [{"a": 1}, {"a"',
        True,
    ),
    "a line that quotes one": (b'{"content": "\\"data\\": [1]" ', False),
    "a list that ends on its line": (b'{"data": [{}]}\n', False),
    "text": (b"GET / 200\n{", False),
}


@pytest.mark.parametrize(("head", "document"), HEADS.values(), ids=HEADS)
def test_the_first_bytes_decide(head: bytes, document: bool) -> None:
    assert is_document(head) is document


def test_an_array_is_resumed_after_each_block(tmp_path: Path, plain: dict[str, Any]) -> None:
    path, state = tmp_path / "a.json", tmp_path / "s.json"
    path.write_bytes(WRITTEN["a pretty-printed array"])
    stops = 0
    done = None
    while done is None:
        seen = 0

        def stop(_: int) -> None:
            nonlocal seen
            seen += 1
            if seen == 3:
                raise KeyboardInterrupt

        try:
            done = run.audit(
                [tmp_path], Settings(), state=state, jobs=1, size=40_000, progress=stop
            )
        except KeyboardInterrupt:
            stops += 1
    assert stops > 3
    assert done.summary.count("rows", "request") == plain["requests"]


# Pipes


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "f.jsonl"
    os.mkfifo(path)
    return path


def test_a_named_pipe_is_read(fifo: Path, plain: dict[str, Any]) -> None:
    for data in (WRITTEN["lines"], gzip.compress(WRITTEN["an array on one line"])):
        writer = threading.Thread(target=fifo.write_bytes, args=(data,))
        writer.start()
        assert counted(fifo) == plain
        writer.join()


def test_a_named_pipe_without_a_writer(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe_inputs, "_WRITER_TIMEOUT", 0.1)
    assert "a named pipe without a writer" in str(audit(fifo).exception)
    (fifo.parent / "a.jsonl").write_bytes(LINES[0])
    result = audit(fifo.parent, "--json")  # in a folder it is no log
    assert (result.exit_code, json.loads(result.stdout)["requests"]) == (1, 1)
    assert json.loads(result.stdout)["unread"] == [
        {"file": str(fifo), "why": "not a regular file: a named pipe"}
    ]


def test_pipes_files_and_folders_together(tmp_path: Path, plain: dict[str, Any]) -> None:
    (tmp_path / "a.jsonl").write_bytes(WRITTEN["lines"])
    both = counted("-", tmp_path, "-", stdin=WRITTEN["a list"])
    assert (both["logs"], both["requests"]) == (2, 2 * plain["requests"])
    read, write = os.pipe()
    with os.fdopen(write, "wb") as file:
        file.write(LINES[0])
    assert counted(f"/dev/fd/{read}")["requests"] == 1  # as `<(…)` gives it
    os.close(read)


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["-", "--state", "s.json"], b"{}", "--state: standard input can't be read again"),
        (
            ["-", "--engine", "ray"],
            b"{}",
            "--engine ray: standard input can only be read by this process",
        ),
        (["-"], b"PAR1....", "-: Parquet in a compressed file or a pipe"),
        (["-"], "{}".encode("utf-16"), "-: not UTF-8: UTF-16"),
        (["/dev/zero"], b"", "no logs in /dev/zero"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_unsupported_uses_of_a_pipe(
    arguments: list[str], stdin: bytes, message: str, tmp_path: Path
) -> None:
    found = audit(
        *(tmp_path / one if one == "s.json" else one for one in arguments), stdin=stdin
    ).exception
    assert isinstance(found, UsageError)
    assert message in str(found)


def test_a_page_of_standard_input_keeps_no_state(tmp_path: Path) -> None:
    assert audit("-", "--html", tmp_path / "p.html", stdin=LINES[0]).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]


# Files that are no logs


def test_each_file_that_is_no_log_is_one_line(tmp_path: Path, plain: dict[str, Any]) -> None:
    (tmp_path / "a.jsonl").write_bytes(WRITTEN["lines"])
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c.jsonl").symlink_to(tmp_path / "c.jsonl")
    (tmp_path / "d.jsonl").symlink_to("/dev/zero")
    (tmp_path / "e.jsonl").mkdir()
    (tmp_path / "e.jsonl" / "up").symlink_to(tmp_path)
    (tmp_path / "f\n\x1b[31m.jsonl").write_bytes(b"\xff\xfe{\x00")
    (tmp_path / "g.json").write_bytes(b"PK\x03\x04")
    with socket.socket(socket.AF_UNIX) as one:
        before = Path.cwd()
        os.chdir(tmp_path)  # the names of sockets are short
        try:
            one.bind("h.jsonl")
        finally:
            os.chdir(before)
    (tmp_path / "i.jsonl").write_bytes(b"{}")
    (tmp_path / "i.jsonl").chmod(0)
    result = audit(tmp_path, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["requests"] == plain["requests"]
    reasons = {row["file"][len(str(tmp_path)) + 1 :]: row["why"] for row in document["unread"]}
    root = {"i.jsonl"} if os.geteuid() == 0 else set()
    assert (
        reasons.keys()
        == {"b.jsonl", "c.jsonl", "d.jsonl", "f\n\x1b[31m.jsonl", "g.json", "h.jsonl", "i.jsonl"}
        - root
    )
    assert "UTF-16" in reasons["f\n\x1b[31m.jsonl"]
    assert reasons["g.json"] == "a zip archive: unpack it"
    reported = [line for line in result.stderr.splitlines() if "not audited" in line]
    assert len(reported) == len(reasons)
    assert "\x1b" not in result.stderr


def test_a_log_that_grows_counts_up_to_its_first_size(
    tmp_path: Path, plain: dict[str, Any]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(WRITTEN["lines"] + b"\n")
    reported: list[tuple[str, str]] = []

    def grow(_: int) -> None:
        with path.open("ab") as file:
            file.write(LINES[0] + b"\n" + LINES[1][:20])

    done = run.audit(
        [path],
        Settings(),
        jobs=1,
        size=50_000,
        progress=grow,
        changed=lambda *one: reported.append(one),
    )
    assert reported == [(str(path), "grew while it was read: the new part isn't counted")]
    assert done.summary.count("rows", "request") == plain["requests"]
    assert not done.summary.count("bad")


def test_a_log_that_shrinks_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(WRITTEN["lines"])
    reported: list[str] = []
    run.audit(
        [path], Settings(), jobs=1, size=50_000, progress=lambda _: os.truncate(path, 10_000),
        changed=lambda _, why: reported.append(why),
    )  # fmt: skip
    assert reported == ["changed while it was read"]


def test_a_log_that_is_deleted_is_reported(tmp_path: Path, plain: dict[str, Any]) -> None:
    for name in ("a.jsonl", "b.json", "c.jsonl"):
        (tmp_path / name).write_bytes(WRITTEN["lines"])
    reported: list[str] = []
    done = run.audit(
        [tmp_path], Settings(), jobs=1, size=50_000,
        progress=lambda _: (tmp_path / "b.json").unlink(missing_ok=True),
        changed=lambda path, _: reported.append(path),
    )  # fmt: skip
    assert reported == [str(tmp_path / "b.json")]
    assert done.summary.bad_lines == (
        (reported[0], 1, "can no longer be opened: No such file or directory"),
    )
    assert done.summary.count("rows", "request") == 2 * plain["requests"]


def test_tables_are_read_by_their_columns(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    tables: dict[str, dict[str, list[Any]]] = {
        "body": {"when": [1, 2], "body": [json.dumps(body(seed=1)), json.dumps(body())]},
        "langfuse": {
            "type": ["GENERATION"] * 2, "traceId": ["t"] * 2, "model": ["gpt-4o"] * 2,
            "modelParameters": [{"seed": 1}, {"seed": None}],
            "input": [json.dumps(body()["messages"])] * 2,
        },
        "path": {"x": [{"sent": json.dumps(body(seed=1))}, {"sent": json.dumps(body())}],
            "body": ["{}", "{}"]},
    }  # fmt: skip
    for name, columns in tables.items():
        parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
        found = counted(tmp_path, *(("--body", "x.sent") if name == "path" else ()))
        assert [found["fates"][fate]["requests"] for fate in ("as it is", "with settings")] == [
            1,
            1,
        ], name
    parquet.write_table(pa.table({"n": [1, 2]}), tmp_path / "b.parquet")
    assert counted(tmp_path, "--body", "x.sent")["requests"] == 2
    (tmp_path / "a.parquet").unlink()
    (tmp_path / "a.jsonl").write_bytes(LINES[0])
    found = counted(tmp_path)
    assert found["bad_lines"]["reasons"] == {"no column that could hold requests": 1}
    assert found["requests"] == 1


# Without pyarrow


def test_json_is_read_without_pyarrow(tmp_path: Path, plain: dict[str, Any]) -> None:
    """Read JSON with several processes in an environment where importing pyarrow fails."""
    (tmp_path / "logs").mkdir()
    written = ("lines", "an array on one line", "a pretty-printed array")
    for number, name in enumerate(written):
        (tmp_path / "logs" / f"{number}.json").write_bytes(WRITTEN[name])
        for suffix, pack in PACKED.values():
            (tmp_path / "logs" / f"{number}.json{suffix}").write_bytes(pack(WRITTEN[name]))
    for package in ("pyarrow", "libcst", "ray"):
        (tmp_path / f"{package}.py").write_text(
            f"open({str(tmp_path / 'tried')!r}, 'a').write('{package} ')\nraise ImportError",
            encoding="utf-8",
        )
    code = (
        "import sys; from adapter.tools.cli import main; "
        "sys.argv = ['adapter', *sys.argv[1:]]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "audit", str(tmp_path / "logs"), "--jobs", "2", "--json"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "tried").exists(), (tmp_path / "tried").read_text(encoding="utf-8")
    assert json.loads(done.stdout)["requests"] == len(written) * 4 * plain["requests"]


def test_zstandard_is_read_by_any_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "a.jsonl.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(WRITTEN["lines"])
    assert counted(path)["requests"] > 0
    for name in ("compression.zstd", "zstandard", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    message = str(audit(path).exception)
    assert "zstandard" in message
    assert "Python 3.14" in message


# Rows


def test_the_path_of_bodies_applies_at_any_depth(tmp_path: Path) -> None:
    log = {
        "log": {
            "version": "1.2",
            "entries": [{"x": {"body": body(seed=1)}} for _ in range(5)] + [{"y": body()}],
        }
    }
    for indent in (None, 1):
        (tmp_path / "a.json").write_bytes(_dumped(log, indent))
        found = counted(tmp_path, "--body", "log.entries[*].x.body")
        assert (found["requests"], found["fates"]["with settings"]["requests"]) == (5, 5)
    values = [{"x": json.dumps(body())}, {"x": body()}, {"y": body()}]
    for data in (_dumped(values), _dumped(values, 2), b"\n".join(map(_dumped, values))):
        found = counted("-", "--body", "$.x", stdin=data)
        assert (found["requests"], found["bad_lines"]["reasons"]) == (
            2,
            {"no chat request at --body": 1},
        )
    assert counted("-", "--body", "[*].x", stdin=_dumped(values))["requests"] == 2
    message = str(audit("-", "--body", "a..b", stdin=b"").exception)
    assert message.startswith("--body: a..b: ")


def test_formats_of_users(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[[logs]]\nname = "mine"\nhas = ["texts"]\nmessages = "texts"\n'
        'fields = { model = "by", seed = "s" }\n'
        '[[logs]]\nname = "pile"\nhas = ["pile"]\nrows = "pile[*]"\n',
        encoding="utf-8",
    )
    row = {"by": "gpt-4o", "texts": [{"role": "user", "content": "x"}], "s": 7}
    (tmp_path / "logs").mkdir()
    for name, data in {
        "a.jsonl": _dumped(row),
        "b.json": _dumped({"of": "me", "pile": [row] * 4}, 1),
    }.items():
        (tmp_path / "logs" / name).write_bytes(data)
    found = counted(tmp_path / "logs", "--formats", tmp_path / "mine.toml")
    assert found["formats"] == [{"name": "mine", "requests": 5}]
    assert found["fates"]["with settings"]["requests"] == 5
    formats = RowFormats.builtin().with_file(tmp_path / "mine.toml")
    assert (
        pickle.loads(pickle.dumps(formats)).digest == formats.digest != RowFormats.builtin().digest
    )
    (tmp_path / "mine.toml").write_text("[[logs]]\nnam = 1\n", encoding="utf-8")
    message = str(audit(tmp_path / "logs", "--formats", tmp_path / "mine.toml").exception)
    assert "mine.toml: logs[0].nam: unknown" in message


def test_a_file_that_cannot_be_written_is_named_as_given(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write_atomically(tmp_path / "none" / "page.html", "")
    assert raised.value.filename == str(tmp_path / "none" / "page.html")


def test_a_checkpoint_requires_the_same_formats(tmp_path: Path) -> None:
    log, state = tmp_path / "a.jsonl", tmp_path / "s.json"
    log.write_bytes(_dumped({"x": body()}))
    assert audit(log, "--state", state, "--body", "x").exit_code == 0
    assert audit(log, "--state", state, "--body", "x").exit_code == 0
    assert "other formats of rows" in str(audit(log, "--state", state, "--body", "y").exception)
    assert "other formats of rows" in str(audit(log, "--state", state).exception)


def test_missing_parts_of_rows_are_reported(tmp_path: Path) -> None:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
    }
    rows = [
        {"name": "chat gpt-4o", "attributes": attributes | {"gen_ai.request.seed": 1}},
        {"name": "chat gpt-4o", "attributes": attributes},
        {"id": "x", "object": "chat.completion", "choices": []},
        {"level": "info", "event": "started"},
        body(),
    ]
    log, file = tmp_path / "a.jsonl", tmp_path / "p.html"
    log.write_bytes(b"\n".join(map(_dumped, rows)))
    found = counted(log, "--html", file)
    assert found["requests"] == 3
    (lacking,) = found["not_in_the_log"]
    assert (lacking["part"], lacking["requests"]) == ("messages", 2)
    assert found["rows_without_request"] == {"answers": 1, "others": 1}
    assert found["bad_lines"]["count"] == 0
    text = audit(log).stdout
    assert "2 requests were logged without their messages: judged by parameters only" in text
    assert "1 row with a reply only, 1 row of another kind" in text
    shown = file.read_text(encoding="utf-8")
    assert "2 requests (66.7 %) were logged without their messages" in shown


def test_pieces_for_a_cluster_give_the_same(tmp_path: Path, plain: dict[str, Any]) -> None:
    """Workers of a cluster get plain lines as blocks and other files whole."""
    pa = pytest.importorskip("pyarrow")
    (tmp_path / "a.jsonl").write_bytes(WRITTEN["lines with CRLF, a BOM and blanks between"])
    (tmp_path / "b.json").write_bytes(WRITTEN["a pretty-printed list"])
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(WRITTEN["an array on one line"]))
    work = [(log, Cursor()) for log in find_logs([tmp_path])]
    how = engines.AuditOptions(Settings(), RowFormats.builtin())
    pieces = [pickle.dumps(piece) for piece in engines._pieces(work, how, 50_000)]
    assert max(map(len, pieces)) < 1_000, "rows are sent"
    table = pa.table({"order": range(len(pieces)), "piece": pieces})
    done = engines._PieceAuditor(pickle.dumps(how), 50_000)(table).column("done").to_pylist()
    whole = Summary.merged(one.summary for part in done for one in pickle.loads(part))
    assert whole.count("rows", "request") == 3 * plain["requests"]
    assert whole.count("bad") == 0
