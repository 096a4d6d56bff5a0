"""Paths into JSON: `request.body`, `$.attributes.request.body`, `choices[0].message`, `["x.y"].z`.

A path consists of names separated by dots. `$` is the whole value and optional at the beginning of
a path. `[0]` is an item of an array, `[*]` are all items; names with other characters are quoted:
`["x.y"]`, `['x y']`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adapter._util import fast_json

_NAME = re.compile(r"[^\s.\[\]\"'*]+")
_INDEX = re.compile(r"\d{1,9}")
_QUOTED = re.compile(
    r"""(?P<quote>["'])(?P<name>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)""", re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MAX_CHARACTERS = 1_000
_MAX_ITEMS = 100_000
_MAX_TEXT_CHARACTERS = 64 << 20

ALL = "*"
"""The step to every item of an array."""


class BadPath(ValueError):
    """A text that isn't a path; the message names the character."""


@dataclass(frozen=True, slots=True)
class Key:
    """A step to a member of an object."""

    name: str


Step = Key | int | str
"""A step of a path: a Key, the index of an item, or ALL."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path into JSON, read by `parse`; `str()` returns it as it was written."""

    text: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return self.text

    def find(self, value: Any) -> Any:
        """Return the first value at the path, None if there is none."""
        if len(self.steps) == 1 and type(value) is dict:  # the most frequent case
            step = self.steps[0]
            return value.get(step.name) if type(step) is Key else None
        return next(self.find_all(value), None)

    def find_all(self, value: Any) -> Iterator[Any]:
        """Yield every value at the path that isn't null. JSON in strings is parsed on the way."""
        found = [value]
        for step in self.steps:
            found = [inner for one in found[:_MAX_ITEMS] for inner in _step(one, step)]
        return (one for one in found if one is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The steps as texts, for reports."""
        return tuple(step.name if isinstance(step, Key) else f"[{step}]" for step in self.steps)


def parse(text: str) -> Path:
    """Parse a path. Raises BadPath, which names the character that is wrong."""
    if len(text) > _MAX_CHARACTERS:
        raise BadPath(f"longer than {_MAX_CHARACTERS} characters")
    at = 1 if re.match(r"\$(?=[.\[]|$)", text) else 0
    steps: list[Step] = []
    while at < len(text):
        if text[at] == "[":
            step, at = _bracket(text, at + 1)
        else:
            if text[at] == ".":
                at += 1
            elif at:
                raise _bad_path(text, at, "expected a dot or a bracket")
            found = _NAME.match(text, at)
            if found is None:
                raise _bad_path(text, at, "expected a name")
            step, at = Key(found[0]), found.end()
        steps.append(step)
    if not text:
        raise BadPath("empty: expected a path, as in request.body")
    return Path(text, tuple(steps))


def _bracket(text: str, at: int) -> tuple[Step, int]:
    step: Step
    if (quoted := _QUOTED.match(text, at)) is not None:
        step, end = Key(_ESCAPED.sub(r"\1", quoted["name"])), quoted.end()
    elif (index := _INDEX.match(text, at)) is not None:
        step, end = int(index[0]), index.end()
    elif text.startswith(ALL, at):
        step, end = ALL, at + 1
    else:
        raise _bad_path(text, at, "expected a number, * or a name in quotes")
    if not text.startswith("]", end):
        raise _bad_path(text, end, "expected ]")
    return step, end + 1


def _bad_path(text: str, at: int, why: str) -> BadPath:
    return BadPath(f"character {at + 1}: {why}" + (", not the end" if at >= len(text) else ""))


def _step(value: Any, step: Step) -> Iterator[Any]:
    value = read_text(value)
    if isinstance(step, Key):
        if isinstance(value, dict) and step.name in value:
            yield value[step.name]
    elif isinstance(value, list):
        if step == ALL:
            yield from value
        elif isinstance(step, int) and step < len(value):
            yield value[step]


def read_text(value: Any) -> Any:
    """Return the JSON in a string that holds an object or an array; other values as they are."""
    if (
        isinstance(value, (str, bytes))
        and value[:1] in ("{", "[", b"{", b"[")
        and len(value) <= _MAX_TEXT_CHARACTERS
    ):
        try:
            return fast_json.loads(value)
        except ValueError:
            return value
    return value
