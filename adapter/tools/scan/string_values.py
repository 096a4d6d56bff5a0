"""Find the possible values of string expressions: literals, concatenated and passed on by names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import libcst as cst
from libcst import helpers

from .cst_walker import Walker
from .finder import last_name
from .symbols import Binding, Scope, Symbols, text_of

UNKNOWN_PART = "…"
"""Stands for an unknown part of a text."""

_UNKNOWN_TEXTS = frozenset({UNKNOWN_PART})
_MAX_DEPTH = 12
_MAX_TEXTS = 24  # values of one expression
_MAX_CHARACTERS = 1000  # of one value

_TEXT_PRESERVING_FUNCTIONS = frozenset(
    {"AnyHttpUrl", "AnyUrl", "HttpUrl", "SecretStr", "TypeAdapter", "URL", "Url", "cast",
     "fspath", "quote", "str", "urlparse", "urlsplit"}
)  # fmt: skip
"""Functions and classes that return a text, or make a URL from it."""

_URL_PRESERVING_METHODS = frozenset(
    {"copy_with", "encode", "decode", "geturl", "get_secret_value", "human_repr", "lower",
     "lstrip", "removeprefix", "removesuffix", "replace", "rstrip", "strip", "unicode_string",
     "with_fragment", "with_query"}
)  # fmt: skip
"""Methods that keep a URL's host and path."""

_JOIN_FUNCTIONS = frozenset({"os.path.join", "posixpath.join", "ntpath.join"})
_ENVIRONMENT = frozenset({"os.getenv", "os.environ.get", "environ.get", "getenv"})


class _Defaults(Walker):
    """Collect the default values of parameters."""

    def __init__(self, symbols: Symbols) -> None:
        super().__init__()
        self.found: dict[tuple[int, str], cst.BaseExpression] = {}
        self._symbols = symbols

    def _take(self, node: cst.FunctionDef | cst.Lambda) -> None:
        scope = self._symbols.scope_of(node)
        for one in [*node.params.posonly_params, *node.params.params, *node.params.kwonly_params]:
            if one.default is not None:
                self.found[id(scope), one.name.value] = one.default

    visit_FunctionDef = visit_Lambda = _take


