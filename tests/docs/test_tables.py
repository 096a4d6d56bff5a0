"""The tables of the documents agree with the code; `python -m tests.docs.tables` writes them."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import adapter

from . import site_check, tables
from .tables import errors, ledger, models, reasons, settings

MODULES = {
    "adapter.reading": "reading",
    "adapter.translation": "translate",
    "adapter.telemetry": "telemetry",
    "adapter.testing": "testing",
    "adapter.tools.audit": "audit",
    "adapter.typing": "typing",
}
"""The public modules, and their pages in docs/reference/api/."""

CLIENTS = {"OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI"}
"""What the API page describes in words: the classes are the SDK's."""


def _reference(name: str) -> str:
    return (tables.ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", tables.pages(), ids=lambda page: str(page.relative_to(tables.ROOT))
)
def test_the_tables_of_a_page_are_current(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- table: ") == len(tables.names_in(text))
    assert tables.written(text) == text, "run: make docs-tables"


def test_every_table_is_in_the_reference() -> None:
    folder = tables.ROOT / "docs" / "reference"
    shown = {
        name
        for page in folder.rglob("*.md")
        for name in tables.names_in(page.read_text(encoding="utf-8"))
    }
    assert shown == set(tables.tables())


def test_every_setting_has_its_section() -> None:
    listed = [name for names in settings.GROUPS.values() for name in names]
    assert sorted(listed) == sorted(adapter.Settings.model_fields)
    page = _reference("settings")
    for name in adapter.Settings.model_fields:
        section = page.partition(f"### `{name}` {{#{name}}}\n\n")[2].partition("\n\n- ")[0]
        assert len(section) > 20, f"{name} has no meaning"


def test_every_reason_in_the_code_has_its_row() -> None:
    """The reasons written in the code are those of Decision's docstring."""
    written: set[str] = set()
    for path in (tables.ROOT / "adapter").glob("_*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="Plan" | "Hold" | "_held"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    written.add(name)
                case ast.Call(func=ast.Name(id="CallState" | "Route")):
                    given = [one.value for one in node.keywords if one.arg == "reason"]
                    written |= {str(one.value) for one in given if isinstance(one, ast.Constant)}
    assert len(written) >= 4
    assert written <= set(reasons.names())
    assert "rollout" in reasons.names()


def test_every_error_code_has_its_row() -> None:
    assert errors.codes_in_the_code() == set(errors.CODES)


def test_the_losses_are_read_from_the_code() -> None:
    found = ledger.entries()
    assert {one.action for one in found} == {*ledger.ACTIONS, ledger.CHOSEN}
    assert len(found) > 50
    assert ledger.Entry("held", "$", "not JSON") in found
    assert ledger.Entry("clamped", "…", "to 16, the least that the Responses API takes") in found


def test_every_field_of_a_model_has_its_row() -> None:
    assert set(models.MEANINGS) == set(models.FIELDS)


@pytest.mark.parametrize("module", MODULES)
def test_the_api_pages_have_every_public_name(module: str) -> None:
    shown = site_check.shown_objects(_reference(f"api/{MODULES[module]}"))
    names = {name.rpartition(".")[2] for name in shown}
    assert names == set(importlib.import_module(module).__all__)


def test_every_name_of_the_package_is_in_the_reference() -> None:
    pages = "".join(
        page.read_text(encoding="utf-8")
        for page in (tables.ROOT / "docs" / "reference").rglob("*.md")
    )
    shown = set(re.findall(r"^::: adapter\.(\w+)$", pages, re.MULTILINE))
    for module in MODULES:
        shown |= set(importlib.import_module(module).__all__)
    shown |= set(importlib.import_module("adapter.errors").__all__)
    missing = set(adapter.__all__) - shown - CLIENTS - {"translate"}
    assert missing == set()
    assert all(f"`{name}`" in _reference("api/index") for name in CLIENTS)
