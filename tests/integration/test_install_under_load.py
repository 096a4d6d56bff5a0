"""Clients are installed and uninstalled during calls: each is native or adapted, none fails."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import adapter
from adapter import Settings
from tests.support.answers import CALL, CHAT, RESPONSES, both, text_of
from tests.support.calls import Upstream, Way

ROUNDS = int(os.environ.get("INSTALL_ROUNDS", "60"))
ON = Settings(backend="responses")
SAID = {"Native hello", "Hello there"}


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Let threads switch as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def _whole(client: Any) -> str:
    return text_of(client.chat.completions.create(**CALL))


def _stream(client: Any) -> str:
    return text_of(list(client.chat.completions.create(**CALL, stream=True)))


def _derived(client: Any) -> str:
    return text_of(client.with_options(timeout=5).chat.completions.create(**CALL))


def _copied(client: Any) -> str:
    return text_of(client.copy().chat.completions.create(**CALL))


def _named(client: Any) -> str:
    return text_of(
        client.chat.completions.create(**CALL, extra_headers={"x-adapter-backend": "responses"})
    )


def _raw(client: Any) -> str:
    return text_of(client.chat.completions.with_raw_response.create(**CALL).parse())


SYNC: dict[str, Callable[[Any], str]] = {
    "whole": _whole, "stream": _stream, "with_options": _derived, "copy": _copied, "named": _named,
    "raw": _raw,
}  # fmt: skip


def _held(client: Any) -> Callable[[Any], str]:
    completions = client.chat.completions
    return lambda _: text_of(completions.create(**CALL))


@pytest.mark.usefixtures("impatient_threads")
@pytest.mark.parametrize("name", [*SYNC, "held resource"])
def test_threads_call_while_another_installs(name: str) -> None:
    upstream = Upstream(both)
    client = Way("install", asynchronous=False).client(upstream, None)
    call = _held(client) if name == "held resource" else SYNC[name]
    answers: Counter[str] = Counter()
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            while not done.is_set():
                answers[call(client)] += 1
        except BaseException as error:  # noqa: BLE001 - the test reports it
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(ROUNDS):
        adapter.install(client, ON)
        adapter.uninstall(client)
    done.set()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    assert answers.keys() <= SAID
    assert {request.path for request in upstream.requests} <= {CHAT, RESPONSES}
    assert not upstream.open
    # The client is as it was.
    assert type(client).__module__.startswith("openai")
    assert not [key for key in client.__dict__ if key.startswith("_adapter")]
    assert _whole(client) == "Native hello"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tasks_call_while_another_installs(stream: bool) -> None:
    upstream = Upstream(both)
    client = Way("install", asynchronous=True).client(upstream, None)

    async def call() -> str:
        made = await client.with_options(timeout=5).chat.completions.create(**CALL, stream=stream)
        return text_of([chunk async for chunk in made] if stream else made)

    async def run() -> list[str]:
        tasks = []
        for _ in range(ROUNDS):
            tasks += [asyncio.create_task(call()) for _ in range(2)]
            adapter.install(client, ON)
            await asyncio.sleep(0)
            tasks.append(asyncio.create_task(call()))
            await asyncio.sleep(0)
            adapter.uninstall(client)
            await asyncio.sleep(0)
        return list(await asyncio.gather(*tasks))

    assert set(asyncio.run(run())) <= SAID
    assert not upstream.open


@pytest.mark.usefixtures("impatient_threads")
def test_two_clients_of_one_http_client_come_and_go() -> None:
    """Transports stay wrapped as long as any client needs them."""
    upstream = Upstream(both)
    way = Way("install", asynchronous=False)
    first = way.client(upstream, None)
    second = first.copy()
    assert second._client is first._client
    adapter.install(second, ON)
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            adapter.uninstall(adapter.install(first, ON))

    thread = threading.Thread(target=come_and_go)
    thread.start()
    answers = {_whole(second) for _ in range(ROUNDS)}
    done.set()
    thread.join()
    assert answers == {"Hello there"}
