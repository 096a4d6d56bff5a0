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

from adapter._exchange.stream import BUG_FRAME
from adapter._runtime.call_context import EXTERNAL_ERROR
from adapter._runtime.decisions import remember_id
from adapter._runtime.internal_errors import is_adapter_error

_Response: Any = object  # the library's own stands behind it; see made_by


class FastResponse(_Response):  # type: ignore[misc]  # a base that is known at run time
    """A reply with a stream of ours; `whole` is its body where that is known, `value` what stands in it as JSON."""

    _library_class: Any  # the library's own class
    _bound_class: Any  # what its clients put around a reply's stream, to take the time
    _async_bound_class: Any
    _stream_error: Any  # what reading raises where there is nothing to be read any more
    _request_error: Any  # what reading raises, to be told the request
    _closes_on_error: (
        bool  # where reading fails, or is left, too; httpx 0.28 and older leave the reply open then
    )

    _body: Any = None
    _whole_body: bytes | None = None
    _json_value: Any = None
    _performer: Any = None  # that brought it

    def _reads_directly(self, bound: Any) -> bool:
        """Tell whether the body is still to be read, in sync code or in async code as `bound` is, and ours to be read by itself."""
        if self.is_stream_consumed or self.is_closed or "_content" in self.__dict__:
            return False
        return type(self.stream) is bound and self.stream._stream is self._body

    def _mark_consumed(self, size: int = 0) -> None:
        self.is_stream_consumed = True
        self._num_bytes_downloaded = size

    def read(self) -> bytes:
        """Read and return the body."""
        try:
            if self._whole_body is not None and self._reads_directly(self._bound_class):
                self._content = self._whole_body
                self._mark_consumed(len(self._whole_body))
                self.close()
                return self._whole_body
        except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
            self._handle_error(bug)
        body: bytes = super().read()
        return body

    async def aread(self) -> bytes:
        """Read and return the body."""
        try:
            if self._whole_body is not None and self._reads_directly(self._async_bound_class):
                self._content = self._whole_body
                self._mark_consumed(len(self._whole_body))
                await self.aclose()
                return self._whole_body
        except Exception as bug:  # noqa: BLE001  # raised there, where that is wanted
            self._handle_error(bug)
        body: bytes = await super().aread()
        return body

    def json(self, **options: Any) -> Any:
        """Return the body's JSON; what it was made of, where nobody has asked for it yet."""
        if self._json_value is None or options or "_content" not in self.__dict__:
            return super().json(**options)
        value, self._json_value = self._json_value, None
        if (
            self._performer is not None and not self._performer.context.by_client
        ):  # a client of ours names what it makes
            with suppress(Exception):  # the answer is worth more than what is known of it
                remember_id(self._performer.context.state, value.get("id"))
        return value

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Give the body's bytes as they come."""
        given: Iterator[bytes] = (
            self._pieces() if chunk_size is None else super().iter_bytes(chunk_size)
        )
        return given

    def _pieces(self) -> Iterator[bytes]:
        straight = False
        try:
            straight = self._reads_directly(self._bound_class)
            if not straight:
                yield from super().iter_bytes()
                return
            self._mark_consumed()
            for data in self._body:
                self._num_bytes_downloaded += len(data)
                if data:
                    yield data
        except self._request_error as error:
            self._set_request(error)
            raise
        except Exception as bug:  # noqa: BLE001  # as above
            self._handle_error(bug, reading=True)
            yield BUG_FRAME
        finally:
            if straight and self._closes_on_error:
                self.close()
        self.close()

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Give the body's bytes as they come."""
        given: AsyncIterator[bytes] = (
            self._async_pieces() if chunk_size is None else super().aiter_bytes(chunk_size)
        )
        return given

    async def _async_pieces(self) -> AsyncIterator[bytes]:
        straight = False
        try:
            straight = self._reads_directly(self._async_bound_class)
            if not straight:
                async for data in super().aiter_bytes():
                    yield data
                return
            self._mark_consumed()
            async for data in self._body:
                self._num_bytes_downloaded += len(data)
                if data:
                    yield data
        except self._request_error as error:
            self._set_request(error)
            raise
        except Exception as bug:  # noqa: BLE001  # as above
            self._handle_error(bug, reading=True)
            yield BUG_FRAME
        finally:
            if straight and self._closes_on_error:
                await self.aclose()
        await self.aclose()

    def _handle_error(self, bug: Exception, *, reading: bool = False) -> None:
        """Raise an exception that isn't the adapter's, or is to be raised; a bug while a stream is read ends it with an error."""
        performer = self._performer
        if (
            performer is None
            or hasattr(bug, EXTERNAL_ERROR)
            or performer.context.router.settings.on_bug == "raise"
        ):
            raise bug
        if isinstance(bug, self._stream_error) or not is_adapter_error(bug):
            raise bug
        if reading:
            with suppress(Exception):
                performer.stream_ended("APIError")

    def _set_request(self, error: Any) -> None:
        if self._request is not None:
            error.request = self._request

    def __getstate__(self) -> Any:
        # A copy is one of the library's own replies, and has nothing of ours.
        return {
            name: value
            for name, value in super().__getstate__().items()
            if name not in ("_body", "_whole_body", "_json_value", "_performer")
        }

    def __reduce_ex__(self, protocol: Any) -> Any:
        # As objects are pickled by the first protocols, which need nothing of ours to be read.
        return copyreg._reconstructor, (self._library_class, object, None), self.__getstate__()  # type: ignore[attr-defined]


def fast_response_class(module: Any) -> Any:
    """Return the class of the replies that are made for an HTTP library."""
    client = getattr(module, "_client", None)
    attributes = {
        "_library_class": module.Response,
        "_bound_class": getattr(client, "BoundSyncStream", None),
        "_async_bound_class": getattr(client, "BoundAsyncStream", None),
        "_request_error": module.RequestError,
        "_stream_error": module.StreamError,
        "_closes_on_error": _closes_on_error(module),
        "__module__": module.Response.__module__,
        "__doc__": module.Response.__doc__,
    }
    return type("Response", (FastResponse, module.Response), attributes)


def _closes_on_error(module: Any) -> bool:
    """Tell whether a library closes a reply that it fails to read."""

    def broken(_: object) -> Iterator[bytes]:
        raise module.ReadError("")

    reply = module.Response(
        200, stream=type("Broken", (module.SyncByteStream,), {"__iter__": broken})()
    )
    with suppress(module.ReadError):
        list(reply.iter_raw())
    return bool(reply.is_closed)
