"""Providers of feature flags for tests, which record their queries."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapter import Settings
from adapter._exchange.effects import FlagQuery
from adapter._routing import flags, reload
from adapter._util.log_once import Once
from adapter._util.worker_threads import WorkerThreads

pytest.importorskip("openfeature")

from openfeature import api  # an extra, see above
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata, ProviderStatus
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

QUESTION = FlagQuery("adapter", {"stream": False})
LONG = 30.0  # seconds; no test waits that long
SHORT = 0.02


@pytest.fixture
def fresh_flags(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Yield a test its own threads, unlogged warnings and no providers."""
    monkeypatch.setattr(flags, "_THREADS", WorkerThreads(32, "adapter-flag"))
    once = Once()
    for module in (flags, reload):
        monkeypatch.setattr(module, "ONCE", once)
    yield
    api.shutdown()
    api.clear_providers()


class Provider(AbstractProvider):
    """A provider that gets its answer from a function."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[Any] = []
        self.threads: list[str] = []

    def get_metadata(self) -> Metadata:
        return Metadata("test")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: Any = None
    ) -> Any:
        assert flag_key == "openai-backend"
        self.asked.append(evaluation_context)
        self.threads.append(threading.current_thread().name)
        return FlagResolutionDetails(self.answer(evaluation_context), reason=Reason.STATIC)

    resolve_boolean_details = resolve_integer_details = resolve_float_details = (
        resolve_object_details
    ) = None  # type: ignore[assignment]


class AsyncProvider(Provider):
    """A provider with an async method of its own."""

    async def resolve_string_details_async(
        self, flag_key: str, default_value: str, evaluation_context: Any = None
    ) -> Any:
        answer = self.answer(evaluation_context)
        self.asked.append(evaluation_context)
        self.threads.append(threading.current_thread().name)
        return FlagResolutionDetails(
            await answer if asyncio.iscoroutine(answer) else answer, reason=Reason.STATIC
        )


def client_of(provider: Any) -> Any:
    """Make a client for a provider."""
    domain = f"test-{id(provider)}"
    api.set_provider(provider, domain)
    deadline = time.monotonic() + 10
    client = api.get_client(domain)
    while (
        client.get_provider_status().name != "READY"
    ):  # newer versions start providers in a thread
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return client


def client_giving(value: Any) -> Any:
    """Make a client whose provider returns a value."""
    return client_of(Provider(lambda _: value))


def in_memory(value: Any, key: str = "openai-backend") -> Any:
    """Make a client of OpenFeature's own provider."""
    return client_of(InMemoryProvider({key: InMemoryFlag("on", {"on": value})}))


def unready(status: str) -> Any:
    """Make a client whose provider is in a state in which it isn't queried."""
    made = in_memory("responses")
    made.get_provider_status = lambda: ProviderStatus[status]
    return made


def settings(client: Any, **more: Any) -> Settings:
    """Make settings that query this client."""
    return Settings(flags=client, **{"flag_timeout": LONG, "on_bug": "raise", **more})
