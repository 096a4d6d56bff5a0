"""Each fault of tests/support/fault_table.py, natively and through the adapter: the same exception.

Natively: the SDK's own client against a server that misbehaves in Chat's format. Through the
adapter: the same fault in the Responses format. All of `Seen` is compared: class, status and code,
moment, chunks, retries and their waits, what stays busy. `pytest -s` prints the matrix; `table()`
makes it.
"""

from __future__ import annotations

import contextlib
import gzip
import signal
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import openai
import pytest

from tests.support.fault_table import FAULTS, padded
from tests.support.faults import (
    STREAMED,
    WHOLE,
    WORD,
    Call,
    Fault,
    Step,
    UpstreamReply,
    can_fill_a_listener,
    whole,
)
from tests.support.http import SDK, http
from tests.support.observing import RETRIES, Mode, Seen, observe

ALL = [fault for group in FAULTS.values() for fault in group]
BY_NAME = {fault.name: fault for fault in ALL}

# Comparing


@dataclass(frozen=True)
class Cell:
    """One call, natively and adapted, and the reason why the two may differ."""

    call: Call
    mode: Mode
    native: Seen
    adapted: Seen
    reason: str

    @property
    def same(self) -> bool:
        """Whether the caller sees no difference."""
        return self.native == self.adapted


def _reason(fault: Fault, call: Call, mode: Mode) -> str:
    known = [
        one
        for one in fault.differs
        if call in one.calls and mode in one.modes and one.sdk[0] <= SDK < one.sdk[1]
    ]
    return known[0].why if known else ""


@cache
def cells(name: str) -> tuple[Cell, ...]:
    """Observe a fault in all its cells, at the same time where they wait."""
    fault = BY_NAME[name]
    modes: tuple[Mode, ...] = ("sync", "async")
    places = [(call, mode) for mode in modes if mode in fault.modes for call in fault.calls]
    jobs = [(call, mode, native) for call, mode in places for native in (True, False)]

    def one(job: tuple[Call, Mode, bool]) -> Seen:
        return observe(fault, job[0], job[1], native=job[2])

    if fault.act == "interrupt":  # only the main thread can be
        with _interruptible():
            seen = [one(job) for job in jobs]
    else:
        with ThreadPoolExecutor(len(jobs) if fault.timeout or fault.act else 1) as pool:
            seen = list(pool.map(one, jobs))
    pairs = zip(places, seen[::2], seen[1::2], strict=True)
    made = (
        Cell(call, mode, native, adapted, _reason(fault, call, mode))
        for (call, mode), native, adapted in pairs
    )
    return tuple(
        _patiently(fault, cell) if fault.timeout and cell.same == bool(cell.reason) else cell
        for cell in made
    )


def _patiently(fault: Fault, cell: Cell) -> Cell:
    """Observe an unexpected cell again, alone and with longer timeouts: the machine may be busy."""
    longer = replace(
        fault, timeout={phase: 4 * seconds for phase, seconds in fault.timeout.items()}
    )
    native, adapted = (
        observe(longer, cell.call, cell.mode, native=which) for which in (True, False)
    )
    return replace(cell, native=native, adapted=adapted)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    # A test run in the background of a shell ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def table() -> str:
    """Write the matrix as a Markdown table, with the figures below."""
    lines = ["| fault | calls | natively | through the adapter | |", "|---|---|---|---|---|"]
    same = differing = 0
    for name in BY_NAME:
        groups: dict[tuple[str, str, str], list[Cell]] = {}
        for cell in cells(name):
            verdict = "same" if cell.same else cell.reason or "NOT THE SAME"
            groups.setdefault((cell.native.brief(), cell.adapted.brief(), verdict), []).append(cell)
            same, differing = same + cell.same, differing + (not cell.same)
        for (native, adapted, verdict), members in groups.items():
            shown = "〃" if adapted == native else adapted
            lines.append(f"| {name} | {_calls(members)} | {native} | {shown} | {verdict} |")
    total = f"{len(BY_NAME)} faults, {same + differing} cells (call × sync or async)"
    figures = f"{total}: {same} the same, {differing} different for a written reason."
    return "\n".join([*lines, "", f"openai {openai.VERSION} on {http.__name__}: {figures}"])


