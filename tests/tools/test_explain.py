"""`adapter explain`: it shows what production decides and sends."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import adapter
from adapter import Settings
from adapter.tools import cli
from adapter.tools.cli.app import app
from adapter.tools.explain.explain import CallOrigin, explain
from adapter.tools.explain.request_files import NotARequest, find_request
from adapter.tools.explain.shortening import shortened
from tests.support.answers import both
from tests.support.command import command
from tests.support.loopback import Loopback

USER = {"role": "user", "content": "What is the airspeed?"}
PLAIN: dict[str, Any] = {"model": "gpt-4o", "messages": [USER]}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
    }
]


def run(*arguments: str, body: Any = PLAIN, text: str | None = None) -> Result:
    return CliRunner().invoke(
        app, ["explain", *arguments], input=json.dumps(body) if text is None else text
    )


def document(*arguments: str, body: Any = PLAIN) -> dict[str, Any]:
    done = run("--json", *arguments, body=body)
    assert done.exit_code == 0, done.stderr
    shown = json.loads(done.stdout)
    assert isinstance(shown, dict)
    return shown


# Agreement with production

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it is": ({"temperature": 0.5, "stop": None}, {"backend": "responses"}),
    "reasoning": ({"model": "gpt-5.4"}, {"backend": "responses"}),
    "held": ({"seed": 7}, {"backend": "responses"}),
    "dropped": ({"seed": 7}, {"backend": "responses", "drop": ["seed"]}),
    "refused": ({"seed": 7}, {"backend": "responses", "unsupported": "error"}),
    "emulated": ({"n": 2}, {"backend": "responses", "emulate": ["n"]}),
    "clamped": ({"max_tokens": 5}, {"backend": "responses", "drop": ["max_tokens"]}),
    "a rule's model": (
        {},
        {
            "rules": [
                {"match": {"model": "gpt-4*"}, "backend": "responses", "model": "gpt-5.4-mini"}
            ]
        },
    ),
    "off": ({"seed": 7}, {}),
    "killed": ({}, {"backend": "responses", "force": "chat"}),
    "tools": ({"tools": TOOLS}, {"backend": "responses"}),
    "Responses-only": ({"model": "gpt-5.5-pro", "seed": 1}, {"backend": "responses"}),
    "rolled out": ({}, {"rollout": 50}),
    "another host": ({}, {"backend": "responses", "hosts": ["*.openai.com"]}),
}


def test_a_proxy_with_its_target_in_the_query(tmp_path: Path) -> None:
    (tmp_path / "adapter.toml").write_text('backend = "responses"\n', encoding="utf-8")
    url = "https://relay.test/fetch?url=https://api.openai.com/v1/chat/completions"
    shown = document("--url", url, "--settings", str(tmp_path / "adapter.toml"))
    assert (shown["moves"], shown["decision"]["backend"]) == (False, "chat")
    assert [loss["path"] for loss in shown["losses"]] == ["query"]


@pytest.mark.parametrize(("more", "settings"), CASES.values(), ids=CASES)
def test_it_agrees_with_a_real_call(
    loopback: Loopback, more: dict[str, Any], settings: dict[str, Any]
) -> None:
    import openai

    body = {**PLAIN, **more}
    in_force = Settings(**settings)
    explained = explain(body, in_force, CallOrigin(url=f"{loopback.base_url}/chat/completions"))
    loopback.answer = both
    result: Any
    with adapter.OpenAI(
        base_url=loopback.base_url, api_key="k", settings=in_force, max_retries=0
    ) as client:
        try:
            result = client.chat.completions.create(**body)
        except openai.BadRequestError as error:
            result = error
    decided = adapter.decision(result)
    assert decided is not None
    asked = len(explained.decision.losses)
    assert (decided.backend, decided.asked, decided.reason) == (
        explained.decision.backend, explained.decision.asked, explained.decision.reason,
    )  # fmt: skip
    assert decided.losses[:asked] == explained.decision.losses
    assert decided.settings_hash == explained.decision.settings_hash
    if explained.sent is None:
        assert loopback.requests == []
        assert isinstance(result, openai.BadRequestError)
        assert explained.error is not None
        assert result.code == explained.error["code"]
        return
    assert len(loopback.requests) == explained.sent.requests
    assert [json.loads(one.body) for one in loopback.requests] == [
        explained.sent.body
    ] * explained.sent.requests
    assert {one.path for one in loopback.requests} == {explained.sent.path}


def test_the_translation_is_shown_whatever_the_backend() -> None:
    off, on = explain(PLAIN, Settings()), explain(PLAIN, Settings(backend="responses"))
    killed = explain(PLAIN, Settings(force="chat", backend="responses"))
    assert off.decision.backend == killed.decision.backend == "chat"
    assert off.translated == on.translated == killed.translated
    assert on.translated is not None
    assert on.translated.body["input"][0]["content"] == USER["content"]


def test_a_forced_call_still_shows_its_rule() -> None:
    rules = [{"match": {"model": "gpt-4*"}, "drop": ["seed"]}]
    killed = explain({**PLAIN, "seed": 1}, Settings(force="chat", rules=rules))
    assert (killed.rule, killed.moves) == (0, True)


def test_a_place_in_the_rollout_is_the_one_that_counts() -> None:
    place = explain(PLAIN, Settings(rollout=50)).rollout
    assert place is not None
    assert place.place is not None
    for percent, backend in ((place.place - 0.01, "chat"), (place.place + 0.01, "responses")):
        assert explain(PLAIN, Settings(rollout=percent)).decision.backend == backend


def test_azure() -> None:
    url = (
        "https://x.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2024-06-01"
    )
    sent = explain(PLAIN, Settings(backend="responses"), CallOrigin(url=url)).sent
    assert sent is not None
    assert sent.path == "/openai/responses?api-version=2025-03-01-preview"
    assert sent.body["model"] == "mine"


# Input

FORMS: dict[str, Any] = {
    "a body": PLAIN,
    "body": {"body": PLAIN, "status": 200},
    "request": {"request": PLAIN},
    "json": {"method": "POST", "json": PLAIN},
    "nested": {"request": {"headers": {}, "body": PLAIN}},
    "a gateway's log": {"request_body": json.dumps(PLAIN), "response": {"usage": {}}},
    "an evaluation's row": {"input": PLAIN},
    "body as text": {"body": json.dumps(PLAIN)},
    "a batch file's line": {
        "custom_id": "1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": PLAIN,
    },
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms(form: Any) -> None:
    assert find_request(json.dumps(form).encode()).body == PLAIN
    assert document(body=form)["chat"]["body"] == PLAIN


def test_lines() -> None:
    lines = "\n".join(json.dumps({**PLAIN, "model": f"m{k}"}) for k in range(3))
    done = run(text=lines)
    assert "the first of 3" in done.stderr
    assert '"m0"' in done.stdout
    assert '"m2"' in run("--line", "3", text=lines).stdout
    assert "line 9: no such line" in run_main("--line", "9", text=lines)


def run_main(*arguments: str, text: str) -> str:
    """Run the installed command for a wrong use: exit code 2, and one line, which is returned."""
    done = command("explain", *arguments, stdin=text)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    return done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("{not json", "not JSON"),
        ('{"a": ' * 2000, "not JSON"),
        ('{"temperature": NaN}', "not JSON: it has NaN or"),
        ('{"body": {"temperature": -1e999}}', "not JSON: it has NaN or"),
    ],
    ids=["empty", "no JSON", "deep", "NaN", "infinite"],
)
def test_text_that_is_not_json(text: str, said: str) -> None:
    with pytest.raises(NotARequest, match=said):
        find_request(text.encode())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([1], "$: expected a JSON object"),
        ({"model": "m"}, "messages: missing"),
        ({"messages": "secret words"}, "messages: expected an array"),
        ({"body": {"model": "m", "messages": 3}}, "(in body)"),
    ],
    ids=["no object", "no messages", "messages no list", "wrapped"],
)
def test_bad_requests_are_named_by_their_path(body: Any, said: str) -> None:
    done = run(body=body)
    assert said in str(done.exception)
    assert "secret" not in str(done.exception)


ODD: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "n dropped": ({"n": 0}, {"unsupported": "drop"}, "responses", "dropped"),
    "stop dropped": ({"stop": 5}, {"drop": ["stop"]}, "responses", "dropped"),
    "stop emulated": ({"stop": 5}, {"emulate": ["stop"]}, "chat", "holds"),
    "n neutral": ({"n": 1}, {"emulate": ["n"]}, "responses", "left out"),
    "no tool": ({"tools": [{"type": "function"}]}, {}, "chat", "holds"),
    "no tool, refused": (
        {"tools": [{"type": "function"}]},
        {"unsupported": "drop"},
        "responses",
        "refused",
    ),
}


@pytest.mark.parametrize(("more", "settings", "backend", "outcome"), ODD.values(), ids=ODD)
def test_an_odd_value_has_productions_answer(
    more: dict[str, Any], settings: dict[str, Any], backend: str, outcome: str
) -> None:
    explained = explain({**PLAIN, **more}, Settings(backend="responses", **settings))
    (name,) = more
    assert explained.decision.backend == backend
    assert {fate.name: fate.outcome for fate in explained.parameters}[name] == outcome
    assert explained.emulated == ()


def test_nan_within_a_text() -> None:
    assert find_request(b'{"messages": "NaN, Infinity"}').body == {"messages": "NaN, Infinity"}


def test_bytes_that_are_not_text() -> None:
    with pytest.raises(NotARequest, match="not JSON: not utf-8"):
        find_request(b"\xff\x81\x82")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "JSON"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_a_terminal_cannot_write_is_escaped(
    form: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    stdout = io.TextIOWrapper(written, encoding=encoding)
    request = io.TextIOWrapper(
        io.BytesIO(rb'{"model": "m", "messages": [{"role": "user", "content": "\u00e9\ud83d"}]}')
    )
    monkeypatch.setattr(sys, "stdin", request)
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "argv", ["adapter", "explain", *form])
    with contextlib.suppress(SystemExit):
        cli.main()
    stdout.flush()
    assert b"\\ud83d" in written.getvalue()
    if form:
        assert json.loads(written.getvalue())["moves"] is True


def test_wrong_use_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    assert "messages: expected an array" in run_main(text='{"messages": 1}')
    assert "no such file" in run_main(str(tmp_path / "none.json"), text="").lower()


# Output


def test_check() -> None:
    assert run("--check").exit_code == 0
    assert run("--check", body={**PLAIN, "seed": 1}).exit_code == 1
    assert run(body={**PLAIN, "seed": 1}).exit_code == 0


def test_settings_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "adapter.toml"
    path.write_text('backend = "responses"\ndrop = ["seed"]\n')
    shown = document("--settings", str(path), body={**PLAIN, "seed": 1, "temperature": 1})
    assert shown["decision"]["backend"] == "responses"
    assert shown["decision"]["settings_file"] == str(path)
    assert {one["name"]: one["outcome"] for one in shown["parameters"]} == {
        "model": "moves", "messages": "moves", "seed": "dropped", "temperature": "moves",
    }  # fmt: skip
    assert shown["fallback"].keys() == {"blocked", "missing"}


def test_no_contents() -> None:
    body = {**PLAIN, "tools": TOOLS, "seed": 1, "metadata": {"who": "Grace"}}
    for arguments in (["--no-contents"], ["--no-contents", "--json"]):
        shown = run(*arguments, body=body).stdout
        assert "airspeed" not in shown
        assert "Grace" not in shown
        assert "<21 characters>" in shown


def test_terminal_output() -> None:
    shown = run(
        "--url", "https://gateway.example/v1/chat/completions", body={**PLAIN, "seed": 1}
    ).stdout
    for expected in (
        "POST /v1/chat/completions",
        "nothing goes to the Responses API",
        "seed",
        "holds",
        "goes to",
        "Chat Completions",
    ):
        assert expected in shown
    assert "POST /v1/responses" in run().stdout
    assert "\x1b[" not in shown


def test_no_backend_is_recommended_for_a_host_that_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "if chosen" in run().stdout
    monkeypatch.setenv("ADAPTER_HOSTS", "gateway.example")
    shown = run().stdout
    assert "its host isn't among `hosts`" in shown
    assert "if chosen" not in shown


# Large requests

PICTURE = "data:image/png;base64," + "iVBORw0KGgo" * 400_000
LARGE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an image": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}
            ]
        },
        ["data:image/png;base64,… (4,400,022 characters)"],
    ),
    "a small image": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": PICTURE[:300]}}],
                }
            ]
        },
        ["data:image/png;base64,… (300 characters)"],
    ),
    "a data URL with parameters": (
        {"user": "data:text/plain;charset=utf-8,Hi" + " Hi" * 100},
        ["data:text/plain;charset=utf-8,… (332 characters)"],
    ),
    "audio": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "input_audio",
                            "input_audio": {"format": "wav", "data": PICTURE[22:]},
                        }
                    ],
                }
            ]
        },
        ['"data": "… (4,400,000 characters)"'],
    ),
    "a file": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": PICTURE}}
                    ],
                }
            ]
        },
        ["… (4,400,022 characters)"],
    ),
    "a text": (
        {"messages": [{"role": "user", "content": "word " * 600_000}]},
        ["… (3,000,000 characters)"],
    ),
    "a tool's output": (
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "c",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "c", "content": "line\n" * 200_000},
            ]
        },
        ["… (1,000,000 characters)"],
    ),
    "messages": (
        {"messages": [{"role": "user", "content": f"{k} " * 100} for k in range(10_000)]},
        ["… (9,800 more)"],
    ),
    "tools": (
        {
            "tools": [
                {"type": "function", "function": {"name": f"f{k}", "description": "x " * 200}}
                for k in range(1000)
            ]
        },
        ["more)"],
    ),
    "choices": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "n",
                    "schema": {"enum": [f"value {k}" for k in range(100_000)]},
                },
            }
        },
        ["… (99,800 more)"],
    ),
    "keys": ({"metadata": {f"k{k}": "v" for k in range(10_000)}}, ["… (9,800 more)"]),
    "depth": (
        {"vendor": functools.reduce(lambda inner, _: {"properties": {"x": inner}}, range(150), {})},
        ["… (nested deeper)"],
    ),
    "an array of arrays": ({"vendor": [[[[0] * 200] * 200] * 200] * 200}, ["members)"]),
}


@pytest.mark.parametrize("case", LARGE)
def test_long_values_are_shortened(case: str) -> None:
    more, said = LARGE[case]
    body = {**PLAIN, **more}
    made = shortened(body)
    text = json.dumps(made, ensure_ascii=False)
    assert len(text) < 1_500_000
    for one in said:
        assert one in text
    if case not in {"an array of arrays", "depth"}:
        done = run("--json", text=json.dumps(body))
        shown = json.loads(done.stdout)
        assert shown["shortened"] is True
        assert len(done.stdout) < 2_000_000
        assert said[0] in done.stdout.replace('\\"', '"')
        people = run(text=json.dumps(body)).stdout
        assert len(people) < 300_000
        assert "--whole shows them" in people


def test_a_short_request_is_unchanged() -> None:
    body = {**PLAIN, "tools": TOOLS, "messages": [{"role": "user", "content": "x y " * 900}] * 40}
    assert shortened(body) == body
    assert document(body=body)["shortened"] is False


def test_whole_shows_everything() -> None:
    body = {**PLAIN, "messages": [{"role": "user", "content": "long words " * 10_000}]}
    shown = document("--whole", body=body)
    assert (shown["chat"]["body"], shown["shortened"]) == (body, False)
    assert shown["responses"]["body"]["input"][0]["content"] == body["messages"][0]["content"]


def test_a_large_request_is_fast() -> None:
    """Measure processor time for 30 MB in 10,000 messages; the limit is generous."""
    body = {
        "model": "gpt-4o",
        "messages": [
            {"role": "user", "name": "ada", "content": "word " * 600} for _ in range(10_000)
        ],
    }
    text = json.dumps(body)
    run()  # imports
    begun = time.process_time()
    for arguments in ([], ["--no-contents"]):
        assert run(*arguments, text=text).exit_code == 0
    assert time.process_time() - begun < 6


def test_a_request_to_another_endpoint_is_named() -> None:
    with pytest.raises(NotARequest, match="another endpoint"):
        find_request(b'{\n "url": "/v1/embeddings",\n "body": {"model": "m", "input": "x"}\n}')
