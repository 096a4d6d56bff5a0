"""The kill switch, found wherever it stands: whoever needs it is in a hurry, and no mistake beside it may keep it from working.

A line that was appended to a file may have come behind any table, and counts all the same. A value that isn't known counts as
`native`, which changes nothing about a call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from .fields import Force

Location = tuple[str | int, ...]

_STRENGTH: Mapping[Force | None, int] = {None: 0, "responses": 1, "chat": 2, "native": 3}
_DEPTH = 10  # tables in tables; a file that is nested deeper is no settings file


@dataclass(frozen=True, slots=True)
class ForceEntry:
    """A `force`: where it stands, and what it says; None where it is empty, which means unset."""

    location: Location
    value: Force | None
    known: bool
    text: bool
    misplaced: bool


def read_entry(location: Location, value: Any, table: Location = ()) -> ForceEntry:
    """Read a value of `force`; `table` is where it belongs."""
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
    """Return the force that beats the others."""
    return max(forces, key=lambda one: _STRENGTH[one], default=None)


def extract_forces(
    data: Any, location: Location = (), table: Location = ()
) -> tuple[Any, list[ForceEntry]]:
    """Take every `force` out of tables and lists: return a copy without them, and what they say; `table` is where one belongs.

    The name's case doesn't count. A table of that name below `models` is a model's.
    """
    if len(location) >= _DEPTH or not isinstance(data, (Mapping, list, tuple)):
        return data, []
    out: list[ForceEntry] = []
    if not isinstance(data, Mapping):
        items: list[Any] = []
        for number, item in enumerate(data):
            kept, some = extract_forces(item, (*location, number), table)
            items.append(kept)
            out += some
        return items, out
    bare: dict[Any, Any] = {}
    for name, value in data.items():
        if is_name(name) and not (location[-1:] == ("models",) and isinstance(value, Mapping)):
            out.append(read_entry((*location, name), value, table))
            continue
        bare[name], some = extract_forces(value, (*location, name), table)
        out += some
    return bare, out


def is_name(name: Any) -> bool:
    """Tell whether a key means `force`."""
    return isinstance(name, str) and name.strip().lower() == "force"


_STRAY_CHARACTERS = dict.fromkeys([0, 0xFEFF, 0xFFFD, *range(0xDC80, 0xDD00)])
_LOOSE_LINE = re.compile(
    r"""^[ \t]*(?:[\w."'-]+[ \t]*\.[ \t]*)?["']?force["']?[ \t]*[=:][ \t]*(?:(["'])(.*?)\1|([^\s#,\]}]+))(.*)$""",
    re.IGNORECASE,
)
# Appended to a line that doesn't end: `rollout = 5force = "chat"`.
_APPENDED = re.compile(
    r"""([^#]*(?:[^\w.#-]|\d|true|false))force[ \t]*=[ \t]*(["'])(chat|native)\2[ \t]*\r?"""
)
_STRICT_LINE = re.compile(r"""[ \t]*force[ \t]*=[ \t]*(["'])(chat|native)\1[ \t]*(?:\#.*)?""")


def is_line(line: str) -> bool:
    """Tell whether a person would read a line as a force."""
    return _LOOSE_LINE.match(without_stray_characters(line)) is not None


def without_appended(line: str) -> str:
    """Take away a force that was appended to a line."""
    glued = _APPENDED.fullmatch(without_stray_characters(line))
    return glued[1] if glued and not is_line(line) else line


def without_stray_characters(text: str) -> str:
    """Return a text without what a shell puts in that appends in another encoding than the file's."""
    return text.translate(_STRAY_CHARACTERS)


def find_in_lines(text: str, *, running: bool) -> list[ForceEntry]:
    """Find a force in the lines of a text that isn't TOML; the location is the line's number.

    Only what keeps calls where they were written for: nothing is moved by a file that can't be read. Where the process starts the
    line has to be TOML by itself, also where it was appended to a line that doesn't end, since an error is seen then; where it is
    running, whatever a person would read as one counts.
    """
    out = []
    for number, line in enumerate(without_stray_characters(text).splitlines(), 1):
        if strict := _STRICT_LINE.fullmatch(line):
            out.append(read_entry((number,), strict[2]))
        elif glued := _APPENDED.fullmatch(line):
            out.append(read_entry((number,), glued[3]))
        elif running and (loose := _LOOSE_LINE.match(line)):
            out.append(read_entry((number,), (loose[2] if loose[1] else loose[3]).lstrip("\"'")))
    return [one for one in out if one.value in ("chat", "native")]
