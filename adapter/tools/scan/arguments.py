"""What a call is given, as far as it is known: parameters with their values, and where more may come from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

_MOST = 12
_REST = "elsewhere"

PLACEHOLDER = "…"
"""Stands for a text that isn't written out where the call is."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that isn't a literal.

    `given` says what is known of it all the same: `some` value that isn't empty, or a `number`. `function` (by its id) and
    `parameter` say that it is what a function of the project is called with.
    """

    given: Literal["", "some", "number"] = ""
    function: int = 0
    parameter: str = ""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()
SOME = Unknown("some")
NUMBER = Unknown("number")


class Absent:
    """A value that says that nothing is given: the SDK's NOT_GIVEN and omit."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Open:
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

    def limited(self, keys: frozenset[str] | None, without: Iterable[str] = (), *, weak: bool = False) -> Open:
        """Return it with fewer names."""
        both = keys if self.keys is None else self.keys if keys is None else self.keys & keys
        return replace(self, keys=both, without=self.without | frozenset(without), weak=self.weak or weak)


@dataclass(slots=True)
class Arguments:
    """A call's parameters, or a dictionary: `values` by name, Unknown where not literal.

    Those in `maybe` aren't always given (`extra_body.name` is one inside that), those in `loose` may be replaced by what is `open`.
    """

    values: dict[str, Any] = field(default_factory=dict)
    open: list[Open] = field(default_factory=list)
    maybe: set[str] = field(default_factory=set)
    loose: set[str] = field(default_factory=set)

    def copy(self) -> Arguments:
        """Return a copy that can be changed by itself."""
        return Arguments(dict(self.values), list(self.open), set(self.maybe), set(self.loose))

    def put(self, name: str, value: Any) -> None:
        """Give a parameter, whatever it was before."""
        self.drop(name)
        if value is not ABSENT:
            self.values[name] = value

    def drop(self, name: str) -> None:
        """Take a parameter away."""
        self.values.pop(name, None)
        self.maybe.discard(name)
        self.loose.discard(name)
        self.open = [one.limited(None, (name,)) for one in self.open]

    def default(self, name: str, value: Any) -> None:
        """Give a parameter where it isn't given yet."""
        if name in self.values and name not in self.maybe:
            return
        opened = any(one.may_give(name) for one in self.open)
        value = either(self.values[name], value) if name in self.values else value
        before = self.open
        self.put(name, value)
        if opened:
            self.open = before
            self.loose.add(name)

    def update(self, other: Arguments) -> None:
        """Add what another dictionary holds, which wins."""
        for name in self.values:
            if any(one.may_give(name) for one in other.open):
                self.loose.add(name)
        for name, value in other.values.items():
            if name not in other.maybe:
                self.put(name, value)
            elif name in self.values:
                self.values[name] = either(self.values[name], value)
            else:
                self.values[name] = value
                self.maybe.add(name)
            if name in other.loose:
                self.loose.add(name)
        self.maybe |= {name for name in other.maybe if name not in other.values}
        self.open = merged([*self.open, *other.open])

    def weakened(self) -> Arguments:
        """Return it with nothing that is always given."""
        opened = [replace(one, weak=True) for one in self.open]
        return Arguments(dict(self.values), opened, set(self.values), set(self.loose))

    def limited(self, keys: frozenset[str] | None, without: Iterable[str] = ()) -> Arguments:
        """Return only these names of it."""
        gone = frozenset(without)
        values = {k: v for k, v in self.values.items() if (keys is None or k in keys) and k not in gone}
        opened = [one.limited(keys, gone) for one in self.open]
        return Arguments(values, opened, self.maybe & values.keys(), self.loose & values.keys())


def merged(opened: Iterable[Open]) -> list[Open]:
    """Return them without those that come from the same place, and no more than a reader wants to see."""
    found: dict[tuple[str, int, str], Open] = {}
    for one in opened:
        key = one.text, one.function, one.parameter
        before = found.get(key)
        if before is None and len(found) >= _MOST:
            key, one = (_REST, 0, ""), Open(_REST)  # noqa: PLW2901
            before = found.get(key)
        if before is not None:
            keys = None if before.keys is None or one.keys is None else before.keys | one.keys
            one = replace(one, keys=keys, without=before.without & one.without, weak=before.weak and one.weak)  # noqa: PLW2901
        found[key] = one
    return list(found.values())


def joined(one: Arguments, other: Arguments) -> Arguments:
    """Return what is known where it is either of two."""
    found = Arguments(open=merged([*one.open, *other.open]))
    for name in dict.fromkeys([*one.values, *other.values]):
        both = [each.values[name] for each in (one, other) if name in each.values]
        found.values[name] = both[0] if len(both) == 1 else either(*both)
        if len(both) == 1 or name in one.maybe or name in other.maybe:
            found.maybe.add(name)
    found.maybe |= one.maybe | other.maybe
    found.loose = one.loose | other.loose
    return found


def either(one: Any, other: Any) -> Any:
    """Return what is known of a value that is either of two."""
    if (type(one), one) == (type(other), other):
        return one
    return SOME if says_something(one) and says_something(other) else UNKNOWN


def says_something(value: Any) -> bool:
    """Return whether a value is known not to be empty."""
    return value == SOME if isinstance(value, Unknown) else isinstance(value, (list, dict, str)) and bool(value)
