"""Bugs of the adapter: an exception at the entry of every function that a call runs, one at a time.

The functions are found at run time, by tracing calls through every way in, so that none can be
forgotten. Before anything was sent the caller gets what Chat answers to the untouched call; after
that an error of the SDK's classes, or the answer all the same (docs/decisions.md#internal-errors).

`OWN_BUGS=ways` plants each function once for each way in, `OWN_BUGS=all` in every call that runs
it; `OWN_BUGS_TABLE=path` writes the outcomes, function by function.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import re
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import openai
import pydantic
import pytest

import adapter
from adapter._exchange.record import CallState
from adapter._memory.service import SERVER_FACTS
from adapter._runtime import missing_endpoints
from adapter._runtime.call_context import CallContext
from tests.support.answers import CHAT, RESPONSES, Sdk
from tests.support.calls import CALLS, WAYS, Call, Session, Upstream, Way, plain
from tests.support.fan_out_threads import quiet
from tests.support.http import SDK, http
from tests.support.planted_bugs import Garden, PlantedError, name_of, ran

HOW_MUCH = os.environ.get("OWN_BUGS", "once")
TABLE = os.environ.get("OWN_BUGS_TABLE")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        SDK < (3, 25), reason="older SDKs let what a transport raises through, in streams"
    ),
    pytest.mark.filterwarnings(
        "ignore:Pydantic serializer warnings:UserWarning"
    ),  # the SDK's own, for what it constructs
]

# What can't be guarded, and why. The functions that these call are: their bodies are one `try`.
UNGUARDED = {
    r"_sdk\.client:_a?sync\.<locals>\.Adapted\.(request|_prepare_request|_process_response)":
        "outermost: the SDK calls it",
    r"_sdk\.client_methods:with_call_contexts\.<locals>\.(build|failed)":
        "outermost: the SDK calls it",
    r"_sdk\.client_methods:with_fast_replies\.<locals>\.process": "outermost: the SDK calls it",
    r"_sdk\.fast_messages:_PreparedMessages\.post": "outermost: the SDK calls it",
    r"_sdk\.streams:a?read_chunks": "outermost: the SDK's stream calls it",
    r"_http\.replies:Reply\.\w+": "outermost: the SDK calls it",
    r"_sdk\.fast_resource:(FastResource\.__get__|inherited)": "outermost: the caller reads it",
    r"_sdk\.fast_messages:_FastMethod\.(__get__|__init__\.<locals>\.quick(_coroutine)?)":
        "outermost: the caller calls it",
    r"_sdk\.decisions:decision|_routing\.overrides:use": "outermost: the caller calls it",
    r"_http\.transport:(Async)?Transport\.handle_(async_)?request":
        "outermost: the HTTP library calls it",
    r"_http\.bodies:(Async)?Body\.(a?close|__a?iter__)": "outermost: the HTTP library calls it",
    r"_runtime\.stream_iterators:\w+\.(__a?(iter|next)__|close)": "outermost: the HTTP library calls it",
    r"_http\.observed_stream:ObservedStream\.(__a?iter__|a?close|_observe)":
        "outermost: the HTTP library calls it",
    r"_sdk\.decisions:_remove": "the garbage collector calls it, in no call",
    r"_runtime\.fan_out:FanOutTasks\._wake_on_error": "the event loop calls it",
    r"_sdk\.client:_a?sync\.<locals>\.Adapted\.(__init__|copy|with_options)":
        "makes a client: it raises",
    r"_sdk\.client_methods:(copy_client|initialize|configure)": "makes a client: it raises",
    r"_sdk\.client_methods:"
    r"(attach_or_mark|begin_call|finish_reply|native_method|next_attempt|remember_result)":
        "what the outermost methods do in sync and async code alike: their bodies are one `try`",
    r"_http\.client_transports:is_adapted": "makes a client: it raises",
    r"_http\.transport:(wrap|_wrapped|_is_client_transport|Transport\.for_client)":
        "makes a client: it raises",
    r"_http\.connection_pools:.*|_routing\.reload:reloader_of|_settings\.coercion:settings_of":
        "makes a client: it raises",
}  # fmt: skip
_UNGUARDED = re.compile("|".join(f"(?:{one})" for one in UNGUARDED))

# What only records or remembers: a bug in it costs no answer.
BOOKKEEPING = re.compile(
    r"telemetry\.|_memory\.|_runtime\.(log|known_ids):|_sdk\.decisions:|_http\.memory_scope:"
    r"|_exchange\.record:CallState\.(decision|reply_losses|usage)"
    r"|_runtime\.observation:(ReplyObserver\.|notify|_body_of|_request_of|UsageExtractor)|_http\.observed_stream:"
    r"|_runtime\.base_performer:BasePerformer\."
    r"(_log|stream_ended|first_piece_received|stream_progressed)"
    r"|_runtime\.stream_reader:StreamReader\._record_gen"
    r"|_exchange\.stream:StreamTranslator\.(_update_entry|take_entry|reader_left)"
)


@functools.cache
def _sdk(asynchronous: bool) -> Sdk:
    return Sdk("async" if asynchronous else "sync")


class Shot:
    """One call through one way in."""

    def __init__(self, name: str, way: Way, *, native: bool = False, **settings: Any) -> None:
        self.name, self.call, self.way = name, CALLS[name], way
        self.upstream = Upstream(self.call.answer())
        made = None if native else _settings(self.call, **settings)
        self.client = way.client(self.upstream, made, max_retries=self.call.retries)

    def run(self) -> Any:
        """Make the call; return its result or exception."""
        for remembered in (missing_endpoints._MISSING, SERVER_FACTS):
            remembered._expiry.clear()  # not by a method, which may be the planted one
        try:
            return self.call.run(Session(_sdk(self.way.asynchronous), self.client, self.upstream))
        except Exception as error:  # noqa: BLE001 - the test says what it may be
            return error
        finally:
            quiet()

    def sent(self) -> int:
        """Count the requests that were sent for this call."""
        return len(self.upstream.requests) - self.upstream.before

    def snapshot(self, got: Any) -> tuple[Any, list[Any]]:
        """Return what is compared: the result and the requests."""
        value = plain(got)
        if isinstance(value, list) and "several" in self.name:
            value = sorted(value, key=str)  # in any order
        return value, [
            (one.method, one.path, one.query, one.body) for one in self.upstream.requests
        ]


@functools.cache
def _merged(call: int, settings: tuple[tuple[str, Any], ...]) -> adapter.Settings:
    one = next(one for one in CALLS.values() if id(one) == call)
    return adapter.Settings(**{**one.settings, **dict(settings)})


def _settings(call: Call, **more: Any) -> adapter.Settings:
    return _merged(id(call), tuple(more.items())) if more else call.made


@pytest.fixture(scope="module", autouse=True)
def prepared() -> Iterator[None]:
    """Silence the log and the hooks for unraisable exceptions, and collect no garbage."""
    logger = logging.getLogger("adapter")
    before = logger.level, logger.propagate, sys.unraisablehook, threading.excepthook
    logger.setLevel(logging.INFO)
    logger.propagate = False
    nowhere = logging.NullHandler()
    logger.addHandler(nowhere)
    sys.unraisablehook = threading.excepthook = lambda *_: None
    gc.disable()  # a failed stream is closed by its reader, or not at all
    yield
    gc.enable()
    logger.removeHandler(nowhere)
    logger.level, logger.propagate, sys.unraisablehook, threading.excepthook = before
    for mode in (False, True):
        _sdk(mode).close()
    _sdk.cache_clear()
    missing_endpoints.clear()
    SERVER_FACTS.clear()


@dataclass
class Run:
    """What a call gives and sends, natively and through the adapter, and the code that it runs."""

    native: tuple[Any, list[Any]]
    good: tuple[Any, list[Any]]
    codes: set[CodeType]


@functools.cache
def run_of(name: str, way: Way) -> Run:
    """Make a call, natively and through the adapter, and trace the code that it runs."""
    shot = Shot(name, way, native=True)
    native = shot.snapshot(shot.run())
    shot = Shot(name, way)
    got = shot.run()
    assert isinstance(got, Exception) == CALLS[name].fails, f"{way.name}, {name}: {got!r}"
    good = shot.snapshot(got)
    shots = [Shot(name, way) for _ in range(2)]  # made before: making a client is no part of a call
    return Run(native, good, ran(lambda: shots.pop().run()))


@functools.cache
def _garden() -> Garden:
    return Garden()


def _cases() -> Iterator[tuple[str, Way, CodeType]]:
    """Yield calls, ways in, and the code to plant a bug into."""
    ways = WAYS if HOW_MUCH != "once" else _FEW
    seen: set[Any] = set()
    for way in ways:
        for name in CALLS:
            for code in sorted(run_of(name, way).codes, key=name_of):
                key = {"once": name_of(code), "ways": (name_of(code), way)}.get(HOW_MUCH, object())
                if key not in seen:
                    seen.add(key)
                    yield name, way, code


_FEW = (Way("client", False), Way("client", True), Way("transport", True, WAYS[-1].library))


def _planted(name: str, way: Way, code: CodeType, **more: Any) -> tuple[Shot, Any, int | None]:
    shot = Shot(name, way, **more.pop("settings", {}))
    with _garden().planted(code, shot.sent, **more) as alarm:
        got = shot.run()
        seen = alarm.sent
    return shot, got, seen


def outcome_of(shot: Shot, got: Any, run: Run) -> str:
    """Name the outcome of a call."""
    result, sent = snapshot = shot.snapshot(got)
    if snapshot == run.good:
        return "answer"
    if result == run.native[0] and _is_untouched(sent, run):
        made = adapter.decision(got)
        if made is not None and (made.backend, made.reason) != ("chat", "adapter-bug"):
            fine = (
                made.asked == "chat"
                or made.reason in CALLS
                or made.reason in ("missing", "rejected", "unsupported")
            )
            return "chat" if fine else f"chat for the reason {made.reason}"
        return "chat"
    if result == run.good[0]:
        return "answer, sent otherwise"
    if isinstance(got, openai.OpenAIError):
        return "error"
    return f"raw {type(got).__name__}" if isinstance(got, Exception) else "another answer"


def _is_untouched(sent: list[Any], run: Run) -> bool:
    """Return whether the last request was native, and all others native or the adapter's own."""
    native, good = run.native[1], run.good[1]
    return (
        len(sent) == len(native)
        and sent[-1] == native[-1]
        and all(one in (*native, *good) for one in sent)
    )


