"""Walk a syntax tree without its whitespace.

LibCST's own visitors visit every space and comma, which takes ten times as long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import libcst as cst

_SKIPPED_FIELDS = (
    "whitespace", "leading_lines", "lines_after", "lpar", "rpar", "comma", "semicolon", "equal",
    "dot", "colon", "header", "footer", "trailing", "operator", "lbracket", "rbracket", "lbrace",
    "rbrace", "indent", "asynchronous", "encoding", "newline",
)  # fmt: skip


@lru_cache(maxsize=512)
def _fields(cls: type) -> tuple[str, ...]:
    return tuple(
        one.name for one in dataclasses.fields(cls) if not one.name.startswith(_SKIPPED_FIELDS)
    )


@lru_cache(maxsize=1024)
def _is_node(cls: type) -> bool:
    return issubclass(cls, cst.CSTNode)  # an abstract class: `isinstance` takes ten times as long


class Walker:
    """Call `visit_X(node)` before, and `leave_X(node)` after, the children of each node of type X.

    If `visit_X` returns False, the children are skipped.
    """

    def __init__(self) -> None:
        self.stack: list[cst.CSTNode] = []  # the ancestors of the visited node
        self._visits: dict[type, Callable[[Any], bool | None] | None] = {}
        self._leaves: dict[type, Callable[[Any], None] | None] = {}

    def walk(self, node: cst.CSTNode) -> None:
        """Visit a node and everything in it."""
        cls = type(node)
        if cls not in self._visits:
            self._visits[cls] = getattr(self, f"visit_{cls.__name__}", None)
            self._leaves[cls] = getattr(self, f"leave_{cls.__name__}", None)
        visit = self._visits[cls]
        if visit is None or visit(node) is not False:
            self.stack.append(node)
            for name in _fields(cls):
                value = getattr(node, name)
                kind = value.__class__
                if kind is list or kind is tuple:
                    for one in value:
                        if _is_node(one.__class__):
                            self.walk(one)
                elif kind is not str and _is_node(kind):
                    self.walk(value)
            self.stack.pop()
        leave = self._leaves[cls]
        if leave is not None:
            leave(node)
