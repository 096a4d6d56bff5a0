"""The memory as a call uses it: it recalls a turn or doesn't, in bounded time, and never raises.

A failing store (down, slow, full, or holding garbage) costs continuity and one warning a minute.
After several failures in a row it isn't asked for a while (docs/decisions.md#continuity).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from adapter._exchange.effects import Forget, LearnRefusedReasoning, Recall, RecallResult, Remember
from adapter._util.expiring_set import ExpiringSet
from adapter._util.fork import in_forked_child
from adapter._util.worker_threads import WorkerThreads, await_future
from adapter.translation.reasoning.turns import RememberedTurn

from . import stores
from .circuit_breaker import CircuitBreaker, error_text
from .in_memory import InMemoryStore
from .keys import MemoryScope, bounded_name, key_pattern, key_prefix, server_digest, store_keys
from .serialization import MAX_TEXT, TurnSerializer, parse_key
from .store import MAX_TOTAL, OPEN_TIMEOUT, THREADS

logger = logging.getLogger("adapter")

MemoryEffect = Recall | Remember | Forget | LearnRefusedReasoning
"""The effects that the memory performs."""

SERVER_FACTS = ExpiringSet()
"""Which reasoning each server and model has refused (docs/decisions.md#refused-reasoning)."""

_FACT_SECONDS = 600.0

EMPTY_RECALL = RecallResult()

_PROCESS_TOKEN: object = object()  # replaced in a forked process, which opens its own stores
_OPENERS = WorkerThreads(8, "adapter-memory-opening")

_MAX_ITEMS = 4096  # reasoning items inserted into one request

_StoreCall = tuple[str, Any]  # a method's name and its arguments


def _ignore_answer(_: Any) -> None:
    """Discard the store's answer."""


class MemoryService:
    """Perform the memory's effects with the store of one setting.

    `scope_name` is `memory_scope`, `tenants` the names in `memory_scope_headers`. `keys` decrypt
    values; the first one encrypts new ones. `seconds` bounds each request to the store.
    """

    def __init__(
        self,
        memory: Any,
        *,
        scope_name: str | None,
        keys: tuple[str, ...],
        seconds: float,
        tenants: Sequence[str] = (),
    ) -> None:
        self.tenants = tuple(name.encode() for name in tenants)
        self._memory, self._scope_name, self._timeout = memory, scope_name, seconds
        self._serializer = TurnSerializer([parse_key(key) for key in keys])
        self._breaker = CircuitBreaker()
        self._prepared_in: object = None

    @cached_property
    def store(self) -> Any:
        """The store, made on first use."""
        return stores.open_store(self._memory, self._timeout)

    def prepare(self, seconds: float = OPEN_TIMEOUT) -> None:
        """Start to open the store ahead of the first call, and wait up to `seconds` for it.

        A store that can't be opened is logged as a warning.
        """
        opening = self._start_opening()
        if opening is not None:
            wait([opening], seconds)
            opening.add_done_callback(self._opening_done)  # runs here if opening is done

    def _start_opening(self) -> Future[None] | None:
        """Start to open the store, once in each process."""
        if self._prepared_in is _PROCESS_TOKEN:
            return None
        self._prepared_in = _PROCESS_TOKEN
        open_store = getattr(self.store, "_open", None)
        if open_store is None:
            return None
        try:
            return _OPENERS.start(open_store)
        except (TimeoutError, RuntimeError):  # no more threads: the call opens the store itself
            return None

    def _opening_done(self, done: Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._breaker.warn(error_text(error))

    async def _aprepare(self) -> None:
        opening = self._start_opening()
        aopen_store = getattr(self.store, "_aopen", None)
        try:
            async with _deadline(OPEN_TIMEOUT):
                if opening is not None:
                    await await_future(opening)
                elif aopen_store is not None:
                    await aopen_store()
        except Exception as error:  # noqa: BLE001  # a store may raise anything, and time may be up
            if opening is None:
                self._breaker.warn(error_text(error))
        if opening is not None:
            opening.add_done_callback(self._opening_done)

    def perform(self, effect: MemoryEffect, memory_scope: MemoryScope) -> Any:
        """Perform an effect."""
        if type(self.store) is InMemoryStore:
            return self._perform_in_memory(self.store, effect, memory_scope)
        if self._prepared_in is not _PROCESS_TOKEN:
            self.prepare()
        call, read = self._plan(effect, memory_scope)
        return read(None if call is None else self._call_store(call))

    async def aperform(self, effect: MemoryEffect, memory_scope: MemoryScope) -> Any:
        """Perform an effect without blocking the event loop."""
        if type(self.store) is InMemoryStore:
            return self._perform_in_memory(self.store, effect, memory_scope)
        if self._prepared_in is not _PROCESS_TOKEN:
            await self._aprepare()
        call, read = self._plan(effect, memory_scope)
        return read(None if call is None else await self._acall_store(call))

    def _perform_in_memory(
        self, store: InMemoryStore, effect: MemoryEffect, memory_scope: MemoryScope
    ) -> Any:
        """Perform an effect with an in-memory store, which holds turns as they are."""
        prefix = key_prefix(memory_scope, self._scope_name, effect.model)
        if isinstance(effect, Recall):
            turns = {}
            for turn in effect.names:
                held = store.find(prefix + turn)
                if held is not None:
                    turns[turn] = held
            return self._recall_result(effect, memory_scope, turns)
        if isinstance(effect, Remember):
            entry = effect.entry
            return store.put(prefix + entry.name, entry.turn, entry.turn.size)
        if isinstance(effect, Forget):
            self._suspect(effect, memory_scope)
            return store.delete([prefix + turn for turn in effect.names])
        return self._learn_fact(effect, memory_scope)

    def _plan(
        self, effect: MemoryEffect, memory_scope: MemoryScope
    ) -> tuple[_StoreCall | None, Callable[[Any], Any]]:
        """Return the store call that an effect needs, if any, and the reader of its answer."""
        model = effect.model
        until = time.monotonic() + self._timeout
        match effect:
            case LearnRefusedReasoning():
                return None, lambda _: self._learn_fact(effect, memory_scope)
            case Recall(names=turns):
                names = store_keys(memory_scope, self._scope_name, model, turns)
                known = self._recall_result(effect, memory_scope, {})
                call = ("get", (names,)) if names and not (known.refused or known.stopped) else None
                return call, lambda found: self._with_turns(known, turns, names, found, until)
            case Remember(entry=entry):
                name = store_keys(memory_scope, self._scope_name, model, (entry.name,))[0]
                packed = self._serializer.serialize(name, entry.turn)
                if packed is None:
                    self._breaker.warn("a turn that is too big to be stored")
                    return None, _ignore_answer
                return ("put", (name, packed)), _ignore_answer
            case Forget(names=turns):
                self._suspect(effect, memory_scope)
                names = store_keys(memory_scope, self._scope_name, model, turns)
                return ("delete", (names,)), _ignore_answer

    def _learn_fact(self, effect: LearnRefusedReasoning, memory_scope: MemoryScope) -> None:
        pair = server_digest(memory_scope), bounded_name(effect.model)
        if effect.refused == "nothing":
            SERVER_FACTS.discard((*pair, "a turn"))
        else:
            SERVER_FACTS.add((*pair, effect.refused), _FACT_SECONDS)

    def _suspect(self, effect: Forget, memory_scope: MemoryScope) -> None:
        pair = server_digest(memory_scope), bounded_name(effect.model)
        again = SERVER_FACTS.contains((*pair, "a turn"))
        SERVER_FACTS.add((*pair, "turns" if again else "a turn"), _FACT_SECONDS)

    def _recall_result(
        self, effect: Recall, memory_scope: MemoryScope, turns: dict[str, RememberedTurn]
    ) -> RecallResult:
        if not SERVER_FACTS:
            return RecallResult(turns) if turns else EMPTY_RECALL
        server, model = server_digest(memory_scope), bounded_name(effect.model)
        if SERVER_FACTS.contains((server, model, "encrypted")):
            return RecallResult(refused=True)
        if SERVER_FACTS.contains((server, model, "turns")):
            return RecallResult(stopped=True)
        with_ids, suspect = (
            SERVER_FACTS.contains((server, model, what)) for what in ("no ids", "a turn")
        )
        return RecallResult(turns, with_ids=with_ids, suspect=suspect)

    def _with_turns(
        self,
        known: RecallResult,
        turns: tuple[str, ...],
        names: list[str],
        found: Any,
        until: float,
    ) -> RecallResult:
        if not found:
            return known
        return known._replace(turns=self._read_turns(turns, names, found, until))

    def _read_turns(
        self, turns: tuple[str, ...], names: list[str], found: Any, until: float
    ) -> dict[str, RememberedTurn]:
        """Parse the values that a store found, the newest turns first.

        Bounded in time, bytes and items, since others may have written them.
        """
        read: dict[str, RememberedTurn] = {}
        if not isinstance(found, Mapping):
            self._breaker.warn("an answer that isn't a mapping")
            return read
        room, items = MAX_TOTAL, _MAX_ITEMS
        for turn, name in zip(reversed(turns), reversed(names), strict=True):
            if time.monotonic() > until:
                self._breaker.warn("more than can be read in time")
                break
            try:
                value = found.get(name)
                if value is None:
                    continue
                recalled = self._serializer.deserialize(name, value, min(room, MAX_TEXT))
            except ValueError as error:
                self._breaker.warn(f"a value that can't be read ({error})")
                continue
            except Exception as error:  # noqa: BLE001  # a mapping of the program's own
                self._breaker.warn(f"a value that can't be read ({type(error).__name__})")
                continue
            room, items = room - recalled.size, items - sum(map(len, recalled.reasoning))
            if room < 0 or items < 0:
                self._breaker.warn("more than fits into a request")
                break
            read[turn] = recalled
        return read

    def _call_store(self, call: _StoreCall) -> Any:
        """Call the store; None if it fails, or if its circuit is open."""
        method, arguments = call
        store = self.store
        if self._breaker.is_open:
            return None
        try:
            if getattr(store, "bounded", False):
                result = getattr(store, method)(*arguments)
            else:
                running = THREADS.start(lambda: getattr(store, method)(*arguments))
                try:
                    result = running.result(self._timeout)
                finally:
                    running.cancel()
        except Exception as error:  # noqa: BLE001  # a failing store must not fail the call
            self._breaker.record_failure(error)
            return None
        self._breaker.record_success()
        return result

    async def _acall_store(self, call: _StoreCall) -> Any:
        """Call the store without blocking the event loop. See _call_store."""
        method, arguments = call
        if self._breaker.is_open:
            return None
        try:
            async with _deadline(self._timeout):
                result = await getattr(self.store, "a" + method)(*arguments)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the caller's own
            self._breaker.record_failure(error)
            return None
        except Exception as error:  # noqa: BLE001  # as above
            self._breaker.record_failure(error)
            return None
        self._breaker.record_success()
        return result

    def forget(self, *, scope: str | None, conversation: str | None) -> int:
        """Delete the turns of a `memory_scope`, a conversation, or both; return their number.

        Raises what the store raises.
        """
        deleted: int = self.store.forget(key_pattern(scope, conversation))
        return deleted

    async def aforget(self, *, scope: str | None, conversation: str | None) -> int:
        """Delete turns without blocking the event loop. See forget."""
        pattern = key_pattern(scope, conversation)
        if isinstance(self.store, InMemoryStore):
            return self.store.forget(pattern)
        deleted: int = await self.store.aforget(pattern)
        return deleted


def _deadline(seconds: float) -> Any:
    """Return a context manager that raises TimeoutError when its time is up.

    anyio's, which trio needs, costs more than asyncio's.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _anyio_deadline(seconds)
    return asyncio.timeout(seconds)


@asynccontextmanager
async def _anyio_deadline(seconds: float) -> AsyncIterator[None]:
    import anyio  # the SDK has imported it: its event loop may be trio's

    with anyio.fail_after(seconds):
        yield


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _reset_after_fork() -> None:
    global _PROCESS_TOKEN  # noqa: PLW0603
    _PROCESS_TOKEN = object()
