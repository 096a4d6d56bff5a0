"""One place that a scan found, and what finds it: a walk that knows in which scope it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import libcst as cst

from .arguments import Arguments
from .scoped_walker import ScopedWalker
from .symbols import Symbols


@dataclass(slots=True)
class Site:
    """One place: `line` and `column` from 1, what `kind` of call, its name in `call`, and what it is given.

    `owner` is its function, as `__qualname__`; `through` are the functions that it calls on the way to Chat, the one that calls the SDK
    first, each with its file (empty: this one). `forced` is a verdict that no parameter changes, with `note` saying why; `wire` how the adapter gets under
    a framework's client.
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
    unknown_client_note: str = ""  # why it isn't known to be one of the SDK


class Finder(ScopedWalker):
    """Collect sites, each with the node that it is about."""

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
        """Return the call in whose arguments the visited node stands, within its statement."""
        for node in reversed(self.stack):
            if isinstance(node, cst.Call):
                return node
            if isinstance(node, (cst.BaseStatement, cst.BaseSmallStatement)):
                return None
        return None


def last_name(node: cst.BaseExpression) -> str:
    """Return the last part of a dotted name."""
    return (
        node.attr.value
        if isinstance(node, cst.Attribute)
        else node.value
        if isinstance(node, cst.Name)
        else "call"
    )
