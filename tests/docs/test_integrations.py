"""The pages of docs/integrations/: one for each lane, with its versions, and programs that compile.

Where what a page is about is installed, its programs are run: `tests/frameworks/test_pages.py`,
`tests/tracers/test_pages.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import integrations
from tests.support import page_programs
from tests.support.page_programs import FOLDER, HELLO, ROOT, page_of, programs

PAGES = sorted(FOLDER.glob("*.md"))
LANES = sorted({*integrations.lanes("frameworks"), *integrations.lanes("tracers")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_comes_from_the_lanes_is_current(page: Path) -> None:
    current = integrations.written()[page] == page.read_text(encoding="utf-8")
    assert current, "run: make docs-tables"


def test_every_lane_has_a_page_and_every_page_a_lane() -> None:
    wanted = {page_of(lane) for lane in (*LANES, "applications", "index")}
    assert set(PAGES) == wanted
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[[^\]]+\]\(([\w-]+\.md)\) \|", index, re.MULTILINE)
    assert sorted(linked) == sorted(page_of(lane).name for lane in LANES)


def test_every_application_has_its_row() -> None:
    text = (FOLDER / "applications.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w-]+) [\d.]+", text, re.MULTILINE)
    assert rows == integrations.lanes("apps")


@pytest.mark.parametrize("lane", LANES)
def test_a_page_has_versions_programs_and_the_way_back(lane: str) -> None:
    text = page_of(lane).read_text(encoding="utf-8")
    assert re.search(r"<!-- versions -->\nTested with .* \d", text)
    assert len(programs(lane)) >= 2
    for program in programs(lane):
        compile(program, page_of(lane).name, "exec")
        assert re.search(r"^(import adapter|from adapter import)", program, re.MULTILINE)
        assert "print(" in program
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "Wire it"
    assert headings[-1] == "Check, and go back"
    assert "What moves" in headings


def test_the_lanes_run_the_programs() -> None:
    for kind in ("frameworks", "tracers"):
        text = (ROOT / "tests" / kind / "conftest.py").read_text(encoding="utf-8")
        assert "test_pages" in text


@pytest.mark.parametrize("backend", page_programs.BACKENDS)
def test_the_applications_program(backend: str, tmp_path: Path) -> None:
    (program,) = programs("applications")
    ran = page_programs.run(program, backend, tmp_path)
    assert (ran.printed, ran.paths) == (f"{HELLO}\n", {page_programs.BACKENDS[backend]})


def test_a_program_that_fails_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        page_programs.run("import adapter\n1 / 0", "chat", tmp_path)


def test_a_program_reaches_no_other_machine(tmp_path: Path) -> None:
    outside = "import socket\nsocket.create_connection(('192.0.2.1', 80))"
    with pytest.raises(AssertionError, match="only the loopback"):
        page_programs.run(outside, "chat", tmp_path)


def test_the_pages_are_written_by_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import tests.docs.integrations as made; print(len(made.written()))",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == len(PAGES)
