"""The tables of the documents that are written from the code.

A table stands between `<!-- table: NAME -->` and `<!-- end -->` in a page.
`python -m tests.docs.tables` writes all of them; `tests/docs/test_tables.py` compares them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

_TABLE = re.compile(
    r"(?P<mark><!-- table: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def tables() -> dict[str, Callable[[], str]]:
    """Return the function that writes each table, by its name."""
    from . import commands, errors, ledger, models, parameters, pytest_plugin, reasons, settings

    return {
        "settings": settings.overview,
        "settings-described": settings.described,
        "settings-match": settings.match_fields,
        "parameters": parameters.parameters,
        "parameter-choices": parameters.choices,
        "parameters-by-support": parameters.by_support,
        "reasons": reasons.reasons,
        "losses": ledger.losses,
        "exceptions": errors.exceptions,
        "error-codes": errors.codes,
        "commands": commands.overview,
        "commands-described": commands.described,
        "exit-codes": commands.exit_codes,
        "pytest-fixtures": pytest_plugin.fixtures,
        "pytest-options": pytest_plugin.options,
        "pytest-markers": pytest_plugin.markers,
        "model-fields": models.fields,
        "model-facts": models.facts,
        "model-shutdowns": models.shutdowns,
    }


def pages() -> list[Path]:
    """Return the documents that may hold tables."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def written(text: str) -> str:
    """Return a page with its tables written again; raise KeyError for an unknown table."""
    made = tables()
    return _TABLE.sub(
        lambda found: f"{found['mark']}\n{made[found['name']]()}\n\n{found['end']}", text
    )


def names_in(text: str) -> list[str]:
    """Return the names of the tables in a page."""
    return [found["name"] for found in _TABLE.finditer(text)]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def code(value: object) -> str:
    """Return a value as code."""
    return f"`{value}`"


def codes(values: Iterable[object]) -> str:
    """Return values as code, with commas."""
    return ", ".join(code(value) for value in values)


def linked(text: str, start: str = "../") -> str:
    """Return a text of the code with its citations of pages as links."""

    def links(found: re.Match[str]) -> str:
        page, anchors = found["page"], re.findall(r"#[\w-]+", found["anchors"] or "")
        shown = [f"[{page}{anchor}]({start}{page}.md{anchor})" for anchor in anchors or [""]]
        return ", ".join(shown)

    return re.sub(r"docs/(?P<page>[\w/-]+)\.md(?P<anchors>#[\w-]+(?:, #[\w-]+)*)?", links, text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
