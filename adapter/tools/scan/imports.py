"""Change imports of the SDK's clients to the adapter's, and nothing else.

LibCST gives the positions; changes are spliced into the text, so that comments, quotes, line
endings, encoding and byte order mark stay as they are. The result is parsed again and its names are
compared with the old ones; if they differ, the file isn't changed.
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
    """The result for one module: its new text, or None if nothing changes.

    `left` lists what wasn't changed, with reasons, and `notes` what to check by hand, each by line
    (from 1). `edits` are the changes, the last first: start and end, as byte offsets into the UTF-8
    of the old text, and the new bytes.
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
    """Change a module's imports of the SDK's clients that may make a chat call.

    `shadowed` is the project's own module `adapter`, which makes a change unsafe. `is_package`: it
    is an `__init__.py`, where an unused client is a re-export. `is_imported_elsewhere` returns
    whether another module imports a name from this one.

    Raises:
        libcst.ParserSyntaxError: the text isn't Python.
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
    objections = _lines(module, [*found.objections(choice), *choice.objections])
    if shadowed is not None:
        objections.insert(0, (1, f"{shadowed} would be imported instead of the adapter"))
    if module.code != text:
        objections.insert(0, (1, "can't be written back exactly"))
    if objections:
        return FixResult(left=sorted({*objections, *left}), notes=notes)
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
            left=[(1, "the changed module would define different names"), *left], notes=notes
        )
    return FixResult(changed if changed != text else None, left, notes, editor.edits())


class _ImportCollector(ScopedWalker):
    """Collect the imports of a module, and notes on what `--fix` can't change."""

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
                self._submodules.append((node, "adapter is another module here"))

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
                    "imports everything from openai: import names explicitly and run this again",
                )
                self._stars.append(star)
                self.left.append(star)
            return
        names = [str(alias.name.value) for alias in node.names]
        clients = [one for one in names if one in CLIENTS]
        if name == SDK:
            if clients:
                self.from_imports.append(self._place(node))
            self.notes += [(node, note) for one in names if (note := alias_note(one))]
        elif name.startswith(f"{SDK}.") and clients:
            note = f"imports a client from inside the SDK ({name}): not changed"
            self.notes.append((node, note))
        for one in names:
            self._note_tracing_client(node, f"{name}.{one}")

    def _note_tracing_client(self, node: cst.CSTNode, path: str) -> None:
        """Add a note on a tracing package's own client, unless the adapter is wired in."""
        client = tracing_clients.tracer_of_client(path)
        if client is not None and not tracing_clients.is_wired(self._symbols):
            self.left.append((node, f"{path} is {client.what}; wire it: {client.wire}"))

    # Other references to clients

    def visit_Call(self, node: cst.Call) -> None:
        path = self._symbols.of(node.func, self._scope).path
        if path.rpartition(".")[2] in CLIENTS and not self._is_imported(node.func):
            self._note_tracing_client(node.func, path)
        note = text_reference_note(self._module, node)
        if note is not None:
            self.left.append((node, note))
        note = module_client_note(node)
        if note is not None and self._uses.is_module(_root(node.func), self._scope):
            self.notes.append((node, note))

    def _is_imported(self, func: cst.BaseExpression) -> bool:
        """Return whether a called name is bound by an import."""
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
            note = (
                "names a client of openai in a string: "
                "patching it no longer affects what is imported from adapter"
            )
            self.notes.append((node, note))

    # Results

    def _import_places(self, scope: Scope, name: str) -> list[ImportPlace]:
        """Return the imports in a scope that `import adapter` may go before."""
        return [
            one
            for one in (*self.imports, *self.from_imports)
            if one.scope is scope and not one.is_type_checking and name in _bound_names(one.node)
        ]

    def objections(self, choice: ImportChoice) -> list[tuple[cst.CSTNode, str]]:
        """Return objections to any change of the module."""
        found = list(self._stars)
        if choice.calls:
            hidden = [
                (use.node, "adapter is bound to something else here")
                for use in choice.calls
                if any(one.dotted != ADAPTER for one in self._symbols.lookup(ADAPTER, use.scope))
            ]
            found += self._submodules or hidden[:1] or name_conflicts(self._module, ADAPTER)
        return found

    def edit(self, editor: Editor, choice: ImportChoice) -> None:
        """Make the chosen changes with an editor."""
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
    """Replace nodes by their lines, sorted and without duplicates."""
    if not nodes:
        return []
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    return sorted({(positions[node].start.line, text) for node, text in nodes})


def _root(node: cst.BaseExpression) -> cst.BaseExpression:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node


def _same_names(before: str, after: str) -> bool:
    """Return whether a changed module imports the same names as before, apart from `adapter`."""
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
