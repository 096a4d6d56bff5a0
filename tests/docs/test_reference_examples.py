"""Examples of the pages that explain and list: programs run, settings are valid, commands exist.

Pages that are followed as a whole, in `docs/start`, `docs/guides` and `docs/integrations`, have
tests of their own.
"""

from __future__ import annotations

import json
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from adapter._settings.fields import SettingsFields
from adapter.tools.cli.commands import COMMANDS
from tests.support import answers

from .site_hook import PAGES

ROOT = Path(__file__).resolve().parents[2]
FOLLOWED = ("docs/start/", "docs/guides/", "docs/integrations/", "MIGRATION.md")
EXPLAINING = [
    page
    for page in (*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in PAGES))
    if page.is_file() and not page.relative_to(ROOT).as_posix().startswith(FOLLOWED)
]

KINDS = {"python", "toml", "json", "sh", "diff", "text"}
"""Every kind of block that a page may have; `text` and `diff` are shown only."""

_BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ +)*(?P<program>\S+)(?P<rest>.*)$")


def _blocks(kind: str) -> list[Any]:
    """Return the blocks of a kind, each with the page and the line where it begins."""
    found = []
    for page in EXPLAINING:
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            if block["kind"] == kind:
                line = text.count("\n", 0, block.start()) + 1
                name = f"{page.relative_to(ROOT).as_posix()}:{line}"
                found.append(pytest.param(block["text"], id=name))
    return found


def test_there_are_pages_and_every_block_says_what_it_is() -> None:
    assert len(EXPLAINING) > 25
    kinds = {
        kind
        for page in EXPLAINING
        for kind in re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert kinds - {""} <= KINDS


@pytest.mark.parametrize("program", _blocks("python"))
def test_a_program_runs(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", answers.KEY)
    exec(compile(program, "example.py", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("settings", _blocks("toml"))
def test_a_settings_file_is_valid(settings: str) -> None:
    SettingsFields.model_validate(tomllib.loads(settings))


@pytest.mark.parametrize("document", _blocks("json"))
def test_a_document_is_json(document: str) -> None:
    json.loads(document)


@pytest.mark.parametrize("commands", _blocks("sh"))
def test_its_commands_exist(commands: str) -> None:
    """They aren't run: they record from servers, measure for minutes, or start a service."""
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for line in commands.replace("\\\n", " ").splitlines():
        command = _COMMAND.match(re.sub(r"(^|\s)#.*", "", line).strip())
        if command is None:
            continue
        first = (command["rest"].split() or [""])[0]
        match Path(command["program"]).name:
            case "make":
                assert first in targets
            case "adapter":
                assert first in COMMANDS
            case "cd":
                assert (ROOT / first).is_dir()
            case name if name.startswith("python"):
                module = re.match(r"-m (\S+)", command["rest"].strip())
                known = module is not None and find_spec(module[1]) is not None
                assert known or first == "service.py"  # the reader's own
            case _:
                raise AssertionError(line)
