"""`adapter.reading` uses public names of the translation only, so that either can change alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapter.reading
import adapter.translation

READING = sorted(Path(adapter.reading.__file__).parent.glob("*.py"))
TRANSLATION = sorted(Path(adapter.translation.__file__).parent.rglob("*.py"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def private_names(sources: Iterator[str]) -> set[str]:
    """Return the private names that are defined in sources: functions, classes, attributes."""
    found: set[str] = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name):
                found.add(name)
            case ast.Attribute(attr=name):
                found.add(name)
    return set(filter(is_private, found))


OF_TRANSLATION = private_names(path.read_text() for path in TRANSLATION)


def uses(source: str) -> list[str]:
    """List what a source uses of the translation beside its public names."""
    tree = ast.parse(source)
    out: list[str] = []
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("adapter.trans"):
            names = [*(node.module or "").split("."), *(one.name for one in node.names)]
            out += [f"import {name}" for name in names if is_private(name)]
            imported |= {one.asname or one.name for one in node.names}
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, bases=bases):
                named = {inner.id for one in bases for inner in ast.walk(one)
                         if isinstance(inner, ast.Name)}  # fmt: skip
                out += [f"class {name}({base})" for base in sorted(named & imported)]
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass  # its own: no class here has a base of the translation
            case ast.Attribute(attr=attribute) if attribute in OF_TRANSLATION:
                out.append(f".{attribute}")
    return out


@pytest.mark.parametrize("path", READING, ids=lambda path: path.stem)
def test_only_public_names_of_the_translation_are_used(path: Path) -> None:
    assert uses(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from adapter.translation.replies.stored import _content", ["import _content"]),
        ("from adapter.translation import ChunksFromEvents as C\nclass A(C): pass", ["class A(C)"]),
        ("machine._items.annotations", ["._items"]),
        ("self._machine._chunks", ["._chunks"]),
    ],
    ids=["a private import", "a subclass", "a private attribute", "one of an attribute"],
)
def test_the_check_finds(source: str, found: list[str]) -> None:
    assert uses(source) == found
