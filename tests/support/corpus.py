"""Recorded real traffic, read from beside this repository; none of it is committed.

`recordings()` and `pairs()` read it once, on first use: the first part, or the newer second one.
Tests that need it are marked `@needs_corpus`, those that run on each part `@each_part` as well.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "corpus"

SseEvent = tuple[str | None, Any]


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded exchange.

    `request` is None where it wasn't recorded. Exactly one of `response` (JSON) and `sse` (pairs of
    event name or None and data: JSON, or a string such as `[DONE]`) is set, except for the few
    replies without a body.
    """

    id: int | str
    api: str
    op: str
    host: str
    method: str
    path: str
    model: str | None
    stream: bool
    status: int
    request: dict[str, Any] | None = field(repr=False)
    response: Any = field(repr=False)
    sse: tuple[SseEvent, ...] | None = field(repr=False)
    features: frozenset[str] = field(repr=False)
    synthetic: bool = False
    trimmed: bool = False
    elided: bool = False

    @property
    def whole(self) -> bool:
        """Return whether this is the unchanged wire traffic: not hand-written, shortened or cut."""
        return not (self.synthetic or self.trimmed or self.elided)


@dataclass(frozen=True, slots=True)
class Pair:
    """The same prompt, tools, format, model and stream flag, recorded on both APIs."""

    chat: Recording
    responses: Recording
    facts: dict[str, Any] = field(repr=False)


Part = Literal[1, 2]

_NAMES: dict[Part, str] = {1: "", 2: "-2"}


def available(part: Part = 1) -> bool:
    """Return whether the recordings exist on this machine."""
    return (FOLDER / f"recordings{_NAMES[part]}.jsonl").is_file()


def needs_corpus(test: Any) -> Any:
    """Mark a test as `corpus`, and skip it where the recordings are absent."""
    skip = pytest.mark.skipif(
        not available(), reason="the recordings are not beside this repository (shared/corpus)"
    )
    return pytest.mark.corpus(skip(test))


_MISSING = "this part of the recordings is not beside this repository (shared/corpus)"

each_part = pytest.mark.parametrize(
    "part",
    [
        pytest.param(one, id=name, marks=pytest.mark.skipif(not available(one), reason=_MISSING))
        for one, name in ((1, "first"), (2, "second"))
    ],
)
"""Run a test on each part of the recordings; the test has the argument `part`."""


@functools.cache
def recordings(part: Part = 1) -> tuple[Recording, ...]:
    """Return all recordings in file order; an empty sequence where the file is absent."""
    if not available(part):
        return ()
    with (FOLDER / f"recordings{_NAMES[part]}.jsonl").open(encoding="utf-8") as lines:
        return tuple(_recording(json.loads(line)) for line in lines)


@functools.cache
def pairs(part: Part = 1) -> tuple[Pair, ...]:
    """Return all pairs; an empty sequence where the file is absent."""
    if not available(part):
        return ()
    rows = json.loads((FOLDER / f"pairs{_NAMES[part]}.json").read_bytes())
    return tuple(Pair(by_id(row["chat"]), by_id(row["responses"]), row) for row in rows)


def by_id(identifier: int | str) -> Recording:
    """Return the recording that notes call `#identifier`.

    The second part's identifiers are strings.
    """
    return _index(2 if isinstance(identifier, str) else 1)[identifier]


def select(
    *,
    api: str | None = None,
    op: str | None = "create",
    host: str | None = None,
    stream: bool | None = None,
    ok: bool | None = True,
    features: frozenset[str] | set[str] = frozenset(),
    whole: bool = False,
    part: Part = 1,
) -> list[Recording]:
    """Select recordings; None means any.

    `ok` means a status below 400, `host` is part of the name, `features` are all required.
    """
    return [
        one
        for one in recordings(part)
        if (api is None or one.api == api)
        and (op is None or one.op == op)
        and (host is None or host in one.host)
        and (stream is None or one.stream == stream)
        and (ok is None or (one.status < 400) == ok)
        and features <= one.features
        and (one.whole or not whole)
    ]


def sse_events(recording: Recording) -> list[bytes]:
    """Return each event of a recorded stream as bytes; joined they are the stream."""
    return [_block(name, data) for name, data in recording.sse or ()]


def sse_bytes(recording: Recording) -> bytes:
    """Return a recorded stream as bytes of the wire."""
    return b"".join(sse_events(recording))


def accepted_bodies(api: str) -> Iterator[tuple[Recording, dict[str, Any]]]:
    """Yield the request bodies that a server answered with success."""
    for one in select(api=api, whole=True):
        if one.request is not None:
            yield one, one.request


def _block(name: str | None, data: Any) -> bytes:
    text = (
        data
        if isinstance(data, str)
        else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    )
    event = f"event: {name}\n" if name is not None else ""
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"{event}{lines}\n".encode()


@functools.cache
def _index(part: Part) -> dict[int | str, Recording]:
    return {one.id: one for one in recordings(part)}


def _recording(row: dict[str, Any]) -> Recording:
    sse = row.get("sse")
    return Recording(
        id=row["id"],
        api=row["api"],
        op=row["op"],
        host=row["host"],
        method=row["method"],
        path=row["path"],
        model=row["model"],
        stream=bool(row["stream"]),
        status=row["status"],
        request=row.get("request"),
        response=row.get("response"),
        sse=tuple((name, data) for name, data in sse) if sse is not None else None,
        features=frozenset(row["features"]),
        synthetic=bool(row.get("synthetic")),
        trimmed=bool(row.get("trimmed")),
        elided=bool(row.get("elided")),
    )
