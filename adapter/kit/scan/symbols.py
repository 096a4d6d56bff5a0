"""What names stand for, as far as one file tells: imports, assignments, attributes of self, return values, annotations.

An expression's symbol is its way from an import, written out: `openai.OpenAI().chat.completions.create`; what isn't known is `?`. No code runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import libcst as cst
from libcst import helpers
from libcst import matchers as m

from .known import CLIENT, CLIENTS
from .walking import Walker

UNKNOWN = "?"
ANY = "*"  # an attribute whose name only a run can tell
_DEEPEST = 24


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class or function: its names, a class's attributes of self, a function's results."""

    kind: Literal["module", "class", "function"]
    name: str
    parent: Scope | None = None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    attributes: dict[str, list[Binding]] = field(default_factory=dict)
    returns: list[cst.BaseExpression] = field(default_factory=list)
    annotation: cst.BaseExpression | None = None
    bases: list[cst.BaseExpression] = field(default_factory=list)
    keywords: str | None = None  # the name of its **parameter
    parameters: tuple[str, ...] = ()
    items: dict[str, list[tuple[str | None, cst.BaseExpression]]] = field(
        default_factory=dict
    )  # name["key"] = value, name.update(value)

    @property
    def qualname(self) -> str:
        """Return its `__qualname__`."""
        if self.kind == "module":
            return "<module>"
        above = self.parent
        prefix = "" if above is None or above.kind == "module" else above.qualname + "."
        return prefix + ("<locals>." if above is not None and above.kind == "function" else "") + self.name

    def enclosing_class(self) -> Scope | None:
        """Return the class whose self is meant here."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "class":
            scope = scope.parent
        return scope


@dataclass(frozen=True, slots=True)
class Binding:
    """One thing that a name is bound to: a dotted import, an expression, an annotation, a definition, or something unknown (all None)."""

    scope: Scope
    dotted: str | None = None
    value: cst.BaseExpression | None = None
    annotation: cst.BaseExpression | None = None
    defined: Scope | None = None


@dataclass(frozen=True, slots=True)
class Symbol:
    """What an expression stands for; `presets` are the keywords of a partial, `defined` a function or class of this file."""

    path: str = UNKNOWN
    presets: tuple[tuple[cst.Arg, Scope], ...] = ()
    defined: Scope | None = None


NOTHING = Symbol()


class Collector(Walker):
    """Collect a module's names."""

    def __init__(self) -> None:
        super().__init__()
        self.module = Scope("module", "<module>")
        self.scopes: dict[int, Scope] = {}
        self._now = self.module

    def _bind(self, name: str, **what: object) -> None:
        self._now.bindings.setdefault(name, []).append(Binding(self._now, **what))  # type: ignore[arg-type]

    def _enter(self, node: cst.CSTNode, scope: Scope) -> None:
        self.scopes[id(node)] = scope
        self._now = scope

    def _leave(self) -> None:
        assert self._now.parent is not None
        self._now = self._now.parent

    def visit_Import(self, node: cst.Import) -> bool:
        for alias in node.names:
            dotted = helpers.get_full_name_for_node_or_raise(alias.name)
            if alias.asname is None:
                first = dotted.partition(".")[0]
                self._bind(first, dotted=first)
            elif isinstance(alias.asname.name, cst.Name):
                self._bind(alias.asname.name.value, dotted=dotted)
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        module = "." * len(node.relative) + (helpers.get_full_name_for_node(node.module) or "" if node.module else "")
        for alias in () if isinstance(node.names, cst.ImportStar) else node.names:
            assert isinstance(alias.name, cst.Name)
            own = (
                alias.asname.name.value
                if alias.asname and isinstance(alias.asname.name, cst.Name)
                else alias.name.value
            )
            self._bind(own, dotted=f"{module}.{alias.name.value}")
        return False

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        scope = Scope("class", node.name.value, self._now, bases=[arg.value for arg in node.bases])
        self._bind(node.name.value, defined=scope)
        self._enter(node, scope)

    def leave_ClassDef(self, node: cst.ClassDef) -> None:
        self._leave()

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        scope = Scope(
            "function", node.name.value, self._now, annotation=node.returns.annotation if node.returns else None
        )
        # A property is what it returns; to the symbols both are the same.
        self._bind(node.name.value, defined=scope)
        self._enter(node, scope)
        self._parameters(node.params)

    def leave_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._leave()

    def visit_Lambda(self, node: cst.Lambda) -> None:
        self._enter(node, Scope("function", "<lambda>", self._now))
        self._parameters(node.params)

    def leave_Lambda(self, node: cst.Lambda) -> None:
        self._leave()

    def _parameters(self, params: cst.Parameters) -> None:
        named = [*params.posonly_params, *params.params, *params.kwonly_params]
        for one in named:
            annotation = one.annotation.annotation if one.annotation else None
            self._bind(one.name.value, annotation=annotation)
        self._now.parameters = tuple(one.name.value for one in named)
        if params.star_kwarg is not None:
            self._now.keywords = params.star_kwarg.name.value
            self._bind(params.star_kwarg.name.value)

    def visit_Return(self, node: cst.Return) -> None:
        if node.value is not None:
            self._now.returns.append(node.value)

    def visit_Yield(self, node: cst.Yield) -> None:  # a fixture, or a context manager
        if isinstance(node.value, cst.BaseExpression):
            self._now.returns.append(node.value)

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._target(target.target, node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._target(node.target, node.value, node.annotation.annotation)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        if isinstance(node.target, cst.Name):
            self._now.items.setdefault(node.target.value, []).append((None, node.value))

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self._target(node.target, node.value)

    def visit_For(self, node: cst.For) -> None:
        self._target(node.target, None)

    def visit_With(self, node: cst.With) -> None:
        for item in node.items:
            if item.asname is not None:
                self._target(item.asname.name, item.item)

    def visit_Expr(self, node: cst.Expr) -> None:
        call = node.value
        if isinstance(call, cst.Call) and m.matches(
            call.func, m.Attribute(value=m.Name(), attr=m.Name("update") | m.Name("setdefault"))
        ):
            func = cst.ensure_type(call.func, cst.Attribute)
            items = self._now.items.setdefault(cst.ensure_type(func.value, cst.Name).value, [])
            if func.attr.value == "setdefault":
                if len(call.args) == 2:
                    items.append((text_of(call.args[0].value), call.args[1].value))
                return
            items += [(arg.keyword.value if arg.keyword else None, arg.value) for arg in call.args]

    def _target(
        self, target: cst.BaseExpression, value: cst.BaseExpression | None, annotation: cst.BaseExpression | None = None
    ) -> None:
        match target:
            case cst.Name():
                self._bind(target.value, value=value, annotation=annotation)
            case cst.Attribute(value=cst.Name(value="self" | "cls")):
                owner = self._now.enclosing_class()
                if owner is not None:
                    bound = Binding(self._now, value=value, annotation=annotation)
                    owner.attributes.setdefault(target.attr.value, []).append(bound)
            case cst.Subscript(value=cst.Name(value=name), slice=[cst.SubscriptElement(slice=cst.Index(value=key))]):
                if value is not None:
                    self._now.items.setdefault(name, []).append((text_of(key), value))
            case cst.Tuple() | cst.List():
                pairs: Sequence[cst.BaseElement] = value.elements if isinstance(value, (cst.Tuple, cst.List)) else ()
                for k, element in enumerate(target.elements):
                    self._target(element.value, pairs[k].value if len(pairs) == len(target.elements) else None)


def text_of(node: cst.BaseExpression) -> str | None:
    """Return a literal string's text."""
    if isinstance(node, (cst.SimpleString, cst.ConcatenatedString)):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None


class Symbols:
    """Say what expressions of a module stand for."""

    def __init__(self, module: cst.Module) -> None:
        collector = Collector()
        collector.walk(module)
        self.module = collector.module
        self._scopes: Mapping[int, Scope] = collector.scopes
        self.used: set[int] = set()  # values that names led to
        self._known: dict[int, Symbol] = {}  # by the node's id
        self._results: dict[int, Symbol] = {}  # by the function's
        self._kept: list[cst.CSTNode] = [module]  # so that no id is given again

    def scope_of(self, node: cst.CSTNode) -> Scope | None:
        """Return the scope that a definition opens."""
        return self._scopes.get(id(node))

    def lookup(self, name: str, scope: Scope) -> list[Binding]:
        """Return what a name is bound to where it is used: functions don't see their class's names."""
        here: Scope | None = scope
        while here is not None:
            if (here is scope or here.kind != "class") and name in here.bindings:
                return here.bindings[name]
            here = here.parent
        return []

    def of(self, node: cst.BaseExpression | None, scope: Scope, depth: int = 0) -> Symbol:
        """Return the symbol of an expression; what leads back to itself is unknown."""
        if depth > _DEEPEST or node is None:
            return NOTHING
        known = self._known.get(id(node))
        if known is None:
            self._known[id(node)] = NOTHING
            known = self._known[id(node)] = self._read(node, scope, depth + 1)
        return known

    def _read(self, node: cst.BaseExpression, scope: Scope, deeper: int) -> Symbol:
        match node:
            case cst.Name():
                found = self._first(self.lookup(node.value, scope), deeper)
                return found or NOTHING
            case cst.Attribute():
                return self._attribute(node.value, node.attr.value, scope, deeper)
            case cst.Call():
                return self._call(node, scope, deeper)
            case cst.Await():
                return self.of(node.expression, scope, deeper)
            case cst.NamedExpr():
                return self.of(node.value, scope, deeper)
            case cst.IfExp():
                return self._either((node.body, node.orelse), scope, deeper)
            case cst.BooleanOperation():
                return self._either((node.left, node.right), scope, deeper)
        return NOTHING

    def _either(self, nodes: tuple[cst.BaseExpression, ...], scope: Scope, depth: int) -> Symbol:
        found = [self.of(one, scope, depth) for one in nodes]
        return next(
            (one for one in found if CLIENT.match(one.path)),
            next((one for one in found if one.path != UNKNOWN), NOTHING),
        )

    def _first(self, bindings: list[Binding], depth: int) -> Symbol | None:
        """Return what most is known of: a client before anything else, and anything before nothing."""
        found = []
        for binding in reversed(bindings[-8:]):
            one = self._binding(binding, depth)
            if CLIENT.match(one.path):
                return one
            if one.path != UNKNOWN:
                found.append(one)
        return found[0] if found else None

    def _binding(self, binding: Binding, depth: int) -> Symbol:
        if binding.dotted is not None:
            return Symbol(binding.dotted)
        if binding.defined is not None:
            return Symbol(f"{binding.defined.kind}:{binding.defined.qualname}", defined=binding.defined)
        if binding.value is not None:
            self.used.add(id(binding.value))
            found = self.of(binding.value, binding.scope, depth)
            if found.path != UNKNOWN:
                return found
        return self._annotated(binding.annotation, binding.scope, depth)

    def _annotated(self, annotation: cst.BaseExpression | None, scope: Scope, depth: int) -> Symbol:
        """Return an instance of the client, or resource, that an annotation names, also in unions and as text."""
        if annotation is None:
            return NOTHING
        text = text_of(annotation)
        if text is not None:
            try:
                annotation = cst.parse_expression(text)
            except cst.ParserSyntaxError:
                return NOTHING
            self._kept.append(annotation)
        for node in _parts(annotation):
            found = self.of(node, scope, depth)
            if CLIENT.fullmatch(found.path + "()") or ".Completions" in found.path or ".AsyncCompletions" in found.path:
                return Symbol(found.path + "()")
            if found.defined is not None and found.defined.kind == "class":
                return Symbol(found.path + "()", defined=found.defined)
        return NOTHING

    def _attribute(self, value: cst.BaseExpression, name: str, scope: Scope, depth: int) -> Symbol:
        owner: Scope | None = None
        if isinstance(value, cst.Name) and value.value in ("self", "cls"):
            owner = scope.enclosing_class()
            base = NOTHING
        else:
            base = self.of(value, scope, depth)
            if base.defined is not None and base.defined.kind == "class":
                owner = base.defined
        found = self._member(owner, name, depth) if owner is not None else None
        if found is not None:
            return found
        return Symbol(f"{base.path}.{name}")

    def _member(self, owner: Scope, name: str, depth: int) -> Symbol | None:
        if depth > _DEEPEST:
            return None
        bindings = owner.attributes.get(name, []) + owner.bindings.get(name, [])
        found = self._first(bindings, depth)
        if found is not None:
            return found
        for base in owner.bases:
            above = self.of(base, owner.parent or owner, depth + 1)
            if above.defined is not None and above.defined is not owner:
                inherited = self._member(above.defined, name, depth + 1)
                if inherited is not None:
                    return inherited
        return None

    def _call(self, node: cst.Call, scope: Scope, depth: int) -> Symbol:
        function = self.of(node.func, scope, depth)
        first = node.args[0].value if node.args and node.args[0].keyword is None and not node.args[0].star else None
        name = function.path.rpartition(".")[2]
        if function.path in ("functools.partial", "functools.partialmethod") and first is not None:
            inner = self.of(first, scope, depth)
            presets = tuple((arg, scope) for arg in node.args[1:] if arg.keyword or arg.star == "**")
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
        if function.defined is not None and function.defined.kind == "function":
            return self._result(function.defined, depth)
        if function.defined is not None:
            return self._instance(function.defined, depth)
        if name in ("with_options", "copy") and CLIENT.match(function.path):
            return Symbol(function.path.removesuffix(f".{name}"))
        if first is not None and (name.startswith("wrap") or name == "install"):
            inner = self.of(first, scope, depth)
            if CLIENT.match(inner.path):
                return inner
        return Symbol(function.path + "()") if function.path != UNKNOWN else NOTHING

    def _instance(self, defined: Scope, depth: int) -> Symbol:
        """Return an instance of a class of this file: a client's subclass is a client."""
        for base in defined.bases if depth < _DEEPEST else ():
            above = self.of(base, defined.parent or defined, depth + 1)
            if CLIENT.fullmatch(above.path + "()"):
                return Symbol(above.path + "()", defined=defined)
        return Symbol(f"class:{defined.qualname}()", defined=defined)

    def _result(self, function: Scope, depth: int) -> Symbol:
        if depth > _DEEPEST:
            return NOTHING
        known = self._results.get(id(function))
        if known is None:
            self._results[id(function)] = NOTHING
            known = self._results[id(function)] = self._returned(function, depth)
        return known

    def _returned(self, function: Scope, depth: int) -> Symbol:
        found = NOTHING
        for value in function.returns:
            found = self.of(value, function, depth + 1)
            if CLIENT.match(found.path):
                return found
        annotated = self._annotated(function.annotation, function.parent or function, depth + 1)
        return annotated if annotated.path != UNKNOWN else found


def _parts(annotation: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    match annotation:
        case cst.BinaryOperation():
            yield from _parts(annotation.left)
            yield from _parts(annotation.right)
        case cst.Subscript():
            for element in annotation.slice:
                if isinstance(element.slice, cst.Index):
                    yield from _parts(element.slice.value)
        case cst.Name() | cst.Attribute():
            yield annotation


__all__ = ["CLIENTS", "Binding", "Scope", "Symbol", "Symbols", "text_of"]
