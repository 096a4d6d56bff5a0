"""`decision(result)`: what was decided for a result, kept beside it so that it never changes `==` or `model_dump()`."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import Any

from adapter.journal import Decision, Journal

from .ticket import KEY, Ticket
from .watching import tell

CALL: ContextVar[tuple[Any, Ticket] | None] = ContextVar("adapter.call", default=None)
"""The client whose call is being made here, and the call's ticket, for the requests that the SDK builds for it."""


def call_of(client: Any) -> Ticket | None:
    """Return the ticket of the call that a client is making here. Another client's call may be what makes it."""
    call = CALL.get()
    return call[1] if call is not None and call[0] is client else None


class _Kept(weakref.ref[Any]):
    """A result, as long as it lives, and its journal."""

    __slots__ = ("journal", "key")

    journal: Journal
    key: int


# By identity, since completions can't be hashed; an entry leaves with its completion.
_JOURNALS: dict[int, _Kept] = {}


def _gone(kept: _Kept) -> None:
    _JOURNALS.pop(kept.key, None)


def remember(result: Any, journal: Journal) -> Any:
    """Keep a result's journal for as long as the result lives; return the result."""
    try:
        kept = _Kept(result, _gone)
    except TypeError:  # not everything can be referred to weakly: a proxy's page is a string
        return result
    kept.journal, kept.key = journal, id(result)
    _JOURNALS[kept.key] = kept
    return result


def remember_of(response: Any, result: Any) -> None:
    """Keep the journal of the request that brought a result."""
    ticket = response.request.extensions.get(KEY)
    if isinstance(ticket, Ticket):
        remember(result, ticket.journal)


def is_known(result: Any) -> bool:
    """Tell whether a result has been remembered."""
    kept = _JOURNALS.get(id(result))
    return kept is not None and kept() is result


def failed(ticket: Ticket, error: BaseException) -> None:
    """Remember an exception that leaves a call, and tell of it."""
    if isinstance(error, Exception):
        remember(error, ticket.journal)
    tell(ticket, None, status=getattr(error, "status_code", None), error=error)


def decision(result: Any) -> Decision | None:
    """Return what was decided for a completion, stream, raw response or exception.

    Complete for results of the adapter's own and of installed clients; None where there is nothing to know it by. Its
    `losses` grow while a stream is being read.
    """
    try:
        entry = _JOURNALS.get(id(result))
        if entry is not None and entry() is result:
            return entry.journal.decision()
        ticket = _ticket(result)
        return None if ticket is None else ticket.journal.decision()
    except Exception:  # noqa: BLE001  # nobody's answer is lost for a question about it
        return None


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