def is_fine(name: str, function: str, when: str, outcome: str) -> bool:
    if outcome == "answer":
        return True
    if when == "before":
        # A failing memory costs continuity, never the call; a refused call isn't sent at all.
        return (
            outcome == "chat"
            or (outcome == "answer, sent otherwise" and BOOKKEEPING.search(function) is not None)
            or (outcome == "answer, sent otherwise" and name in ("store", "turns", "turns stream"))
            or (CALLS[name].fails and outcome == "error")
        )
    if BOOKKEEPING.match(function):
        return outcome in ("answer, sent otherwise", "chat")
    return outcome in ("error", "answer, sent otherwise", "chat")


def test_every_function_that_a_call_runs() -> None:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    problems: list[str] = []
    plants = 0
    for name, way, code in _cases():
        function = name_of(code)
        if _UNGUARDED.fullmatch(function):
            table[function]["unguarded"] += 1
            continue
        if not _garden().can(code):
            problems.append(f"{function}: no function to plant it into")
            continue
        shot, got, seen = _planted(name, way, code)
        if seen is None:
            continue
        plants += 1
        when = "after" if seen else "before"
        outcome = outcome_of(shot, got, run_of(name, way))
        table[function][f"{when}: {outcome}"] += 1
        if not is_fine(name, function, when, outcome):
            problems.append(
                f"{function}, {when} sending, {way.name}, {name!r}: {outcome}: {got!r:.200}"
            )
        if shot.upstream.open:
            problems.append(
                f"{function}, {when} sending, {way.name}, {name!r}: "
                f"left {len(shot.upstream.open)} open"
            )
    if TABLE:
        _write(table, plants)
    assert not problems, f"{len(problems)} of {plants} plants\n" + "\n".join(problems)
    assert len(table) > 500
    assert plants > 500


