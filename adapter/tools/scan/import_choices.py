"""Choose which imports `--fix` changes; the others are left, with a reason.

An import changes if the class is called or derived from, and the client may make a chat call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import libcst as cst

from .advice import passes_class_on
from .class_uses import SDK, ClassUse
from .client_usage import ClientUsage
from .known_clients import CLIENTS
from .module_tree import ModuleTree
from .text_edits import ImportPlace, own_name

_CHANGED_KINDS = ("made", "subclassed")
_REASONS_TO_KEEP = {
    "checked": "an annotation that may be read at run time keeps the SDK's class, "
    "which every client is an instance of",
    "tested": "a test for the class keeps the SDK's class, which every client is an instance of",
    "passed": "the class is passed on without being called",
    "named": "a type keeps the SDK's class, which every client is an instance of",
}
"""Why a reference keeps the SDK's class although calls in the same module change."""

_OBJECTIONS = {
    "compared": "compares with the class: use isinstance(…, {}), which is true of every client",
    "compared to class": "compares with the class: use issubclass(…, {}), "
    "which is true of every client's class",
    "replaced": "replaces {}, or a part of it",
}
_MENTION_TEXT = {
    "annotated": "annotations",
    "checked": "annotations",
    "tested": "tests for the class",
    "passed": "arguments and assignments",
    "named": "types",
    "inspected": "tests whether it exists",
    "compared": "tests for the class",
    "compared to class": "tests for the class",
}
"""Where a class is named that is neither called nor subclassed."""


@dataclass(slots=True)
class ImportChoice:
    """What changes in one module, what is left and why, and objections to any change.

    In the imports in `from_imports` these names change; the uses in `calls` become
    `adapter.OpenAI`.
    """

    from_imports: list[tuple[ImportPlace, set[str]]] = field(default_factory=list)
    calls: list[ClassUse] = field(default_factory=list)
    left: list[tuple[cst.CSTNode, str]] = field(default_factory=list)
    objections: list[tuple[cst.CSTNode, str]] = field(default_factory=list)

    @property
    def has_changes(self) -> bool:
        """Return whether there is anything to change."""
        return bool(self.from_imports or self.calls)


def choose(
    places: list[ImportPlace],
    uses: list[ClassUse],
    tree: ModuleTree,
    usage: ClientUsage,
    is_imported_elsewhere: Callable[[str], bool],
    *,
    is_package: bool = False,
) -> ImportChoice:
    """Return the choice for one module."""
    return _Chooser(tree, usage, is_imported_elsewhere, is_package=is_package).choose(places, uses)


