"""Splice changes into a module's text; everything else stays the same, byte for byte."""

from __future__ import annotations

import re
from dataclasses import dataclass

import libcst as cst

from .known_clients import CLIENTS
from .symbols import Scope

ADAPTER = "adapter"


def own_name(alias: cst.ImportAlias) -> str:
    """Return the name to which an import binds."""
    return str(alias.evaluated_alias or alias.evaluated_name)


@dataclass(frozen=True, slots=True)
class ImportPlace:
    """An import statement and its position."""

    node: cst.Import | cst.ImportFrom
    scope: Scope
    is_alone: bool  # the only statement on its line
    is_type_checking: bool  # inside `if TYPE_CHECKING:`
    block: cst.CSTNode  # the block around it


class Editor:
    """Collect and apply changes of a module's text, as byte spans of its UTF-8."""

    def __init__(self, text: str, spans: dict[cst.CSTNode, tuple[int, int]], newline: str) -> None:
        self._raw = text.encode("utf-8", "surrogatepass")
        self._spans = spans
        self._newline = newline
        self._removed: list[tuple[int, int]] = []
        self._inserted: list[tuple[int, bytes]] = []

    def edits(self) -> list[tuple[int, int, bytes]]:
        """Return all changes, the last first: start, end, and the new bytes."""
        marks = [(start, 0, end, b"") for start, end in _merge_spans(self._removed)]
        marks += [(at, -1, at, new) for at, new in self._inserted]
        return [(start, end, new) for start, _, end, new in sorted(marks, reverse=True)]

    def text(self) -> str:
        """Return the text after all changes."""
        raw = self._raw
        for start, end, new in self.edits():
            raw = raw[:start] + new + raw[end:]
        return raw.decode("utf-8", "surrogatepass")

    def replace(self, node: cst.CSTNode, text: str) -> None:
        """Replace a node by a text."""
        start, end = self._spans[node]
        self._removed.append((start, end))
        self._inserted.append((start, text.encode()))

    def before(self, place: ImportPlace, statement: str) -> None:
        """Insert a statement before an import, on its own line if the import has its own."""
        start = self._spans[place.node][0]
        indent = self._raw[self._line_start(start) : start]
        between = self._line_end(start) + indent if place.is_alone and not indent.strip() else b"; "
        self._inserted.append((start, statement.encode() + between))

    def _line_start(self, at: int) -> int:
        return max(self._raw.rfind(b"\n", 0, at), self._raw.rfind(b"\r", 0, at)) + 1

    def _line_end(self, at: int) -> bytes:
        found = re.compile(rb"\r\n|\n|\r").search(self._raw, at)
        return found[0] if found else self._newline.encode()

    def from_import(self, place: ImportPlace, names: set[str]) -> None:
        """Change `from openai import …` for the clients with these names.

        If other names remain, the changed ones get a statement of their own.
        """
        node = place.node
        assert isinstance(node, cst.ImportFrom)
        assert not isinstance(node.names, cst.ImportStar)
        assert node.module is not None
        changed = [
            k
            for k, alias in enumerate(node.names)
            if alias.name.value in CLIENTS and own_name(alias) in names
        ]
        if len(changed) == len(node.names):
            self.replace(node.module, ADAPTER)
            return
        spans = [self._spans[alias] for alias in node.names]
        moved = [
            (
                " ".join(self._raw[spans[k][0] : spans[k][1]].decode().split()),
                self._remove_name(k, changed, spans, parenthesised=node.lpar is not None),
            )
            for k in changed
        ]
        if any(comment for _, comment in moved):
            start = self._spans[node][0]
            indent = self._raw[self._line_start(start) : start].decode()
            newline = self._line_end(start).decode()
            lines = "".join(
                f"{indent}    {name},{f'  {comment}' if comment else ''}{newline}"
                for name, comment in moved
            )
            self.before(place, f"from {ADAPTER} import ({newline}{lines}{indent})")
        else:
            self.before(place, f"from {ADAPTER} import {', '.join(name for name, _ in moved)}")

    def _remove_name(
        self, k: int, changed: list[int], spans: list[tuple[int, int]], *, parenthesised: bool
    ) -> str:
        """Remove a name from a list; return its comment if the name has its own line, else ""."""
        raw = self._raw
        start, end = spans[k]
        kept = [i for i in range(k) if i not in changed]
        after = spans[k + 1][0] if k + 1 < len(spans) else None
        if not parenthesised:
            if any(i not in changed for i in range(k + 1, len(spans))):
                assert after is not None
                self._removed.append((start, after))
            else:
                self._removed.append((spans[kept[-1]][1], end))
            return ""
        line = self._line_start(start)
        rest = re.compile(rb"[ \t]*,?[ \t]*(#[^\r\n]*)?(?:\r\n|\n|\r)").match(raw, end)
        if not raw[line:start].strip() and rest is not None:
            self._removed.append((line, rest.end()))
            return (rest[1] or b"").decode().rstrip()
        gap = raw[end:after] if after is not None else b""
        if after is not None and b"#" not in gap:
            self._removed.append((start, after))
        elif kept and not re.search(rb"[\r\n#]", raw[spans[kept[-1]][1] : start]):
            self._removed.append((spans[kept[-1]][1], end))
        else:
            comma = re.compile(rb"[ \t]*,").match(raw, end)
            self._removed.append(
                (start if raw[line:start].strip() else line, comma.end() if comma else end)
            )
        return ""


def _merge_spans(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
