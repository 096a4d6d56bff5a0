"""The HTTP libraries that a request may come from: httpx2, and classic httpx with the same names.

Requests, replies and byte streams must come from the library of the client that asked (docs/mapping.md#http-libraries); which one that is
shows in the request. Nothing is imported that the application has not imported itself.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from adapter.errors import AdapterError

_NAMES = ("httpx2", "httpx")


class HttpLibrary:
    """The classes of one HTTP library, and our byte streams made for it."""

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
        from adapter._runtime.observation import ObservedStream

        from .bodies import AsyncBody, Body, RequestBody
        from .response_class import fast_response_class

        self.Body: Any = type("Body", (Body, module.SyncByteStream), {})
        self.RequestBody: Any = type("RequestBody", (RequestBody, module.ByteStream), {})
        self.AsyncBody: Any = type("AsyncBody", (AsyncBody, module.AsyncByteStream), {})
        # The HTTP libraries' own streams are both as well where a body is at hand.
        self.ObservedStream: Any = type(
            "ObservedStream", (ObservedStream, module.SyncByteStream, module.AsyncByteStream), {}
        )

        self.FastResponse: Any = fast_response_class(module)
        # What a made reply begins as: its constructor would cost more than translating a short answer.
        self._template = module.Response(200, stream=module.ByteStream(b""))
        # What reads bodies that aren't packed, and has no state: a reply made here is spared the search for what packed it. Private, in
        # httpx 0.27 to httpx2 2.16.
        decoder = getattr(module.Response(200), "_get_content_decoder", None)
        if decoder is not None:
            self._template._decoder = decoder()

    def reply(self, status: int, headers: Any, stream: Any, extensions: dict[str, Any]) -> Any:
        """Make a reply whose body is a stream of ours."""
        response = object.__new__(self.FastResponse)
        response.__dict__.update(self._template.__dict__)
        response.status_code, response.headers, response.extensions, response.history = (
            status,
            headers,
            extensions,
            [],
        )
        response.stream = response._body = stream
        return response

    def __repr__(self) -> str:
        return f"<Family {self.name}>"


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
        f"{cls.__module__}.{cls.__qualname__} is from no HTTP library that is known here ({', '.join(_NAMES)})"
    )


def library_of(thing: object) -> HttpLibrary:
    """Return the family of a request or client; raises AdapterError for one of another library."""
    cls: Any = type(thing)
    return _library_of_type(cls)


if TYPE_CHECKING:
    # Of a library that isn't there checkers make something that fits everywhere.
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
        """What `Bases` says that it is."""

        def handle_request(self, request: Any) -> Any:
            """Fit both libraries."""

        async def handle_async_request(self, request: Any) -> Any:
            """Fit both libraries."""

else:

    class TransportBases:
        """An instance of the base classes of both libraries, of those that are imported by the time that somebody asks."""

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
            return object.__new__, (type(self),), self.__dict__  # the usual way compares classes


@lru_cache(maxsize=64)
def _with_bases(cls: Any, bases: tuple[Any, ...]) -> Any:
    return type(cls.__name__, (cls, *bases), {"__module__": cls.__module__, "__doc__": cls.__doc__})