class _Chooser:
    def __init__(
        self,
        tree: ModuleTree,
        usage: ClientUsage,
        is_imported_elsewhere: Callable[[str], bool],
        *,
        is_package: bool,
    ) -> None:
        self._tree = tree
        self._usage = usage
        self._is_imported_elsewhere = is_imported_elsewhere
        self._is_package = is_package
        self._choice = ImportChoice()

    def choose(self, places: list[ImportPlace], uses: list[ClassUse]) -> ImportChoice:
        named: dict[tuple[int, str], list[ClassUse]] = {}
        for use in uses:
            if use.module is None:
                named.setdefault((id(use.import_scope), use.name), []).append(use)
        for place in places:
            wanted: dict[str, list[ClassUse]] = {}
            for alias in _clients(place):
                found = named.get((id(place.scope), own_name(alias)), [])
                if self._changes_import(place, alias, found):
                    wanted[own_name(alias)] = [use for use in found if use.kind in _CHANGED_KINDS]
            has_changed_calls = any(
                use.import_scope is place.scope and use.name in map(own_name, _clients(place))
                for use in self._choice.calls
            )
            # If some calls of an import change to `adapter.OpenAI`, all do.
            if has_changed_calls and not any(
                use.is_ambiguous for found in wanted.values() for use in found
            ):
                self._choice.calls += [use for found in wanted.values() for use in found]
            elif wanted:
                self._choice.from_imports.append((place, set(wanted)))
        self._choose_dotted([one for one in uses if one.module is not None], places)
        return self._choice

    def _changes_import(
        self, place: ImportPlace, alias: cst.ImportAlias, uses: list[ClassUse]
    ) -> bool:
        """Return whether the import of a name changes; if not, its calls do, or it is left."""
        choice = self._choice
        client, name = str(alias.name.value), own_name(alias)
        if place.is_type_checking:
            choice.left.append((place.node, f"{name} is imported for type checkers only"))
            return False
        exports = self._exports(place, alias, uses)
        wanted, left = self._split_by_usage(uses)
        if not wanted:
            choice.left += left or exports or [(place.node, _unused_reason(name, uses))]
            return False
        choice.objections += _objections(uses, client, "compared", "replaced")
        choice.left += left
        if not (left or exports) and not any(use.kind in _REASONS_TO_KEEP for use in uses):
            return True
        choice.left += exports
        choice.objections += _objections(uses, client, "compared to class")
        choice.left += [
            (use.node, _REASONS_TO_KEEP[use.kind]) for use in uses if use.kind in _REASONS_TO_KEEP
        ]
        choice.objections += [
            (use.node, f"{name} is also bound to something else here")
            for use in wanted
            if use.is_ambiguous
        ][:1]
        choice.calls += [use for use in wanted if use not in choice.calls]
        return False

    def _choose_dotted(self, uses: list[ClassUse], places: list[ImportPlace]) -> None:
        """Choose among the uses of `openai.OpenAI`."""
        choice = self._choice
        uses = [use for use in uses if use.import_scope is not None]
        wanted, left = self._split_by_usage(uses)
        choice.left += left
        choice.left += [
            (use.node, f"passes {SDK}.{use.client} on without calling it")
            for use in uses
            if use.kind == "passed" and passes_class_on(self._tree, use.node)
        ]
        for client in {use.client for use in wanted}:
            choice.objections += _objections(
                [use for use in uses if use.client == client], client, *_OBJECTIONS
            )
        choice.calls += wanted

    def _split_by_usage(
        self, uses: list[ClassUse]
    ) -> tuple[list[ClassUse], list[tuple[cst.CSTNode, str]]]:
        """Split calls and subclasses into those that may make a chat call, and those left."""
        wanted: list[ClassUse] = []
        left: list[tuple[cst.CSTNode, str]] = []
        for use in uses:
            if use.kind not in _CHANGED_KINDS:
                continue
            why = self._why_not(use)
            if why is None:
                wanted.append(use)
            else:
                left.append((use.node, why))
        return wanted, left

    def _why_not(self, use: ClassUse) -> str | None:
        if use.derived is not None:
            return self._usage.subclass_of_vendor(use.derived, use.scope)
        if use.call is None:
            return None
        why = self._usage.reason_to_keep(use.call, use.made_in or use.scope)
        return (
            None
            if why is not None and any(map(self._is_imported_elsewhere, self._usage.relevant_names))
            else why
        )

    def _exports(
        self, place: ImportPlace, alias: cst.ImportAlias, uses: list[ClassUse]
    ) -> list[tuple[cst.CSTNode, str]]:
        """Return the re-exports of an imported name, each with a note."""
        name = own_name(alias)
        # `import X as X` is a re-export for type checkers.
        is_explicit = alias.asname is not None and name == alias.name.value
        if is_explicit or (self._is_package and not uses):
            return [(place.node, f"re-exports {name}")]
        note = (
            f"re-exports {name} in __all__: "
            "modules that import it from here would get the adapter's"
        )
        return [(node, note) for node in self._tree.exported.get(name, ())]


def _clients(place: ImportPlace) -> list[cst.ImportAlias]:
    names = place.node.names
    assert not isinstance(names, cst.ImportStar)
    return [one for one in names if one.name.value in CLIENTS]


def _objections(
    uses: Iterable[ClassUse], client: str, *which: str
) -> list[tuple[cst.CSTNode, str]]:
    """Return the uses that a changed class would break, each with a note."""
    return [
        (use.node, _OBJECTIONS[use.kind].format(f"{SDK}.{client}"))
        for use in uses
        if use.kind in which
    ]


def _unused_reason(name: str, uses: list[ClassUse]) -> str:
    seen = ", ".join(dict.fromkeys(_MENTION_TEXT.get(use.kind, "other places") for use in uses))
    return f"{name} is neither called nor subclassed here" + (
        f": it is named in {seen}" if seen else ""
    )
