"""Replies that are made here: the HTTP library's own `Response`, which knows its call."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from adapter._runtime.call_context import CallContext
from adapter._runtime.known_ids import remember_id

_Response: Any = object  # the library's class follows it in the MRO; see `libraries.HttpLibrary`


class Reply(_Response):  # type: ignore[misc]  # a base that is known at run time
    """A reply with a body of the adapter, read by the library's own methods."""

    _library_class: Any  # `Response`
    _body: Any = None  # a stream's, from which an adapted client reads chunks
    _context: CallContext | None = None  # of the call whose completion it holds

    def json(self, **options: Any) -> Any:
        """Return the body's JSON; `decision` knows the completion that is made of it."""
        value = super().json(**options)
        context, self._context = self._context, None
        # An adapted client does this for the object that it makes.
        if context is not None and not context.by_client:
            with suppress(Exception):  # the answer is worth more than its record
                remember_id(context.state, value.get("id"))
        return value

    def __reduce__(self) -> Any:
        # A copy is a plain reply of the library.
        state = {
            name: value
            for name, value in super().__getstate__().items()
            if name not in ("_body", "_context")
        }
        return object.__new__, (self._library_class,), state
