"""A small algebra of JSON shapes, and a checker that locates departures from one.

The SDK's TypedDicts (`typeddicts.py`) and the OpenAPI document (`openapi.py`) are both compiled to
it. It is eager and strict: each element of a list is visited, and a key that a record doesn't name
is a problem. Members of a union of records are distinguished by their literal `type` and `role`, so
that a problem inside one member is reported as such and not as "matches none of thirty".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Path = tuple[str | int, ...]
Problems = list[tuple[Path, str]]

_TAGS = ("type", "role")
_ABSENT = object()  # an absent tag, unlike one that is null


class Shape(Protocol):
    """One set of JSON values."""

    def admits(self, value: object) -> bool:
        """Return cheaply, by kind alone, whether `value` could belong."""
        ...

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        """Append the problems of `value`, which is at `path`."""
        ...

    def describe(self) -> str:
        """Return the shape's name for a reader."""
        ...


def render(path: Path) -> str:
    """Return a path as `messages[3].content[0]`; the top is `$`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".") or "$"


def problems_of(shape: Shape, value: object) -> list[str]:
    """List the problems of `value` as `path: problem` lines; empty means it fits."""
    problems: Problems = []
    shape.check(value, (), problems)
    return [f"{render(path)}: {problem}" for path, problem in problems]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True, slots=True)
class Anything:
    """Any JSON value: `object` in the types, `{}` in the document."""

    def admits(self, value: object) -> bool:
        return True

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        if not (value is None or isinstance(value, (str, int, float, list, dict))):
            problems.append((path, f"{type(value).__name__} is not JSON"))

    def describe(self) -> str:
        return "anything"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, number, boolean or null, with the limits of JSON Schema."""

    kind: str
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: re.Pattern[str] | None = None

    def admits(self, value: object) -> bool:
        match self.kind:
            case "string":
                return isinstance(value, str)
            case "integer":
                return isinstance(value, int) and not isinstance(value, bool)
            case "number":
                return isinstance(value, (int, float)) and not isinstance(value, bool)
            case "boolean":
                return isinstance(value, bool)
            case "null":
                return value is None
        msg = f"no such kind: {self.kind}"
        raise ValueError(msg)

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        if not self.admits(value):
            problems.append((path, f"expected {self.kind}, not {_short(value)}"))
            return
        if self.minimum is not None and value < self.minimum:
            problems.append((path, f"{value} is below {self.minimum}"))
        if self.maximum is not None and value > self.maximum:
            problems.append((path, f"{value} is above {self.maximum}"))
        if self.min_length is not None and len(value) < self.min_length:
            problems.append((path, f"shorter than {self.min_length} characters"))
        if self.max_length is not None and len(value) > self.max_length:
            problems.append((path, f"longer than {self.max_length} characters"))
        if self.pattern is not None and not self.pattern.search(value):
            problems.append((path, f"{_short(value)} does not match {self.pattern.pattern}"))

    def describe(self) -> str:
        return self.kind


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few literal values."""

    values: tuple[Any, ...]

    def admits(self, value: object) -> bool:
        # `True == 1` in Python but not in JSON, hence the types.
        return any(value == one and type(value) is type(one) for one in self.values)

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        if not self.admits(value):
            problems.append((path, f"expected {self.describe()}, not {_short(value)}"))

    def describe(self) -> str:
        return " or ".join(repr(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array, every element of which is checked."""

    item: Shape
    min_items: int = 0
    max_items: int | None = None

    def admits(self, value: object) -> bool:
        return isinstance(value, list)

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        if not isinstance(value, list):
            problems.append((path, f"expected array, not {_short(value)}"))
            return
        if len(value) < self.min_items:
            problems.append((path, f"fewer than {self.min_items} items"))
        if self.max_items is not None and len(value) > self.max_items:
            problems.append((path, f"more than {self.max_items} items"))
        for index, element in enumerate(value):
            self.item.check(element, (*path, index), problems)

    def describe(self) -> str:
        return f"array of {self.item.describe()}"


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with free keys."""

    item: Shape
    max_items: int | None = None
    max_key_length: int | None = None

    def admits(self, value: object) -> bool:
        return isinstance(value, dict)

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.append((path, f"expected object, not {_short(value)}"))
            return
        if self.max_items is not None and len(value) > self.max_items:
            problems.append((path, f"more than {self.max_items} keys"))
        for key, element in value.items():
            if not isinstance(key, str):
                problems.append((path, f"key {key!r} is not a string"))
            elif self.max_key_length is not None and len(key) > self.max_key_length:
                problems.append(
                    (path, f"key {_short(key)} is longer than {self.max_key_length} characters")
                )
            self.item.check(element, (*path, key), problems)

    def describe(self) -> str:
        return f"map of {self.item.describe()}"


@dataclass(frozen=True, slots=True)
class Record:
    """An object with named keys and no others, unless `rest` is their shape."""

    name: str
    fields: Mapping[str, Shape]
    required: frozenset[str]
    rest: Shape | None = None

    def admits(self, value: object) -> bool:
        return isinstance(value, dict)

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.append((path, f"expected {self.name}, not {_short(value)}"))
            return
        for key in sorted(self.required - value.keys()):
            problems.append((path, f"{self.name} lacks {key!r}"))
        for key, element in value.items():
            shape = self.fields.get(key, self.rest)
            if shape is None:
                problems.append(((*path, key), f"unknown key of {self.name}"))
            else:
                shape.check(element, (*path, key), problems)

    def describe(self) -> str:
        return self.name


class Later:
    """A shape that is compiled on first use, so that shapes may be recursive."""

    __slots__ = ("_make", "_shape", "name")

    def __init__(self, name: str, make: Callable[[], Shape]) -> None:
        self.name = name
        self._make = make
        self._shape: Shape | None = None

    @property
    def shape(self) -> Shape:
        """Return the compiled shape."""
        if self._shape is None:
            self._shape = self._make()
        return self._shape

    def admits(self, value: object) -> bool:
        return self.shape.admits(value)

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        self.shape.check(value, path, problems)

    def describe(self) -> str:
        return self.name


def resolved(shape: Shape) -> Shape:
    """Return the shape behind `Later`."""
    while isinstance(shape, Later):
        shape = shape.shape
    return shape


def _literals(shape: Shape | None) -> tuple[Any, ...] | None:
    """Return the only values that a field may have, or None where it is wider.

    Nulls don't distinguish members.
    """
    shape = resolved(shape) if shape is not None else None
    if isinstance(shape, Choice):
        return shape.values
    if isinstance(shape, AnyOf):
        found = [_literals(option) for option in shape.members if not _is_null(option)]
        return (
            tuple(value for values in found for value in values or ())
            if found and all(found)
            else None
        )
    return None


def _is_null(shape: Shape) -> bool:
    return isinstance(resolved(shape), Scalar) and resolved(shape).describe() == "null"


@dataclass(slots=True, eq=False)
class AnyOf:
    """A union. The members are flattened on first use, since they may be recursive."""

    options: Sequence[Shape]
    _members: list[Shape] | None = None
    _chosen: dict[tuple[Any, ...], list[Shape]] = field(default_factory=dict)

    @property
    def members(self) -> list[Shape]:
        """Return the options, with nested unions flattened."""
        if self._members is None:
            members: list[Shape] = []
            for option in map(resolved, self.options):
                members.extend(option.members if isinstance(option, AnyOf) else [option])
            self._members = members
        return self._members

    def admits(self, value: object) -> bool:
        return any(member.admits(value) for member in self.members)

    def check(self, value: Any, path: Path, problems: Problems) -> None:
        candidates = self._candidates(value)
        if not candidates:
            problems.append((path, self._mismatch(value)))
            return
        best: Problems | None = None
        for candidate in candidates:
            found: Problems = []
            candidate.check(value, path, found)
            if not found:
                return
            if best is None or len(found) < len(best):
                best = found
        problems.extend(best or [])

    def _candidates(self, value: Any) -> list[Shape]:
        if not isinstance(value, dict):
            return [member for member in self.members if member.admits(value)]
        tags = tuple(value.get(tag, _ABSENT) for tag in _TAGS)
        try:
            return self._chosen[tags]
        except TypeError:  # an unhashable tag names no member
            return []
        except KeyError:
            pass
        able = [member for member in self.members if member.admits(value)]
        fitting = [member for member in able if self._fits(member, tags)]
        # Without a tag, members that don't require one come first; where all require one, any of
        # them reports what is missing.
        lenient = [
            m for m in fitting if not (isinstance(m, Record) and self._needs_absent(m, tags))
        ]
        self._chosen[tags] = lenient or fitting
        return self._chosen[tags]

    def _fits(self, member: Shape, tags: tuple[Any, ...]) -> bool:
        if not isinstance(member, Record):
            return True
        for name, tag in zip(_TAGS, tags, strict=True):
            allowed = _literals(member.fields.get(name))
            if tag is _ABSENT or allowed is None:
                continue
            if tag not in allowed and not (tag is None and member.fields[name].admits(None)):
                return False
        return True

    def _needs_absent(self, member: Record, tags: tuple[Any, ...]) -> bool:
        return any(
            tag is _ABSENT
            and name in member.required
            and _literals(member.fields.get(name)) is not None
            for name, tag in zip(_TAGS, tags, strict=True)
        )

    def _mismatch(self, value: Any) -> str:
        if isinstance(value, dict) and any(isinstance(member, Record) for member in self.members):
            found_tags = ", ".join(f"{tag} {_short(value[tag])}" for tag in _TAGS if tag in value)
            return (
                f"no member of the union has {found_tags or 'this form'} (it has {self.describe()})"
            )
        return f"expected {self.describe()}, not {_short(value)}"

    def describe(self) -> str:
        names = list(dict.fromkeys(member.describe() for member in self.members))
        return " or ".join(names if len(names) <= 12 else [*names[:12], f"{len(names) - 12} more"])
