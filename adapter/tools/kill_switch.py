"""Write the kill switch into a settings file, or remove it; the rest stays byte for byte."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adapter._settings import kill_switch, settings_file
from adapter._settings.fields import Force
from adapter._settings.settings import check_file
from adapter._util import regular_files
from adapter.errors import ConfigurationError

Wanted = Literal["chat", "native", "off"]

_BOM = "\ufeff"
_VALUE = r"""(?:"[^"\n]*"|'[^'\n]*'|\[[^\]\n]*\]|[^\s,#}\]]+)"""
_ENTRY = re.compile(rf"""^(\s*["']?force["']?\s*=\s*){_VALUE}(\s*(?:#.*)?)$""", re.IGNORECASE)
_INSIDE = re.compile(rf"""(["']?\bforce["']?\s*=\s*){_VALUE}()""", re.IGNORECASE)
_INLINE = re.compile(
    rf"""(?P<before>,\s*)?["']?\bforce["']?\s*=\s*{_VALUE}(?P<after>\s*,\s*)?""", re.IGNORECASE
)


class ForceError(Exception):
    """A file can't be changed; the message says why."""


@dataclass(frozen=True, slots=True)
class ForceResult:
    """The state of a file: whether it was written, the force in it and its line, and remarks."""

    path: Path
    written: bool
    value: str | None
    line: int | None
    removed_from: tuple[int, ...]
    remarks: tuple[str, ...]


def force_file(path: Path, wanted: Wanted) -> ForceResult:
    """Set `force` to "chat" or "native" in a settings file, or remove it.

    Raise ForceError if that isn't possible.
    """
    target = Path(os.path.realpath(path))  # a link is kept, and its target replaced
    try:
        found = target.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a pipe could block
            raise ForceError(f"{path}: not a file")
        regular_files.check_regular(found)
        raw = target.read_bytes()
    except regular_files.Unreadable as error:
        raise ForceError(f"{path}: {error}") from None
    except OSError as error:
        raise ForceError(f"{path}: {error.strerror or type(error).__name__}") from None
    text = raw.decode("utf-8", "surrogateescape")
    new = _edited(path, text, wanted)
    if wanted == "off" and not new.strip(f"{_BOM} \r\n") and new != text:
        new += "# No settings.\n"  # an empty file is taken for one that is being written
    made = new.encode("utf-8", "surrogateescape")
    remarks = [replace_file(target, made)] if made != raw else []
    before, after = _force_lines(path, text), _force_lines(path, new)
    removed = tuple(sorted({line for line, _ in before})) if wanted == "off" else ()
    value = kill_switch.strongest(one for _, one in after)
    line = next((line for line, one in after if one == value), None)
    if value != (None if wanted == "off" else wanted):
        remarks.append(
            f"{value} on line {line} can't be removed without rewriting the file: remove it by hand"
        )
    problem = _settings_error(path, made)
    if problem:
        effect = (
            "running programs keep their current force until this is fixed"
            if wanted == "off"
            else "the force applies anyway"
        )
        remarks.append(f"{problem}: {effect}")
    return ForceResult(path, made != raw, value, line, removed, tuple(filter(None, remarks)))


def _settings_error(path: Path, raw: bytes) -> str:
    """Return what is wrong with a file, whatever it forces; "" if nothing is."""
    try:
        document = settings_file.parse(path, raw, running=True)
        check_file(document)
    except ConfigurationError as error:
        return str(error)
    return ""


def _parse(path: Path, text: str) -> settings_file.SettingsFile | None:
    """Parse a text as the contents of a settings file; None if it can't be read."""
    try:
        return settings_file.parse(
            path.absolute(), text.encode("utf-8", "surrogateescape"), running=True
        )
    except ConfigurationError:
        return None


def _force_lines(path: Path, text: str) -> list[tuple[int, Force | None]]:
    """Return the lines with a force, and the value of each."""
    document = _parse(path, text)
    return (
        []
        if document is None
        else [(document.line_of(one) or 1, one.value) for one in document.forces]
    )


# The text


def _edited(path: Path, text: str, wanted: Wanted) -> str:
    bom, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    newline = "\r\n" if "\r\n" in text else "\n"
    line = "" if wanted == "off" else f'force = "{wanted}"'
    try:
        tomllib.loads(text.encode("utf-8", "surrogateescape").decode())  # TOML is UTF-8
    except (ValueError, RecursionError):
        # Remove all that a person would read as a force, and put the new one first.
        lines = [
            kill_switch.without_appended(one)
            for one in text.split("\n")
            if not kill_switch.is_line(one)
        ]
        kept = [
            "" if one and not kill_switch.without_stray_characters(one) else one for one in lines
        ]
        return bom + (line + newline if line else "") + "\n".join(kept)
    rest = _data_without_force(text)
    if line:
        text = _with_value_replaced(path, text, wanted, rest)
    text = _without_force(path, text, rest, keep=bool(line))
    if line and not any(value == wanted for _, value in _force_lines(path, text)):
        text = next(_texts_with_force(path, text, line, newline, rest), text)
    return bom + text


def _data_without_force(text: str) -> Any:
    """Return the data of a text without the force; None if it isn't TOML."""
    try:
        bare, _ = kill_switch.extract_forces(tomllib.loads(text))
    except (ValueError, RecursionError):
        return None
    return bare


