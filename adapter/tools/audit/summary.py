"""What an audit counts: tables that can be added up in any order, and written down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from hashlib import blake2b
from typing import Any, Self

from adapter._util.safe_names import OTHER

MAX_KEYS = 2_000
"""How many keys a table keeps; what is beyond them is counted as `other`."""

MAX_BAD_LINES = 100
"""How many bad lines are listed; all are counted."""

SEPARATOR = "\t"
"""Stands between the parts of a key: no part has one."""

VERSION = 1
BadLine = tuple[str, int, str]


@dataclass(slots=True)
class Summary:
    """The figures of some requests.

    `tables` are counts by table and key; `bad_lines` the first lines that couldn't be read, by file, line (from 1) and reason.
    `merge` is associative and commutative, and `Summary()` changes nothing, so that the figures are the same however the work was
    split. A table keeps the MOST_NAMES keys of least hash: whatever was kept anywhere is counted in full, or not at all.
    """

    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    bad_lines: tuple[BadLine, ...] = ()

    def add(self, table: str, key: str, count: int = 1) -> None:
        """Count something; `trim` when done."""
        counts = self.tables.setdefault(table, {})
        counts[key] = counts.get(key, 0) + count

    def count(self, table: str, key: str | None = None) -> int:
        """Return one count, or the sum of a table's."""
        counts = self.tables.get(table, {})
        return sum(counts.values()) if key is None else counts.get(key, 0)

    def table(self, name: str) -> list[tuple[str, int]]:
        """Return a table's rows, the greatest first."""
        return sorted(
            self.tables.get(name, {}).items(), key=lambda row: (row[0] == OTHER, -row[1], row[0])
        )

    def pairs(self, name: str) -> list[tuple[tuple[str, ...], int]]:
        """Return the rows of a table whose keys have parts."""
        return [(tuple(key.split(SEPARATOR)), count) for key, count in self.table(name)]

    def trim(self) -> Self:
        """Keep to the bounds."""
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
        """Return the figures of both together; neither is changed."""
        tables = {name: dict(counts) for name, counts in self.tables.items()}
        for name, counts in other.tables.items():
            mine = tables.setdefault(name, {})
            for key, count in counts.items():
                mine[key] = mine.get(key, 0) + count
        return Summary(tables, (*self.bad_lines, *other.bad_lines)).trim()

    @classmethod
    def merged(cls, summaries: Iterable[Summary]) -> Summary:
        """Return the figures of all together."""
        return reduce(cls.merge, summaries, Summary())

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; `from_json` reads it."""
        tables = {
            name: dict(sorted(counts.items())) for name, counts in sorted(self.tables.items())
        }
        return {
            "version": VERSION,
            "tables": tables,
            "bad_lines": [list(line) for line in self.bad_lines],
        }

    def dumps(self) -> str:
        """Return it as JSON text, for engines that pass strings."""
        return json.dumps(self.to_json(), separators=(",", ":"))

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what `to_json` or `dumps` wrote. Raises ValueError for anything else."""
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
