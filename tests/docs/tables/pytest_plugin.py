"""The tables of the pytest plugin: fixtures, options, markers."""

from __future__ import annotations

import ast
from typing import Any

import pytest_chat_responses

from . import ROOT, code, table


def fixtures() -> str:
    """Return one row for each fixture."""
    rows = []
    for name in ("plugin.py", "plugin_cassettes.py"):
        path = ROOT / "adapter" / "testing" / name
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and any(
                "pytest.fixture" in ast.unparse(one) for one in node.decorator_list
            ):
                text = " ".join((ast.get_docstring(node) or "").split())
                rows.append((code(node.name), text))
    assert rows
    return table(("fixture", "what it does"), sorted(rows))


class _Collector:
    """Stand in for pytest's parser and configuration, and collect what is added."""

    def __init__(self) -> None:
        self.options: list[Any] = []
        self.found: list[tuple[str, str]] = []

    def getgroup(self, *_: str) -> _Collector:
        return self

    def addoption(self, name: str, **given: Any) -> None:
        values = given.get("choices") or ([given["metavar"]] if "metavar" in given else [])
        shown = f"{name}={'|'.join(values)}" if values else name
        self.found.append((code(shown), given["help"]))

    def addini(self, name: str, text: str, **_: Any) -> None:
        self.found.append((f"{code(name)} (ini)", f"{text[0].upper()}{text[1:]}."))

    def addinivalue_line(self, _: str, line: str) -> None:
        marker, _, text = line.partition(": ")
        self.found.append((code(marker), f"{text[0].upper()}{text[1:]}."))


def options() -> str:
    """Return one row for each option."""
    collector: Any = _Collector()
    pytest_chat_responses.add_options(collector)
    return table(("option", "what it does"), collector.found)


def markers() -> str:
    """Return one row for each marker."""
    collector: Any = _Collector()
    pytest_chat_responses.add_markers(collector)
    return table(("marker", "what it does"), collector.found)
