"""Records, observers and counters."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import adapter
from adapter._exchange.record import Decision
from adapter.telemetry import observers
from adapter.telemetry.counters import BUCKETS, Counters, Histogram
from adapter.telemetry.observers import Observers, check
from adapter.telemetry.record import Record
from adapter.translation.ledger import Loss

CANARY = "what a user wrote"
RECORD = Record(asked="responses", backend="responses", reason="settings", latency=1.0, status=200)


def decision(*losses: Loss, **more: Any) -> Decision:
    made = Decision("responses", "responses", "settings", losses, "0123456789ab")
    return dataclasses.replace(made, **more)


def held(path: str) -> Loss:
    return Loss(path, "held", CANARY)


# Records.


def test_a_record_of_a_call() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 4,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    losses = (Loss("messages[3].name", "dropped", CANARY), Loss("max_tokens", "clamped", CANARY))
    made = Record.of(
        decision(*losses), latency=1.5, first_token=0.25, model="gpt-4o", tag="search", stream=True,
        azure=True, status=200,
        usage=usage,
    )  # fmt: skip
    assert made == Record(
        asked="responses",
        backend="responses",
        reason="settings",
        model="gpt-4o",
        tag="search",
        stream=True,
        azure=True,
        held=(),
        losses=(("messages[].name", "dropped"), ("max_tokens", "clamped")),
        status=200,
        error=None,
        latency=1.5,
        first_token=0.25,
        prompt_tokens=5,
        completion_tokens=4,
        reasoning_tokens=2,
        cached_tokens=1,
        settings_hash="0123456789ab",
    )
    assert CANARY not in repr(made)


def test_a_record_of_an_error() -> None:
    made = Record.of(decision(), latency=0.5, error=ValueError(CANARY), status=None)
    assert (made.error, made.status, made.prompt_tokens) == ("ValueError", None, None)
    assert CANARY not in repr(made)


HELD: Mapping[str, tuple[list[Loss], tuple[str, ...]]] = {
    "none": ([Loss("seed", "dropped", "")], ()),
    "one": ([held("logit_bias")], ("logit_bias",)),
    "inside": ([held("messages[0].content[1]")], ("messages[].content[]",)),
    "a nested key": (
        [held("stream_options.include_obfuscation")],
        ("stream_options.include_obfuscation",),
    ),
    "in order, once each": (
        [held("stop"), held("messages[1].name"), held("n"), held("messages[2].name")],
        ("stop", "messages[].name", "n"),
    ),
    "the whole": ([held("$")], ("$",)),
    "a header": ([held("headers.authorization")], ("headers.authorization",)),
    "beside others": (
        [Loss("seed", "dropped", ""), held("n"), Loss("user", "changed", "")],
        ("n",),
    ),
    "a key with contents": ([held(f"metadata.{CANARY}")], ("metadata.other",)),
}  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_paths_that_held_a_call(case: str) -> None:
    losses, expected = HELD[case]
    assert Record.of(decision(*losses), latency=0).held == expected


PATHS: Mapping[str, str] = {
    "seed": "seed",
    "messages[12].content[3].image_url": "messages[].content[].image_url",
    "output[0]": "output[]",
    "query.api-version": "query.api-version",
    "$": "$",
    f"messages[0].{CANARY}": "messages[].other",
    "tools[0].é": "tools[].other",
    "x" * 200: "other",
    "two\nlines": "other",
}


@pytest.mark.parametrize("path", PATHS)
def test_paths(path: str) -> None:
    assert Record.of(decision(Loss(path, "dropped", "")), latency=0).losses == (
        (PATHS[path], "dropped"),
    )


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], {"prompt_tokens": "5", "completion_tokens_details": 7}, {"prompt_tokens": True}],
    ids=str,
)
def test_missing_token_counts(usage: Any) -> None:
    made = Record.of(decision(), latency=0, usage=usage)
    assert (
        made.prompt_tokens,
        made.completion_tokens,
        made.reasoning_tokens,
        made.cached_tokens,
    ) == (None,) * 4


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECORD.reason = "x"  # type: ignore[misc]
    assert not hasattr(RECORD, "__dict__")
    assert hash(RECORD) == hash(dataclasses.replace(RECORD))


def test_the_public_names() -> None:
    assert adapter.Record is Record
    assert adapter.Counters is Counters


# Observers.


class Failing:
    """An observer that raises at each call, and counts them."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def __call__(self, record: Record) -> None:
        self.calls += 1
        raise self.error

    def method(self, record: Record) -> None:
        self(record)


