"""`redis://…`, `rediss://…`, `unix://…`: what the processes of many machines remember, in one server."""

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
_FRESH_SECONDS = 1.0  # seconds, for which an idle connection is taken to be open
_BUFFER_BYTES = 32_768  # bytes; more than that may not fit into a socket's buffer
_INHERITED: list[Any] = []  # connections of a parent process, which must not be closed here

_Command = tuple[str | bytes | int, ...]


class RedisStore(Store):
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
        self._idle: deque[tuple[Any, float]] = deque()  # and since when
        self._pid = os.getpid()
        self.bounded = False  # before there is a connection the name of the host must be looked up, which nothing bounds

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        return _values_found(names, self._execute(_get_commands(names)))

    async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
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
        """Forget values."""
        self._execute(_delete_commands(names))

    async def adelete(self, names: Sequence[str]) -> None:
        """Forget values."""
        await self._aexecute(_delete_commands(names))

    def _put_commands(self, name: str, value: bytes) -> list[_Command]:
        return [("SET", PREFIX + name, value, "PX", int(self._age * 1000))]

    def _execute(self, commands: list[_Command]) -> list[Any]:
        """Ask the server, on a connection that is kept here: the client's own way costs more than the server's answer does."""
        connection = self._take_idle() or self._new_connection()
        try:
            _send(connection, commands)
            answers = self._read_answers(connection, len(commands))
            self.bounded = True
            return answers
        except BaseException:
            self.bounded = False
            connection.disconnect()  # an answer may still come, to whoever asks next
            raise
        finally:
            self._idle.append((connection, time.monotonic()))

    async def _aexecute(self, commands: list[_Command]) -> list[Any]:
        """Ask the server without a thread where there is a connection already, whose socket this event loop can watch.

        A thread costs several times as much as asking. What blocks here are the system's own buffers: the command fits into them, and
        the answer, once it has begun, is read to its end.
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
        """Read answers while there is time and room for them. One that is an error stands in its place where there are others."""
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
        """Take a connection that nobody uses, if there is one; after a pause the server may have closed it, and it is opened again."""
        self._reset_after_fork()
        try:
            connection, since = self._idle.pop()
        except IndexError:
            return None
        if time.monotonic() - since > _FRESH_SECONDS:
            try:
                dead = connection.can_read()  # at its end, or with an answer that nobody asked for
            except Exception:  # noqa: BLE001  # the library's own, of any kind
                dead = True
            if dead:
                connection.disconnect()  # and is connected when it is written to
        return connection

    def _reset_after_fork(self) -> None:
        """Give up what was opened before a fork: both would read each other's answers."""
        if self._pid != os.getpid():
            _INHERITED.append((self._idle, self._client))
            self._idle, self._client, self._pid = deque(), None, os.getpid()

    def _take_watched(self) -> tuple[Any, Callable[[], Awaitable[None]]] | None:
        """Take a connected connection, and what waits for its answer; None where only a thread will do.

        Those are: other event loops than asyncio's, and Windows' (which watches no sockets); TLS, whose socket may have something to read
        that is no answer; and no connection so far.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        connection = None if self._secure else self._take_idle()
        if connection is None:
            return None
        sock: Any = getattr(
            connection, "_sock", None
        )  # private, in redis-py 5.3 to 8.1; None once it was closed

        async def wait() -> None:
            answered = loop.create_future()
            number = (
                sock.fileno()
            )  # of a socket itself asyncio would write out the addresses, each time
            loop.add_reader(number, _resolve, answered)
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
        self._reset_after_fork()
        client, gone = self._get_client(), 0
        some: list[bytes] = []
        for name in client.scan_iter(match=PREFIX + pattern, count=1000):
            some.append(name)
            if len(some) == 1000:
                gone += client.unlink(*some)
                some = []
        return gone + (client.unlink(*some) if some else 0)

    def _open(self) -> None:
        """Connect before anybody waits for it: to look up a name, to greet and to secure takes longer than to answer."""
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
        connection._parser.on_connect(connection)  # it keeps the time, too
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
        """Make a connection, which is opened when it is written to. The pool would have it down as in use for ever."""
        pool = self._get_client().connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    def _get_client(self) -> Any:
        if self._client is None:
            self._client = library().Redis.from_url(self._url, **client_timeouts(self._seconds))
        return self._client


def client_timeouts(seconds: float, tries: int = 0) -> dict[str, Any]:
    """Return what bounds a client: of its own accord it tries again, with pauses, and a server that is down would cost a call seconds."""
    redis = library()
    again = redis.retry.Retry(redis.backoff.NoBackoff(), tries)
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": again}


def _send(connection: Any, commands: list[_Command]) -> None:
    connection.send_packed_command([b"".join(map(_encode, commands))], check_health=False)


def _encode(command: _Command) -> bytes:
    """Write a command as the protocol has it; the library's own way takes several times as long."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"*%d\r\n%b" % (
        len(words),
        b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]),
    )


def _get_commands(names: Sequence[str]) -> list[_Command]:
    # A range, since others may have written half a gigabyte. The newest first, for what there is room for.
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
    """Return the library. Raises MissingExtra where it isn't installed."""
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
