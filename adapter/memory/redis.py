"""`redis://…`, `rediss://…`: what the processes of many machines remember."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from adapter.errors import MissingExtra
from adapter.threads import joined

from .base import THREADS, Store

_PREFIX = "adapter:"
_FRESH = 1.0  # seconds, for which an idle connection is taken to be open
_MUCH = 32_768  # bytes; more than that may not fit into a socket's buffer
_INHERITED: list[Any] = []  # connections of a parent process, which must not be closed here

_Command = tuple[str | bytes | int, ...]


class Redis(Store):
    """Keep values in a Redis server, each for `age` seconds; every method but `forget` is one round trip.

    How much is kept is the server's to say (`maxmemory`, `maxmemory-policy`). `seconds` bounds connecting, and each answer; nothing is tried
    again. `forget` walks the server's names (SCAN). Async callers share the sync ones' connections, which their event loop watches, or are
    served from threads: a client of `redis.asyncio` belongs to one event loop, and can't be closed when that one ends. Raises
    redis.RedisError.
    """

    def __init__(self, url: str, *, seconds: float, age: float) -> None:
        self._url, self._seconds, self._age = url, seconds, age
        self._secure = url.startswith("rediss:")
        self._client: Any = None
        self._idle: deque[tuple[Any, float]] = deque()  # and since when; the pool has them down as in use
        self._pid = os.getpid()
        self.bounded = (
            False  # before there is a connection the name of the host must be looked up, which nothing bounds
        )

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        return _found(names, self._ask(_getting(names)))

    async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        return _found(names, await self._aask(_getting(names)))

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        self._ask(self._putting(name, value))

    async def aput(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        if len(value) > _MUCH:
            await super().aput(name, value)
        else:
            await self._aask(self._putting(name, value))

    def delete(self, names: Sequence[str]) -> None:
        """Forget values."""
        self._ask(_deleting(names))

    async def adelete(self, names: Sequence[str]) -> None:
        """Forget values."""
        await self._aask(_deleting(names))

    def _putting(self, name: str, value: bytes) -> _Command:
        return "SET", _PREFIX + name, value, "PX", int(self._age * 1000)

    def _ask(self, command: _Command) -> Any:
        """Ask the server, on a connection that is kept here: the client's own way costs more than the server's answer does."""
        connection = self._take() or self._connected().connection_pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
            answer = connection.read_response()
            self.bounded = True
            return answer
        except BaseException:
            self.bounded = False
            connection.disconnect()  # an answer may still come, to whoever asks next
            raise
        finally:
            self._idle.append((connection, time.monotonic()))

    async def _aask(self, command: _Command) -> Any:
        """Ask the server without a thread where there is a connection already, whose socket this event loop can watch.

        A thread costs several times as much as asking. What blocks here are the system's own buffers: the command fits into them, and
        the answer, once it has begun, is read to its end.
        """
        watched = self._watched()
        if watched is None:
            return await joined(THREADS.start(lambda: self._ask(command)))
        connection, wait = watched
        try:
            connection.send_packed_command(connection.pack_command(*command), check_health=False)
            await wait()
            return connection.read_response()
        except BaseException:  # also a task that is cancelled
            self.bounded = False
            connection.disconnect()
            raise
        finally:
            self._idle.append((connection, time.monotonic()))

    def _take(self) -> Any:
        """Take a connection that nobody uses, if there is one; after a pause the server may have closed it, and it is opened again."""
        if self._pid != os.getpid():
            _INHERITED.append(self._idle)
            self._idle, self._pid = deque(), os.getpid()
        try:
            connection, since = self._idle.pop()
        except IndexError:
            return None
        if time.monotonic() - since > _FRESH:
            try:
                dead = connection.can_read()  # at its end, or with an answer that nobody asked for
            except Exception:  # noqa: BLE001  # the library's own, of any kind
                dead = True
            if dead:
                connection.disconnect()  # and is connected when it is written to
        return connection

    def _watched(self) -> tuple[Any, Callable[[], Awaitable[None]]] | None:
        """Take a connected connection, and what waits for its answer; None where only a thread will do.

        Those are: other event loops than asyncio's, and Windows' (which watches no sockets); TLS, whose socket may have something to read
        that is no answer; and no connection so far.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        connection = None if self._secure else self._take()
        if connection is None:
            return None
        sock: Any = getattr(connection, "_sock", None)  # private, in redis-py 5.3 to 8.1; None once it was closed

        async def wait() -> None:
            answered = loop.create_future()
            number = sock.fileno()  # of a socket itself asyncio would write out the addresses, each time
            loop.add_reader(number, _settle, answered)
            try:
                await answered
            finally:
                loop.remove_reader(number)

        if sock is not None and type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader:
            return connection, wait
        self._idle.append((connection, time.monotonic()))
        return None

    def forget(self, pattern: str) -> int:
        """Forget every value whose name matches a pattern; return how many there were."""
        client, gone = self._connected(), 0
        some: list[bytes] = []
        for name in client.scan_iter(match=_PREFIX + pattern, count=1000):
            some.append(name)
            if len(some) == 1000:
                gone += client.unlink(*some)
                some = []
        return gone + (client.unlink(*some) if some else 0)

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        client, self._client = self._client, None
        self._idle.clear()
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        if self._client is None:
            redis = library()
            # The client of its own accord tries again, with pauses: then a server that is down would cost a call seconds.
            never = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
            self._client = redis.Redis.from_url(
                self._url, socket_timeout=self._seconds, socket_connect_timeout=self._seconds, retry=never
            )
        return self._client


def _getting(names: Sequence[str]) -> _Command:
    if len(names) == 1:  # a shorter answer to read
        return "GET", _PREFIX + names[0]
    return ("MGET", *[_PREFIX + name for name in names])


def _found(names: Sequence[str], answer: Any) -> Mapping[str, bytes]:
    values = (answer,) if len(names) == 1 else answer
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _deleting(names: Sequence[str]) -> _Command:
    return ("UNLINK", *[_PREFIX + name for name in names])


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def library() -> Any:
    """Return the library. Raises MissingExtra where it isn't installed."""
    try:
        import redis
        import redis.backoff
        import redis.retry
    except ImportError:
        raise MissingExtra("redis:// needs redis-py: pip install 'chat-responses-adapter[redis]'") from None
    return redis
