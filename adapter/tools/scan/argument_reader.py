"""Read the arguments of calls: keywords, and dictionaries spread into the call.

A dictionary is followed through the statements that make and change it before the call.
`ArgumentReader` is the outermost of three readers, each built on the one below: `Literals` reads
single values, `ModelFields` the fields of model objects, `ArgumentReader` whole dictionaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import libcst as cst

from .arguments import UNKNOWN, Arguments, ParameterSource, either_arguments
from .definitions import Definitions
from .literals import is_field
from .model_classes import DUMP_FUNCTIONS, DUMP_METHODS, ModelFields
from .scopes import Binding, Change, Place, Scope, key_of, text_of
from .substitution import substitute_arguments
from .symbols import Symbols

_MAX_DEPTH = 24
_COPIERS = frozenset(
    {"copy.copy", "copy.deepcopy", "types.MappingProxyType", "dict", "collections.OrderedDict"}
)


class ArgumentReader(ModelFields):
    """Read the arguments of one module's calls."""

    def __init__(self, symbols: Symbols, module: cst.Module) -> None:
        super().__init__(symbols, module)
        self._dictionaries: dict[tuple[int, int, int], Arguments] = {}  # by node, scope and place

    def read(self, args: Sequence[cst.Arg], scope: Scope, place: Place | None = None) -> Arguments:
        """Read a call's keyword arguments; Chat's methods take no positional ones."""
        found = Arguments()
        for arg in args:
            if arg.star == "**":
                found.update(self.dictionary(arg.value, scope, place))
        for arg in args:
            if arg.keyword is not None:
                self.set_in(found, arg.keyword.value, arg.value, scope, place)
        return found

    # Dictionaries

    def dictionary(
        self, node: cst.BaseExpression, scope: Scope, place: Place | None = None, depth: int = 0
    ) -> Arguments:
        """Return what is known of a dictionary at the place where it is spread."""
        if depth > _MAX_DEPTH:
            return Arguments(sources=[ParameterSource(f"**{self._code(node)}")])
        key = (id(node), id(scope), place.order if place is not None else 0)
        known = self._dictionaries.get(key)
        if known is None:
            self._dictionaries[key] = Arguments(sources=[ParameterSource("a circular definition")])
            known = self._dictionaries[key] = self._expression_dictionary(
                node, scope, place, depth + 1
            )
        return known.copy()

    def _expression_dictionary(  # noqa: C901  # one case for each kind of expression
        self, node: cst.BaseExpression, scope: Scope, place: Place | None, deeper: int
    ) -> Arguments:
        found = Arguments()
        match node:
            case cst.Dict():
                for element in node.elements:
                    if isinstance(element, cst.StarredDictElement):
                        found.update(self.dictionary(element.value, scope, place, deeper))
                    elif isinstance(element, cst.DictElement):
                        self.set_in(
                            found, self._key(element.key, scope, place), element.value, scope, place
                        )
                return found
            case cst.Name(value="None"):
                return found
            case cst.Call():
                return self._call_dictionary(node, scope, place, deeper)
            case cst.IfExp():
                one, other = (
                    self.dictionary(each, scope, place, deeper) for each in (node.body, node.orelse)
                )
                return either_arguments(one, other)
            case cst.BooleanOperation():
                left, right = (
                    self.dictionary(each, scope, place, deeper) for each in (node.left, node.right)
                )
                return (
                    either_arguments(left, right)
                    if isinstance(node.operator, cst.Or)
                    else either_arguments(Arguments(), right)
                )
            case cst.BinaryOperation(operator=cst.BitOr()):
                found = self.dictionary(node.left, scope, place, deeper)
                found.update(self.dictionary(node.right, scope, place, deeper))
                return found
            case cst.Await():
                return self.dictionary(node.expression, scope, place, deeper)
            case cst.NamedExpr():
                return self.dictionary(node.value, scope, place, deeper)
            case cst.DictComp():
                return self._filtered_dictionary(node, scope, place, deeper)
            case cst.Name() | cst.Attribute():
                return self._name_dictionary(node, scope, place, deeper)
            case cst.Subscript():
                return self._entry(node, scope, place, deeper)
        return Arguments(sources=[ParameterSource(f"**{self._code(node)}")])

    def set_in(
        self,
        found: Arguments,
        key: str | None,
        value: cst.BaseExpression | None,
        scope: Scope,
        place: Place | None,
    ) -> None:
        """Set a key of a dictionary; the contents of `extra_body` are read as well."""
        if key is None:
            found.sources.append(ParameterSource("a key that isn't literal"))
            return
        inner: Any = UNKNOWN if value is None else self.value(value, scope, place)
        if key == "extra_body" and value is not None:
            inside = self.dictionary(value, scope, place, 8)
            inner = inside.values or inner
            found.optional |= {f"extra_body.{name}" for name in inside.optional}
            found.sources += [
                replace(one, text=f"extra_body: {one.text}") for one in inside.sources
            ]
        found.assign(key, inner)

    def _key(self, node: cst.BaseExpression, scope: Scope, place: Place | None) -> str | None:
        value = text_of(node) or self.value(node, scope, place)
        return value if isinstance(value, str) else None

    def _name_dictionary(
        self, node: cst.Name | cst.Attribute, scope: Scope, place: Place | None, depth: int
    ) -> Arguments:
        """Follow a dictionary through the statements that make it and change it."""
        found = self.definitions(node, scope, place)
        symbol = self._symbols.of(node, scope)
        if found is None and symbol.defined is not None and symbol.defined.kind == "function":
            # A property: its value is what the function returns.
            return self._returned_dictionary(symbol.defined, None, scope, place, depth)
        if found is None:
            return Arguments(sources=[ParameterSource(f"**{self._code(node)}")])
        state: Arguments | None = None
        events = found.events()
        first = next(
            (k for k in range(len(events) - 1, -1, -1) if self._is_start(found, events[k])), 0
        )
        for event in events[first:]:
            before = state
            if isinstance(event, Binding):
                state = self._binding_dictionary(event, node, depth)
            else:
                state = self._apply_change(before.copy() if before else Arguments(), event, depth)
            if before is not None and not found.is_sure(event):
                state = either_arguments(before, state)
        return state or Arguments(sources=[ParameterSource(f"**{self._code(node)}")])

    def _is_start(self, found: Definitions, event: Binding | Change) -> bool:
        return isinstance(event, Binding) and found.is_sure(event)

    def _binding_dictionary(
        self, one: Binding, node: cst.Name | cst.Attribute, depth: int
    ) -> Arguments:
        if one.parameter:
            return self._parameter_dictionary(one, depth)
        if one.defined is not None and one.defined.kind == "function":
            return self._returned_dictionary(one.defined, None, one.scope, None, depth)
        if is_field(one):
            return Arguments(
                sources=[ParameterSource(f"**{self._code(node)}, a field of {one.scope.qualname}")]
            )
        if one.value is None or one.index is not None:
            return Arguments(sources=[ParameterSource(f"**{self._code(node)}")])
        return self.dictionary(one.value, one.scope, one.place, depth)

    def _parameter_dictionary(self, one: Binding, depth: int) -> Arguments:
        owner, name = one.scope, self._name_of(one)
        text = f"**{name} of {owner.qualname}"
        annotation = owner.keywords_annotation if name == owner.keywords else one.annotation
        fields = self._fields(self._typed_dict_class(annotation, owner.parent or owner), depth)
        if fields is not None and not fields.sources:
            return Arguments(dict.fromkeys(fields.values, UNKNOWN), optional=set(fields.values))
        taken = owner.parameters if name == owner.keywords else ()
        return Arguments(sources=[ParameterSource(text, id(owner), name, without=frozenset(taken))])

    def _apply_change(self, state: Arguments, change: Change, depth: int) -> Arguments:
        scope, place = change.scope, change.place
        if change.kind == "add":
            return state
        if change.kind == "update":
            assert change.value is not None
            other = self.dictionary(change.value, scope, place, depth)
            if change.key is None:
                state.update(other)
                return state
            inside = state.values.get(change.key)
            mine = Arguments(dict(inside)) if isinstance(inside, dict) else Arguments()
            mine.update(other)
            state.assign(change.key, mine.values)
            state.sources += [
                replace(one, text=f"{change.key}: {one.text}") for one in mine.sources
            ]
        elif change.kind == "drop":
            if change.key is not None:
                state.drop(change.key)
            else:
                state = state.as_optional()
        elif change.key is None:
            state.update(self._set_under_computed_key(change, depth))
        elif change.kind == "default":
            state.default(
                change.key,
                UNKNOWN if change.value is None else self.value(change.value, scope, place),
            )
        else:
            self.set_in(state, change.key, change.value, scope, place)
        return state

    def _set_under_computed_key(self, change: Change, depth: int) -> Arguments:
        """Return what `made[key] = value` sets, also in a loop over names or a dictionary."""
        bindings = self._symbols.lookup(change.by, change.scope) if change.by else []
        if len(bindings) == 1 and bindings[0].value is not None:
            key = self.value(bindings[0].value, bindings[0].scope, bindings[0].place)
            if isinstance(key, str):
                return Arguments(
                    {
                        key: UNKNOWN
                        if change.value is None
                        else self.value(change.value, change.scope, change.place)
                    }
                )
        loops = [
            one for one in bindings if one.of is not None and one.place.order < change.place.order
        ]
        if loops:
            one = loops[-1]
            match one.of:
                case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value="items"))):
                    return self.dictionary(inner, one.scope, one.place, depth).as_optional()
                case cst.BaseExpression() as names:
                    keys = self._names_in(names, one.scope, one.place, depth)
                    if keys is not None:
                        return Arguments(dict.fromkeys(keys, UNKNOWN), optional=set(keys))
        return Arguments(sources=[ParameterSource("a key that isn't literal")])

    def _filtered_dictionary(
        self, node: cst.DictComp, scope: Scope, place: Place | None, depth: int
    ) -> Arguments:
        """Return the dictionary that a comprehension over `.items()` keeps."""
        source = node.for_in.iter
        match source:
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value="items"))):
                items = self.dictionary(inner, scope, place, depth)
            case _:
                return Arguments(sources=[ParameterSource("keys that aren't literal")])
        if not node.for_in.ifs:
            return items
        keys: frozenset[str] | None = None
        without: frozenset[str] = frozenset()
        for one in node.for_in.ifs:
            match one.test:
                case cst.Comparison(left=cst.Name(value=name), comparisons=[target]) if (
                    isinstance(node.key, cst.Name) and name == node.key.value
                ):
                    names = self._names_in(target.comparator, scope, place, depth)
                    if names is not None and isinstance(target.operator, cst.In):
                        keys = names
                    elif names is not None and isinstance(target.operator, cst.NotIn):
                        without = names
        return items.limited(keys, without).as_optional()

    def _entry(
        self, node: cst.Subscript, scope: Scope, place: Place | None, depth: int
    ) -> Arguments:
        value = self._literal_entry(node, scope, place)
        if value is None:
            return Arguments(sources=[ParameterSource(f"**{self._code(node.value)}[…]")])
        return self.dictionary(*value, depth)

    def _literal_entry(
        self, node: cst.Subscript, scope: Scope, place: Place | None
    ) -> tuple[cst.BaseExpression, Scope, Place | None] | None:
        """Return the value under a key of a literal dictionary."""
        key = key_of(node)
        found = self.definitions(node.value, scope, place) if key is not None else None
        reaching = found.reaching()[0] if found is not None and not found.changes else []
        if len(reaching) == 1 and isinstance(reaching[0].value, cst.Dict):
            for one in reaching[0].value.elements:
                if isinstance(one, cst.DictElement) and text_of(one.key) == key:
                    return one.value, reaching[0].scope, reaching[0].place
        return None

    # Calls that give dictionaries

    def _call_dictionary(
        self, node: cst.Call, scope: Scope, place: Place | None, depth: int
    ) -> Arguments:
        symbol = self._symbols.follow(self._symbols.of(node.func, scope))
        own = node.func.value if isinstance(node.func, cst.Name) else ""
        path = (
            own
            if own in ("dict", "vars", "locals") and not self._symbols.lookup(own, scope)
            else symbol.path
        )
        first = (
            node.args[0].value
            if node.args and node.args[0].keyword is None and not node.args[0].star
            else None
        )
        if path == "locals" and not node.args:
            return Arguments(
                sources=[ParameterSource("**locals()", keys=frozenset(scope.bindings))]
            )
        if path in _COPIERS or path.startswith("openai.types."):
            found = (
                self.dictionary(first, scope, place, depth) if first is not None else Arguments()
            )
            found.update(self.read(node.args, scope, place))
            return found
        if path == "typing.cast" and len(node.args) == 2:
            return self.dictionary(node.args[1].value, scope, place, depth)
        if path in DUMP_FUNCTIONS and first is not None:
            return self._dumped_fields(first, node, scope, place, depth)
        if symbol.defined is not None:
            if symbol.defined.kind == "function":
                found = self._returned_dictionary(symbol.defined, node, scope, place, depth)
                for other in self._overriding(symbol.defined, node.func):
                    found = either_arguments(
                        found, self._returned_dictionary(other, node, scope, place, depth)
                    )
                return found
            if not symbol.path.endswith("()") and self._is_typed_dict(symbol.defined):
                return self.read(node.args, scope, place)
        if isinstance(node.func, cst.Attribute):
            name = node.func.attr.value
            if name == "copy" and not node.args:
                return self.dictionary(node.func.value, scope, place, depth)
            if name in DUMP_METHODS:
                return self._dumped_fields(node.func.value, node, scope, place, depth)
            if name in ("get", "pop", "setdefault") and first is not None:
                key = cst.Subscript(node.func.value, [cst.SubscriptElement(cst.Index(first))])
                value = self._literal_entry(key, scope, place)
                if value is not None:
                    return self.dictionary(*value, depth)
        return Arguments(sources=[ParameterSource(f"**{self._code(node.func)}()")])

    def _overriding(self, method: Scope, func: cst.BaseExpression) -> list[Scope]:
        """Return the overriding methods of derived classes that a call on self may reach."""
        match func:
            case cst.Attribute(value=cst.Name(value="self" | "cls")) if method.parent is not None:
                found = (
                    one.bindings.get(method.name, ())
                    for one in self._symbols.derived(method.parent)
                )
                return [one.defined for each in found for one in each if one.defined is not None]
        return []

    def _returned_dictionary(
        self, function: Scope, call: cst.Call | None, scope: Scope, place: Place | None, depth: int
    ) -> Arguments:
        """Return the dictionary that a function of the project returns, for one call if given."""
        found: Arguments | None = None
        for value, where in function.returns:
            one = self.dictionary(value, function, where, depth)
            found = one if found is None else either_arguments(found, one)
        if found is None:
            return Arguments(sources=[ParameterSource(f"**{function.qualname}()")])
        return (
            found
            if call is None
            else substitute_arguments(self, found, function, call.args, scope, place, depth)
        )
