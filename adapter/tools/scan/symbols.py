"""Resolve the symbols of a module's expressions; across files if a project is given.

Imports, assignments, attributes of self, return values and annotations are followed. No code runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import libcst as cst

from .known_clients import CLIENT, CLIENTS
from .scope_collector import Collector
from .scopes import Binding, Change, Place, Scope, text_of
from .symbol import ANY, UNKNOWN, UNKNOWN_SYMBOL, Symbol, best_of, file_of, parts_of

_MAX_DEPTH = 24
_MAX_PATH_CHARACTERS = 400  # a longer path comes from a circular definition


class Project(Protocol):
    """The other files of a scan, seen from one of them."""

    @property
    def always_followed(self) -> frozenset[int]:
        """The files whose names are always followed."""

    def resolve(self, dots: int, module: str, name: str) -> str:
        """Return what `from module import name` means: `@file.name` for a file of the project."""

    def load(self, file: int) -> Scope | None:
        """Return the scope of a file, or None if it can't be read."""


class Symbols:
    """Resolve what a module's expressions stand for."""

    def __init__(self, module: cst.Module, project: Project | None = None) -> None:
        collector = Collector(project.resolve if project is not None else None)
        collector.walk(module)
        self.module = collector.module
        self._modules = collector.modules
        self._project = project
        self._scopes: Mapping[int, Scope] = collector.scopes
        self._places = collector.places
        self.outside = collector.outside
        self.used: set[int] = set()  # ids of values that were read through names
        self._known: dict[int, Symbol] = {}  # by the node's id
        self._results: dict[int, Symbol] = {}  # by the function's id
        self._keep_alive: list[cst.CSTNode] = [module]  # so that no id is reused
        self._derived: dict[int, list[Scope]] | None = None  # by the base class's id
        self._follow_all = False  # whether names of every file are followed

    def scope_of(self, node: cst.CSTNode) -> Scope | None:
        """Return the scope of a definition's node."""
        return self._scopes.get(id(node))

    def derived(self, owner: Scope) -> list[Scope]:
        """Return the classes of this module that are derived from a class."""
        if self._derived is None:
            self._derived = {}
            for one in self._scopes.values():
                for base in one.bases:
                    above = self.follow(self.of(base, one.parent or one)).defined
                    self._derived.setdefault(id(above), []).append(one)
        return self._derived.get(id(owner), [])

    def place_of(self, call: cst.CSTNode) -> Place | None:
        """Return the place of a call in this module."""
        return self._places.get(id(call))

    def lookup(self, name: str, scope: Scope) -> list[Binding]:
        """Return the bindings of a name that is used in a scope.

        As in Python, functions don't see the names of their class.
        """
        return self.binding_scope(name, scope).bindings.get(name, [])

    def binding_scope(self, name: str, scope: Scope) -> Scope:
        """Return the scope in which a name is bound, seen from the scope that uses it."""
        here: Scope | None = scope
        while here is not None and not (
            (here is scope or here.kind != "class") and name in here.bindings
        ):
            here = here.parent
        return here or scope

    def of(self, node: cst.BaseExpression | None, scope: Scope, depth: int = 0) -> Symbol:
        """Return the symbol of an expression; a circular definition is unknown."""
        if depth > _MAX_DEPTH or node is None:
            return UNKNOWN_SYMBOL
        known = self._known.get(id(node))
        if known is None:
            self._known[id(node)] = UNKNOWN_SYMBOL
            known = self._known[id(node)] = self._followed(self._read(node, scope, depth + 1))
        return known

    def bound(self, binding: Binding) -> Symbol:
        """Return the symbol of one binding of a name."""
        return self._binding(binding, 0)

    def returned(self, function: Scope) -> Symbol:
        """Return the symbol of a function's return value."""
        return self._result(function, 0)

    def resolve_in_all_files(self, node: cst.BaseExpression, scope: Scope) -> Symbol:
        """Return the symbol of an expression, following names into every file."""
        before = self._known, self._results
        self._known, self._results, self._follow_all = {}, {}, True
        try:
            return self.of(node, scope)
        finally:
            self._known, self._results = before
            self._follow_all = False

    def _read(self, node: cst.BaseExpression, scope: Scope, deeper: int) -> Symbol:
        match node:
            case cst.Name():
                found = self._first(self.lookup(node.value, scope), deeper)
                return found or self._starred(node.value, scope)
            case cst.Attribute():
                return self._attribute(node.value, node.attr.value, scope, deeper)
            case cst.Call():
                return self._call(node, scope, deeper)
            case cst.Await():
                return self.of(node.expression, scope, deeper)
            case cst.NamedExpr():
                return self.of(node.value, scope, deeper)
            case cst.IfExp():
                return self._best_of((node.body, node.orelse), scope, deeper)
            case cst.BooleanOperation():
                return self._best_of((node.left, node.right), scope, deeper)
            case cst.Subscript():
                return self._entry(node.value, scope, deeper)
            case cst.Lambda() if id(node) in self._scopes:
                own = self._scopes[id(node)]
                return Symbol(f"function:{own.qualname}", defined=own)
        return UNKNOWN_SYMBOL

    def _best_of(self, nodes: tuple[cst.BaseExpression, ...], scope: Scope, depth: int) -> Symbol:
        return best_of([self.of(one, scope, depth) for one in nodes]) or UNKNOWN_SYMBOL

    def _entry(self, node: cst.BaseExpression, scope: Scope, depth: int) -> Symbol:
        """Return the best known value of a dictionary or list."""
        container: cst.BaseExpression | None = node
        if isinstance(node, cst.Name):
            values = [one.value for one in self.lookup(node.value, scope) if one.value is not None]
            container = values[-1] if values else None
        match container:
            case cst.Dict() | cst.List() | cst.Tuple():
                return (
                    best_of([self.of(one.value, scope, depth) for one in container.elements])
                    or UNKNOWN_SYMBOL
                )
            case cst.DictComp():
                return self.of(container.value, scope, depth)
        return UNKNOWN_SYMBOL

    def _first(self, bindings: list[Binding], depth: int) -> Symbol | None:
        """Return the symbol of the best known of the last bindings."""
        return best_of([self._binding(binding, depth) for binding in reversed(bindings[-8:])])

    def _binding(self, binding: Binding, depth: int) -> Symbol:
        if binding.dotted is not None:
            return self._followed(Symbol(binding.dotted))
        if binding.defined is not None:
            return Symbol(
                f"{binding.defined.kind}:{binding.defined.qualname}", defined=binding.defined
            )
        if binding.value is not None:
            self.used.add(id(binding.value))
            if binding.index is not None:
                return self._unpacked(binding.value, binding.index, binding.scope, depth)
            found = self.of(binding.value, binding.scope, depth)
            if found.path != UNKNOWN:
                return found
        return self._annotated(binding.annotation, binding.scope, depth)

    def _unpacked(self, value: cst.BaseExpression, index: int, scope: Scope, depth: int) -> Symbol:
        """Return one element of a tuple that a function of the project returns."""
        called = value.expression if isinstance(value, cst.Await) else value
        if not isinstance(called, cst.Call):
            return UNKNOWN_SYMBOL
        function = self.of(called.func, scope, depth).defined
        found = []
        for returned, _ in (
            function.returns if function is not None and function.kind == "function" else ()
        ):
            if isinstance(returned, cst.Tuple) and index < len(returned.elements):
                found.append(self.of(returned.elements[index].value, function or scope, depth))
        return best_of(found) or UNKNOWN_SYMBOL

    def _annotated(self, annotation: cst.BaseExpression | None, scope: Scope, depth: int) -> Symbol:
        """Return an instance of the client, resource or class that an annotation names.

        Unions, subscripts and string annotations are read too.
        """
        if annotation is None:
            return UNKNOWN_SYMBOL
        text = text_of(annotation)
        if text is not None:
            try:
                annotation = cst.parse_expression(text)
            except cst.ParserSyntaxError:
                return UNKNOWN_SYMBOL
            self._keep_alive.append(annotation)
        for node in parts_of(annotation):
            found = self.of(node, scope, depth)
            if (
                CLIENT.fullmatch(found.path + "()")
                or ".Completions" in found.path
                or ".AsyncCompletions" in found.path
            ):
                return Symbol(found.path + "()")
            if found.defined is not None and found.defined.kind == "class":
                return self._instance(found.defined, depth)
            if found.path.startswith("@"):
                return Symbol(found.path + "()")
        return UNKNOWN_SYMBOL

    def _attribute(self, value: cst.BaseExpression, name: str, scope: Scope, depth: int) -> Symbol:
        if isinstance(value, cst.Name) and value.value in ("self", "cls"):
            owner = scope.enclosing_class()
            return (self._member(owner, name, depth) if owner is not None else None) or Symbol(
                f"{UNKNOWN}.{name}"
            )
        if (
            isinstance(value, cst.Call)
            and isinstance(value.func, cst.Name)
            and value.func.value == "super"
        ):
            owner = scope.enclosing_class()
            return (self._inherited(owner, name, depth) if owner is not None else None) or Symbol(
                f"{UNKNOWN}.{name}"
            )
        return self._member_of(self.of(value, scope, depth), name, depth)

    def _member_of(self, base: Symbol, name: str, depth: int) -> Symbol:
        found = None
        if base.defined is not None and base.defined.kind == "class":
            found = self._member(base.defined, name, depth)
        path = f"{base.path}.{name}"
        path = self._modules.get(path, path)
        return found or (
            self._followed(Symbol(path)) if len(path) < _MAX_PATH_CHARACTERS else UNKNOWN_SYMBOL
        )

    def _member(self, owner: Scope, name: str, depth: int) -> Symbol | None:
        if depth > _MAX_DEPTH:
            return None
        found = self._first(owner.attributes.get(name, []) + owner.bindings.get(name, []), depth)
        if found is not None and found.defined is not None and found.defined.kind == "function":
            # The value of a property is what it returns.
            return self._result(found.defined, depth) if found.defined.is_property() else found
        return found or self._inherited(owner, name, depth)

    def _inherited(self, owner: Scope, name: str, depth: int) -> Symbol | None:
        for base in owner.bases if depth <= _MAX_DEPTH else ():
            above = self.of(base, owner.parent or owner, depth + 1)
            if above.defined is not None and above.defined is not owner:
                inherited = self._member(above.defined, name, depth + 1)
                if inherited is not None:
                    return inherited
        return None

    def _call(self, node: cst.Call, scope: Scope, depth: int) -> Symbol:
        function = self.of(node.func, scope, depth)
        first = (
            node.args[0].value
            if node.args and node.args[0].keyword is None and not node.args[0].star
            else None
        )
        name = function.path.rpartition(".")[2]
        if function.path in ("functools.partial", "functools.partialmethod") and first is not None:
            inner = self.of(first, scope, depth)
            presets = tuple((arg, scope) for arg in node.args[1:])
            return Symbol(inner.path, inner.presets + presets, inner.defined)
        if function.path == "typing.cast" and len(node.args) == 2:
            return self.of(node.args[1].value, scope, depth)
        if (
            isinstance(node.func, cst.Name)
            and node.func.value == "getattr"
            and first is not None
            and len(node.args) > 1
        ):
            return self._attribute(first, text_of(node.args[1].value) or ANY, scope, depth)
        if (
            name in ("get", "pop", "setdefault")
            and function.defined is None
            and isinstance(node.func, cst.Attribute)
        ):
            entry = self._entry(node.func.value, scope, depth)
            if entry.path != UNKNOWN:
                return entry
        if first is not None and (name.startswith("wrap") or name == "install"):
            inner = self.of(first, scope, depth)
            if CLIENT.match(inner.path):
                return inner
        return self._applied(function, depth)

    def _applied(self, function: Symbol, depth: int) -> Symbol:
        """Return the symbol of a call's result."""
        if function.defined is not None:
            if function.defined.kind == "function":
                return self._result(function.defined, depth)
            if not function.path.endswith("()"):
                return self._instance(function.defined, depth)
            return UNKNOWN_SYMBOL
        name = function.path.rpartition(".")[2]
        if name in ("with_options", "copy") and CLIENT.match(function.path):
            return Symbol(function.path.removesuffix(f".{name}"))
        return (
            Symbol(function.path + "()")
            if function.path != UNKNOWN and len(function.path) < _MAX_PATH_CHARACTERS
            else UNKNOWN_SYMBOL
        )

    def _instance(self, defined: Scope, depth: int) -> Symbol:
        """Return an instance of a class of the project; a subclass of a client is a client."""
        for base in defined.bases if depth < _MAX_DEPTH else ():
            above = self.of(base, defined.parent or defined, depth + 1)
            if CLIENT.fullmatch(above.path + "()"):
                return Symbol(above.path + "()", defined=defined)
        return Symbol(f"class:{defined.qualname}()", defined=defined)

    def _result(self, function: Scope, depth: int) -> Symbol:
        if depth > _MAX_DEPTH:
            return UNKNOWN_SYMBOL
        known = self._results.get(id(function))
        if known is None:
            self._results[id(function)] = UNKNOWN_SYMBOL
            known = self._results[id(function)] = self._returned(function, depth)
        return known

    def _returned(self, function: Scope, depth: int) -> Symbol:
        found = (
            best_of([self.of(value, function, depth + 1) for value, _ in function.returns[:8]])
            or UNKNOWN_SYMBOL
        )
        if CLIENT.match(found.path):
            return found
        annotated = self._annotated(function.annotation, function.parent or function, depth + 1)
        return annotated if annotated.path != UNKNOWN else found

    # Other files

    def _starred(self, name: str, scope: Scope) -> Symbol:
        """Return the symbol of a name that `from module import *` imports from the project."""
        here: Scope | None = scope
        while here is not None and here.parent is not None:
            here = here.parent
        for module in here.stars if here is not None else ():
            if self._follows(module):
                found = self.follow(Symbol(f"{module}.{name}"))
                if not found.path.startswith("@"):
                    return found
        return UNKNOWN_SYMBOL

    def _followed(self, symbol: Symbol) -> Symbol:
        return self.follow(symbol) if self._follows(symbol.path) else symbol

    def _follows(self, path: str) -> bool:
        return (
            path.startswith("@")
            and self._project is not None
            and (self._follow_all or file_of(path) in self._project.always_followed)
        )

    def follow(self, symbol: Symbol) -> Symbol:
        """Return what a symbol of another file stands for, through at most 8 files."""
        for _ in range(8):
            if not symbol.path.startswith("@") or self._project is None:
                break
            found = self._step(symbol.path)
            if found is None or found.path == symbol.path:
                break
            symbol = replace(found, presets=found.presets + symbol.presets)
        return symbol

    def definitions_in_other_file(self, path: str) -> tuple[list[Binding], list[Change]] | None:
        """Return the bindings of a name of another file and the changes of its value, or None."""
        for _ in range(8):
            file, _, name = path.partition(".")
            module = self._load(file) if path.startswith("@") else None
            if module is None or "." in name:
                return None
            found = module.bindings.get(name, [])
            if not (len(found) == 1 and (found[0].dotted or "").startswith("@")):
                return (found, module.changes.get(name, [])) if found else None
            path = found[0].dotted or ""
        return None

    def _step(self, path: str) -> Symbol | None:
        file, *names = path.split(".")
        module = self._load(file) if names else None
        if module is None:
            return None
        found: Symbol | None = None
        for k, part in enumerate(names):
            name = part.removesuffix("()")
            if found is None:
                found = self._first(module.bindings.get(name, []), 1) or self._exported(
                    module, name
                )
            else:
                found = self._member_of(found, name, 1)
            if found is None or found.path == UNKNOWN:
                return None
            for _ in range(part.count("()")):
                found = self._applied(found, 1)
            if found.path.startswith("@"):
                rest = "".join(f".{one}" for one in names[k + 1 :])
                return replace(found, path=found.path + rest) if found.path + rest != path else None
        return found

    def _load(self, path: str) -> Scope | None:
        file = file_of(path)
        return self._project.load(file) if self._project is not None and file is not None else None

    def _exported(self, module: Scope, name: str) -> Symbol | None:
        return next(
            (Symbol(f"{star}.{name}") for star in module.stars if star.startswith("@")), None
        )


__all__ = ["CLIENTS", "Binding", "Collector", "Scope", "Symbols", "text_of"]
