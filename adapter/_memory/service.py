"""The memory as a call sees it: it has a turn or it hasn't, in bounded time, and never fails.

A store in trouble (down, slow, full, full of garbage) costs continuity and one warning a minute; one that fails several times
in a row isn't asked for a while.
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

from adapter._exchange.effects import Forget, Recall, Recalled, Refuse, Remember
from adapter._util.expiring_set import Expiring
from adapter._util.fork import in_forked_child
from adapter._util.worker_threads import Threads, joined
from adapter.translation.reasoning.turns import ToolTurn

from . import stores
from .circuit_breaker import Trouble, _said
from .in_memory import InProcess
from .keys import Whose, begin_of, bounded, names_of, pattern_of, server_of
from .serialization import MAX_TEXT, Packer, key_of
from .store import MAX_TOTAL, OPENING, THREADS

logger = logging.getLogger("adapter")

Carrying = Recall | Remember | Forget | Refuse
"""The effects that are the memory's to perform."""

REFUSED = Expiring()
"""What models at their servers don't take; see effects.Refuse."""

_REFUSED_FOR = 600.0  # seconds

NOTHING = Recalled()

_PROCESS: object = object()  # another one in each forked process, which opens its stores anew
_OPENERS = Threads(8, "adapter-memory-opening")

_MAX_ITEMS = 4096  # of reasoning, that are put into a request

_Ask = tuple[str, Any]  # a method of the store, and its arguments


def _nothing(_: Any) -> None:
    """Read an answer that says nothing."""


