"""A conversation with a flip of its flag at every turn ends as it does without flips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

import adapter
from adapter.testing.cassettes import use_cassette
from tests.support import flips
from tests.support.flips import ARMS, Flag, Side
from tests.support.http import http as HTTP  # noqa: N812 - a module, chosen at run time
from tests.support.real_server import KEY, ONE_REQUEST_A_CONNECTION, server

__all__ = ["server"]
FLIPPING = ("chat_first", "responses_first")
STRICT: dict[str, Any] = {"unsupported": "error", "on_internal_error": "raise", "fallback": ()}

Switch = Callable[[Path, list[adapter.Record]], tuple[adapter.Settings, Flag]]


def by_use(_: Path, seen: list[adapter.Record]) -> tuple[adapter.Settings, Flag]:
    return adapter.Settings(observers=[seen.append], **STRICT), lambda side: adapter.use(
        backend=side
    )


def by_file(folder: Path, seen: list[adapter.Record]) -> tuple[adapter.Settings, Flag]:
    path = folder / "adapter.toml"
    path.write_text('backend = "chat"\n')

    @contextmanager
    def flag(side: Side) -> Iterator[None]:
        path.write_text(f'backend = "{side}"\n')
        yield

    return adapter.Settings(config_file=path, observers=[seen.append], **STRICT), flag


def by_provider(_: Path, seen: list[adapter.Record]) -> tuple[adapter.Settings, Flag]:
    pytest.importorskip("openfeature")
    from openfeature import api
    from openfeature.flag_evaluation import FlagResolutionDetails
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    says: list[str] = ["chat"]
    found = InMemoryFlag(
        "any", {"any": "chat"}, context_evaluator=lambda *_: FlagResolutionDetails(says[0])
    )
    api.set_provider(InMemoryProvider({"openai-backend": found}), "flips")

    @contextmanager
    def flag(side: Side) -> Iterator[None]:
        says[0] = side
        yield

    return adapter.Settings(
        flags=api.get_client("flips"), flag_timeout=5, observers=[seen.append], **STRICT
    ), flag


SWITCHES: dict[str, Switch] = {"use": by_use, "file": by_file, "flag": by_provider}
each_arm = pytest.mark.parametrize("arm", FLIPPING)
each_switch = pytest.mark.parametrize("switch", SWITCHES)


def _sides(arm: str) -> list[str]:
    return [ARMS[arm][turn % 2] for turn in range(flips.TURNS)]


def _replayed(arm: str, settings: adapter.Settings, flag: Flag) -> str:
    with use_cassette(flips.cassette(arm)):
        http_client = HTTP.Client(verify=False)
        with adapter.OpenAI(
            base_url="http://replayed.invalid/v1",
            api_key=KEY,
            max_retries=0,
            settings=settings,
            http_client=http_client,
        ) as client:
            return flips.state(flips.hold(client, arm, flag))


@pytest.fixture(scope="module")
def unflipped() -> str:
    """Return the final state without flips: of the plain SDK, on its own API."""
    with use_cassette(flips.cassette("chat")):
        http_client = HTTP.Client(verify=False)
        with openai.OpenAI(
            base_url="http://replayed.invalid/v1",
            api_key=KEY,
            max_retries=0,
            http_client=http_client,
        ) as client:
            return flips.state(flips.hold(client, "chat", lambda _: adapter.use()))


def test_the_conversation_is_one(unflipped: str) -> None:
    assert unflipped.count('"role": "assistant"') == flips.TURNS
    assert unflipped.count('"role": "tool"') == 7
    assert "arrives on Friday" in unflipped


@each_switch
@pytest.mark.parametrize("arm", ["responses", *FLIPPING])
def test_on_cassettes(arm: str, switch: str, tmp_path: Path, unflipped: str) -> None:
    seen: list[adapter.Record] = []
    assert _replayed(arm, *SWITCHES[switch](tmp_path, seen)) == unflipped
    assert [(one.backend, one.status) for one in seen] == [(side, 200) for side in _sides(arm)]


@each_switch
@pytest.mark.parametrize("arm", ["responses", *FLIPPING])
async def test_on_cassettes_async(arm: str, switch: str, tmp_path: Path, unflipped: str) -> None:
    seen: list[adapter.Record] = []
    settings, flag = SWITCHES[switch](tmp_path, seen)
    with use_cassette(flips.cassette(arm)):
        async with adapter.AsyncOpenAI(
            base_url="http://replayed.invalid/v1", api_key=KEY, max_retries=0, settings=settings,
            http_client=HTTP.AsyncClient(verify=False),
        ) as client:  # fmt: skip
            history = await flips.hold_async(client, arm, flag)
    assert [(one.backend, one.status) for one in seen] == [(side, 200) for side in _sides(arm)]
    assert flips.state(history) == unflipped


def _live(base_url: str, settings: adapter.Settings) -> AbstractContextManager[adapter.OpenAI]:
    return adapter.OpenAI(
        base_url=base_url,
        api_key=KEY,
        max_retries=0,
        settings=settings,
        default_headers=ONE_REQUEST_A_CONNECTION,
    )


@pytest.mark.server
@each_switch
@each_arm
def test_on_a_real_server(
    arm: str, switch: str, tmp_path: Path, server: str, unflipped: str
) -> None:
    seen: list[adapter.Record] = []
    settings, flag = SWITCHES[switch](tmp_path, seen)
    with _live(server, settings) as client:
        assert flips.state(flips.hold(client, arm, flag)) == unflipped
    assert [(one.backend, one.status) for one in seen] == [(side, 200) for side in _sides(arm)]


@pytest.mark.server
@each_arm
async def test_on_a_real_server_async(
    arm: str, tmp_path: Path, server: str, unflipped: str
) -> None:
    seen: list[adapter.Record] = []
    settings, flag = by_file(tmp_path, seen)
    async with adapter.AsyncOpenAI(
        base_url=server,
        api_key=KEY,
        max_retries=0,
        settings=settings,
        default_headers=ONE_REQUEST_A_CONNECTION,
    ) as client:
        assert flips.state(await flips.hold_async(client, arm, flag)) == unflipped
    assert [(one.backend, one.status) for one in seen] == [(side, 200) for side in _sides(arm)]
