"""Recognise failures caused by sharing a client between event loops, not by a backend.

An async client made once, at import or by a fixture of a wider scope, keeps connections of the loop
that made them. If each test has its own loop, the second test that uses the client fails, also if
it is the same test on the other backend, and also with the SDK's own client
(docs/guides/test-both-sides.md#event-loops).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .report import EVENT_LOOP

_LOOP_MESSAGE = re.compile(
    r"event loop is closed|(?:attached|bound) to a different (?:event )?loop"
    r"|is bound to a different event loop|belongs to a different (?:event )?loop"
    r"|was created (?:in|on) a different (?:event )?loop",
    re.IGNORECASE,
)

_LOOPS = frozenset({"asyncio", "uvloop", "winloop"})

NOTES = {
    EVENT_LOOP: (
        "A client, or something else that the test shares, was used in another event loop before. "
        "This isn't a difference between the backends: the test also fails twice on one. "
        "Make the client in the test or in a fixture of its scope, or run the tests in one loop "
        '(pytest-asyncio: loop_scope="session").'
    )
}
"""The note for each kind of failure."""


def failure_kind(error: BaseException | None) -> str | None:
    """Return the kind of a failure, by its exception and causes; None for any other failure."""
    for one in _causes(error):
        if (
            isinstance(one, RuntimeError | ValueError)
            and _LOOP_MESSAGE.search(str(one))
            and not _is_raised_by_adapter(one)
        ):
            return EVENT_LOOP
    return None


def _is_raised_by_adapter(error: BaseException) -> bool:
    """Return whether the innermost frame outside the event loop is the adapter's."""
    name, trace = "", error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        name = name if module in _LOOPS else module
        trace = trace.tb_next
    return name == "adapter"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        pending += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
