"""The scopes of one module: bindings of names and changes of their values, in source order.

Nothing is evaluated, and no code runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import libcst as cst
from libcst import helpers

Branch = tuple[tuple[int, str], ...]
"""The arms of `if`, `match`, loops and `except` around a statement, within its function.

Each is the id of its node, and the arm.
"""

LOOP = "loop "
"""Prefix of a loop's arm; the order of the last place before the loop follows."""

_EXCLUSIVE_ARMS = ("then", "else", "case", "except")  # only one arm of a statement runs


@dataclass(frozen=True, slots=True)
class Place:
    """The position of an expression: its number in source order, and its branch."""

    order: int
    branch: Branch = ()

    def excludes(self, other: Place) -> bool:
        """Return whether no run reaches both places, as they are in exclusive arms."""
        arms = dict(self.branch)
        return any(
            arms.get(node, arm) != arm and arm.startswith(_EXCLUSIVE_ARMS)
            for node, arm in other.branch
        )

    def always_follows(self, other: Place) -> bool:
        """Return whether every run that reaches this place has passed the other one."""
        return self.branch[: len(other.branch)] == other.branch


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class or function: its names, a class's attributes of self, a function's results.

    `file` is the path of a project's module. `aliases` are names that may have the same value, each
    with its scope and the place from which on it has. `passed` are calls with a name's value as an
    argument. `changes` and `attribute_changes` are in-place changes of a name's value:
    `name["key"] = value`, `name.update(…)`, `del name["key"]`.
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
    keywords: str | None = None  # the name of the `**` parameter
    keywords_annotation: cst.BaseExpression | None = None
    parameters: tuple[str, ...] = ()
    positional: int = 0  # the number of parameters that may be given by position
    defaults: dict[str, cst.BaseExpression] = field(default_factory=dict)

    @property
    def qualname(self) -> str:
        """Return the scope's `__qualname__`."""
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
        """Return the scope's module."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def enclosing_class(self) -> Scope | None:
        """Return the innermost class around, to which `self` refers."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "class":
            scope = scope.parent
        return scope

    def is_property(self) -> bool:
        """Return whether a function is a property."""
        names = [helpers.get_full_name_for_node(one) or "" for one in self.decorators]
        return any(
            name.rpartition(".")[2] in ("property", "cached_property", "hybrid_property")
            for name in names
        )

    def parameter(self, argument: int | str, *, by_attribute: bool) -> str:
        """Return the parameter for an argument's position or keyword; empty if there is none."""
        if isinstance(argument, str):
            return argument if argument in self.parameters else ""
        argument += by_attribute and self.is_bound()
        return self.parameters[argument] if argument < self.positional else ""

    def is_bound(self) -> bool:
        """Return whether a function is a method whose first parameter is bound on access."""
        names = [helpers.get_full_name_for_node(one) or "" for one in self.decorators]
        return (
            self.parent is not None and self.parent.kind == "class" and "staticmethod" not in names
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of a name: to an import, an expression, an annotation or a definition.

    All of these are None if the value is unknown. `index` is the position in an unpacked tuple;
    `of` is the iterable of a loop.
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
    """One in-place change of a dictionary or list.

    `set` and `default` give a key (None if it isn't literal) a value; `update` merges another
    dictionary into this one, or into the value of `key`; `drop` removes a key; `add` is `+=` or
    `append`, which dictionaries don't have. `sure` is False if the value may be another object.
    """

    scope: Scope
    place: Place
    kind: Literal["set", "default", "update", "drop", "add"]
    key: str | None = None
    value: cst.BaseExpression | None = None
    by: str = ""  # the name of the key if it isn't literal, or the method of an `add`
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Passed:
    """A call with a name's value as an argument, given by position or keyword."""

    scope: Scope
    place: Place
    call: cst.Call
    argument: int | str


def key_of(node: cst.Subscript) -> str | None:
    """Return a subscript's key if it is one literal string, else None."""
    match node.slice:
        case [cst.SubscriptElement(slice=cst.Index(value=key))]:
            return text_of(key)
    return None


def text_of(node: cst.BaseExpression) -> str | None:
    """Return the text of a literal string; None for any other expression."""
    if isinstance(node, (cst.SimpleString, cst.ConcatenatedString)):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    return None


__all__ = ["LOOP", "Binding", "Branch", "Change", "Passed", "Place", "Scope", "key_of", "text_of"]
