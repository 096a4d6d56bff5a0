"""Run LangChain's standard tests of chat models for one backend.

`test_langchain.py` runs this file, once for each backend. The scripted model can't do all that the
tests require: it calls `get_weather` and no other tool. Both backends must pass and fail the same
ones.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.utils import function_calling
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

import adapter
from adapter.testing.cassettes import use_cassette
from tests.frameworks.harness import FAMILY, requested_paths, sent_paths

ASKED: dict[str, Any] = json.loads(os.environ["LANGCHAIN_SUITE"])
SETTINGS = adapter.Settings(backend=ASKED["backend"], on_bug="raise")


@pytest.fixture(scope="session", autouse=True)
def _upstream() -> Iterator[None]:
    """Replay or record the whole run, where requested, and count the requests by path."""
    cassette, paths = ASKED["cassette"], list[str]()
    with (
        use_cassette(cassette, record=ASKED["record"], whole=False)
        if cassette
        else nullcontext() as tape,
        sent_paths(paths),
    ):
        yield
        sent = paths if tape is None else requested_paths(tape)
        Path(ASKED["paths"]).write_text(json.dumps(Counter(sent)))


@pytest.fixture(autouse=True)
def _known_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number the calls that LangChain makes up for examples.

    Its random ids would be in no cassette.
    """
    numbers = (f"example-{number}" for number in itertools.count())
    monkeypatch.setattr(function_calling, "uuid", SimpleNamespace(uuid4=lambda: next(numbers)))


class Wired:
    """Configure the model under test, with an `http_client`."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "tiny",
            "base_url": ASKED["base_url"],
            "api_key": ASKED["api_key"],
            "max_retries": 0,
            "stream_usage": True,
            "http_client": FAMILY.Client(transport=adapter.Transport(settings=SETTINGS)),
            "http_async_client": FAMILY.AsyncClient(
                transport=adapter.AsyncTransport(settings=SETTINGS)
            ),
        }

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}


class TestUnit(Wired, ChatModelUnitTests):
    """Run the standard unit tests."""


class TestIntegration(Wired, ChatModelIntegrationTests):
    """Run the standard integration tests."""
