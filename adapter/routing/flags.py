"""The feature flag `openai-backend`, asked of any provider through OpenFeature, in bounded time.

A provider that fails, has no such flag or takes too long has no opinion, and the choice falls to what stands below it. Its
own method may block for seconds (OFREP's waits 5 s for its server, and in async code too, since OpenFeature's default for
providers without async methods is to call the sync one): so it runs in a thread of its own, which is left behind when its
time is up. A stuck provider holds a few such threads, and then isn't asked at all.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from adapter.effects import Flag

from .decide import FLAG_VALUES

KEY = "openai-backend"

logger = logging.getLogger("adapter")

_complained: set[str] = set()


class _Threads:
    """Threads that a provider may block: some at once; more questions wait for their turn, as long as their askers do.

    Not an executor's: those are joined when the interpreter ends, however long they are stuck.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._running: set[Future[Any]] = set()
        self._waiting: dict[Future[Any], Callable[[], Any]] = {}

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        """Run in a thread, in this context: providers look into it. Whoever stops waiting cancels the future.

        Raises TimeoutError when nobody waits any more for what all the threads are doing: it is stuck.
        """
        future: Future[Any] = Future()
        context = contextvars.copy_context()
        with self._lock:
            if len(self._running) < self._most:
                self._running.add(future)
                fresh = True
            elif all(one.cancelled() for one in self._running):
                raise TimeoutError("all threads wait for the provider")
            else:
                self._waiting[future] = lambda: context.run(work)
                fresh = False
        if not fresh:
            future.add_done_callback(lambda done: self._waiting.pop(done, None))
            return future
        try:
            run = self._run
            threading.Thread(
                target=run, args=(future, lambda: context.run(work)), name="adapter-flag", daemon=True
            ).start()
        except RuntimeError:  # the system has no more threads
            self._running.discard(future)
            raise
        return future

    def _run(self, future: Future[Any] | None, work: Callable[[], Any]) -> None:
        while future is not None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # it is the asker's
                # A provider that would end its thread, or the program, doesn't end the call.
                its = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
                with suppress(InvalidStateError):  # nobody waits any more
                    future.set_exception(its)
            else:
                with suppress(InvalidStateError):
                    future.set_result(result)
            future, work = self._next(future)

    def _next(self, done: Future[Any]) -> tuple[Future[Any] | None, Callable[[], Any]]:
        with self._lock:
            self._running.discard(done)
            for future in list(self._waiting):
                work = self._waiting.pop(future, None)
                if work is not None and not future.cancelled():
                    self._running.add(future)
                    return future, work
        return None, lambda: None


_THREADS = _Threads(32)


def _forget_threads() -> None:
    global _THREADS  # noqa: PLW0603  # a forked process has none of its parent's threads
    _THREADS = _Threads(32)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def ask(client: Any, flag: Flag, seconds: float) -> str | None:
    """Ask for the flag; wait so many seconds at most. None where there is no answer that means anything."""
    try:
        context = _context(flag)
        asked = _THREADS.start(lambda: client.get_string_details(KEY, "", context))
        try:
            details = asked.result(seconds)
        finally:
            asked.cancel()
    except Exception as error:  # noqa: BLE001  # whatever a provider raises: it has no opinion
        _no_answer(error)
        return None
    return _value(details)


async def aask(client: Any, flag: Flag, seconds: float) -> str | None:
    """Ask for the flag without blocking the event loop. See ask."""
    import anyio  # the SDK has imported it: its event loop may be trio's

    try:
        context = _context(flag)
        with anyio.fail_after(seconds):
            if _is_async(client):
                details = await client.get_string_details_async(KEY, "", context)
            else:
                details = await _joined(_THREADS.start(lambda: client.get_string_details(KEY, "", context)))
    except Exception as error:  # noqa: BLE001  # whatever a provider raises: it has no opinion
        _no_answer(error)
        return None
    return _value(details)


def _context(flag: Flag) -> Any:
    from openfeature.evaluation_context import EvaluationContext  # an extra; Settings has seen that it is there

    return EvaluationContext(flag.targeting_key, dict(flag.attributes))


def _is_async(client: Any) -> bool:
    """Tell whether a provider has an async method of its own: OpenFeature's default one blocks."""
    provider = getattr(client, "provider", None)
    method = getattr(type(provider), "resolve_string_details_async", None)
    return method is not None and not method.__module__.startswith("openfeature.provider")


async def _joined(running: Future[Any]) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import anyio

        try:
            while not running.done():  # noqa: ASYNC110  # what runs in the thread knows of no event loop
                await anyio.sleep(0.001)
        finally:
            running.cancel()
        return running.result()
    return await asyncio.wrap_future(running)  # a cancelled task cancels it


def _value(details: Any) -> str | None:
    value = getattr(details, "value", None)
    if getattr(details, "error_code", None) is not None or value == "":
        return None
    if not isinstance(value, str) or value not in FLAG_VALUES:
        _complain(
            "value", "the flag %s has a value that means nothing here; expected chat, responses or force-chat", KEY
        )
        return None
    return value


def _no_answer(error: Exception) -> None:
    name = type(error).__name__
    _complain(name, "the provider of the flag %s gave no answer (%s): the settings decide", KEY, name)


def _complain(what: str, message: str, *args: object) -> None:
    """Say it once: a provider that is down is down for every call."""
    if what not in _complained:
        _complained.add(what)
        logger.warning(message, *args)
