"""What can be reached: the store of the memory, the provider of flags, the API's two endpoints."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from adapter._exchange import fallback
from adapter._exchange.effects import ReplyHead
from adapter._memory import stores
from adapter._memory.urls import store_kind
from adapter._routing.flags import FLAG_KEY
from adapter._routing.router import FLAG_VALUES
from adapter._util.worker_threads import WorkerThreads
from adapter.errors import AdapterError, ConfigurationError
from adapter.testing.vcr_check import sdk_http_library
from adapter.tools import connection_errors

from .findings import Environment, Finding, State

OFFICIAL_URL = "https://api.openai.com/v1"
_TIMEOUT = 5.0
_THREADS = WorkerThreads(4, "adapter-doctor")


def _run_with_timeout(seconds: float, function: Any) -> Any:
    """Run a function in a thread that is left behind when its time is up."""
    return _THREADS.start(function).result(seconds)


# The store


def store(environment: Environment) -> Iterator[Finding]:
    """Put a value into the memory's store, get it, and take it out again."""
    settings = environment.settings
    assert settings is not None
    kind = store_kind(settings.memory)
    kind = type(settings.memory).__qualname__ if kind == "own" else kind
    if kind == "memory" or settings.carry_reasoning == "never":
        says = (
            "There is none to reach: what is remembered stays in the process."
            if kind == "memory"
            else "It isn't used."
        )
        yield Finding("store", "skipped", says)
        return
    name, value = f"adapter-doctor:{uuid4().hex}:check", uuid4().bytes

    def round_trip() -> float:
        begun = time.perf_counter()
        opened.put(name, value)
        back = opened.get([name]).get(name)
        took = time.perf_counter() - begun
        opened.delete([name])
        if back != value:
            raise ValueError("another value came back than was put in")
        return took

    try:
        opened = _run_with_timeout(
            _TIMEOUT, lambda: stores.open_store(settings.memory, max(settings.memory_timeout, 1.0))
        )
        first, second = (
            _run_with_timeout(_TIMEOUT, round_trip),
            _run_with_timeout(_TIMEOUT, round_trip),
        )
    except Exception as error:  # noqa: BLE001  # whatever a store raises is what was to be found out
        # Its class alone: the message may hold the URL with its password.
        yield Finding(
            "store", "failed", f"The {kind} store can't be used ({type(error).__name__}): reasoning isn't carried between turns.",
            "Look whether it runs, and whether `memory` names it rightly (host, port, path, rights).",
        )  # fmt: skip
        return
    times = {"first_ms": round(first * 1000, 1), "second_ms": round(second * 1000, 1)}
    # One round trip is two questions, and the timeout is one's.
    if second / 2 > settings.memory_timeout:
        yield Finding(
            "store", "warning", f"The {kind} store answers in {second * 500:.0f} ms, and calls wait {settings.memory_timeout * 1000:.0f}.",
            "Raise `memory_timeout`, or bring the store nearer.", times,
        )  # fmt: skip
        return
    yield Finding(
        "store",
        "ok",
        f"A value went into the {kind} store and came back in {second * 1000:.1f} ms.",
        details=times,
    )
    if not settings.memory_key:
        yield Finding(
            "seal",
            "note",
            f"What the {kind} store keeps isn't sealed.",
            "Set `memory_key` (the extra `seal`) where others can read it, or write to it.",
        )


# The flag


def flag(environment: Environment) -> Iterator[Finding]:
    """Ask the provider of the feature flag, as a call would."""
    settings = environment.settings
    assert settings is not None
    if environment.flags is None:
        yield Finding(
            "flags",
            "skipped",
            "A provider is an object of your program: name it with --flags module:object.",
        )
        return
    client = load_flag_client(environment.flags, str(environment.folder))
    type(settings)(flags=client)
    from openfeature.evaluation_context import (
        EvaluationContext,
    )  # the settings have seen that it is there

    context = EvaluationContext(settings.service, {})
    begun = time.perf_counter()
    try:
        details = _run_with_timeout(
            _TIMEOUT, lambda: client.get_string_details(FLAG_KEY, "", context)
        )
    except Exception as error:  # noqa: BLE001  # whatever a provider raises is what was to be found out
        yield Finding(
            "flags",
            "failed",
            f"The provider gave no answer ({type(error).__name__}).",
            "Calls fall to the rules meanwhile.",
        )
        return
    took = time.perf_counter() - begun
    said: dict[str, Any] = {"ms": round(took * 1000, 1)}
    if getattr(details, "error_code", None) is not None:
        code = str(getattr(details.error_code, "value", details.error_code))
        yield Finding(
            "flags",
            "failed",
            f"The provider has no answer for `{FLAG_KEY}`: {code}.",
            "Make the flag, or start the provider.",
            said,
        )
    elif details.value not in FLAG_VALUES:
        yield Finding(
            "flags",
            "warning",
            f"The flag `{FLAG_KEY}` has a value that means nothing here.",
            "Give it chat, responses, force-chat or force-native.",
            said,
        )
    elif took > settings.flag_timeout:
        yield Finding(
            "flags", "warning", f"The provider answers in {took * 1000:.0f} ms, and calls wait {settings.flag_timeout * 1000:.0f}.",
            "Raise `flag_timeout`, or let the provider keep its flags in the process.", said,
        )  # fmt: skip
    else:
        forced = details.value.startswith("force-")
        yield Finding(
            "flags", "warning" if forced else "ok", f"`{FLAG_KEY}` says {details.value}.",
            "Set the flag back when the emergency is over." if forced else "", said | {"value": details.value},
        )  # fmt: skip


