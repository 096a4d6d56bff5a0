"""Change imports: the SDK's clients become the adapter's, and not a character else changes.

LibCST says where things stand; what is changed is spliced into the text, so that comments, quotes, line endings, encoding and byte order mark stay as they are.
The result is parsed again and its names compared with those of before; where they differ the file is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeGuard

import libcst as cst
from libcst import helpers
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider

from .known import CLIENTS
from .noticing import OTHER_NAMES, other_name, own_client, passed_on, unused
from .splicing import OURS, Editor, Place
from .symbols import Binding, Collector, Scope, Symbols, text_of
from .walking import Walker

_ANNOTATIONS = re.compile(r"openai\.(?:Async)?(?:Azure)?OpenAI")
THEIRS = "openai"


@dataclass(slots=True)
class Fixed:
    """What came of one module: its new text (None where nothing changes), why it was left, by line, and what is to be looked at, by line."""

    text: str | None = None
    left: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)


def fix_imports(text: str, *, shadowed: str | None = None, package: bool = False) -> Fixed:
    """Change a module's imports of the SDK's clients. `shadowed` names a module `adapter` of the project's own, which makes it unsafe.

    `package` says that it is an `__init__.py`, where a client that isn't used is there for those who import it. Raises
    libcst.ParserSyntaxError for what isn't Python.
    """
    module = cst.parse_module(text)
    found = _Found(module)
    found.walk(module)
    if package:
        found.handed_out(module)
    if not found.needed():
        return Fixed(left=found.reasons(module, starred_only=True), notes=found.lines(module, found.notes))
    left = found.reasons(module)
    if shadowed is not None:
        left.insert(0, (1, f"{shadowed} would be imported instead of the adapter"))
    if module.code != text:
        left.insert(0, (1, "can't be written back exactly"))
    if left:
        return Fixed(left=left)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    spans = wrapper.resolve(ByteSpanPositionProvider)
    editor = Editor(
        text, {node: (span.start, span.start + span.length) for node, span in spans.items()}, module.default_newline
    )
    found.edit(editor)
    changed = editor.text()
    if not _same_names(text, changed):
        return Fixed(left=[(1, "the changed module wouldn't have the same names")])
    return Fixed(changed if changed != text else None, notes=found.lines(module, found.notes))


class _Found(Walker):
    """What a module has of the SDK's clients, and what speaks against changing it."""

    def __init__(self, module: cst.Module) -> None:
        super().__init__()
        self._symbols = Symbols(module)
        self._scope = self._symbols.module
        self.froms: list[Place] = []
        self.imports: list[Place] = []
        self.uses: list[tuple[cst.Name, Scope]] = []  # the `openai` of each `openai.OpenAI(`
        self.stars: list[tuple[cst.CSTNode, str]] = []
        self.against: list[tuple[cst.CSTNode, str]] = []
        self.notes: list[tuple[cst.CSTNode, str]] = []
        self._adapter_bound: list[tuple[cst.CSTNode, str]] = []

    def _enter(self, node: cst.CSTNode) -> None:
        scope = self._symbols.scope_of(node)
        assert scope is not None
        self._scope = scope

    visit_FunctionDef = visit_Lambda = _enter

    def _leave(self, node: cst.CSTNode) -> None:
        assert self._scope.parent is not None
        self._scope = self._scope.parent

    leave_ClassDef = leave_FunctionDef = leave_Lambda = _leave

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        for base in node.bases:
            self._use(base.value)
        self._enter(node)

    # Imports

    def _place(self, node: cst.Import | cst.ImportFrom) -> Place:
        above = self.stack[-1]
        alone = isinstance(above, cst.SimpleStatementLine) and len(above.body) == 1
        tests = [helpers.get_full_name_for_node(one.test) or "" for one in self.stack if isinstance(one, cst.If)]
        for_types = any(test.rpartition(".")[2] == "TYPE_CHECKING" for test in tests)
        return Place(node, self._scope, alone, for_types, self.stack[-2])

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            name = helpers.get_full_name_for_node_or_raise(alias.name)
            if name == THEIRS or (name.startswith(f"{THEIRS}.") and alias.asname is None):
                self.imports.append(self._place(node))
            elif name.partition(".")[0] == OURS and name != OURS:
                self._adapter_bound.append((node, "adapter names another module here"))

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        name = "" if node.relative or node.module is None else helpers.get_full_name_for_node(node.module)
        if name == THEIRS:
            if isinstance(node.names, cst.ImportStar):
                self.stars.append((node, "imports everything from openai: name what is used, and run this again"))
                return
            if _names_client(node):
                self.froms.append(self._place(node))
            self.notes += [(node, said) for alias in node.names if (said := other_name(str(alias.name.value)))]
            self.against += [(node, f"re-exports {one}") for one in (_as_itself(alias) for alias in node.names) if one]
        elif name and name.startswith(f"{THEIRS}.") and _names_client(node):
            self.notes.append((node, f"imports a client from inside the SDK ({name}): left"))

    # Uses

    def _use(self, node: cst.BaseExpression) -> None:
        """Take note of `openai.OpenAI`, where openai is the SDK's module."""
        if _is_client(node) and self._is_module(node.value):
            self.uses.append((node.value, self._scope))

    def _is_module(self, node: cst.BaseExpression) -> TypeGuard[cst.Name]:
        if not isinstance(node, cst.Name):
            return False
        bindings = self._symbols.lookup(node.value, self._scope)
        theirs = [one for one in bindings if one.dotted == THEIRS]
        return bool(theirs) and all(one.dotted == THEIRS or _is_none(one) for one in bindings)

    def visit_Call(self, node: cst.Call) -> None:
        self._use(node.func)
        said = own_client(node)
        if said is not None and self._is_module(_root(node.func)):
            self.notes.append((node, said))
        if isinstance(node.func, cst.Name) and node.func.value in ("isinstance", "issubclass") and len(node.args) == 2:
            self._tests(node.args[1].value)

    def visit_Attribute(self, node: cst.Attribute) -> None:
        name = node.attr.value
        if (name in CLIENTS or name in OTHER_NAMES) and self._is_module(node.value):
            said = other_name(name) or passed_on(self.stack, node)
            if said is not None:
                self.notes.append((node, said))

    def visit_Comparison(self, node: cst.Comparison) -> None:
        for target in node.comparisons:
            if isinstance(target.operator, (cst.Is, cst.IsNot, cst.Equal, cst.NotEqual)):
                self._tests(target.comparator)
        self._tests(node.left)

    def visit_MatchClass(self, node: cst.MatchClass) -> None:
        self._tests(node.cls)

    def _tests(self, node: cst.BaseExpression) -> None:
        """Object to tests of a class that was imported by name: clients that others make wouldn't pass them any more."""
        match node:
            case cst.Tuple():
                for element in node.elements:
                    self._tests(element.value)
            case cst.BinaryOperation():
                self._tests(node.left)
                self._tests(node.right)
            case cst.Name():
                bound = {one.dotted for one in self._symbols.lookup(node.value, self._scope)}
                client = next((name for name in CLIENTS if f"{THEIRS}.{name}" in bound), None)
                if client is not None:
                    self.against.append(
                        (
                            node,
                            f"tests for the class {node.value}: write {THEIRS}.{client} there, which every client passes",
                        )
                    )

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            if isinstance(target.target, cst.Name) and target.target.value == "__all__":
                self._all(node.value)
            elif _is_client(target.target) and self._is_module(target.target.value):
                self.against.append((node, f"replaces {THEIRS}.{target.target.attr.value}"))

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if isinstance(node.target, cst.Name) and node.target.value == "__all__" and node.value is not None:
            self._all(node.value)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        if isinstance(node.target, cst.Name) and node.target.value == "__all__":
            self._all(node.value)

    def _all(self, value: cst.BaseExpression) -> None:
        for element in value.elements if isinstance(value, (cst.List, cst.Tuple, cst.Set)) else ():
            name = text_of(element.value)
            bound = {one.dotted for one in self._symbols.module.bindings.get(name or "", [])}
            if bound & {f"{THEIRS}.{client}" for client in CLIENTS}:
                self.against.append(
                    (
                        element.value,
                        f"re-exports {name} in __all__: those who import it from here would get the adapter's",
                    )
                )

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        if _ANNOTATIONS.fullmatch(text_of(node) or "") and any(isinstance(one, cst.Call) for one in self.stack[-3:]):
            self.notes.append(
                (node, "names a client of openai as text: a patch of it no longer meets what is imported from adapter")
            )

    def handed_out(self, module: cst.Module) -> None:
        """Object to clients that the module imports and doesn't use."""
        for place in self.froms:
            assert isinstance(place.node, cst.ImportFrom)
            assert not isinstance(place.node.names, cst.ImportStar)
            bound = [
                alias.evaluated_alias or alias.evaluated_name
                for alias in place.node.names
                if alias.name.value in CLIENTS
            ]
            self.against += [(place.node, f"re-exports {name}") for name in sorted(unused(module, bound))]

    # What comes of it

    def needed(self) -> bool:
        """Tell whether there is anything to change."""
        return bool(self.froms or [one for one in self.uses if self._homes(one)])

    def _homes(self, use: tuple[cst.Name, Scope]) -> list[Place]:
        """Return the imports that a use of the module goes back to."""
        name, scope = use
        scopes = {id(one.scope) for one in self._symbols.lookup(name.value, scope) if one.dotted == THEIRS}
        return [one for one in self.imports if id(one.scope) in scopes and not one.for_types]

    def reasons(self, module: cst.Module, *, starred_only: bool = False) -> list[tuple[int, str]]:
        """Return what speaks against changing the module, by line."""
        nodes = list(self.stars)
        if not starred_only:
            nodes += self.against
            if any(self._homes(one) for one in self.uses):
                nodes += self._adapter_bound or self._hidden() or self._named(module)
        return self.lines(module, nodes)

    def _hidden(self) -> list[tuple[cst.CSTNode, str]]:
        """Object to uses that would find something else under the name adapter."""
        hidden: list[tuple[cst.CSTNode, str]] = []
        for name, scope in self.uses:
            if any(one.dotted != OURS for one in self._symbols.lookup(OURS, scope)):
                hidden.append((name, "adapter names something else here"))
        return hidden[:1]

    def _named(self, module: cst.Module) -> list[tuple[cst.CSTNode, str]]:
        """Object to anything else that is called adapter here."""
        finder = _Names()
        finder.walk(module)
        return [(node, "adapter names something else here") for node in finder.bound[:1]]

    def lines(self, module: cst.Module, nodes: list[tuple[cst.CSTNode, str]]) -> list[tuple[int, str]]:
        """Return nodes with their lines."""
        if not nodes:
            return []
        positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
        return sorted({(positions[node].start.line, text) for node, text in nodes})

    def edit(self, editor: Editor) -> None:
        """Make the changes."""
        for place in self.froms:
            editor.from_import(place)
        scopes: dict[int, tuple[Scope, list[Place]]] = {}
        for use in self.uses:
            homes = self._homes(use)
            if homes:
                editor.replace(use[0], OURS)
            for home in homes:
                places = scopes.setdefault(id(home.scope), (home.scope, []))[1]
                if home not in places:
                    places.append(home)
        for scope, places in scopes.values():
            if not any(one.dotted == OURS for one in self._symbols.lookup(OURS, scope)):
                for place in {id(one.block): one for one in reversed(places)}.values():  # the first of each block
                    editor.before(place, f"import {OURS}")


