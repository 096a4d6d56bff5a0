"""`decision(result)`: what was decided for a result, kept beside it so that it never changes `==` or `model_dump()`."""

from __future__ import annotations

import weakref
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from adapter._exchange.record import Decision, Journal

from .call_context import KEY, Ticket
from .observation import tell

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


_NAMED: dict[int, tuple[str, Journal | Decision]] = {}
"""What is known by a completion's id, of the last calls: by the string itself, which the SDK hands on from a completion or chunk to
whatever it makes of it. Another completion with an equal id, from a cache or a mock, has a string of its own."""
_MOST_NAMED = 1000
_NAME = "adapter.name"


def name(journal: Journal, identifier: Any) -> bool:
    """Know what is made of a completion, or chunk, by its id; tell whether that can be."""
    # Of the empty string, and of one of a single character, there is one in the whole process.
    if type(identifier) is not str or len(identifier) < 2:
        return False
    _NAMED[id(identifier)] = (identifier, journal)
    if journal.written:
        settle(journal, identifier)
    else:
        journal.completion = identifier
    if len(_NAMED) > _MOST_NAMED:
        with suppress(KeyError, StopIteration, RuntimeError):  # another thread was faster
            del _NAMED[next(iter(_NAMED))]
    return True


def settle(journal: Journal, identifier: str) -> None:
    """Keep nothing but the decision of a call that has ended."""
    made = journal.decision()
    if made is not None and id(identifier) in _NAMED:
        _NAMED[id(identifier)] = (identifier, made)


def name_chunk(response: Any, chunk: Any) -> None:
    """Know the chunks of a stream by the id of its first one, if its others have the same string."""
    ticket = response.request.extensions.get(KEY)
    if isinstance(ticket, Ticket):
        name(ticket.journal, chunk.id)


def name_data(response: Any, data: Any) -> bool:
    """Give the data of a stream's chunks one string as their id, as long as it is equal; tell whether they are known by it.

    On Azure the first chunk, of the prompt's filters, has an empty id, and the others have another.
    """
    if type(data) is not dict:
        return True
    extensions, identifier = response.request.extensions, data.get("id")
    known = extensions.get(_NAME)
    if known is not None and identifier == known:
        data["id"] = known
        return True
    ticket = extensions.get(KEY)
    if not isinstance(ticket, Ticket):
        return True
    if not name(ticket.journal, identifier):
        return False
    extensions[_NAME] = identifier
    return True


def remember_of(response: Any, result: Any) -> None:
    """Keep the journal of the request that brought a result."""
    ticket = response.request.extensions.get(KEY)
    if isinstance(ticket, Ticket) and not is_known(result, ticket):
        remember(result, ticket.journal)
        name(ticket.journal, getattr(result, "id", None))


def is_known(result: Any, ticket: Ticket | None = None) -> bool:
    """Tell whether a result has been remembered, or leads to its call's ticket by itself, as streams and raw responses do."""
    kept = _JOURNALS.get(id(result))
    return (kept is not None and kept() is result) or (ticket is not None and _ticket(result) is ticket)


def failed(ticket: Ticket, error: BaseException) -> None:
    """Remember an exception that leaves a call, and tell of it."""
    if isinstance(error, Exception):
        remember(error, ticket.journal)
    tell(ticket, None, status=getattr(error, "status_code", None), error=error)


def decision(result: Any) -> Decision | None:
    """Return what was decided for a completion, stream, chunk, raw response or exception.

    Complete for results of the adapter's own and of installed clients, and for what the SDK makes of them (`raw.parse()`,
    the final completion of a `.stream()`, its events that hold a chunk); through a `Transport`, for streams, raw responses,
    exceptions, and translated completions that aren't streamed. None where there is nothing to know it by. Its `losses` grow while a stream is being read.
    """
    try:
        entry = _JOURNALS.get(id(result))
        if entry is not None and entry() is result:
            return entry.journal.decision()
        ticket = _ticket(result)
        return _by_name(result) if ticket is None else ticket.journal.decision()
    except Exception:  # noqa: BLE001  # nobody's answer is lost for a question about it
        return None


def _by_name(result: Any) -> Decision | None:
    """Find what is known by the id of a completion or chunk, of an event of `.stream()`, or of an exception that holds one."""
    for holder in (result, *(getattr(result, name, None) for name in ("chunk", "completion"))):
        identifier = getattr(holder, "id", None)
        found = _NAMED.get(id(identifier))
        if found is not None and found[0] is identifier:
            return found[1].decision() if isinstance(found[1], Journal) else found[1]
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