def _calls(members: list[Cell]) -> str:
    modes = {cell.mode for cell in members}
    names = ", ".join(dict.fromkeys(cell.call for cell in members))
    return names if len(modes) == 2 else f"{names} ({modes.pop()})"


# Tests


def _skip_what_cannot_be(fault: Fault) -> None:
    if fault.where == "full" and not can_fill_a_listener():
        pytest.skip("this system doesn't let connections wait when a listener's queue is full")


@pytest.mark.parametrize("name", BY_NAME)
def test_the_caller_sees_the_same(name: str) -> None:
    _skip_what_cannot_be(BY_NAME[name])
    for cell in cells(name):
        where = (
            f"{cell.mode} {cell.call}: natively {cell.native}, through the adapter {cell.adapted}"
        )
        if cell.reason:
            assert not cell.same, f"a stale reason ({cell.reason}): {where}"
        else:
            assert cell.same, where


LEAVING = {fault.name for fault in FAULTS["leaving"]}


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in LEAVING])
def test_no_half_answers(name: str) -> None:
    """Through the adapter a fault is an error, or harmless."""
    fault = BY_NAME[name]
    _skip_what_cannot_be(fault)
    for cell in cells(name):
        adapted = cell.adapted
        if adapted.error == "-":
            assert (adapted.text, adapted.ends[:1]) == (
                "Hello there" if cell.call in STREAMED else WORD,
                ("stop",),
            ), cell
        # Old SDKs read on after the end, and fail there, natively too.
        assert not fault.harmless or adapted.error == "-" or cell.same, cell


@pytest.mark.parametrize("name", BY_NAME)
def test_nothing_stays_busy(name: str) -> None:
    _skip_what_cannot_be(BY_NAME[name])
    for cell in cells(name):
        assert cell.adapted.busy <= cell.native.busy, cell
        assert cell.adapted.hung_up, cell


def test_errors_are_distinguished() -> None:
    """The comparison means something: statuses have many classes, and some are retried."""
    natively = [cell.native for name in BY_NAME if name.endswith("in JSON") for cell in cells(name)]
    assert len({seen.error for seen in natively}) >= 8
    assert {seen.requests for seen in natively} == {1, RETRIES + 1}


def test_the_table() -> None:
    for fault in ALL:
        _skip_what_cannot_be(fault)
    written = table()
    print(f"\n{written}")  # shown with -s
    assert "NOT THE SAME" not in written


# Memory


BOMB = 30_000_000


def _peak(call: Call, *, native: bool) -> int:
    """Return the most memory that one call took, the server's own left out."""
    bombs: dict[bool, bytes] = {}

    def script(reply: UpstreamReply) -> list[Step]:
        return whole(reply, bombs[reply.chat], "content-encoding: gzip")

    for chat in (True, False):
        bombs[chat] = gzip.compress(padded(UpstreamReply(chat, call in STREAMED, 1), BOMB))
    tracemalloc.start()
    try:
        seen = observe(Fault("zip bomb", script), call, "sync", native=native)
        assert seen.error == "-"
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("call", [*WHOLE[:1], *STREAMED])
def test_a_zip_bomb_is_bounded_as_natively(call: Call) -> None:
    native, adapted = _peak(call, native=True), _peak(call, native=False)
    print(
        f"\nzip bomb of {BOMB:,} bytes, {call}: natively {native:,} at the peak, "
        f"through the adapter {adapted:,}"
    )
    assert native > BOMB / 2
    assert adapted <= 3 * native  # both grow with what was sent, and no faster
