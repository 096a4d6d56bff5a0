"""Index a module's syntax tree: the parent of each node, and the reads of each name."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from .cst_walker import Walker


class ModuleTree(Walker):
    """The index of one module."""

    def __init__(self, module: cst.Module) -> None:
        super().__init__()
        self.names: dict[str, list[cst.Name]] = {}  # reads of each name
        self.attributes: dict[str, list[cst.Attribute]] = {}  # reads of each attribute
        self.shared: set[str] = set()  # names declared `global` or `nonlocal`
        self.exported: dict[str, list[cst.CSTNode]] = {}  # the names in __all__
        self._parents: dict[int, cst.CSTNode] = {}
        self.walk(module)

    def walk(self, node: cst.CSTNode) -> None:
        """Visit a node and everything in it."""
        if self.stack:
            self._parents[id(node)] = self.stack[-1]
        super().walk(node)

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """Return the parent of a node."""
        return self._parents.get(id(node))

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Yield the ancestors of a node, the nearest first."""
        here = self.parent(node)
        while here is not None:
            yield here
            here = self.parent(here)

    def enclosing_function(self, node: cst.CSTNode) -> cst.FunctionDef | cst.Lambda | None:
        """Return the innermost function or lambda around a node."""
        return next(
            (one for one in self.ancestors(node) if isinstance(one, (cst.FunctionDef, cst.Lambda))),
            None,
        )

    def outermost_value(
        self, node: cst.BaseExpression
    ) -> tuple[cst.BaseExpression, cst.CSTNode | None]:
        """Return the outermost expression that may have the same value, and its parent."""
        while True:
            above = self.parent(node)
            same = (
                (isinstance(above, cst.IfExp) and above.test is not node)
                or isinstance(above, (cst.BooleanOperation, cst.Await))
                or (isinstance(above, cst.NamedExpr) and above.value is node)
            )
            if not same:
                return node, above
            assert isinstance(above, cst.BaseExpression)
            node = above

    # The walk

    def visit_Import(self, node: cst.Import) -> bool:
        """Skip imports."""
        return False

    visit_ImportFrom = visit_Import

    def visit_Global(self, node: cst.Global) -> bool:
        """Record names that belong to another scope."""
        self.shared |= {one.name.value for one in node.names}
        return False

    def visit_Nonlocal(self, node: cst.Nonlocal) -> bool:
        """Record names that belong to another scope."""
        self.shared |= {one.name.value for one in node.names}
        return False

    def visit_Attribute(self, node: cst.Attribute) -> None:
        """Record the read of an attribute."""
        if not _is_target(self.stack[-1], node):
            self.attributes.setdefault(node.attr.value, []).append(node)

    def visit_Name(self, node: cst.Name) -> None:
        """Record the read of a name."""
        above = self.stack[-1]
        if not (_is_target(above, node) or _is_label(above, node)):
            self.names.setdefault(node.value, []).append(node)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        """Record the names in `__all__`."""
        for one in self.stack:
            match one:
                case (
                    cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value="__all__"))])
                    | cst.AugAssign(target=cst.Name(value="__all__"))
                    | cst.AnnAssign(target=cst.Name(value="__all__"))
                    | cst.Call(func=cst.Attribute(value=cst.Name(value="__all__")))
                ):
                    self.exported.setdefault(node.raw_value, []).append(node)


def _is_target(parent: cst.CSTNode, node: cst.CSTNode) -> bool:
    """Return whether a node is the target of a binding or of `del`."""
    match parent:
        case (
            cst.AssignTarget()
            | cst.AnnAssign()
            | cst.NamedExpr()
            | cst.For()
            | cst.CompFor()
            | cst.AugAssign()
        ):
            return parent.target is node
        case cst.AsName() | cst.Param():
            return parent.name is node
        case cst.Del():
            return True
    return False


def _is_label(parent: cst.CSTNode, node: cst.CSTNode) -> bool:
    """Return whether a name isn't an expression: an attribute's, a keyword, a definition's."""
    match parent:
        case cst.Attribute():
            return parent.attr is node
        case cst.Arg() | cst.MatchKeywordElement():
            return (parent.keyword if isinstance(parent, cst.Arg) else parent.key) is node
        case cst.FunctionDef() | cst.ClassDef() | cst.MatchAs() | cst.MatchStar():
            return parent.name is node
    return False
