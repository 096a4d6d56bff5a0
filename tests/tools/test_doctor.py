"""`adapter doctor`: each check with good and bad input, and no secrets in its output."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import adapter
from adapter._memory.urls import without_secrets
from adapter._settings.match import Match
from adapter.tools.cli.app import app
from adapter.tools.doctor import (
    CHECKS,
    Environment,
    Finding,
    connectivity,
    installation,
    rules,
    run_checks,
    sample_call,
    settings_sources,
    workers,
)
from adapter.tools.doctor.connectivity import interpret_reply
from adapter.tools.doctor.installation import DISTRIBUTION
from tests.support.command import Done, command
from tests.support.loopback import Loopback, Reply

SECRETS = ("hunter2", "sk-secret", "Ada's address")
KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


PACKAGES = functools.cache(metadata.packages_distributions)  # half a second each time


@pytest.fixture(autouse=True)
def _packages_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "packages_distributions", PACKAGES)


def found(
    check: Callable[[Environment], Any], patient: Environment | None = None, **settings: Any
) -> list[Finding]:
    """Run one check."""
    return list(check(patient or Environment(adapter.Settings(**settings))))


def states(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.name, one.state) for one in findings]


# Settings and their sources


def test_each_setting_has_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('service = "shop"\nbackend = "chat"\ndrop = ["seed"]\n', encoding="utf-8")
    monkeypatch.setenv("ADAPTER_BACKEND", "responses")
    settings = adapter.Settings(config_file=file, rollout=5)
    rows = {row["name"]: (row["value"], row["from"]) for row in found(
        settings_sources.settings, Environment(settings, variables={"ADAPTER_BACKEND": "responses"})
    )[0].details["settings"]}  # fmt: skip
    assert rows["rollout"] == (5.0, "argument")
    assert rows["backend"] == ("responses", "ADAPTER_BACKEND")
    assert rows["service"] == ("shop", f"{file}, line 1")
    assert rows["drop"] == (["seed"], f"{file}, line 3")
    assert rows["emulate"] == ([], "default")
    assert rows.keys() == adapter.Settings.model_fields.keys() - {"flags", "observers", "on_bug"}


def test_variables_that_are_no_settings_are_named() -> None:
    variables = {
        "ADAPTER_EMULAET": "stop",
        "ADAPTER_LOG": "info",
        "ADAPTER_PORT": "80",
        "HOME": "x",
    }
    (only,) = [
        one
        for one in found(
            settings_sources.settings, Environment(adapter.Settings(), variables=variables)
        )
        if one.state != "ok"
    ]
    assert (only.name, only.state) == ("variables", "warning")
    assert (
        only.message == "ADAPTER_EMULAET: no such setting, ignored; did you mean ADAPTER_EMULATE?"
    )


@pytest.mark.parametrize("spelled", ["on_bug", "on_internal_error"])
def test_a_setting_with_two_names_has_its_source(
    spelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text(f'{spelled} = "raise"\n', encoding="utf-8")
    assert (
        settings_sources.setting_row(adapter.Settings(config_file=file), "on_internal_error", {})[
            "from"
        ]
        == f"{file}, line 1"
    )
    assert (
        settings_sources.setting_row(
            adapter.Settings(**{spelled: "raise"}), "on_internal_error", {}
        )["from"]
        == "argument"
    )
    variables = {f"ADAPTER_{spelled.upper()}": "raise"}
    monkeypatch.setenv(*variables.popitem())
    assert (
        settings_sources.setting_row(adapter.Settings(), "on_internal_error", dict(os.environ))[
            "from"
        ]
        == f"ADAPTER_{spelled.upper()}"
    )


def test_an_empty_variable_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_SERVICE", " ")
    assert settings_sources.setting_row(adapter.Settings(), "service", dict(os.environ)) == {
        "name": "service",
        "value": "adapter",
        "from": "default",
    }


def test_a_variable_of_a_file_is_from_there(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ADAPTER_SERVICE=shop\n", encoding="utf-8")
    settings = adapter.Settings(_env_file=tmp_path / ".env")
    assert (
        settings_sources.setting_row(settings, "service", {})["from"]
        == f"ADAPTER_SERVICE in {tmp_path / '.env'}"
    )


def test_a_fraction_as_a_percentage_is_noted() -> None:
    rules: Any = [{"rollout": "0.5%"}, {"rollout": 1}]
    settings = adapter.Settings(rollout=0.25, rules=rules)
    notes = [
        one
        for one in found(settings_sources.settings, Environment(settings))
        if one.state == "note"
    ]
    assert [one.name for one in notes] == ["rollout", "rules[0].rollout"]
    assert notes[0].advice == "Write 25 if 25 % is meant."


def test_the_kill_switch_is_found_in_any_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('force = "chat"\n', encoding="utf-8")
    monkeypatch.setenv("ADAPTER_FORCE", "responses")
    patient = Environment(
        adapter.Settings(config_file=file), variables={"ADAPTER_FORCE": "responses"}
    )
    warning = found(settings_sources.settings, patient)[1]
    assert (warning.name, warning.state) == ("force", "warning")
    assert f"chat, by force ({file}, line 1)" in warning.message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "memory://"),
        ("memory://?count=5&age=9", "memory://?count=5&age=9"),
        ("sqlite:///cache/turns.db", "sqlite:///cache/turns.db"),
        ("redis://ada:hunter2@host:6379/1?password=hunter2&age=60", "redis://host:6379/1?age=60"),
    ],
    ids=["memory", "bounds", "sqlite", "redis"],
)
def test_a_stores_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


# Installation


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("1.65.5", "failed"),
        ("1.66.0", "ok"),
        ("1.109.1", "ok"),
        ("3.54.0", "ok"),
        ("4.0.0", "failed"),
        (None, "failed"),
    ],
)
def test_the_supported_sdks(
    version: str | None, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", installed)
    assert states(found(installation.sdk)) == [("sdk", state)]


def test_a_missing_key_is_a_note() -> None:
    assert states(found(installation.key, Environment(None))) == [("key", "note")]
    (there,) = found(installation.key, Environment(None, variables={"OPENAI_API_KEY": "sk-secret"}))
    assert (there.state, there.message) == ("ok", "OPENAI_API_KEY set.")


SHADOWS = {
    "a file": ("adapter.py", "", "failed"),
    "a package": ("adapter/__init__.py", "", "failed"),
    "a mere folder": ("adapter/notes.txt", "", "ok"),
    "a file on PYTHONPATH": ("lib/adapter.py", "lib", "failed"),
    "nothing": ("adaptor.py", "", "ok"),
}


@pytest.mark.parametrize("case", SHADOWS)
def test_what_shadows_the_package(case: str, tmp_path: Path) -> None:
    name, path, state = SHADOWS[case]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("", encoding="utf-8")
    environment = {"PYTHONPATH": str(tmp_path / path)} if path else {}
    (one,) = found(installation.shadow, Environment(None, folder=tmp_path, variables=environment))
    assert one.state == state
    assert (name in one.message) == (state == "failed")


def test_the_shadowing_module_is_what_python_imports(tmp_path: Path) -> None:
    (tmp_path / "adapter.py").write_text("", encoding="utf-8")
    (one,) = found(installation.shadow, Environment(None, folder=tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", "import adapter; print(adapter.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() in one.message


def test_another_distribution_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        metadata, "packages_distributions", lambda: {"adapter": ["adapter", DISTRIBUTION]}
    )
    (one,) = found(installation.shadow, Environment(None, folder=tmp_path))
    assert one.state == "failed"
    assert "Another distribution, adapter," in one.message


# The memory and the processes that share it

Places = dict[str, tuple[dict[str, str], dict[str, str], str]]
PROCESSES: Places = {
    "one": ({}, {}, "ok"),
    "one, said": ({"WEB_CONCURRENCY": "1"}, {}, "ok"),
    "WEB_CONCURRENCY": ({"WEB_CONCURRENCY": "3"}, {}, "warning"),
    "UVICORN_WORKERS": ({"UVICORN_WORKERS": "2"}, {}, "warning"),
    "gunicorn's arguments": ({"GUNICORN_CMD_ARGS": "--bind=:80 --workers=4"}, {}, "warning"),
    "gunicorn's short ones": ({"GUNICORN_CMD_ARGS": "-w 4"}, {}, "warning"),
    "gunicorn's shortest": ({"GUNICORN_CMD_ARGS": "-w4"}, {}, "warning"),
    "gunicorn's one": ({"GUNICORN_CMD_ARGS": "--workers 1"}, {}, "ok"),
    "gunicorn's file": ({}, {"gunicorn.conf.py": "import os\nworkers = 5\n"}, "warning"),
    "gunicorn's file, computed": ({}, {"gunicorn.conf.py": "workers = 2 * cpus() + 1"}, "warning"),
    "gunicorn's file, broken": ({}, {"gunicorn.conf.py": "workers = ("}, "ok"),
    "a Procfile": ({}, {"Procfile": "web: uvicorn app:app --workers 4\n"}, "warning"),
    "a Dockerfile": ({}, {"Dockerfile": 'CMD ["gunicorn", "app", "-w", "4"]\n'}, "warning"),
    "replicas": ({}, {"k8s/app.yaml": "spec:\n  replicas: 3\n"}, "note"),
    "Kubernetes": ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {}, "note"),
}


@pytest.mark.parametrize("case", PROCESSES)
def test_a_memory_that_is_not_shared(case: str, tmp_path: Path) -> None:
    environment, files, state = PROCESSES[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    settings = adapter.Settings()
    assert states(
        found(workers.memory, Environment(settings, variables=environment, folder=tmp_path))
    ) == [("memory", state)]
    shared = adapter.Settings(memory=f"sqlite:///{tmp_path}/turns.db")
    of_machines = "note" if state == "note" else "ok"
    assert states(
        found(workers.memory, Environment(shared, variables=environment, folder=tmp_path))
    ) == [("memory", of_machines)]
    never = adapter.Settings(carry_reasoning="never")
    assert states(
        found(workers.memory, Environment(never, variables=environment, folder=tmp_path))
    ) == [("memory", "ok")]


# Rules

WIDTHS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "everything": ({}, {"model": "gpt-4o", "tools": True}, True),
    "the same": ({"model": "gpt-4o"}, {"model": "gpt-4o"}, True),
    "a wider glob": ({"model": "gpt-*"}, {"model": "gpt-4o*"}, True),
    "a narrower glob": ({"model": "gpt-4o*"}, {"model": "gpt-*"}, False),
    "all of several": ({"model": ["gpt-*", "o*"]}, {"model": ["o3", "gpt-5"]}, True),
    "one of several": ({"model": "gpt-*"}, {"model": ["o3", "gpt-5"]}, False),
    "one character is not any": ({"model": "gpt-?"}, {"model": "gpt-*"}, False),
    "one side of a switch": ({"tools": True}, {}, False),
    "the other side": ({"tools": True}, {"tools": False}, False),
    "a switch more": ({"model": "gpt-*"}, {"model": "gpt-5", "stream": True}, True),
    "formats": ({"format": ["text", "json_object"]}, {"format": "text"}, True),
    "any format": ({"format": "text"}, {}, False),
    "another thing": ({"tag": "a*"}, {"call_site": "a*"}, False),
    "hosts apart": ({"host": "*.openai.com"}, {}, False),
    "a wider host": ({"host": "*.azure.com"}, {"host": "a.azure.com", "api": "chat"}, True),
    "any host": ({"api": "chat"}, {"host": "x"}, True),
}


@pytest.mark.parametrize("case", WIDTHS)
def test_a_match_that_covers_another(case: str) -> None:
    earlier, later, takes = WIDTHS[case]
    assert rules.covers(Match(**earlier), Match(**later)) is takes


Case = tuple[dict[str, Any], list[tuple[str, str]]]
RULES: dict[str, Case] = {
    "none": ({}, [("rules", "ok")]),
    "sound": (
        {"rules": [{"match": {"model": "gpt-4o*"}, "backend": "responses"}]},
        [("rules", "ok")],
    ),
    "never": (
        {"rules": [{"backend": "chat"}, {"match": {"tag": "x"}, "backend": "responses"}]},
        [("rules[1]", "warning")],
    ),
    "responses only": (
        {"rules": [{"match": {"model": "o1-pro*"}, "backend": "chat"}]},
        [("rules[0]", "warning")],
    ),
    "responses only, by default": (
        {"rules": [{"match": {"model": "gpt-5.5-pro"}, "drop": ["seed"]}]},
        [("rules[0]", "warning")],
    ),
    "Responses-only": (
        {"rules": [{"match": {"model": "gpt-5.6*"}, "rollout": 50}]},
        [("rules[0]", "warning")],
    ),
    "Responses-only, without tools": (
        {"rules": [{"match": {"model": "gpt-5.6*", "tools": False}, "rollout": 50}]},
        [("rules", "ok")],
    ),
    "Responses-only, and moved": (
        {"rules": [{"match": {"model": "gpt-5.6*"}, "backend": "responses"}]},
        [("rules[0]", "note")],
    ),
    "chat only": (
        {"rules": [{"match": {"model": "gpt-audio-2*"}, "backend": "responses"}]},
        [("rules[0]", "note")],
    ),
    "chat only, renamed": (
        {"rules": [{"match": {"model": "acme"}, "backend": "responses", "model": "gpt-audio-2"}]},
        [("rules[0]", "note")],
    ),
    "own facts": (
        {
            "models": {"acme-*": {"responses_only": True}},
            "rules": [{"match": {"model": "acme-1"}, "backend": "chat"}],
        },
        [("rules[0]", "warning")],
    ),
    "gone": (
        {"models": {"acme": {"shutdown": "2020-01-01"}}, "rules": [{"match": {"model": "acme"}}]},
        [("rules[0]", "note")],
    ),
    "forced": (
        {"force": "responses", "rules": [{"match": {"model": "o1-pro-9"}, "backend": "chat"}]},
        [("rules", "ok")],
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_rules(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, wanted = RULES[case]
    monkeypatch.setattr(rules, "_today", lambda: dt.date(2026, 1, 1))
    assert states(found(rules.rules, **settings)) == wanted


# Connectivity


def test_a_store_is_asked(tmp_path: Path) -> None:
    assert states(found(connectivity.store)) == [("store", "skipped")]
    here = {"memory": f"sqlite:///{tmp_path}/turns.db", "memory_timeout": 5}
    assert states(found(connectivity.store, **here)) == [("store", "ok"), ("seal", "note")]
    assert states(found(connectivity.store, **here, memory_key=KEY)) == [("store", "ok")]


TROUBLE = {
    "down": ("redis://ada:hunter2@127.0.0.1:1/0", "failed"),
    "sentinels that are down": ("redis+sentinel://:hunter2@127.0.0.1:1/shop", "failed"),
}


@pytest.mark.parametrize("case", TROUBLE)
def test_a_store_in_trouble(case: str) -> None:
    url, state = TROUBLE[case]
    (one,) = found(connectivity.store, memory=url)
    assert one.state == state
    assert "hunter2" not in str(one)


class Slow(adapter.Store):
    """A custom store; with `loses` it returns nothing."""

    def __init__(self, *, loses: bool = False) -> None:
        self.values: dict[str, bytes] = {}
        self.loses = loses

    def get(self, names: Any) -> Any:
        return {} if self.loses else {name: self.values[name] for name in names}

    def put(self, name: str, value: bytes) -> None:
        self.values[name] = value

    def delete(self, names: Any) -> None:
        for name in names:
            self.values.pop(name, None)

    def forget(self, pattern: str) -> int:
        return 0


def test_a_custom_store() -> None:
    store = Slow()
    assert states(found(connectivity.store, memory=store, memory_key=KEY)) == [("store", "ok")]
    assert store.values == {}
    assert states(found(connectivity.store, memory=store, memory_timeout=1e-9)) == [
        ("store", "warning")
    ]
    assert states(found(connectivity.store, memory=Slow(loses=True))) == [("store", "failed")]


FLAGS = {
    "chat": ("'chat'", "ok"),
    "another value": ("'both'", "warning"),
    "force-chat": ("'force-chat'", "warning"),
    "force-native": ("'force-native'", "warning"),
    "no such flag": (None, "failed"),
}


@pytest.mark.parametrize("case", FLAGS)
def test_the_flag(case: str, tmp_path: Path) -> None:
    value, state = FLAGS[case]
    flags = f"InMemoryFlag('on', {{'on': {value}}})" if value else None
    name = f"flags_{re.sub('[ -]', '_', case)}"
    (tmp_path / f"{name}.py").write_text(
        f"""
