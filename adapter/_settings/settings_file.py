"""The settings file: `adapter.toml`, or the table `[tool.adapter]` of a pyproject.toml.

It knows the line of each setting, for error messages.
"""

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

# Descriptors that a shell has opened (`<(…)`), and the empty file: they end, though not regular.
_FINITE_PATHS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/", os.devnull)

_KEY = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"({_KEY}(?:\s*\.\s*{_KEY})*)"
_HEADER = re.compile(rf"\s*(\[\[?)\s*{_DOTTED}\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(rf"\s*{_DOTTED}\s*=")
_NAME = re.compile(_KEY)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read: its path, its bytes, its settings, and their table.

    `forces` holds every `force` of the file, and `data` everything else. `problem` is why there are
    no settings; then there is a force, or a force from another source must make up for it.
    """

    path: Path
    raw: bytes = field(repr=False)  # may hold passwords
    data: dict[str, Any] = field(repr=False)
    table: tuple[str, ...] = ()
    forces: tuple[ForceEntry, ...] = ()
    problem: str = ""

    def where(self, location: Location) -> str:
        """Return where a setting is, if possible with its line: `adapter.toml, line 3`."""
        return self._place(self._line((*self.table, *location), len(self.table)))

    def where_force(self, entry: ForceEntry) -> str:
        """Return where a force is."""
        return self._place(self.line_of(entry))

    def line_of(self, entry: ForceEntry) -> int | None:
        """Return the line of a force; None if it isn't known."""
        (number, *_) = entry.location
        return number if isinstance(number, int) else self._line(entry.location, 0)

    def _place(self, line: int | None) -> str:
        return f"{self.path}, line {line}" if line else str(self.path)

    def _line(self, wanted: Location, known: int) -> int | None:
        """Return the line that names the longest part of a setting's path.

        None if it names no more than the first `known` parts. An inline table, and a value of
        several lines, count as their first line.
        """
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
            # A header names a prefix of the path, as does an entry whose value is a table.
            if shared > best and (shared == len(here)):
                best, line = shared, number
        return line if best > known else None


def read(path: str | os.PathLike[str]) -> SettingsFile:
    """Read a settings file.

    Raises ConfigurationError, with the file and the line, for one that can't be read.
    """
    path = Path(path).absolute()  # read again later, perhaps from another working directory
    try:
        raw = contents(path)
    except OSError as error:
        raise ConfigurationError(
            f"config_file: {path}: {error.strerror or type(error).__name__}"
        ) from None
    return parse(path, raw)


def contents(path: Path) -> bytes:
    """Return a settings file's bytes.

    Raises OSError, and ConfigurationError for a pipe or a device, which may never end.
    """
    if not path.as_posix().startswith(_FINITE_PATHS):
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):  # reading a folder raises an error of its own
            try:
                regular_files.check_regular(status)
            except regular_files.Unreadable as error:
                raise ConfigurationError(f"config_file: {path}: {error}") from None
    return path.read_bytes()


def unreadable_file(path: str | os.PathLike[str], why: str) -> SettingsFile:
    """Return a placeholder for a file that can't be read now, but perhaps later."""
    return SettingsFile(Path(path).absolute(), b"", {}, problem=why)


def parse(path: Path, raw: bytes, *, running: bool = False) -> SettingsFile:
    """Parse a settings file's bytes.

    Raises ConfigurationError for a file that isn't TOML, or has no table for the adapter, unless it
    holds a force. `running`: the file has changed under a running process, which must not fail.
    """
    problem, data = "", {}
    try:
        data = tomllib.loads(raw.decode("utf-8-sig"))  # some editors write a byte order mark
    except (ValueError, RecursionError) as error:
        problem = _toml_problem(error)
    if problem:  # not raised in the handler, whose exception may hold the whole text
        why = f"config_file: {path}: not TOML: {problem}"
        forces = kill_switch.find_in_lines(raw.decode("utf-8", "replace"), running=running)
        own = [entry for entry in forces if entry.known or path.name != PROJECT]
        return _with_problem(path, raw, why, own)
    tool = data.get("tool")
    if path.name != PROJECT and not (isinstance(tool, dict) and "adapter" in tool):
        bare, forces = kill_switch.extract_forces(data)
        return SettingsFile(path, raw, bare, forces=tuple(forces))
    bare, forces = kill_switch.extract_forces(data, table=TABLE)
    forces = [
        entry for entry in forces if entry.location[:2] == TABLE or _counts_outside_table(entry)
    ]
    inner = bare["tool"].get("adapter") if isinstance(tool, dict) else None
    if not isinstance(inner, dict):
        return _with_problem(path, raw, f"config_file: {path}: has no table [tool.adapter]", forces)
    return SettingsFile(path, raw, inner, TABLE, tuple(forces))


def _with_problem(path: Path, raw: bytes, why: str, forces: list[ForceEntry]) -> SettingsFile:
    if not any(entry.value for entry in forces):
        raise ConfigurationError(why)
    return SettingsFile(path, raw, {}, (), tuple(forces), why)


def _counts_outside_table(entry: ForceEntry) -> bool:
    """Return whether a force outside of our table counts: another tool may have such a setting."""
    return entry.known or (len(entry.location) == 1 and entry.text)


def _toml_problem(error: Exception) -> str:
    if isinstance(error, (UnicodeDecodeError, RecursionError)):
        return "not UTF-8" if isinstance(error, UnicodeDecodeError) else "nested too deeply"
    # Only the position: Python's message may quote a character of the file.
    place = re.search(r"\(at (.*)\)$", str(error))
    return f"at {place[1]}" if place else "unreadable"


def table_header(line: str) -> tuple[str, ...]:
    """Return the path of the table that a line begins; empty for any other line."""
    match = _HEADER.match(line)
    return _split_name(match[2]) if match else ()


def _split_name(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in _NAME.findall(dotted))


def _with_indexes(
    table: tuple[str | int, ...], seen: dict[tuple[str | int, ...], int]
) -> tuple[str | int, ...]:
    """Insert the indexes of arrays of tables into a header's path.

    `rules.match` in the second `[[rules]]` is `rules.1.match`.
    """
    path: list[str | int] = []
    for end in range(1, len(table) + 1):
        path.append(table[end - 1])
        if table[:end] in seen:
            path.append(seen[table[:end]])
    return tuple(path)


def _common_length(here: tuple[str | int, ...], wanted: Location) -> int:
    shared = 0
    for one, other in zip(here, wanted, strict=False):
        if one != other:
            break
        shared += 1
    return shared
