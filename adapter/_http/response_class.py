"""The replies that a door makes: the HTTP library's own `Response`, reading a body that is at hand without the library's detours.

A `Response` reads by way of two generators of its own, two of its context managers, two objects that cut pieces to size, and what the client
puts around the stream: for a short answer that takes longer than translating it, and for an open stream it holds 2 KiB. Made
replies give the same bytes, set the same attributes and close at the same moments in one step; only where nobody has put a
stream of his own in between, and with the library's own methods for everything else (httpx 0.27 to httpx2 2.16, `_models.py`).
"""

from __future__ import annotations

import copyreg
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from adapter._exchange.stream import BUG
from adapter._runtime.call_context import PASSED_ON
from adapter._runtime.decisions import name
from adapter._runtime.internal_errors import is_ours

_Response: Any = object  # the library's own stands behind it; see made_by


class Made(_Response):  # type: ignore[misc]  # a base that is known at run time
    """A reply with a stream of ours; `whole` is its body where that is known, `value` what stands in it as JSON."""

    _plain: Any  # the library's own class
    _bound: Any  # what its clients put around a reply's stream, to take the time
    _abound: Any
    _unread: Any  # what reading raises where there is nothing to be read any more
    _failure: Any  # what reading raises, to be told the request
    _closes: bool  # where reading fails, or is left, too; httpx 0.28 and older leave the reply open then

    _ours: Any = None
    _whole: bytes | None = None
    _value: Any = None
    _trip: Any = None  # that brought it

    def _straight(self, bound: Any) -> bool:
        """Tell whether the body is still to be read, in sync code or in async code as `bound` is, and ours to be read by itself."""
        if self.is_stream_consumed or self.is_closed or "_content" in self.__dict__:
            return False
        return type(self.stream) is bound and self.stream._stream is self._ours

    def _begin(self, size: int = 0) -> None:
        self.is_stream_consumed = True
        self._num_bytes_downloaded = size

    def read(self) -> bytes:
        """Read and return the body."""
        try:
            if self._whole is not None and self._straight(self._bound):
                self._content = self._whole
                self._begin(len(self._whole))
                self.close()
                return self._whole
        except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
            self._passed(bug)
        body: bytes = super().read()
        return body

    async def aread(self) -> bytes:
        """Read and return the body."""
        try:
            if self._whole is not None and self._straight(self._abound):
                self._content = self._whole
                self._begin(len(self._whole))
                await self.aclose()
                return self._whole
        except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
            self._passed(bug)
        body: bytes = await super().aread()
        return body

    def json(self, **options: Any) -> Any:
        """Return the body's JSON; what it was made of, where nobody has asked for it yet."""
        if self._value is None or options or "_content" not in self.__dict__:
            return super().json(**options)
        value, self._value = self._value, None
        if self._trip is not None and not self._trip.ticket.by_client:  # a client of ours names what it makes
            with suppress(Exception):  # the answer is worth more than what is known of it
                name(self._trip.ticket.journal, value.get("id"))
        return value

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Give the body's bytes as they come."""
        given: Iterator[bytes] = self._pieces() if chunk_size is None else super().iter_bytes(chunk_size)
        return given

    def _pieces(self) -> Iterator[bytes]:
        straight = False
        try:
            straight = self._straight(self._bound)
            if not straight:
                yield from super().iter_bytes()
                return
            self._begin()
            for data in self._ours:
                self._num_bytes_downloaded += len(data)
                if data:
                    yield data
        except self._failure as error:
            self._tell(error)
            raise
        except Exception as bug:  # noqa: BLE001  # as above
            self._passed(bug, reading=True)
            yield BUG
        finally:
            if straight and self._closes:
                self.close()
        self.close()

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Give the body's bytes as they come."""
        given: AsyncIterator[bytes] = self._apieces() if chunk_size is None else super().aiter_bytes(chunk_size)
        return given

    async def _apieces(self) -> AsyncIterator[bytes]:
        straight = False
        try:
            straight = self._straight(self._abound)
            if not straight:
                async for data in super().aiter_bytes():
                    yield data
                return
            self._begin()
            async for data in self._ours:
                self._num_bytes_downloaded += len(data)
                if data:
                    yield data
        except self._failure as error:
            self._tell(error)
            raise
        except Exception as bug:  # noqa: BLE001  # as above
            self._passed(bug, reading=True)
            yield BUG
        finally:
            if straight and self._closes:
                await self.aclose()
        await self.aclose()

    def _passed(self, bug: Exception, *, reading: bool = False) -> None:
        """Raise an exception that isn't the adapter's, or is to be raised; a bug while a stream is read ends it with an error."""
        trip = self._trip
        if trip is None or hasattr(bug, PASSED_ON) or trip.ticket.router.settings.on_bug == "raise":
            raise bug
        if isinstance(bug, self._unread) or not is_ours(bug):
            raise bug
        if reading:
            with suppress(Exception):
                trip.over("APIError")

    def _tell(self, error: Any) -> None:
        if self._request is not None:
            error.request = self._request

    def __getstate__(self) -> Any:
        # A copy is one of the library's own replies, and has nothing of ours.
        return {
            name: value
            for name, value in super().__getstate__().items()
            if name not in ("_ours", "_whole", "_value", "_trip")
        }

    def __reduce_ex__(self, protocol: Any) -> Any:
        # As objects are pickled by the first protocols, which need nothing of ours to be read.
        return copyreg._reconstructor, (self._plain, object, None), self.__getstate__()  # type: ignore[attr-defined]


def made_by(module: Any) -> Any:
    """Return the class of the replies that are made for an HTTP library."""
    client = getattr(module, "_client", None)
    attributes = {
        "_plain": module.Response,
        "_bound": getattr(client, "BoundSyncStream", None),
        "_abound": getattr(client, "BoundAsyncStream", None),
        "_failure": module.RequestError,
        "_unread": module.StreamError,
        "_closes": _closes(module),
        "__module__": module.Response.__module__,
        "__doc__": module.Response.__doc__,
    }
    return type("Response", (Made, module.Response), attributes)


def _closes(module: Any) -> bool:
    """Tell whether a library closes a reply that it fails to read."""

    def broken(_: object) -> Iterator[bytes]:
        raise module.ReadError("")

    reply = module.Response(200, stream=type("Broken", (module.SyncByteStream,), {"__iter__": broken})())
    with suppress(module.ReadError):
        list(reply.iter_raw())
    return bool(reply.is_closed)
