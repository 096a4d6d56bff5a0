"""The documents' examples run: each page is followed literally in an empty folder."""

from __future__ import annotations

import re
import socket
import tomllib
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from adapter._settings.fields import SettingsFields

from .example_pages import ROOT, blocks, follow, needs

FOLLOWED = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "start").glob("*.md")),
    *sorted((ROOT / "docs" / "guides").glob("*.md")),
]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("page", FOLLOWED, ids=_name)
def test_it_is_followed_and_prints_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [name for name in needs(text) if find_spec(name) is None]
    if missing:
        pytest.skip(f"its examples need {', '.join(missing)}: make guides")
    if "redis-server" in text and which("redis-server") is None:
        pytest.skip("its examples need redis-server")
    monkeypatch.setenv("PORT", str(_free_port()))
    monkeypatch.setenv("REDIS_PORT", str(_free_port()))
    assert follow(text, tmp_path) == ""


@pytest.mark.parametrize("page", FOLLOWED, ids=_name)
def test_its_programs_are_python(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind == "python":
            compile(block.text, f"{page.name}, line {block.line}", "exec")


@pytest.mark.parametrize("page", FOLLOWED, ids=_name)
def test_its_settings_are_some(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind == "toml" and not block.left_out:
            SettingsFields.model_validate(tomllib.loads(block.text))


@pytest.mark.parametrize("page", FOLLOWED[1:], ids=_name)
def test_a_guide_says_what_you_get_how_to_be_sure_and_how_to_go_back(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(r"# .+\n\n\*\*What you get\*\*: ", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[-2:] == ["How to be sure", "How to go back"]


def test_what_is_printed_is_compared(tmp_path: Path) -> None:
    assert follow("```sh\necho one; echo two\n```\n\n```text\none\nt…\n```\n", tmp_path) == ""
    wrong = follow("```sh\necho one; echo two\n```\n\n```text\ntwo\none\n```\n", tmp_path)
    assert "line 1: not printed: one" in wrong
    assert "exit code 1" in follow("```sh\nfalse\n```\n", tmp_path)
