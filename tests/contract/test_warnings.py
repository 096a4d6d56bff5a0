"""The log of calls routed to the Responses API: what kept them on Chat, and where others went."""

from __future__ import annotations

import ast
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter._routing import reload
from adapter._runtime import log
from adapter._settings import log_handler
from adapter._util.log_once import Once
from tests.support import tier
from tests.support.answers import CHAT, RESPONSES, Sdk, completion, events, response, sdk
from tests.support.answers import both as native
from tests.support.http import http as sdks_http
from tests.support.loopback import Loopback
from tests.support.ways_in import WAYS_IN, Reply, Sent, WayIn, _Call, each_way_in

__all__ = ["sdk"]

CONTENTS = "contents of a user"


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset what a process logs once."""
    once = Once(50)
    for module in (log, reload):
        monkeypatch.setattr(module, "HELD", once)


def answer(sent: Sent) -> Reply:
    return Reply.of_json(response() if sent.path.endswith("/responses") else completion())


def body(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": CONTENTS}], **more}


def message(**more: Any) -> dict[str, Any]:
    return body(
        messages=[
            {"role": "user", "content": "first"},
            {"role": "user", "content": CONTENTS, **more},
        ]
    )


def log_lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    lines = [
        one.getMessage() for one in caplog.records if one.name == "adapter" and one.levelno == level
    ]
    assert CONTENTS not in "".join(lines)
    return lines


# What kept a call on Chat, and the setting that would let it move

DROP, BOTH = ["drop"], ["drop", "emulate"]
# The call, the path, the remedies
HELD: dict[str, tuple[dict[str, Any], str, list[str] | None]] = {
    "a message's name": (message(name="ada"), "messages[].name", BOTH),
    "seed": (body(seed=7), "seed", DROP),
    "a penalty": (body(presence_penalty=0.5), "presence_penalty", DROP),
    "logit_bias": (body(logit_bias={"1": 1}), "logit_bias", DROP),
    "stop": (body(stop=["END"]), "stop", BOTH),
    "n": (body(n=2), "n", BOTH),
    "few tokens": (body(max_tokens=5), "max_tokens", DROP),
    "fewest tokens": (body(max_completion_tokens=15), "max_completion_tokens", DROP),
    "web search": (body(web_search_options={}), "web_search_options", BOTH),
    "audio in": (
        message(
            content=[
                {"type": "text", "text": "x"},
                {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
            ]
        ),
        "messages[].content[]",
        DROP,
    ),
    "audio out": (body(modalities=["text", "audio"]), "modalities", DROP),
    "a role": (message(role="critic"), "messages[].role", None),
    "a part": (message(content=[{"type": "hologram"}]), "messages[].content[]", None),
    "no messages": (body(messages=[]), "messages", None),
    "a model": (body(model="gpt-4o-audio-preview"), "model", None),
    "nonsense": (body(tools="x"), "tools", None),
}


WHOLE = [
    (WAYS_IN[number % len(WAYS_IN)], case) for number, case in enumerate(HELD)
]  # each call through one way in
EACH = [(way_in, "a message's name") for way_in in tier.two(WAYS_IN)]


@pytest.mark.parametrize(
    ("way_in", "case"), [*WHOLE, *EACH[1:]], ids=lambda one: getattr(one, "name", one)
)
def test_the_warning_names_the_path_and_the_remedy(
    way_in: WayIn, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    call, path, remedy = HELD[case]
    with caplog.at_level(logging.INFO, "adapter"):
        seen = way_in.create(call, answer)
    assert (seen.paths, len(log_lines(caplog))) == ([CHAT], 1)
    line = log_lines(caplog)[0]
    advice = " (" if remedy is None else f"; set {remedy[0]} = "
    assert line.startswith(f"asked for responses, kept on chat: {path}{advice}")
    assert seen.decision is not None
    assert f"({seen.decision.reason}: " in line
    assert line.endswith(f"settings={seen.decision.settings_hash}")
    assert log_lines(caplog, logging.INFO)[0].startswith(
        "POST /chat/completions asked=responses backend=chat "
    )
    settings = [
        (name, ast.literal_eval(value))
        for name, value in re.findall(r"(drop|emulate) = (\[[^]]*\])", line)
    ]
    assert [name for name, _ in settings] == (remedy or [])
    for name, value in settings:
        helped = way_in.create(call, answer, **{name: value})
        assert helped.decision is not None
        assert set(helped.paths) == {RESPONSES}, name
    assert len(log_lines(caplog)) == 1


def test_an_explicit_policy_gets_no_remedy(caplog: pytest.LogCaptureFixture) -> None:
    way_in = WayIn("client", asynchronous=False)
    way_in.create(body(seed=1, n=2), answer, unsupported_parameters={"seed": "chat"}, emulate=["n"])
    (line,) = log_lines(caplog)
    assert 'kept on chat: seed; set unsupported_parameters = {seed = "drop"} (unsupported: ' in line


def test_more_answers_than_connections_have_no_remedy(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.answer = native
    limits = sdks_http.Limits(max_connections=1)
    kind = sdks_http.AsyncClient if sdk.mode == "async" else sdks_http.Client
    client = sdk.client(
        loopback, Settings(backend="responses", emulate=["n"]), http_client=kind(limits=limits)
    )
    sdk.create(client, n=2)
    (line,) = log_lines(caplog)
    assert line.startswith(
        "asked for responses, kept on chat: n "
        "(unsupported: more requests than the connection pool allows at once)"
    )


# The settings that route a call, and what else keeps it on Chat

PAGE = Reply(403, (b"<html>no</html>",), "text/html")
MISSING = Reply.of_json({"detail": "Not Found"}, 404)
BAD = Reply.of_json(
    {"error": {"message": CONTENTS, "type": "invalid_request_error", "param": None, "code": None}},
    400,
)
REPLIES: dict[str, tuple[Reply, dict[str, Any], str]] = {
    "missing": (MISSING, {}, "$ (missing: the server has no Responses API)"),
    "blocked": (PAGE, {}, "$ (blocked: a gateway blocked the request to the Responses API)"),
    "rejected": (
        BAD,
        {"fallback": ["rejected"]},
        "$ (rejected: translation-suspect: the Responses API refused the request",
    ),
}


@each_way_in
@pytest.mark.parametrize("case", REPLIES)
def test_a_fallback_is_logged_once(
    way_in: WayIn, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    reply, settings, path_and_why = REPLIES[case]
    for _ in range(3):  # the second time, a missing endpoint isn't tried
        seen = way_in.create(
            body(), lambda sent: reply if sent.path == RESPONSES else answer(sent), **settings
        )
        assert seen.paths[-1] == CHAT
    (line,) = log_lines(caplog)
    assert line.startswith(f"asked for responses, kept on chat: {path_and_why}")


ASKED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "settings": ({}, {}),
    "a rule": ({"backend": "chat", "rules": [{"backend": "responses"}]}, {}),
    "a rollout": ({"backend": "chat", "rollout": 100}, {}),
    "force": ({"backend": "chat", "force": "responses"}, {}),
    "use": ({"backend": "chat"}, {"backend": "responses"}),
    "a header": ({"backend": "chat"}, {}),
}


@pytest.mark.parametrize("case", ASKED)
@pytest.mark.parametrize("way", ["create", "stream", "parse", "helper"])
def test_every_way_to_route_a_call(case: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    settings, used = ASKED[case]
    more = {"extra_headers": {"x-adapter-backend": "responses"}} if case == "a header" else {}
    for way_in in (WayIn("client", asynchronous=True), WayIn("transport", asynchronous=False)):
        with adapter.use(**used):
            getattr(way_in, way)(body(seed=1, **more), answer, **settings)
    assert len(log_lines(caplog)) == 1


@each_way_in
def test_no_warning_with_backend_chat(way_in: WayIn, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "adapter")
    for settings in (
        {},
        {"rollout": 0},
        {"rules": [{"backend": "chat"}]},
        {"hosts": []},
        {"force": "native"},
    ):
        way_in.create(
            body(seed=1),
            answer,
            **{"backend": "responses" if "hosts" in settings else "chat", **settings},
        )
    way_in.create(body(seed=1), answer, backend="responses", unsupported="error")
    assert log_lines(caplog) == []
    assert [line.partition(" call_site")[0] for line in log_lines(caplog, logging.INFO)] == [
        "not sent asked=responses backend=responses reason=refused ledger=[seed held]"
    ]


@each_way_in
def test_a_bug_is_logged(
    way_in: WayIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: Any) -> Any:
        raise RuntimeError(CONTENTS)

    monkeypatch.setattr("adapter._exchange.plan.chat_to_responses", bug)
    for _ in range(2):
        assert way_in.create(body(), answer, on_bug="chat").paths == [CHAT]
    (line,) = log_lines(caplog)
    assert "kept on chat: $ (adapter-bug: the adapter failed on this call (RuntimeError))" in line


def test_a_bug_before_routing_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: Any) -> Any:
        raise RuntimeError(CONTENTS)

    monkeypatch.setattr("adapter._runtime.base_performer.BasePerformer.start_exchange", bug)
    way_in = WayIn("client", asynchronous=False)
    for _ in range(2):
        assert way_in.create(body(), answer, on_bug="chat").paths == [CHAT]
    assert len(log_lines(caplog)) == 1


# How often it is logged


def test_once_for_each_reason_and_path_and_50_at_most(caplog: pytest.LogCaptureFixture) -> None:
    way_in = WayIn("client", asynchronous=False)
    extra = [{f"key_{name}": "x" for name in "abc"}]
    for _ in range(2):
        way_in.create(message(name="ada") | {"seed": 1, "stop": "x", "metadata": extra}, answer)
    assert len(log_lines(caplog)) == 3
    once = Once(50)
    assert [once.first(number) for number in range(60)] == [True] * 50 + [False] * 10
    assert not once.first(1)


def test_again_when_the_settings_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "adapter.toml"
    for text in (
        'backend = "responses"\n',
        'backend = "responses"\n# a comment\n',
        'backend = "responses"\nservice = "x"\n',
    ):
        file.write_text(text)
        for _ in range(2):
            call = _Call("create", body(seed=1))
            WayIn("client", asynchronous=False)._run(
                call, answer, {"config_file": file, "backend": "responses"}
            )
    assert len(log_lines(caplog)) == 2


# Calls that moved


@each_way_in
@pytest.mark.parametrize("way", ["create", "stream", "helper", "parse"])
def test_a_call_that_moved_is_one_line(
    way_in: WayIn, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "adapter")

    def moved(sent: Sent) -> Reply:
        return Reply.of_sse(events()) if sent.json().get("stream") else Reply.of_json(response())

    seen = getattr(way_in, way)(body(), moved)
    seen.reraise()
    assert seen.paths == [RESPONSES]
    assert log_lines(caplog) == []
    (line,) = log_lines(caplog, logging.INFO)
    made = seen.decision
    told_of = f"call_site={made.call_site} settings={made.settings_hash}"
    assert (
        line
        == f"POST /responses asked=responses backend=responses reason=settings ledger=[] {told_of}"
    )


@each_way_in
def test_a_call_that_moved_and_failed_is_one_line(
    way_in: WayIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "adapter")
    seen = way_in.create(body(), lambda _: BAD)
    assert seen.error is not None
    (line,) = log_lines(caplog, logging.INFO)
    assert line.startswith("POST /responses asked=responses")


# ADAPTER_LOG


@contextmanager
def unconfigured_logging() -> Iterator[logging.Logger]:
    """Remove the handlers of pytest, and restore everything at the end."""
    own, root = logging.getLogger("adapter"), logging.getLogger()
    kept = own.level, own.handlers, root.handlers
    own.handlers, root.handlers = [], []
    try:
        yield root
    finally:
        own.handlers, root.handlers = kept[1:]
        own.setLevel(kept[0])


class OwnHandler(logging.Handler):
    """A handler of the application."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"mine {record.getMessage()}\n")


