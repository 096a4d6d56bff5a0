"""The sides a test runs on, and how a side is put in force: for all of the process, as if a `use(backend=…)` stood around it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

BACKENDS = ("chat", "responses")
VARIABLE = "ADAPTER_BACKEND"
SINGLE_BACKEND = "adapter_side"
"""The attribute of a test that can't be run twice: its one side."""

_SUFFIX = re.compile(r"(?:\[|-)(?:chat|responses)\]$")


class SelectedBackend(str):
    """`chat` or `responses`, as the plugin chose it: a test's own parameter `backend` is another thing."""

    __slots__ = ()


def backends_of(option: str, markers: Iterable[Any]) -> tuple[list[SelectedBackend], str]:
    """Return the sides that a test runs on, and why there are none.

    `option` is `chat`, `responses` or `both`; `markers` the test's `adapter_backend`, the nearest first, which counts. Raises
    ValueError for a side that doesn't exist.
    """
    marker = next(iter(markers), None)
    named = BACKENDS if marker is None or not marker.args else marker.args
    unknown = [one for one in named if one not in BACKENDS]
    if unknown:
        raise ValueError(f"adapter_backend: expected 'chat' or 'responses', got {unknown[0]!r}")
    wanted = BACKENDS if option == "both" else (option,)
    left = [SelectedBackend(one) for one in BACKENDS if one in named and one in wanted]
    given_reason = marker.kwargs.get("reason") if marker is not None else None
    return left, f"runs on {' and '.join(named)} only" + (
        f": {given_reason}" if given_reason else ""
    )


def backend_of(item: Any) -> SelectedBackend | None:
    """Return the side that the plugin chose for a test; None for a test that it has nothing to do with."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    side = params.get("backend", getattr(item, SINGLE_BACKEND, None))
    return side if isinstance(side, SelectedBackend) else None


def without_backend(test: str) -> str:
    """Take the side out of a test's id, so that its runs on both sides have one name."""
    found = _SUFFIX.search(test)
    if found is None:
        return test
    return test[: found.start()] + ("]" if found[0].startswith("-") else "")


@contextmanager
def backend_in_force(side: SelectedBackend) -> Iterator[None]:
    """Send every call of this process to one side, in all threads and tasks, by clients made now or before.

    The environment says the same, for processes that the test starts. A `use(backend=…)`, a header or `force` of the code under
    test still beats it.
    """
    from adapter._routing.overrides import override_globally

    backend: Literal["chat", "responses"] = "chat" if side == "chat" else "responses"
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = backend
    try:
        with override_globally(backend):
            yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
