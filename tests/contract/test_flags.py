"""The feature flag: its values, its context, and failures (docs/decisions.md#flag-provider)."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter._routing import rollout
from tests.support.answers import CALL, CHAT, KEY, RESPONSES, Sdk, both, paths, sdk
from tests.support.flagging import (
    Provider,
    client_giving,
    client_of,
    fresh_flags,
    in_memory,
    settings,
    unready,
)
from tests.support.http import default_client
from tests.support.loopback import Loopback, Reply

__all__ = ["fresh_flags", "sdk"]

pytestmark = pytest.mark.usefixtures("fresh_flags")


# The values of a flag


@pytest.mark.parametrize("given", ["chat", "responses"])
@pytest.mark.parametrize("value", ["chat", "responses"])
def test_the_flag_chooses(sdk: Sdk, value: str, given: Any, loopback: Loopback) -> None:
    loopback.answer = both
    result = sdk.create(sdk.client(loopback, settings(in_memory(value), backend=given)))
    made = adapter.decision(result)
    assert made is not None
    assert (made.backend, made.asked, made.reason) == (value, value, "flag")
    assert paths(loopback) == [RESPONSES if value == "responses" else CHAT]


@pytest.mark.parametrize("value", ["force-chat", "force-native"])
def test_a_forcing_flag_beats_everything(sdk: Sdk, value: str, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(
        loopback, settings(in_memory(value), backend="responses", force="responses")
    )
    with adapter.use(backend="responses"):
        result = sdk.create(client, extra_headers={"x-adapter-backend": "responses"})
    made = adapter.decision(result)
    assert made is not None
    assert (made.backend, made.reason) == ("chat", "force")
    assert paths(loopback) == [CHAT]


@pytest.mark.parametrize("force", ["chat", "native"])
def test_a_forced_chat_asks_no_provider(sdk: Sdk, force: Any, loopback: Loopback) -> None:
    loopback.answer = both
    provider = Provider(lambda _: pytest.fail("asked"))
    sdk.create(sdk.client(loopback, settings(client_of(provider), force=force)))
    assert provider.asked == []


def _raise(error: BaseException) -> Any:
    raise error


NOTHING: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown flag": (lambda: in_memory("responses", "another-flag"), "FLAG_NOT_FOUND"),
    "empty": (lambda: client_giving(""), ""),
    "unknown value": (lambda: client_giving("SECRET"), "an unknown value"),
    "another case": (lambda: client_giving("Responses"), "an unknown value"),
    "a switch": (lambda: client_giving(True), "TYPE_MISMATCH"),
    "a switch of OpenFeature's own provider": (lambda: in_memory(True), "TYPE_MISMATCH"),
    "a number": (lambda: in_memory(5), "TYPE_MISMATCH"),
    "an object": (lambda: client_giving({"backend": "responses"}), "TYPE_MISMATCH"),
    "nothing at all": (lambda: client_giving(None), "TYPE_MISMATCH"),
    "raises": (lambda: client_of(Provider(lambda _: _raise(ConnectionError("SECRET")))), "GENERAL"),
    "raises what ends programs": (
        lambda: client_of(Provider(lambda _: _raise(SystemExit("SECRET")))), ""),
    "not ready": (lambda: unready("NOT_READY"), "PROVIDER_NOT_READY"),
    "broken for good": (lambda: unready("FATAL"), "PROVIDER_FATAL"),
    "a client that raises": (lambda: Bare(lambda: _raise(RuntimeError("SECRET"))), "RuntimeError"),
    "a client that ends programs": (lambda: Bare(lambda: _raise(SystemExit("SECRET"))),
        "RuntimeError"),
    "a client that gives nothing": (lambda: Bare(lambda: None), "an unknown value"),
    "a client that gives a list": (lambda: Bare(_details(value=["responses"])), "an unknown value"),
    "a client that times out": (lambda: Bare(lambda: _raise(TimeoutError("SECRET"))),
        "TimeoutError"),
    "an error without a code": (lambda: Bare(_details(value="", reason="ERROR")), "(ERROR)"),
    "an error beside a value": (lambda: Bare(_details(value="responses", error_code="GENERAL")),
        "(GENERAL)"),
    "a code of the provider's own": (lambda: Bare(_details(value="", error_code="SECRET: 5")),
        "(ERROR)"),
}  # fmt: skip


def _details(**given: Any) -> Callable[[], Any]:
    return lambda: SimpleNamespace(**given)


class Bare:
    """An object with a client's method, which is all that Settings checks."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def get_string_details(self, *_: Any) -> Any:
        return self.answer()


