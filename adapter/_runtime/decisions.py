"""`decision(result)`: what was decided for a result, kept beside it so that it never changes `==` or `model_dump()`."""

from __future__ import annotations

import weakref
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from adapter._exchange.record import CallState, Decision

from .call_context import EXTENSION, CallContext
from .observation import notify

CURRENT_CALL: ContextVar[tuple[Any, CallContext] | None] = ContextVar("adapter.call", default=None)
"""The client whose call is being made here, and the call's ticket, for the requests that the SDK builds for it."""


def current_context(client: Any) -> CallContext | None:
    """Return the ticket of the call that a client is making here. Another client's call may be what makes it."""
    call = CURRENT_CALL.get()
    return call[1] if call is not None and call[0] is client else None


class _ResultRef(weakref.ref[Any]):
    """A result, as long as it lives, and its journal."""

    __slots__ = ("key", "state")

    state: CallState
    key: int


# By identity, since completions can't be hashed; an entry leaves with its completion.
_STATES: dict[int, _ResultRef] = {}


def _remove(reference: _ResultRef) -> None:
    _STATES.pop(reference.key, None)


def remember(result: Any, state: CallState) -> Any:
    """Keep a result's journal for as long as the result lives; return the result."""
    try:
        kept = _ResultRef(result, _remove)
    except TypeError:  # not everything can be referred to weakly: a proxy's page is a string
        return result
    kept.state, kept.key = state, id(result)
    _STATES[kept.key] = kept
    return result


_BY_ID: dict[int, tuple[str, CallState | Decision]] = {}
"""What is known by a completion's id, of the last calls: by the string itself, which the SDK hands on from a completion or chunk to
whatever it makes of it. Another completion with an equal id, from a cache or a mock, has a string of its own."""
_MAX_BY_ID = 1000
_ID_EXTENSION = "adapter.name"


def remember_id(state: CallState, identifier: Any) -> bool:
    """Know what is made of a completion, or chunk, by its id; tell whether that can be."""
    # Of the empty string, and of one of a single character, there is one in the whole process.
    if type(identifier) is not str or len(identifier) < 2:
        return False
    _BY_ID[id(identifier)] = (identifier, state)
    if state.logged:
        keep_decision_only(state, identifier)
    else:
        state.completion_id = identifier
    if len(_BY_ID) > _MAX_BY_ID:
        with suppress(KeyError, StopIteration, RuntimeError):  # another thread was faster
            del _BY_ID[next(iter(_BY_ID))]
    return True


def keep_decision_only(state: CallState, identifier: str) -> None:
    """Keep nothing but the decision of a call that has ended."""
    made = state.decision()
    if made is not None and id(identifier) in _BY_ID:
        _BY_ID[id(identifier)] = (identifier, made)


def remember_chunk_id(response: Any, chunk: Any) -> None:
    """Know the chunks of a stream by the id of its first one, if its others have the same string."""
    context = response.request.extensions.get(EXTENSION)
    if isinstance(context, CallContext):
        remember_id(context.state, chunk.id)


def unify_chunk_ids(response: Any, data: Any) -> bool:
    """Give the data of a stream's chunks one string as their id, as long as it is equal; tell whether they are known by it.

    On Azure the first chunk, of the prompt's filters, has an empty id, and the others have another.
    """
    if type(data) is not dict:
        return True
    extensions, identifier = response.request.extensions, data.get("id")
    known = extensions.get(_ID_EXTENSION)
    if known is not None and identifier == known:
        data["id"] = known
        return True
    context = extensions.get(EXTENSION)
    if not isinstance(context, CallContext):
        return True
    if not remember_id(context.state, identifier):
        return False
    extensions[_ID_EXTENSION] = identifier
    return True


def remember_reply(response: Any, result: Any) -> None:
    """Keep the journal of the request that brought a result."""
    context = response.request.extensions.get(EXTENSION)
    if isinstance(context, CallContext) and not is_known(result, context):
        remember(result, context.state)
        remember_id(context.state, getattr(result, "id", None))


def is_known(result: Any, context: CallContext | None = None) -> bool:
    """Tell whether a result has been remembered, or leads to its call's ticket by itself, as streams and raw responses do."""
    kept = _STATES.get(id(result))
    return (kept is not None and kept() is result) or (
        context is not None and _context_of(result) is context
    )


def call_failed(context: CallContext, error: BaseException) -> None:
    """Remember an exception that leaves a call, and tell of it."""
    if isinstance(error, Exception):
        remember(error, context.state)
    notify(context, None, status=getattr(error, "status_code", None), error=error)


def decision(result: Any) -> Decision | None:
    """Return what was decided for a completion, stream, chunk, raw response or exception.

    Complete for results of the adapter's own and of installed clients, and for what the SDK makes of them (`raw.parse()`,
    the final completion of a `.stream()`, its events that hold a chunk); through a `Transport`, for streams, raw responses,
    exceptions, and translated completions that aren't streamed. None where there is nothing to know it by. Its `losses` grow while a stream is being read.
    """
    try:
        entry = _STATES.get(id(result))
        if entry is not None and entry() is result:
            return entry.state.decision()
        context = _context_of(result)
        return _by_id(result) if context is None else context.state.decision()
    except Exception:  # noqa: BLE001  # nobody's answer is lost for a question about it
        return None


def _by_id(result: Any) -> Decision | None:
    """Find what is known by the id of a completion or chunk, of an event of `.stream()`, or of an exception that holds one."""
    for holder in (result, *(getattr(result, name, None) for name in ("chunk", "completion"))):
        identifier = getattr(holder, "id", None)
        found = _BY_ID.get(id(identifier))
        if found is not None and found[0] is identifier:
            return found[1].decision() if isinstance(found[1], CallState) else found[1]
    return None


def _context_of(result: Any) -> CallContext | None:
    """Follow a stream, raw response or exception to the request it came from."""
    for name in ("http_response", "response", "_response"):
        inner = getattr(result, name, None)
        if inner is not None:
            result = inner
            break
    request = getattr(result, "_request", None) or getattr(result, "request", None)
    extensions = getattr(request, "extensions", getattr(result, "extensions", None))
    found = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    return found if isinstance(found, CallContext) else None
