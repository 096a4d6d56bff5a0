"""`redis://…`, `unix://…`: a store in one server, asked in the caller's own thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from adapter._util.watchdog import Watchdog
from adapter._util.worker_threads import await_future

from .redis import INHERITED, PREFIX, RedisClientStore, library, raise_errors, server_client
from .store import MAX_TOTAL, MAX_VALUE, THREADS
from .urls import StoreLocation

_Command = tuple[str | bytes | int, ...]


class RedisServerStore(RedisClientStore):
    """Keep values in one server, each for `age` seconds.

    A call sends its commands at once, on an open connection of redis-py in its caller's thread, and
    takes at most `seconds`. Where no connection is open a worker thread opens one, since nothing
    bounds the lookup of a host's name. TLS isn't possible here: a watchdog closes a late
    connection, and TLS may still read from what the system opens in its place.
    """

    bounded = True

    def __init__(self, make: Callable[[], Any], *, seconds: float, age: float) -> None:
        super().__init__(make, age=age)
        self._seconds, self._closed_error = seconds, library().ConnectionError
        self._start_empty()

    def _start_empty(self) -> None:
        self._idle: list[Any] = []  # open connections, the last one used at the end
        self._watchdog = Watchdog(self._seconds, "adapter-memory-watchdog")

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values found, by name."""
        return _values_found(names, self._call(_get_commands(names)))

    async def aget(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values found, by name."""
        return _values_found(names, await self._acall(_get_commands(names)))

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        self._call([self._put_command(name, value)])

    async def aput(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        await self._acall([self._put_command(name, value)])

    def delete(self, names: Sequence[str]) -> None:
        """Delete values."""
        self._call([("UNLINK", *[PREFIX + name for name in names])])

    async def adelete(self, names: Sequence[str]) -> None:
        """Delete values."""
        await self._acall([("UNLINK", *[PREFIX + name for name in names])])

    def _put_command(self, name: str, value: bytes) -> _Command:
        return ("SET", PREFIX + name, value, "PX", int(self._age * 1000))

    def _call(self, commands: list[_Command]) -> list[Any]:
        until = time.monotonic() + self._seconds
        connection = self._take_idle()
        if connection is not None:
            try:
                return self._exchange(connection, commands)
            except self._closed_error:  # by the server, since its last use
                pass
        running = THREADS.start(lambda: self._exchange(self._connect(), commands))
        try:
            answers: list[Any] = running.result(max(until - time.monotonic(), 0.0))
        finally:
            running.cancel()
        return answers

    async def _acall(self, commands: list[_Command]) -> list[Any]:
        answers: list[Any] = await await_future(THREADS.start(lambda: self._call_here(commands)))
        return answers

    def _call_here(self, commands: list[_Command]) -> list[Any]:
        """Call the server in a worker thread, which may open a connection."""
        connection = self._take_idle()
        if connection is not None:
            with suppress(self._closed_error):
                return self._exchange(connection, commands)
        return self._exchange(self._connect(), commands)

    def _take_idle(self) -> Any:
        """Return an open connection, which the server may have closed, or None."""
        if self._pid != os.getpid():
            self._reset_after_fork()
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> Any:
        """Open a connection.

        Making it by the pool would count it as the pool's, in use forever.
        """
        pool = self._get_client().connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        try:
            connection.connect()
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _exchange(self, connection: Any, commands: list[_Command]) -> list[Any]:
        """Send commands, and return the answers. Raises TimeoutError.

        The connection is kept only if all answers were read in time.
        """
        idle, watchdog, interrupt = self._idle, self._watchdog, connection.disconnect
        in_time = True
        try:
            watchdog.start(interrupt)
            try:
                connection.send_packed_command(
                    [b"".join(map(_encode, commands))], check_health=False
                )
                answers = _read_answers(connection, len(commands))
            finally:
                in_time = watchdog.stop(interrupt)
        except BaseException as error:
            connection.disconnect()
            if isinstance(error, Exception) and not in_time:
                raise TimeoutError from None
            raise
        if len(answers) < len(commands) or not in_time:
            connection.disconnect()  # the rest is left unread
        else:
            idle.append(connection)
        return answers

    def _open(self) -> None:
        """Connect ahead of the first call."""
        connection = self._take_idle() or self._connect()
        self._idle.append(connection)

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        if self._pid != os.getpid():
            self._reset_after_fork()
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().disconnect()
        super().close()

    def _reset_after_fork(self) -> None:
        INHERITED.append(self._idle)  # both processes would read each other's answers
        super()._reset_after_fork()
        self._start_empty()


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
    found = {
        name: value
        for name, value in zip(reversed(names), answers, strict=False)
        if value and isinstance(value, bytes)
    }
    if not found:
        raise_errors(answers)
    return found


def _read_answers(connection: Any, count: int) -> list[Any]:
    """Read `count` answers, or fewer if they are too large together.

    An error is raised if it is the only answer, and is returned in its place otherwise.
    """
    answers: list[Any] = []
    room = MAX_TOTAL
    for _ in range(count):
        if room < 0:
            break
        try:
            answer = connection.read_response()
        except library().ResponseError as error:
            if count == 1:
                raise
            answer = error
        room -= len(answer) if isinstance(answer, bytes) else 0
        answers.append(answer)
    return answers


def make_store(location: StoreLocation, seconds: float) -> RedisServerStore:
    """Make the store of a server."""
    library()  # importing it takes more time than a call has
    return RedisServerStore(
        lambda: server_client(location, seconds), seconds=seconds, age=location.age
    )
