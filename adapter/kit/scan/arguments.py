"""What a call is given: its keywords, those of dictionaries that are spread into it, and their values where they are literals."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from .symbols import Scope, Symbols, text_of

_DEEPEST = 8
PLACEHOLDER = "…"
_SOUND = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
"""Stands for a text that isn't written out where the call is."""


class Unknown:
    """A value that isn't a literal."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()


class Absent:
    """A value that says that nothing is given: the SDK's NOT_GIVEN and omit."""


ABSENT = Absent()


@dataclass(slots=True)
class Arguments:
    """A call's parameters: `values` by name (UNKNOWN where not literal); `open` says why there may be more."""

    values: dict[str, Any] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def add(self, name: str, value: Any) -> None:
        """Add one; two different values of one name are unknown."""
        if value is ABSENT:
            return
        known = name in self.values and (type(self.values[name]), self.values[name]) == (type(value), value)
        self.values[name] = value if name not in self.values or known else UNKNOWN


class Reader:
    """Read what calls of one module are given."""

    def __init__(self, symbols: Symbols, module: cst.Module) -> None:
        self._symbols = symbols
        self._module = module

    def read(self, args: Sequence[cst.Arg], scope: Scope, into: Arguments | None = None) -> Arguments:
        """Read a call's arguments; positional ones are no parameters of Chat."""
        found = Arguments() if into is None else into
        for arg in args:
            if arg.keyword is not None and arg.keyword.value == "extra_body":
                found.add("extra_body", self._extra(arg.value, scope))
            elif arg.keyword is not None:
                found.add(arg.keyword.value, self.value(arg.value, scope))
            elif arg.star == "**":
                self._spread(arg.value, scope, found, 0)
            elif arg.star == "*":
                found.open.append(f"*{self._code(arg.value)}")
        return found

    def _extra(self, node: cst.BaseExpression, scope: Scope) -> Any:
        """Return what is known of the parameters in the body itself, also where a value isn't."""
        inside = Arguments()
        self._spread(node, scope, inside, 0)
        return inside.values or self.value(node, scope)

    def _spread(self, node: cst.BaseExpression, scope: Scope, found: Arguments, depth: int) -> None:
        deeper = depth + 1
        match node:
            case _ if depth > _DEEPEST:
                found.open.append("too deep")
            case cst.Dict():
                for element in node.elements:
                    if isinstance(element, cst.StarredDictElement):
                        self._spread(element.value, scope, found, deeper)
                        continue
                    assert isinstance(element, cst.DictElement)
                    key = text_of(element.key)
                    if key is None:
                        found.open.append("a key that isn't literal")
                    else:
                        found.add(key, self.value(element.value, scope))
            case cst.Call(func=cst.Name(value="dict")):
                for arg in node.args:
                    if arg.keyword is not None:
                        found.add(arg.keyword.value, self.value(arg.value, scope))
                    else:
                        self._spread(arg.value, scope, found, deeper)
            case cst.IfExp():
                self._spread(node.body, scope, found, deeper)
                self._spread(node.orelse, scope, found, deeper)
            case cst.BooleanOperation() | cst.BinaryOperation(operator=cst.BitOr()):
                self._spread(node.left, scope, found, deeper)
                self._spread(node.right, scope, found, deeper)
            case cst.Name():
                self._named(node.value, scope, found, deeper)
            case _:
                found.open.append(f"**{self._code(node)}")

    def _named(self, name: str, scope: Scope, found: Arguments, depth: int) -> None:
        """Spread a dictionary that was made, and added to, in the same scope."""
        bindings = self._symbols.lookup(name, scope)
        values = [one.value for one in bindings if one.value is not None]
        if not bindings or len(values) < len(bindings):
            who = scope
            while who.kind == "function" and who.keywords != name and who.parent is not None:
                who = who.parent
            whose = f": what {who.name} is called with" if who.keywords == name else ""
            found.open.append(f"**{name}{whose}")
            if who.keywords == name:
                self._added(name, scope, found, depth)
            return
        for binding in bindings:
            assert binding.value is not None
            self._spread(binding.value, binding.scope, found, depth)
            self._added(name, binding.scope, found, depth)

    def _added(self, name: str, scope: Scope, found: Arguments, depth: int) -> None:
        for key, value in scope.items.get(name, []):
            if key is not None:
                found.add(key, self.value(value, scope))
            elif not (isinstance(value, cst.Name) and value.value == name):
                self._spread(value, scope, found, depth)

    def value(self, node: cst.BaseExpression, scope: Scope, depth: int = 0) -> Any:
        """Return a literal's value, also through a name that is bound once; ABSENT for the SDK's own nothing; else UNKNOWN."""
        if depth > _DEEPEST:
            return UNKNOWN
        deeper = depth + 1
        match node:
            case cst.Integer() | cst.Float() | cst.UnaryOperation(expression=cst.Integer() | cst.Float()):
                try:
                    return ast.literal_eval(self._module.code_for_node(node))
                except (ValueError, SyntaxError):
                    return UNKNOWN
            case cst.SimpleString() | cst.ConcatenatedString():
                text = text_of(node)
                return UNKNOWN if text is None else text
            case cst.Name(value="None" | "True" | "False"):
                return {"None": None, "True": True, "False": False}[node.value]
            case cst.Name():
                bindings = self._symbols.lookup(node.value, scope)
                if (
                    len(bindings) == 1
                    and bindings[0].value is not None
                    and not _added_to(bindings[0].scope, node.value)
                ):
                    return self.value(bindings[0].value, bindings[0].scope, deeper)
                return self._nothing(node, scope)
            case cst.List() | cst.Tuple():
                return self._list(node.elements, scope, deeper)
            case cst.Dict():
                return self._dict(node, scope, deeper)
        return self._nothing(node, scope)

    def _nothing(self, node: cst.BaseExpression, scope: Scope) -> Any:
        """Tell the SDK's own nothing, which no request holds, from what isn't known."""
        path = self._symbols.of(node, scope).path
        last = path.rpartition(".")[2].removesuffix("()")
        return (
            ABSENT
            if path.startswith("openai") and last in ("NOT_GIVEN", "NotGiven", "not_given", "omit", "Omit")
            else UNKNOWN
        )

    def _list(self, elements: Sequence[cst.BaseElement], scope: Scope, depth: int) -> Any:
        values = [
            UNKNOWN if isinstance(one, cst.StarredElement) else self.value(one.value, scope, depth) for one in elements
        ]
        return UNKNOWN if any(one is UNKNOWN or one is ABSENT for one in values) else values

    def _dict(self, node: cst.Dict, scope: Scope, depth: int) -> Any:
        made = {}
        for element in node.elements:
            key = text_of(element.key) if isinstance(element, cst.DictElement) else None
            value = self.value(element.value, scope, depth)
            if key is None or value is UNKNOWN or value is ABSENT:
                return UNKNOWN
            made[key] = value
        return made

    def messages(self, args: Sequence[cst.Arg], scope: Scope) -> list[dict[str, Any]]:
        """Return what is known of the messages' form: their keys, with placeholders for texts; [] where nothing is."""
        node = next((arg.value for arg in args if arg.keyword is not None and arg.keyword.value == "messages"), None)
        if isinstance(node, cst.Name):
            bindings = self._symbols.lookup(node.value, scope)
            node = bindings[0].value if len(bindings) == 1 else None
        found = []
        for element in node.elements if isinstance(node, cst.List) else ():
            keys = (
                [text_of(one.key) for one in element.value.elements if isinstance(one, cst.DictElement)]
                if isinstance(element.value, cst.Dict)
                else []
            )
            role = self.value(_at(element.value, "role"), scope) if "role" in keys else None
            if role in ("system", "developer", "user"):
                content = [_SOUND] if role == "user" and self._speaks(element.value, scope) else PLACEHOLDER
                message: dict[str, Any] = {"role": role, "content": content}
                if "name" in keys and self.value(_at(element.value, "name"), scope) is not None:
                    message["name"] = PLACEHOLDER
                found.append(message)
        return found

    def _speaks(self, message: cst.BaseExpression, scope: Scope) -> bool:
        """Tell whether a message has a part that is sound, as far as its parts stand here."""
        parts = next((one.value for one in _entries(message) if text_of(one.key) == "content"), None)
        return any(
            text_of(one.key) == "type" and self.value(one.value, scope) == "input_audio"
            for part in (parts.elements if isinstance(parts, cst.List) else ())
            for one in _entries(part.value)
        )

    def _code(self, node: cst.BaseExpression) -> str:
        code = " ".join(self._module.code_for_node(node).split())
        return code if isinstance(node, (cst.Name, cst.Attribute)) and len(code) <= 40 else "an expression"


def _added_to(scope: Scope, name: str) -> bool:
    return bool(scope.items.get(name))


def _entries(node: cst.BaseExpression) -> list[cst.DictElement]:
    return [one for one in node.elements if isinstance(one, cst.DictElement)] if isinstance(node, cst.Dict) else []


def _at(node: cst.BaseExpression, key: str) -> cst.BaseExpression:
    assert isinstance(node, cst.Dict)
    return next(one.value for one in node.elements if isinstance(one, cst.DictElement) and text_of(one.key) == key)
