"""Summaries add up in any order and any split, and round-trip through JSON."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter import Settings
from adapter.tools.audit import summary as module
from adapter.tools.audit.batches import audit_batch, audit_batches
from adapter.tools.audit.summary import Summary
from tests.support import traffic

_tables = st.dictionaries(
    st.sampled_from(["fate", "model"]),
    st.dictionaries(st.sampled_from([*"abcdefgh", "other"]), st.integers(1, 9), min_size=1),
    max_size=2,
)
_lines = st.lists(
    st.tuples(st.sampled_from("xy"), st.integers(1, 9), st.just("not JSON")), max_size=4
)


def made(tables: dict[str, dict[str, int]], lines: list[tuple[str, int, str]]) -> Summary:
    return Summary({name: dict(counts) for name, counts in tables.items()}, tuple(lines)).trim()


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the maximum sizes so that they are always reached."""
    monkeypatch.setattr(module, "MAX_KEYS", 3)
    monkeypatch.setattr(module, "MAX_BAD_LINES", 3)


_made = st.builds(lambda tables, lines: (tables, lines), _tables, _lines)


@given(_made, _made, _made)
def test_merging_is_associative_and_commutative(a: Any, b: Any, c: Any) -> None:
    module.MAX_KEYS = module.MAX_BAD_LINES = 3
    one, two, three = made(*a), made(*b), made(*c)
    whole = one.merge(two).merge(three).to_json()
    assert one.merge(two.merge(three)).to_json() == whole
    assert three.merge(one).merge(two).to_json() == whole
    assert Summary().merge(one).to_json() == one.to_json() == one.merge(Summary()).to_json()
    assert Summary.from_json(one.dumps()).to_json() == one.to_json()
    for name, counts in whole["tables"].items():
        assert len(counts) - ("other" in counts) <= 3
        assert sum(counts.values()) == sum(
            sum(given[0].get(name, {}).values()) for given in (a, b, c)
        ), "something was lost"


@pytest.mark.parametrize(
    "wrong",
    [
        "{}",
        "[]",
        '{"version": 9, "tables": {}, "bad_lines": []}',
        '{"version": 1, "tables": {"a": 1}}',
        "1",
        "x",
    ],
)
def test_other_json_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"summary|Expecting"):
        Summary.from_json(wrong)


def test_any_split_gives_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 5)  # fewer than there are models
    lines = list(traffic.rows(600, 3, traffic.Totals()))
    places = [
        pa.array(lines, pa.binary()),
        pa.array(["a"] * len(lines)),
        pa.array(range(len(lines))),
    ]
    batch = pa.RecordBatch.from_arrays(places, ["body", "file", "line"])
    settings = Settings()
    whole = audit_batch(batch, settings).to_json()
    assert whole["tables"]["model fate"]["other"] > 0
    chance = random.Random(5)
    cuts = sorted(chance.sample(range(600), 7))
    pieces = [
        batch.slice(start, stop - start)
        for start, stop in zip([0, *cuts], [*cuts, 600], strict=True)
    ]
    chance.shuffle(pieces)
    assert Summary.merged(audit_batch(piece, settings) for piece in pieces).to_json() == whole
    # Like an engine that maps record batches, one partition at a time.
    rows = [
        row
        for part in (pieces[:3], pieces[3:])
        for one in audit_batches(settings)(iter(part))
        for row in one.to_pylist()
    ]
    assert [list(row) for row in rows] == [["summary"]] * 2
    assert Summary.merged(Summary.from_json(row["summary"]) for row in rows).to_json() == whole


def test_the_guides_example_for_spark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run the example on a stub of Spark: a column `value`, partitions, rows of strings."""
    guide = Path(__file__).parents[2] / "docs" / "guides" / "audit-logs.md"
    above, _, below = guide.read_text(encoding="utf-8").partition("rows = lines.mapInArrow")
    code = (
        above.rpartition("```python\n")[2] + "rows = lines.mapInArrow" + below.partition("```")[0]
    )
    lines = list(traffic.rows(200, 4, traffic.Totals()))
    monkeypatch.setattr(module, "MAX_KEYS", 2_000)

    class Row:
        def __init__(self, values: dict[str, Any]) -> None:
            self.__dict__.update(values)

    class Frame:
        def mapInArrow(self, function: Any, schema: str) -> Frame:  # noqa: N802  # the name in Spark
            assert schema == "summary string"
            parts = [
                [
                    pa.RecordBatch.from_pydict(
                        {"value": [line.decode() for line in lines[at : at + 50]]}
                    )
                    for at in range(start, stop, 50)
                ]
                for start, stop in ((0, 100), (100, 200), (200, 200))
            ]
            self.rows = [
                Row(row)
                for part in parts
                for batch in function(iter(part))
                for row in batch.to_pylist()
            ]
            return self

        def collect(self) -> list[Row]:
            return self.rows

    class Spark:
        def text(self, path: str) -> Frame:
            return Frame()

        read = property(lambda self: self)

    (tmp_path / "adapter.toml").write_text('drop = ["seed"]\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"spark": Spark()}
    exec(compile(code, "audit-logs.md", "exec"), names)
    whole = audit_batch(pa.RecordBatch.from_pydict({"body": lines}), Settings(drop=["seed"]))
    assert names["document"]["fates"] == {
        fate: {
            "requests": whole.count("fate", fate),
            "share": pytest.approx(
                100 * whole.count("fate", fate) / whole.count("rows", "request"), abs=1e-4
            ),
        }
        for fate in names["document"]["fates"]
    }
    json.dumps(names["document"])
