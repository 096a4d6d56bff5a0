"""The settings' types are current; `python -m tests.docs.settings_types` writes them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .settings_types import MODULES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_is_current(path: Path) -> None:
    written = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.dump(written) == ast.dump(ast.parse(MODULES[path]())), "run: make docs-tables"
