"""`redis://…`, `rediss://…`, `unix://…`: a store for many machines, in one Redis server."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from adapter._util.worker_threads import await_future
from adapter.errors import MissingExtra

from .store import MAX_TOTAL, MAX_VALUE, OPEN_TIMEOUT, THREADS, Store

PREFIX = "adapter:"
_FRESH_SECONDS = 1.0  # for which an idle connection is assumed to be open
_BUFFER_BYTES = 32_768  # more may not fit into a socket's buffer
_INHERITED: list[Any] = []  # connections of a parent process, which must not be closed here

_Command = tuple[str | bytes | int, ...]


class RedisStore(Store):
    """Keep values in a Redis server, each for `age` seconds.

    The server decides how much is kept (`maxmemory`, `maxmemory-policy`). `seconds` bounds
    connecting, and each answer; nothing is retried. Every method but `forget`, which scans all keys
    (SCAN), is one round trip. Async callers use the sync ones' connections, watched by their event
    loop, or threads: a client of `redis.asyncio` belongs to one event loop, and can't be closed
    when that one ends. Raises redis.RedisError.
    """

    def __init__(self, url: str, *, seconds: float, age: float) -> None:
        self._url, self._seconds, self._age = url, seconds, age
        self._secure = url.startswith("rediss:")
        self._client: Any = None
        self._idle: deque[tuple[Any, float]] = deque()  # with the time of their last use
        self._pid = os.getpid()
        # Without a connection the host's name must be looked up, which nothing bounds.
        self.bounded = False

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values found, by name."""
        return _values_found(names, self._execute(_get_commands(names)))

    async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values found, by name."""
        return _values_found(names, await self._aexecute(_get_commands(names)))

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        self._execute(self._put_commands(name, value))

    async def aput(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        if len(value) > _BUFFER_BYTES:
            await super().aput(name, value)
        else:
            await self._aexecute(self._put_commands(name, value))

    def delete(self, names: Sequence[str]) -> None:
        """Delete values."""
        self._execute(_delete_commands(names))

    async def adelete(self, names: Sequence[str]) -> None:
        """Delete values."""
        await self._aexecute(_delete_commands(names))

    def _put_commands(self, name: str, value: bytes) -> list[_Command]:
        return [("SET", PREFIX + name, value, "PX", int(self._age * 1000))]

    def _execute(self, commands: list[_Command]) -> list[Any]:
        """Send commands on a connection of our own; return the answers.

        redis-py's own client costs more than the server's answer.
        """
        connection = self._take_idle() or self._new_connection()
        try:
            _send(connection, commands)
            answers = self._read_answers(connection, len(commands))
            self.bounded = True
            return answers
        except BaseException:
            self.bounded = False
            connection.disconnect()  # a late answer must not reach the next caller
            raise
        finally:
            self._idle.append((connection, time.monotonic()))

    async def _aexecute(self, commands: list[_Command]) -> list[Any]:
        """Send commands without a thread, on an open connection that this event loop can watch.

        A thread costs several times as much as the request. Blocking calls are left: sending, which
        fits into the system's buffers, and reading an answer to its end once it has begun.
        """
        watched = self._take_watched() if len(commands) < _BUFFER_BYTES // 128 else None
        if watched is None:
            answers: list[Any] = await await_future(THREADS.start(lambda: self._execute(commands)))
            return answers
        connection, wait = watched
        try:
            _send(connection, commands)
            await wait()
            return self._read_answers(connection, len(commands))
        except BaseException:  # also a task that is cancelled
            self.bounded = False
            connection.disconnect()
            raise
        finally:
            self._idle.append((connection, time.monotonic()))

    def _read_answers(self, connection: Any, count: int) -> list[Any]:
        """Read `count` answers, within bounds of time and bytes.

        An error is raised if it is the only answer, and is returned in its place otherwise.
        """
        answers: list[Any] = []
        until, room = time.monotonic() + self._seconds, MAX_TOTAL
        for _ in range(count):
            if answers and time.monotonic() > until:
                raise TimeoutError
            if room < 0:
                connection.disconnect()  # the rest is left unread
                break
            try:
                answer = connection.read_response()
            except Exception as error:
                if count == 1 or not isinstance(error, library().ResponseError):
                    raise
                answer = error
            room -= len(answer) if isinstance(answer, bytes) else 0
            answers.append(answer)
        return answers

    def _take_idle(self) -> Any:
        """Return an idle connection, or None; one that the server has closed is disconnected.

        A disconnected one connects again when it is written to.
        """
        self._reset_after_fork()
        try:
            connection, since = self._idle.pop()
        except IndexError:
            return None
        if time.monotonic() - since > _FRESH_SECONDS:
            try:
                dead = connection.can_read()  # closed, or with an unexpected answer
            except Exception:  # noqa: BLE001  # the library raises many kinds
                dead = True
            if dead:
                connection.disconnect()
        return connection

    def _reset_after_fork(self) -> None:
        """Drop the parent process's connections (docs/decisions.md#forks).

        Both processes would read each other's answers.
        """
        if self._pid != os.getpid():
            _INHERITED.append((self._idle, self._client))
            self._idle, self._client, self._pid = deque(), None, os.getpid()

    def _take_watched(self) -> tuple[Any, Callable[[], Awaitable[None]]] | None:
        """Return an open connection and a function that waits for its answer; else None.

        A thread is needed for event loops other than asyncio's, on Windows (whose event loop
        watches no sockets), for TLS (whose socket may be readable without an answer), and for the
        first connection.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        connection = None if self._secure else self._take_idle()
        if connection is None:
            return None
        # Private, in redis-py 5.3 to 8.1; None once the connection was closed.
        sock: Any = getattr(connection, "_sock", None)

        async def wait() -> None:
            readable = loop.create_future()
            descriptor = sock.fileno()  # given the socket, asyncio would format its addresses
            loop.add_reader(descriptor, _resolve, readable)
            try:
                await readable
            finally:
                loop.remove_reader(descriptor)

        if sock is not None and type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader:
            return connection, wait
        self._idle.append((connection, time.monotonic()))
        return None

    def forget(self, pattern: str) -> int:
        """Delete every value whose name matches a pattern; return their number."""
        self._reset_after_fork()
        client, deleted = self._get_client(), 0
        batch: list[bytes] = []
        for name in client.scan_iter(match=PREFIX + pattern, count=1000):
            batch.append(name)
            if len(batch) == 1000:
                deleted += client.unlink(*batch)
                batch = []
        return deleted + (client.unlink(*batch) if batch else 0)

    def _open(self) -> None:
        """Connect ahead of the first call.

        The lookup of the host's name and the handshakes take longer than an answer.
        """
        self._reset_after_fork()
        if self._idle:
            return
        connection = self._new_connection()
        timeouts = connection.socket_timeout, connection.socket_connect_timeout
        connection.socket_timeout = connection.socket_connect_timeout = max(
            OPEN_TIMEOUT, self._seconds
        )
        try:
            connection.connect()
        except BaseException:
            connection.disconnect()
            raise
        connection.socket_timeout, connection.socket_connect_timeout = timeouts
        connection._sock.settimeout(self._seconds)
        connection._parser.on_connect(connection)  # the parser holds the timeout, too
        self.bounded = True
        self._idle.append((connection, time.monotonic()))

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        self._reset_after_fork()
        client, self._client = self._client, None
        while self._idle:
            self._idle.pop()[0].disconnect()
        if client is not None:
            client.close()

    def _new_connection(self) -> Any:
        """Make a connection, which is opened when it is written to.

        The pool's own method would count it as in use forever.
        """
        pool = self._get_client().connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    def _get_client(self) -> Any:
        if self._client is None:
            self._client = library().Redis.from_url(self._url, **client_timeouts(self._seconds))
        return self._client


