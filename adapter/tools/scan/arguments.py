"""What is known of a call's arguments: parameters, their values, and sources of further ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

_MAX_SOURCES = 12
_OTHER_SOURCES = "elsewhere"

PLACEHOLDER = "…"
"""Stands for a text that isn't a literal at the call site."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that isn't a literal.

    `hint` holds what is known of it: `some` (it isn't empty) or `number`. `function` (the id of its
    scope) and `parameter` are set if the value is a parameter of a function of the project.
    """

    hint: Literal["", "some", "number"] = ""
    function: int = 0
    parameter: str = ""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()
NONEMPTY = Unknown("some")
NUMBER = Unknown("number")


class Absent:
    """A marker that omits a parameter: the SDK's NOT_GIVEN and omit."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class ParameterSource:
    """A place that may give further parameters: `text` describes it for users.

    `function` (the id of its scope) and `parameter` are set if it is a parameter of a function.
    It can give only `keys` (None: any), and none of `without`. `weak`: its values are filtered, so
    that none is certain.
    """

    text: str
    function: int = 0
    parameter: str = ""
    keys: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    weak: bool = False

    def may_give(self, name: str) -> bool:
        """Return whether this source can give a parameter."""
        return (self.keys is None or name in self.keys) and name not in self.without

    def limited(
        self, keys: frozenset[str] | None, without: Iterable[str] = (), *, weak: bool = False
    ) -> ParameterSource:
        """Return a copy that can give fewer names."""
        both = keys if self.keys is None else self.keys if keys is None else self.keys & keys
        return replace(
            self, keys=both, without=self.without | frozenset(without), weak=self.weak or weak
        )


@dataclass(slots=True)
class Arguments:
    """A call's parameters, or a dictionary: `values` by name, Unknown where not literal.

    Names in `optional` aren't always given (`extra_body.name` is one inside `extra_body`); values
    of names in `replaceable` may be overwritten from `sources`.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: list[ParameterSource] = field(default_factory=list)
    optional: set[str] = field(default_factory=set)
    replaceable: set[str] = field(default_factory=set)

    def copy(self) -> Arguments:
        """Return an independent copy."""
        return Arguments(
            dict(self.values), list(self.sources), set(self.optional), set(self.replaceable)
        )

    def assign(self, name: str, value: Any) -> None:
        """Set a parameter, overwriting any earlier value."""
        self.drop(name)
        if value is not ABSENT:
            self.values[name] = value

    def drop(self, name: str) -> None:
        """Remove a parameter."""
        self.values.pop(name, None)
        self.optional.discard(name)
        self.replaceable.discard(name)
        self.sources = [one.limited(None, (name,)) for one in self.sources]

    def default(self, name: str, value: Any) -> None:
        """Set a parameter unless it is set already, as `dict.setdefault` does."""
        if name in self.values and name not in self.optional:
            return
        may_be_set = any(one.may_give(name) for one in self.sources)
        value = either_value(self.values[name], value) if name in self.values else value
        before = self.sources
        self.assign(name, value)
        if may_be_set:
            self.sources = before
            self.replaceable.add(name)

    def update(self, other: Arguments) -> None:
        """Merge another dictionary into this one; its values win."""
        for name in self.values:
            if any(one.may_give(name) for one in other.sources):
                self.replaceable.add(name)
        for name, value in other.values.items():
            if name not in other.optional:
                self.assign(name, value)
            elif name in self.values:
                self.values[name] = either_value(self.values[name], value)
            else:
                self.values[name] = value
                self.optional.add(name)
            if name in other.replaceable:
                self.replaceable.add(name)
        self.optional |= {name for name in other.optional if name not in other.values}
        self.sources = merge_sources([*self.sources, *other.sources])

    def as_optional(self) -> Arguments:
        """Return a copy in which every parameter is optional."""
        sources = [replace(one, weak=True) for one in self.sources]
        return Arguments(dict(self.values), sources, set(self.values), set(self.replaceable))

    def limited(self, keys: frozenset[str] | None, without: Iterable[str] = ()) -> Arguments:
        """Return a copy with only the names in `keys` (None: all) that aren't in `without`."""
        dropped = frozenset(without)
        values = {
            k: v for k, v in self.values.items() if (keys is None or k in keys) and k not in dropped
        }
        sources = [one.limited(keys, dropped) for one in self.sources]
        return Arguments(
            values, sources, self.optional & values.keys(), self.replaceable & values.keys()
        )


def merge_sources(sources: Iterable[ParameterSource]) -> list[ParameterSource]:
    """Merge sources that are the same place; beyond a limit, they become one source."""
    found: dict[tuple[str, int, str], ParameterSource] = {}
    for one in sources:
        key = one.text, one.function, one.parameter
        before = found.get(key)
        if before is None and len(found) >= _MAX_SOURCES:
            key, one = (_OTHER_SOURCES, 0, ""), ParameterSource(_OTHER_SOURCES)  # noqa: PLW2901
            before = found.get(key)
        if before is not None:
            keys = None if before.keys is None or one.keys is None else before.keys | one.keys
            one = replace(  # noqa: PLW2901
                one, keys=keys, without=before.without & one.without, weak=before.weak and one.weak
            )
        found[key] = one
    return list(found.values())


def either_arguments(one: Arguments, other: Arguments) -> Arguments:
    """Return what is known of a dictionary that is one of two."""
    found = Arguments(sources=merge_sources([*one.sources, *other.sources]))
    for name in dict.fromkeys([*one.values, *other.values]):
        both = [each.values[name] for each in (one, other) if name in each.values]
        found.values[name] = both[0] if len(both) == 1 else either_value(*both)
        if len(both) == 1 or name in one.optional or name in other.optional:
            found.optional.add(name)
    found.optional |= one.optional | other.optional
    found.replaceable = one.replaceable | other.replaceable
    return found


def either_value(one: Any, other: Any) -> Any:
    """Return what is known of a value that is one of two."""
    if (type(one), one) == (type(other), other):
        return one
    return NONEMPTY if is_nonempty(one) and is_nonempty(other) else UNKNOWN


def is_nonempty(value: Any) -> bool:
    """Return whether a value is known not to be empty."""
    return (
        value == NONEMPTY
        if isinstance(value, Unknown)
        else isinstance(value, (list, dict, str)) and bool(value)
    )
