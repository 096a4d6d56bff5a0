"""Change imports: the SDK's clients become the adapter's, and not a character else changes.

LibCST says where things stand; what is changed is spliced into the text, so that comments, quotes,
line endings, encoding and byte order mark stay as they are. The result is parsed again and its names
compared with those of before; where they differ the file is left.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import libcst as cst
from libcst import helpers
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider

from . import tracing_clients
from .advice import (
    CLIENT_ALIASES,
    alias_note,
    module_client_note,
    name_conflicts,
    text_reference_note,
)
from .class_uses import SDK, ClassUses
from .client_usage import ClientUsage
from .import_choices import ImportChoice, choose
from .known_clients import CLIENTS
from .module_tree import ModuleTree
from .scoped_walker import ScopedWalker
from .symbols import Collector, Scope, Symbols, text_of
from .text_edits import ADAPTER, Editor, ImportPlace

_CLIENT_PATH = re.compile(r"openai\.(?:Async)?(?:Azure)?OpenAI")


@dataclass(slots=True)
class FixResult:
    """What came of one module: its new text, or None where nothing changes.

    `left` says what was left, and why, `notes` what is to be looked at, each by line. `edits` are the
    changes that lead to the text, the last first: from and to, as offsets into the UTF-8 of the old
    text, and what comes there.
    """

    text: str | None = None
    left: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    edits: list[tuple[int, int, bytes]] = field(default_factory=list)


def fix_imports(
    text: str,
    *,
    shadowed: str | None = None,
    is_package: bool = False,
    is_imported_elsewhere: Callable[[str], bool] = lambda _: False,
) -> FixResult:
    """Change a module's imports of the SDK's clients where a chat call can come of them.

    `shadowed` names a module `adapter` of the project's own, which makes it unsafe. `package` says that
    it is an `__init__.py`, where a client that isn't used is there for those who import it.
    `elsewhere` tells whether another module takes a name from this one. Raises
    libcst.ParserSyntaxError for what isn't Python.
    """
    module = cst.parse_module(text)
    symbols = Symbols(module)
    tree = ModuleTree(module)
    uses = ClassUses(symbols, tree, module)
    found = _ImportCollector(module, symbols, uses)
    found.walk(module)
    choice = choose(
        found.from_imports,
        uses.found,
        tree,
        ClientUsage(module, symbols, tree),
        is_imported_elsewhere,
        is_package=is_package,
    )
    left = _lines(module, [*found.left, *choice.left])
    notes = _lines(module, found.notes)
    if not choice.has_changes:
        return FixResult(left=left, notes=notes)
    against = _lines(module, [*found.objections(choice), *choice.objections])
    if shadowed is not None:
        against.insert(0, (1, f"{shadowed} would be imported instead of the adapter"))
    if module.code != text:
        against.insert(0, (1, "can't be written back exactly"))
    if against:
        return FixResult(left=sorted({*against, *left}), notes=notes)
    spans = MetadataWrapper(module, unsafe_skip_copy=True).resolve(ByteSpanPositionProvider)
    editor = Editor(
        text,
        {node: (span.start, span.start + span.length) for node, span in spans.items()},
        module.default_newline,
    )
    found.edit(editor, choice)
    changed = editor.text()
    if not _same_names(text, changed) or (_compiles(text) and not _compiles(changed)):
        return FixResult(
            left=[(1, "the changed module wouldn't have the same names"), *left], notes=notes
        )
    return FixResult(changed if changed != text else None, left, notes, editor.edits())


class _ImportCollector(ScopedWalker):
    """The imports of a module, and what is to be said beside them."""

    def __init__(self, module: cst.Module, symbols: Symbols, uses: ClassUses) -> None:
        super().__init__(symbols)
        self._module = module
        self._uses = uses
        self.from_imports: list[ImportPlace] = []
        self.imports: list[ImportPlace] = []
        self.left: list[tuple[cst.CSTNode, str]] = []
        self.notes: list[tuple[cst.CSTNode, str]] = []
        self._stars: list[tuple[cst.CSTNode, str]] = []
        self._submodules: list[tuple[cst.CSTNode, str]] = []  # of adapter

    # Imports

    def _place(self, node: cst.Import | cst.ImportFrom) -> ImportPlace:
        above = self.stack[-1]
        alone = isinstance(above, cst.SimpleStatementLine) and len(above.body) == 1
        tests = [
            helpers.get_full_name_for_node(one.test) or ""
            for one, inside in zip(self.stack, [*self.stack[1:], node], strict=True)
            if isinstance(one, cst.If) and inside is one.body
        ]
        for_types = any(test.rpartition(".")[2] == "TYPE_CHECKING" for test in tests)
        return ImportPlace(node, self._scope, alone, for_types, self.stack[-2])

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            name: str = helpers.get_full_name_for_node_or_raise(alias.name)
            if name == SDK or (name.startswith(f"{SDK}.") and alias.asname is None):
                self.imports.append(self._place(node))
            elif name.partition(".")[0] == ADAPTER and name != ADAPTER:
                self._submodules.append((node, "adapter names another module here"))

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        full = (
            None
            if node.relative or node.module is None
            else helpers.get_full_name_for_node(node.module)
        )
        name = full or ""
        if isinstance(node.names, cst.ImportStar):
            if name == SDK:
                star = (
                    node,
                    "imports everything from openai: name what is used, and run this again",
                )
                self._stars.append(star)
                self.left.append(star)
            return
        names = [str(alias.name.value) for alias in node.names]
        clients = [one for one in names if one in CLIENTS]
        if name == SDK:
            if clients:
                self.from_imports.append(self._place(node))
            self.notes += [(node, said) for one in names if (said := alias_note(one))]
        elif name.startswith(f"{SDK}.") and clients:
            self.notes.append((node, f"imports a client from inside the SDK ({name}): left"))
        for one in names:
            self._note_tracing_client(node, f"{name}.{one}")

    def _note_tracing_client(self, node: cst.CSTNode, path: str) -> None:
        """Say of a tracing package's own client what becomes of its calls."""
        client = tracing_clients.tracer_of_client(path)
        if client is not None and not tracing_clients.is_wired(self._symbols):
            self.left.append((node, f"{path} is {client.what}; wire it: {client.wire}"))

    # What else speaks of clients

    def visit_Call(self, node: cst.Call) -> None:
        path = self._symbols.of(node.func, self._scope).path
        if path.rpartition(".")[2] in CLIENTS and not self._is_imported(node.func):
            self._note_tracing_client(node.func, path)
        named = text_reference_note(self._module, node)
        if named is not None:
            self.left.append((node, named))
        said = module_client_note(node)
        if said is not None and self._uses.is_module(_root(node.func), self._scope):
            self.notes.append((node, said))

    def _is_imported(self, func: cst.BaseExpression) -> bool:
        """Tell whether a class is called by the name that it's imported under."""
        return isinstance(func, cst.Name) and any(
            one.dotted is not None for one in self._symbols.lookup(func.value, self._scope)
        )

    def visit_Attribute(self, node: cst.Attribute) -> None:
        if node.attr.value in CLIENT_ALIASES and self._uses.is_module(node.value, self._scope):
            self.notes.append((node, alias_note(node.attr.value) or ""))

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        if _CLIENT_PATH.fullmatch(text_of(node) or "") and any(
            isinstance(one, cst.Call) for one in self.stack[-3:]
        ):
            self.notes.append(
                (
                    node,
                    "names a client of openai as text: a patch of it no longer meets what is imported from adapter",
                )
            )

    # What comes of it

    def _import_places(self, scope: Scope, name: str) -> list[ImportPlace]:
        """Return the imports in a scope that `import adapter` goes before."""
        return [
            one
            for one in (*self.imports, *self.from_imports)
            if one.scope is scope and not one.is_type_checking and name in _bound_names(one.node)
        ]

    def objections(self, choice: ImportChoice) -> list[tuple[cst.CSTNode, str]]:
        """Return what speaks against changing the module at all."""
        found = list(self._stars)
        if choice.calls:
            hidden = [
                (use.node, "adapter names something else here")
                for use in choice.calls
                if any(one.dotted != ADAPTER for one in self._symbols.lookup(ADAPTER, use.scope))
            ]
            found += self._submodules or hidden[:1] or name_conflicts(self._module, ADAPTER)
        return found

    def edit(self, editor: Editor, choice: ImportChoice) -> None:
        """Make the changes."""
        for place, names in choice.from_imports:
            editor.from_import(place, names)
        homes: dict[int, tuple[Scope, list[ImportPlace]]] = {}
        for use in choice.calls:
            editor.replace(
                use.module or use.node,
                ADAPTER if use.module is not None else f"{ADAPTER}.{use.client}",
            )
            assert use.import_scope is not None
            homes.setdefault(id(use.import_scope), (use.import_scope, []))[1].extend(
                self._import_places(use.import_scope, use.name)
            )
        for scope, places in homes.values():
            if not any(one.dotted == ADAPTER for one in self._symbols.lookup(ADAPTER, scope)):
                for place in {
                    id(one.block): one for one in reversed(_in_order(self._module, places))
                }.values():
                    editor.before(place, f"import {ADAPTER}")  # before the first of each block


