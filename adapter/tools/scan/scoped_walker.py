"""Walk a syntax tree and keep track of the scope."""

from __future__ import annotations

from typing import Any

from .cst_walker import Walker
from .symbols import Symbols


class ScopedWalker(Walker):
    """A walker that keeps the scope of the visited node in `_scope`."""

    def __init__(self, symbols: Symbols) -> None:
        super().__init__()
        self._symbols = symbols
        self._scope = symbols.module

    def _enter(self, node: Any) -> None:
        scope = self._symbols.scope_of(node)
        assert scope is not None
        self._scope = scope

    visit_ClassDef = visit_FunctionDef = visit_Lambda = _enter

    def _leave(self, node: Any) -> None:
        assert self._scope.parent is not None
        self._scope = self._scope.parent

    leave_ClassDef = leave_FunctionDef = leave_Lambda = _leave
