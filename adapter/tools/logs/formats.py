"""Read log formats from TOML: the keys of a row, and where the parts of a request are.

A file has tables `[[logs]]`. `name` is the format's name. A row has the format if every path of
`has` leads to a value, at least one of `any`, none of `lacks`, and every path of `where` to its
value or to one of its values. Then either

- `rows`, `row` or `attributes` lead to values that are read as rows of their own: all values; the
  first; or OpenTelemetry attributes, whose dotted names become nested objects;
- `body` leads to the body of the request; or `messages`, `system`, `parameters` (objects) and
  `fields` (single parameters by name) lead to its parts;
- or `holds` says that such a row has no chat request: "nothing", an "answer" alone, or a request to
  an "other endpoint".

Optional are `url` (a URL or its base), `host`, and `usage`, or the reply that contains it. `only`
are paths whose other values make it a request to another endpoint; `provider` leads to the vendor's
name. A key that takes a path also takes a list of paths: the first that leads to a value is used.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path as File
from typing import Any, Final, Self

from adapter._util import regular_files, safe_names
from adapter.errors import AdapterError

from .json_path import BadPath, Key, Path, parse

Paths = tuple[Path, ...]
Values = tuple[tuple[Path, frozenset[Any]], ...]
"""Paths, each with the values that it may lead to; strings in lower case."""

_HOLDS: Final = ("nothing", "answer", "other endpoint")
_COMMON_KEYS = frozenset(  # in rows of many formats
    {"body", "request", "response", "messages", "model", "input", "name", "id"}
)
_MAX_FILE_BYTES = 1 << 20


class BadFormat(AdapterError, ValueError):
    """A description of logs that can't be read; the message begins with the location."""


@dataclass(frozen=True, slots=True)
class LogFormat:
    """One log format; see the module's docstring."""

    name: str
    has: Paths = ()
    any: Paths = ()
    where: Values = ()
    lacks: Paths = ()
    rows: Paths = ()
    row: Paths = ()
    attributes: Paths = ()
    body: Paths = ()
    messages: Paths = ()
    system: Paths = ()
    parameters: Paths = ()
    fields: tuple[tuple[str, Paths], ...] = ()
    url: Paths = ()
    host: Paths = ()
    usage: Paths = ()
    only: Values = ()
    provider: Paths = ()
    holds: str = ""

    def fits(self, row: dict[str, Any]) -> bool:
        """Return whether a row has this format."""
        for path in self.has:  # loops rather than generators: this runs for each row
            if path.find(row) is None:
                return False
        for path, values in self.where:
            if not is_one_of(path.find(row), values):
                return False
        for path in self.lacks:
            if path.find(row) is not None:
                return False
        return not self.any or any(path.find(row) is not None for path in self.any)

    @property
    def specificity(self) -> int:
        """How many path steps and values the format requires; the most specific format wins."""
        least = min((len(path.steps) for path in self.any), default=0)
        return (
            least
            + sum(len(path.steps) for path in self.has)
            + sum(len(path.steps) + 1 for path, _ in self.where)
        )


def is_one_of(value: Any, values: frozenset[Any]) -> bool:
    """Return whether a value is one of some, ignoring the case of strings."""
    if isinstance(value, str):
        return value.lower() in values
    return isinstance(value, (bool, int)) and value in values


