"""Collect the comparison where a tracer is under test, and count the records compared."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import isolated

# Read at import, before the tests' clean environment removes the name.
TRACER = os.environ.get(isolated.UNDER_TEST, "")

# Tracers have environments of their own: elsewhere there is nothing to collect.
collect_ignore = [] if TRACER else ["test_records.py", "test_pages.py"]

if "tests.tracers.differing" not in sys.modules:  # the documents' tests may have read it before
    pytest.register_assert_rewrite("tests.tracers.differing")


@pytest.fixture(scope="session", autouse=True)
def _installed() -> Iterator[None]:
    """Put the package where a wheel's files would be.

    Tracers treat other places as the application's own code. Some look for the call site on the
    stack, and an editable installation's files would be one.
    """
    folder = Path(sysconfig.get_path("purelib")) / "adapter"
    kept = {*folder.rglob("*")}  # data that an editable installation puts there
    shutil.copytree(
        isolated.ROOT / "adapter",
        folder,
        ignore=shutil.ignore_patterns("__pycache__"),
        dirs_exist_ok=True,
    )
    yield
    for path in sorted({*folder.rglob("*")} - kept, reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(scope="session")
def counted(
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[list[tuple[int, int]]]:
    """Return the numbers of equal and of all records, for each way in."""
    counts: list[tuple[int, int]] = []
    yield counts
    record_testsuite_property("ways", len(counts))
    equal, total = (sum(one) for one in zip(*counts, strict=True)) if counts else (0, 0)
    record_testsuite_property("records equal", f"{equal} of {total}")
