"""`decision(result)`: the decision about a call, kept beside its result.

So it never changes `==` or `model_dump()`
(docs/decisions.md#what-is-decided-is-kept-beside-the-result).
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from adapter._exchange.record import CallState, Decision
from adapter._http.incoming_request import HttpRequest
from adapter._runtime import known_ids
from adapter._runtime.call_context import EXTENSION, CallContext
from adapter._runtime.known_ids import remember_id
from adapter._runtime.observation import notify

CURRENT_CALL: ContextVar[tuple[Any, CallContext] | None] = ContextVar("adapter.call", default=None)
"""The client that is making a call in this context, and the call's context."""


def current_context(client: Any) -> CallContext | None:
    """Return the context of the call that a client is making; None if another client makes it."""
    call = CURRENT_CALL.get()
    return call[1] if call is not None and call[0] is client else None


class _ResultRef(weakref.ref[Any]):
    """A weak reference to a result, with the state of its call."""

    __slots__ = ("key", "state")

    state: CallState
    key: int


# By identity, since completions can't be hashed; an entry is removed with its completion.
_STATES: dict[int, _ResultRef] = {}


def _remove(reference: _ResultRef) -> None:
    _STATES.pop(reference.key, None)


def remember(result: Any, state: CallState) -> Any:
    """Keep the state of a call for as long as its result lives; return the result."""
    try:
        kept = _ResultRef(result, _remove)
    except TypeError:  # a proxy's page is a string, which has no weak references
        return result
    kept.state, kept.key = state, id(result)
    _STATES[kept.key] = kept
    return result


_ID_EXTENSION = "adapter.name"


def remember_chunk_id(response: Any, chunk: Any) -> None:
    """Remember a stream by the id of its first chunk, whose string the others share."""
    context = response.request.extensions.get(EXTENSION)
    if isinstance(context, CallContext):
        remember_id(context.state, chunk.id)


def unify_chunk_ids(response: Any, data: Any) -> bool:
    """Give chunks with equal ids one string; return False if the call can't be known by the id.

    On Azure the first chunk, with the prompt's filter results, has an empty id, and the others
    have another one (docs/mapping.md#azure).
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
    """Keep the state of the call that a result is from, unless it leads there by itself."""
    if not is_known(result, response.request.extensions.get(EXTENSION)):
        remember_completion(response, result)


def remember_completion(response: Any, completion: Any) -> None:
    """Keep the state of the call that a completion or chunk is from: it never leads there."""
    context = response.request.extensions.get(EXTENSION)
    if isinstance(context, CallContext) and not is_known(completion):
        remember(completion, context.state)
        remember_id(context.state, getattr(completion, "id", None))


def is_known(result: Any, context: CallContext | None = None) -> bool:
    """Return whether a result was remembered, or leads to its call's context by itself.

    Streams and raw responses do.
    """
    kept = _STATES.get(id(result))
    return (kept is not None and kept() is result) or (
        context is not None and _context_of(result) is context
    )


def call_failed(context: CallContext, error: BaseException) -> None:
    """Remember an exception that leaves a call, and record the call."""
    if isinstance(error, Exception):
        remember(error, context.state)
    request = None
    with suppress(Exception):  # the HTTP libraries' errors raise if they have no request
        request = HttpRequest(error.request)  # type: ignore[attr-defined]
    notify(context, request, status=getattr(error, "status_code", None), error=error)


def decision(result: Any) -> Decision | None:
    """Return what was decided for a completion, stream, chunk, raw response or exception.

    Complete for results of adapted clients, and for what the SDK makes of them (`raw.parse()`, the
    final completion of a `.stream()`, its events that hold a chunk). Through a `Transport`: for
    streams, raw responses, exceptions, and translated completions that aren't streamed. None for
    any other object. Its `losses` grow while a stream is being read.
    """
    try:
        entry = _STATES.get(id(result))
        if entry is not None and entry() is result:
            return entry.state.decision()
        context = _context_of(result)
        return _by_id(result) if context is None else context.state.decision()
    except Exception:  # noqa: BLE001  # the result is worth more than a question about it
        return None


def _by_id(result: Any) -> Decision | None:
    """Find a decision by the id of a completion or chunk, or of an object that holds one.

    Events of `.stream()` and some exceptions of the SDK hold one.
    """
    for holder in (result, *(getattr(result, name, None) for name in ("chunk", "completion"))):
        found = known_ids.find(getattr(holder, "id", None))
        if found is not None:
            return found
    return None


def _context_of(result: Any) -> CallContext | None:
    """Return the context of the request that a stream, raw response or exception is from."""
    for name in ("http_response", "response", "_response"):
        inner = getattr(result, name, None)
        if inner is not None:
            result = inner
            break
    request = getattr(result, "_request", None) or getattr(result, "request", None)
    extensions = getattr(request, "extensions", getattr(result, "extensions", None))
    found = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    return found if isinstance(found, CallContext) else None