class StringValues:
    """Find the texts that a module's expressions may have as values."""

    def __init__(self, module: cst.Module, symbols: Symbols) -> None:
        self._symbols = symbols
        self._module = module
        self._found: dict[tuple[int, str], cst.BaseExpression] | None = None
        self._known: dict[int, frozenset[str]] = {}
        self._parts: dict[int, list[cst.BaseString | cst.FormattedStringText]] = {}
        self._strings_read: list[cst.BaseString | cst.FormattedStringText] = []

    @property
    def _defaults(self) -> dict[tuple[int, str], cst.BaseExpression]:
        if self._found is None:
            collector = _Defaults(self._symbols)
            collector.walk(self._module)
            self._found = collector.found
        return self._found

    def of(self, node: cst.BaseExpression | None, scope: Scope, depth: int = 0) -> frozenset[str]:
        """Return an expression's possible texts; UNKNOWN_PART stands for unknown parts."""
        if node is None or depth > _MAX_DEPTH:
            return _UNKNOWN_TEXTS
        found = self._known.get(id(node))
        if found is None:
            self._known[id(node)] = _UNKNOWN_TEXTS  # for circular definitions
            outer, self._strings_read = self._strings_read, []
            found = _bounded(self._read(node, scope, depth + 1))
            self._known[id(node)], self._parts[id(node)] = found, self._strings_read
            self._strings_read = outer
        self._strings_read += self._parts.get(id(node), ())
        return found

    def strings(
        self, node: cst.BaseExpression, scope: Scope
    ) -> list[cst.BaseString | cst.FormattedStringText]:
        """Return the string literals that an expression's texts are made of."""
        self.of(node, scope)
        return self._parts.get(id(node), [])

    def _read(self, node: cst.BaseExpression, scope: Scope, deeper: int) -> Iterable[str]:
        match node:
            case cst.BaseString() | cst.BinaryOperation():
                return self._written(node, scope, deeper)
            case cst.IfExp():
                return self._either(node, scope, deeper)
            case cst.BooleanOperation():
                return self.of(node.left, scope, deeper) | self.of(node.right, scope, deeper)
            case cst.NamedExpr():
                return self.of(node.value, scope, deeper)
            case cst.Await():
                return self.of(node.expression, scope, deeper)
            case cst.Name():
                return self._named(node.value, scope, deeper)
            case cst.Attribute():
                return self._attribute(node, scope, deeper)
            case cst.Subscript():
                return self.item(node.value, _key(node), scope, deeper)
            case cst.Call():
                return self._call_texts(node, scope, deeper)
        return _UNKNOWN_TEXTS

    def _written(self, node: cst.BaseExpression, scope: Scope, deeper: int) -> Iterable[str]:
        match node:
            case cst.SimpleString():
                self._strings_read.append(node)
                return [text_of(node) or UNKNOWN_PART]
            case cst.FormattedString():
                self._strings_read += [
                    one for one in node.parts if isinstance(one, cst.FormattedStringText)
                ]
                return self._formatted(node, scope, deeper)
            case cst.ConcatenatedString() | cst.BinaryOperation(operator=cst.Add()):
                return self._concatenated([node.left, node.right], scope, deeper)
            case cst.BinaryOperation(operator=cst.Divide()):
                return self._concatenated([node.left, node.right], scope, deeper, "/")
            case cst.BinaryOperation(operator=cst.Modulo()):
                return [
                    re.sub(r"%(\(\w+\))?[sdr]", UNKNOWN_PART, one)
                    for one in self.of(node.left, scope, deeper)
                ]
        return _UNKNOWN_TEXTS

    def _either(self, node: cst.IfExp, scope: Scope, depth: int) -> frozenset[str]:
        """Return the texts of both branches; only x's for `str(x) if x is not None else None`."""
        branches = [node.body, node.orelse]
        tested = _tested_name(node.test)
        if tested is not None and any(_is_none(one) for one in branches):
            branches = [one for one in branches if _mentions(one, tested)] or branches
        return frozenset().union(*(self._branch(one, scope, depth) for one in branches))

    def _branch(self, node: cst.BaseExpression, scope: Scope, depth: int) -> frozenset[str]:
        return frozenset({""}) if _is_none(node) else self.of(node, scope, depth)

    def _concatenated(
        self, parts: Sequence[cst.BaseExpression], scope: Scope, depth: int, between: str = ""
    ) -> Iterable[str]:
        return _product([self.of(one, scope, depth) for one in parts], between)

    def _formatted(self, node: cst.FormattedString, scope: Scope, depth: int) -> Iterable[str]:
        return _product(
            [
                frozenset({part.value})
                if isinstance(part, cst.FormattedStringText)
                else self.of(
                    cst.ensure_type(part, cst.FormattedStringExpression).expression, scope, depth
                )
                for part in node.parts
            ]
        )

    def _named(self, name: str, scope: Scope, depth: int) -> Iterable[str]:
        return self._bound(name, self._symbols.lookup(name, scope), depth)

    def _bound(self, name: str, bindings: Sequence[Binding], depth: int) -> frozenset[str]:
        found: set[str] = set()
        for one in bindings[-_MAX_TEXTS:]:
            if one.value is not None:
                texts = self.of(one.value, one.scope, depth)
            elif one.defined is not None and one.defined.kind == "function":  # a property
                texts = self._returned(one.defined, depth)
            else:
                default = self._defaults.get((id(one.scope), name))
                texts = (
                    _UNKNOWN_TEXTS
                    if default is None
                    else _UNKNOWN_TEXTS | self.of(default, one.scope, depth)
                )
            found |= texts
            for change in one.scope.changes.get(name, ()):
                if change.kind == "add":  # url += "/chat/completions"
                    found |= set(_product([texts, self.of(change.value, change.scope, depth)]))
        return frozenset(found) or _UNKNOWN_TEXTS

    def _attribute(self, node: cst.Attribute, scope: Scope, depth: int) -> Iterable[str]:
        name = node.attr.value
        owner = self._owner(node.value, scope)
        if owner is not None:
            bindings = list(self._members(owner, name, 0))
            if bindings:
                return self._bound(name, bindings, depth)
        if name in ("value", "url", "path"):  # an enum's member; a parsed URL's part
            return self.of(node.value, scope, depth)
        return _UNKNOWN_TEXTS

    def _owner(self, node: cst.BaseExpression, scope: Scope) -> Scope | None:
        if isinstance(node, cst.Name) and node.value in ("self", "cls"):
            return scope.enclosing_class()
        defined = self._symbols.of(node, scope).defined
        return defined if defined is not None and defined.kind == "class" else None

    def _members(self, owner: Scope, name: str, depth: int) -> Iterator[Binding]:
        own = owner.attributes.get(name, []) + owner.bindings.get(name, [])
        yield from own
        for base in owner.bases if not own and depth < _MAX_DEPTH else ():
            above = self._symbols.of(base, owner.parent or owner).defined
            if above is not None and above is not owner:
                yield from self._members(above, name, depth + 1)

    def item(
        self, node: cst.BaseExpression, key: str | None, scope: Scope, depth: int = 0
    ) -> frozenset[str]:
        """Return the texts of a dictionary's entry; of all entries if the key isn't literal."""
        found: set[str] = set()
        for made, where in self._dicts(node, scope):
            for name, value in _entries(made):
                if key is None or name is None or name == key:
                    found |= self.of(value, where, depth)
        if isinstance(node, cst.Name):
            for where in {one.scope for one in self._symbols.lookup(node.value, scope)}:
                for change in where.changes.get(node.value, ()):
                    if change.key is not None and key in (None, change.key):
                        found |= self.of(change.value, change.scope, depth)
        return frozenset(found) or _UNKNOWN_TEXTS

    def _dicts(
        self, node: cst.BaseExpression, scope: Scope, depth: int = 0
    ) -> Iterator[tuple[cst.BaseExpression, Scope]]:
        """Yield the literal dictionaries that an expression may be made of."""
        deeper = depth + 1
        bindings: Sequence[Binding] = ()
        match node:
            case _ if depth > _MAX_DEPTH:
                return
            case cst.Dict() | cst.Call(func=cst.Name(value="dict")):
                yield node, scope
                for inner in _spread(node):
                    yield from self._dicts(inner, scope, deeper)
            case cst.DictComp(
                for_in=cst.CompFor(
                    iter=cst.Call(func=cst.Attribute(value=inner, attr=cst.Name("items")))
                )
            ):
                yield from self._dicts(inner, scope, deeper)
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name("copy"))):
                yield from self._dicts(inner, scope, deeper)
            case cst.Call():
                function = self._symbols.of(node.func, scope).defined
                for value, _ in function.returns if function is not None else ():
                    yield from self._dicts(value, function or scope, deeper)
            case cst.BooleanOperation() | cst.BinaryOperation():
                yield from self._dicts(node.left, scope, deeper)
                yield from self._dicts(node.right, scope, deeper)
            case cst.IfExp():
                yield from self._dicts(node.body, scope, deeper)
                yield from self._dicts(node.orelse, scope, deeper)
            case cst.Name():
                bindings = self._symbols.lookup(node.value, scope)
            case cst.Attribute():
                owner = self._owner(node.value, scope)
                bindings = (
                    list(self._members(owner, node.attr.value, 0)) if owner is not None else ()
                )
        for one in bindings:
            if one.value is not None:
                yield from self._dicts(one.value, one.scope, deeper)

    def _call_texts(self, node: cst.Call, scope: Scope, depth: int) -> Iterable[str]:
        given = [one.value for one in node.args if one.keyword is None and not one.star]
        symbol = self._symbols.of(node.func, scope)
        name = last_name(node.func)
        if {symbol.path, helpers.get_full_name_for_node(node.func)} & _ENVIRONMENT:
            return _UNKNOWN_TEXTS | (
                self.of(given[1], scope, depth) if len(given) > 1 else _UNKNOWN_TEXTS
            )
        if symbol.path in _JOIN_FUNCTIONS or name == "joinpath":
            parts = (
                given
                if symbol.path in _JOIN_FUNCTIONS
                else [cst.ensure_type(node.func, cst.Attribute).value, *given]
            )
            return self._concatenated(parts, scope, depth, "/")
        if name == "urljoin" and len(given) > 1:
            return {
                _joined(a, b)
                for a in self.of(given[0], scope, depth)
                for b in self.of(given[1], scope, depth)
            }
        if name in _TEXT_PRESERVING_FUNCTIONS and given:
            return self.of(given[-1 if name == "cast" else 0], scope, depth)
        if symbol.defined is not None and symbol.defined.kind == "function":
            return self._returned(symbol.defined, depth)
        if isinstance(node.func, cst.Attribute):
            return self._method_texts(node, node.func.value, name, given, scope, depth)
        return _UNKNOWN_TEXTS

    def _method_texts(  # noqa: PLR0917
        self,
        node: cst.Call,
        base: cst.BaseExpression,
        name: str,
        given: list[cst.BaseExpression],
        scope: Scope,
        depth: int,
    ) -> Iterable[str]:
        if name == "join" and len(given) == 1 and isinstance(given[0], (cst.List, cst.Tuple)):
            between = text_of(base) or ""
            return self._concatenated(
                [one.value for one in given[0].elements], scope, depth, between
            )
        if name == "join" and given:  # URL.join
            return {
                _joined(a, b)
                for a in self.of(base, scope, depth)
                for b in self.of(given[0], scope, depth)
            }
        if name in ("get", "pop", "setdefault") and given:
            return self.item(base, text_of(given[0]), scope, depth) | (
                self.of(given[1], scope, depth) if len(given) > 1 else frozenset()
            )
        if name == "format":
            named = {one.keyword.value: one.value for one in node.args if one.keyword is not None}
            return self._format_texts(self.of(base, scope, depth), given, named, scope, depth)
        literal = [text_of(one) for one in given]
        if name in ("replace", "removeprefix", "removesuffix") and all(literal[:1]):
            change = getattr(str, name)
            return [
                change(one, *(each or "" for each in literal))
                for one in self.of(base, scope, depth)
            ]
        return self.of(base, scope, depth) if name in _URL_PRESERVING_METHODS else _UNKNOWN_TEXTS

    def _format_texts(
        self,
        texts: Iterable[str],
        given: list[cst.BaseExpression],
        named: dict[str, cst.BaseExpression],
        scope: Scope,
        depth: int,
    ) -> Iterator[str]:
        for text in texts:
            rest = iter(given)
            parts = [
                self.of(_format_argument(part, given, named, rest), scope, depth)
                if k % 2
                else frozenset({part})
                for k, part in enumerate(re.split(r"\{(\w*)[^}]*\}", text))
            ]
            yield from _product(parts)

    def _returned(self, function: Scope, depth: int) -> frozenset[str]:
        found: set[str] = set()
        for value, _ in function.returns[:_MAX_TEXTS]:
            found |= self.of(value, function, depth)
        return frozenset(found) or _UNKNOWN_TEXTS


