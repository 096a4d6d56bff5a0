"""The work for a stream grows linearly: many items, parts or citations, with and without memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import md5
from typing import Any

import pytest

from adapter._exchange.stream import StreamTranslator
from adapter.translation import chat_to_responses
from adapter.translation.reasoning.history import read_history
from tests.contract.test_edge_streams import (
    Json,
    added,
    asked,
    call,
    call_events,
    done,
    ending,
    message,
    message_events,
    on_arguments,
    on_part,
    on_text,
    opening,
    text,
    wire,
)

Made = tuple[list[Json], list[Json]]


def _call(n: int) -> Json:
    # An id that can't be guessed, so that the turn is remembered.
    return call(
        f"call_{md5(b'%d' % n, usedforsecurity=False).hexdigest()}", f'{{"n":{n}}}', id=f"fc_{n}"
    )


def _calls(count: int) -> Made:
    made = [_call(n) for n in range(count)]
    return [
        event for n, one in enumerate(made) for event in call_events(n, one, one["arguments"])
    ], made


def _interleaved_calls(count: int) -> Made:
    made = [_call(n) for n in range(count)]
    events = [added(n, one) for n, one in enumerate(made)]
    events += [on_arguments("delta", n, one["arguments"]) for n, one in enumerate(made)]
    return events + [done(n, one) for n, one in enumerate(made)], made


def _at_one_index(make: Callable[[int], Made]) -> Callable[[int], Made]:
    def made(count: int) -> Made:
        events, output = make(count)
        return [event | {"output_index": 0} for event in events], output

    return made


def _without_indexes(make: Callable[[int], Made]) -> Callable[[int], Made]:
    def made(count: int) -> Made:
        events, output = make(count)
        return [
            {key: event[key] for key in event if key != "output_index"} for event in events
        ], output

    return made


def _messages(**more: Any) -> Callable[[int], Made]:
    def made(count: int) -> Made:
        output = [message(f"Word {n}.", id=f"msg_{n}", **more) for n in range(count)]
        return [
            e
            for n in range(count)
            for e in message_events(n, "Word ", f"{n}.", **more, id=f"msg_{n}")
        ], output

    return made


def _parts(count: int) -> Made:
    texts = [f"{n} " for n in range(count)]
    events = [added(0, message(""))]
    for n, one in enumerate(texts):
        events += [
            on_part("added", 0, text(""), n),
            on_text("delta", 0, one, n),
            on_part("done", 0, text(one), n),
        ]
    return [*events, done(0, message(*texts))], [message(*texts)]


def _citations(count: int) -> Made:
    cited = [
        {"type": "url_citation", "start_index": 0, "end_index": 1, "url": f"https://x.test/{n}"}
        for n in range(count)
    ]
    whole = message(text("Hello", annotations=cited))
    event = {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0}
    events = [
        on_text("delta", 0, "Hello"),
        *(event | {"annotation_index": n, "annotation": a} for n, a in enumerate(cited)),
    ]
    return [*events, done(0, whole)], [whole]


SHAPES: dict[str, Callable[[int], Made]] = {
    "calls": _calls,
    "calls-at-once": _interleaved_calls,
    "calls-without-indexes": _without_indexes(_calls),
    "calls-at-once-without-indexes": _without_indexes(_interleaved_calls),
    "calls-at-one-index": _at_one_index(_calls),
    "calls-at-once-at-one-index": _at_one_index(_interleaved_calls),
    "messages": _messages(),
    "commentary": _messages(phase="commentary"),
    "parts": _parts,
    "citations": _citations,
}


def _work(made: Made, *, listed: bool) -> int:
    """Return how many function calls a stream takes."""
    events, output = made
    translated = chat_to_responses(asked(stream=True))
    assert translated.body is not None
    history = read_history(translated.body["input"], translated.paths.items)
    history.keeps_empty = True
    relay = StreamTranslator(
        translated.reply_context, translated.paths, on_bug_raise=True, make_entry=history.make_entry
    )
    pieces = wire([*opening(), *events, ending(*output if listed else ())])
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        for piece in pieces:
            relay.feed(piece)
    finally:
        sys.setprofile(None)
    assert relay.done
    assert not relay.failed
    assert (relay.take_entry() is not None) == any(one["type"] == "function_call" for one in output)
    return calls


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "unlisted"])
@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES)
def test_work_grows_linearly(make: Callable[[int], Made], *, listed: bool) -> None:
    _work(make(4), listed=listed)  # the first stream of a process imports modules
    assert _work(make(120), listed=listed) < 2.3 * _work(make(60), listed=listed)
