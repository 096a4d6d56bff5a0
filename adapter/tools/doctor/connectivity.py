"""Check what can be reached: the memory's store, the flag provider, both endpoints of the API."""

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
    """Run a function in a thread, which is abandoned after the timeout."""
    return _THREADS.start(function).result(seconds)


# The store


def store(environment: Environment) -> Iterator[Finding]:
    """Write a value to the memory's store, read it, and delete it."""
    settings = environment.settings
    assert settings is not None
    kind = store_kind(settings.memory)
    kind = type(settings.memory).__qualname__ if kind == "own" else kind
    if kind == "memory" or settings.carry_reasoning == "never":
        in_process = "Nothing to reach: the memory is in this process."
        yield Finding("store", "skipped", in_process if kind == "memory" else "It isn't used.")
        return
    name, value = f"adapter-doctor:{uuid4().hex}:check", uuid4().bytes

    def round_trip() -> float:
        started = time.perf_counter()
        opened.put(name, value)
        read = opened.get([name]).get(name)
        elapsed = time.perf_counter() - started
        opened.delete([name])
        if read != value:
            raise ValueError("the value read isn't the value written")
        return elapsed

    try:
        opened = _run_with_timeout(
            _TIMEOUT, lambda: stores.open_store(settings.memory, max(settings.memory_timeout, 1.0))
        )
        first, second = (
            _run_with_timeout(_TIMEOUT, round_trip),
            _run_with_timeout(_TIMEOUT, round_trip),
        )
    except Exception as error:  # noqa: BLE001  # a result of the check
        # Only its class: the message may contain the URL with its password.
        yield Finding(
            "store",
            "failed",
            f"The {kind} store can't be used ({type(error).__name__}): "
            "reasoning isn't carried between turns.",
            "Check that it runs, and that `memory` is correct (host, port, path, permissions).",
        )
        return
    times = {"first_ms": round(first * 1000, 1), "second_ms": round(second * 1000, 1)}
    # A round trip is two operations; the timeout applies to each.
    if second / 2 > settings.memory_timeout:
        yield Finding(
            "store",
            "warning",
            f"The {kind} store answers in {second * 500:.0f} ms, "
            f"and calls wait {settings.memory_timeout * 1000:.0f}.",
            "Raise `memory_timeout`, or use a closer store.",
            times,
        )
        return
    yield Finding(
        "store",
        "ok",
        f"A value was written to the {kind} store and read back in {second * 1000:.1f} ms.",
        details=times,
    )
    if not settings.memory_key:
        yield Finding(
            "seal",
            "note",
            f"Values in the {kind} store aren't encrypted.",
            "Set `memory_key` (extra `seal`) if others can read or write the store.",
        )


# The flag


def flag(environment: Environment) -> Iterator[Finding]:
    """Query the provider of the feature flag, as a call would."""
    settings = environment.settings
    assert settings is not None
    if environment.flags is None:
        yield Finding(
            "flags",
            "skipped",
            "The provider is an object of your program: name it with --flags module:object.",
        )
        return
    client = load_flag_client(environment.flags, str(environment.folder))
    type(settings)(flags=client)
    # Installed, since the settings above have accepted the client.
    from openfeature.evaluation_context import EvaluationContext

    context = EvaluationContext(settings.service, {})
    started = time.perf_counter()
    try:
        details = _run_with_timeout(
            _TIMEOUT, lambda: client.get_string_details(FLAG_KEY, "", context)
        )
    except Exception as error:  # noqa: BLE001  # a result of the check
        yield Finding(
            "flags",
            "failed",
            f"The provider gave no value ({type(error).__name__}).",
            "Meanwhile the rules decide.",
        )
        return
    elapsed = time.perf_counter() - started
    measured: dict[str, Any] = {"ms": round(elapsed * 1000, 1)}
    if getattr(details, "error_code", None) is not None:
        code = str(getattr(details.error_code, "value", details.error_code))
        yield Finding(
            "flags",
            "failed",
            f"The provider has no value for `{FLAG_KEY}`: {code}.",
            "Create the flag, or start the provider.",
            measured,
        )
    elif details.value not in FLAG_VALUES:
        yield Finding(
            "flags",
            "warning",
            f"The flag `{FLAG_KEY}` has an unknown value.",
            "Set it to chat, responses, force-chat or force-native.",
            measured,
        )
    elif elapsed > settings.flag_timeout:
        yield Finding(
            "flags",
            "warning",
            f"The provider answers in {elapsed * 1000:.0f} ms, "
            f"and calls wait {settings.flag_timeout * 1000:.0f}.",
            "Raise `flag_timeout`, or use a provider that caches flags in the process.",
            measured,
        )
    else:
        forced = details.value.startswith("force-")
        yield Finding(
            "flags",
            "warning" if forced else "ok",
            f"`{FLAG_KEY}` is {details.value}.",
            "Reset the flag when the incident is over." if forced else "",
            measured | {"value": details.value},
        )


