"""The HTTP libraries that a request may come from: httpx2, and classic httpx with the same names.

Requests, replies and byte streams must be of the client's library, which the class of its request
shows (docs/mapping.md#http-libraries). No library is imported that the application hasn't imported.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from adapter._runtime.stream_iterators import AsyncStreamIterator, StreamIterator
from adapter.errors import AdapterError

_NAMES = ("httpx2", "httpx")


class HttpLibrary:
    """The classes of one HTTP library, and the adapter's byte streams as subclasses of its own."""

    def __init__(self, module: Any) -> None:
        self.name: str = module.__name__
        self.Request: Any = module.Request
        self.Response: Any = module.Response
        self.HTTPTransport: Any = module.HTTPTransport
        self.AsyncHTTPTransport: Any = module.AsyncHTTPTransport
        self.Headers: Any = module.Headers
        self.Limits: Any = module.Limits
        self.ByteStream: Any = module.ByteStream
        self.ReadError: Any = module.ReadError
        self.RemoteProtocolError: Any = module.RemoteProtocolError
        from .bodies import AsyncBody, Body, RequestBody
        from .observed_stream import ObservedStream
        from .replies import Reply

        self.Body: Any = type("Body", (Body, module.SyncByteStream), {})
        self.RequestBody: Any = type("RequestBody", (RequestBody, module.ByteStream), {})
        self.AsyncBody: Any = type("AsyncBody", (AsyncBody, module.AsyncByteStream), {})
        # Sync and async, as the libraries' own streams of known bodies are.
        self.ObservedStream: Any = type(
            "ObservedStream", (ObservedStream, module.SyncByteStream, module.AsyncByteStream), {}
        )

        self.Reply: Any = type(
            "Response",
            (Reply, module.Response),
            {
                "_library_class": module.Response,
                "__module__": module.Response.__module__,
                "__doc__": module.Response.__doc__,
            },
        )

    def body_of(self, iterator: StreamIterator | AsyncStreamIterator) -> Any:
        """Make the body of a reply that is a stream of the adapter."""
        return (
            self.Body(iterator)
            if isinstance(iterator, StreamIterator)
            else self.AsyncBody(iterator)
        )

    def __repr__(self) -> str:
        return f"<HttpLibrary {self.name}>"


@lru_cache(maxsize=4)
def _library(name: str) -> HttpLibrary:
    return HttpLibrary(importlib.import_module(name))


@lru_cache(maxsize=64)
def _library_of_type(cls: Any) -> HttpLibrary:
    for base in cls.__mro__:
        name = base.__module__.partition(".")[0]
        if name in _NAMES:
            return _library(name)
    raise AdapterError(
        f"{cls.__module__}.{cls.__qualname__} is from no HTTP library that is known here "
        f"({', '.join(_NAMES)})"
    )


def library_of(thing: object) -> HttpLibrary:
    """Return the HTTP library of a request or client; raise AdapterError for any other."""
    cls: Any = type(thing)
    return _library_of_type(cls)


if TYPE_CHECKING:
    # Type checkers treat a library that isn't installed as Any.
    import httpx
    import httpx2

    BaseTransport = httpx2.BaseTransport | httpx.BaseTransport
    AsyncBaseTransport = httpx2.AsyncBaseTransport | httpx.AsyncBaseTransport

    class TransportBases(
        httpx2.BaseTransport,
        httpx2.AsyncBaseTransport,
        httpx.BaseTransport,
        httpx.AsyncBaseTransport,
    ):
        """The base classes of both libraries, for type checkers."""

        def handle_request(self, request: Any) -> Any:
            """Handle a request of either library."""

        async def handle_async_request(self, request: Any) -> Any:
            """Handle a request of either library."""

else:

    class TransportBases:
        """Passes for an instance of the transport classes of every library imported so far."""

        @property
        def __class__(self) -> type:
            modules = filter(None, map(sys.modules.get, _NAMES))
            found = (
                getattr(one, name, None)
                for one in modules
                for name in ("BaseTransport", "AsyncBaseTransport")
            )
            return _with_bases(type(self), tuple(base for base in found if base is not None))

        def __reduce_ex__(self, protocol: Any) -> Any:
            return object.__new__, (type(self),), self.__dict__  # the default compares classes


@lru_cache(maxsize=64)
def _with_bases(cls: Any, bases: tuple[Any, ...]) -> Any:
    return type(cls.__name__, (cls, *bases), {"__module__": cls.__module__, "__doc__": cls.__doc__})