def client_timeouts(seconds: float, retries: int = 0) -> dict[str, Any]:
    """Return the arguments that bound a client's time.

    By default redis-py retries with pauses, and a server that is down would cost a call seconds.
    """
    redis = library()
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), retries)
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": retry}


def _send(connection: Any, commands: list[_Command]) -> None:
    connection.send_packed_command([b"".join(map(_encode, commands))], check_health=False)


def _encode(command: _Command) -> bytes:
    """Encode a command for the wire; the library's own encoder takes several times as long."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"*%d\r\n%b" % (
        len(words),
        b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]),
    )


def _get_commands(names: Sequence[str]) -> list[_Command]:
    # A range, since others may have written half a gigabyte. The newest first, as many as fit.
    return [("GETRANGE", PREFIX + name, 0, MAX_VALUE) for name in reversed(names)]


def _values_found(names: Sequence[str], answers: list[Any]) -> Mapping[str, bytes]:
    pairs = zip(reversed(names), answers, strict=False)
    return {name: value for name, value in pairs if isinstance(value, bytes) and value}


def _delete_commands(names: Sequence[str]) -> list[_Command]:
    return [("UNLINK", *[PREFIX + name for name in names])]


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def library() -> Any:
    """Return the module `redis`. Raises MissingExtra if it isn't installed."""
    try:
        import redis
        import redis.backoff
        import redis.cluster
        import redis.connection
        import redis.retry
        import redis.sentinel
    except ImportError:
        raise MissingExtra("redis:// needs redis-py (extra `redis`)") from None
    return redis
