"""Our own bugs are ours: an exception planted in every function of the core, one at a time (DESIGN §2, promise 9).

The functions are found at run time, so that a new module can't be forgotten. A plant replaces a function's code, not the function:
every table and every `from … import` that holds it fails as well. What a call doesn't run isn't planted: a first, traced run tells.
"""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import pkgutil
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import openai
import pytest

import adapter
import adapter.sse
from adapter import translation
from tests.support.answers import (
    CHAT,
    RESPONSES,
    Sdk,
    Settings,
    completion,
    sdk,
    text_of,
)  # fmt: skip
from tests.support.loopback import Loopback, Request
from tests.support.quiet import quiet
from tests.support.rich import ALL, CALLS, FAILING, STORED, answer, call

__all__ = ["sdk"]


class PlantedError(Exception):
    """Stands for any bug."""


@dataclass
class Alarm:
    """Notes when a planted function was called: how many requests had been sent by then."""

    server: Loopback | None = None
    sent: int | None = None


ALARM = Alarm()


def go_off() -> None:
    """Be called by a planted function."""
    if ALARM.sent is None and ALARM.server is not None:
        ALARM.sent = len(ALARM.server.requests)
    raise PlantedError


def _planted(*args: Any, **kwargs: Any) -> Any:
    from tests.test_own_bugs import go_off as ring

    ring()


def _planted_generator(*args: Any, **kwargs: Any) -> Any:
    from tests.test_own_bugs import go_off as ring

    ring()
    yield


async def _planted_coroutine(*args: Any, **kwargs: Any) -> Any:
    from tests.test_own_bugs import go_off as ring

    ring()


def _modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(translation.__path__, f"{translation.__name__}.")
    return [importlib.import_module(entry.name) for entry in found] + [adapter.sse]


def _unwrapped(value: Any) -> FunctionType | None:
    match value:
        case staticmethod() | classmethod():
            value = value.__func__
        case property():
            value = value.fget
        case functools.cached_property():
            value = value.func
    value = inspect.unwrap(value) if callable(value) else value
    return value if isinstance(value, FunctionType) else None


def functions(module: ModuleType) -> dict[str, FunctionType]:
    """Find the functions and methods that a module defines; generated ones (of dataclasses) are not its own."""
    found: dict[str, FunctionType] = {}

    def add(name: str, value: Any) -> None:
        function = _unwrapped(value)
        if function is not None and function.__code__.co_filename == module.__file__:
            found[name] = function

    for name, value in vars(module).items():
        add(name, value)
        if isinstance(value, type) and value.__module__ == module.__name__:
            for inner, member in vars(value).items():
                add(f"{name}.{inner}", member)
        if isinstance(value, dict):  # tables of functions
            for key, member in value.items():
                add(f"{name}[{key}]", member)
    return found


def _clear_caches() -> None:
    for module in MODULES.values():
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


_RUN: dict[tuple[str, ...], set[CodeType]] = {}


def reached(function: FunctionType, key: tuple[str, ...], run: Callable[[], Any]) -> bool:
    """Tell whether a call runs a function when nothing is planted: a plant in any other can't go off. `key` tells calls apart."""
    if key not in _RUN:
        seen = _RUN[key] = set()

        def look(frame: FrameType, event: str, _: Any) -> None:
            seen.add(frame.f_code)

        _clear_caches()
        before = sys.getprofile()
        threading.setprofile(look)
        sys.setprofile(look)
        try:
            _attempt(run)
        finally:
            sys.setprofile(before)
            threading.setprofile(None)
        assert quiet()
    return function.__code__ in _RUN[key]


@contextmanager
def planted(function: FunctionType, server: Loopback) -> Iterator[Alarm]:
    """Let a function raise while the block runs."""
    original = function.__code__
    ALARM.server, ALARM.sent = server, None
    function.__code__ = _fitting(original)
    _clear_caches()
    try:
        yield ALARM
    finally:
        function.__code__ = original
        _clear_caches()
        ALARM.server = None


def _fitting(original: CodeType) -> CodeType:
    """Return code that raises: of the same kind, and with as many free variables as the function's closure has."""
    kinds = {inspect.CO_GENERATOR: _planted_generator, inspect.CO_COROUTINE: _planted_coroutine}
    plant = next((plant for flag, plant in kinds.items() if original.co_flags & flag), _planted)
    return plant.__code__.replace(co_freevars=original.co_freevars)


ON = Settings(backend="responses", drop=("seed", "max_tokens"), emulate=("n", "stop", "web_search_options"))
STRICT = ON.model_copy(update={"on_bug": "raise"})