ALL = ["POST /responses", "asked for", "POST /chat", "POST /chat"]
OURS = [
    "T INFO adapter: POST /responses",
    "T WARNING adapter: asked for",
    "T INFO adapter: POST /chat",
    "T INFO adapter: POST /chat",
]
THEIRS = [f"mine {line}" for line in ALL]
BAD_LEVEL = "ADAPTER_LOG: ignored: expected debug, info, warning, error or critical"
# ADAPTER_LOG, the application's handlers before and after the settings are made, the lines' begin
LOGGING: dict[str, tuple[str | None, list[logging.Handler], list[logging.Handler], list[str]]] = {
    "unset": (None, [], [], ["asked for"]),
    "empty": (" ", [], [], ["asked for"]),
    "info": ("info", [], [], OURS),
    "in capitals": (" WARNING ", [], [], OURS[1:2]),
    "short": ("warn", [], [], OURS[1:2]),
    "error": ("error", [], [], []),
    "unknown": ("SECRET", [], [], [BAD_LEVEL, "asked for"]),
    "the application's": ("info", [OwnHandler()], [], THEIRS),
    "the application's, later": ("info", [], [OwnHandler()], THEIRS),
    "the application's, for other levels": ("info", [OwnHandler(logging.CRITICAL)], [], OURS),
    "nowhere": ("warning", [logging.NullHandler()], [], OURS[1:2]),
}