def _root(node: cst.BaseExpression) -> cst.BaseExpression:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node


class _Names(Collector):
    """Find what else is called `adapter`."""

    def __init__(self) -> None:
        super().__init__()
        self.bound: list[cst.CSTNode] = []

    def visit_Name(self, node: cst.Name) -> None:
        """Take note of the name, but for attributes and keywords."""
        above = self.stack[-1]
        if (
            node.value != OURS
            or (isinstance(above, cst.Attribute) and above.attr is node)
            or (isinstance(above, cst.Arg) and above.keyword is node)
        ):
            return
        dotted = {one.dotted for one in self.module.bindings.get(OURS, [])}
        if dotted != {OURS}:
            self.bound.append(node)


def _is_client(node: cst.BaseExpression) -> TypeGuard[cst.Attribute]:
    return isinstance(node, cst.Attribute) and node.attr.value in CLIENTS


def _names_client(node: cst.ImportFrom) -> bool:
    return not isinstance(node.names, cst.ImportStar) and any(alias.name.value in CLIENTS for alias in node.names)


def _as_itself(alias: cst.ImportAlias) -> str | None:
    """Return the name of a client that is imported as itself: type checkers take that for a re-export."""
    own = alias.asname.name if alias.asname is not None else None
    itself = isinstance(own, cst.Name) and own.value == alias.name.value and own.value in CLIENTS
    return str(alias.name.value) if itself else None


def _is_none(binding: Binding) -> bool:
    return isinstance(binding.value, cst.Name) and binding.value.value == "None"


def _same_names(before: str, after: str) -> bool:
    """Tell whether a changed module imports what it did, with the clients from here, and nothing more than `adapter` besides."""
    try:
        old, new = _imported(before), _imported(after)
    except cst.ParserSyntaxError:
        return False
    moved = sorted((scope, name, _moved(dotted)) for scope, name, dotted in old)
    return moved == sorted(
        (scope, name, _moved(dotted))
        for scope, name, dotted in new
        if (name, dotted) != (OURS, OURS) or (scope, name, dotted) in old
    )


def _moved(dotted: str) -> str:
    package, _, name = dotted.partition(".")
    return f"{OURS}.{name}" if package == THEIRS and name in CLIENTS else dotted


def _imported(text: str) -> list[tuple[str, str, str]]:
    collector = Collector()
    collector.walk(cst.parse_module(text))
    todo, found = [collector.module, *collector.scopes.values()], []
    for scope in todo:
        for name, bindings in scope.bindings.items():
            found += [(scope.qualname, name, one.dotted) for one in bindings if one.dotted is not None]
    return found