# What only remembers: once the answer is there, a bug in it costs the memory of it.
REMEMBERING = re.compile(
    r"adapter\.translation\.((turns|histories|capabilities|untrusted)\..*|identifiers\.call_id|streams\.ChunksFromEvents\.heard"
    r"|open_items\.(OpenItems\.heard.*|_is_reasoning)|item_states\.(Call\.(heard|complete)|_is_json))"
)

MODULES = {module.__name__.removeprefix("adapter."): module for module in _modules()}


@pytest.fixture(autouse=True)
def garbage_waits() -> Iterator[None]:
    """Collect garbage between tests.

    1.x leaves a stream that failed to the collector, Chat's own too. It may come while the pool makes a connection, and closing
    the stream then waits for the lock that the pool holds: for ever.
    """
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.fixture
def serving(loopback: Loopback) -> Loopback:
    loopback.answer = answer
    return loopback


def test_the_calls_are_good_ones(sdk: Sdk, serving: Loopback) -> None:
    """Make sure that what fails below fails because of the plant."""
    client = sdk.client(serving, ON)
    for name in CALLS:
        got = call(sdk, client, name)
        assert got
        assert "Native" not in str(got), name
    for name in FAILING:
        with pytest.raises(openai.APIError):
            call(sdk, client, name)
    assert {request.path for request in serving.requests} == {RESPONSES}
    for name in STORED:
        assert call(sdk, client, name)
    assert all(request.path.startswith(RESPONSES) for request in serving.requests)


def test_the_walk_finds_the_core() -> None:
    found = {name: functions(module) for name, module in MODULES.items()}
    assert {"translation.requests", "translation.streams", "translation.replies", "translation.items"} <= found.keys()
    assert "chat_to_responses" in found["translation.requests"]
    assert "ChunksFromEvents.feed" in found["translation.streams"]
    assert "ModelFacts.of" in found["translation.models"]