class Slotted:
    """An observer without weak references."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, record: Record) -> None:
        self.calls += 1
        raise ValueError(CANARY)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.exc_info is None and record.name == "adapter" for record in caplog.records)
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_observers_are_called_in_order() -> None:
    seen: list[Any] = []
    Observers(
        (lambda record: seen.append((1, record)), lambda record: seen.append((2, record)))
    ).notify(RECORD)
    assert seen == [(1, RECORD), (2, RECORD)]


def test_no_observers_are_falsy() -> None:
    assert not Observers()
    assert Observers((print,))
    Observers().notify(RECORD)


def test_one_that_raises_is_removed_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    failing, seen = Failing(ValueError(CANARY)), []
    for _ in range(2):
        observers = Observers((failing, seen.append))
        observers.notify(RECORD)
        observers.notify(RECORD)
    assert failing.calls == 1
    assert seen == [RECORD] * 4
    assert warnings(caplog) == ["an observer raised ValueError and was removed"]
    assert CANARY not in caplog.text


def test_a_bound_method_is_the_same_each_time(caplog: pytest.LogCaptureFixture) -> None:
    failing, other = Failing(ValueError(CANARY)), Failing(ValueError(CANARY))
    for _ in range(2):
        Observers((failing.method,)).notify(RECORD)
    Observers((other.method, failing)).notify(RECORD)
    assert (failing.calls, other.calls) == (
        2,
        1,
    )  # the object itself and its method are different observers
    assert len(warnings(caplog)) == 3


def test_one_without_weak_references_is_removed_here_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = Slotted()
    observers = Observers((failing,))
    for _ in range(3):
        observers.notify(RECORD)
    assert failing.calls == 1
    assert len(warnings(caplog)) == 1


@pytest.mark.slow
def test_nothing_is_kept_of_a_collected_observer(caplog: pytest.LogCaptureFixture) -> None:
    gc.collect()
    before = len(observers._REMOVED)
    for make in (lambda one: one, lambda one: one.method, functools.partial):
        for _ in range(100):
            Observers((make(Failing(ValueError())),)).notify(RECORD)
    gc.collect()
    assert len(observers._REMOVED) == before
    assert (
        len(warnings(caplog)) == 300
    )  # none was mistaken for an earlier one with the same address


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_base_exceptions_propagate(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    leaving = Failing(error())
    observers = Observers((leaving,))
    for _ in range(2):
        with pytest.raises(error):
            observers.notify(RECORD)
    assert leaving.calls == 2
    assert warnings(caplog) == []


def test_one_warning_from_many_threads(caplog: pytest.LogCaptureFixture) -> None:
    barrier = threading.Barrier(8)

    def failing(_: Record) -> None:
        barrier.wait(5)
        raise ValueError(CANARY)

    observers = Observers((failing,))
    run_threads(8, lambda: observers.notify(RECORD))
    assert len(warnings(caplog)) == 1


def test_one_that_returns_a_coroutine_is_removed(caplog: pytest.LogCaptureFixture) -> None:
    async def tell(_: Record) -> None: ...

    observers = Observers((functools.partial(lambda observer, record: observer(record), tell),))
    observers.notify(RECORD)
    observers.notify(RECORD)
    assert warnings(caplog) == ["an observer raised TypeError and was removed"]


def plain(_: Record) -> None: ...


async def awaited(_: Record) -> None: ...


async def yielding(_: Record) -> Any:
    yield 1


class Awaited:
    async def __call__(self, _: Record) -> None: ...

    async def method(self, _: Record) -> None: ...


FIT = {
    "function": plain,
    "lambda": lambda _: None,
    "object": Counters(),
    "builtin": [].append,
    "partial": functools.partial(plain),
}
UNFIT: Mapping[str, tuple[Any, str]] = {
    "a string": ("print", "expected a callable, got str"),
    "None": (None, "expected a callable, got NoneType"),
    "async function": (awaited, "async"),
    "async generator": (yielding, "async"),
    "async object": (Awaited(), "async"),
    "async method": (Awaited().method, "async"),
    "partial of one": (functools.partial(awaited), "async"),
}


@pytest.mark.parametrize("case", FIT)
def test_what_can_observe(case: str) -> None:
    check((FIT[case],))


@pytest.mark.parametrize("case", UNFIT)
def test_what_can_not(case: str) -> None:
    observer, why = UNFIT[case]
    with pytest.raises(ValueError, match=rf"^observers\[1\]: .*{why}"):
        check((plain, observer))


# Counters.


def run_threads(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def record(**more: Any) -> Record:
    return dataclasses.replace(RECORD, **more)


def counted(*records: Record, **options: Any) -> Counters:
    counters = Counters(**options)
    for one in records:
        counters(one)
    return counters


SAMPLE = (
    *[
        record(
            prompt_tokens=10, completion_tokens=5, reasoning_tokens=2, latency=0.5, first_token=0.1
        )
    ]
    * 3,
    record(losses=(("messages[].name", "dropped"),), latency=2.0, cached_tokens=4),
    record(
        backend="chat",
        reason="unsupported",
        held=("n", "stop"),
        losses=(("n", "held"), ("stop", "held")),
        latency=4.0,
    ),
    record(status=429, error="RateLimitError", latency=0.01),
    record(status=None, error="APITimeoutError", latency=600.0),
    record(status=None, latency=0.02),
)  # fmt: skip


def test_the_figures() -> None:
    figures = counted(*SAMPLE).snapshot()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["calls"] == 8
    assert figures["routes"] == {"responses->responses": 7, "responses->chat": 1}
    assert figures["reasons"] == {"settings": 7, "unsupported": 1}
    assert figures["held"] == {"n": 1, "stop": 1}
    assert figures["losses"] == {"messages[].name dropped": 1, "n held": 1, "stop held": 1}
    assert figures["outcomes"] == {
        "200": 5,
        "429 RateLimitError": 1,
        "APITimeoutError": 1,
        "no reply": 1,
    }
    assert figures["tokens"] == {
        "responses": {"prompt": 30, "completion": 15, "reasoning": 6, "cached": 4},
        "chat": {"prompt": 0, "completion": 0, "reasoning": 0, "cached": 0},
    }
    latency = figures["latency_seconds"]["responses"]
    assert (latency["count"], latency["sum"]) == (7, pytest.approx(603.53))
    assert list(latency["buckets"].values())[-1] == 7
    assert figures["first_token_seconds"].keys() == {"responses"}
    assert figures["first_token_seconds"]["responses"]["count"] == 3


PRINTED = """\
calls  8

