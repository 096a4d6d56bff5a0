"""The settings file: `adapter.toml`, or the table `[tool.adapter]` of a pyproject.toml; and on which line a setting stands."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter._util import regular_files
from adapter.errors import ConfigurationError

from . import kill_switch
from .kill_switch import ForceEntry, Location

PROJECT, TABLE = "pyproject.toml", ("tool", "adapter")

_FINITE_PATHS = (
    "/dev/fd/",
    "/dev/stdin",
    "/proc/self/fd/",
    os.devnull,
)  # what a shell has opened (`<(…)`), and nothing

_KEY = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"({_KEY}(?:\s*\.\s*{_KEY})*)"
_HEADER = re.compile(rf"\s*(\[\[?)\s*{_DOTTED}\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(rf"\s*{_DOTTED}\s*=")
_NAME = re.compile(_KEY)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read: its path, its text, the settings in it, and the table that they stand in.

    `data` is without the kill switch: `forces` are all of it, wherever they stand. `trouble` is why there are no settings in it;
    then there is a force, or something else will have to say that this doesn't matter.
    """

    path: Path
    raw: bytes = field(repr=False)  # there may be passwords in it
    data: dict[str, Any] = field(repr=False)
    table: tuple[str, ...] = ()
    forces: tuple[ForceEntry, ...] = ()
    problem: str = ""

    def where(self, location: Location) -> str:
        """Say where a setting stands, as far as it can be told: `adapter.toml, line 3`."""
        return self._place(self._line((*self.table, *location), len(self.table)))

    def where_force(self, one: ForceEntry) -> str:
        """Say where a force stands."""
        return self._place(self.line_of(one))

    def line_of(self, one: ForceEntry) -> int | None:
        """Return the line on which a force stands, where it can be told."""
        (number, *_) = one.location
        return number if isinstance(number, int) else self._line(one.location, 0)

    def _place(self, line: int | None) -> str:
        return f"{self.path}, line {line}" if line else str(self.path)

    def _line(self, wanted: Location, given: int) -> int | None:
        """Find the line that names the most of a setting's path. Inline tables and several lines of one value count as one."""
        best, line = 0, None
        seen: dict[tuple[str | int, ...], int] = {}
        table: tuple[str | int, ...] = ()
        for number, text in enumerate(self.raw.decode("utf-8-sig", "replace").split("\n"), 1):
            if header := _HEADER.match(text):
                table = _split_name(header[2])
                if header[1] == "[[":
                    seen[table] = seen.get(table, -1) + 1
                table = _with_indexes(table, seen)
                here = table
            elif entry := _ENTRY.match(text):
                here = (*table, *_split_name(entry[1]))
            else:
                continue
            shared = _common_length(here, wanted)
            # A table's header stands for what is in it; an entry only for itself and what is below.
            if shared > best and (shared == len(here)):
                best, line = shared, number
        return line if best > given else None


def read(path: str | os.PathLike[str]) -> SettingsFile:
    """Read a settings file; raises ConfigurationError, which names the file and the line, for one that can't be read."""
    path = Path(
        path
    ).absolute()  # it is read again later, when the program may work in another directory
    try:
        raw = contents(path)
    except OSError as error:
        raise ConfigurationError(
            f"config_file: {path}: {error.strerror or type(error).__name__}"
        ) from None
    return parse(path, raw)


def contents(path: Path) -> bytes:
    """Read a settings file's bytes. Raises OSError, and ConfigurationError for a pipe or a device, which may never end."""
    if not path.as_posix().startswith(_FINITE_PATHS):
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):  # reading says so
            try:
                regular_files.check_regular(found)
            except regular_files.Unreadable as error:
                raise ConfigurationError(f"config_file: {path}: {error}") from None
    return path.read_bytes()


def unreadable_file(path: str | os.PathLike[str], why: str) -> SettingsFile:
    """Stand for a file that can't be read now: it may be mended while the process runs."""
    return SettingsFile(Path(path).absolute(), b"", {}, problem=why)


def parse(path: Path, raw: bytes, *, running: bool = False) -> SettingsFile:
    """Take a settings file's bytes.

    Raises ConfigurationError for what is no TOML, or has no table for the adapter; but not where a force can be seen in it all the
    same. `running`: the file has changed under a process that goes on whatever it says.
    """
    complaint, data = "", {}
    try:
        data = tomllib.loads(
            raw.decode("utf-8-sig")
        )  # some editors begin a file with a byte order mark
    except (ValueError, RecursionError) as error:
        complaint = _toml_problem(error)
    if complaint:  # outside of the handler: its exception may hold the whole text
        why = f"config_file: {path}: not TOML: {complaint}"
        lines = kill_switch.find_in_lines(raw.decode("utf-8", "replace"), running=running)
        return _with_problem(
            path, raw, why, [one for one in lines if one.known or path.name != PROJECT]
        )
    tool = data.get("tool")
    if path.name != PROJECT and not (isinstance(tool, dict) and "adapter" in tool):
        bare, forces = kill_switch.extract_forces(data)
        return SettingsFile(path, raw, bare, forces=tuple(forces))
    bare, forces = kill_switch.extract_forces(data, table=TABLE)
    forces = [one for one in forces if one.location[:2] == TABLE or _counts_as_force(one)]
    inner = bare["tool"].get("adapter") if isinstance(tool, dict) else None
    if not isinstance(inner, dict):
        return _with_problem(path, raw, f"config_file: {path}: has no table [tool.adapter]", forces)
    return SettingsFile(path, raw, inner, TABLE, tuple(forces))


def _with_problem(path: Path, raw: bytes, why: str, forces: list[ForceEntry]) -> SettingsFile:
    if not any(one.value for one in forces):
        raise ConfigurationError(why)
    return SettingsFile(path, raw, {}, (), tuple(forces), why)


def _counts_as_force(one: ForceEntry) -> bool:
    """Tell whether a force outside of our table is ours: another tool may have a setting of that name, with values of its own."""
    return one.known or (len(one.location) == 1 and one.text)


def _toml_problem(error: Exception) -> str:
    if isinstance(error, (UnicodeDecodeError, RecursionError)):
        return "not UTF-8" if isinstance(error, UnicodeDecodeError) else "nested too deeply"
    # Python's message may quote a character of the file; where it stands is all that is needed.
    place = re.search(r"\(at (.*)\)$", str(error))
    return f"at {place[1]}" if place else "unreadable"


def table_header(line: str) -> tuple[str, ...]:
    """Return the table that a line begins; nothing for any other line."""
    match = _HEADER.match(line)
    return _split_name(match[2]) if match else ()


def _split_name(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in _NAME.findall(dotted))


def _with_indexes(
    table: tuple[str | int, ...], seen: dict[tuple[str | int, ...], int]
) -> tuple[str | int, ...]:
    """Put the numbers of arrays of tables into a header's path: `rules.match` inside the second `[[rules]]`."""
    out: list[str | int] = []
    for end in range(1, len(table) + 1):
        out.append(table[end - 1])
        if table[:end] in seen:
            out.append(seen[table[:end]])
    return tuple(out)


def _common_length(here: tuple[str | int, ...], wanted: Location) -> int:
    shared = 0
    for one, other in zip(here, wanted, strict=False):
        if one != other:
            break
        shared += 1
    return shared