def _write(table: dict[str, Counter[str]], plants: int) -> None:
    total: Counter[str] = Counter()
    for counts in table.values():
        total.update(counts)
    lines = [
        f"{len(table)} functions, {plants} plants",
        *(f"{count:7} {what}" for what, count in total.most_common()),
        "",
    ]
    lines += [f"{function}: {dict(counts)}" for function, counts in sorted(table.items())]
    Path(TABLE or "").write_text("\n".join(lines) + "\n")


def test_the_list_of_what_is_not_guarded_is_not_too_long() -> None:
    """Hold the list to functions that calls, or making a client, really run."""
    known = {name_of(code) for way in _FEW for name in CALLS for code in run_of(name, way).codes}
    for pattern in UNGUARDED:
        assert any(re.fullmatch(pattern, one) for one in known), pattern


SAMPLE = (
    "translation.requests.chat_to_responses:chat_to_responses",
    "_runtime.call_context:start_call",
    "_sdk.request_context:attach_context",
    "_http.messages:outgoing_request",
    "_runtime.base_performer:BasePerformer.start_exchange",
    "translation.replies.response_to_chat:response_to_completion",
    "_http.messages:reply_headers",
    "_http.messages:reply_headers",
    "_sdk.decisions:remember",
    "_sdk.completions:validated_completion",
    "_exchange.stream:StreamTranslator.feed",
)


