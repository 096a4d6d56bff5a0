"""Formats that users describe, and bodies at a path, in audit and explain."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapter.tools.cli.app import app
from adapter.tools.logs.rows import LoggedRequest, NonRequest, RowFormats, unwrap, unwrap_all
from tests.support.log_writers import LOGS

USER = {"role": "user", "content": "hi"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [USER], "seed": 7}


def formats(tmp_path: Path, text: str) -> RowFormats:
    file = tmp_path / "logs.toml"
    file.write_text(text, encoding="utf-8")
    return RowFormats.builtin().with_file(file)


OWN = """
[[logs]]
name = "our gateway"
has = ["call.prompt"]
where = { "call.kind" = ["chat", "assist"] }
only = { "call.api" = "chat" }
messages = "call.prompt"
parameters = ["call.options", "call.more"]
fields = { model = "call.engine", n = "call.answers" }
url = "call.base"
usage = "reply.tokens"

[[logs]]
name = "our queue"
rows = "tasks[*].payload"
"""


def test_a_format_of_a_user(tmp_path: Path) -> None:
    own = formats(tmp_path, OWN)
    call = {"kind": "Chat", "prompt": [USER], "engine": "gpt-4.1", "answers": 2,
        "options": {"seed": 1, "retries": 3}, "more": {"user": "u"},
            "base": "https://acme.openai.azure.com/openai/v1/"}  # fmt: skip
    row = {"call": call, "reply": {"tokens": USAGE}}
    found = unwrap(row, own)
    assert found == LoggedRequest(
        {"model": "gpt-4.1", "messages": [USER], "user": "u", "seed": 1, "n": 2},
        b"/openai/v1/chat/completions", "acme.openai.azure.com",
        USAGE, (), "https://acme.openai.azure.com/openai/v1/chat/completions", "our gateway",
    )  # fmt: skip
    assert unwrap({"call": {**call, "api": "embeddings"}}, own) is NonRequest.OTHER_ENDPOINT
    assert unwrap({"call": {**call, "kind": "other"}}, own) == "no chat request"
    tasks = {
        "tasks": [
            {"payload": {"model": "gpt-4.1", "messages": [USER]}},
            {"payload": json.dumps(row)},
            {},
        ]
    }
    assert sum(isinstance(one, LoggedRequest) for one in unwrap_all(tasks, own)) == 2
    assert pickle.loads(pickle.dumps(own)) == own
    assert own.digest != RowFormats.builtin().digest == RowFormats.builtin().digest


def test_formats_of_users_come_before_known_ones(tmp_path: Path) -> None:
    own = formats(
        tmp_path,
        '[[logs]]\nname = "mine"\nhas = "messages"\nmessages = "messages"\n'
        'fields = { model = "metadata.model" }',
    )
    found = unwrap({"model": "gpt-4o", "messages": [USER], "metadata": {"model": "gpt-5.1"}}, own)
    assert isinstance(found, LoggedRequest)
    assert (found.body["model"], found.format) == ("gpt-5.1", "mine")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("logs = 1", "logs.toml: logs: expected tables [[logs]]"),
        ("[logs]", "logs.toml: logs: expected tables [[logs]]"),
        ("", "logs.toml: logs: missing; expected tables [[logs]]"),
        ("[[log]]", "logs.toml: log: unknown; expected tables [[logs]]"),
        ("[[logs", "logs.toml: not TOML:"),
        ('[[logs]]\nbody = "a"', "logs.toml: logs[0].name: missing"),
        ('[[logs]]\nname = "a"',
            "logs.toml: logs[0]: no path to a request; expected one of rows"),
        ('[[logs]]\nname = "a"\nbody = "a"\n[[logs]]\nname = "b"\nbodi = "a"',
            "logs.toml: logs[1].bodi: unknown; expected one of name"),
        ('[[logs]]\nname = "a"\nbody = "a..b"',
            "logs.toml: logs[0].body: character 3: expected a name"),
        ('[[logs]]\nname = "a"\nmessages = ["a", "b["]',
            "logs.toml: logs[0].messages[1]: character 3: expected"),
        ('[[logs]]\nname = "a"\nbody = 5', "logs.toml: logs[0].body: expected a text"),
        ('[[logs]]\nname = "a"\nbody = []', "logs.toml: logs[0].body: empty; expected a path"),
        ('[[logs]]\nname = "a"\nbody = "b"\nmessages = "c"',
            "logs.toml: logs[0]: body and messages exclude each other"),
        ('[[logs]]\nname = "a"\nbody = "b"\nwhere = { "x[" = 1 }',
            'logs.toml: logs[0].where."x[": character 3: expected'),
        ('[[logs]]\nname = "a"\nbody = "b"\nwhere = { x = 1.5 }',
            'logs.toml: logs[0].where."x": expected a text, a number'),
        ('[[logs]]\nname = "a"\nfields = { model = "b" }', "logs.toml: logs[0].has: missing"),
        ('[[logs]]\nname = "a"\nhas = "b"\nholds = "x"',
            "logs.toml: logs[0].holds: expected one of nothing, answer, other endpoint"),
        ('[[logs]]\nname = "a"\nhas = "$"\nbody = "b"',
            "logs.toml: logs[0].has: expected a path that begins with a name"),
    ],
)  # fmt: skip
def test_errors_name_their_location(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="logs") as caught:
        formats(tmp_path, text)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(expected)


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("request.body", {"request": {"body": {"model": "gpt-4o", "messages": [USER]}}}),
        ("$.attributes.request.body",
            {"attributes": {"request": {"body": {"model": "gpt-4o", "messages": [USER]}}}}),
        ('a["x.y"][0].b', {"a": {"x.y": [{"b": {"model": "gpt-4o", "messages": [USER]}}]}}),
        ("response.weird", {"response": {"weird": {"model": "gpt-4o", "messages": [USER]}},
            "request": {"messages": [], "model": "no"}}),
        ("m.b", {"m": json.dumps({"b": json.dumps({"model": "gpt-4o", "messages": [USER]})})}),
        ("calls[*]", {"calls": [{"model": "gpt-4o", "messages": [USER]}]}),
        ("call", {"call": {"url": "https://api.openai.com/v1/chat/completions",
            "json": {"model": "gpt-4o", "messages": [USER]}}}),
        ("$", {"model": "gpt-4o", "messages": [USER]}),
    ],
)  # fmt: skip
def test_bodies_at_a_path(path: str, row: Any) -> None:
    found = unwrap(json.dumps(row).encode(), RowFormats.builtin().with_body(path))
    assert isinstance(found, LoggedRequest)
    assert found.body == {"model": "gpt-4o", "messages": [USER]}


def test_with_a_path_nothing_else_is_searched() -> None:
    given = RowFormats.builtin().with_body("a.b")
    assert unwrap({"model": "gpt-4o", "messages": [USER]}, given) == "no chat request at --body"
    assert (
        unwrap({"url": "/v1/embeddings", "a": {"b": {"model": "m", "messages": [USER]}}}, given)
        is NonRequest.OTHER_ENDPOINT
    )
    found = unwrap(
        {
            "a": {
                "url": "https://h.example/v1/chat/completions",
                "b": {"messages": [USER]},
                "response": {"usage": USAGE},
            }
        },
        given,
    )
    assert isinstance(found, LoggedRequest)
    assert (found.host, found.usage, found.missing, found.inside) == (
        "h.example",
        USAGE,
        ("model",),
        ("a", "b"),
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "empty"), ("a.", "character 3: expected a name, not the end"),
        ("a..b", "character 3: expected a name"), (".", "character 2"),
        ("a[", "character 3: expected a number"), ("a[1", "character 4: expected ]"),
        ("a[x]", "character 3"), ('a["x', "character 3"),
        ("a b", "character 2: expected a dot"), ("a[0]b", "character 5: expected a dot"),
        ("a[-1]", "character 3"), ("x" * 2_000, "longer than"),
    ],
)  # fmt: skip
def test_an_invalid_path(path: str, expected: str) -> None:
    with pytest.raises(ValueError, match=r"character|empty|longer") as caught:
        RowFormats.builtin().with_body(path)
    assert expected in str(caught.value)


def test_explain_reads_the_same_rows(tmp_path: Path) -> None:
    row = LOGS["LiteLLM"].write(BODY, USAGE)
    assert json.loads(explained(row)) == json.loads(explained(BODY))
    log = tmp_path / "log.har"
    entries = [
        LOGS["HAR"].write({**BODY, "seed": seed}, USAGE)["log"]["entries"][1] for seed in (1, 2)
    ]
    log.write_text(json.dumps({"log": {"entries": entries}}, indent=1), encoding="utf-8")
    for line in (1, 2):
        shown = CliRunner().invoke(app, ["explain", str(log), "--line", str(line), "--json"])
        assert json.loads(shown.stdout)["chat"]["body"]["seed"] == line
    own = tmp_path / "own.toml"
    own.write_text(
        '[[logs]]\nname = "mine"\nmessages = "say"\nfields = { model = "who" }', encoding="utf-8"
    )
    assert explained({"say": [USER], "who": "gpt-4o"}, "--formats", str(own)) == explained(
        {"model": "gpt-4o", "messages": [USER]}
    )
    other = tmp_path / "other.toml"
    other.write_text(
        '[[logs]]\nname = "another"\nmessages = "talk"\nfields = { model = "who" }',
        encoding="utf-8",
    )
    for words in ("say", "talk"):  # an option that may be repeated
        shown = explained(
            {words: [USER], "who": "gpt-4o"}, "--formats", str(own), "--formats", str(other)
        )
        assert shown == explained({"model": "gpt-4o", "messages": [USER]})
    assert explained({"a": {"b": [USER]}}, "--body", "a.b").startswith("{")
    wrong = CliRunner().invoke(app, ["explain", "-", "--body", "a..b"], input="{}")
    assert str(wrong.exception) == "--body: a..b: character 3: expected a name"


def explained(row: Any, *options: str) -> str:
    """Return the output of `adapter explain` for a row."""
    done = CliRunner().invoke(app, ["explain", "-", "--json", *options], input=json.dumps(row))
    assert done.exit_code == 0, done.output
    return done.stdout
