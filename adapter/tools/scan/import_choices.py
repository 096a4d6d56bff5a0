"""Choose which imports change; all else is left, with the reason.

Those of classes change that are called or derived from, where a chat call can come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import libcst as cst

from .advice import hands_on
from .class_uses import THEIRS, Use
from .client_usage import Outcomes
from .known_clients import CLIENTS
from .module_tree import Tree
from .text_edits import Place, own_name

_WANTED = ("made", "subclassed")
_STAYS = {
    "checked": "an annotation that may be read at run time keeps the SDK's class, which every client is of",
    "tested": "a test for the class keeps the SDK's, which every client passes",
    "passed": "the class is passed on uncalled",
    "named": "a type keeps the SDK's class, which every client is of",
}
"""Why a mention keeps the SDK's class where calls beside it change."""

_OBJECTIONS = {
    "compared": "compares with the class: write isinstance(…, {}), which every client passes",
    "likened": "compares with the class: write issubclass(…, {}), which every client's class passes",
    "replaced": "replaces {}, or a part of it",
}
_SEEN = {
    "annotated": "annotations",
    "checked": "annotations",
    "tested": "tests for the class",
    "passed": "what it is passed to",
    "named": "types",
    "looked at": "tests whether it is there",
    "compared": "tests for the class",
    "likened": "tests for the class",
}
"""Where a class is named that is neither called nor derived from."""


@dataclass(slots=True)
class Choice:
    """What is to be changed, what is left, and what speaks against any change.

    Of the places in `froms` names of the import change; `calls` are to name `adapter.OpenAI` in full.
    """

    froms: list[tuple[Place, set[str]]] = field(default_factory=list)
    calls: list[Use] = field(default_factory=list)
    left: list[tuple[cst.CSTNode, str]] = field(default_factory=list)
    against: list[tuple[cst.CSTNode, str]] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Tell whether there is anything to change."""
        return bool(self.froms or self.calls)


def choose(
    places: list[Place], uses: list[Use], tree: Tree, outcomes: Outcomes, elsewhere: Callable[[str], bool], *, package: bool = False
) -> Choice:  # fmt: skip
    """Choose for one module."""
    return _Chooser(tree, outcomes, elsewhere, package=package).choose(places, uses)


class _Chooser:
    def __init__(self, tree: Tree, outcomes: Outcomes, elsewhere: Callable[[str], bool], *, package: bool) -> None:
        self._tree = tree
        self._outcomes = outcomes
        self._elsewhere = elsewhere
        self._package = package
        self._choice = Choice()

    def choose(self, places: list[Place], uses: list[Use]) -> Choice:
        named: dict[tuple[int, str], list[Use]] = {}
        for use in uses:
            if use.module is None:
                named.setdefault((id(use.home), use.name), []).append(use)
        for place in places:
            wanted: dict[str, list[Use]] = {}
            for alias in _clients(place):
                found = named.get((id(place.scope), own_name(alias)), [])
                if self._moves(place, alias, found):
                    wanted[own_name(alias)] = [use for use in found if use.what in _WANTED]
            beside = any(
                use.home is place.scope and use.name in map(own_name, _clients(place)) for use in self._choice.calls
            )
            if beside and not any(use.mixed for found in wanted.values() for use in found):  # all in one way
                self._choice.calls += [use for found in wanted.values() for use in found]
            elif wanted:
                self._choice.froms.append((place, set(wanted)))
        self._dotted([one for one in uses if one.module is not None], places)
        return self._choice

    def _moves(self, place: Place, alias: cst.ImportAlias, uses: list[Use]) -> bool:
        """Tell whether an import of a name changes; else its calls do, or it is left."""
        choice = self._choice
        client, name = str(alias.name.value), own_name(alias)
        if place.for_types:
            choice.left.append((place.node, f"{name} is imported for type checkers only"))
            return False
        exports = self._exports(place, alias, uses)
        wanted, left = self._judged(uses)
        if not wanted:
            choice.left += left or exports or [(place.node, _idle(name, uses))]
            return False
        choice.against += _objections(uses, client, "compared", "replaced")
        choice.left += left
        if not (left or exports) and not any(use.what in _STAYS for use in uses):
            return True
        choice.left += exports
        choice.against += _objections(uses, client, "likened")
        choice.left += [(use.node, _STAYS[use.what]) for use in uses if use.what in _STAYS]
        choice.against += [(use.node, f"{name} is something else here as well") for use in wanted if use.mixed][:1]
        choice.calls += [use for use in wanted if use not in choice.calls]
        return False

    def _dotted(self, uses: list[Use], places: list[Place]) -> None:
        """Choose among the uses of `openai.OpenAI`."""
        choice = self._choice
        uses = [use for use in uses if use.home is not None]
        wanted, left = self._judged(uses)
        choice.left += left
        choice.left += [
            (use.node, f"hands on {THEIRS}.{use.client} uncalled")
            for use in uses
            if use.what == "passed" and hands_on(self._tree, use.node)
        ]
        for client in {use.client for use in wanted}:
            choice.against += _objections([use for use in uses if use.client == client], client, *_OBJECTIONS)
        choice.calls += wanted

    def _judged(self, uses: list[Use]) -> tuple[list[Use], list[tuple[cst.CSTNode, str]]]:
        """Split calls and subclasses into those that a chat call can come of, and those left."""
        wanted: list[Use] = []
        left: list[tuple[cst.CSTNode, str]] = []
        for use in uses:
            if use.what not in _WANTED:
                continue
            why = self._why_not(use)
            if why is None:
                wanted.append(use)
            else:
                left.append((use.node, why))
        return wanted, left

    def _why_not(self, use: Use) -> str | None:
        if use.derived is not None:
            return self._outcomes.subclass_of_vendor(use.derived, use.scope)
        if use.call is None:
            return None
        why = self._outcomes.why_not(use.call, use.made_in or use.scope)
        return None if why is not None and any(map(self._elsewhere, self._outcomes.names)) else why

    def _exports(self, place: Place, alias: cst.ImportAlias, uses: list[Use]) -> list[tuple[cst.CSTNode, str]]:
        """Say of a name that others import it from here."""
        name = own_name(alias)
        itself = alias.asname is not None and name == alias.name.value  # type checkers take that for a re-export
        if itself or (self._package and not uses):
            return [(place.node, f"re-exports {name}")]
        return [
            (node, f"re-exports {name} in __all__: those who import it from here would get the adapter's")
            for node in self._tree.exported.get(name, ())
        ]


def _clients(place: Place) -> list[cst.ImportAlias]:
    names = place.node.names
    assert not isinstance(names, cst.ImportStar)
    return [one for one in names if one.name.value in CLIENTS]


def _objections(uses: Iterable[Use], client: str, *which: str) -> list[tuple[cst.CSTNode, str]]:
    """Say what a changed class would break."""
    return [(use.node, _OBJECTIONS[use.what].format(f"{THEIRS}.{client}")) for use in uses if use.what in which]


def _idle(name: str, uses: list[Use]) -> str:
    seen = ", ".join(dict.fromkeys(_SEEN.get(use.what, "other places") for use in uses))
    return f"{name} is neither called nor subclassed here" + (f": it is named in {seen}" if seen else "")
