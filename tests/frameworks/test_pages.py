"""The programs on a framework's page of docs/integrations/, run as they stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frameworks.conftest import FRAMEWORK
from tests.support.page_programs import BACKENDS, HELLO, programs, run

PROGRAMS = programs(str(FRAMEWORK))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_pages_program(number: int, backend: str, tmp_path: Path) -> None:
    program = PROGRAMS[number]
    ran = run(program, backend, tmp_path)
    # One that sets the header says itself where it goes.
    path = BACKENDS["responses" if "x-adapter-backend" in program else backend]
    assert (ran.printed, ran.paths) == (f"{HELLO}\n", {path})