def _validation() -> Exception:
    try:
        pydantic.TypeAdapter(int).validate_python("x")
    except pydantic.ValidationError as error:
        return error
    raise AssertionError


ERRORS: dict[str, Callable[[], BaseException]] = {
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "KeyError": lambda: KeyError("key"),
    "TypeError": TypeError,
    "ValidationError": _validation,
    "ConnectError": lambda: http.ConnectError("no"),
    "StopIteration": StopIteration,
}


def code_of(function: str, way: Way, *names: str) -> tuple[str, CodeType]:
    for name in names:
        for code in run_of(name, way).codes:
            if name_of(code) == function:
                return name, code
    raise AssertionError(f"{way.name} doesn't run {function}")


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize(
    "way", [Way("client", False), Way("install", True)], ids=lambda way: way.name
)
def test_whatever_the_exception_is(way: Way, kind: str) -> None:
    problems = []
    for function in SAMPLE:
        if (kind, function) == ("StopIteration", "_exchange.stream:StreamTranslator.feed"):
            continue
        name, code = code_of(function, way, "plain", "plain stream")
        shot, got, seen = _planted(name, way, code, error=ERRORS[kind])
        when = "after" if seen else "before"
        outcome = outcome_of(shot, got, run_of(name, way))
        if seen is None or not is_fine(name, function, when, outcome):
            problems.append(f"{function} {when}: {outcome}: {got!r}")
    assert not problems, "\n".join(problems)


