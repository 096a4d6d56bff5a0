"""Failures that say nothing about a side: those of a suite whose tests share what belongs to one test's event loop.

An async client made once, at import or by a fixture of a wider scope, keeps connections that belong to the loop in which they were
made. Where each test has a loop of its own, the second test that uses the client fails, be it another test or the same one on
its other side: with the SDK's own client as well, run twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .report import EVENT_LOOP

_LOOP_MESSAGE = re.compile(
    r"event loop is closed|(?:attached|bound) to a different (?:event )?loop|is bound to a different event loop"
    r"|belongs to a different (?:event )?loop|was created (?:in|on) a different (?:event )?loop",
    re.IGNORECASE,
)

_LOOPS = frozenset({"asyncio", "uvloop", "winloop"})

NOTES = {
    EVENT_LOOP: (
        "A client, or something else that the test shares, was used in another event loop before. That isn't a difference between "
        "the sides: the same test fails as well where it runs twice on one. Make the client in the test or in a fixture of its "
        'scope, or run the tests in one loop (pytest-asyncio: loop_scope="session").'
    )
}  # fmt: skip
"""What to say of a failure of each kind."""


def failure_kind(error: BaseException | None) -> str | None:
    """Tell the kind of a failure, from the exception and all that led to it; None for one that may be the side's."""
    for one in _causes(error):
        if (
            isinstance(one, RuntimeError | ValueError)
            and _LOOP_MESSAGE.search(str(one))
            and not _is_raised_by_adapter(one)
        ):
            return EVENT_LOOP
    return None


def _is_raised_by_adapter(error: BaseException) -> bool:
    """Tell whether the innermost code that isn't the event loop's own is the adapter's: that would be a fault of a side."""
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
