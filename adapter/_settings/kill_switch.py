"""Finding the kill switch `force`, wherever it is written (docs/decisions.md#kill-switch).

It is used in a hurry, so no mistake beside it may disable it. A line appended to a file may end up
inside any table, and counts anyway. An unknown value counts as `native`, which leaves calls as they
are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from .fields import Force

Location = tuple[str | int, ...]

_STRENGTH: Mapping[Force | None, int] = {None: 0, "responses": 1, "chat": 2, "native": 3}
_DEPTH = 10  # nested tables; no settings file is deeper


@dataclass(frozen=True, slots=True)
class ForceEntry:
    """One `force`: its location and value; None if it is empty, which means unset.

    `known`: the value is valid; `text`: it is a string; `misplaced`: it isn't at the top of its
    table.
    """

    location: Location
    value: Force | None
    known: bool
    text: bool
    misplaced: bool


def read_entry(location: Location, value: Any, table: Location = ()) -> ForceEntry:
    """Return the entry for a value of `force`; `table` is where it belongs."""
    text = isinstance(value, str)
    empty = value is None or (text and not value.strip())
    known = empty or (text and value in get_args(Force))
    force: Force | None = None if empty else value if known else "native"
    return ForceEntry(
        location,
        force,
        known,
        text,
        location != (*table, "force") and not isinstance(location[0], int),
    )


def strongest(forces: Iterable[Force | None]) -> Force | None:
    """Return the force that takes precedence."""
    return max(forces, key=lambda force: _STRENGTH[force], default=None)


def extract_forces(
    data: Any, location: Location = (), table: Location = ()
) -> tuple[Any, list[ForceEntry]]:
    """Return a copy of tables and lists without any `force`, and the entries found.

    `table` is where one belongs. The name's case doesn't matter. A table named `force` in `models`
    is a model.
    """
    if len(location) >= _DEPTH or not isinstance(data, (Mapping, list, tuple)):
        return data, []
    entries: list[ForceEntry] = []
    if not isinstance(data, Mapping):
        items: list[Any] = []
        for number, item in enumerate(data):
            kept, found = extract_forces(item, (*location, number), table)
            items.append(kept)
            entries += found
        return items, entries
    bare: dict[Any, Any] = {}
    for name, value in data.items():
        if is_name(name) and not (location[-1:] == ("models",) and isinstance(value, Mapping)):
            entries.append(read_entry((*location, name), value, table))
            continue
        bare[name], found = extract_forces(value, (*location, name), table)
        entries += found
    return bare, entries


def is_name(name: Any) -> bool:
    """Return whether a key is `force`, in any case."""
    return isinstance(name, str) and name.strip().lower() == "force"


_STRAY_CHARACTERS = dict.fromkeys([0, 0xFEFF, 0xFFFD, *range(0xDC80, 0xDD00)])
_LOOSE_LINE = re.compile(
    r"""^[ \t]*(?:[\w."'-]+[ \t]*\.[ \t]*)?["']?force["']?[ \t]*[=:]"""
    r"""[ \t]*(?:(["'])(.*?)\1|([^\s#,\]}]+))(.*)$""",
    re.IGNORECASE,
)
# Appended to a line without a line break: `rollout = 5force = "chat"`.
_APPENDED = re.compile(
    r"""([^#]*(?:[^\w.#-]|\d|true|false))force[ \t]*=[ \t]*(["'])(chat|native)\2[ \t]*\r?"""
)
_STRICT_LINE = re.compile(r"""[ \t]*force[ \t]*=[ \t]*(["'])(chat|native)\1[ \t]*(?:\#.*)?""")


def is_line(line: str) -> bool:
    """Return whether a person would read a line as a force."""
    return _LOOSE_LINE.match(without_stray_characters(line)) is not None


def without_appended(line: str) -> str:
    """Return a line without a force that was appended to it."""
    appended = _APPENDED.fullmatch(without_stray_characters(line))
    return appended[1] if appended and not is_line(line) else line


def without_stray_characters(text: str) -> str:
    """Return a text without the stray characters of a shell that appends in another encoding."""
    return text.translate(_STRAY_CHARACTERS)


def find_in_lines(text: str, *, running: bool) -> list[ForceEntry]:
    """Return the forces in the lines of a text that isn't TOML; the location is the line's number.

    Only `chat` and `native` count: a file that can't be read moves no call. At start the line must
    be TOML by itself, apart from a missing line break before it, since the error is noticed then.
    In a `running` process, any line that a person would read as a force counts.
    """
    entries = []
    for number, line in enumerate(without_stray_characters(text).splitlines(), 1):
        if strict := _STRICT_LINE.fullmatch(line):
            entries.append(read_entry((number,), strict[2]))
        elif appended := _APPENDED.fullmatch(line):
            entries.append(read_entry((number,), appended[3]))
        elif running and (loose := _LOOSE_LINE.match(line)):
            value = (loose[2] if loose[1] else loose[3]).lstrip("\"'")
            entries.append(read_entry((number,), value))
    return [entry for entry in entries if entry.value in ("chat", "native")]