class _Stop(BaseException):
    """Stands for an exception that isn't an error: a cancellation, an interruption."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, _Stop], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("function", SAMPLE)
def test_exceptions_that_are_no_errors_pass(function: str, kind: type[BaseException]) -> None:
    way = Way("client", False)
    name, code = code_of(function, way, "plain", "plain stream")
    shot = Shot(name, way)
    with _garden().planted(code, shot.sent, kind), pytest.raises(kind):
        shot.run()
    assert not shot.upstream.open


def test_a_cancellation_passes() -> None:
    import asyncio

    way = Way("client", True)
    for function in SAMPLE:
        name, code = code_of(function, way, "plain", "plain stream")
        shot = Shot(name, way)
        with (
            _garden().planted(code, shot.sent, asyncio.CancelledError),
            pytest.raises(asyncio.CancelledError),
        ):
            shot.run()
        assert not shot.upstream.open


STRICT = (
    "translation",
    "_exchange.plan",
    "_exchange.stream",
    "_exchange.reply",
    "_exchange.reasoning",
    "_runtime.call_context",
    "_routing.router",
    "_http.messages",
)


@pytest.mark.parametrize("name", ["rich", "rich stream", "legacy", "turns"])
def test_on_bug_raise_raises(name: str) -> None:
    way = Way("client", False)
    problems = []
    for code in sorted(run_of(name, way).codes, key=name_of):
        function = name_of(code)
        if (
            not function.startswith(STRICT)
            or _UNGUARDED.fullmatch(function)
            or function.endswith(".losses")
        ):
            continue
        _, got, seen = _planted(name, way, code, settings={"on_bug": "raise"})
        if seen is not None and not isinstance(got, PlantedError):
            cause = got.__cause__ if isinstance(got, Exception) else None
            if not isinstance(cause, PlantedError):
                problems.append(f"{function}: {got!r:.100}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", ["rich", "legacy stream"])
def test_responses_only_models_never_go_to_chat(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They get an error that says so, since Chat doesn't serve them."""
    monkeypatch.setattr(Session, "model", "o3-pro")
    way = Way("client", False)
    problems = []
    shots = [Shot(name, way) for _ in range(2)]
    for code in sorted(ran(lambda: shots.pop().run()), key=name_of):
        function = name_of(code)
        if _UNGUARDED.fullmatch(function) or function.startswith(
            ("translation.model_profiles", "_exchange.plan:_responses_only_reason")
        ):
            continue  # what knows such models is broken itself
        shot, got, seen = _planted(name, way, code)
        if seen is not None and CHAT in {one.path for one in shot.upstream.requests}:
            problems.append(f"{function}: {got!r:.100}")
        elif seen == 0 and isinstance(got, openai.APIStatusError):
            assert got.code == "adapter_bug", function
            assert got.body["message"].startswith("$: "), function  # type: ignore[index]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_the_text_of_a_bug_shows_nothing_of_the_call(way: Way) -> None:
    canary = "canary-4711"
    name, code = code_of(
        "translation.replies.response_to_chat:response_to_completion", way, "plain"
    )
    _, got, _ = _planted(name, way, code, error=lambda: PlantedError(canary))
    assert isinstance(got, openai.APIStatusError)
    assert got.code == "adapter_bug"
    assert canary not in str(got)
    assert "PlantedError" in str(got)


@pytest.mark.parametrize(
    "function", ["_exchange.fallback:needs_body", "_exchange.fallback:classify"]
)
def test_a_bug_in_classifying_a_reply_passes_it_on(function: str) -> None:
    way = Way("client", False)
    name, code = code_of(function, way, "missing")
    shot, got, _ = _planted(name, way, code)
    assert got.status_code == 404
    assert [one.path for one in shot.upstream.requests] == [RESPONSES]


def test_decision_and_use_never_raise_for_a_bug() -> None:
    way = Way("client", False)
    shot = Shot("plain", way)
    made = shot.run()
    for code in ran(lambda: adapter.decision(made)):
        if name_of(code) != "_sdk.decisions:decision":
            with _garden().planted(code):
                adapter.decision(made)
    for code in run_of("use", way).codes:
        if (
            name_of(code).startswith("_routing.overrides")
            and name_of(code) != "_routing.overrides:use"
        ):
            _, got, seen = _planted("use", way, code)
            assert seen is None or plain(got) == run_of("use", way).native[0], name_of(code)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("broken", [CallContext, CallState], ids=lambda cls: cls.__name__)
def test_a_bug_in_what_travels_with_a_call(
    way: Way, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Methods generated by dataclasses have no code of the package that a plant could replace."""
    shot = Shot("plain", way)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise PlantedError

    with monkeypatch.context() as patched:
        patched.setattr(broken, "__init__", fail)
        got = shot.run()
    assert shot.snapshot(got) == run_of("plain", way).native
