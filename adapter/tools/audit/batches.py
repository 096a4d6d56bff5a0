"""Audit a record batch of logged requests: the unit that any engine can map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from adapter._settings.settings import Settings
from adapter._util import fast_json, json_codec
from adapter.errors import AdapterError, MissingExtra
from adapter.tools.logs.rows import LoggedRequest, NonRequest, RowFormats, unwrap, unwrap_all

from .json_documents import EXTRA_COMMA, NOT_JSON
from .summary import SEPARATOR, Summary
from .verdicts import Classifier, Verdict

if TYPE_CHECKING:
    import pyarrow as pa

BODY_COLUMNS = (
    "body",
    "request_body",
    "request",
    "json",
    "input",
    "payload",
    "value",
    "line",
    "text",
)
"""Usual names of the column with the requests, best first. Otherwise the first suitable column."""

_SIBLING_COLUMNS = {"url": ("url", "path", "endpoint"), "response": ("response", "response_body")}
_CLASSIFIERS: dict[tuple[str, bool], Classifier] = {}
_MAX_CLASSIFIERS = 4
_SAMPLED_ROWS = 20
_CHARACTERS_PER_TOKEN = 4  # roughly, for English; used where the log has no token counts


class NoRequests(AdapterError, ValueError):
    """The data has no column that could contain requests."""


def import_pyarrow() -> Any:
    """Import pyarrow. Raises MissingExtra if it isn't installed."""
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtra("Parquet and record batches need pyarrow (extra `parquet`)") from None
    return pa


def audit_batch(
    batch: pa.RecordBatch,
    settings: Settings | None = None,
    *,
    plain: bool = False,
    formats: RowFormats | None = None,
) -> Summary:
    """Audit the requests of one record batch; pure, so it can run anywhere and be repeated.

    If the columns are the keys of a known log format, or `formats` has a path of bodies, each row
    is read as it is. Otherwise the column `body` (or another of BODY_COLUMNS) holds JSON as text or
    bytes, or structs: bodies, or log rows around them (see `rows.unwrap`). The columns `url`, and
    `response` with the usage, are optional; `file` and `line` locate rows that can't be read. In a
    batch with a column `messages` each parameter has its column.

    `settings` are those of production, by default from the environment. `plain` classifies each
    request by itself instead of each shape once. `formats` are the known log formats, by default
    the built-in ones. Raises NoRequests, a ValueError, for a batch without a suitable column.
    """
    return _summarize(_rows(batch, formats), _classifier_for(settings, plain=plain), formats)


def audit_rows(
    rows: Iterable[tuple[Any, str, int]],
    settings: Settings | None = None,
    *,
    formats: RowFormats | None = None,
) -> Summary:
    """Audit log rows, JSON as bytes or as values, each with its file and line; see audit_batch."""
    return _summarize(rows, _classifier_for(settings, plain=False), formats)


