"""Recorded streams with one fault each give an error or the terminal event's answer, never another.

By default a sample; `MUTANTS=50000` runs that many, `MUTANTS=all` every mutant.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adapter._exchange.stream import StreamTranslator
from adapter.errors import TranslationError
from adapter.translation import chat_to_responses
from tests.support import oracle
from tests.support.mutants import (
    Events,
    Mutant,
    Recorded,
    agree,
    expected,
    mutants,
    of_cassettes,
    of_corpus,
)
from tests.support.ways_in import WAYS_IN, Reply, both

CASSETTES = Path(__file__).resolve().parents[2] / "cassettes"
FEW = "1500"
COUNT = os.environ.get("MUTANTS", FEW)
LONG = 400  # events; longer streams would take most of the time


@cache
def streams() -> tuple[Recorded, ...]:
    """Return the streams to change: for the sample short ones, of the servers that differ most."""
    if COUNT != FEW:
        found = [one for one in (*of_cassettes(CASSETTES), *of_corpus()) if len(one.events) <= LONG]
        return tuple({json.dumps(one.events[2:-1], sort_keys=True): one for one in found}.values())
    servers = [
        *of_cassettes(CASSETTES / "llamacpp"),
        *of_cassettes(CASSETTES / "vllm"),
        *of_corpus(),
    ]
    short = [one for one in servers if len(one.events) <= 40]
    return tuple(random.Random(20).sample(short, min(30, len(short))))


def sample(count: str) -> Iterator[Mutant]:
    everything = itertools.chain.from_iterable(map(mutants, streams()))
    if count == "all":
        yield from everything
        return
    # Evenly over the kinds of fault, if there are enough.
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in everything:
        kinds[mutant.kind].append(mutant)
    generator = random.Random(20)
    for group in kinds.values():
        generator.shuffle(group)
    left = int(count)
    for done, group in enumerate(sorted(kinds.values(), key=len)):
        share = left // (len(kinds) - done)
        yield from group[:share]
        left -= len(group[:share])


def test_there_are_streams_to_change() -> None:
    assert len(streams()) >= 10
    assert {item["type"] for one in streams() for item in one.response["output"]} >= {
        "message",
        "function_call",
    }


def _asked(stream: Recorded) -> Any:
    request: dict[str, Any] = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }
    if oracle.is_json(stream.response):
        request["response_format"] = {"type": "json_object"}
    return request


def _wire(events: Events) -> list[bytes]:
    data = (
        event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
        for event in events
    )
    return [b"data: " + one + b"\n\n" for one in data]


def _read(stream: Recorded, pieces: list[bytes], *, as_bytes: bool) -> oracle.Seen | None:
    """Read a stream as a client would; None for an error."""
    made = chat_to_responses(_asked(stream))
    translator = StreamTranslator(made.reply_context, made.paths, on_bug_raise=True)
    translator.as_bytes = as_bytes
    frames = [frame for piece in pieces for frame in translator.feed(piece)]
    try:
        translator.close()
    except TranslationError:
        return None
    if translator.failed:
        return None
    reader = oracle.Reader()
    for block in translator.encode(frames).split(b"\n\n"):
        if block and block != b"data: [DONE]":
            reader.take(json.loads(block.removeprefix(b"data: "), object_hook=_Read))
    return reader.seen()


class _Read(dict[str, Any]):
    """A chunk's JSON with access by attribute: building SDK objects would take most of the time."""

    __getattr__ = dict.get

    @property
    def model_extra(self) -> _Read:
        return self


def _outcome(mutant: Mutant) -> str:
    events = mutant.make()
    listed = expected(events)
    pieces = _wire(events)
    seen = [_read(mutant.stream, pieces, as_bytes=as_bytes) for as_bytes in (False, True)]
    assert seen[0] == seen[1], "chunks and bytes differ"
    if seen[0] is None:
        return "error"
    plain = _plain(mutant.stream)
    # If the terminal event lists no output, the original stream is the reference.
    as_json = oracle.is_json(mutant.stream.response)
    if agree(seen[0], plain, as_json=as_json):
        same = listed is None or agree(seen[0], listed, as_json=as_json)
    else:
        same = listed is not None and agree(seen[0], listed, as_json=as_json)
        return "as the terminal event says" if same else "DIFFERENT"
    return "the same answer" if same else "DIFFERENT"


@cache
def _plain(stream: Recorded) -> oracle.Seen:
    seen = _read(stream, _wire(list(stream.events)), as_bytes=False)
    assert seen is not None, stream.name
    return seen


def test_none_ends_cleanly_with_another_answer(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[tuple[str, str]] = Counter()
    different: list[str] = []
    for mutant in sample(COUNT):
        outcome = _outcome(mutant)
        outcomes[mutant.kind, outcome] += 1
        if outcome == "DIFFERENT":
            different.append(f"{mutant.kind} in {mutant.stream.name}")
    if COUNT != FEW:
        with capsys.disabled():
            _report(outcomes)
    assert not different, "\n".join(different[:100])
    assert outcomes.total() > 1000


def _report(outcomes: Counter[tuple[str, str]]) -> None:
    columns = ("error", "the same answer", "as the terminal event says", "DIFFERENT")
    print(f"\n{outcomes.total()} mutants of {len(streams())} streams: {', '.join(columns)}")
    for kind in [*sorted({kind for kind, _ in outcomes}), "all"]:
        row = [
            sum(n for (k, o), n in outcomes.items() if kind in (k, "all") and o == c)
            for c in columns
        ]
        print(f"  {kind:28}", *(f"{n:7}" for n in row))


@pytest.mark.parametrize("way_in", WAYS_IN, ids=[way_in.name for way_in in WAYS_IN])
def test_a_way_in_gives_the_same(way_in: Any) -> None:
    for mutant in itertools.islice(sample("600"), 0, None, 30):
        events = mutant.make()
        pieces = _wire(events)
        seen = way_in.stream(_asked(mutant.stream), both(Reply.of_sse(pieces)))
        reader = oracle.Reader()
        for chunk in seen.chunks:
            reader.take(chunk)
        got = None if seen.error is not None else reader.seen()
        assert got == _read(mutant.stream, pieces, as_bytes=False), (
            mutant.stream.name,
            mutant.kind,
        )