from openfeature import api
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
def client():
    flags = {{"openai-backend": {flags}}} if {flags is not None} else {{}}
    api.set_provider(InMemoryProvider(flags), "doctor")
    return api.get_client("doctor")
""",
        encoding="utf-8",
    )
    patient = Environment(adapter.Settings(), folder=tmp_path, flags=f"{name}:client")
    try:
        assert states(found(connectivity.flag, patient)) == [("flags", state)]
        (one,) = found(
            sample_call.decision, replace(patient, settings=adapter.Settings(backend="responses"))
        )
        forced = case.startswith("force-")
        assert (one.details["backend"], one.details["reason"]) == {
            True: ("chat", "force"),
            False: ("chat", "flag") if case == "chat" else ("responses", "settings"),
        }[forced]
    finally:
        while str(tmp_path) in sys.path:
            sys.path.remove(str(tmp_path))


def test_the_flag_that_was_not_named() -> None:
    assert states(found(connectivity.flag)) == [("flags", "skipped")]


SHAPED = (
    b'{"error": {"message": "you must provide a model parameter", '
    b'"type": "invalid_request_error", "param": null, "code": null}}'
)
PAGE = b"<html><body>Access denied</body></html>"
MEANINGS = {
    "the API's own 400": (400, "application/json", SHAPED, "ok", "The endpoint exists"),
    "vLLM's 422": (
        422,
        "application/json",
        b'{"detail": [{"loc": ["model"]}]}',
        "ok",
        "The endpoint exists",
    ),
    "no such route": (
        404,
        "application/json",
        b'{"detail": "Not Found"}',
        "failed",
        "The endpoint doesn't exist",
    ),
    "a plain 404": (
        404,
        "text/plain",
        b"404 page not found",
        "failed",
        "The endpoint doesn't exist",
    ),
    "no such method": (405, "text/html", PAGE, "failed", "The endpoint doesn't exist"),
    "a gateway's page": (403, "text/html", PAGE, "failed", "A gateway or proxy"),
    "a login": (302, "text/html", b"", "failed", "A gateway or proxy"),
    "a portal": (200, "text/html", PAGE, "failed", "A gateway or proxy"),
    "a wrong key": (401, "application/json", SHAPED, "failed", "doesn't accept the key"),
    "too much": (429, "application/json", SHAPED, "warning", "over its limit"),
    "broken": (500, "application/json", SHAPED, "warning", "failed on an empty request"),
    "moved": (308, "text/plain", b"", "warning", "redirects"),
    "something else": (200, "application/json", b"{}", "warning", "may not be the API"),
}


@pytest.mark.parametrize("case", MEANINGS)
def test_the_meaning_of_an_endpoints_reply(case: str, loopback: Loopback) -> None:
    status, kind, body, state, says = MEANINGS[case]
    for path in ("/chat/completions", "/responses"):
        assert interpret_reply(status, kind, body, path, has_key=True)[0] == state
        assert says in interpret_reply(status, kind, body, path, has_key=True)[1]
    loopback.answer = lambda _: Reply(status, (("content-type", kind),), [body])
    environment = {"OPENAI_BASE_URL": loopback.base_url, "OPENAI_API_KEY": "sk-secret"}
    both = found(connectivity.endpoints, Environment(None, variables=environment, live=True))
    assert states(both) == [("/chat/completions", state), ("/responses", state)]
    assert sorted(request.path for request in loopback.requests) == [
        "/v1/chat/completions",
        "/v1/responses",
    ]
    assert {request.body for request in loopback.requests} == {b"{}"}
    assert "sk-secret" not in str(both)


def test_a_missing_key_at_an_endpoint_is_a_note() -> None:
    assert (
        interpret_reply(401, "application/json", SHAPED, "/responses", has_key=False)[0] == "note"
    )


def test_endpoints_are_only_checked_on_request() -> None:
    assert states(found(connectivity.endpoints, Environment(None))) == [("endpoints", "skipped")]


def test_endpoints_that_are_not_reached() -> None:
    patient = Environment(None, variables={"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, live=True)
    assert [one.state for one in found(connectivity.endpoints, patient)] == ["failed", "failed"]


# A call

CALL = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Ada's address"}]}
DECISIONS: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str, str]] = {
    "built in": ({}, None, "ok", "(gpt-5.4) goes to chat: requested chat, because of settings."),
    "built in, there": (
        {"backend": "responses"},
        None,
        "ok",
        "goes to responses: requested responses, because of settings.",
    ),
    "by a rule": (
        {"rules": [{"match": {"model": "gpt-4*"}, "backend": "responses"}]},
        CALL,
        "ok",
        "requested responses, because of rule.",
    ),
    "held": (
        {"backend": "responses"},
        {**CALL, "seed": 1},
        "note",
        "goes to chat: requested responses, because of unsupported; seed held.",
    ),
    "dropped": (
        {"backend": "responses", "drop": ["seed"]},
        {**CALL, "seed": 1},
        "ok",
        "because of settings; seed dropped.",
    ),
    "refused": (
        {"backend": "responses", "unsupported": "error"},
        {**CALL, "seed": 1},
        "warning",
        "isn't sent (BadRequestError)",
    ),
    "another host": (
        {"backend": "responses", "hosts": ["gateway"]},
        None,
        "note",
        "goes to chat: requested chat, because of hosts.",
    ),
    "with fallbacks": (
        {"backend": "responses", "fallback": ["rejected", "missing", "blocked"]},
        CALL,
        "ok",
        "because of settings.",
    ),
}


@pytest.mark.parametrize("case", DECISIONS)
def test_the_decision_for_a_call(case: str) -> None:
    settings, body, state, says = DECISIONS[case]
    (one,) = found(sample_call.decision, Environment(adapter.Settings(**settings), sample=body))
    assert (one.state, says in one.message) == (state, True), one.message
    assert "Ada" not in str(one)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://host/v1?key=hunter2", "has a query"),
        ("http://[::1", "OPENAI_BASE_URL isn't a URL."),
        ("host:8000/v1", "isn't a URL with http://"),
        ("not a url", "isn't a URL with http://"),
    ],
)
def test_an_unusable_base_url(url: str, says: str) -> None:
    patient = Environment(adapter.Settings(), variables={"OPENAI_BASE_URL": url})
    (one,) = found(sample_call.decision, patient)
    assert (one.state, says in one.message, "hunter2" in str(one)) == ("failed", True, False)


def test_a_base_url_with_its_target_in_the_query() -> None:
    patient = Environment(
        adapter.Settings(backend="responses"),
        variables={"OPENAI_BASE_URL": "https://relay/fetch?url=https://api.openai.com/v1"},
    )
    (one,) = found(sample_call.decision, patient)
    assert (one.state, "goes to chat" in one.message, "query held" in one.message) == (
        "note",
        True,
        True,
    )
    assert one.advice.startswith("A proxy with its target in the query")


# All of it


def test_a_check_that_breaks_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "workers", lambda _: 1 / 0)
    all_of_it = list(run_checks(Environment(adapter.Settings())))
    assert {check.name for check in CHECKS} <= {one.name for one in all_of_it}
    assert [one.name for one in all_of_it if one.state == "failed"] == ["memory"]


def doctor(*args: str, **environment: str) -> Any:
    return CliRunner().invoke(app, ["doctor", *args], env=environment)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_is_well(folder: Path) -> None:
    done = doctor("--json")
    assert (done.exit_code, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert {check.name for check in CHECKS} == {one["name"] for one in document["findings"]}
    assert doctor().exit_code == 0


def test_what_is_wrong_ends_with_1(folder: Path) -> None:
    (folder / "adapter.py").touch()
    assert doctor().exit_code == 1
    broken = doctor("--json", ADAPTER_BACKEND="neither")
    assert broken.exit_code == 1
    findings = {one["name"]: one for one in json.loads(broken.stdout)["findings"]}
    assert (
        findings["settings"]["says"]
        == "backend: Input should be 'chat' or 'responses' (ADAPTER_BACKEND)"
    )
    assert findings["decision"]["state"] == "skipped"


@pytest.mark.parametrize("name", ["adapter.toml", "pyproject.toml"])
@pytest.mark.parametrize("variable", [None, "", " "])
def test_a_file_that_nothing_names_is_reported_and_not_read(
    name: str, variable: str | None, folder: Path
) -> None:
    table = "[tool.adapter]\n" if name == "pyproject.toml" else ""
    (folder / name).write_text(f'{table}backend = "responses"\n', encoding="utf-8")
    plain = {} if variable is None else {"ADAPTER_CONFIG": variable}
    done = doctor("--json", **plain)
    findings = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert (done.exit_code, findings["file"]["state"]) == (0, "warning")
    assert f"{name} was found here" in findings["file"]["says"]
    assert findings["settings"]["details"]["hash"] == adapter.Settings().hash
    assert "requested chat" in findings["decision"]["says"]
    for named in (doctor("--json", ADAPTER_CONFIG=name), doctor("--json", "--settings", name)):
        findings = {one["name"]: one for one in json.loads(named.stdout)["findings"]}
        assert "file" not in findings
        assert "requested responses" in findings["decision"]["says"]


@dataclass
class Listener:
    """A server that closes each connection, and remembers whether there was one."""

    port: int
    was_asked: bool = False


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server.getsockname()[1])

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:  # closed
                    return
                listener.was_asked = True

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield listener
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


STRANGERS = {
    "adapter.toml": 'memory = "{url}"\n',
    "pyproject.toml": '[tool.adapter]\nmemory = "{url}"\n',
    ".env": "ADAPTER_MEMORY={url}\nADAPTER_CONFIG=other.toml\nOPENAI_BASE_URL=http://{host}/v1\n",
    "other.toml": 'memory = "{url}"\n',
}


@pytest.mark.parametrize("form", [(), ("--json",), ("--live",)], ids=["people", "JSON", "live"])
def test_settings_of_an_unknown_checkout_cause_no_connection(
    form: tuple[str, ...], folder: Path, listener: Listener
) -> None:
    host = f"127.0.0.1:{listener.port}"
    for name, text in STRANGERS.items():
        (folder / name).write_text(
            text.format(url=f"redis://{host}/0", host=host), encoding="utf-8"
        )
    (folder / "call.json").write_text(REQUEST, encoding="utf-8")
    elsewhere = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    done = command("doctor", *form, env=elsewhere)
    assert "adapter.toml was found here" in done.out
    assert host not in done.out
    for other in (
        ["explain", "call.json"],
        ["audit", "call.json", "--jobs", "1"],
        ["scan", "."],
        ["force", "off", "other.toml"],
    ):
        assert command(*other, env=elsewhere).code in (0, 1)
    assert not listener.was_asked


NAMED: dict[str, tuple[list[str], dict[str, str]]] = {
    "by an option": (["--settings", "adapter.toml"], {}),
    "by the environment": ([], {"ADAPTER_CONFIG": "adapter.toml"}),
    "in the environment": ([], {"ADAPTER_MEMORY": "{url}"}),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_store_that_is_named_is_contacted(
    case: str, folder: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connectivity, "_TIMEOUT", 2.0)
    url = f"redis://127.0.0.1:{listener.port}/0"
    (folder / "adapter.toml").write_text(
        STRANGERS["adapter.toml"].format(url=url), encoding="utf-8"
    )
    arguments, variables = NAMED[case]
    done = command(
        "doctor", *arguments, env={name: value.format(url=url) for name, value in variables.items()}
    )
    assert (done.code, listener.was_asked) == (1, True)


def test_a_file_that_nothing_names_may_be_bad(folder: Path) -> None:
    (folder / "adapter.toml").write_text("backend = ", encoding="utf-8")
    done = doctor("--json")
    assert (done.exit_code, done.stderr) == (0, "")


REQUEST = json.dumps(CALL)


@pytest.mark.parametrize("name", ["adapter.toml", "pyproject.toml"])
def test_other_commands_read_the_file_here_and_report_it(name: str, folder: Path) -> None:
    table = "[tool.adapter]\n" if name == "pyproject.toml" else ""
    (folder / name).write_text(f'{table}backend = "responses"\n', encoding="utf-8")
    (folder / "other.toml").write_text('backend = "chat"\n', encoding="utf-8")

    def explained(*arguments: str, **variables: str) -> tuple[str, str]:
        done = CliRunner().invoke(
            app, ["explain", "--json", *arguments], input=REQUEST, env=variables
        )
        return json.loads(done.stdout)["decision"]["asked"], done.stderr

    line = (
        f"settings: {name}, found in the working directory; "
        "programs read it only if ADAPTER_CONFIG names it\n"
    )
    assert explained() == ("responses", line)
    assert explained(ADAPTER_CONFIG=" ") == ("responses", line)
    assert explained(ADAPTER_CONFIG="other.toml") == ("chat", "")
    assert explained("--settings", "other.toml", ADAPTER_CONFIG=name) == ("chat", "")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "JSON"])
def test_no_secret_is_shown(folder: Path, form: list[str]) -> None:
    (folder / "call.json").write_text(json.dumps({**CALL, "seed": 1}), encoding="utf-8")
    done = doctor(
        *form,
        "--sample",
        "call.json",
        OPENAI_API_KEY="sk-secret",
        ADAPTER_MEMORY_KEY=KEY,
        ADAPTER_MEMORY="redis://ada:hunter2@127.0.0.1:1/0?password=hunter2",
        ADAPTER_BACKEND="responses",
    )
    assert done.exit_code == 1  # nothing is at port 1
    assert "1 set, not shown" in done.stdout
    assert [secret for secret in (*SECRETS, KEY) if secret in done.stdout + done.stderr] == []


MISTAKES = {
    "no file": (["--sample", "absent.json"], "--sample absent.json: No such file"),
    "no JSON": (["--sample", "no.json"], "--sample no.json: not JSON"),
    "no number": (["--sample", "nan.json"], "--sample nan.json: not JSON"),
    "too deep": (["--sample", "deep.json"], "--sample deep.json: not JSON"),
    "no call": (["--sample", "list.json"], "expected the body of a Chat Completions call"),
    "no module": (["--flags", "absent_module:x"], "--flags absent_module:x: ModuleNotFoundError"),
    "no object": (["--flags", "json"], "expected module:object"),
    "no client": (["--flags", "json:JSONDecoder"], "expected a client of OpenFeature"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_wrong_use(case: str, folder: Path) -> None:
    args, said = MISTAKES[case]
    (folder / "no.json").write_text("{", encoding="utf-8")
    (folder / "list.json").write_text("[1]", encoding="utf-8")
    (folder / "nan.json").write_text('{"messages": [], "temperature": NaN}', encoding="utf-8")
    (folder / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    done = doctor(*args)
    assert said in str(done.exception)
    assert type(done.exception).__name__ == "UsageError"


def test_as_a_program(folder: Path) -> None:
    assert command("doctor", "--sample", "absent.json") == Done(
        2, "", "adapter: --sample absent.json: No such file or directory\n"
    )
