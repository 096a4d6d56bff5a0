"""Replies that are made here: the HTTP library's `Response`, which reads its own body faster.

A `Response` reads through two generators, two context managers, two objects that cut pieces to
size, and what the client puts around the stream: for a short answer that takes longer than
translating it, and for an open stream it holds 2 KiB. A `FastResponse` gives the same bytes, sets
the same attributes and closes at the same moments in one step. It does so only if its stream wasn't
replaced or wrapped, and leaves everything else to the library's methods (httpx 0.27 to httpx2
2.16).
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

_Response: Any = object  # the library's class follows it in the MRO; see fast_response_class


class FastResponse(_Response):  # type: ignore[misc]  # a base that is known at run time
    """A reply with a stream of the adapter.

    `_whole_body` is its body if that is known, `_json_value` the JSON in it.
    """

    _library_class: Any  # `Response`
    _bound_class: Any  # what its clients put around a reply's stream, to measure the time
    _async_bound_class: Any
    _stream_error: Any  # raised by reading a consumed or closed reply
    _request_error: Any  # raised by reading; it gets the request as an attribute
    _closes_on_error: bool  # httpx 0.28 and older leave a reply open whose reading fails

    _body: Any = None
    _whole_body: bytes | None = None
    _json_value: Any = None
    _performer: Any = None  # of its request

    def _reads_directly(self, bound: Any) -> bool:
        """Return whether the body is unread, and its stream isn't replaced or wrapped.

        `bound` is the library's wrapper in sync or async code.
        """
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
        except Exception as bug:  # noqa: BLE001  # raised there, if the settings say so
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
        except Exception as bug:  # noqa: BLE001  # raised there, if the settings say so
            self._handle_error(bug)
        body: bytes = await super().aread()
        return body

    def json(self, **options: Any) -> Any:
        """Return the body's JSON; the first time without parsing."""
        if self._json_value is None or options or "_content" not in self.__dict__:
            return super().json(**options)
        value, self._json_value = self._json_value, None
        # An adapted client does this for the object that it makes.
        if self._performer is not None and not self._performer.context.by_client:
            with suppress(Exception):  # the answer is worth more than its record
                remember_id(self._performer.context.state, value.get("id"))
        return value

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield the body's bytes as they come."""
        given: Iterator[bytes] = (
            self._pieces() if chunk_size is None else super().iter_bytes(chunk_size)
        )
        return given

    def _pieces(self) -> Iterator[bytes]:
        direct = False
        try:
            direct = self._reads_directly(self._bound_class)
            if not direct:
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
            if direct and self._closes_on_error:
                self.close()
        self.close()

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they come."""
        given: AsyncIterator[bytes] = (
            self._async_pieces() if chunk_size is None else super().aiter_bytes(chunk_size)
        )
        return given

    async def _async_pieces(self) -> AsyncIterator[bytes]:
        direct = False
        try:
            direct = self._reads_directly(self._async_bound_class)
            if not direct:
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
            if direct and self._closes_on_error:
                await self.aclose()
        await self.aclose()

    def _handle_error(self, bug: Exception, *, reading: bool = False) -> None:
        """Raise an exception, unless it is a bug of the adapter that isn't to be raised.

        A stream in which such a bug occurs ends with an error frame.
        """
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
        # A copy is a plain reply of the library.
        return {
            name: value
            for name, value in super().__getstate__().items()
            if name not in ("_body", "_whole_body", "_json_value", "_performer")
        }

    def __reduce_ex__(self, protocol: Any) -> Any:
        # As pickle protocols 0 and 1 do it, so that the adapter isn't needed to unpickle it.
        rebuild = copyreg._reconstructor  # type: ignore[attr-defined]
        return rebuild, (self._library_class, object, None), self.__getstate__()


def fast_response_class(module: Any) -> Any:
    """Return the class of the replies that are made here for an HTTP library."""
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
    """Return whether a library closes a reply that it fails to read."""

    def broken(_: object) -> Iterator[bytes]:
        raise module.ReadError("")

    reply = module.Response(
        200, stream=type("Broken", (module.SyncByteStream,), {"__iter__": broken})()
    )
    with suppress(module.ReadError):
        list(reply.iter_raw())
    return bool(reply.is_closed)