def _each(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    seen: set[int] = set()
    for name, function in functions(module).items():
        if id(function) not in seen:
            seen.add(id(function))
            yield f"{module.__name__}.{name}", function


def _natives(one: Sdk, server: Loopback) -> dict[str, bytes]:
    """Return the bytes that the SDK itself sends for each call."""
    client = one.client(server, Settings())
    bodies: dict[str, bytes] = {}
    for name in {**CALLS, **FAILING}:
        call(one, client, name)
        bodies[name] = server.requests[-1].body
    server.requests.clear()
    return bodies


@pytest.mark.parametrize("module", MODULES)
def test_a_bug_before_the_request_goes_to_chat_and_after_it_is_an_error(
    sdk: Sdk, serving: Loopback, module: str
) -> None:
    natives = _natives(sdk, serving)
    once = sdk.client(serving, ON)
    clients = dict.fromkeys(CALLS, once.with_options(max_retries=2)) | dict.fromkeys([*FAILING, *STORED], once)
    hit: set[str] = set()
    problems: list[str] = []
    all_of_it = dict(_each(MODULES[module]))
    for where, function in all_of_it.items():
        for name in ALL if sdk.mode == "sync" else ("rich", "rich stream", "error event", "retrieve"):
            make = functools.partial(call, sdk, clients[name], name)
            if not reached(function, ("on", sdk.mode, name, serving.base_url), make):
                continue
            serving.requests.clear()
            with planted(function, serving) as alarm:
                got, failure = _attempt(make)
                assert quiet()  # the next call's requests are counted anew
            if alarm.sent is None:
                assert (failure is None) == (name not in FAILING)
                continue
            hit.add(where)
            if alarm.sent and failure is None and REMEMBERING.fullmatch(where):
                problem = "Chat's answer" if "Native" in str(got) else None
            elif alarm.sent or (name in STORED and failure is not None):
                problem = _not_an_error(got, failure, serving.requests, ALL[name].get("n", 1))
            elif name in STORED:
                problem = None if serving.requests[0].path.startswith(CHAT) else "half translated"
            else:
                problem = _not_chats(got, failure, serving.requests, natives[name])
            if problem:
                problems.append(f"{where} in {name!r}: {problem}")
    assert not problems, "\n".join(problems)
    if sdk.mode == "sync":
        assert hit or not all_of_it, "no call reaches this module: give CALLS one that does"


def _not_chats(got: Any, failure: Exception | None, requests: list[Request], native: bytes) -> str | None:
    """Say what is wrong with a call that should have gone to Chat untouched, if anything is."""
    if failure is not None:
        return f"raised {failure!r}"
    if [(request.path, request.body) for request in requests] != [(CHAT, native)]:
        return f"sent {[request.path for request in requests]}, or other bytes"
    if text_of(got) != "Native hello":
        return "not Chat's answer"
    made = None if isinstance(got, list) else adapter.decision(got)
    if made is not None and (made.backend, made.asked, made.reason) != ("chat", "responses", "adapter-bug"):
        return f"decided {made}"
    return None


def _not_an_error(got: Any, failure: Exception | None, requests: list[Request], most: int) -> str | None:
    """Say what is wrong with a call that should have failed with one of the SDK's errors, if anything is."""
    if len(requests) > most or not all(
        request.path.startswith(RESPONSES) for request in requests
    ):  # never a second one
        return f"sent {[request.path for request in requests]}"
    return None if isinstance(failure, openai.APIError) else f"raised {failure!r}, gave {got!r}"


def _attempt(make: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return make(), None
    except Exception as failure:  # noqa: BLE001 - the test says what it may be
        return None, failure
    finally:
        # A thread that lost can't be interrupted: it must not be on its way when the next call begins.
        for thread in threading.enumerate():
            if thread.name == "adapter-n":
                thread.join(10)


def _cause(failure: Exception | None) -> BaseException | None:
    """Return what the transport raised: some SDKs make a connection error of any exception."""
    return failure.__cause__ if isinstance(failure, openai.APIConnectionError) else failure


@pytest.mark.parametrize("module", MODULES)
def test_on_bug_raise_raises(serving: Loopback, module: str) -> None:
    one = Sdk("sync")
    client = one.client(serving, STRICT)
    for where, function in _each(MODULES[module]):
        for name in ("rich", "rich stream", "legacy"):
            make = functools.partial(call, one, client, name)
            if not reached(function, ("strict", name, serving.base_url), make):
                continue
            serving.requests.clear()
            with planted(function, serving) as alarm:
                _, failure = _attempt(make)
            if alarm.sent is not None:
                assert isinstance(_cause(failure), PlantedError), f"{where} in {name!r}: {failure!r}"
                assert len(serving.requests) == alarm.sent
    one.close()


@pytest.mark.parametrize("module", MODULES)
def test_one_way_models_never_go_to_chat(serving: Loopback, module: str) -> None:
    one = Sdk("sync")
    client = one.client(serving, ON, max_retries=2)
    problems: list[str] = []
    for where, function in _each(MODULES[module]):
        if module == "translation.models":
            continue  # what says that a model is one-way is broken itself; then nothing speaks against Chat
        for name in ("rich", "legacy stream"):
            make = functools.partial(call, one, client, name, model="o3-pro")
            if not reached(function, ("one way", name, serving.base_url), make):
                continue
            serving.requests.clear()
            with planted(function, serving) as alarm:
                _, failure = _attempt(make)
            if alarm.sent is None or (alarm.sent and failure is None and REMEMBERING.fullmatch(where)):
                continue
            if [request.path for request in serving.requests] != [RESPONSES] * alarm.sent or not isinstance(
                failure, openai.APIError
            ):
                problems.append(f"{where} in {name!r}: {failure!r}, {[request.path for request in serving.requests]}")
            elif alarm.sent == 0:
                assert isinstance(failure, openai.APIStatusError)
                assert failure.body["message"].startswith("$: "), where  # type: ignore[index]
                assert failure.code == "adapter_bug"
    one.close()
    assert not problems, "\n".join(problems)


def test_the_text_of_a_bug_shows_nothing_of_the_call(sdk: Sdk, serving: Loopback) -> None:
    from adapter.translation import replies

    canary = "canary-4711"
    messages: Any = [{"role": "user", "content": canary}]
    with planted(replies.response_to_completion, serving), pytest.raises(openai.APIStatusError) as raised:  # type: ignore[arg-type]
        sdk.run(sdk.client(serving, ON).chat.completions.create(model="gpt-4o", messages=messages))
    assert raised.value.code == "adapter_bug"
    assert canary not in str(raised.value)
    assert "PlantedError" in str(raised.value)


def test_chats_answer_is_what_the_caller_gets(sdk: Sdk, serving: Loopback) -> None:
    from adapter.translation import requests

    client = sdk.client(serving, ON)
    with planted(requests.chat_to_responses, serving):  # type: ignore[arg-type]
        got = sdk.create(client)
    assert got.model_dump(exclude_unset=True) == completion()