def _with_value_replaced(path: Path, text: str, wanted: Wanted, rest: Any) -> str:
    """Replace the value of a well-placed force; the comment after it is kept."""
    document = _parse(path, text)
    for one in () if document is None else document.forces:
        number = None if document is None else document.line_of(one)
        if one.misplaced or number is None:
            continue
        lines = text.split("\n")
        body, end = _split_carriage_return(lines[number - 1])
        for pattern in (_ENTRY, _INSIDE):
            lines[number - 1] = pattern.sub(rf'\g<1>"{wanted}"\g<2>', body) + end
            changed = "\n".join(lines)
            if _data_without_force(changed) == rest and (number, wanted) in _force_lines(
                path, changed
            ):
                return changed
    return text


def _split_carriage_return(line: str) -> tuple[str, str]:
    return (line[:-1], "\r") if line.endswith("\r") else (line, "")


def _without_force(path: Path, text: str, rest: Any, *, keep: bool) -> str:
    """Remove every force; with `keep` all but the well-placed one.

    A force in a form that can't be edited safely is left.
    """
    skipped = 0
    while True:
        document = _parse(path, text)
        unwanted = (
            []
            if document is None
            else [one for one in document.forces if not keep or one.misplaced]
        )
        if document is None or len(unwanted) <= skipped:
            return text
        number = (document.line_of(unwanted[-1 - skipped]) or 1) - 1
        fewer = len(document.forces) - 1
        changed = (
            made
            for made in _texts_without_force(text, number)
            if _data_without_force(made) == rest and len(_force_lines(path, made)) == fewer
        )
        made = next(changed, None)
        if made is None:
            skipped += 1
        else:
            text = made


def _texts_without_force(text: str, number: int) -> Iterator[str]:
    """Yield the texts that result from removing a force from a line."""
    lines = text.split("\n")
    yield "\n".join([*lines[:number], *lines[number + 1 :]])
    for match in _INLINE.finditer(lines[number]):
        between = match["before"] if match["before"] and match["after"] else ""
        line = lines[number][: match.start()] + between + lines[number][match.end() :]
        yield "\n".join([*lines[:number], line, *lines[number + 1 :]])


def _texts_with_force(path: Path, text: str, line: str, newline: str, rest: Any) -> Iterator[str]:
    """Yield texts with the force: in its proper table first, then at the top."""
    document = _parse(path, text)
    table = settings_file.TABLE if document is None else document.table
    lines = text.split("\n")
    end = newline.removesuffix("\n")
    candidates = []
    if table:
        header = f"[{'.'.join(table)}]{newline}{line}{newline}"
        heads = [
            number
            for number, one in enumerate(lines)
            if settings_file.table_header(one)[: len(table)] == table
        ]
        if heads and settings_file.table_header(lines[heads[0]]) == table:
            candidates.append(
                "\n".join([*lines[: heads[0] + 1], line + end, *lines[heads[0] + 1 :]])
            )
            candidates.append(text + newline + line + newline)  # no final newline
        if heads:
            candidates.append("\n".join([*lines[: heads[0]], header + end, *lines[heads[0] :]]))
        candidates.append(
            text
            + ("" if text.endswith("\n") or not text else newline)
            + newline * bool(text)
            + header
        )
    first = next(
        (number for number, one in enumerate(lines) if not one.startswith("#")), len(lines)
    )
    candidates.append("\n".join([*lines[:first], line + end, *lines[first:]]))
    candidates.append(line + newline + text)
    for made in candidates:
        if _is_same_data(_data_without_force(made), rest) and _force_lines(path, made):
            yield made


def _is_same_data(made: Any, rest: Any) -> bool:
    """Return whether two files have the same data; an empty table of the adapter doesn't count."""
    if made is None:
        return False
    return bool(_without_empty_table(made) == _without_empty_table(rest))


def _without_empty_table(data: Any) -> Any:
    tool = data.get("tool")
    if not isinstance(tool, dict) or tool.get("adapter") != {}:
        return data
    tool = {name: value for name, value in tool.items() if name != "adapter"}
    return {name: value for name, value in data.items() if name != "tool"} | (
        {"tool": tool} if tool else {}
    )


# The file


def replace_file(path: Path, raw: bytes) -> str:
    """Replace a file's contents atomically, with its mode and owner.

    Return a remark if the file had to be written in place.
    """
    try:
        found = path.stat()
        if found.st_nlink > 1:
            raise _MustWriteInPlace("another name leads to the same file")
        _replace(path, raw, found)
        return ""
    except _MustWriteInPlace as error:
        why = str(error)
    except OSError as error:
        why = error.strerror or type(error).__name__
    try:
        with path.open("r+b") as file:  # in place: owner, links and mounts stay
            file.write(raw)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ForceError(f"{path}: {error.strerror or type(error).__name__}") from None
    return f"written in place, not in one step ({why})"


class _MustWriteInPlace(Exception):
    pass


def _replace(path: Path, raw: bytes, found: os.stat_result) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            if hasattr(os, "fchown") and (os.fstat(handle).st_uid, os.fstat(handle).st_gid) != (
                found.st_uid,
                found.st_gid,
            ):
                os.fchown(handle, found.st_uid, found.st_gid)
            if hasattr(os, "fchmod"):
                os.fchmod(handle, stat.S_IMODE(found.st_mode))
            os.fsync(handle)
        os.replace(name, path)  # noqa: PTH105  # as a whole, or not at all
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise
    with suppress(OSError):  # some file systems can't sync folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