def _in_order(module: cst.Module, places: list[ImportPlace]) -> list[ImportPlace]:
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    return sorted(
        places, key=lambda one: (positions[one.node].start.line, positions[one.node].start.column)
    )


def _bound_names(node: cst.Import | cst.ImportFrom) -> set[str]:
    names = () if isinstance(node.names, cst.ImportStar) else node.names
    return {(one.evaluated_alias or one.evaluated_name.partition(".")[0]) for one in names}


def _lines(module: cst.Module, nodes: list[tuple[cst.CSTNode, str]]) -> list[tuple[int, str]]:
    """Return nodes with their lines."""
    if not nodes:
        return []
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    return sorted({(positions[node].start.line, text) for node, text in nodes})


def _root(node: cst.BaseExpression) -> cst.BaseExpression:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node


def _same_names(before: str, after: str) -> bool:
    """Tell whether a changed module imports what it did, and nothing more than `adapter`."""
    try:
        old, new = _imported(before), _imported(after)
    except cst.ParserSyntaxError:
        return False
    moved = sorted((scope, name, _after_change(dotted)) for scope, name, dotted in old)
    return moved == sorted(
        (scope, name, _after_change(dotted))
        for scope, name, dotted in new
        if (name, dotted) != (ADAPTER, ADAPTER) or (scope, name, dotted) in old
    )


def _compiles(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "module", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _after_change(dotted: str) -> str:
    package, _, name = dotted.partition(".")
    return f"{ADAPTER}.{name}" if package == SDK and name in CLIENTS else dotted


def _imported(text: str) -> list[tuple[str, str, str]]:
    collector = Collector()
    collector.walk(cst.parse_module(text))
    todo, found = [collector.module, *collector.scopes.values()], []
    for scope in todo:
        for name, bindings in scope.bindings.items():
            found += [
                (scope.qualname, name, one.dotted) for one in bindings if one.dotted is not None
            ]
    return found