@dataclass(frozen=True, slots=True)
class RowFormats:
    """The known log formats. Can be pickled.

    `body` is the only path at which bodies are looked for, if it is set. `own` are the user's
    formats, which come before the built-in ones, in their order. `digest` differs between formats
    that may read rows differently.
    """

    body: Path | None = None
    own: tuple[LogFormat, ...] = ()
    known: tuple[LogFormat, ...] = ()
    providers: frozenset[str] = frozenset()
    index: dict[str, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    @staticmethod
    def builtin() -> RowFormats:
        """Return the built-in formats; always the same object."""
        return _builtin()

    def with_body(self, path: str) -> Self:
        """Return formats that look for the body at one path only. Raises BadFormat."""
        try:
            return replace(self, body=parse(path))
        except BadPath as error:
            raise BadFormat(f"{safe_names.printable(path)}: {error}") from None

    def with_file(self, file: str | File) -> Self:
        """Return formats with those of a file added. Raises BadFormat."""
        return replace(self, own=(*self.own, *_read(File(file))))._indexed()

    def _indexed(self) -> Self:
        """Index formats by a key that each of their rows has, so a row is compared with few."""
        index: dict[str, list[int]] = {}
        for number, one in enumerate((*self.own, *self.known)):
            for key in _index_keys(one):
                index.setdefault(key, []).append(number)
        return replace(self, index={key: tuple(numbers) for key, numbers in index.items()})

    @property
    def is_plain(self) -> bool:
        """Return whether a bare body is read as one, before any format."""
        return self.body is None and not self.own

    @property
    def digest(self) -> str:
        """A digest that differs if rows may be read differently."""
        content = _canonical((self.body, self.own, self.known, self.providers))
        return hashlib.sha256(repr(content).encode()).hexdigest()[:12]

    def format_of(self, row: dict[str, Any]) -> LogFormat | None:
        """Return the first of the user's formats that fits, else the most specific built-in one."""
        index = self.index
        if index.keys().isdisjoint(row):
            return None
        found = {number for key in row if key in index for number in index[key]}
        own = len(self.own)
        for number in sorted(found):
            one = self.own[number] if number < own else self.known[number - own]
            if one.fits(row):
                return one
        return None


def _canonical(value: Any) -> Any:
    """Return a value with the same repr in every process; sets have no order of their own."""
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    if isinstance(value, tuple):
        return [_canonical(one) for one in value]
    if isinstance(value, LogFormat):
        return [_canonical(getattr(value, one.name)) for one in fields(value)]
    return value


def _index_keys(one: LogFormat) -> list[str]:
    sure = [_first_name(path) for path in _required_paths(one) if _begins_with_name(path)]
    return sorted(sure, key=_COMMON_KEYS.__contains__)[:1] or [
        _first_name(path) for path in one.any
    ]


def _required_paths(one: LogFormat) -> Paths:
    return (*one.has, *(path for path, _ in one.where))


def _begins_with_name(path: Path) -> bool:
    """Return whether a path begins with a name."""
    return bool(path.steps) and isinstance(path.steps[0], Key)


def _first_name(path: Path) -> str:
    step = path.steps[0]
    assert isinstance(step, Key)  # checked when the format is read
    return step.name


@cache
def _builtin() -> RowFormats:
    document = tomllib.loads(File(__file__).with_name("formats.toml").read_text(encoding="utf-8"))
    table = _formats(document["logs"], "formats.toml")
    known = tuple(sorted(table, key=lambda one: -one.specificity))
    return RowFormats(known=known, providers=frozenset(document["providers"]))._indexed()


def _read(file: File) -> Iterator[LogFormat]:
    shown = safe_names.printable(file)
    try:
        with regular_files.open_regular(file) as opened:
            data = opened.read(_MAX_FILE_BYTES + 1)
    except regular_files.Unreadable as error:
        raise BadFormat(f"{shown}: {error}") from None
    if len(data) > _MAX_FILE_BYTES:
        raise BadFormat(f"{shown}: longer than {_MAX_FILE_BYTES:,} bytes")
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BadFormat(f"{shown}: not TOML: {error}") from None
    unknown = next((key for key in document if key != "logs"), None)
    if unknown is not None:
        raise BadFormat(f"{shown}: {safe_names.key(unknown)}: unknown; expected tables [[logs]]")
    if "logs" not in document:
        raise BadFormat(f"{shown}: logs: missing; expected tables [[logs]]")
    return _formats(document["logs"], shown)


def _formats(tables: Any, file: str) -> Iterator[LogFormat]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadFormat(f"{file}: logs: expected tables [[logs]]")
    return iter([_format(table, f"{file}: logs[{number}]") for number, table in enumerate(tables)])


def _format(table: Mapping[str, Any], at: str) -> LogFormat:
    given: dict[str, Any] = {}
    for key, value in table.items():
        read = _READERS.get(key)
        if read is None:
            raise BadFormat(
                f"{at}.{safe_names.key(key)}: unknown; expected one of {', '.join(_READERS)}"
            )
        given[key] = read(value, f"{at}.{key}")
    if not given.get("name"):
        raise BadFormat(f"{at}.name: missing")
    request_keys = [key for key in _REQUEST_KEYS if given.get(key)]
    if not request_keys:
        raise BadFormat(f"{at}: no path to a request; expected one of {', '.join(_REQUEST_KEYS)}")
    kinds = {_REQUEST_KEYS[key] for key in request_keys}
    if len(kinds) > 1:
        raise BadFormat(f"{at}: {' and '.join(request_keys)} exclude each other")
    if not any(given.get(key) for key in ("has", "where", "any")):
        leading = given.get(request_keys[0])
        if not isinstance(leading, tuple) or request_keys[0] == "fields":
            raise BadFormat(f"{at}.has: missing")
        given["has"] = leading[:1]
    one = LogFormat(**given)
    if not any(map(_begins_with_name, _required_paths(one))) and not (
        one.any and all(map(_begins_with_name, one.any))
    ):
        raise BadFormat(f"{at}.has: expected a path that begins with a name")
    return one


_REQUEST_KEYS = {
    "rows": "rows",
    "row": "row",
    "attributes": "attributes",
    "body": "body",
    "holds": "holds",
    "messages": "parts",
    "system": "parts",
    "parameters": "parts",
    "fields": "parts",
}


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise BadFormat(f"{at}: expected a text")
    return value


def _name(value: Any, at: str) -> str:
    if not _text(value, at).strip() or len(value) > 100:
        raise BadFormat(f"{at}: expected a name of 1 to 100 characters")
    return safe_names.printable(value)


def _holds(value: Any, at: str) -> str:
    if value not in _HOLDS:
        raise BadFormat(f"{at}: expected one of {', '.join(_HOLDS)}")
    return str(value)


def _paths(value: Any, at: str) -> Paths:
    several = value if isinstance(value, list) else [value]
    if not several:
        raise BadFormat(f"{at}: empty; expected a path")
    found = []
    for number, one in enumerate(several):
        place = f"{at}[{number}]" if isinstance(value, list) else at
        try:
            found.append(parse(_text(one, place)))
        except BadPath as error:
            raise BadFormat(f"{place}: {error}") from None
    return tuple(found)


def _values(value: Any, at: str) -> Values:
    if not isinstance(value, dict):
        raise BadFormat(f"{at}: expected a table of paths and values")
    found = []
    for key, given in value.items():
        place = f'{at}."{safe_names.printable(key)}"'
        several = given if isinstance(given, list) else [given]
        if not several or not all(isinstance(one, (str, bool, int)) for one in several):
            raise BadFormat(f"{place}: expected a text, a number, a flag, or a list of them")
        (path,) = _paths(key, place)
        found.append(
            (path, frozenset(one.lower() if isinstance(one, str) else one for one in several))
        )
    return tuple(found)


def _fields(value: Any, at: str) -> tuple[tuple[str, Paths], ...]:
    if not isinstance(value, dict):
        raise BadFormat(f"{at}: expected a table of parameters and paths")
    return tuple((key, _paths(one, f"{at}.{safe_names.key(key)}")) for key, one in value.items())


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "name": _name,
    "where": _values,
    "only": _values,
    "fields": _fields,
    "holds": _holds,
    **{one.name: _paths for one in fields(LogFormat) if one.type == "Paths"},
}