@pytest.mark.parametrize("case", NOTHING)
def test_no_opinion(
    sdk: Sdk, case: str, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.answer = both
    make, complaint = NOTHING[case]
    flag_client = make()
    with caplog.at_level(logging.WARNING, "adapter"):
        for backend in ("responses", "chat", "responses"):
            result = sdk.create(sdk.client(loopback, settings(flag_client, backend=backend)))
            made = adapter.decision(result)
            assert made is not None
            assert (made.backend, made.reason) == (backend, "settings")
    logged = [record.getMessage() for record in caplog.records if record.name == "adapter"]
    assert len(logged) == (case != "empty")
    assert "SECRET" not in "".join(logged)
    assert complaint in "".join(logged)
    assert all(
        record.levelname == "WARNING" for record in caplog.records if record.name == "adapter"
    )


def test_each_kind_is_logged_once_and_again_when_the_settings_change(
    tmp_path: Path, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.answer = both
    values: list[Any] = ["SECRET", "other", 5, True, ConnectionError("SECRET")]

    def answer(_: Any) -> Any:
        value = values[len(provider.asked) % len(values) - 1]
        return _raise(value) if isinstance(value, Exception) else value

    provider = Provider(answer)
    file = tmp_path / "adapter.toml"
    file.write_text('service = "one"\n')
    made = settings(client_of(provider), config_file=file)
    with adapter.OpenAI(
        base_url=loopback.base_url, api_key=KEY, settings=made, http_client=default_client()
    ) as client:
        for service in ("one", "two", "one"):
            file.write_text(f'service = "{service}"\n')
            with caplog.at_level(logging.WARNING, "adapter"):
                for _ in range(10):
                    client.chat.completions.create(**CALL)
            logged = [record.getMessage() for record in caplog.records if record.name == "adapter"]
            assert len(logged) == 3, logged  # a value, a type, a failure
            assert "SECRET" not in "".join(logged)
            caplog.clear()


# The evaluation context

KEYED = rollout.ServiceHash("adapter")
CONTEXTS: dict[str, tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = {
    "no caller": ({}, {}, "adapter", {}),
    "user": ({"user": "ann"}, {}, KEYED.digest("ann"), {}),
    "safety_identifier": ({"safety_identifier": "s"}, {}, KEYED.digest("s"), {}),
    "both": ({"user": "ann", "safety_identifier": "s"}, {}, KEYED.digest("ann"), {}),
    "conversation": ({"user": "ann"}, {"conversation": "c1"}, KEYED.digest("c1"), {}),
    "cache key": ({"prompt_cache_key": "k"}, {}, "adapter", {}),
    "tag": ({}, {"tag": "batch"}, "adapter", {"tag": "batch"}),
    "stream": ({"stream": True}, {}, "adapter", {"stream": True}),
    "model": ({"model": "gpt-4.1"}, {}, "adapter", {"model": "gpt-4.1"}),
    "all": (
        {"temperature": 1, "tools": [{"type": "function",
            "function": {"name": "f", "parameters": {}}}], "metadata": {"a": "b"}},
        {}, "adapter", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTEXTS)
def test_the_evaluation_context_of_a_flag(sdk: Sdk, case: str, loopback: Loopback) -> None:
    loopback.answer = both
    more, inside, target, attributes = CONTEXTS[case]
    provider = Provider(lambda _: "chat")
    with adapter.use(**inside):
        result = sdk.create(sdk.client(loopback, settings(client_of(provider))), **more)
    if more.get("stream"):
        sdk.list(result)
    (context,) = provider.asked
    assert context.targeting_key == target
    assert dict(context.attributes) == {"model": "gpt-4o", "stream": False} | attributes
    assert "Say hello" not in repr(context)


def test_the_hash_is_the_services() -> None:
    assert rollout.ServiceHash("billing").digest("ann") != KEYED.digest("ann")
    assert "ann" not in KEYED.digest("ann")


def test_providers_see_the_callers_context(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    seen: list[Any] = []
    flag_client = client_of(
        Provider(
            lambda _: seen.append(adapter._routing.overrides.current_overrides().tag) or "chat"
        )
    )
    with adapter.use(tag="mine"):
        sdk.create(sdk.client(loopback, settings(flag_client)))
    assert seen == ["mine"]


# Not installed, not used


def test_without_openfeature(monkeypatch: pytest.MonkeyPatch) -> None:
    made = client_giving("chat")
    monkeypatch.setattr("adapter._settings.settings.find_spec", lambda name: None)
    with pytest.raises(adapter.MissingExtra, match="extra `openfeature`"):
        Settings(flags=made)
    with pytest.raises(ImportError):
        Settings(flags=made)
    assert Settings().flags is None


def test_an_object_that_is_not_a_client() -> None:
    with pytest.raises(
        adapter.ConfigurationError, match=r"^flags: expected a client of OpenFeature"
    ):
        Settings(flags="openai-backend")


@pytest.mark.slow
def test_openfeature_is_not_imported_until_a_flag_is_used(loopback: Loopback) -> None:
    loopback.answer = both
    code = (
        "import sys, adapter\n"
        "settings = adapter.Settings(backend='responses')\n"
        f"with adapter.OpenAI(base_url={loopback.base_url!r}, api_key='k', settings=settings)"
        " as client:\n"
        f"    client.chat.completions.create(**{CALL!r})\n"
        "assert not [name for name in sys.modules if name.startswith('openfeature')]\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert paths(loopback) == [RESPONSES]


def test_a_client_asks_once_a_call_also_when_it_retries(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
    loopback.answer = lambda request: (
        both(request) if len(loopback.requests) > 2 else Reply.of_json({}, 500)
    )
    provider = Provider(lambda _: "responses")
    http_client = default_client()
    with adapter.OpenAI(
        base_url=loopback.base_url,
        api_key=KEY,
        settings=settings(client_of(provider)),
        http_client=http_client,
    ) as client:
        client.chat.completions.create(**CALL)
    assert len(provider.asked) == 1
    assert paths(loopback) == [RESPONSES] * 3
