"""The table of the losses that the code can write into the ledger, read from its sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from adapter.translation.ledger import Action
from adapter.translation.parameters import MINIMUM_OUTPUT_TOKENS

from . import ROOT, code, table

ACTIONS = get_args(Action)
CHOSEN = "held, dropped or refused"
"""Instead of an action, where the policy decides."""

MEANINGS = {
    "held": "The call is kept on Chat Completions for this reason.",
    CHOSEN: "The policy decides: the call is kept on Chat Completions, the value is left out, or the call is refused.",
    "dropped": "The value is left out.",
    "changed": "The value is carried over with another meaning, or in another place.",
    "clamped": "The value is replaced by the nearest one that the API takes.",
}

_CONSTANTS = {"MINIMUM_OUTPUT_TOKENS": str(MINIMUM_OUTPUT_TOKENS)}


@dataclass(frozen=True, order=True)
class Entry:
    """One entry that the code can make: `…` stands for what differs from call to call."""

    action: str
    path: str
    why: str


def losses() -> str:
    """Return, for each action, its meaning and one row for each entry."""
    parts = []
    for action, meaning in MEANINGS.items():
        rows = sorted({(_shown(one.path), one.why) for one in entries() if one.action == action})
        assert rows
        parts.append(
            f"## {action.capitalize()} {{#{action.partition(',')[0] if action in ACTIONS else 'by-policy'}}}"
        )
        parts += [meaning, table(("where", "why"), rows)]
    return "\n\n".join(parts)


@cache
def entries() -> tuple[Entry, ...]:
    """Return every entry that can be read from the sources."""
    found: set[Entry] = set()
    for path in sorted((ROOT / "adapter").rglob("*.py")):
        if path.relative_to(ROOT).parts[1] not in {"tools", "testing", "kit"}:
            found.update(_Module(path).entries())
    return tuple(sorted(found))


class _Module:
    """The entries of one source file."""

    def __init__(self, path: Path) -> None:
        self._tree = ast.parse(path.read_text(encoding="utf-8"))
        self._module = _assigned(self._tree)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries whose action and reason are written there."""
        for function, call in _calls(self._tree):
            names = self._module | (_assigned(function) if function else {})
            match call:
                case ast.Call(
                    func=ast.Name(id="Loss") | ast.Attribute(attr="add"), args=[path, action, why]
                ):
                    actions = [one for one in _texts(action, names) if one in ACTIONS]
                case ast.Call(func=ast.Attribute(attr="unsupported"), args=[path, _, why]):
                    firm = any(one.arg == "droppable" for one in call.keywords)
                    actions = ["held"] if firm else [CHOSEN]
                case ast.Call(func=ast.Attribute(attr="leave_out"), args=[path, key, why]):
                    actions = ["dropped"]
                    path = ast.JoinedStr([_braced(path), ast.Constant("."), _braced(key)])
                case ast.Call(func=ast.Attribute(attr="leave_out_unknown"), args=[path, _, _, why]):
                    actions = ["dropped"]
                    key = ast.Name("key")
                    path = ast.JoinedStr([_braced(path), ast.Constant("."), _braced(key)])
                case _:
                    continue
            for one in actions:
                for reason in _texts(why, names):
                    if reason.strip("… "):
                        yield Entry(one, _texts(path, names)[0], reason)


def _calls(tree: ast.Module) -> Iterator[tuple[ast.AST | None, ast.Call]]:
    """Yield the calls of a file, each with the innermost function around it."""

    def walk(node: ast.AST, function: ast.AST | None) -> Iterator[tuple[ast.AST | None, ast.Call]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield function, child
            inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from walk(child, child if inner else function)

    yield from walk(tree, None)


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return the expressions that are assigned to each name."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                found.setdefault(name, []).append(value)
    return found


def _texts(node: ast.expr, names: dict[str, list[ast.expr]]) -> list[str]:
    """Return the texts that an expression can be, with `…` for what isn't written there."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return ["".join(_piece(one) for one in values)]
        case ast.IfExp(body=body, orelse=other):
            return [*_texts(body, names), *_texts(other, names)]
        case ast.Name(id=name) if name in names:
            others = {key: value for key, value in names.items() if key != name}
            return [text for value in names[name] for text in _texts(value, others)]
        case ast.Attribute(attr="UNSERVED_TEXT"):
            from adapter._exchange.fallback import UNSERVED_TEXT

            return [UNSERVED_TEXT]
    return ["…"]


def _piece(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.Name(id=name)):
            return _CONSTANTS.get(name, "…")
    return "…"


def _braced(node: ast.expr) -> ast.expr:
    return node if isinstance(node, ast.Constant) else ast.FormattedValue(node, -1)


def _shown(path: str) -> str:
    if path == "$":
        return "the whole call"
    return code(path) if path.strip("…") else "the value"
