"""Call sites, and the base class of the walkers that find them."""

from __future__ import annotations

from dataclasses import dataclass, field

import libcst as cst

from .arguments import Arguments
from .scoped_walker import ScopedWalker
from .symbols import Symbols


@dataclass(slots=True)
class Site:
    """One call site; `line` and `column` count from 1, `call` is the method's name.

    `owner` is the `__qualname__` of its function. `call_chain` has the functions between it and the
    SDK, the one that calls the SDK first, each with its file (empty: this one). `forced` is a
    verdict that doesn't depend on parameters, and `note` its reason; `wire` says how to give a
    framework's client the adapter.
    """

    line: int
    column: int
    kind: str
    call: str
    owner: str
    arguments: Arguments = field(default_factory=Arguments)
    messages: list[dict[str, object]] = field(default_factory=list)
    forced: str | None = None
    note: str = ""
    wire: str = ""
    call_chain: tuple[tuple[str, str], ...] = ()
    unknown_client_note: str = ""  # why the client isn't known to be the SDK's


class Finder(ScopedWalker):
    """Collect sites, each with its node."""

    def __init__(self, module: cst.Module, symbols: Symbols) -> None:
        super().__init__(symbols)
        self.sites: list[Site] = []
        self.nodes: list[cst.CSTNode] = []  # one for each site
        self._module = module

    def _add(self, node: cst.CSTNode, kind: str, call: str, **more: object) -> Site:
        site = Site(0, 0, kind, call, self._scope.qualname, **more)  # type: ignore[arg-type]
        self.sites.append(site)
        self.nodes.append(node)
        return site

    def _enclosing_call(self) -> cst.Call | None:
        """Return the innermost call of the same statement that has the visited node in it."""
        for node in reversed(self.stack):
            if isinstance(node, cst.Call):
                return node
            if isinstance(node, (cst.BaseStatement, cst.BaseSmallStatement)):
                return None
        return None


def last_name(node: cst.BaseExpression) -> str:
    """Return the last part of a dotted name; `call` for any other expression."""
    return (
        node.attr.value
        if isinstance(node, cst.Attribute)
        else node.value
        if isinstance(node, cst.Name)
        else "call"
    )
