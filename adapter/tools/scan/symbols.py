"""What names stand for: imports, assignments, attributes of self, return values, annotations; across files where a project is given.

An expression's symbol is its way from an import, written out: `openai.OpenAI().chat.completions.create`; what isn't known is `?`. What another file of the
project defines begins with that file's number: `@3.LLM().ask`. No code runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import libcst as cst

from .known_clients import CLIENT, CLIENTS
from .scope_collector import Collector
from .scopes import Binding, Change, Place, Scope, text_of

UNKNOWN = "?"
ANY = "*"  # an attribute whose name only a run can tell
_MAX_DEPTH = 24
_MAX_PATH_CHARACTERS = 400  # characters of a path; what is longer leads in circles


class Project(Protocol):
    """The other files of a scan, seen from one of them."""

    @property
    def always_followed(self) -> frozenset[int]:
        """The files whose names are always followed."""

    def resolve(self, dots: int, module: str, name: str) -> str:
        """Return what `from module import name` means, `@file.name` in a file of the project."""

    def load(self, file: int) -> Scope | None:
        """Return the scope of a file, or None where it can't be read."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """What an expression stands for; `presets` are the arguments of a partial, `defined` a function or class of the project."""

    path: str = UNKNOWN
    presets: tuple[tuple[cst.Arg, Scope], ...] = ()
    defined: Scope | None = None


UNKNOWN_SYMBOL = Symbol()


