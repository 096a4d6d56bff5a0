"""Read literal values: directly, and through names, class constants, other files and defaults."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import libcst as cst

from .arguments import (
    ABSENT,
    NONEMPTY,
    NUMBER,
    PLACEHOLDER,
    UNKNOWN,
    Unknown,
    either_value,
    is_nonempty,
)
from .definitions import Definitions
from .scopes import Binding, Change, Passed, Place, Scope, text_of
from .symbols import Symbols

_MAX_DEPTH = 8
_AUDIO_PART = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
_GROWING_METHODS = frozenset({"append", "insert", "appendleft", "add"})
_NUMBER_FUNCTIONS = frozenset(
    {"int", "float", "len", "hash", "round", "random.randint", "random.randrange", "time.time"}
)


class Literals:
    """Read the values of one module's expressions, through other modules if needed."""

    def __init__(self, symbols: Symbols, module: cst.Module) -> None:
        self._symbols = symbols
        self._module = module
        # Changes of a name's value through aliases and callees, by scope and name.
        self._indirect: dict[tuple[int, str], list[Change]] = {}
        self._members: dict[tuple[int, str], Definitions | None] = {}

    def value(  # noqa: C901  # one case for each kind of expression
        self, node: cst.BaseExpression, scope: Scope, place: Place | None = None, depth: int = 0
    ) -> Any:
        """Return a literal's value, ABSENT for the SDK's omit markers, else Unknown."""
        if depth > _MAX_DEPTH:
            return UNKNOWN
        deeper = depth + 1
        match node:
            case (
                cst.Integer()
                | cst.Float()
                | cst.UnaryOperation(expression=cst.Integer() | cst.Float())
            ):
                try:
                    return ast.literal_eval(self._module.code_for_node(node))
                except (ValueError, SyntaxError):
                    return UNKNOWN
            case cst.SimpleString() | cst.ConcatenatedString():
                text = text_of(node)
                return NONEMPTY if text is None else text
            case cst.FormattedString():
                return (
                    NONEMPTY
                    if any(isinstance(one, cst.FormattedStringText) for one in node.parts)
                    else UNKNOWN
                )
            case cst.Name(value="None" | "True" | "False"):
                return {"None": None, "True": True, "False": False}[node.value]
            case cst.Name() | cst.Attribute():
                return self._name_value(node, scope, place, deeper)
            case cst.List() | cst.Tuple():
                return self._list(node.elements, scope, place, deeper)
            case cst.Dict():
                return self._dict(node, scope, place, deeper)
            case cst.IfExp():
                return either_value(
                    self.value(node.body, scope, place, deeper),
                    self.value(node.orelse, scope, place, deeper),
                )
            case cst.BooleanOperation(operator=cst.Or()):
                one, other = (
                    self.value(each, scope, place, deeper) for each in (node.left, node.right)
                )
                if isinstance(one, Unknown):
                    return either_value(one, other)
                return one if one and one is not ABSENT else other
            case cst.NamedExpr():
                return self.value(node.value, scope, place, deeper)
            case cst.Call():
                return self._call_value(node, scope)
        return UNKNOWN

    def _call_value(self, node: cst.Call, scope: Scope) -> Any:
        """Return ABSENT for the SDK's omit markers, NUMBER for calls that return numbers."""
        path = self._symbols.of(node.func, scope).path
        if _is_omitted_marker(path):
            return ABSENT
        name = node.func.value if isinstance(node.func, cst.Name) else ""
        numbers = path in _NUMBER_FUNCTIONS or (
            name in _NUMBER_FUNCTIONS and not self._symbols.lookup(name, scope)
        )
        return NUMBER if numbers else UNKNOWN

    def _name_value(
        self, node: cst.Name | cst.Attribute, scope: Scope, place: Place | None, depth: int
    ) -> Any:
        found = self.definitions(node, scope, place)
        if found is None:
            return ABSENT if _is_omitted_marker(self._symbols.of(node, scope).path) else UNKNOWN
        changes = [one for one in found.events() if isinstance(one, Change)]
        if any(one.kind == "drop" for one in changes):
            return UNKNOWN
        reaching, whole = found.reaching()
        values = [self._binding_value(one, depth) for one in reaching]
        if not values or (not whole and len(values) > 1):
            return UNKNOWN
        value = values[0]
        for one in values[1:]:
            value = either_value(value, one)
        if not changes:
            return value
        grown = is_nonempty(value) or any(
            found.is_sure(one) and (one.kind == "set" or one.by in _GROWING_METHODS)
            for one in changes
        )
        return NONEMPTY if grown and not isinstance(value, (int, float, type(None))) else UNKNOWN

    def _binding_value(self, one: Binding, depth: int) -> Any:
        if one.parameter:
            return Unknown("", id(one.scope), self._name_of(one))
        if one.dotted is not None:
            return ABSENT if _is_omitted_marker(one.dotted) else UNKNOWN
        if one.value is None or one.index is not None or is_field(one):
            return UNKNOWN
        return self.value(one.value, one.scope, one.place, depth)

    def _name_of(self, binding: Binding) -> str:
        return next(name for name, found in binding.scope.bindings.items() if binding in found)

    # Definitions of names

    def definitions(
        self, node: cst.BaseExpression, scope: Scope, place: Place | None
    ) -> Definitions | None:
        """Return the definitions of a name or attribute, or None if nothing is known of it."""
        match node:
            case cst.Name(value=name):
                bindings = self._symbols.lookup(name, scope)
                if not bindings:
                    return None
                home = self._symbols.binding_scope(name, scope)
                if len(bindings) == 1 and (bindings[0].dotted or "").startswith("@"):
                    return self._in_other_file(bindings[0].dotted or "")
                changes = [*home.changes.get(name, []), *self._indirect_changes(name, home)]
                return Definitions(bindings, changes, place if home is scope else None, home)
            case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
                owner = scope.enclosing_class()
                found = (
                    self._member_with_outside_changes(owner, name) if owner is not None else None
                )
                if found is None or place is None:
                    return found
                here = [
                    one
                    for one in found.bindings
                    if one.scope is scope and place.always_follows(one.place)
                ]
                if any(one.place.order < place.order for one in here):  # set in this function
                    return Definitions(
                        here, [one for one in found.changes if one.scope is scope], place
                    )
                return found
            case cst.Attribute(value=value, attr=cst.Name(value=name)):
                base = self._symbols.follow(self._symbols.of(value, scope))
                if base.defined is not None and base.defined.kind == "class":
                    return self._member_with_outside_changes(base.defined, name)
                if base.path.startswith("@"):
                    return self._in_other_file(f"{base.path}.{name}")
        return None

    def _indirect_changes(self, name: str, home: Scope) -> list[Change]:
        """Return changes that may be made to a name's value through its aliases and by callees."""
        found = self._indirect.get((id(home), name))
        if found is None:
            found = self._indirect[id(home), name] = []
            names: dict[tuple[Scope, str], Place] = {}
            for scope, other, since in home.aliases.get(name, ()):
                names.setdefault((scope, other), since)
            for (scope, other), since in names.items():
                late = (
                    one for one in scope.changes.get(other, ()) if one.place.order > since.order
                )
                found += (replace(one, sure=False) for one in late)
            for scope, other in ((home, name), *names):
                for passed in scope.passed.get(other, ()):
                    found += self._changes_by_callee(passed)
        return found

    def _changes_by_callee(self, passed: Passed) -> Iterator[Change]:
        """Yield the changes that a function of the project makes to an argument, values unknown."""
        function = self._symbols.follow(self._symbols.of(passed.call.func, passed.scope)).defined
        if function is None or function.kind != "function":
            return
        parameter = function.parameter(
            passed.argument, by_attribute=isinstance(passed.call.func, cst.Attribute)
        )
        for one in function.changes.get(parameter, ()):
            kind = one.kind if one.kind in ("drop", "add") else "set"
            yield Change(
                passed.scope,
                passed.place,
                kind,
                one.key if one.kind != "update" else None,
                by=one.by,
                sure=False,
            )

    def _in_other_file(self, path: str) -> Definitions | None:
        found = self._symbols.definitions_in_other_file(path)
        return Definitions(*found, None) if found is not None else None

    def _member_with_outside_changes(self, owner: Scope, name: str) -> Definitions | None:
        """Return a member, with changes from outside the class and from derived classes."""
        key = (id(owner), name)
        if key not in self._members:
            self._members[key] = found = self._member(owner, name)
            if found is not None:
                events = [
                    event
                    for node, event in self._symbols.outside.get(name, ())
                    if self._symbols.follow(self._symbols.of(node, event.scope)).defined is owner
                ]
                for one in self._symbols.derived(owner):
                    events += [*one.bindings.get(name, ()), *one.attributes.get(name, ())]
                    events += [*one.changes.get(name, ()), *one.attribute_changes.get(name, ())]
                bindings = [*found.bindings, *(one for one in events if isinstance(one, Binding))]
                changes = [*found.changes, *(one for one in events if isinstance(one, Change))]
                self._members[key] = Definitions(bindings, changes, None, found.bindings[0].scope)
        return self._members[key]

    def _member(self, owner: Scope, name: str, depth: int = 0) -> Definitions | None:
        bindings = owner.bindings.get(name, []) + owner.attributes.get(name, [])
        if bindings:
            return Definitions(
                bindings, owner.changes.get(name, []) + owner.attribute_changes.get(name, []), None
            )
        for base in owner.bases if depth < _MAX_DEPTH else ():
            above = self._symbols.follow(self._symbols.of(base, owner.parent or owner)).defined
            if above is not None and above is not owner and above.kind == "class":
                found = self._member(above, name, depth + 1)
                if found is not None:
                    changes = found.changes + owner.attribute_changes.get(name, [])
                    return Definitions(found.bindings, changes, None)
        return None

    def _list(
        self, elements: Sequence[cst.BaseElement], scope: Scope, place: Place | None, depth: int
    ) -> Any:
        values = [
            UNKNOWN
            if isinstance(one, cst.StarredElement)
            else self.value(one.value, scope, place, depth)
            for one in elements
        ]
        if not any(isinstance(one, Unknown) or one is ABSENT for one in values):
            return values
        return UNKNOWN if all(isinstance(one, cst.StarredElement) for one in elements) else NONEMPTY

    def _dict(self, node: cst.Dict, scope: Scope, place: Place | None, depth: int) -> Any:
        made = {}
        literal = True
        for element in node.elements:
            key = text_of(element.key) if isinstance(element, cst.DictElement) else None
            value = self.value(element.value, scope, place, depth)
            literal = (
                literal
                and key is not None
                and not isinstance(value, Unknown)
                and value is not ABSENT
            )
            made[key] = value
        if literal:
            return made
        return (
            UNKNOWN
            if all(isinstance(one, cst.StarredDictElement) for one in node.elements)
            else NONEMPTY
        )

    # Messages

    def messages(self, args: Sequence[cst.Arg], scope: Scope) -> list[dict[str, Any]]:
        """Return the roles and keys of literal messages, with placeholders for texts.

        Returns [] if the messages aren't a literal list.
        """
        node = next(
            (
                arg.value
                for arg in args
                if arg.keyword is not None and arg.keyword.value == "messages"
            ),
            None,
        )
        if isinstance(node, cst.Name):
            bindings = self._symbols.lookup(node.value, scope)
            node = bindings[0].value if len(bindings) == 1 else None
        found = []
        for element in node.elements if isinstance(node, cst.List) else ():
            keys = [text_of(one.key) for one in _entries(element.value)]
            role = (
                self.value(_entry_value(element.value, "role"), scope) if "role" in keys else None
            )
            if role in ("system", "developer", "user"):
                content = (
                    [_AUDIO_PART]
                    if role == "user" and self._has_audio(element.value, scope)
                    else PLACEHOLDER
                )
                message: dict[str, Any] = {"role": role, "content": content}
                if (
                    "name" in keys
                    and self.value(_entry_value(element.value, "name"), scope) is not None
                ):
                    message["name"] = PLACEHOLDER
                found.append(message)
        return found

    def _has_audio(self, message: cst.BaseExpression, scope: Scope) -> bool:
        """Return whether a message has an audio part among its literal parts."""
        parts = next(
            (one.value for one in _entries(message) if text_of(one.key) == "content"), None
        )
        return any(
            text_of(one.key) == "type" and self.value(one.value, scope) == "input_audio"
            for part in (parts.elements if isinstance(parts, cst.List) else ())
            for one in _entries(part.value)
        )


def is_field(binding: Binding) -> bool:
    """Return whether an annotated name of a class is an argument of its constructor."""
    owner = binding.scope
    if owner.kind != "class" or binding.annotation is None:
        return False
    is_constant = "ClassVar" in _names(binding.annotation) or "Final" in _names(binding.annotation)
    return not is_constant and bool(owner.bases or owner.decorators)


def _names(node: cst.BaseExpression) -> list[str]:
    match node:
        case cst.Name():
            return [node.value]
        case cst.Attribute():
            return [node.attr.value]
        case cst.Subscript():
            return _names(node.value)
    return []


def _is_omitted_marker(path: str) -> bool:
    last = path.rpartition(".")[2].removesuffix("()")
    return path.startswith("openai") and last in (
        "NOT_GIVEN",
        "NotGiven",
        "not_given",
        "omit",
        "Omit",
    )


def _entries(node: cst.BaseExpression) -> list[cst.DictElement]:
    return (
        [one for one in node.elements if isinstance(one, cst.DictElement)]
        if isinstance(node, cst.Dict)
        else []
    )


def _entry_value(node: cst.BaseExpression, key: str) -> cst.BaseExpression:
    return next(one.value for one in _entries(node) if text_of(one.key) == key)
