"""The feature flag `openai-backend`, read from any OpenFeature provider in bounded time.

If a provider fails, has no such flag or takes too long, the next source in the order of precedence
decides (docs/decisions.md#flag-provider). Its method may block for seconds (OFREP's waits 5 s for
its server, in async code too, since OpenFeature calls the sync method of a provider without async
ones), so it runs in a thread that is abandoned when its time is up. A provider that hangs holds a
few such threads, and then isn't asked.
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
    """Return the flag's value; None if there is no valid answer within `seconds`."""
    try:
        context = _context(flag)
        future = _THREADS.start(lambda: client.get_string_details(FLAG_KEY, "", context))
        try:
            details = future.result(seconds)
        finally:
            future.cancel()
    except Exception as error:  # noqa: BLE001  # a provider may raise anything
        _no_answer(error)
        return None
    return _flag_value(details)


async def aread_flag(client: Any, flag: FlagQuery, seconds: float) -> str | None:
    """Return the flag's value without blocking the event loop. See read_flag."""
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
    except Exception as error:  # noqa: BLE001  # a provider may raise anything
        # OpenFeature's client replaces the error of a timeout, and of a cancelled call.
        cancelled = error.__context__
        if isinstance(cancelled, anyio.get_cancelled_exc_class()) and not scope.cancel_called:
            raise cancelled from None
        _no_answer(TimeoutError() if scope.cancel_called else error)
        return None
    return _flag_value(details)


def _context(flag: FlagQuery) -> Any:
    # An extra; `Settings` has checked that it is installed.
    from openfeature.evaluation_context import EvaluationContext

    return EvaluationContext(flag.targeting_key, dict(flag.attributes))


def _is_async(client: Any) -> bool:
    """Return whether a provider has its own async method: OpenFeature's default one blocks."""
    provider = getattr(client, "provider", None)
    method = getattr(type(provider), "resolve_string_details_async", None)
    return method is not None and not method.__module__.startswith("openfeature.provider")


def _flag_value(details: Any) -> str | None:
    """Return the value of an answer; None if it isn't valid.

    OpenFeature's client doesn't raise: it returns the error beside the default value.
    """
    code, value = getattr(details, "error_code", None), getattr(details, "value", None)
    if code is not None or _name(getattr(details, "reason", None)) == "ERROR":
        _warn_once(_name(code) or "ERROR")
        return None
    if value == "":  # the default value, or a flag that leaves the choice to the settings
        return None
    if not isinstance(value, str) or value not in FLAG_VALUES:
        _warn_once("an unknown value")
        return None
    return value


def _name(code: Any) -> str:
    """Return the specification's name of an error code or a reason; empty if it has none."""
    code = getattr(code, "value", code)
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _no_answer(error: Exception) -> None:
    _warn_once(type(error).__name__)


def _warn_once(what: str) -> None:
    """Log a problem once, since a provider that is down fails for every call.

    Providers' own messages aren't shown, since they may hold anything.
    """
    if ONCE.first(f"flag {what}"):
        logger.warning(
            "flags: %s gave no answer (%s): the settings decide; "
            "expected a string flag with chat, responses, force-chat or force-native",
            FLAG_KEY,
            what,
        )
