"""What a call is given, as far as it is known: parameters with their values, and where more may come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

_MAX_SOURCES = 12
_OTHER_SOURCES = "elsewhere"

PLACEHOLDER = "…"
"""Stands for a text that isn't written out where the call is."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that isn't a literal.

    `given` says what is known of it all the same: `some` value that isn't empty, or a `number`. `function` (by its id) and
    `parameter` say that it is what a function of the project is called with.
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
    """A value that says that nothing is given: the SDK's NOT_GIVEN and omit."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class ParameterSource:
    """Where more parameters may come from: in words, and as a parameter of a function (by its id).

    Only `keys` (None: any), and none of `without`, can come of it. `weak` says that what it holds is filtered by value.
    """

    text: str
    function: int = 0
    parameter: str = ""
    keys: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    weak: bool = False

    def may_give(self, name: str) -> bool:
        """Return whether a parameter can come of it."""
        return (self.keys is None or name in self.keys) and name not in self.without

    def limited(
        self, keys: frozenset[str] | None, without: Iterable[str] = (), *, weak: bool = False
    ) -> ParameterSource:
        """Return it with fewer names."""
        both = keys if self.keys is None else self.keys if keys is None else self.keys & keys
        return replace(
            self, keys=both, without=self.without | frozenset(without), weak=self.weak or weak
        )


@dataclass(slots=True)
class Arguments:
    """A call's parameters, or a dictionary: `values` by name, Unknown where not literal.

    Those in `maybe` aren't always given (`extra_body.name` is one inside that), those in `loose` may be replaced by what is `open`.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: list[ParameterSource] = field(default_factory=list)
    optional: set[str] = field(default_factory=set)
    replaceable: set[str] = field(default_factory=set)

    def copy(self) -> Arguments:
        """Return a copy that can be changed by itself."""
        return Arguments(
            dict(self.values), list(self.sources), set(self.optional), set(self.replaceable)
        )

    def assign(self, name: str, value: Any) -> None:
        """Give a parameter, whatever it was before."""
        self.drop(name)
        if value is not ABSENT:
            self.values[name] = value

    def drop(self, name: str) -> None:
        """Take a parameter away."""
        self.values.pop(name, None)
        self.optional.discard(name)
        self.replaceable.discard(name)
        self.sources = [one.limited(None, (name,)) for one in self.sources]

    def default(self, name: str, value: Any) -> None:
        """Give a parameter where it isn't given yet."""
        if name in self.values and name not in self.optional:
            return
        opened = any(one.may_give(name) for one in self.sources)
        value = either_value(self.values[name], value) if name in self.values else value
        before = self.sources
        self.assign(name, value)
        if opened:
            self.sources = before
            self.replaceable.add(name)

    def update(self, other: Arguments) -> None:
        """Add what another dictionary holds, which wins."""
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
        """Return it with nothing that is always given."""
        opened = [replace(one, weak=True) for one in self.sources]
        return Arguments(dict(self.values), opened, set(self.values), set(self.replaceable))

    def limited(self, keys: frozenset[str] | None, without: Iterable[str] = ()) -> Arguments:
        """Return only these names of it."""
        gone = frozenset(without)
        values = {
            k: v for k, v in self.values.items() if (keys is None or k in keys) and k not in gone
        }
        opened = [one.limited(keys, gone) for one in self.sources]
        return Arguments(
            values, opened, self.optional & values.keys(), self.replaceable & values.keys()
        )


def merge_sources(sources: Iterable[ParameterSource]) -> list[ParameterSource]:
    """Return them without those that come from the same place, and no more than a reader wants to see."""
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
    """Return what is known where it is either of two."""
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
    """Return what is known of a value that is either of two."""
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