asked->backend        calls
responses->responses      7
responses->chat           1

reason       calls
settings         7
unsupported      1

kept on Chat by  calls
n                    1
stop                 1

loss                     calls
messages[].name dropped      1
n held                       1
stop held                    1

status, error       calls
200                     5
429 RateLimitError      1
APITimeoutError         1
no reply                1

tokens     prompt  completion  reasoning  cached
chat            0           0          0       0
responses      30          15          6       4

latency, s  calls    mean   ~p50     ~p90     ~p99
chat            1   4.000  3.840    4.864    5.094
responses       7  86.219  0.480  425.984  632.422

first token, s  calls   mean   ~p50   ~p90   ~p99
responses           3  0.100  0.120  0.152  0.159"""


def test_the_printed_table() -> None:
    assert str(counted(*SAMPLE)) == PRINTED
    assert str(Counters()) == "calls  0"


def test_rows_are_by_frequency_with_other_last() -> None:
    counters = counted(
        *[record(reason=reason) for reason in ("b", "a", "c", "c", "d", "e", "f", "g")], limit=3
    )
    assert counters.snapshot()["reasons"] == {"b": 1, "a": 1, "c": 2, "other": 4}
    table = str(counters).split("\n\n")[2]
    assert table.split("\n") == [
        "reason  calls",
        "c           2",
        "a           1",
        "b           1",
        "other       4",
    ]


def test_tables_are_bounded() -> None:
    counters = Counters()
    for k in range(1000):
        counters(
            record(reason=f"r{k}", held=(f"p{k}",), losses=((f"l{k}", "dropped"),), error=f"E{k}")
        )
    figures = counters.snapshot()
    for name in ("reasons", "held", "losses", "outcomes"):
        assert len(figures[name]) == 201
        assert figures[name]["other"] == 800
    assert figures["calls"] == 1000


def test_a_reset() -> None:
    counters = counted(*SAMPLE)
    counters.reset()
    assert counters.snapshot() == Counters().snapshot()
    counters(RECORD)
    assert counters.snapshot()["calls"] == 1


def test_a_snapshot_does_not_change() -> None:
    counters = counted(*SAMPLE)
    before = counters.snapshot()
    kept = json.dumps(before)
    counters(SAMPLE[0])
    assert json.dumps(before) == kept


def test_many_threads() -> None:
    counters = Counters()
    one = record(
        prompt_tokens=1,
        completion_tokens=2,
        latency=0.5,
        losses=(("seed", "dropped"),),
        held=("n",),
    )

    def work() -> None:
        for k in range(1000):
            counters(one)
            if not k % 100:
                counters.snapshot()

    run_threads(16, work)
    figures = counters.snapshot()
    assert figures["calls"] == 16_000
    assert figures["routes"] == {"responses->responses": 16_000}
    assert figures["losses"] == {"seed dropped": 16_000}
    assert figures["held"] == {"n": 16_000}
    assert figures["tokens"]["responses"] == {
        "prompt": 16_000,
        "completion": 32_000,
        "reasoning": 0,
        "cached": 0,
    }
    latency = figures["latency_seconds"]["responses"]
    assert (latency["count"], latency["sum"], latency["buckets"]["0.64"]) == (
        16_000,
        8_000.0,
        16_000,
    )


def test_a_record_from_a_finalizer_during_counting() -> None:
    """A stream's finalizer may record it anywhere, also while another record is counted."""
    counters = Counters()

    class Late(str):
        __slots__ = ()

        def __hash__(self) -> int:
            if not finalized:
                finalized.append(1)
                counters(RECORD)
                assert (
                    counters.snapshot()["calls"] == 1
                )  # no deadlock, and no record counted partly
            return super().__hash__()

    finalized: list[int] = []
    counters(record(reason=Late("late")))
    assert counters.snapshot()["calls"] == 2
    assert counters.snapshot()["reasons"] == {"late": 1, "settings": 1}


