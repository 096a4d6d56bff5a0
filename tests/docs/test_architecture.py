"""The picture of the layers agrees with the contract; citations lead to existing headings."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from . import layers, pictures

ROOT = layers.ROOT

# Names of documents outside the repository that were once cited.
OUTSIDE = re.compile(
    r"\b(?:MAPPING|WIRE_FACTS|EDGE_CASES|DESIGN|REPORTS|REVERSE|OPERATE|REDESIGN)\b(?:\.md| §|, )"
    r"|\bpromise \d"
)
CITATION = re.compile(r"\b(docs/[\w/-]+\.md)((?:, )?#[\w-]+(?:, #[\w-]+)*)?")


def _tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\n") if name and (ROOT / name).is_file()]


@cache
def _code() -> list[tuple[str, str]]:
    """Return the files of the library and its tests, with wrapped comments joined."""
    found = [
        (name, (ROOT / name).read_text(encoding="utf-8"))
        for name in _tracked("adapter", "tests/*.py", "bench/*.py", "pytest_chat_responses.py")
        if name.endswith((".py", ".pyi", ".toml")) and name != "tests/docs/test_architecture.py"
    ]
    assert len(found) > 300
    return found


@cache
def _anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as the site and code hosts generate them."""
    text = re.sub(
        r"^```.*?^```",
        "",
        (ROOT / page).read_text(encoding="utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    titles = re.findall(r"^#+ (.+?)\s*(?:\{#([\w-]+)\})?$", text, re.MULTILINE)
    return {given or _slug(title) for title, given in titles}


def _slug(title: str) -> str:
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip())


def test_the_picture_of_the_layers_is_the_contracts() -> None:
    drawn = pictures.FOLDER / "layers.light.svg"
    assert drawn.read_text(encoding="utf-8") == layers.picture("light"), (
        "write it again: python -m tests.docs.layers"
    )
    assert len(layers.layers()) >= 11


def test_every_layer_is_in_the_picture() -> None:
    there = {path.parent.name for path in (ROOT / "adapter").glob("*/__init__.py")}
    there |= {path.stem for path in (ROOT / "adapter").glob("*.py")} - {"__init__", "__main__"}
    assert {name for names in layers.layers() for name in names} == there


def test_no_citation_leads_out_of_the_repository() -> None:
    assert [
        f"{name}: {found[0]}" for name, text in _code() for found in OUTSIDE.finditer(text)
    ] == []


def test_every_citation_leads_to_a_heading() -> None:
    cited, wrong = 0, []
    for name, text in _code():
        for found in CITATION.finditer(re.sub(r"\n\s*(?:#(?!#)\s*)?", " ", text)):
            page, anchors = found[1], re.findall(r"#([\w-]+)", found[2] or "")
            cited += 1
            if not (ROOT / page).is_file():
                wrong.append(f"{name}: {page}")
                continue
            wrong += [f"{name}: {page}#{one}" for one in anchors if one not in _anchors(page)]
    assert wrong == []
    assert cited > 60


def test_the_paths_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|svg|json))`", text))
    assert len(named) > 30
    roots = (ROOT, ROOT / "adapter", ROOT / "adapter" / "translation", ROOT / "docs")
    missing = [
        name
        for name in sorted(named)
        if "NAME" not in name and not any((root / name).exists() for root in roots)
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["mapping", "wire-facts", "edge-cases", "decisions"])
def test_the_explanation_pages_name_files_that_exist(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w.-]+/)*[\w-]+\.py)`", text))
    roots = (ROOT, ROOT / "adapter", ROOT / "adapter" / "translation", ROOT / "adapter" / "tools")
    tests = {Path(name).name for name in _tracked("tests")}
    missing = [
        name
        for name in sorted(named)
        if not any((root / name).exists() for root in roots) and name not in tests
    ]
    assert missing == []
