"""The figures of an audit: tables of counts that can be added in any order, and serialized."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from hashlib import blake2b
from typing import Any, Self

from adapter._util.safe_names import OTHER

MAX_KEYS = 2_000
"""The maximum number of keys in a table; the others are counted as `other`."""

MAX_BAD_LINES = 100
"""The maximum number of bad lines that are listed; all are counted."""

SEPARATOR = "\t"
"""Separates the parts of a key; no part contains one."""

VERSION = 1
BadLine = tuple[str, int, str]


@dataclass(slots=True)
class Summary:
    """The figures of some requests.

    `tables` are counts by table and key; `bad_lines` are the first lines that couldn't be read, by
    file, line (from 1) and reason. `merge` is associative and commutative, and `Summary()` is its
    neutral element, so the figures don't depend on how the work was split. A table keeps the
    MAX_KEYS keys with the smallest hashes: a key is either counted in full or not at all.
    """

    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    bad_lines: tuple[BadLine, ...] = ()

    def add(self, table: str, key: str, count: int = 1) -> None:
        """Add to a count; call `trim` in the end."""
        counts = self.tables.setdefault(table, {})
        counts[key] = counts.get(key, 0) + count

    def count(self, table: str, key: str | None = None) -> int:
        """Return the count of a key, or the sum of a table."""
        counts = self.tables.get(table, {})
        return sum(counts.values()) if key is None else counts.get(key, 0)

    def table(self, name: str) -> list[tuple[str, int]]:
        """Return the rows of a table, the largest first."""
        return sorted(
            self.tables.get(name, {}).items(), key=lambda row: (row[0] == OTHER, -row[1], row[0])
        )

    def pairs(self, name: str) -> list[tuple[tuple[str, ...], int]]:
        """Return the rows of a table, with their keys split into parts."""
        return [(tuple(key.split(SEPARATOR)), count) for key, count in self.table(name)]

    def trim(self) -> Self:
        """Drop what exceeds the maximum sizes."""
        for name, counts in self.tables.items():
            if len(counts) - (OTHER in counts) > MAX_KEYS:
                kept = set(sorted((key for key in counts if key != OTHER), key=_rank)[:MAX_KEYS])
                rest = sum(count for key, count in counts.items() if key not in kept)
                self.tables[name] = {key: count for key, count in counts.items() if key in kept} | {
                    OTHER: rest
                }
        self.bad_lines = tuple(sorted(set(self.bad_lines))[:MAX_BAD_LINES])
        return self

    def merge(self, other: Summary) -> Summary:
        """Return the sum of both; neither is changed."""
        tables = {name: dict(counts) for name, counts in self.tables.items()}
        for name, counts in other.tables.items():
            mine = tables.setdefault(name, {})
            for key, count in counts.items():
                mine[key] = mine.get(key, 0) + count
        return Summary(tables, (*self.bad_lines, *other.bad_lines)).trim()

    @classmethod
    def merged(cls, summaries: Iterable[Summary]) -> Summary:
        """Return the sum of all."""
        return reduce(cls.merge, summaries, Summary())

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON, for `from_json`."""
        tables = {
            name: dict(sorted(counts.items())) for name, counts in sorted(self.tables.items())
        }
        return {
            "version": VERSION,
            "tables": tables,
            "bad_lines": [list(line) for line in self.bad_lines],
        }

    def dumps(self) -> str:
        """Return the figures as JSON text, for engines that pass strings."""
        return json.dumps(self.to_json(), separators=(",", ":"))

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the result of `to_json` or `dumps`. Raises ValueError for anything else."""
        value = json.loads(value) if isinstance(value, (str, bytes)) else value
        if not isinstance(value, Mapping) or value.get("version") != VERSION:
            raise ValueError("not the summary of an audit of this version")
        try:
            tables = {
                str(name): {str(key): int(count) for key, count in counts.items()}
                for name, counts in value["tables"].items()
            }
            return cls(
                tables,
                tuple((str(file), int(line), str(why)) for file, line, why in value["bad_lines"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError):
            raise ValueError("not the summary of an audit") from None


def _rank(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
