"""`redis://…`, `rediss://…`: what the processes of many machines remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapter.errors import MissingExtra

from .base import Store

_PREFIX = "adapter:"


class Redis(Store):
    """Keep values in a Redis server, each for `age` seconds; every method but `forget` is one round trip.

    How much is kept is the server's to say (`maxmemory`, `maxmemory-policy`). `seconds` bounds connecting, and each answer; nothing is tried
    again. `forget` walks the server's names (SCAN). Async callers are served from threads: a client of `redis.asyncio` belongs to
    one event loop, and can't be closed when that one ends. Raises redis.RedisError.
    """

    def __init__(self, url: str, *, seconds: float, age: float) -> None:
        self._url, self._seconds, self._age = url, seconds, age
        self._client: Any = None
        self.bounded = (
            False  # before there is a connection the name of the host must be looked up, which nothing bounds
        )

    def get(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values that are there."""
        if len(names) == 1:  # a shorter answer to read
            value = self._ask("GET", _PREFIX + names[0])
            return {} if value is None else {names[0]: value}
        values = self._ask("MGET", *[_PREFIX + name for name in names])
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of an earlier one."""
        self._ask("SET", _PREFIX + name, value, "PX", int(self._age * 1000))

    def delete(self, names: Sequence[str]) -> None:
        """Forget values."""
        self._ask("UNLINK", *[_PREFIX + name for name in names])

    def _ask(self, *command: str | bytes | int) -> Any:
        """Ask the server: on a connection of the client's pool, since the client's own way costs half as much again."""
        pool = self._connected().connection_pool
        connection = pool.get_connection()
        try:
            connection.send_command(*command)
            answer = connection.read_response()
            self.bounded = True
            return answer
        except BaseException:
            self.bounded = False
            connection.disconnect()  # an answer may still come, to whoever asks next
            raise
        finally:
            pool.release(connection)

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


def library() -> Any:
    """Return the library. Raises MissingExtra where it isn't installed."""
    try:
        import redis
        import redis.backoff
        import redis.retry
    except ImportError:
        raise MissingExtra("redis:// needs redis-py: pip install 'chat-responses-adapter[redis]'") from None
    return redis
