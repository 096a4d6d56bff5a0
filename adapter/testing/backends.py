"""Choose the backends that a test runs on, and force one for the whole process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

BACKENDS = ("chat", "responses")
VARIABLE = "ADAPTER_BACKEND"
SINGLE_BACKEND = "adapter_side"
"""The attribute of a test that can't be run twice: its only backend."""

_SUFFIX = re.compile(r"(?:\[|-)(?:chat|responses)\]$")


class SelectedBackend(str):
    """`chat` or `responses`, chosen by the plugin; a test's own parameter `backend` isn't one."""

    __slots__ = ()


def backends_of(option: str, markers: Iterable[Any]) -> tuple[list[SelectedBackend], str]:
    """Return the backends that a test runs on, and the reason to give if there are none.

    `option` is `chat`, `responses` or `both`. `markers` are the test's `adapter_backend`, the
    nearest first; the first one counts. Raise ValueError for an unknown backend.
    """
    marker = next(iter(markers), None)
    named = BACKENDS if marker is None or not marker.args else marker.args
    unknown = [one for one in named if one not in BACKENDS]
    if unknown:
        raise ValueError(f"adapter_backend: expected 'chat' or 'responses', got {unknown[0]!r}")
    wanted = BACKENDS if option == "both" else (option,)
    selected = [SelectedBackend(one) for one in BACKENDS if one in named and one in wanted]
    given_reason = marker.kwargs.get("reason") if marker is not None else None
    return selected, f"runs on {' and '.join(named)} only" + (
        f": {given_reason}" if given_reason else ""
    )


def backend_of(item: Any) -> SelectedBackend | None:
    """Return the backend that the plugin chose for a test; None if the test doesn't use it."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    backend = params.get("backend", getattr(item, SINGLE_BACKEND, None))
    return backend if isinstance(backend, SelectedBackend) else None


def without_backend(test: str) -> str:
    """Remove the backend from a test's id, so that its runs on both backends share one name."""
    found = _SUFFIX.search(test)
    if found is None:
        return test
    return test[: found.start()] + ("]" if found[0].startswith("-") else "")


@contextmanager
def backend_in_force(selected: SelectedBackend) -> Iterator[None]:
    """Send every call of this process to one backend, in all threads, tasks and clients.

    The environment variable is set as well, for processes that the test starts.
    A `use(backend=…)`, a header or `force` in the code under test takes precedence
    (docs/decisions.md#precedence).
    """
    from adapter._routing.overrides import override_globally

    backend: Literal["chat", "responses"] = "chat" if selected == "chat" else "responses"
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
