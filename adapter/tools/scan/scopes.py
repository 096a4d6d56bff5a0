"""The scopes of one module: what their names are bound to, and what happens to those values, in the order of the text.

Nothing is evaluated here, and no code runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import libcst as cst
from libcst import helpers

Branch = tuple[tuple[int, str], ...]
"""The arms of `if`, `match`, loops and `except` that a statement stands in, within its function, each with its node's id."""

LOOP = "loop "
"""What the arm of a loop begins with; the number of the place before it follows."""

_EXCLUSIVE_ARMS = ("then", "else", "case", "except")  # of which only one is run


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: its number in the order of the text, and its branch."""

    order: int
    branch: Branch = ()

    def excludes(self, other: Place) -> bool:
        """Return whether no run reaches both places: they stand in different arms of one statement."""
        arms = dict(self.branch)
        return any(
            arms.get(node, arm) != arm and arm.startswith(_EXCLUSIVE_ARMS)
            for node, arm in other.branch
        )

    def always_follows(self, other: Place) -> bool:
        """Return whether a run that gets here has passed the other place."""
        return self.branch[: len(other.branch)] == other.branch


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class or function: its names, a class's attributes of self, a function's results.

    `file` is a module's path, where it is one of a project. `aliases` are the names that may have the same value, each with its scope
    and where it got it; `passed` are the calls that a name's value is an argument of. `changes` and `attribute_changes` are what happens to a name's value beside being bound: `name["key"] = value`,
    `name.update(…)`, `del name["key"]`.
    """

    kind: Literal["module", "class", "function"]
    name: str
    parent: Scope | None = None
    file: str = ""
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    attributes: dict[str, list[Binding]] = field(default_factory=dict)
    changes: dict[str, list[Change]] = field(default_factory=dict)
    attribute_changes: dict[str, list[Change]] = field(default_factory=dict)
    aliases: dict[str, list[tuple[Scope, str, Place]]] = field(default_factory=dict)
    passed: dict[str, list[Passed]] = field(default_factory=dict)
    returns: list[tuple[cst.BaseExpression, Place]] = field(default_factory=list)
    annotation: cst.BaseExpression | None = None
    bases: list[cst.BaseExpression] = field(default_factory=list)
    decorators: list[cst.BaseExpression] = field(default_factory=list)
    stars: list[str] = field(default_factory=list)  # modules of `from module import *`
    keywords: str | None = None  # the name of its **parameter
    keywords_annotation: cst.BaseExpression | None = None
    parameters: tuple[str, ...] = ()
    positional: int = 0  # how many of them may be given by position
    defaults: dict[str, cst.BaseExpression] = field(default_factory=dict)

    @property
    def qualname(self) -> str:
        """Return its `__qualname__`."""
        if self.kind == "module":
            return "<module>"
        above = self.parent
        prefix = "" if above is None or above.kind == "module" else above.qualname + "."
        return (
            prefix
            + ("<locals>." if above is not None and above.kind == "function" else "")
            + self.name
        )

    def root(self) -> Scope:
        """Return its module."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def enclosing_class(self) -> Scope | None:
        """Return the class whose self is meant here."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "class":
            scope = scope.parent
        return scope

    def is_property(self) -> bool:
        """Return whether a function is read like an attribute."""
        names = [helpers.get_full_name_for_node(one) or "" for one in self.decorators]
        return any(
            name.rpartition(".")[2] in ("property", "cached_property", "hybrid_property")
            for name in names
        )

    def parameter(self, argument: int | str, *, by_attribute: bool) -> str:
        """Return the parameter that a call's argument goes to, by position or keyword; empty where there is none."""
        if isinstance(argument, str):
            return argument if argument in self.parameters else ""
        argument += by_attribute and self.is_bound()
        return self.parameters[argument] if argument < self.positional else ""

    def is_bound(self) -> bool:
        """Return whether a function is a method whose first parameter is given by the attribute access."""
        names = [helpers.get_full_name_for_node(one) or "" for one in self.decorators]
        return (
            self.parent is not None and self.parent.kind == "class" and "staticmethod" not in names
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """One thing that a name is bound to: a dotted import, an expression, an annotation, a definition, or something unknown (all None).

    `index` is the position in a tuple that is unpacked; `of` is what a loop goes through.
    """

    scope: Scope
    place: Place
    dotted: str | None = None
    value: cst.BaseExpression | None = None
    annotation: cst.BaseExpression | None = None
    defined: Scope | None = None
    parameter: bool = False
    index: int | None = None
    of: cst.BaseExpression | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a dictionary in place.

    `set` and `default` give a key (None where it isn't literal) a value; `update` adds another dictionary (to a key's own one,
    where there is a key); `drop` takes a key away; `add` is what `+=` and `append` do, which no dictionary takes. `sure` is
    false where it may be another value's.
    """

    scope: Scope
    place: Place
    kind: Literal["set", "default", "update", "drop", "add"]
    key: str | None = None
    value: cst.BaseExpression | None = None
    by: str = ""  # the name that the key has, where it isn't literal
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Passed:
    """A call that is given a name's value: as which argument, by position or keyword."""

    scope: Scope
    place: Place
    call: cst.Call
    argument: int | str


def key_of(node: cst.Subscript) -> str | None:
    """Return a subscript's key where it is one literal string."""
    match node.slice:
        case [cst.SubscriptElement(slice=cst.Index(value=key))]:
            return text_of(key)
    return None


def text_of(node: cst.BaseExpression) -> str | None:
    """Return a literal string's text."""
    if isinstance(node, (cst.SimpleString, cst.ConcatenatedString)):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None


__all__ = ["LOOP", "Binding", "Branch", "Change", "Passed", "Place", "Scope", "key_of", "text_of"]
