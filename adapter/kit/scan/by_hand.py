"""Find the places of one module that write a request to Chat Completions by hand: over HTTP, or as a line of a batch."""

from __future__ import annotations

import libcst as cst

from . import known
from .site import Finder, Site, last_name
from .symbols import Symbol, Symbols, text_of

BATCH_STAYS = "the Batch API isn't moved: its input file is written for the endpoint that it names"


def find_requests(module: cst.Module, symbols: Symbols) -> list[tuple[Site, cst.CSTNode]]:
    """List them, each with its node."""
    finder = _Requests(module, symbols)
    finder.walk(module)
    return list(zip(finder.sites, finder.nodes, strict=True))


class _Requests(Finder):
    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._string(node, text_of(node) or "")

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self._string(node, node.value)

    def _string(self, node: cst.CSTNode, text: str) -> None:
        if "chat.completions" in text or known.ENDPOINT not in text or "\n" in text.strip() or self._is_docstring():
            return
        if self._is_batched():
            self._add(node, "batch", "input file", forced="stays", note=BATCH_STAYS)
            return
        call = self._caller()
        symbol = self._symbols.of(call.func, self._scope) if call is not None else Symbol()
        if known.BATCH.fullmatch(symbol.path):
            return  # told of as a call
        root = symbol.path.partition(".")[0].removesuffix("()")
        note = known.SENDERS.get(root, "a request that is made by hand: the adapter gets under httpx and httpx2 only")
        site = self._add(node, "http", last_name(call.func) if call is not None else "text", note=note)
        site.forced = "unclear" if root not in known.SENDERS or root.startswith("httpx") else "stays"

    def _is_batched(self) -> bool:
        """Tell whether a string stands in a line of the Batch API's input file."""
        line = next((node for node in reversed(self.stack) if isinstance(node, cst.Dict)), None)
        keys = line.elements if line is not None else ()
        return any(isinstance(one, cst.DictElement) and text_of(one.key) == "custom_id" for one in keys)

    def _is_docstring(self) -> bool:
        return any(
            isinstance(node, cst.Expr) and isinstance(node.value, (cst.SimpleString, cst.ConcatenatedString))
            for node in self.stack[-3:]
        )