def _format_argument(
    field: str,
    given: list[cst.BaseExpression],
    named: dict[str, cst.BaseExpression],
    rest: Iterator[cst.BaseExpression],
) -> cst.BaseExpression | None:
    """Return the argument of `str.format` for a field: by name, by index, or the next of `rest`."""
    if field in named:
        return named[field]
    if field.isdecimal() and int(field) < len(given):
        return given[int(field)]
    return next(rest, None)


def _product(parts: Sequence[frozenset[str]], between: str = "") -> list[str]:
    texts: list[str] = []
    for k, part in enumerate(parts):
        texts = (
            [f"{a}{between}{b}" for a in texts for b in sorted(part)][:_MAX_TEXTS]
            if k
            else sorted(part)
        )
    return texts or [""]


def _bounded(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(sorted(one[-_MAX_CHARACTERS:] for one in texts)[:_MAX_TEXTS]) or _UNKNOWN_TEXTS


def _joined(base: str, more: str) -> str:
    if "://" in more or base == UNKNOWN_PART:
        return more
    if more.startswith("/"):
        found = re.match(r"[^/]*//[^/]*", base)
        return (found[0] if found else base) + more
    return f"{base.rpartition('/')[0] if '//' not in base[-2:] else base}/{more}"


def _key(node: cst.Subscript) -> str | None:
    index = node.slice[0].slice if len(node.slice) == 1 else None
    return text_of(index.value) if isinstance(index, cst.Index) else None


def _entries(node: cst.BaseExpression) -> Iterator[tuple[str | None, cst.BaseExpression]]:
    match node:
        case cst.Dict():
            for one in node.elements:
                if isinstance(one, cst.DictElement):
                    yield text_of(one.key), one.value
        case cst.Call(func=cst.Name(value="dict")):
            for arg in node.args:
                if arg.keyword is not None:
                    yield arg.keyword.value, arg.value


def _spread(node: cst.Dict | cst.Call) -> Iterator[cst.BaseExpression]:
    """Yield the expressions that are spread into a dictionary."""
    if isinstance(node, cst.Dict):
        yield from (one.value for one in node.elements if isinstance(one, cst.StarredDictElement))
    else:
        yield from (one.value for one in node.args if one.keyword is None)


def _is_none(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def _tested_name(test: cst.BaseExpression) -> str | None:
    """Return the name that a condition tests: `x`, `not x`, `x is not None`."""
    match test:
        case cst.UnaryOperation(operator=cst.Not()):
            return _tested_name(test.expression)
        case cst.Comparison(comparisons=[only]) if _is_none(only.comparator):
            return _tested_name(test.left)
        case cst.Name() | cst.Attribute():
            return helpers.get_full_name_for_node(test)
    return None


def _mentions(node: cst.CSTNode, name: str) -> bool:
    own = (
        helpers.get_full_name_for_node(node)
        if isinstance(node, (cst.Name, cst.Attribute))
        else None
    )
    return own == name or any(_mentions(one, name) for one in node.children)
