"""Find the places of one module that put something in the place of Chat Completions' methods."""

from __future__ import annotations

import libcst as cst

from .known import method_of
from .site import Finder, Site, last_name
from .symbols import Symbols, text_of

_REPLACED = "where create is replaced, the adapter steps aside"


def find_doubles(module: cst.Module, symbols: Symbols) -> list[tuple[Site, cst.CSTNode]]:
    """List them, each with its node."""
    finder = _Doubles(module, symbols)
    finder.walk(module)
    return list(zip(finder.sites, finder.nodes, strict=True))


class _Doubles(Finder):
    def visit_Assign(self, node: cst.Assign) -> None:
        for target in (one.target for one in node.targets):
            if isinstance(target, cst.Attribute) and method_of(
                f"{self._symbols.of(target.value, self._scope).path}.{target.attr.value}"
            ):
                self._add(node, "test double", "assignment", forced="moves", note=_REPLACED)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._string(node, text_of(node) or "")

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self._string(node, node.value)

    def _string(self, node: cst.CSTNode, text: str) -> None:
        if "chat.completions" not in text:
            return
        call = self._caller()
        if call is not None and last_name(call.func) in ("patch", "setattr", "object", "wrap_function_wrapper"):
            self._add(node, "test double", last_name(call.func), forced="moves", note=_REPLACED)