class Keeper:
    """Perform the memory's effects with the store of one setting.

    `scope` is `memory_scope`, `tenants` the names of `memory_scope_headers`, `keys` what values are sealed with, the first one for
    new values; `seconds` is what the store may cost a call, each time that it is asked.
    """

    def __init__(
        self, memory: Any, *, scope: str | None, keys: tuple[str, ...], seconds: float, tenants: Sequence[str] = ()
    ) -> None:
        self.tenants = tuple(name.encode() for name in tenants)
        self._memory, self._scope, self._seconds = memory, scope, seconds
        self._packer = Packer([key_of(key) for key in keys])
        self._trouble = Trouble()
        self._prepared: object = None

    @cached_property
    def store(self) -> Any:
        """The store."""
        return stores.opened(self._memory, self._seconds)

    def prepare(self, seconds: float = OPENING) -> None:
        """Begin to open the store, so that no call has to, and wait for it so long; one that can't be opened is a warning."""
        begun = self._begun()
        if begun is not None:
            wait([begun], seconds)
            begun.add_done_callback(self._opened)  # at once, in this thread, where it is over

    def _begun(self) -> Future[None] | None:
        """Begin to open the store, once in each process."""
        if self._prepared is _PROCESS:
            return None
        self._prepared = _PROCESS
        begin = getattr(self.store, "_open", None)
        if begin is None:
            return None
        try:
            return _OPENERS.start(begin)
        except (TimeoutError, RuntimeError):  # no more threads: the call itself will open it
            return None

    def _opened(self, done: Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._trouble.warn(_said(error))

    async def _aprepare(self) -> None:
        begun = self._begun()
        begin = getattr(self.store, "_aopen", None)
        try:
            async with _deadline(OPENING):
                if begun is not None:
                    await joined(begun)
                elif begin is not None:
                    await begin()
        except Exception as error:  # noqa: BLE001  # whatever a store raises, and where the time is up
            if begun is None:
                self._trouble.warn(_said(error))
        if begun is not None:
            begun.add_done_callback(self._opened)

    def perform(self, effect: Carrying, whose: Whose) -> Any:
        """Perform an effect."""
        if type(self.store) is InProcess:
            return self._at_once(self.store, effect, whose)
        if self._prepared is not _PROCESS:
            self.prepare()
        ask, read = self._plan(effect, whose)
        return read(None if ask is None else self._answer(ask))

    async def aperform(self, effect: Carrying, whose: Whose) -> Any:
        """Perform an effect without blocking the event loop."""
        if type(self.store) is InProcess:
            return self._at_once(self.store, effect, whose)
        if self._prepared is not _PROCESS:
            await self._aprepare()
        ask, read = self._plan(effect, whose)
        return read(None if ask is None else await self._aanswer(ask))

    def _at_once(self, store: InProcess, effect: Carrying, whose: Whose) -> Any:
        """Perform an effect with the store of this process, which keeps turns as they are and doesn't fail."""
        begin = begin_of(whose, self._scope, effect.model)
        if isinstance(effect, Recall):
            turns = {}
            for turn in effect.names:
                held = store.find(begin + turn)
                if held is not None:
                    turns[turn] = held
            return self._recalled(effect, whose, turns)
        if isinstance(effect, Remember):
            memo = effect.memo
            return store.put(begin + memo.name, memo.turn, memo.turn.size)
        if isinstance(effect, Forget):
            self._suspect(effect, whose)
            return store.delete([begin + turn for turn in effect.names])
        return self._refuse(effect, whose)

    def _plan(self, effect: Carrying, whose: Whose) -> tuple[_Ask | None, Callable[[Any], Any]]:
        """Say what a store is asked for an effect, if anything, and what reads its answer."""
        model = effect.model
        until = time.monotonic() + self._seconds
        match effect:
            case Refuse():
                return None, lambda _: self._refuse(effect, whose)
            case Recall(names=turns):
                names = names_of(whose, self._scope, model, turns)
                known = self._recalled(effect, whose, {})
                ask = ("get", (names,)) if names and not (known.refused or known.stopped) else None
                return ask, lambda found: self._known(known, turns, names, found, until)
            case Remember(memo=memo):
                name = names_of(whose, self._scope, model, (memo.name,))[0]
                packed = self._packer.pack(name, memo.turn)
                if packed is None:
                    self._trouble.warn("a turn that is too big to be kept")
                    return None, _nothing
                return ("put", (name, packed)), _nothing
            case Forget(names=turns):
                self._suspect(effect, whose)
                return ("delete", (names_of(whose, self._scope, model, turns),)), _nothing

    def _refuse(self, effect: Refuse, whose: Whose) -> None:
        pair = server_of(whose), bounded(effect.model)
        if effect.what == "nothing":
            REFUSED.drop((*pair, "a turn"))
        else:
            REFUSED.remember((*pair, effect.what), _REFUSED_FOR)

    def _suspect(self, effect: Forget, whose: Whose) -> None:
        pair = server_of(whose), bounded(effect.model)
        again = REFUSED.holds((*pair, "a turn"))
        REFUSED.remember((*pair, "turns" if again else "a turn"), _REFUSED_FOR)

    def _recalled(self, effect: Recall, whose: Whose, turns: dict[str, ToolTurn]) -> Recalled:
        if not REFUSED:
            return Recalled(turns) if turns else NOTHING
        server, model = server_of(whose), bounded(effect.model)
        if REFUSED.holds((server, model, "encrypted")):
            return Recalled(refused=True)
        if REFUSED.holds((server, model, "turns")):
            return Recalled(stopped=True)
        with_ids, suspect = (REFUSED.holds((server, model, what)) for what in ("no ids", "a turn"))
        return Recalled(turns, with_ids=with_ids, suspect=suspect)

    def _known(self, known: Recalled, turns: tuple[str, ...], names: list[str], found: Any, until: float) -> Recalled:
        return known._replace(turns=self._read(turns, names, found, until)) if found else known

    def _read(self, turns: tuple[str, ...], names: list[str], found: Any, until: float) -> dict[str, ToolTurn]:
        """Read what a store has found, the newest turns first, while there is time and room: others may have written it."""
        read: dict[str, ToolTurn] = {}
        if not isinstance(found, Mapping):
            self._trouble.warn("an answer that isn't a mapping")
            return read
        room, items = MAX_TOTAL, _MAX_ITEMS
        for turn, name in zip(reversed(turns), reversed(names), strict=True):
            if time.monotonic() > until:
                self._trouble.warn("more than can be read in time")
                break
            try:
                value = found.get(name)
                if value is None:
                    continue
                one = self._packer.unpack(name, value, min(room, MAX_TEXT))
            except ValueError as error:
                self._trouble.warn(f"a value that can't be read ({error})")
                continue
            except Exception as error:  # noqa: BLE001  # a mapping of the program's own
                self._trouble.warn(f"a value that can't be read ({type(error).__name__})")
                continue
            room, items = room - one.size, items - sum(map(len, one.before))
            if room < 0 or items < 0:
                self._trouble.warn("more than fits into a request")
                break
            read[turn] = one
        return read

    def _answer(self, ask: _Ask) -> Any:
        """Ask the store. A store in trouble has nothing."""
        method, arguments = ask
        store = self.store
        if self._trouble.resting:
            return None
        try:
            if getattr(store, "bounded", False):
                result = getattr(store, method)(*arguments)
            else:
                running = THREADS.start(lambda: getattr(store, method)(*arguments))
                try:
                    result = running.result(self._seconds)
                finally:
                    running.cancel()
        except Exception as error:  # noqa: BLE001  # whatever a store raises: it costs continuity, never the call
            self._trouble.failed(error)
            return None
        self._trouble.over()
        return result

    async def _aanswer(self, ask: _Ask) -> Any:
        """Ask the store. See _answer."""
        method, arguments = ask
        if self._trouble.resting:
            return None
        try:
            async with _deadline(self._seconds):
                result = await getattr(self.store, "a" + method)(*arguments)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the caller's own
            self._trouble.failed(error)
            return None
        except Exception as error:  # noqa: BLE001  # as above
            self._trouble.failed(error)
            return None
        self._trouble.over()
        return result

    def forget(self, *, scope: str | None, conversation: str | None) -> int:
        """Forget a `memory_scope`, a conversation, or one in the other; return how many turns there were. Raises what the store raises."""
        gone: int = self.store.forget(pattern_of(scope, conversation))
        return gone

    async def aforget(self, *, scope: str | None, conversation: str | None) -> int:
        """Forget a `memory_scope`, a conversation, or one in the other. See forget."""
        pattern = pattern_of(scope, conversation)
        if isinstance(self.store, InProcess):
            return self.store.forget(pattern)
        gone: int = await self.store.aforget(pattern)
        return gone


def _deadline(seconds: float) -> Any:
    """Bound what is done in a block; raises TimeoutError. anyio's way, which the SDK's other event loops need, costs more."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _anyios_deadline(seconds)
    return asyncio.timeout(seconds)


@asynccontextmanager
async def _anyios_deadline(seconds: float) -> AsyncIterator[None]:
    import anyio  # the SDK has imported it: its event loop may be trio's

    with anyio.fail_after(seconds):
        yield


@in_forked_child  # a thread that the child doesn't have may hold the lock
def _begin_anew() -> None:
    global _PROCESS  # noqa: PLW0603
    _PROCESS = object()
