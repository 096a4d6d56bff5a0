"""The tables in the documentation are those of the code. `UPDATE_DOCS=1` writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import adapter
from adapter.translation import CHAT_PARAMETERS

ROOT = Path(__file__).resolve().parents[1]


def parameters() -> str:
    rows = ["| parameter | there | fate | |", "|---|---|---|---|"]
    for rule in sorted(CHAT_PARAMETERS.values(), key=lambda rule: rule.name):
        target = f"`{rule.to}`" if rule.to else "–"
        rows.append(f"| `{rule.name}` | {target} | {rule.fate} | {rule.note} |")
    return "\n".join(rows)


def test_the_table_of_parameters() -> None:
    path = ROOT / "MIGRATION.md"
    text = path.read_text(encoding="utf-8")
    written = re.sub(
        r"(<!-- table: parameters -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{parameters()}\n{found[2]}",
        text,
        flags=re.DOTALL,
    )
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(written, encoding="utf-8")
    assert written == text or os.environ.get("UPDATE_DOCS")


def test_the_readme_lists_every_setting() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in adapter.Settings.model_fields:
        assert f"| `{name}` | `ADAPTER_{name.upper()}`" in readme


def test_the_readme_begins_with_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^# adapter\n\n[^\n]+\n\n```sh\nmake demo .*\nmake test .*\n```", readme)