# Histograms.


def histogram(*values: float) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    return made


def test_the_bounds() -> None:
    assert BUCKETS[0] == 0.01
    assert BUCKETS[13] == pytest.approx(81.92)
    assert BUCKETS[-1] > 600  # the SDK's own timeout
    assert list(histogram().snapshot()["buckets"])[:3] == ["0.01", "0.02", "0.04"]
    assert list(histogram().snapshot()["buckets"])[-2:] == ["655.36", "+Inf"]


QUANTILES: Mapping[str, tuple[list[float], float, float | None]] = {
    "nothing": ([], 0.5, None),
    "in the middle of the first": ([0.0, 0.01], 0.5, 0.005),
    "a bound belongs to its bucket": ([0.01] * 2, 1.0, 0.01),
    "linear inside a bucket": ([0.03] * 4, 0.25, 0.025),
    "the end of a bucket": ([0.03] * 4, 1.0, 0.04),
    "over empty buckets": ([0.005, 1.0], 0.99, 0.64 + 0.64 * 0.98),
    "beyond the last": ([0.005, 5000.0], 0.99, BUCKETS[-1]),
}


@pytest.mark.parametrize("case", QUANTILES)
def test_quantiles(case: str) -> None:
    values, q, expected = QUANTILES[case]
    found = histogram(*values).quantile(q)
    assert found == (None if expected is None else pytest.approx(expected))


def test_buckets_are_cumulative() -> None:
    buckets = histogram(0.005, 0.015, 0.015, 5000).snapshot()["buckets"]
    assert (buckets["0.01"], buckets["0.02"], buckets["655.36"], buckets["+Inf"]) == (1, 3, 3, 4)
