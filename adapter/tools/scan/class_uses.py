"""Classify how a module uses the SDK's client classes: it calls them, or only refers to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import libcst as cst

from .cst_walker import Walker
from .finder import last_name
from .known_clients import CLIENTS
from .module_tree import ModuleTree
from .scoped_walker import ScopedWalker
from .symbols import Binding, Scope, Symbols

SDK = "openai"

UseKind = Literal[
    "made",
    "subclassed",
    "annotated",
    "checked",
    "tested",
    "compared",
    "compared to class",
    "replaced",
    "passed",
    "named",
    "inspected",
]
"""`made`: called, at once or later. `annotated`: in an annotation that nothing reads at run time;
`checked`: in one that may be read. `tested`: by isinstance. `compared`: with an object's own class;
`compared to class`: with another class. `passed`: passed on without being called. `named`: in a
type. `inspected`: in a condition or an expression statement."""

_CALLING_FUNCTIONS = frozenset(
    {"Depends", "Factory", "Singleton", "Resource", "ThreadSafeSingleton", "cache", "cached",
     "field", "lru_cache", "partial", "run_in_executor", "run_sync", "submit", "to_thread"}
)  # fmt: skip
"""Functions that call a class which they get as an argument."""

_FACTORY_KEYWORDS = frozenset({"default_factory", "factory"})
_SELF_PARAMETERS = (("self",), ("cls",))
_PLAIN_DECORATORS = frozenset(
    {"abstractmethod", "asynccontextmanager", "cache", "cached_property", "classmethod",
     "contextmanager", "deleter", "deprecated", "final", "fixture", "lru_cache", "overload",
     "override", "property", "retry", "setter", "staticmethod", "traceable", "wraps"}
)  # fmt: skip
"""Decorators that don't read annotations."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassUse:
    """One reference to a client class.

    `node` is `OpenAI`, or the `openai.OpenAI` whose first part is `module`; `name` is the name of
    the class, or of the module, in this file. `import_scope` is the scope that imports it. `call`
    makes a client, in the scope `made_in`, if such a call is known.
    """

    node: cst.BaseExpression
    name: str
    client: str
    scope: Scope
    kind: UseKind
    import_scope: Scope | None
    module: cst.Name | None = None
    call: cst.Call | None = None
    made_in: Scope | None = None
    derived: cst.ClassDef | None = None
    is_ambiguous: bool = False  # the name may also be bound to something else


