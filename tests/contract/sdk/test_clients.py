"""The clients: `install` and `uninstall`, copies, subclasses, sharing."""

from __future__ import annotations

import threading
from typing import Any

import openai
import pytest

import adapter
from tests.support.answers import (
    CALL,
    CHAT,
    KEY,
    RESPONSES,
    Sdk,
    Settings,
    both,
    error,
    paths,
    sdk,
    text_of,
)
from tests.support.http import http
from tests.support.loopback import Loopback

__all__ = ["sdk"]

ON = Settings(backend="responses")


@pytest.fixture(autouse=True)
def answering(loopback: Loopback) -> None:
    loopback.answer = both


def layers(http_client: Any) -> int:
    """Count the adapter's transports around the transport of an HTTP client."""
    transport, count = http_client._transport, 0
    while isinstance(transport, (adapter.Transport, adapter.AsyncTransport)):
        transport, count = transport._inner, count + 1
    return count


# Constructors


def test_the_clients_are_the_sdks_own(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, ON)
    assert isinstance(client, sdk.plain)
    assert type(client).__name__ == sdk.plain.__name__
    assert text_of(sdk.create(client)) == "Hello there"
    assert paths(loopback) == [RESPONSES]


def test_settings_come_from_the_environment(
    sdk: Sdk, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTER_BACKEND", "responses")
    assert text_of(sdk.create(sdk.client(loopback, None))) == "Hello there"


def test_the_module_level_client(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    http_client = http.Client(transport=adapter.Transport(settings=ON))
    for name, value in {
        "api_key": KEY,
        "base_url": f"{loopback.base_url}/",
        "http_client": http_client,
        "_client": None,
    }.items():
        monkeypatch.setattr(openai, name, value)
    with http_client:
        assert text_of(openai.chat.completions.create(**CALL)) == "Hello there"
    monkeypatch.setattr(openai, "_client", None)
    assert paths(loopback) == [RESPONSES]


def test_beta_is_the_same_endpoint(sdk: Sdk, loopback: Loopback) -> None:
    sdk.run(sdk.client(loopback, ON).beta.chat.completions.parse(**CALL))
    assert paths(loopback) == [RESPONSES]


# install and uninstall


def test_install_returns_the_client_itself(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, plain=True)
    http_client = client._client
    assert adapter.install(client, ON) is client
    assert client._client is http_client
    assert isinstance(client, sdk.adapted)
    assert text_of(sdk.create(client)) == "Hello there"


def test_install_is_idempotent(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, plain=True)
    for _ in range(3):
        adapter.install(client, ON)
    adapter.install(client)
    sdk.create(client)
    assert layers(client._client) == 1
    assert paths(loopback) == [RESPONSES]
    adapter.install(client, Settings())
    sdk.create(client)
    assert paths(loopback) == [RESPONSES, CHAT]


def test_install_on_a_client_that_was_used(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, plain=True)
    held = client.chat.completions
    sdk.create(client)
    adapter.install(client, ON)
    sdk.create(client)
    sdk.run(held.create(**CALL))
    assert paths(loopback) == [CHAT, RESPONSES, RESPONSES]


def test_uninstall_restores(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, plain=True)
    transport, mounts, before = (
        client._client._transport,
        dict(client._client._mounts),
        set(vars(client)),
    )
    adapter.install(client, ON)
    sdk.create(client)
    held = client.chat.completions
    assert adapter.uninstall(client) is client
    assert type(client) is sdk.plain
    assert client._client._transport is transport
    assert client._client._mounts == mounts
    assert set(vars(client)) == before
    sdk.create(client)
    sdk.run(held.create(**CALL))
    assert paths(loopback) == [RESPONSES, CHAT, CHAT]
    assert adapter.uninstall(client) is client
    assert text_of(sdk.create(adapter.install(client, ON))) == "Hello there"


def test_uninstall_of_one_leaves_the_others(sdk: Sdk, loopback: Loopback) -> None:
    one = sdk.client(loopback, ON)
    other = sdk.client(loopback, ON, http_client=one._client)
    assert layers(one._client) == 1
    adapter.uninstall(one)
    sdk.create(one)
    sdk.create(other)
    assert paths(loopback) == [CHAT, RESPONSES]
    adapter.uninstall(other)
    assert layers(one._client) == 0


def test_mounts_are_wrapped_and_restored(
    sdk: Sdk, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", loopback.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = sdk.client("http://upstream.invalid/v1", plain=True)
    before = dict(client._client._mounts)
    assert None in before.values()
    adapter.install(client, ON)
    sdk.create(client)
    assert paths(loopback) == ["http://upstream.invalid/v1/responses"]
    adapter.uninstall(client)
    assert client._client._mounts == before


@pytest.mark.parametrize("thing", [None, "client", openai.OpenAI, object()])
def test_install_takes_clients_only(thing: Any) -> None:
    with pytest.raises(adapter.AdapterError, match="expected a client of the openai SDK"):
        adapter.install(thing)


def test_subclasses_keep_what_they_define(sdk: Sdk, loopback: Loopback) -> None:
    class Mine(sdk.plain):  # type: ignore[misc,name-defined]
        def mine(self) -> str:
            return "mine"

    client = Mine(base_url=loopback.base_url, api_key=KEY)
    adapter.install(client, ON)
    assert isinstance(client, Mine)
    assert client.mine() == "mine"
    assert text_of(sdk.create(client)) == "Hello there"
    copied = client.with_options(timeout=3)
    assert copied.mine() == "mine"
    sdk.create(copied)
    adapter.uninstall(client)
    assert type(client) is Mine
    assert paths(loopback) == [RESPONSES] * 2
    adapter.uninstall(copied)
    sdk.run(client.close())


# Copies


@pytest.mark.parametrize("installed", [False, True], ids=["constructed", "installed"])
@pytest.mark.parametrize("method", ["copy", "with_options"])
def test_copies_keep_the_settings(
    sdk: Sdk, loopback: Loopback, method: str, installed: bool
) -> None:
    client = sdk.client(loopback, ON, plain=installed)
    if installed:
        adapter.install(client, ON)
    copied = getattr(client, method)(timeout=7, max_retries=1, default_headers={"x-mine": "1"})
    assert (type(copied), copied.timeout, copied.max_retries) == (type(client), 7, 1)
    assert copied._client is client._client
    assert text_of(sdk.create(copied)) == "Hello there"
    assert loopback.requests[0].header("x-mine") == "1"
    assert layers(client._client) == 1


def test_a_copy_with_other_settings(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, ON)
    sdk.create(client.with_options(settings=Settings()))
    sdk.create(client)
    assert paths(loopback) == [CHAT, RESPONSES]


def test_thirty_copies_wrap_once(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, ON)
    for number in range(30):
        client = client.with_options(timeout=number + 1)
    assert layers(client._client) == 1
    assert text_of(sdk.create(client)) == "Hello there"
    assert paths(loopback) == [RESPONSES]


def test_a_copy_with_another_http_client(sdk: Sdk, loopback: Loopback) -> None:
    kind = sdk.pick(http.Client, http.AsyncClient)
    other = kind()
    copied = sdk.client(loopback, ON).with_options(http_client=other)
    assert text_of(sdk.create(copied)) == "Hello there"
    assert copied._client is other
    sdk.run(copied.close())


def test_a_copy_made_before_install_stays_plain(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, plain=True)
    copied = client.with_options(timeout=3)
    adapter.install(client, ON)
    sdk.create(copied)
    sdk.create(client)
    assert paths(loopback) == [CHAT, RESPONSES]


def test_an_adapted_client_over_a_transport_translates_once(sdk: Sdk, loopback: Loopback) -> None:
    kind, transport_class = sdk.pick(
        (http.Client, adapter.Transport), (http.AsyncClient, adapter.AsyncTransport)
    )
    client = sdk.client(loopback, ON, http_client=kind(transport=transport_class(settings=ON)))
    assert text_of(sdk.create(client)) == "Hello there"
    assert text_of(sdk.stream(client)) == "Hello there"
    kept = sdk.client(
        loopback, Settings(backend="chat"), http_client=kind(transport=transport_class(settings=ON))
    )
    sdk.create(kept)
    assert paths(loopback) == [RESPONSES, RESPONSES, CHAT]


def test_many_threads_install_and_call(loopback: Loopback) -> None:
    shared = http.Client()
    wrong: list[str] = []

    def work(number: int) -> None:
        backend = "responses" if number % 2 else "chat"
        expected = "Hello there" if number % 2 else "Native hello"
        plain = openai.OpenAI(base_url=loopback.base_url, api_key=KEY, http_client=shared)
        client = adapter.install(plain, Settings(backend=backend))
        for _ in range(3):
            answer = text_of(client.chat.completions.create(**CALL))
            if answer != expected:
                wrong.append(f"{backend}: {answer}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert wrong == []
    assert len(loopback.requests) == 36
    assert layers(shared) == 1
    shared.close()


def test_off_a_hook_of_the_http_client_may_still_name_the_backend(
    sdk: Sdk, loopback: Loopback
) -> None:
    loopback.answer = both
    client = sdk.client(loopback, Settings())
    assert "Native" in text_of(sdk.run(client.chat.completions.create(**CALL)))

    def hook(request: Any) -> None:
        request.headers["x-adapter-backend"] = "responses"

    async def ahook(request: Any) -> None:
        hook(request)

    client._client.event_hooks = {"request": [sdk.pick(hook, ahook)]}
    assert "Native" not in text_of(sdk.run(client.chat.completions.create(**CALL)))
    assert paths(loopback) == [CHAT, RESPONSES]
    assert loopback.requests[1].header("x-adapter-backend") is None


def test_off_every_result_has_a_decision(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback, Settings())
    for more in ({}, {"extra_headers": {"x-other": "1"}}):
        result = sdk.run(client.chat.completions.create(**CALL, **more))
        found = adapter.decision(result)
        assert found is not None
        assert (found.backend, found.asked, found.reason, found.losses) == (
            "chat",
            "chat",
            "settings",
            (),
        )
    raw = sdk.run(client.chat.completions.with_raw_response.create(**CALL))
    assert adapter.decision(raw) == found
    loopback.answer = [error(400), error(400)]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.run(client.chat.completions.create(**CALL))
    assert adapter.decision(caught.value) == found
