"""A tracer exports the same of a call natively, with the adapter off, and on.

Nothing is exported that it omits natively, and nothing has a name of the adapter's own.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tracers.calls import CALLS, CONTENTS, WORDS
from tests.tracers.conftest import TRACER
from tests.tracers.differing import comparable, different, names_of_ours
from tests.tracers.session import columns

ROOT = Path(__file__).resolve().parents[2]
KIND = importlib.import_module(f"tests.tracers.kinds.{TRACER}")
MASKS: bool = getattr(KIND, "MASKS", True)
"""Whether the tracer can be configured to omit contents."""
UNSEEN: frozenset[str] = getattr(KIND, "UNSEEN", frozenset())
"""The calls that it doesn't export natively."""
UNCERTAIN: dict[str, str] = getattr(KIND, "UNCERTAIN", {})
"""The calls whose native exports vary from run to run, each with the reason."""
NOT_POSSIBLE: dict[str, str] = getattr(KIND, "NOT_POSSIBLE", {})
"""The ways in that it can't be combined with, each with the reason."""
MODES = ("sync", "async")
NATIVE, *ADAPTED = columns()
TIMES = ("before", "after")
CONTENT = ("whole", "masked") if MASKS else ("whole",)


@cache
def session(when: str, contents: str) -> dict[str, Any]:
    """Make all calls in a process of its own."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, "-m", "tests.tracers.session", TRACER, when, contents, str(file)]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, Any] = json.loads(file.read_bytes())
    return found


@cache
def records_of(
    when: str, contents: str, column: tuple[str, str], mode: str, call: str
) -> dict[str, Any]:
    """Return the records of one call."""
    found = dict(session(when, contents)["calls"]["/".join((*column, mode, call))])
    found["records"] = [] if call in UNCERTAIN else comparable(TRACER, found["records"])
    return found


each_column = pytest.mark.parametrize(
    "column", [one for one in ADAPTED if one[0] not in NOT_POSSIBLE], ids=" ".join
)
each_time = pytest.mark.parametrize("when", TIMES)


@each_time
@pytest.mark.parametrize("contents", CONTENT)
@each_column
def test_the_same_records(
    when: str, contents: str, column: tuple[str, str], counted: list[tuple[int, int]]
) -> None:
    found, equal, total = [], 0, 0
    for mode in MODES:
        for call in CALLS:
            native, here = (records_of(when, contents, one, mode, call) for one in (NATIVE, column))
            path = "responses" if column[1] == "on" else "chat/completions"
            # A tracer may break a call before it is sent, natively too.
            assert set(here["paths"]) == ({path} if native["paths"] else set()), (
                f"{mode} {call}: {here['paths']}"
            )
            lines = list(different(native["outcome"], here["outcome"]))
            both = list(zip(native["records"], here["records"], strict=False))
            equal += sum(not list(different(*pair)) for pair in both)
            total += max(len(native["records"]), len(here["records"]))
            lines += different(native["records"], here["records"])
            found += [f"{mode} {call}: {line}" for line in lines]
    counted.append((equal, total))
    assert not found, "\n".join([f"{len(found)} differences (path: native, here)", *found])


@each_time
@pytest.mark.parametrize("contents", CONTENT)
def test_each_call_is_seen_natively(when: str, contents: str) -> None:
    seen = {
        call
        for mode in MODES
        for call in CALLS
        if records_of(when, contents, NATIVE, mode, call)["records"]
    }
    assert set(CALLS) - seen == UNSEEN | set(UNCERTAIN)


if MASKS:

    @each_time
    def test_what_is_kept_out_is_out(when: str) -> None:
        calls, native = session(when, "masked")["calls"], "/".join((*NATIVE, ""))
        for some in ([key for key in calls if key.startswith(native)], calls):
            exported = json.dumps([calls[key]["records"] for key in some])
            through = {place for place in CONTENTS if WORDS[place] in exported}
            assert through == set(getattr(KIND, "LETS_THROUGH", ()))


@each_time
@each_column
def test_no_name_of_the_adapters_own(when: str, column: tuple[str, str]) -> None:
    for mode in MODES:
        for call in CALLS:
            assert not names_of_ours(records_of(when, "whole", column, mode, call)["records"]), (
                f"{mode} {call}"
            )


@each_time
@pytest.mark.parametrize("contents", CONTENT)
def test_no_other_machine_is_asked(when: str, contents: str) -> None:
    assert session(when, contents)["refused"] == []
