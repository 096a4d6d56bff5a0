"""Comments `# dialect: NAME` in the code and the tables of dialects name the same places."""

from __future__ import annotations

import re
from collections.abc import Iterator

from adapter.translation.server_profiles import SERVER_PROFILES

from . import layers

_TAG = re.compile(r"# dialect: ([^(\n]+)")
_FILE = re.compile(r"`(adapter/[\w/]+\.py)`")


def _names(text: str) -> Iterator[str]:
    """Give the servers in `vLLM, llama.cpp` or `Bedrock, DeepSeek and others`."""
    for name in re.split(r", | and ", text.partition(" (")[0].strip(" ,")):
        if name != "others":
            yield name


def _tags() -> set[tuple[str, str]]:
    """Return each tag's server and file."""
    return {
        (name, path.relative_to(layers.ROOT).as_posix())
        for path in (layers.ROOT / "adapter").rglob("*.py")
        for found in _TAG.finditer(path.read_text(encoding="utf-8"))
        for name in _names(found[1])
    }


def _rows() -> set[tuple[str, str]]:
    """Return each row's servers and files."""
    page = (layers.ROOT / "docs" / "wire-facts.md").read_text(encoding="utf-8")
    section = page.partition("\n## Dialects\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {
        (name, file) for row in rows for name in _names(row[0]) for file in _FILE.findall(row[-1])
    }


def test_every_tag_has_a_row() -> None:
    assert len(_tags()) > 30
    missing = sorted(_tags() - _rows())
    assert missing == [], "add a row with the server and the file to docs/wire-facts.md#dialects"


def test_every_row_about_the_translation_has_a_tag() -> None:
    rows = {(name, file) for name, file in _rows() if file.startswith("adapter/translation/")}
    missing = sorted(rows - _tags())
    assert missing == [], "mark the place in that file with `# dialect: NAME`"


def test_every_server_profile_has_a_tag() -> None:
    tagged = {name for name, file in _tags() if file.endswith("/server_profiles.py")}
    assert tagged == {profile.name for profile in SERVER_PROFILES}