class ClassUses(ScopedWalker):
    """Collect the uses of one module."""

    def __init__(self, symbols: Symbols, tree: ModuleTree, module: cst.Module) -> None:
        super().__init__(symbols)
        self.found: list[ClassUse] = []
        self._tree = tree
        self._called = _CalledNames()
        self._called.walk(module)
        self.walk(module)

    def visit_Import(self, node: cst.Import) -> bool:
        """Skip imports."""
        return False

    visit_ImportFrom = visit_Import

    # References

    def visit_Name(self, node: cst.Name) -> None:
        """Record a name that is bound to a client class."""
        if node.value not in self._called.imported:
            return
        bindings = self._bindings(node.value, node)
        client = next((one for one in map(_client, bindings) if one is not None), None)
        if client is not None and node in self._tree.names.get(node.value, ()):
            mixed = any(_client(one) != client and not is_none(one) for one in bindings)
            self._add(node, node.value, client, bindings, mixed=mixed)

    def _bindings(self, name: str, node: cst.CSTNode) -> list[Binding]:
        scope = self._scope
        # Defaults, annotations, bases and decorators are evaluated outside the definition's scope.
        for one in self._tree.ancestors(node):
            if isinstance(one, (cst.Arg, cst.Annotation, cst.Decorator, cst.Param)):
                above = self._tree.parent(one)
                if (
                    isinstance(above, (cst.ClassDef, cst.FunctionDef, cst.Parameters))
                    and scope.parent is not None
                ):
                    scope = scope.parent
                    break
        return self._symbols.lookup(name, scope)

    def visit_Attribute(self, node: cst.Attribute) -> None:
        """Record an attribute of the SDK's module."""
        if (
            node.attr.value in CLIENTS
            and isinstance(node.value, cst.Name)
            and self.is_module(node.value, self._scope)
        ):
            bindings = self._symbols.lookup(node.value.value, self._scope)
            self._add(node, node.value.value, node.attr.value, bindings, module=node.value)

    def is_module(self, node: cst.BaseExpression, scope: Scope) -> bool:
        """Return whether a name is the SDK's module."""
        if not isinstance(node, cst.Name):
            return False
        bindings = self._symbols.lookup(node.value, scope)
        is_imported = any(one.dotted == SDK for one in bindings)
        return is_imported and all(one.dotted == SDK or is_none(one) for one in bindings)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        """Record client classes named in string annotations."""
        annotation = next((one for one in self.stack if isinstance(one, cst.Annotation)), None)
        for word in re.findall(r"[\w.]+", node.raw_value) if annotation is not None else ():
            bindings = self._symbols.lookup(word, self._scope)
            client = next((one for one in map(_client, bindings) if one is not None), None)
            if client is not None:
                self._add(node, word, client, bindings)

    def _add(
        self, node: cst.BaseExpression, name: str, client: str, bindings: Iterable[Binding],
        module: cst.Name | None = None, *, mixed: bool = False,
    ) -> None:  # fmt: skip
        wanted = SDK if module is not None else f"{SDK}.{client}"
        home = next((one.scope for one in bindings if one.dotted == wanted), None)
        kind, call, derived = self._kind_of(node)
        scope = self._scope
        if kind == "passed" and (inner := self._called_by_function(node)) is not None:
            kind, (call, scope) = "made", inner
        self.found.append(
            ClassUse(
                node, name, client, self._scope, kind, home, module, call, scope, derived, mixed
            )
        )

    # Kinds of use

    def _kind_of(
        self, node: cst.BaseExpression
    ) -> tuple[UseKind, cst.Call | None, cst.ClassDef | None]:
        annotation = self._annotation(node)
        if annotation is not None:
            return ("checked" if self._is_read_at_run_time(annotation) else "annotated"), None, None
        top, above = self._tree.outermost_value(node)
        match above:
            case cst.Call() if above.func is top:
                return "made", above, None
            case cst.Arg():
                return self._kind_of_argument(above)
            case cst.Attribute() if isinstance(self._tree.parent(above), cst.AssignTarget):
                return "replaced", None, None
            case cst.AssignTarget() | cst.AnnAssign() if above.target is top:
                return "replaced", None, None
            case (
                cst.Assign()
                | cst.AnnAssign()
                | cst.DictElement()
                | cst.Element()
                | cst.Param()
                | cst.Return()
            ):
                tested = self._tested_kind(above)
                return ("made" if self._is_called(above) else tested or "passed"), None, None
            case cst.Comparison() | cst.ComparisonTarget():
                return self._compared_kind(above), None, None
            case cst.MatchClass():
                return "tested", None, None
            case cst.BinaryOperation():
                return self._tested_kind(above) or "passed", None, None
            case cst.Index():
                return "named", None, None
            case (
                cst.If()
                | cst.IfExp()
                | cst.UnaryOperation()
                | cst.Assert()
                | cst.Expr()
                | cst.Del()
                | cst.While()
            ):
                return "inspected", None, None
        return "passed", None, None

    def _kind_of_argument(
        self, arg: cst.Arg
    ) -> tuple[UseKind, cst.Call | None, cst.ClassDef | None]:
        above = self._tree.parent(arg)
        if isinstance(above, cst.ClassDef):
            return ("subclassed" if arg in above.bases else "passed"), None, above
        assert isinstance(above, cst.Call)
        name = last_name(above.func)
        if name in ("isinstance", "issubclass"):
            return "tested", None, None
        if name == "TypeVar" or (name == "cast" and arg is above.args[0]):
            return "annotated", None, None
        if (
            (arg.keyword.value in _FACTORY_KEYWORDS)
            if arg.keyword is not None
            else name in _CALLING_FUNCTIONS
        ):
            return "made", above, None
        outer = self._tree.parent(above)
        # `classes.get(name, OpenAI)()`: the result of a lookup is called.
        if name == "get" and isinstance(outer, cst.Call) and outer.func is above:
            return "made", outer, None
        return "passed", None, None

    def _called_by_function(self, node: cst.BaseExpression) -> tuple[cst.Call, Scope] | None:
        """Return the call by which a function of this module instantiates the class it is given."""
        arg = self._tree.outermost_value(node)[1]
        outer = self._tree.parent(arg) if arg is not None else None
        if not isinstance(arg, cst.Arg) or not isinstance(outer, cst.Call) or arg not in outer.args:
            return None
        function = self._symbols.of(outer.func, self._scope).defined
        if function is None or function.kind != "function":
            return None
        place = outer.args.index(arg) + (
            isinstance(outer.func, cst.Attribute) and function.parameters[:1] in _SELF_PARAMETERS
        )
        names = (
            function.parameters[place : place + 1] if arg.keyword is None else (arg.keyword.value,)
        )
        for name in names:
            for one in self._tree.names.get(name, ()):
                call = self._tree.parent(one)
                if (
                    isinstance(call, cst.Call)
                    and call.func is one
                    and self._is_within(one, function)
                ):
                    return call, function
        return None

    def _is_within(self, node: cst.CSTNode, function: Scope) -> bool:
        return any(self._symbols.scope_of(one) is function for one in self._tree.ancestors(node))

    def _tested_kind(self, node: cst.CSTNode) -> UseKind | None:
        """Return how a class that is one of several is compared, or None if it isn't."""
        for one in self._tree.ancestors(node):
            if isinstance(one, cst.Arg):
                call = self._tree.parent(one)
                known = isinstance(call, cst.Call) and last_name(call.func) in (
                    "isinstance",
                    "issubclass",
                )
                return "tested" if known else None
            if isinstance(one, cst.ComparisonTarget):
                return "compared"
            if not isinstance(
                one, (cst.Tuple, cst.List, cst.Set, cst.Element, cst.BinaryOperation)
            ):
                return None
        return None

    def _compared_kind(self, node: cst.CSTNode) -> UseKind:
        comparison = node if isinstance(node, cst.Comparison) else self._tree.parent(node)
        assert isinstance(comparison, cst.Comparison)
        sides = [comparison.left, *(one.comparator for one in comparison.comparisons)]
        if any(isinstance(one, cst.Name) and one.value == "None" for one in sides):
            return "inspected"
        classes = all(isinstance(one, cst.Name) for one in sides)
        return "compared to class" if classes else "compared"

    def _is_called(self, node: cst.CSTNode) -> bool:
        """Return whether a class that is bound to another name, or stored, is called here."""
        for one in (node, *self._tree.ancestors(node)):
            match one:
                case cst.Assign():
                    return any(name in self._called.found for name in _targets(one.targets))
                case cst.AnnAssign():
                    return any(name in self._called.found for name in _targets([one]))
                case cst.Param():
                    return one.name.value in self._called.found
                case cst.FunctionDef() if isinstance(node, cst.Return):
                    return f"{one.name.value}()" in self._called.found
                case cst.Subscript() | cst.Call() | cst.FunctionDef() | cst.ClassDef():
                    return False
        return False

    # Annotations

    def _annotation(self, node: cst.CSTNode) -> cst.Annotation | None:
        for one in self._tree.ancestors(node):
            if isinstance(one, cst.Annotation):
                return one
            if isinstance(one, cst.BaseStatement):
                return None
        return None

    def _is_read_at_run_time(self, annotation: cst.Annotation) -> bool:
        """Return whether an annotation may be read at run time.

        It may be if it belongs to a model's field or to a parameter of a decorated function.
        """
        variable = isinstance(self._tree.parent(annotation), cst.AnnAssign)
        function = None
        for one in self._tree.ancestors(annotation):
            if isinstance(one, cst.FunctionDef):
                if variable:
                    return False  # Python doesn't keep the annotations of local variables
                if any(
                    last_name(_decorator(each)) not in _PLAIN_DECORATORS for each in one.decorators
                ):
                    return True
                function = one
            elif isinstance(one, cst.ClassDef):
                if function is not None:  # a dependency injector may read a constructor's
                    return function.name.value == "__init__" and bool(one.decorators)
                return bool(one.bases or one.keywords or one.decorators)
        return False


