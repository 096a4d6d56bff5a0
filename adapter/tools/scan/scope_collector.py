"""Collect a module's scopes in one walk: the bindings of names, and changes of their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import libcst as cst
from libcst import helpers

from .cst_walker import Walker
from .scopes import LOOP, Binding, Branch, Change, Passed, Place, Scope, key_of, text_of


class Collector(Walker):
    """Collect a module's scopes.

    `resolve` returns the dotted name for `from module import name`, from the dots of a relative
    import, the module, and the name (empty for `*`).
    """

    def __init__(self, resolve: Callable[[int, str, str], str] | None = None) -> None:
        super().__init__()
        self.module = Scope("module", "<module>")
        self.scopes: dict[int, Scope] = {}
        self.places: dict[int, Place] = {}  # of calls
        self.modules: dict[str, str] = {}  # what `import a.b` means, if `resolve` changes it
        self.outside: dict[str, list[tuple[cst.BaseExpression, Binding | Change]]] = {}
        """Events of attributes of other objects than self, by attribute, each with its object."""
        self._resolve = resolve or _as_written
        self._scope = self.module
        self._order = 0
        self._branch: Branch = ()
        self._outer: list[Branch] = []
        self._declared: dict[tuple[int, str], Scope] = {}  # by `global` and `nonlocal`

    def _next_place(self) -> Place:
        self._order += 1
        return Place(self._order, self._branch)

    def _bind(self, name: str, **what: object) -> None:
        binding = Binding(self._scope, self._next_place(), **what)  # type: ignore[arg-type]
        home = self._declared.get((id(self._scope), name), self._scope)
        home.bindings.setdefault(name, []).append(binding)
        for other in _same_value_names(binding.value):
            owner = self._owner(other)
            if (owner, other) != (home, name):
                owner.aliases.setdefault(other, []).append((home, name, binding.place))
                home.aliases.setdefault(name, []).append((owner, other, binding.place))

    def _owner(self, name: str) -> Scope:
        """Return the scope in which a name is bound so far, seen from the current one."""
        scope: Scope | None = self._scope
        while scope is not None and name not in scope.bindings:
            scope = scope.parent
        return scope or self._scope

    def visit_Global(self, node: cst.Global) -> None:
        self._declared |= {(id(self._scope), one.name.value): self.module for one in node.names}

    def visit_Nonlocal(self, node: cst.Nonlocal) -> None:
        for one in node.names:
            above = self._scope.parent
            while above is not None and (
                above.kind == "class" or one.name.value not in above.bindings
            ):
                above = above.parent
            if above is not None:
                self._declared[id(self._scope), one.name.value] = above

    def _enter(self, node: cst.CSTNode, scope: Scope) -> None:
        self.scopes[id(node)] = scope
        self._scope = scope
        self._outer.append(self._branch)
        self._branch = ()

    def _leave(self) -> None:
        assert self._scope.parent is not None
        self._scope = self._scope.parent
        self._branch = self._outer.pop()

    # Branches

    def visit_IndentedBlock(self, node: cst.BaseSuite) -> None:
        arms = self._arms()
        self._outer.append(self._branch)
        self._branch += arms

    def leave_IndentedBlock(self, node: cst.BaseSuite) -> None:
        self._branch = self._outer.pop()

    visit_SimpleStatementSuite = visit_IndentedBlock
    leave_SimpleStatementSuite = leave_IndentedBlock

    def _arms(self) -> Branch:
        """Return the arms that the entered block adds to the branch."""
        above = self.stack[-1] if self.stack else None
        match above:
            case cst.If():
                return (*self._elses(len(self.stack) - 1), (id(above), "then"))
            case cst.Else():
                return self._elses(len(self.stack) - 1)
            case cst.For() | cst.While():
                return ((id(above), f"{LOOP}{self._order}"),)
            case cst.MatchCase():
                return ((id(self.stack[-2]), f"case {id(above)}"),)
            case cst.ExceptHandler() | cst.ExceptStarHandler():
                return ((id(self.stack[-2]), f"except {id(above)}"),)
        return ()

    def _elses(self, k: int) -> Branch:
        found: Branch = ()
        while k > 0:
            above = self.stack[k - 1]
            if not isinstance(above, cst.If) or above.orelse is not self.stack[k]:
                break
            k -= 1
            found = ((id(self.stack[k]), "else"), *found)
        return found

    # Names

    def visit_Import(self, node: cst.Import) -> bool:
        for alias in node.names:
            dotted = helpers.get_full_name_for_node_or_raise(alias.name)
            if alias.asname is None:
                first = dotted.partition(".")[0]
                meant = self._resolve(0, dotted, "")
                self._bind(first, dotted=meant if first == dotted else first)
                if meant != dotted:
                    self.modules[dotted] = meant
            elif isinstance(alias.asname.name, cst.Name):
                above, _, last = dotted.rpartition(".")
                self._bind(
                    alias.asname.name.value,
                    dotted=self._resolve(0, above, last) if above else dotted,
                )
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        module = helpers.get_full_name_for_node(node.module) or "" if node.module else ""
        if isinstance(node.names, cst.ImportStar):
            self._scope.stars.append(self._resolve(len(node.relative), module, ""))
            return False
        for alias in node.names:
            assert isinstance(alias.name, cst.Name)
            named = alias.asname.name if alias.asname else alias.name
            if isinstance(named, cst.Name):
                self._bind(
                    named.value, dotted=self._resolve(len(node.relative), module, alias.name.value)
                )
        return False

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        decorators = [one.decorator for one in node.decorators]
        scope = Scope(
            "class",
            node.name.value,
            self._scope,
            bases=[arg.value for arg in node.bases],
            decorators=decorators,
        )
        self._bind(node.name.value, defined=scope)
        self._enter(node, scope)

    def leave_ClassDef(self, node: cst.ClassDef) -> None:
        self._leave()

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        decorators = [_called(one.decorator) for one in node.decorators]
        annotation = node.returns.annotation if node.returns else None
        scope = Scope(
            "function", node.name.value, self._scope, annotation=annotation, decorators=decorators
        )
        self._bind(node.name.value, defined=scope)
        self._enter(node, scope)
        self._parameters(node.params)

    def leave_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._leave()

    def visit_Lambda(self, node: cst.Lambda) -> None:
        self._enter(node, Scope("function", "<lambda>", self._scope))
        self._parameters(node.params)
        self._scope.returns.append((node.body, self._next_place()))

    def leave_Lambda(self, node: cst.Lambda) -> None:
        self._leave()

    def _parameters(self, params: cst.Parameters) -> None:
        by_position = [*params.posonly_params, *params.params]
        named = [*by_position, *params.kwonly_params]
        for one in named:
            annotation = one.annotation.annotation if one.annotation else None
            self._bind(one.name.value, annotation=annotation, parameter=True)
            if one.default is not None:
                self._scope.defaults[one.name.value] = one.default
        self._scope.parameters = tuple(one.name.value for one in named)
        self._scope.positional = len(by_position)
        if params.star_kwarg is not None:
            self._scope.keywords = params.star_kwarg.name.value
            written = params.star_kwarg.annotation
            self._scope.keywords_annotation = written.annotation if written else None
            self._bind(params.star_kwarg.name.value, parameter=True)
        if isinstance(params.star_arg, cst.Param):
            self._bind(params.star_arg.name.value)

    def visit_Return(self, node: cst.Return) -> None:
        if node.value is not None:
            self._scope.returns.append((node.value, self._next_place()))

    def visit_Yield(self, node: cst.Yield) -> None:  # a fixture, or a context manager
        if isinstance(node.value, cst.BaseExpression):
            self._scope.returns.append((node.value, self._next_place()))

    def leave_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._target(target.target, node.value)

    def leave_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._target(node.target, node.value, node.annotation.annotation)

    def leave_AugAssign(self, node: cst.AugAssign) -> None:
        kind = "update" if isinstance(node.operator, cst.BitOrAssign) else "add"
        self._change(node.target, kind, None, node.value)

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self._target(node.target, node.value)

    def visit_For(self, node: cst.For) -> None:
        names = node.target.elements if isinstance(node.target, cst.Tuple) else ()
        first = names[0].value if names else node.target
        if isinstance(first, cst.Name):
            self._bind(first.value, of=node.iter)
        for element in names[1:]:
            self._target(element.value, None)

    visit_CompFor = visit_For

    def visit_With(self, node: cst.With) -> None:
        for item in node.items:
            if item.asname is not None:
                self._target(item.asname.name, item.item)

    # Changes of dictionaries and lists

    def leave_Call(self, node: cst.Call) -> None:
        self.places[id(node)] = self._next_place()
        self._record_passed(node)
        match node:
            case cst.Call(func=cst.Name(value="setattr"), args=[target, name_arg, value]):
                attribute = text_of(name_arg.value) or ""
                if attribute.isidentifier():
                    self._target(cst.Attribute(target.value, cst.Name(attribute)), value.value)
        if not isinstance(node.func, cst.Attribute):
            return
        owner, name, args = node.func.value, node.func.attr.value, node.args
        # dict.update(params, …)
        if isinstance(owner, cst.Name) and owner.value in ("dict", "list") and args:
            owner, args = args[0].value, args[1:]
        if name in ("update", "__ior__"):
            for arg in args:
                if arg.keyword is not None:
                    self._change(owner, "set", arg.keyword.value, arg.value)
                else:
                    self._change(owner, "update", None, arg.value)
        elif name == "setdefault" and len(args) == 2:
            self._change(owner, "default", text_of(args[0].value), args[1].value)
        elif name == "__setitem__" and len(args) == 2:
            self._change(owner, "set", text_of(args[0].value), args[1].value)
        elif name == "setitem" and len(args) == 3:  # operator.setitem
            self._change(args[0].value, "set", text_of(args[1].value), args[2].value)
        elif name in ("pop", "__delitem__") and args:
            self._change(owner, "drop", text_of(args[0].value), None)
        elif name in _GROWING and args:
            self._change(owner, "add", None, args[-1].value, by=name)

    def _record_passed(self, node: cst.Call) -> None:
        for k, arg in enumerate(node.args):
            if isinstance(arg.value, cst.Name) and not arg.star:
                passed = Passed(
                    self._scope,
                    self.places[id(node)],
                    node,
                    arg.keyword.value if arg.keyword else k,
                )
                self._owner(arg.value.value).passed.setdefault(arg.value.value, []).append(passed)

    def visit_Del(self, node: cst.Del) -> None:
        targets = (
            [one.value for one in node.target.elements]
            if isinstance(node.target, cst.Tuple)
            else [node.target]
        )
        for target in targets:
            if isinstance(target, cst.Subscript):
                self._change(target.value, "drop", key_of(target), None)

    def _change(
        self,
        owner: cst.BaseExpression,
        kind: str,
        key: str | None,
        value: cst.BaseExpression | None,
        by: str = "",
    ) -> None:
        match owner:
            case cst.Call(
                func=cst.Attribute(value=inside, attr=cst.Name(value="setdefault")),
                args=[first, *_],
            ):
                owner = cst.Subscript(inside, [cst.SubscriptElement(cst.Index(first.value))])
        if isinstance(owner, cst.Subscript) and kind != "drop":  # params["extra_body"]["seed"] = 1
            inner = (
                cst.Dict([cst.DictElement(cst.SimpleString(repr(key)), value)])
                if key and value
                else value
            )
            kind, key, owner, value = "update", key_of(owner), owner.value, inner
            if key is None or inner is None:
                kind, key = "add", None
        place = self._next_place()
        change = Change(self._scope, place, kind, key, value, by)  # type: ignore[arg-type]
        if isinstance(owner, cst.Name):
            self._owner(owner.value).changes.setdefault(owner.value, []).append(change)
        elif isinstance(owner, cst.Attribute):
            own = isinstance(owner.value, cst.Name) and owner.value.value in ("self", "cls")
            holder = self._scope.enclosing_class() if own else None
            if not own:
                self.outside.setdefault(owner.attr.value, []).append((owner.value, change))
            elif holder is not None:
                holder.attribute_changes.setdefault(owner.attr.value, []).append(change)

    def _target(
        self,
        target: cst.BaseExpression,
        value: cst.BaseExpression | None,
        annotation: cst.BaseExpression | None = None,
        index: int | None = None,
    ) -> None:
        match target:
            case cst.Name():
                self._bind(target.value, value=value, annotation=annotation, index=index)
            case cst.Attribute(value=cst.Name(value="self" | "cls")):
                owner = self._scope.enclosing_class()
                if owner is not None:
                    bound = Binding(
                        self._scope,
                        self._next_place(),
                        value=value,
                        annotation=annotation,
                        index=index,
                    )
                    owner.attributes.setdefault(target.attr.value, []).append(bound)
            case cst.Attribute():
                bound = Binding(
                    self._scope, self._next_place(), value=value, annotation=annotation, index=index
                )
                self.outside.setdefault(target.attr.value, []).append((target.value, bound))
            case cst.Subscript():
                if value is not None:
                    self._change(target.value, "set", key_of(target), value, _name_of_key(target))
            case cst.Tuple() | cst.List():
                pairs: Sequence[cst.BaseElement] = (
                    value.elements if isinstance(value, (cst.Tuple, cst.List)) else ()
                )
                for k, element in enumerate(target.elements):
                    if len(pairs) == len(target.elements):
                        self._target(element.value, pairs[k].value)
                    else:
                        self._target(element.value, value, index=k)


_GROWING = frozenset({"append", "extend", "insert", "appendleft", "add", "__iadd__"})


def _same_value_names(value: cst.BaseExpression | None) -> list[str]:
    """Return the names whose value, not a copy of it, an expression may have."""
    match value:
        case cst.Name():
            return [value.value]
        case cst.IfExp():
            return [*_same_value_names(value.body), *_same_value_names(value.orelse)]
        case cst.BooleanOperation():
            return [*_same_value_names(value.left), *_same_value_names(value.right)]
        case cst.NamedExpr():
            return _same_value_names(value.value)
    return []


def _as_written(dots: int, module: str, name: str) -> str:
    return "." * dots + module + ("." if module and name else "") + name


def _called(decorator: cst.BaseExpression) -> cst.BaseExpression:
    return decorator.func if isinstance(decorator, cst.Call) else decorator


def _name_of_key(node: cst.Subscript) -> str:
    match node.slice:
        case [cst.SubscriptElement(slice=cst.Index(value=cst.Name(value=name)))]:
            return name
    return ""


__all__: list[str] = []  # used only inside this package