class Symbols:
    """Say what expressions of a module stand for."""

    def __init__(self, module: cst.Module, project: Project | None = None) -> None:
        collector = Collector(project.resolve if project is not None else None)
        collector.walk(module)
        self.module = collector.module
        self._modules = collector.modules
        self._project = project
        self._scopes: Mapping[int, Scope] = collector.scopes
        self._places = collector.places
        self.outside = collector.outside
        self.used: set[int] = set()  # values that names led to
        self._known: dict[int, Symbol] = {}  # by the node's id
        self._results: dict[int, Symbol] = {}  # by the function's
        self._keep_alive: list[cst.CSTNode] = [module]  # so that no id is given again
        self._derived: dict[int, list[Scope]] | None = None  # by the id of the class above
        self._follow_all = False  # whether every file is followed

    def scope_of(self, node: cst.CSTNode) -> Scope | None:
        """Return the scope that a definition opens."""
        return self._scopes.get(id(node))

    def derived(self, owner: Scope) -> list[Scope]:
        """Return the classes of this module that are derived from one."""
        if self._derived is None:
            self._derived = {}
            for one in self._scopes.values():
                for base in one.bases:
                    above = self.follow(self.of(base, one.parent or one)).defined
                    self._derived.setdefault(id(above), []).append(one)
        return self._derived.get(id(owner), [])

    def place_of(self, call: cst.CSTNode) -> Place | None:
        """Return where a call of this module stands."""
        return self._places.get(id(call))

    def lookup(self, name: str, scope: Scope) -> list[Binding]:
        """Return what a name is bound to where it is used: functions don't see their class's names."""
        return self.binding_scope(name, scope).bindings.get(name, [])

    def binding_scope(self, name: str, scope: Scope) -> Scope:
        """Return the scope that a name is bound in where it is used."""
        here: Scope | None = scope
        while here is not None and not (
            (here is scope or here.kind != "class") and name in here.bindings
        ):
            here = here.parent
        return here or scope

    def of(self, node: cst.BaseExpression | None, scope: Scope, depth: int = 0) -> Symbol:
        """Return the symbol of an expression; what leads back to itself is unknown."""
        if depth > _MAX_DEPTH or node is None:
            return UNKNOWN_SYMBOL
        known = self._known.get(id(node))
        if known is None:
            self._known[id(node)] = UNKNOWN_SYMBOL
            known = self._known[id(node)] = self._followed(self._read(node, scope, depth + 1))
        return known

    def bound(self, binding: Binding) -> Symbol:
        """Return the symbol of one thing that a name is bound to."""
        return self._binding(binding, 0)

    def returned(self, function: Scope) -> Symbol:
        """Return the symbol of what a function returns."""
        return self._result(function, 0)

    def resolve_in_all_files(self, node: cst.BaseExpression, scope: Scope) -> Symbol:
        """Return the symbol of an expression, looked for in every file that it leads to."""
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
        return _best([self.of(one, scope, depth) for one in nodes]) or UNKNOWN_SYMBOL

    def _entry(self, node: cst.BaseExpression, scope: Scope, depth: int) -> Symbol:
        """Return what the values of a dictionary or list are, where one of them is known."""
        container: cst.BaseExpression | None = node
        if isinstance(node, cst.Name):
            values = [one.value for one in self.lookup(node.value, scope) if one.value is not None]
            container = values[-1] if values else None
        match container:
            case cst.Dict() | cst.List() | cst.Tuple():
                return (
                    _best([self.of(one.value, scope, depth) for one in container.elements])
                    or UNKNOWN_SYMBOL
                )
            case cst.DictComp():
                return self.of(container.value, scope, depth)
        return UNKNOWN_SYMBOL

    def _first(self, bindings: list[Binding], depth: int) -> Symbol | None:
        """Return what most is known of: a client before anything else, and anything before nothing."""
        return _best([self._binding(binding, depth) for binding in reversed(bindings[-8:])])

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
        """Return one element of what a function of the project returns."""
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
        return _best(found) or UNKNOWN_SYMBOL

    def _annotated(self, annotation: cst.BaseExpression | None, scope: Scope, depth: int) -> Symbol:
        """Return an instance of the client, or resource, that an annotation names, also in unions and as text."""
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
            # A property is what it returns.
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
        """Return what calling a symbol gives."""
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
        """Return an instance of a class of the project: a client's subclass is a client."""
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
            _best([self.of(value, function, depth + 1) for value, _ in function.returns[:8]])
            or UNKNOWN_SYMBOL
        )
        if CLIENT.match(found.path):
            return found
        annotated = self._annotated(function.annotation, function.parent or function, depth + 1)
        return annotated if annotated.path != UNKNOWN else found

    # Other files

    def _starred(self, name: str, scope: Scope) -> Symbol:
        """Return what `from module import *` of a file of the project gives a name."""
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
            and (self._follow_all or _file(path) in self._project.always_followed)
        )

    def follow(self, symbol: Symbol) -> Symbol:
        """Return what a symbol of another file is there, through as many files as it takes, within reason."""
        for _ in range(8):
            if not symbol.path.startswith("@") or self._project is None:
                break
            found = self._step(symbol.path)
            if found is None or found.path == symbol.path:
                break
            symbol = replace(found, presets=found.presets + symbol.presets)
        return symbol

    def definitions_in_other_file(self, path: str) -> tuple[list[Binding], list[Change]] | None:
        """Return the bindings of a name of another file, and what happens to its value there; None where it isn't known."""
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
        file = _file(path)
        return self._project.load(file) if self._project is not None and file is not None else None

    def _exported(self, module: Scope, name: str) -> Symbol | None:
        return next(
            (Symbol(f"{star}.{name}") for star in module.stars if star.startswith("@")), None
        )


def _file(path: str) -> int | None:
    """Return which file a symbol is in; None for what calling a module would give, which is nothing."""
    number = path[1:].partition(".")[0]
    return int(number) if number.isdecimal() else None


def _best(found: list[Symbol]) -> Symbol | None:
    """Return what most is known of: a client before anything else, and anything before nothing."""
    telling = [one for one in found if one.path != UNKNOWN]
    return next(
        (one for one in telling if CLIENT.match(one.path)),
        next(
            (one for one in telling if not one.path.startswith(UNKNOWN)),
            telling[0] if telling else None,
        ),
    )


def parts_of(annotation: cst.BaseExpression | None) -> Iterator[cst.BaseExpression]:
    """Give the names in an annotation, unions and subscripts opened."""
    match annotation:
        case cst.BinaryOperation():
            yield from parts_of(annotation.left)
            yield from parts_of(annotation.right)
        case cst.Subscript():
            for element in annotation.slice:
                if isinstance(element.slice, cst.Index):
                    yield from parts_of(element.slice.value)
        case cst.Name() | cst.Attribute():
            yield annotation


__all__ = ["CLIENTS", "Binding", "Collector", "Scope", "Symbol", "Symbols", "text_of"]