class _CalledNames(Walker):
    """Collect the names of called expressions: `f` for f() and f[x](), `f()` for f()()."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.imported: set[str] = set()  # the names of client classes

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        for alias in () if isinstance(node.names, cst.ImportStar) else node.names:
            if alias.name.value in CLIENTS:
                self.imported.add(str(alias.evaluated_alias or alias.evaluated_name))
        return False

    def visit_Call(self, node: cst.Call) -> None:
        func = node.func
        match func:
            case cst.Call(
                func=cst.Attribute(value=inner, attr=cst.Name(value="get" | "setdefault" | "pop"))
            ):
                self.found.add(last_name(inner))
            case cst.Call():
                self.found.add(f"{last_name(func.func)}()")
            case cst.Subscript():
                self.found.add(last_name(func.value))
            case _:
                self.found.add(last_name(func))


def is_none(binding: Binding) -> bool:
    """Return whether a binding sets a name to None, as code does if a package is missing."""
    return isinstance(binding.value, cst.Name) and binding.value.value == "None"


def _client(binding: Binding) -> str | None:
    package, _, name = (binding.dotted or "").partition(".")
    return name if package == SDK and name in CLIENTS else None


def _targets(targets: Iterable[cst.AssignTarget | cst.AnnAssign]) -> Iterator[str]:
    for one in targets:
        target = one.target
        yield last_name(target.value if isinstance(target, cst.Subscript) else target)


def _decorator(node: cst.Decorator) -> cst.BaseExpression:
    return node.decorator.func if isinstance(node.decorator, cst.Call) else node.decorator