@pytest.mark.parametrize("case", LOGGING)
def test_the_log_on_stderr(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    level, before, after, expected = LOGGING[case]
    monkeypatch.setattr(log_handler, "_WARNED", Once())
    if level is not None:
        monkeypatch.setenv("ADAPTER_LOG", level)
    with unconfigured_logging() as root:
        root.handlers += before
        for _ in range(2):  # more settings, but no more handlers
            Settings()
        root.handlers += after
        for more in ({}, {"seed": 1}, {"seed": 1}):
            WayIn("client", asynchronous=False).create(body(**more), answer)
    output = capsys.readouterr()
    lines = [
        re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "T", line)
        for line in output.err.splitlines()
    ]
    assert [line[: len(begin)] for line, begin in zip(lines, expected, strict=True)] == expected
    assert output.out == ""


def test_a_line_stays_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADAPTER_LOG", "debug")
    with unconfigured_logging():
        Settings()
        logging.getLogger("adapter").debug("one\ntwo\u2028three")
    assert capsys.readouterr().err.count("\n") == 1


def test_the_log_of_a_process() -> None:
    code = (
        "import adapter; adapter.Settings(); "
        "import logging; logging.getLogger('adapter').info('here')"
    )
    variables = {"PATH": "/usr/bin", "PYTHONPATH": os.pathsep.join(sys.path), "ADAPTER_LOG": "info"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stderr.endswith(" INFO adapter: here\n")
    assert done.stderr.count("\n") == 1
