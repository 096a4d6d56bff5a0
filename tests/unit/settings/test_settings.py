"""Settings, `use()` and the header: the sources of a choice, and their precedence."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import pickle
import subprocess
import sys
import threading
from typing import Any

import openai
import pytest

import adapter
from tests.support.answers import (  # fmt: skip
    CALL,
    CHAT,
    KEY,
    RESPONSES,
    Sdk,
    Settings,
    both,
    paths,
    sdk,
)
from tests.support.http import default_client, helpers_of
from tests.support.loopback import Loopback

__all__ = ["sdk"]

HEADER = "x-adapter-backend"


# Where values come from


def test_defaults() -> None:
    made = Settings()
    assert (made.backend, made.unsupported, made.drop, made.emulate, made.on_bug) == (
        "chat",
        "chat",
        (),
        (),
        "chat",
    )


ENVIRONMENT = {
    "ADAPTER_BACKEND": ("responses", "backend", "responses"),
    "ADAPTER_UNSUPPORTED": ("drop", "unsupported", "drop"),
    "ADAPTER_DROP": ("seed, logit_bias,", "drop", ("seed", "logit_bias")),
    "ADAPTER_EMULATE": ("web_search_options", "emulate", ("web_search_options",)),
    "ADAPTER_ON_BUG": ("raise", "on_bug", "raise"),
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written, field, expected = ENVIRONMENT[name]
    monkeypatch.setenv(name, written)
    assert getattr(Settings(), field) == expected
    monkeypatch.delenv(name)
    assert getattr(Settings(), field) != expected


def test_arguments_win_and_fix_only_what_they_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_BACKEND", "responses")
    monkeypatch.setenv("ADAPTER_UNSUPPORTED", "error")
    made = Settings(backend="chat", drop="seed,stop")
    assert (made.backend, made.unsupported, made.drop) == ("chat", "error", ("seed", "stop"))


@pytest.mark.parametrize("given", [["seed"], {"seed"}, frozenset({"seed"}), ("seed",), "seed"])
def test_lists_in_any_form(given: Any) -> None:
    assert Settings(drop=given).drop == ("seed",)


def test_settings_are_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        Settings().backend = "responses"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "value": ({"backend": "both"}, r"^backend: .*'chat'.*'responses'"),
    "kind": ({"backend": 5}, r"^backend: "),
    "case": ({"backend": "Responses"}, r"^backend: "),
    "policy": ({"unsupported": "ignore"}, r"^unsupported: "),
    "on_bug": ({"on_bug": "log"}, r"^on_bug: "),
    "near name": ({"bakend": "chat"}, r"^bakend: .*did you mean backend\?"),
    "far name": ({"colour": "red"}, r"^colour: "),
    "parameter": ({"drop": "sead"}, r"^drop: 'sead' .*'seed'"),
    "unknown parameter": ({"drop": ["whatsit_at_all"]}, r"^drop: "),
    "emulate": ({"emulate": ["seed"]}, r"^emulate"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_name_the_setting(case: str) -> None:
    given, pattern = WRONG[case]
    with pytest.raises(adapter.ConfigurationError, match=pattern):
        Settings(**given)


def test_two_wrong_settings_are_both_named() -> None:
    with pytest.raises(adapter.ConfigurationError, match=r"^backend: .*; on_bug: "):
        Settings(backend="x", on_bug="y")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_wrong_environment_names_the_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "nonsense")
    with pytest.raises(adapter.ConfigurationError, match=f"^{ENVIRONMENT[name][1]}"):
        Settings()
    with pytest.raises(adapter.ConfigurationError):
        adapter.OpenAI(api_key=KEY)


@pytest.mark.slow
def test_a_wrong_environment_does_not_break_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "PATH": "/usr/bin",
        "ADAPTER_BACKEND": "nonsense",
        "PYTHONPATH": ":".join(sys.path),
    }
    subprocess.run(
        [sys.executable, "-c", "import adapter; adapter.OpenAI"], check=True, env=environment
    )


# The hash


def test_different_settings_have_different_hashes() -> None:
    different = [
        Settings(), Settings(backend="responses"), Settings(unsupported="error"),
            Settings(drop=("seed",)), Settings(on_bug="raise"),
        Settings(emulate=("web_search_options",)),
    ]  # fmt: skip
    assert len({made.hash for made in different}) == len(different)
    assert Settings(drop="seed").hash == Settings(drop=["seed"]).hash
    assert all(len(made.hash) == 12 and int(made.hash, 16) >= 0 for made in different)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_the_hash_is_the_same_in_every_process(seed: str) -> None:
    code = (
        "import adapter; "
        "print(adapter.Settings(backend='responses', drop={'seed', 'stop', 'n'}).hash)"
    )
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True
    )
    assert run.stdout.strip() == Settings(backend="responses", drop=("n", "seed", "stop")).hash


# Copies


def _through_pickle(settings: Settings) -> Settings:
    made = pickle.loads(pickle.dumps(settings))
    assert isinstance(made, Settings)
    return made


@pytest.mark.parametrize(
    "way",
    [copy.copy, copy.deepcopy, _through_pickle, Settings.model_copy],
    ids=lambda way: way.__name__,
)
def test_settings_in_use_can_be_copied(way: Any, loopback: Loopback) -> None:
    loopback.answer = both
    settings = Settings(backend="responses", drop="seed")
    with adapter.OpenAI(base_url=loopback.base_url, api_key=KEY, settings=settings):
        made = way(settings)
    assert made.model_dump() == settings.model_dump()
    assert made.hash == settings.hash
    with adapter.OpenAI(base_url=loopback.base_url, api_key=KEY, settings=made) as client:
        assert (
            backend_of(loopback, lambda: client.chat.completions.create(**CALL, seed=1))
            == "responses"
        )


def test_a_copy_with_other_settings_is_not_the_original(loopback: Loopback) -> None:
    loopback.answer = both
    settings = Settings(backend="responses")
    with adapter.OpenAI(base_url=loopback.base_url, api_key=KEY, settings=settings) as client:
        client.chat.completions.create(**CALL)
        other = settings.model_copy(update={"backend": "chat"})
        assert other.hash == Settings(backend="chat").hash != settings.hash
        with client.with_options(settings=other) as another:  # type: ignore[call-arg]
            assert backend_of(loopback, lambda: another.chat.completions.create(**CALL)) == "chat"


# Precedence


@pytest.mark.parametrize("header", [None, "chat", "responses"])
@pytest.mark.parametrize("inside", [None, "chat", "responses"])
@pytest.mark.parametrize("settings", ["chat", "responses"])
def test_header_over_use_over_settings(
    sdk: Sdk, loopback: Loopback, settings: Any, inside: Any, header: Any
) -> None:
    loopback.answer = both
    client = sdk.client(loopback, settings)
    more = {} if header is None else {"extra_headers": {HEADER: header}}
    with adapter.use(backend=inside):
        result = sdk.create(client, **more)
    expected = header or inside or settings
    assert paths(loopback) == [RESPONSES if expected == "responses" else CHAT]
    made = adapter.decision(result)
    assert made is not None
    assert (made.asked, made.reason) == (
        expected,
        "header" if header else "use" if inside else "settings",
    )


def backend_of(server: Loopback, make: Any) -> str:
    before = len(server.requests)
    make()
    return "responses" if server.requests[before].path == RESPONSES else "chat"


def test_use_nests(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback, "chat")

    def now(**more: Any) -> str:
        return backend_of(loopback, lambda: sdk.create(client, **more))

    with adapter.use(backend="responses"):
        assert now() == "responses"
        with adapter.use(backend="chat"):
            assert now() == "chat"
            with adapter.use(drop="seed"):
                assert now(seed=1) == "chat"
        with adapter.use(drop="seed"):
            assert now(seed=1) == "responses"
            with adapter.use(drop=["stop"], unsupported="error"):
                assert now(seed=1, stop="x") == "responses"
                with pytest.raises(openai.BadRequestError):
                    sdk.create(client, seed=1, logit_bias={"1": 1})
        assert now(seed=1) == "chat"
    assert now() == "chat"


def test_use_ends_with_an_exception(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback, "chat")
    with pytest.raises(KeyError), adapter.use(backend="responses"):
        raise KeyError
    assert backend_of(loopback, lambda: sdk.create(client)) == "chat"


@pytest.mark.parametrize("given", [{"backend": "both"}, {"unsupported": "ignore"}])
def test_use_takes_known_values_only(given: Any) -> None:
    (name,) = given
    with pytest.raises(adapter.ConfigurationError, match=f"^{name}: "), adapter.use(**given):
        pytest.fail("the block was entered")


def _client(server: Loopback, kind: Any) -> Any:
    http_client = default_client(asynchronous=kind is adapter.AsyncOpenAI)
    return kind(base_url=server.base_url, api_key=KEY, settings=Settings(), http_client=http_client)


def test_threads_need_a_copied_context(loopback: Loopback) -> None:
    loopback.answer = both
    with _client(loopback, adapter.OpenAI) as client:

        def make() -> None:
            client.chat.completions.create(**CALL)

        with adapter.use(backend="responses"):
            copied = contextvars.copy_context()
            for target in (make, lambda: copied.run(make)):
                thread = threading.Thread(target=target)
                thread.start()
                thread.join(10)
    assert paths(loopback) == [CHAT, RESPONSES]


async def test_tasks_keep_the_overrides_of_their_start(loopback: Loopback) -> None:
    loopback.answer = both
    async with _client(loopback, adapter.AsyncOpenAI) as client:
        go_on = asyncio.Event()

        async def make() -> str:
            await go_on.wait()
            made = adapter.decision(await client.chat.completions.create(**CALL))
            assert made is not None
            return made.backend

        async def make_otherwise() -> str:
            with adapter.use(backend="chat"):
                return await make()

        with adapter.use(backend="responses"):
            tasks = [
                asyncio.create_task(make()),
                asyncio.create_task(make_otherwise()),
                asyncio.create_task(make()),
            ]
        tasks.append(asyncio.create_task(make()))
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.gather(*tasks) == ["responses", "chat", "responses", "chat"]


def test_the_stream_helper_starts_when_it_is_entered(loopback: Loopback) -> None:
    loopback.answer = both
    with _client(loopback, adapter.OpenAI) as client:
        made_outside = helpers_of(client).stream(**CALL)
        with adapter.use(backend="responses"):
            made_inside = helpers_of(client).stream(**CALL)
            with made_outside as stream:
                stream.until_done()
        with made_inside as stream:
            stream.until_done()
    assert paths(loopback) == [RESPONSES, CHAT]


async def test_the_async_stream_helper_starts_when_it_is_entered(loopback: Loopback) -> None:
    loopback.answer = both
    async with _client(loopback, adapter.AsyncOpenAI) as client:
        made_outside = helpers_of(client).stream(**CALL)
        with adapter.use(backend="responses"):
            async with made_outside as stream:
                await stream.until_done()
        async with helpers_of(client).stream(**CALL) as stream:
            await stream.until_done()
    assert paths(loopback) == [RESPONSES, CHAT]


def test_a_stream_continues_outside_of_its_block(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    with adapter.use(backend="responses"):
        stream = sdk.create(sdk.client(loopback, "chat"), stream=True)
    chunks = sdk.list(stream)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert paths(loopback) == [RESPONSES]
