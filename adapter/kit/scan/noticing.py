"""What `--fix` doesn't change, and its owner should know of: the SDK's other names of its clients, classes passed on uncalled, the module's own client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import libcst as cst
from libcst import helpers

from .walking import Walker

OTHER_NAMES = {"Client": "OpenAI", "AsyncClient": "AsyncOpenAI"}
"""What the SDK calls its clients besides; the adapter doesn't."""

_OWN = ("openai.chat.completions.", "openai.beta.chat.completions.")
_TAKES_TYPES = frozenset({"isinstance", "issubclass", "cast", "TypeVar", "NewType"})
_OF_MOCKS = frozenset({"spec", "spec_set", "autospec"})


def other_name(name: str) -> str | None:
    """Say of a client under its other name what to write instead."""
    ours = OTHER_NAMES.get(name)
    return None if ours is None else f"{name} is the SDK's other name of {ours}: write {ours}, and run this again"


def passed_on(stack: Sequence[cst.CSTNode], node: cst.Attribute) -> str | None:
    """Say of `openai.OpenAI` that it is handed on as a class, so that what is made of it later isn't the adapter's."""
    above = stack[-1]
    if isinstance(above, cst.Arg):
        if above.keyword is not None and above.keyword.value in _OF_MOCKS:
            return None
        call = stack[-2]
        if not isinstance(call, cst.Call) or _last(call.func) in _TAKES_TYPES:  # a base of a class is changed
            return None
    elif not isinstance(above, (cst.Assign, cst.AnnAssign, cst.Return, cst.DictElement, cst.Lambda, cst.Param)):
        return None
    return f"hands on openai.{node.attr.value} uncalled: left"


def own_client(node: cst.Call) -> str | None:
    """Say of a call of the module-level client, where openai is the SDK, how it comes along."""
    name = helpers.get_full_name_for_node(node.func) or ""
    if not name.startswith(_OWN):
        return None
    return (
        "calls the SDK's module-level client, which no import changes: adapter.install(openai), once it is configured"
    )


def _last(node: cst.BaseExpression) -> str:
    return (helpers.get_full_name_for_node(node) or "").rpartition(".")[2]


def unused(module: cst.Module, names: Iterable[str]) -> set[str]:
    """Return those of the names that nothing but imports speaks of: in a package's `__init__.py` they are there for others."""
    finder = _Spoken()
    finder.walk(module)
    return set(names) - finder.names


class _Spoken(Walker):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        """Pass over imports."""
        return False

    def visit_Name(self, node: cst.Name) -> None:
        """Take note of a name."""
        self.names.add(node.value)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        """Take note of names in annotations that are written as text."""
        if any(isinstance(one, cst.Annotation) for one in self.stack):
            self.names.update(re.findall(r"\w+", node.value))
