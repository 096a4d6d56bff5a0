"""`decision(result)`: what was decided for a result, kept beside it so that it never changes `==` or `model_dump()`."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import Any

from adapter.journal import Decision, Journal

from .ticket import KEY, Ticket
from .watching import tell

_CALL: ContextVar[Ticket | None] = ContextVar("adapter.call", default=None)

# By identity, since completions can't be hashed; an entry leaves with its completion.
_JOURNALS: dict[int, tuple[weakref.ref[Any], Journal]] = {}


def followed() -> Ticket | None:
    """Return the ticket of the client call that is being made here, for the request that the SDK builds for it."""
    return _CALL.get()


class following:  # noqa: N801  # read as a verb: `with following(ticket):`
    """Let the requests that are built inside carry this ticket; an exception that leaves is remembered with it, and told of."""

    __slots__ = ("_ticket", "_token")

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket

    def __enter__(self) -> Ticket:
        self._token = _CALL.set(self._ticket)
        return self._ticket

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        _CALL.reset(self._token)
        if error is not None:
            if isinstance(error, Exception):
                remember(error, self._ticket.journal)
            tell(self._ticket, None, status=getattr(error, "status_code", None), error=error)


def remember(result: Any, journal: Journal) -> Any:
    """Keep a result's journal for as long as the result lives; return the result."""
    key = id(result)
    try:  # noqa: SIM105  # what it costs counts for every call
        _JOURNALS[key] = (weakref.ref(result, lambda _: _JOURNALS.pop(key, None)), journal)
    except TypeError:
        pass  # not everything can be referred to weakly: a proxy's page is a string
    return result


def decision(result: Any) -> Decision | None:
    """Return what was decided for a completion, stream, raw response or exception.

    Complete for results of the adapter's own and of installed clients; None where there is nothing to know it by. Its
    `losses` grow while a stream is being read.
    """
    entry = _JOURNALS.get(id(result))
    if entry is not None and entry[0]() is result:
        return entry[1].decision()
    ticket = _ticket(result)
    return None if ticket is None else ticket.journal.decision()


def _ticket(result: Any) -> Ticket | None:
    """Follow a stream, raw response or exception to the request it came from."""
    for name in ("http_response", "response", "_response"):
        inner = getattr(result, name, None)
        if inner is not None:
            result = inner
            break
    request = getattr(result, "_request", None) or getattr(result, "request", None)
    extensions = getattr(request, "extensions", getattr(result, "extensions", None))
    found = extensions.get(KEY) if isinstance(extensions, dict) else None
    return found if isinstance(found, Ticket) else None
