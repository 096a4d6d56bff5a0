"""Check requests where they leave for the network, below all that records or mocks them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

HeaderCheck = Callable[[Any], object]
"""Called with a request's headers, a mapping or pairs; raises to stop the request."""

_PLACES = (
    ("httpcore", "ConnectionPool", "handle_request"),
    ("httpcore", "AsyncConnectionPool", "handle_async_request"),
    ("httpcore2", "ConnectionPool", "handle_request"),
    ("httpcore2", "AsyncConnectionPool", "handle_async_request"),
    ("aiohttp", "ClientSession", "_request"),
    ("urllib3", "HTTPConnectionPool", "urlopen"),
)


class NetworkExits:
    """Check the headers of every request that leaves by a watched library, until `close`."""

    def __init__(self, check: HeaderCheck) -> None:
        self._check = check
        self._stack = ExitStack()
        self._watched: set[tuple[str, str, str]] = set()

    def watch(self) -> None:
        """Watch the libraries imported so far; can be called again."""
        for place in _PLACES:
            module, owner, method = place
            found = getattr(sys.modules.get(module), owner, None)
            if found is not None and place not in self._watched:
                self._watched.add(place)
                self._stack.enter_context(
                    replaced(found, method, self._checked(getattr(found, method)))
                )

    def close(self) -> None:
        """Stop watching."""
        self._watched.clear()
        self._stack.close()

    def _checked(self, send: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(send)
        def checked(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            # httpcore takes a request, the other libraries take headers.
            self._check(
                kwargs["headers"]
                if "headers" in kwargs
                else getattr((*args, None)[1], "headers", None)
            )
            return send(*args, **kwargs)

        return checked


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of a class or object, like `unittest.mock`, which imports asyncio."""
    own, before = name in vars(owner), getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def header_pairs(headers: Any) -> list[tuple[str, str]]:
    """Return headers as pairs of lower-case name and value."""
    listed = headers.items() if hasattr(headers, "items") else headers or ()
    return [(_text(name).lower(), _text(value)) for name, value in listed]


def _text(part: Any) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)
