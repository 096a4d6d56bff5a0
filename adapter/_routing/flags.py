"""The feature flag `openai-backend`, asked of any provider through OpenFeature, in bounded time.

A provider that fails, has no such flag or takes too long has no opinion, and the choice falls to what stands below it. Its
own method may block for seconds (OFREP's waits 5 s for its server, and in async code too, since OpenFeature's default for
providers without async methods is to call the sync one): so it runs in a thread of its own, which is left behind when its
time is up. A stuck provider holds a few such threads, and then isn't asked at all.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from adapter._exchange.effects import FlagQuery
from adapter._util.log_once import ONCE
from adapter._util.worker_threads import WorkerThreads, await_future

from .router import FLAG_VALUES

FLAG_KEY = "openai-backend"

logger = logging.getLogger("adapter")

_CODE = re.compile("[A-Z_]{1,40}")

_THREADS = WorkerThreads(32, "adapter-flag")


def read_flag(client: Any, flag: FlagQuery, seconds: float) -> str | None:
    """Ask for the flag; wait so many seconds at most. None where there is no answer that means anything."""
    try:
        context = _context(flag)
        asked = _THREADS.start(lambda: client.get_string_details(FLAG_KEY, "", context))
        try:
            details = asked.result(seconds)
        finally:
            asked.cancel()
    except Exception as error:  # noqa: BLE001  # whatever a provider raises: it has no opinion
        _no_answer(error)
        return None
    return _flag_value(details)


async def aread_flag(client: Any, flag: FlagQuery, seconds: float) -> str | None:
    """Ask for the flag without blocking the event loop. See ask."""
    import anyio  # the SDK has imported it: its event loop may be trio's

    scope = anyio.CancelScope()
    try:
        context = _context(flag)
        with anyio.fail_after(seconds) as scope:
            if _is_async(client):
                details = await client.get_string_details_async(FLAG_KEY, "", context)
            else:
                details = await await_future(
                    _THREADS.start(lambda: client.get_string_details(FLAG_KEY, "", context))
                )
    except Exception as error:  # noqa: BLE001  # whatever a provider raises: it has no opinion
        # OpenFeature's client makes another error of it when its time is up, and when the call is cancelled.
        cancelled = error.__context__
        if isinstance(cancelled, anyio.get_cancelled_exc_class()) and not scope.cancel_called:
            raise cancelled from None
        _no_answer(TimeoutError() if scope.cancel_called else error)
        return None
    return _flag_value(details)


def _context(flag: FlagQuery) -> Any:
    from openfeature.evaluation_context import (
        EvaluationContext,
    )  # an extra; Settings has seen that it is there

    return EvaluationContext(flag.targeting_key, dict(flag.attributes))


def _is_async(client: Any) -> bool:
    """Tell whether a provider has an async method of its own: OpenFeature's default one blocks."""
    provider = getattr(client, "provider", None)
    method = getattr(type(provider), "resolve_string_details_async", None)
    return method is not None and not method.__module__.startswith("openfeature.provider")


def _flag_value(details: Any) -> str | None:
    """Read an answer. The client of OpenFeature raises nothing itself: what went wrong stands in the answer, beside the default."""
    code, value = getattr(details, "error_code", None), getattr(details, "value", None)
    if code is not None or _name(getattr(details, "reason", None)) == "ERROR":
        _warn_once(_name(code) or "ERROR")
        return None
    if value == "":  # what was asked with, or a flag that leaves it to the settings
        return None
    if not isinstance(value, str) or value not in FLAG_VALUES:
        _warn_once("a value that means nothing here")
        return None
    return value


def _name(code: Any) -> str:
    """Return an error code or a reason by its name in the specification; the empty string for what has none."""
    code = getattr(code, "value", code)
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _no_answer(error: Exception) -> None:
    _warn_once(type(error).__name__)


def _warn_once(what: str) -> None:
    """Say it once: a provider that is down is down for every call. Messages of providers may hold anything, and aren't shown."""
    if ONCE.first(f"flag {what}"):
        logger.warning(
            "flags: %s gave no answer (%s): the settings decide; expected a string flag with chat, responses, force-chat or "
            "force-native",
            FLAG_KEY, what,
        )  # fmt: skip
