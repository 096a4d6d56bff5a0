"""The calls of the last completions and chunks, by their ids, for `decision(result)`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from adapter._exchange.record import CallState, Decision

_BY_ID: dict[int, tuple[str, CallState | Decision]] = {}
"""The last calls by the identity of their completion's id.

The SDK passes on that very string from a completion or chunk to what it makes of it. A completion
with an equal id, from a cache or a mock, has another string.
"""
_MAX_BY_ID = 1000


def remember_id(state: CallState, identifier: Any) -> bool:
    """Remember a call by the id of its completion or chunk; return whether that is possible."""
    # Strings of one character or none are shared in the whole process.
    if type(identifier) is not str or len(identifier) < 2:
        return False
    _BY_ID[id(identifier)] = (identifier, state)
    if state.logged:
        keep_decision_only(state, identifier)
    else:
        state.completion_id = identifier
    if len(_BY_ID) > _MAX_BY_ID:
        with suppress(KeyError, StopIteration, RuntimeError):  # another thread removed it
            del _BY_ID[next(iter(_BY_ID))]
    return True


def keep_decision_only(state: CallState, identifier: str) -> None:
    """Replace the state of a call that has ended by its decision."""
    made = state.decision()
    if made is not None and id(identifier) in _BY_ID:
        _BY_ID[id(identifier)] = (identifier, made)


def find(identifier: Any) -> Decision | None:
    """Return the decision of the call whose completion or chunk has this very id."""
    found = _BY_ID.get(id(identifier))
    if found is None or found[0] is not identifier:
        return None
    return found[1].decision() if isinstance(found[1], CallState) else found[1]