def load_flag_client(spec: str, folder: str) -> Any:
    """Import `module:object` from a folder; call it if it isn't a client but makes one.

    Raise ConfigurationError if that fails.
    """
    module, _, name = spec.partition(":")
    if not module or not name:
        raise ConfigurationError(f"--flags {spec}: expected module:object")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        is_client = hasattr(found, "get_string_details")
        return found if is_client else found()  # type: ignore[operator]  # raises TypeError
    except AdapterError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"--flags {spec}: {type(error).__name__}: it can't be imported or called"
        ) from error


# The API


def endpoints(environment: Environment) -> Iterator[Finding]:
    """Send an empty body to both endpoints, which the API refuses and which costs nothing."""
    if not environment.live:
        yield Finding(
            "endpoints",
            "skipped",
            "Only checked with --live (an empty request to each, which costs nothing).",
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
    except Exception as error:  # noqa: BLE001  # for any reason: it isn't reached
        message = f"It can't be reached: {connection_errors.describe(error)}."
        return Finding(path, "failed", message, "Check OPENAI_BASE_URL, proxies and certificates.")
    state, message, advice = interpret_reply(
        reply.status_code,
        reply.headers.get("content-type", ""),
        reply.content,
        path,
        has_key=has_key,
    )
    return Finding(path, state, message, advice, {"status": reply.status_code})


def why_unusable(base: str, key: str | None) -> str:
    """Send an empty request; return why programs can't use this Chat Completions API, or ""."""
    path = "/chat/completions"
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with sdk_http_library().Client(
            timeout=10.0, headers=headers, follow_redirects=True
        ) as client:
            reply = client.post(base.rstrip("/") + path, json={})
    except Exception as error:  # noqa: BLE001  # for any reason: it isn't reached
        return f"not reachable: {connection_errors.describe(error)}"
    if reply.status_code < 300:  # a server that answers anything
        return (
            ""
            if b'"choices"' in reply.content
            else f"answered {reply.status_code}, but not like the API"
        )
    kind = reply.headers.get("content-type", "")
    state, message, _ = interpret_reply(
        reply.status_code, kind, reply.content, path, has_key=bool(key)
    )
    refused = state == "failed" or reply.status_code in (401, 403)
    return message[:1].lower() + message[1:].removesuffix(".") if refused else ""


def interpret_reply(
    status: int, content_type: str, raw: bytes, path: str, *, has_key: bool
) -> tuple[State, str, str]:
    """Interpret the reply to an empty request: return the state, a sentence, and an advice.

    The reply is classified as for a fallback (docs/decisions.md#fallback).
    """
    is_responses = path == "/responses"
    reason = fallback.classify(ReplyHead(status, content_type), raw)
    if reason == "missing":
        advice = "Point OPENAI_BASE_URL at an API that has it (does it end in /v1?)."
        if is_responses:
            advice += " Until then calls fall back to Chat, and Responses-only models fail."
        return "failed", f"The endpoint doesn't exist ({status}).", advice
    if reason == "blocked":
        advice = f"Allow POST {path} there."
        if is_responses:
            advice += " Until then calls fall back to Chat."
        return (
            "failed",
            f"A gateway or proxy in front of the API refused it ({status}, not in the API's form).",
            advice,
        )
    if status in (401, 403):
        if has_key:
            return (
                "failed",
                f"The endpoint exists; the API doesn't accept the key ({status}).",
                "Check OPENAI_API_KEY and its permissions.",
            )
        return "note", f"The endpoint exists; it requires a key ({status}).", "Set OPENAI_API_KEY."
    if status == 429:
        return (
            "warning",
            "The endpoint exists; the key is over its limit (429).",
            "Wait, or raise the limit.",
        )
    if status >= 500:
        return (
            "warning",
            f"The server failed on an empty request ({status}): the endpoint may exist.",
            "Try it with a real call.",
        )
    if status >= 400:
        return "ok", f"The endpoint exists: the API refused the empty request ({status}).", ""
    if status >= 300:
        return (
            "warning",
            f"The endpoint redirects ({status}).",
            "Set OPENAI_BASE_URL to the target.",
        )
    return (
        "warning",
        f"An empty request was answered with {status}: this may not be the API.",
        "Check OPENAI_BASE_URL.",
    )