def audit_batches(
    settings: Settings | None = None, *, formats: RowFormats | None = None
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function that maps record batches to one with a single string, `summary`.

    `Summary.from_json` reads the string. The function can be pickled with its settings, and fits
    `DataFrame.mapInArrow(audit_batches(settings), "summary string")`.
    """
    return _BatchAuditor(settings, formats)


class _BatchAuditor:
    def __init__(self, settings: Settings | None, formats: RowFormats | None) -> None:
        self.settings, self.formats = settings, formats

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        summary = Summary.merged(
            audit_batch(batch, self.settings, formats=self.formats) for batch in batches
        )
        yield import_pyarrow().RecordBatch.from_pydict({"summary": [summary.dumps()]})


def _classifier_for(settings: Settings | None, *, plain: bool) -> Classifier:
    settings = Settings() if settings is None else settings
    name = settings.hash, plain
    classifier = _CLASSIFIERS.get(name)
    if classifier is None:
        if len(_CLASSIFIERS) >= _MAX_CLASSIFIERS:
            _CLASSIFIERS.clear()
        classifier = _CLASSIFIERS[name] = Classifier(settings, plain=plain)
    return classifier


def _rows(batch: pa.RecordBatch, formats: RowFormats | None) -> Iterator[tuple[Any, str, int]]:
    """Yield each row with its file and line; the file is empty if the batch has none."""
    formats = RowFormats.builtin() if formats is None else formats
    count = batch.num_rows
    placed = {"file", "line"} <= {*batch.schema.names}
    files = batch.column("file").to_pylist() if placed else [""] * count
    lines = batch.column("line").to_pylist() if placed else range(count)
    if placed:
        batch = batch.select([name for name in batch.schema.names if name not in ("file", "line")])
    columns = list(batch.schema.names)
    if formats.body is not None or "messages" in columns or _match_known_format(batch, formats):
        yield from zip(batch.to_pylist(), files, lines, strict=True)
        return
    bodies = batch.column(_body_column(batch)).to_pylist()
    siblings = {
        key: found
        for key, names in _SIBLING_COLUMNS.items()
        if (found := next((n for n in names if n in columns), None))
    }
    if not siblings:
        yield from zip(bodies, files, lines, strict=True)
        return
    others = {key: batch.column(name).to_pylist() for key, name in siblings.items()}
    for i, body in enumerate(bodies):
        yield (
            {"body": body, **{key: _parsed_reply(values[i]) for key, values in others.items()}},
            files[i],
            lines[i],
        )


def _match_known_format(batch: pa.RecordBatch, formats: RowFormats) -> bool:
    """Return whether the columns are the keys of a known format, by the first rows."""
    return any(
        formats.format_of(row) is not None for row in batch.slice(0, _SAMPLED_ROWS).to_pylist()
    )


def _parsed_reply(value: Any) -> Any:
    """Parse a reply that its column holds as text; other text is returned as it is."""
    if isinstance(value, (str, bytes)) and value[:1] in ("{", b"{"):
        try:
            return fast_json.loads(value)
        except ValueError:
            return None
    return value


def _body_column(batch: pa.RecordBatch) -> str:
    types = import_pyarrow().types
    able = [
        field.name
        for field in batch.schema
        if types.is_string(field.type)
        or types.is_large_string(field.type)
        or types.is_struct(field.type)
        or types.is_binary(field.type)
        or types.is_large_binary(field.type)
    ]
    found = next((name for name in (*BODY_COLUMNS, *able) if name in able), None)
    if found is None:
        raise NoRequests(
            "no column that could hold requests: "
            "expected JSON as text, or structs, in a column `body`"
        )
    return str(found)


class _Tally:
    """The counts of the requests that have one verdict."""

    __slots__ = (
        "completion",
        "count",
        "estimated",
        "logged",
        "prompt",
        "reasoning",
        "verdict",
        "with_usage",
    )

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.count = self.with_usage = self.prompt = self.completion = self.reasoning = 0
        self.logged = self.estimated = 0  # prompt tokens of requests with n > 1

    def add(self, logged: LoggedRequest) -> None:
        self.count += 1
        prompt = None
        if logged.usage is not None:
            prompt = _number(logged.usage, "prompt_tokens")
            if prompt is not None:
                self.with_usage += 1
                self.prompt += prompt
                self.completion += _number(logged.usage, "completion_tokens") or 0
                self.reasoning += (
                    _number(logged.usage.get("completion_tokens_details"), "reasoning_tokens") or 0
                )
        if self.verdict.n > 1:
            if prompt is None:
                self.estimated += (
                    len(json_codec.dumps(logged.body.get("messages"))) // _CHARACTERS_PER_TOKEN
                )
            else:
                self.logged += prompt


def _number(usage: Any, key: str) -> int | None:
    value = usage.get(key) if isinstance(usage, Mapping) else None
    return value if type(value) is int and value >= 0 else None


def _summarize(
    rows: Iterable[tuple[Any, str, int]], classifier: Classifier, formats: RowFormats | None = None
) -> Summary:
    summary = Summary()
    tallies: dict[int, _Tally] = {}
    bad: list[tuple[str, int, str]] = []
    notes: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for row, file, line in rows:
        if isinstance(row, (bytes, str)) and (not row or row.isspace()):
            continue
        for logged in unwrap_all(row, formats):
            if isinstance(logged, LoggedRequest):
                verdict = classifier.classify(logged)
                tally = tallies.get(id(verdict))
                if tally is None:
                    # The tally keeps the verdict alive, so that its id stays unique.
                    tally = tallies[id(verdict)] = _Tally(verdict)
                tally.add(logged)
                if logged.missing or logged.format:
                    notes[logged.format, logged.missing] += 1
            elif isinstance(logged, NonRequest):
                summary.add("rows", logged.value)
            else:
                why = _refined_reason(row, logged, formats)
                summary.add("bad", why)
                if file:
                    bad.append((file, line, why))
    for (name, missing), count in notes.items():
        if name:
            summary.add("format", name, count)
        for part in missing:
            summary.add("not in the log", part, count)
    for tally in tallies.values():
        _count(summary, tally)
    summary.bad_lines = tuple(bad)
    return summary.trim()


def _refined_reason(row: Any, reason: str, formats: RowFormats | None) -> str:
    """Detect a comma after valid JSON: the line is an element of an array without brackets."""
    if reason == NOT_JSON and isinstance(row, bytes):
        value = row.rstrip()
        if value.endswith(b",") and unwrap(value[:-1], formats) != NOT_JSON:
            return EXTRA_COMMA
    return reason


def _count(summary: Summary, tally: _Tally) -> None:
    verdict, count = tally.verdict, tally.count
    fate, model = verdict.kind, verdict.model

    def add(table: str, *parts: str, by: int = count) -> None:
        summary.add(table, SEPARATOR.join(parts), by)

    add("rows", "request")
    add("fate", fate)
    add("model fate", model, fate)
    add("rule", "none" if verdict.rule is None else str(verdict.rule))
    if verdict.settings:
        add(
            "settings" if fate == "with settings" else "breaking settings",
            " + ".join(verdict.settings),
        )
    for name in verdict.held:
        add("held", name)
    for path, why in verdict.kept:
        add("kept", path, why)
    for path, action in verdict.losses:
        add("loss", path, action)
    if verdict.responses_only_reason is not None:
        add("one way", model, verdict.responses_only_reason)
    if verdict.chat_only:
        add("chat only", model)
    if verdict.shutdown is not None:
        add("shutdown", verdict.shutdown, model)
    if verdict.bug:
        add("rows", "adapter bug")
    for name in verdict.parameters:
        add("parameter", name)
    for name in verdict.extras:
        add("extra", name)
    for name in verdict.features:
        add("feature", name, fate)
    if tally.with_usage:
        add("usage", fate, "requests", by=tally.with_usage)
        add("usage", fate, "prompt", by=tally.prompt)
        add("usage", fate, "completion", by=tally.completion)
        add("usage", fate, "reasoning", by=tally.reasoning)
    _count_multiple_choices(summary, tally)


def _count_multiple_choices(summary: Summary, tally: _Tally) -> None:
    verdict, more = tally.verdict, tally.verdict.n - 1
    now = ("n", "changed") in verdict.losses
    if not more or not (
        now or (verdict.kind == "with settings" and "emulate n" in verdict.settings)
    ):
        return
    when = "now" if now else "with settings"
    for what, by in (
        ("requests", tally.count),
        ("more requests", more * tally.count),
        ("prompt tokens", more * tally.logged),
        ("prompt tokens, estimated", more * tally.estimated),
    ):
        summary.add("several", SEPARATOR.join((when, what)), by)
