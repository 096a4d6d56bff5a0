"""`adapter audit`: figures, resuming, lines that can't be read, and no contents in any output."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from adapter import Settings
from adapter.tools.audit import engines, inputs, run
from adapter.tools.audit.html_page import page
from adapter.tools.audit.report import report
from adapter.tools.audit.summary import Summary
from adapter.tools.cli.app import app
from adapter.translation import chat_to_responses
from tests.support import corpus, traffic

WIDE = {"COLUMNS": "160", "NO_COLOR": "1"}


def audit(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)], env=WIDE)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, traffic.Totals]:
    folder = tmp_path_factory.mktemp("traffic") / "logs"
    return folder, traffic.write(folder, 3_000, files=3)


@pytest.fixture(scope="module")
def document(logs: tuple[Path, traffic.Totals]) -> dict[str, Any]:
    result = audit(logs[0], "--json", "--jobs", 1)
    assert result.exit_code == 1, result.output  # there are bad lines among them
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_the_figures_are_those_of_the_traffic(
    logs: tuple[Path, traffic.Totals], document: dict[str, Any]
) -> None:
    assert traffic.differences(document, logs[1]) == []
    assert set(logs[1].fates) == {
        "as it is",
        "with changes",
        "with settings",
        "with breaking settings",
        "stays",
    }


def test_bad_lines_are_listed_by_place(
    logs: tuple[Path, traffic.Totals], document: dict[str, Any]
) -> None:
    listed = document["bad_lines"]["first"]
    assert len(listed) == min(logs[1].bad, 100) > 0
    for one in listed:
        path = Path(one["file"])
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        with pytest.raises(ValueError, match=r"Unterminated|delimiter"):
            json.loads(data.split(b"\n")[one["line"] - 1])


def test_the_advised_settings_move_as_many_requests_as_reported(
    logs: tuple[Path, traffic.Totals], document: dict[str, Any], tmp_path: Path
) -> None:
    from adapter.tools.audit.report import settings_toml

    file = tmp_path / "adapter.toml"
    file.write_text(
        settings_toml(name for step in document["steps"] for name in step["settings"]),
        encoding="utf-8",
    )
    after = json.loads(audit(logs[0], "--json", "--jobs", 1, "--settings", file).stdout)
    assert after["moves"]["now"] == document["moves"]["with_settings"] > document["moves"]["now"]
    assert after["steps"] == []
    assert after["several_answers"]["now"] == document["several_answers"]["with_settings"]


def test_processes_and_blocks_make_no_difference(
    logs: tuple[Path, traffic.Totals], document: dict[str, Any]
) -> None:
    done = run.audit([logs[0]], Settings(), jobs=2, size=200_000)
    figures = report(done.summary, Settings())
    assert {key: figures[key] for key in figures} == {key: document[key] for key in figures}


def test_formats_make_no_difference(tmp_path: Path) -> None:
    lines = list(traffic.rows(300, 9, traffic.Totals()))
    data = b"\r\n".join(lines) + b"\n\n"
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "b.jsonl.gz").write_bytes(
        gzip.compress(data[:9_000]) + gzip.compress(data[9_000:])
    )  # as loggers append
    with pa.CompressedOutputStream(str(tmp_path / "c.jsonl.zst"), "zstd") as file:
        file.write(data)
    pa.parquet.write_table(
        pa.table({"when": range(300), "body": lines}), tmp_path / "d.parquet", row_group_size=70
    )
    found = {}
    for path in sorted(tmp_path.iterdir()):
        value = json.loads(audit(path, "--json").stdout)
        assert {one.pop("file") for one in value["bad_lines"]["first"]} <= {str(path)}
        found[path.name] = value
    assert [one for one in found if found[one] != found["a.jsonl"]] == []
    assert len(found) == 4


# What can't be read


def test_a_line_that_is_too_long_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "MAX_ROW_BYTES", 5_000)
    good = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}).encode()
    lines = [good, good[:-3] + b"x" * 20_000 + b'"}]}', good, b"y" * 9_000]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    done = run.audit([tmp_path / "a.jsonl"], Settings(), size=1_000)
    assert done.summary.count("rows") == 2
    assert done.summary.bad_lines == (
        (str(tmp_path / "a.jsonl"), 2, "too long"),
        (str(tmp_path / "a.jsonl"), 4, "too long"),
    )


def test_a_truncated_file_counts_up_to_its_end(tmp_path: Path) -> None:
    lines = b"\n".join(traffic.rows(200, 2, traffic.Totals()))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines)[:-2_000])
    result = audit(tmp_path, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert 0 < document["requests"] < 200
    assert document["bad_lines"]["reasons"]["the rest of the file is damaged"] == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["empty"], "no logs in empty"),
        (["good.jsonl", "--settings", "bad.toml"], "bakend"),
        (["good.jsonl", "--state", "bad.toml"], "bad.toml: not the state of an audit"),
        (["good.jsonl", "--html", "good.jsonl/x.html"], "good.jsonl"),
        (["good.jsonl", "--html", "."], "--html .: Is a directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_are_one_line(arguments: list[str], expected: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.toml").write_text('bakend = "chat"', encoding="utf-8")
    (tmp_path / "good.jsonl").write_text("{}\n", encoding="utf-8")
    code = (
        "import sys; from adapter.tools.cli import main; "
        "sys.argv = ['adapter', 'audit', *sys.argv[1:]]; main()"
    )
    if arguments[0] == "nowhere.jsonl":  # once in a process
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(rf"adapter: .*{re.escape(expected)}.*\n", done.stderr)
        return
    from adapter.tools.cli.console import UsageError

    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        result = audit(*arguments)
    finally:
        os.chdir(before)
    assert isinstance(result.exception, UsageError)
    assert expected in str(result.exception)
    assert "\n" not in str(result.exception)


def test_breaking_settings_are_listed_separately(document: dict[str, Any]) -> None:
    lossy, breaking = (
        {name for step in document[steps] for name in step["settings"]}
        for steps in ("steps", "breaking_steps")
    )
    assert {"drop seed", "drop frequency_penalty", "emulate n"} <= lossy
    assert breaking == {"drop audio", "drop modalities", "drop logit_bias"}
    first, moves = document["breaking_steps"][0], document["moves"]
    assert first["moves"] == moves["with_settings"] + first["more"]
    text = page({**document, "logs": 3})
    section = text.partition("Requests that only breaking settings would move")[2].partition(
        "</section>"
    )[0]
    assert "no audio in the reply" in section
    assert "drop modalities" not in text.replace(section, "")
    assert "drop seed" not in section


# Resuming


def test_resuming_after_each_block_gives_the_same_figures(
    logs: tuple[Path, traffic.Totals], document: dict[str, Any], tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    stops = 0
    size = 150_000
    while True:
        seen = 0

        def stop(_: int) -> None:
            nonlocal seen
            seen += 1
            if seen == 4:  # the first call reports earlier progress
                raise KeyboardInterrupt

        try:
            done = run.audit([logs[0]], Settings(), state=state, jobs=1, size=size, progress=stop)
            break
        except KeyboardInterrupt:
            stops += 1
            size = 999  # the checkpoint has its own size
    assert stops > 4
    assert report(done.summary, Settings())["fates"] == document["fates"]
    assert traffic.differences(report(done.summary, Settings()), logs[1]) == []
    again = run.audit([logs[0]], Settings(), state=state, size=7)
    assert again.summary.to_json() == done.summary.to_json()


def test_a_killed_audit_resumes(tmp_path: Path) -> None:
    totals = traffic.write(tmp_path / "logs", 4_000, files=2)
    state = tmp_path / "state.json"
    code = (
        "import sys; from adapter import Settings; from adapter.tools.audit import run; "
        "run.audit([sys.argv[1]], Settings(), state=__import__('pathlib').Path(sys.argv[2]), "
        "jobs=1, size=40_000)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "logs"), str(state)])
    while process.poll() is None and not state.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it finished too early"
    counted = Summary.from_json(json.loads(state.read_text())["summary"]).count("rows")
    assert 0 < counted < 4_000
    done = run.audit([tmp_path / "logs"], Settings(), state=state)
    assert traffic.differences(report(done.summary, Settings()), totals) == []


def test_changes_since_the_checkpoint_are_detected(tmp_path: Path) -> None:
    log, state, page_ = tmp_path / "a.jsonl", tmp_path / "s.json", tmp_path / "p.html"
    log.write_text('{"messages": []}\n', encoding="utf-8")
    assert audit(log, "--state", state, "--html", page_).exit_code == 0
    assert state.exists()
    (tmp_path / "b.jsonl").write_text('{"messages": []}\n', encoding="utf-8")
    assert json.loads(audit(tmp_path, "--state", state, "--json").stdout)["requests"] == 2, (
        "a new log is added"
    )
    for arguments, expected in (
        ([tmp_path / "b.jsonl"], "is no longer among the logs"),
        ([tmp_path, "--settings", tmp_path / "adapter.toml"], "was made with other settings;"),
    ):
        (tmp_path / "adapter.toml").write_text('drop = ["seed"]', encoding="utf-8")
        assert expected in str(audit(*arguments, "--state", state).exception)
    ours = state.read_text()
    state.write_text(json.dumps({**json.loads(ours), "code": "0"}))
    stale = str(audit(tmp_path, "--state", state).exception)
    assert "was made with another version of the adapter; start over with --restart" in stale
    state.write_text(ours)
    log.write_text('{"messages": [] }\n', encoding="utf-8")
    assert "has changed since it was counted" in str(audit(tmp_path, "--state", state).exception)
    assert (
        json.loads(audit(tmp_path, "--state", state, "--restart", "--json").stdout)["requests"] == 2
    )
    assert [*tmp_path.glob("p.html.state"), *tmp_path.glob(".*")] == [], "temporary files are left"


# No contents


def test_no_contents_anywhere(logs: tuple[Path, traffic.Totals], tmp_path: Path) -> None:
    secret = "my-secret é"
    odd = tmp_path / "odd.jsonl"
    rows: list[Any] = [
        {"model": secret, "messages": [{"role": secret, "content": secret, secret: secret}],
            secret: secret},
        {"model": "gpt-4o", "messages": [
            {"role": "user", "content": [{"type": secret, secret: 1},
                {"type": "text", "text": "", secret: 1}]}]},
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": {"name": secret, secret: 1}}],
         "stream_options": {secret: 1}, "response_format": {"type": secret},
         "tool_choice": {"type": secret, secret: {}}, "stop": [1, secret]},
    ]  # fmt: skip
    odd.write_text("\n".join(json.dumps(row) for row in rows) + f"\n{secret}\n", encoding="utf-8")
    file, state = tmp_path / "page.html", tmp_path / "state.json"
    for more in ((), ("--json",)):
        result = audit(logs[0], odd, "--html", file, "--state", state, *more)
        written = (
            result.output + file.read_text(encoding="utf-8") + state.read_text(encoding="utf-8")
        )
        for word in (
            traffic.SECRET,
            "hunter2",
            "my-secret",
            "my\\u002d",
            "Ab12Cd34",
            "refund",
            "get_weather",
        ):
            assert word not in written
        assert "other" in written


# The corpus, compared with a simple count


@corpus.needs_corpus
def test_the_corpus(tmp_path: Path) -> None:
    document = json.loads(audit(corpus.FOLDER / "recordings.jsonl", "--json", "--jobs", 1).stdout)
    fates, models, held, streams = Counter[str](), Counter[str](), Counter[str](), 0
    for recording in corpus.recordings():
        if not recording.path.rstrip("/").endswith("chat/completions") or not isinstance(
            recording.request, dict
        ):
            continue
        found = re.search(r"/deployments/([^/]+)/", recording.path)
        request = {**recording.request, **({"model": found[1]} if found else {})}
        translation = chat_to_responses(request)
        version = re.search(r"api-version=(\d{4}-\d\d-\d\d)", recording.path)
        changed = bool(translation.losses) or (version is not None and version[1] < "2025-03-01")
        fates[
            "held" if translation.body is None else "with changes" if changed else "as it is"
        ] += 1
        models[str(request.get("model"))] += 1
        held.update(
            {loss.path for loss in translation.held} & {"seed", "stop", "n", "audio", "modalities"}
        )
        streams += request.get("stream") is True
    got = {fate: row["requests"] for fate, row in document["fates"].items()}
    assert document["requests"] == sum(fates.values()) > 1_500
    assert (got["as it is"], got["with changes"]) == (fates["as it is"], fates["with changes"])
    assert sum(got.values()) - got["as it is"] - got["with changes"] == fates["held"]
    assert {row["name"]: row["requests"] for row in document["held"] if row["name"] in held} == held
    assert {
        row["model"]: row["requests"] for row in document["models"] if row["model"] != "other"
    } == {
        model: count
        for model, count in models.items()
        if model in {row["model"] for row in document["models"]}
    }
    assert sum(row["requests"] for row in document["models"]) == sum(models.values())
    assert (
        next(row["requests"] for row in document["features"] if row["feature"] == "stream")
        == streams
    )


# The page and the terminal


def test_the_page_is_self_contained(document: dict[str, Any]) -> None:
    text = page({**document, "logs": 3})
    assert not re.search(
        r"(?:src|href|action)\s*=|url\(|@import|<script|<link|<iframe|https?://", text
    )
    assert "default-src 'none'" in text
    assert '<html lang="en">' in text
    assert "prefers-color-scheme" in text
    assert len(re.findall("<h1>", text)) == 1
    for drawing in re.findall(r"<svg[^>]*>", text):
        assert re.search(r'role="img" aria-label="[^"]+"', drawing)
    shown = re.sub(r"<[^>]+>", "", text).replace("\N{NARROW NO-BREAK SPACE}", "")
    for row in (*document["models"], *document["held"]):
        assert str(row["requests"]) in shown
        assert (row.get("model") or row["name"]) in shown


def test_names_are_escaped_in_the_page() -> None:
    summary = Summary()
    summary.add("rows", "request")
    summary.add("model fate", "<b>&\tas it is")
    summary.add("fate", "as it is")
    assert "&lt;b&gt;&amp;" in page(report(summary, Settings()))
    assert "<b>&" not in page(report(summary, Settings()))


def test_the_terminal_shows_the_same(
    logs: tuple[Path, traffic.Totals], document: dict[str, Any]
) -> None:
    result = audit(logs[0], "--jobs", 1)
    assert result.exit_code == 1
    for expected in (
        f"{document['requests']:,} chat requests in 3 logs",
        "moves as it is",
        "emulate stop",
        "drop seed",
        "would move with a setting that breaks replies",
        "drop modalities",
        "shuts down on 2027-01-14",
        "Responses-only",
    ):
        assert expected in result.stdout, expected


def test_an_empty_log(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    result = audit(tmp_path, "--html", tmp_path / "p.html")
    assert result.exit_code == 0
    assert "0 chat requests" in result.stdout
    assert "No chat requests found" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_without_arrow_or_ray_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, logs: tuple[Path, traffic.Totals], tmp_path: Path
) -> None:
    pa.parquet.write_table(pa.table({"body": ["{}"]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "extra `ray`" in str(audit(logs[0], "--engine", "ray").exception)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "extra `ray`" in str(audit(logs[0], "--engine", "ray").exception)
    assert "extra `parquet`" in str(audit(tmp_path, "--jobs", 1).exception)
    assert "ray" in engines.ENGINES
