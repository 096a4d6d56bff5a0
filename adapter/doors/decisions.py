"""`decision(result)`: what was decided for a result, kept beside it so that it never changes `==` or `model_dump()`."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def following(ticket: Ticket) -> Iterator[Ticket]:
    """Let the requests that are built inside carry this ticket; an exception that leaves is remembered with it, and told of."""
    token = _CALL.set(ticket)
    try:
        yield ticket
    except BaseException as error:
        if isinstance(error, Exception):
            remember(error, ticket.journal)
        tell(ticket, None, status=getattr(error, "status_code", None), error=error)
        raise
    finally:
        _CALL.reset(token)


def remember(result: Any, journal: Journal) -> Any:
    """Keep a result's journal for as long as the result lives; return the result."""
    key = id(result)
    with suppress(TypeError):  # not everything can be referred to weakly: a proxy's page is a string
        _JOURNALS[key] = (weakref.ref(result, lambda _: _JOURNALS.pop(key, None)), journal)
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