def load_flag_client(spec: str, folder: str) -> Any:
    """Import `module:object`, from a folder as a program there would; call it where it makes a client. Raises ConfigurationError."""
    module, _, name = spec.partition(":")
    if not module or not name:
        raise ConfigurationError(f"--flags {spec}: expected module:object")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found if hasattr(found, "get_string_details") else found()  # type: ignore[operator]  # what it is, is seen now
    except AdapterError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"--flags {spec}: {type(error).__name__}: it can't be imported or called"
        ) from error


# The API


def endpoints(environment: Environment) -> Iterator[Finding]:
    """Ask both endpoints with an empty body, which the API refuses and which costs nothing."""
    if not environment.live:
        yield Finding(
            "endpoints",
            "skipped",
            "They are asked only with --live (an empty request to each, which costs nothing).",
        )
        return
    base = (environment.variables.get("OPENAI_BASE_URL") or OFFICIAL_URL).rstrip("/")
    key = environment.variables.get("OPENAI_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with (
        sdk_http_library().Client(timeout=10.0, headers=headers) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        paths = ("/chat/completions", "/responses")
        yield from list(
            threads.map(lambda path: _check_endpoint(client, base, path, has_key=bool(key)), paths)
        )


def _check_endpoint(client: Any, base: str, path: str, *, has_key: bool) -> Finding:
    try:
        reply = client.post(base + path, json={})
    except Exception as error:  # noqa: BLE001  # whatever it is: it isn't reached
        says = f"It can't be reached: {connection_errors.describe(error)}."
        return Finding(path, "failed", says, "Look at OPENAI_BASE_URL, proxies and certificates.")
    state, says, do = interpret_reply(
        reply.status_code,
        reply.headers.get("content-type", ""),
        reply.content,
        path,
        has_key=has_key,
    )
    return Finding(path, state, says, do, {"status": reply.status_code})


def why_unusable(base: str, key: str | None) -> str:
    """Send an empty request, and say why programs can't be run against this Chat Completions API.

    Returns nothing where they can.
    """
    path = "/chat/completions"
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with sdk_http_library().Client(
            timeout=10.0, headers=headers, follow_redirects=True
        ) as client:
            reply = client.post(base.rstrip("/") + path, json={})
    except Exception as error:  # noqa: BLE001  # whatever it is: it isn't reached
        return f"not reachable: {connection_errors.describe(error)}"
    if reply.status_code < 300:  # a server that answers anything
        return (
            ""
            if b'"choices"' in reply.content
            else f"answered {reply.status_code}, and not as the API does"
        )
    kind = reply.headers.get("content-type", "")
    state, says, _ = interpret_reply(
        reply.status_code, kind, reply.content, path, has_key=bool(key)
    )
    refused = state == "failed" or reply.status_code in (401, 403)
    return says[:1].lower() + says[1:].removesuffix(".") if refused else ""


def interpret_reply(
    status: int, content_type: str, raw: bytes, path: str, *, has_key: bool
) -> tuple[State, str, str]:
    """Say what an endpoint's answer to an empty request means: the state, a sentence, and what to do.

    Judged by the code that decides on a fallback.
    """
    responses = path == "/responses"
    reason = fallback.classify(ReplyHead(status, content_type), raw)
    if reason == "missing":
        do = "Point OPENAI_BASE_URL at an API that has it (does it end in /v1?)."
        if responses:
            do += " Until then calls stay on chat by `fallback`, and one-way models fail."
        return "failed", f"The route isn't there ({status}).", do
    if reason == "blocked":
        return (
            "failed", f"Something before the API refused it ({status}, not the API's own words): a gateway or a proxy.",
            f"Have POST {path} allowed there." + (" Until then calls stay on chat by `fallback`." if responses else ""),
        )  # fmt: skip
    if status in (401, 403):
        if has_key:
            return (
                "failed",
                f"The route is there; the API doesn't take the key ({status}).",
                "Look at OPENAI_API_KEY and its rights.",
            )
        return "note", f"The route is there; it wants a key ({status}).", "Set OPENAI_API_KEY."
    if status == 429:
        return (
            "warning",
            "The route is there; the key is over its limit (429).",
            "Wait, or raise the limit.",
        )
    if status >= 500:
        return (
            "warning",
            f"The server failed on an empty request ({status}): the route may be there.",
            "Try it with a real call.",
        )
    if status >= 400:
        return "ok", f"The route is there: the API itself refused the empty request ({status}).", ""
    if status >= 300:
        return (
            "warning",
            f"The route redirects ({status}).",
            "Set OPENAI_BASE_URL to where it leads.",
        )
    return (
        "warning",
        f"An empty request was answered with {status}: this may not be the API.",
        "Look at OPENAI_BASE_URL.",
    )
