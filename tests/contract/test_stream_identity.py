"""Streams with odd indexes, ids and announcements: one item stays one, and contradictions fail.

Expected is the answer of the finished response; a stream whose end contradicts what was streamed
is an error (docs/edge-cases.md#found-later).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest

from adapter.errors import TranslationError
from adapter.translation import ChunksFromEvents, chat_to_responses
from tests.contract.test_edge_streams import (
    FUNCTION,
    REASONING_EVENTS,
    ROME,
    SCHEMA,
    accumulated,
    added,
    asked,
    call,
    call_events,
    deltas,
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
from tests.support.ways_in import WAYS_IN, Reply, WayIn, both, each_way_in

Json = dict[str, Any]
PAY, OSLO = '{"amount":100}', '{"c":"Oslo"}'
FIRST, SECOND = call("call_A", OSLO, id="fc_1"), call("call_B", '{"c":"Rome"}', id="fc_2")


def arguments(kind: str, value: str, item_id: str, index: int = 0) -> Json:
    return on_arguments(kind, index, value) | {"item_id": item_id}


def text_event(kind: str, value: str, item_id: str = "msg_1", index: int = 0) -> Json:
    return on_text(kind, index, value) | {"item_id": item_id}


def without(*keys: str) -> Callable[[Json], Json]:
    return lambda event: {key: value for key, value in event.items() if key not in keys}


@dataclass(frozen=True, slots=True)
class Case:
    """Events without the opening ones, and the expected text, calls and ledger.

    A call is its id, name and arguments; `calls` is None if an error is expected.
    """

    id: str
    input: Sequence[Json]
    text: str | None = None
    calls: Sequence[tuple[str, str, str]] | None = ()
    ledger: Sequence[tuple[str, str]] = ()
    request: Mapping[str, Any] = field(default_factory=dict)


ONE = [("call_A", "f", OSLO)]
TWO = [*ONE, ("call_B", "f", '{"c":"Rome"}')]

ONE_ITEM = (
    Case(
        "announced-late", [arguments("delta", OSLO, "fc_1"), *call_events(0, FIRST), ending(FIRST)],
        None, ONE,
    ),
    Case(
        "announced-twice",
        [
            added(0, FIRST), added(0, FIRST), arguments("delta", OSLO, "fc_1"), done(0, FIRST),
            ending(FIRST),
        ],
        None,
        ONE,
    ),
    Case(
        "announced-again-under-another-index",
        [
            added(0, FIRST), arguments("delta", OSLO[:4], "fc_1"), added(1, FIRST),
            arguments("delta", OSLO[4:], "fc_1", 1), done(1, FIRST), ending(FIRST),
        ],
        None,
        ONE,
    ),
    Case(
        "announced-again-under-another-id",
        [
            added(0, FIRST), arguments("delta", OSLO, "fc_1"), added(1, FIRST | {"id": "fc_9"}),
            done(1, FIRST), ending(FIRST),
        ],
        None,
        ONE,
    ),
    Case(
        "a-delta-under-another-index",
        [
            added(0, FIRST), arguments("delta", OSLO[:4], "fc_1"),
            arguments("delta", OSLO[4:], "fc_1", 3), done(0, FIRST), ending(FIRST),
        ],
        None,
        ONE,
    ),
    Case(
        "two-calls-at-one-index",
        [
            added(0, FIRST), added(0, SECOND), arguments("delta", '{"c":', "fc_2"),
            arguments("delta", '{"c":', "fc_1"), arguments("delta", '"Rome"}', "fc_2"),
            arguments("delta", '"Oslo"}', "fc_1"), done(0, SECOND), done(0, FIRST),
            ending(FIRST, SECOND),
        ],
        None,
        TWO,
    ),
    Case(
        "two-calls-at-one-index-one-after-the-other",
        [
            *call_events(0, FIRST, OSLO),
            *(e | {"item_id": "fc_2"} for e in call_events(0, SECOND, '{"c":"Rome"}')),
            ending(FIRST, SECOND),
        ],
        None,
        TWO,
    ),
    Case(
        "other-items-come-at-its-index",
        [
            added(0, FIRST), arguments("delta", OSLO[:4], "fc_1"), *REASONING_EVENTS,
            *message_events(0, "Hello"),
            arguments("delta", OSLO[4:], "x"), done(0, FIRST), ending(FIRST, message("Hello")),
        ],
        "Hello",
        ONE,
    ),
    Case(
        "a-message-stays-open-as-well",
        [
            added(0, message("")), text_event("delta", "Hel"), *REASONING_EVENTS,
            *call_events(0, FIRST, OSLO),
            text_event("delta", "lo", "x"), done(0, message("Hello")),
            ending(message("Hello"), FIRST),
        ],
        "Hello",
        ONE,
    ),
    Case(
        "no-indexes-and-finished-at-the-end",
        list(
            map(
                without("output_index"),
                [
                    added(0, FIRST), arguments("delta", OSLO, "fc_1"), added(0, SECOND),
                    arguments("delta", '{"c":"Rome"}', "fc_2"), done(0, FIRST), done(0, SECOND),
                    ending(FIRST, SECOND),
                ],
            )
        ),
        None,
        TWO,
    ),
    Case(
        "no-indexes-and-no-ids",
        [
            *list(
                map(
                    without("output_index", "item_id"),
                    [*message_events(0, "Hel", "lo"), *call_events(0, FIRST, OSLO)],
                )
            ),
            ending(message("Hello"), FIRST),
        ],
        "Hello",
        ONE,
    ),
    Case(
        "a-message-announced-twice-under-two-indexes",
        [
            added(0, message("")), text_event("delta", "Hel"), added(1, message("")),
            text_event("delta", "lo", index=1), done(1, message("Hello")), ending(message("Hello")),
        ],
        "Hello",
    ),
    Case(
        "ids-that-change-in-the-finished-response",
        [
            *message_events(0, "One."), *message_events(1, "Two."),
            ending(message("One.", id="z1"), message("Two.", id="z2")),
        ],
        "One.\n\nTwo.",
    ),
    Case(
        "the-same-ids-for-all",
        [
            e | {"item_id": "msg_1"}
            for e in [*message_events(0, "One."), *message_events(1, "Two.")]
        ] + [ending(message("One."), message("Two."))],
        "One.\n\nTwo.",
    ),
    Case(
        "announced-after-a-delta-without-index-and-id",
        [
            without("output_index", "item_id")(text_event("delta", "Hel")), added(0, message("")),
            without("output_index", "item_id")(text_event("delta", "lo")), ending(message("Hello")),
        ],
        "Hello",
    ),
    Case(
        "an-empty-message-that-isn't-listed",
        [added(0, message("", id="msg_0")), *message_events(1, "Hi"),
        ending(message("Hi", id="z"))], "Hi",
    ),
)  # fmt: skip

SNAPSHOTS = (
    Case(
        "text-in-an-announcement",
        [
            added(0, message("")), on_part("added", 0, text("Hello")), text_event("delta", "Hel"),
            text_event("delta", "lo"), text_event("done", "Hello"), ending(message("Hello")),
        ],
        "Hello",
    ),
    Case(
        "text-in-an-announced-message",
        [
            added(0, message("x")) | {"item": message("Hello")}, text_event("delta", "Hello"),
            ending(message("Hello")),
        ],
        "Hello",
    ),
    Case(
        "text-in-an-announced-message-alone",
        [added(0, message("x")) | {"item": message("Hello")}, ending()], "Hello",
    ),
    Case(
        "text-in-an-announcement-alone",
        [added(0, message("")), on_part("added", 0, text("Hello")), ending()], "Hello",
    ),
    Case(
        "arguments-in-an-announcement",
        [{**added(0, FIRST), "item": FIRST}, arguments("delta", OSLO, "fc_1"), ending(FIRST)], None,
        ONE,
    ),
    Case(
        "arguments-in-an-announcement-alone", [{**added(0, FIRST), "item": FIRST}, ending()], None,
        ONE,
    ),
    Case(
        "a-refusal-in-an-announcement",
        [
            on_part("added", 0, {"type": "refusal", "refusal": "No."}), text_event("delta", "Hi"),
            done(0, message("Hi")), ending(message("Hi")),
        ],
        "Hi",
    ),
)  # fmt: skip

SPACED, LONGER = '{"c": "Oslo"}', '{"c":"Oslo","d":1}'
FORMATS = (
    Case(
        "text-trimmed-by-done",
        [text_event("delta", " Hello\n"), text_event("done", "Hello"), ending(message("Hello"))],
        " Hello\n",
        (), [("output[0].content[0].text", "changed")],
    ),
    Case(
        "text-trimmed-at-the-end", [*message_events(0, "Hello "), ending(message("Hello"))],
        "Hello ", (),
        [("output[0].content", "changed")],
    ),
    Case(
        "arguments-written-again",
        [*call_events(0, FIRST, OSLO), ending(FIRST | {"arguments": SPACED})],
        None, ONE, [("output[0].arguments", "changed")],
    ),
    Case(
        "arguments-in-another-order",
        [
            *call_events(0, call(arguments=LONGER), LONGER),
            ending(call(arguments='{"d": 1, "c": "Oslo"}')),
        ],
        None, [("call_A", "f", LONGER)], [("output[0].arguments", "changed")],
    ),
    Case(
        "a-format-written-again", [*message_events(0, '{"a":1}'), ending(message('{ "a": 1 }'))],
        '{"a":1}',
        (), [("output[0].content", "changed")], SCHEMA,
    ),
    Case(
        "text-that-is-json-after-an-agreement",
        [*message_events(0, '{"a":1}'), ending(message('{"a": 1}'))], '{"a":1}', (),
        [("output[0].content", "changed")],
    ),
    Case(
        "text-that-is-json-without-one",
        [text_event("delta", '{"a":1}'), ending(message('{"a": 1}'))],
        calls=None,
    ),
    Case(
        "other-types",
        [*call_events(0, call(arguments='{"a":1}'), '{"a":1}'),
        ending(call(arguments='{"a":1.0}'))],
        calls=None,
    ),
    Case(
        "a-truth-for-a-number",
        [*call_events(0, call(arguments='{"a":1}'), '{"a":1}'),
        ending(call(arguments='{"a":true}'))],
        calls=None,
    ),
    Case(
        "a-key-that-comes-twice",
        [*call_events(0, call(arguments='{"a":1}'), '{"a":1}'),
        ending(call(arguments='{"a":2,"a":1}'))],
        calls=None,
    ),
    Case(
        "a-format-with-another-value", [*message_events(0, '{"a":1}'), ending(message('{"a": 2}'))],
        calls=None, request=SCHEMA,
    ),
)  # fmt: skip

AGAIN = call("call_A", OSLO, id="fc_7")
REPEATED = (
    Case(
        "the-same-call-again",
        [*call_events(0, FIRST, OSLO), *call_events(1, AGAIN, OSLO), ending(FIRST)],
        None, ONE, [("output[1]", "dropped")],
    ),
    Case(
        "listed-again",
        [*call_events(0, FIRST, OSLO), *call_events(1, AGAIN, OSLO), ending(FIRST, AGAIN)],
        None, ONE, [("output[1]", "dropped")],
    ),
    Case(
        "listed-twice-at-the-end", [*call_events(0, FIRST, OSLO), ending(FIRST, AGAIN)], None, ONE,
        [("output[1]", "dropped")],
    ),
    Case(
        "nothing-listed", [*call_events(0, FIRST, OSLO), *call_events(1, AGAIN, OSLO), ending()],
        None, ONE,
        [("output[1]", "dropped")],
    ),
    Case(
        "again-without-arguments",
        [*call_events(0, FIRST, OSLO), *call_events(1, AGAIN | {"arguments": ""}), ending(FIRST)],
        None, ONE,
        [("output[1]", "dropped")],
    ),
    Case(
        "first-without-arguments",
        [
            *call_events(0, FIRST | {"arguments": ""}), *call_events(1, AGAIN, OSLO),
            ending(FIRST | {"arguments": ""}, AGAIN),
        ],
        None, ONE, [("output[1]", "dropped")],
    ),
    Case(
        "again-in-other-words",
        [*call_events(0, FIRST, OSLO), *call_events(1, AGAIN | {"arguments": SPACED}, SPACED),
        ending(FIRST)],
        None, ONE, [("output[1]", "dropped")],
    ),
    Case(
        "announced-again-after-its-end",
        [*call_events(0, FIRST, OSLO), added(0, FIRST), ending(FIRST)],
        None, ONE, [("output[1]", "dropped")],
    ),
    Case(
        "again-with-an-empty-object",
        [
            *call_events(0, FIRST, OSLO), *call_events(1, AGAIN | {"arguments": "{}"}, "{}"),
            ending(FIRST, AGAIN | {"arguments": "{}"}),
        ],
        None, ONE, [("output[1]", "dropped")],
    ),
    Case(
        "again-with-null-arguments",
        [
            *call_events(0, FIRST, OSLO), added(1, AGAIN), done(1, AGAIN | {"arguments": None}),
            ending(FIRST, AGAIN | {"arguments": None}),
        ],
        None, ONE, [("output[1]", "dropped")],
    ),
    Case(
        "finished-again", [done(0, FIRST), done(1, AGAIN), ending()], None, ONE,
        [("output[1]", "dropped")],
    ),
    Case(
        "finished-again-with-an-empty-object",
        [done(0, FIRST), done(0, FIRST | {"arguments": "{}"}), ending(FIRST)], None, ONE,
        [("output[1]", "dropped")],
    ),
    Case(
        "finished-again-in-other-words",
        [done(0, FIRST), done(1, AGAIN | {"arguments": SPACED}), ending(FIRST)], None, ONE,
        [("output[1]", "dropped")],
    ),
    Case(
        "finished-without-arguments-first",
        [done(0, FIRST | {"arguments": ""}), done(1, AGAIN), ending(AGAIN)], None, ONE,
        [("output[1]", "dropped")],
    ),
    Case(
        "finished-again-with-other-arguments",
        [done(0, FIRST), done(1, AGAIN | {"arguments": PAY}), ending()], calls=None,
    ),
    Case(
        "other-arguments",
        [
            *call_events(0, FIRST, OSLO), *call_events(1, AGAIN | {"arguments": PAY}, PAY),
            ending(FIRST, AGAIN | {"arguments": PAY}),
        ],
        calls=None,
    ),
    Case(
        "another-name",
        [*call_events(0, FIRST, OSLO), *call_events(1, AGAIN | {"name": "g"}, OSLO), ending(FIRST)],
        calls=None,
    ),
)  # fmt: skip

ABSENT = (
    Case(
        "a-name-that-comes-late",
        [
            added(0, FIRST | {"name": ""}), arguments("delta", OSLO, "fc_1"), done(0, FIRST),
            ending(FIRST),
        ],
        None, ONE,
    ),
    Case(
        "a-call-id-that-comes-late",
        [
            added(0, FIRST | {"call_id": ""}), arguments("delta", OSLO, "fc_1"), done(0, FIRST),
            ending(FIRST),
        ],
        None, ONE,
    ),
    Case(
        "no-call-id",
        [
            added(0, without("call_id")(FIRST)), arguments("delta", OSLO, "fc_1"),
            done(0, without("call_id")(FIRST)), ending(without("call_id")(FIRST)),
        ],
        None, [("fc_1", "f", OSLO)],
    ),
    Case(
        "a-name-that-comes-with-the-arguments",
        [
            added(0, without("name")(FIRST)), arguments("delta", OSLO, "fc_1"),
            arguments("done", OSLO, "fc_1") | {"name": "f"}, ending(),
        ],
        None, ONE,
    ),
    Case(
        "no-name-at-all",
        [*call_events(0, FIRST | {"name": ""}, OSLO), ending(FIRST | {"name": ""})],
        calls=None,
    ),
    Case(
        "null-arguments",
        [
            added(0, FIRST), done(0, FIRST | {"arguments": None}),
            ending(FIRST | {"arguments": None}),
        ],
        None, [("call_A", "f", "{}")],
    ),
    Case(
        "null-arguments-and-nothing-listed",
        [added(0, FIRST), done(0, FIRST | {"arguments": None}), ending()], None,
        [("call_A", "f", "{}")],
    ),
    Case(
        "empty-arguments",
        [added(0, FIRST), done(0, FIRST | {"arguments": ""}), ending(FIRST | {"arguments": ""})],
        None, [("call_A", "f", "")],
    ),
)  # fmt: skip

OTHER_WORDS = (
    Case(
        "a-phase-that-comes-too-late",
        [
            *message_events(0, "Hm."), done(0, message("Hm.", phase="commentary")),
            *message_events(1, "Yes."),
            ending(message("Hm.", phase="commentary"), message("Yes.")),
        ],
        "Hm.\n\nYes.", (), [("output[0].phase", "changed")],
    ),
    Case(
        "a-phase-that-comes-just-in-time",
        [
            added(0, message("")), done(0, message("Hm.", phase="commentary")),
            *message_events(1, "Yes."),
            ending(message("Hm.", phase="commentary"), message("Yes.")),
        ],
        "Yes.", (), [("output[0]", "dropped")],
    ),
    Case(
        "response.done",
        [*message_events(0, "Hello"), ending(message("Hello")) | {"type": "response.done"}],
        "Hello",
    ),
    Case(
        "an-end-without-a-response", [*message_events(0, "Hello"), {"type": "response.completed"}],
        "Hello",
    ),
    Case(
        "an-end-without-a-response-or-an-end",
        [text_event("delta", "Hello"), {"type": "response.completed"}], calls=None,
    ),
    Case(
        "response.error",
        [
            text_event("delta", "Hello"),
            {"type": "response.error", "error": {"message": "No.", "code": "x"}},
        ],
        calls=None,
    ),
    Case("content-that-is-a-string", [ending(message() | {"content": "Hello"})], "Hello"),
    Case(
        "text-for-output-text",
        [
            added(0, message("")), done(0, message({"type": "text", "text": "Hello"})),
            ending(message({"type": "text", "text": "Hello"})),
        ],
        "Hello",
    ),
    Case(
        "other-parts",
        [
            added(0, message("")), on_part("added", 0, {"type": "reasoning_text", "text": "Hm"}),
            on_part("done", 0, {"type": "reasoning_text", "text": "Hm"}),
            text_event("delta", "Hello"),
            ending(message({"type": "reasoning_text", "text": "Hm"}, "Hello")),
        ],
        "Hello", (), [("output[0].content[0]", "dropped")],
    ),
    Case(
        "a-part-without-a-type",
        [
            added(0, message("")), done(0, message({"text": "Hello"})),
            ending(message({"text": "Hello"})),
        ],
        "Hello",
    ),
    Case(
        "arguments-that-are-an-object",
        [
            added(0, FIRST), done(0, FIRST | {"arguments": {"c": "Oslo"}}),
            ending(FIRST | {"arguments": {"c": "Oslo"}}),
        ],
        None, ONE,
    ),
    Case(
        "a-delta-that-is-an-object",
        [
            added(0, FIRST),
            arguments("delta", {"c": "Oslo"}, "fc_1"),  # type: ignore[arg-type]
            done(0, FIRST), ending(FIRST),
        ],
        None, ONE,
    ),
)  # fmt: skip

_PAYS = call("call_A", PAY, name="pay")
CONTRADICTIONS = tuple(
    Case(name, events, calls=None)
    for name, events in {
        "more-calls": [*call_events(0, FIRST, OSLO), *call_events(1, SECOND, '{"c":"Rome"}'),
        ending(FIRST)],
        "fewer-calls-and-a-message": [*call_events(0, FIRST, OSLO), ending(message("Hello"))],
        "only-reasoning-is-listed": [
            *message_events(0, "Hello"), ending({"type": "reasoning", "id": "rs_1", "summary": []}),
        ],
        "more-messages": [*message_events(0, "One."), *message_events(1, "Two."),
        ending(message("One."))],
        "another-message": [*message_events(0, "One."), ending(message("Two."))],
        "an-empty-message": [*message_events(0, "One."), ending(message(""))],
        "messages-in-another-order": [
            *message_events(0, "One."), *message_events(1, "Two."),
            ending(message("Two."), message("One.")),
        ],
        "a-message-before-it": [
            *message_events(0, "One."), ending(message("Zero.", id="m0"), message("One.")),
        ],
        "another-call-id": [*call_events(0, _PAYS, PAY), ending(_PAYS | {"call_id": "call_Z"})],
        "another-name": [*call_events(0, _PAYS, PAY), ending(_PAYS | {"name": "refund"})],
        "another-kind": [
            *call_events(0, _PAYS, PAY),
            ending({**_PAYS, "type": "custom_tool_call", "input": PAY}),
        ],
        "other-arguments": [
            *call_events(0, _PAYS, PAY), ending(_PAYS | {"arguments": '{"amount":1000}'}),
        ],
        "no-arguments": [*call_events(0, _PAYS, PAY), ending(_PAYS | {"arguments": ""})],
        "paid-twice-under-two-ids": [
            *call_events(0, _PAYS, PAY),
            *call_events(1, _PAYS | {"call_id": "call_B", "id": "x"}, PAY),
            ending(_PAYS),
        ],
        "finished-with-another-id": [
            added(0, _PAYS), done(0, _PAYS | {"call_id": "call_Z"}), ending(),
        ],
        "finished-with-another-name": [
            added(0, _PAYS), done(0, _PAYS | {"name": "refund"}), ending(),
        ],
        "one-of-two-is-never-finished": [*call_events(0, FIRST, OSLO), added(1, SECOND), ending()],
        "it-continues-after-its-end": [
            *message_events(0, "Hello"), text_event("delta", " there"), ending(message("Hello")),
        ],
        "it-continues-after-its-end-and-nothing-is-listed": [
            *message_events(0, "Hello"), text_event("delta", " there"), ending(),
        ],
        "two-messages-at-once": [
            text_event("delta", "a", "m1", 0), text_event("delta", "b", "m2", 1),
            text_event("delta", "c", "m1", 0),
            ending(message("ac"), message("b")),
        ],
        "a-part-that-isn't-listed": [
            text_event("delta", "Hel"), on_text("delta", 0, "lo", 1), ending(message("Hel")),
        ],
        "a-refusal-that-isn't-listed": [
            text_event("delta", "Hel"),
            {**text_event("delta", "No."), "type": "response.refusal.delta"},
            ending(message("Hel")),
        ],
    }.items()
)  # fmt: skip

_LATE = [
    *message_events(0, "Hm."),
    done(0, message("Hm.", phase="commentary")),
    *message_events(1, '{"a":1}', id="m1"),
]
_HM, _JSON = message("Hm.", id="msg_0", phase="commentary"), message('{"a":1}', id="m1")
READ_OTHERWISE = (
    Case(
        "json-after-a-phase-that-comes-too-late", [*_LATE, ending(_HM, _JSON)], calls=None,
        request=SCHEMA,
    ),
    Case(
        "json-after-a-phase-that-comes-too-late-and-nothing-listed", [*_LATE, ending()], calls=None,
        request=SCHEMA,
    ),
    Case(
        "json-after-a-phase-that-comes-at-the-end",
        [*message_events(0, "Hm."), *message_events(1, '{"a":1}'), ending(_HM, _JSON)], calls=None,
        request={"response_format": {"type": "json_object"}},
    ),
    Case(
        "json-in-another-order",
        [
            *message_events(0, '{"a":2}', id="m0"), *message_events(1, '{"a":1}', id="m1"),
            ending(_JSON, message('{"a":2}', id="m0")),
        ],
        calls=None, request=SCHEMA,
    ),
    Case(
        "commentary-that-is-final-at-the-end",
        [
            *message_events(0, "Hm.", phase="commentary", id="m0"),
            *message_events(1, "Yes.", id="m1"),
            ending(message("Hm.", id="m0", phase="final_answer"), message("Yes.", id="m1")),
        ],
        calls=None,
    ),
    Case(
        "commentary-that-stood-before-a-call",
        [
            *message_events(0, "Hm.", phase="commentary", id="m0"), *call_events(1, FIRST, OSLO),
            *message_events(2, "Yes.", id="m2"),
            ending(message("Hm.", id="m0", phase="commentary"), message("Yes.", id="m2"), FIRST),
        ],
        calls=None,
    ),
    Case(
        "a-duplicate-of-an-open-message",
        [
            on_text("delta", 0, "Hello", item_id="m0"), on_text("delta", 1, "Hello", item_id="m1"),
            done(1, message("Hello", id="m1")), done(0, message("Hello", "Hello", id="m0")),
            ending(message("Hello", "Hello", id="m0"), message("Hello", id="m1")),
        ],
        calls=None,
    ),
    Case(
        "duplicates-in-another-order",
        [
            *message_events(0, "Hello", id="m0"), *message_events(1, "Hello", id="m1"),
            ending(message("Hello", id="m1"), message("Hello", id="m0")),
        ],
        "Hello", (), [("output[1]", "dropped")],
    ),
    Case(
        "arguments-of-a-duplicate-that-isn't-listed",
        [
            *call_events(0, FIRST | {"arguments": ""}), *call_events(1, AGAIN, OSLO),
            ending(FIRST | {"arguments": ""}),
        ],
        calls=None,
    ),
)  # fmt: skip


def phased(oi: int, phase: str | None, *pieces: str, announced: str | None = None) -> list[Json]:
    """All events of one message: its phase comes when it is finished.

    `announced` is another phase that it had when it was announced.
    """
    before, *between, _ = message_events(oi, *pieces, id=f"msg_{oi}")
    first = {**before, "item": before["item"] | ({"phase": announced} if announced else {})}
    return [first, *between, done(oi, whole(oi, phase, *pieces))]


def whole(oi: int, phase: str | None, *pieces: str) -> Json:
    return message("".join(pieces), id=f"msg_{oi}", **({"phase": phase} if phase else {}))


def with_phases(*messages: tuple[str | None, str, str | None]) -> list[Json]:
    """A stream of messages: each with its final phase, text, and announced phase."""
    events = [
        phased(oi, phase, content[:2], content[2:], announced=before)
        for oi, (phase, content, before) in enumerate(messages)
    ]
    return [
        *itertools.chain(*events),
        ending(*(whole(oi, phase, content) for oi, (phase, content, _) in enumerate(messages))),
    ]


_ANSWER = '{"a":1}'
_HMS, _LATE_PHASE = ("commentary", "Hm. Hm.", None), [("output[0].phase", "changed")]
_COMMENTARY_DROPPED, _SECOND_DROPPED = [("output[0]", "dropped")], [("output[1]", "dropped")]
PHASES = (
    Case(
        "json-after-commentary-with-a-late-phase",
        with_phases(_HMS, ("final_answer", _ANSWER, None)), _ANSWER,
        (), _COMMENTARY_DROPPED, SCHEMA,
    ),
    Case(
        "json-without-a-phase-after-commentary-with-a-late-phase",
        with_phases(_HMS, (None, _ANSWER, None)),
        _ANSWER, (), _COMMENTARY_DROPPED, SCHEMA,
    ),
    Case(
        "json-after-an-unknown-phase-with-a-late-phase",
        with_phases(("analysis", "Hm. Hm.", None), ("final_answer", _ANSWER, None)), _ANSWER, (),
        _COMMENTARY_DROPPED,
        SCHEMA,
    ),
    Case(
        "json-after-an-unknown-phase",
        with_phases(("analysis", _ANSWER, "analysis"), ("final_answer", '{"a":2}', "final_answer")),
        '{"a":2}', (), _COMMENTARY_DROPPED, SCHEMA,
    ),
    Case(
        "json-after-json-with-a-late-phase",
        with_phases(("commentary", _ANSWER, None), ("final_answer", '{"a":2}', None)), calls=None,
        request=SCHEMA,
    ),
    Case(
        "json-marked-final-at-its-end", with_phases(("final_answer", _ANSWER, "commentary")),
        _ANSWER, (),
        (), SCHEMA,
    ),
    Case("nothing-but-commentary-with-a-late-phase", with_phases(_HMS), "Hm. Hm.", (), (), SCHEMA),
    Case(
        "commentary-with-a-late-phase", with_phases(_HMS, ("final_answer", "Yes.", None)),
        "Hm. Hm.\n\nYes.", (),
        _LATE_PHASE,
    ),
    Case(
        "an-unknown-phase-with-a-late-phase",
        with_phases(("draft", "Hm. Hm.", None), ("final_answer", "Yes.", None)), "Hm. Hm.\n\nYes.",
        (),
        _LATE_PHASE,
    ),
    Case(
        "an-unknown-phase", with_phases(("draft", "Hm. Hm.", "draft"), (None, "Yes.", None)),
        "Yes.", (),
        _COMMENTARY_DROPPED,
    ),
    Case("an-unknown-phase-alone", with_phases(("draft", "Hm. Hm.", "draft")), "Hm. Hm."),
    Case("an-empty-phase", with_phases((None, "Yes.", "")), "Yes."),
    Case(
        "final-at-its-end",
        with_phases(("final_answer", "Yes. ", "commentary"), ("final_answer", "No.", None)),
        "Yes. \n\nNo.",
    ),
    Case(
        "a-duplicate-with-a-late-phase",
        with_phases((None, "Yes.", None), ("commentary", "Yes.", None)), "Yes.", (),
        _SECOND_DROPPED,
    ),
    Case(
        "the-beginning-of-a-duplicate-with-a-late-phase",
        with_phases((None, "Yes. No.", None), ("commentary", "Yes.", None)), "Yes. No.", (),
        _SECOND_DROPPED,
    ),
    Case(
        "a-duplicate-that-ends-in-a-line",
        [
            *message_events(0, "Yes.", id="m0"), *message_events(1, "Yes.", id="m1"),
            ending(message("Yes.\n", id="m0"), message("Yes.\n", id="m1")),
        ],
        "Yes.", (),
        [*_SECOND_DROPPED, ("output[0].content", "changed"), ("output[1].content", "changed")],
    ),
)  # fmt: skip


@pytest.mark.parametrize("phase", [None, "final_answer"])
def test_json_is_passed_on_as_it_comes(phase: str | None) -> None:
    machine = ChunksFromEvents(chat_to_responses(asked(**SCHEMA)).reply_context)
    seen = []
    for event in [*opening(), *phased(0, phase, ' {"a"', ":1}", announced=phase)]:
        out = machine.feed(event)
        if event["type"].endswith("text.delta"):
            seen.append([chunk["choices"][0]["delta"]["content"] for chunk in map(as_json, out)])
    assert seen == [["", ' {"a"'], [":1}"]]


def as_json(chunk: Any) -> Json:
    made: Json = chunk if isinstance(chunk, dict) else chunk.chunk()
    return made


NO_OBJECTS = ["x", None, 7, True, ["x"], []]
SHAPES = tuple(
    Case(f"{where}-{json.dumps(value)}", events, calls=None)
    for value in NO_OBJECTS
    for where, events in {
        "added": [{**added(0, FIRST), "item": value}, ending(message("Hello"))],
        "done": [{**done(0, FIRST), "item": value}, ending(message("Hello"))],
        "listed": [ending(value)],  # type: ignore[arg-type]
        "listed-beside-text": [
            *message_events(0, "Hello"),
            ending(message("Hello"), value),  # type: ignore[arg-type]
        ],
        "a-part": [done(0, message("") | {"content": [value]}), ending()],
        "a-part-listed": [ending(message("") | {"content": [value]})],
    }.items()
) + tuple(
    Case(name, events, calls=None)
    for name, events in {
        "text-that-is-a-number": [ending(message({"type": "output_text", "text": 7}))],
        "text-that-is-an-object": [
            ending(message({"type": "output_text", "text": {"value": "Hi"}})),
        ],
        "content-that-is-an-object": [ending(message("") | {"content": {"text": "Hi"}})],
        "a-delta-that-is-an-object": [
            text_event("delta", {"text": "Hi"}),  # type: ignore[arg-type]
            ending(),
        ],
        "a-delta-that-is-a-number": [text_event("delta", 7), ending()],  # type: ignore[arg-type]
        "arguments-that-are-a-number": [ending(call(arguments=7))],  # type: ignore[arg-type]
        "a-deprecated-call-beside-a-message's-content": [
            ending(message("Hi") | {"function_call": {"name": "f", "arguments": ""}}),
        ],
        "a-call-of-another-kind": [
            *message_events(0, "Hi"),
            ending(message("Hi"), {"type": "tool_use", "name": "f", "input": {}}),
        ],
        "a-call-of-another-kind-that-isn't-listed": [
            *message_events(0, "Hi"), done(1, {"type": "tool_call", "name": "f"}), ending(),
        ],
        "arguments-that-are-a-list": [ending(call(arguments=[]))],  # type: ignore[arg-type]
        "a-refusal-that-is-an-object": [ending(message({"type": "refusal", "refusal": {}}))],
        "a-call-inside-a-message": [ending(message(call()))],
        "calls-beside-a-message's-content": [ending(message("") | {"tool_calls": [call()]})],
        "an-item-without-a-type": [ending({"content": "Hello"})],
    }.items()
)  # fmt: skip

CASES = (
    *ONE_ITEM,
    *SNAPSHOTS,
    *FORMATS,
    *REPEATED,
    *ABSENT,
    *OTHER_WORDS,
    *CONTRADICTIONS,
    *READ_OTHERWISE,
    *PHASES,
    *SHAPES,
)
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


def _outcome(chunks: Sequence[Json]) -> tuple[str | None, list[tuple[str, str, str]]]:
    message = accumulated(chunks)["message"]
    calls = [
        (one["id"], one["function"]["name"], one["function"]["arguments"])
        for one in message.get("tool_calls", ())
    ]
    return message["content"] or None, calls


@each_case
def test_the_pure_machine(case: Case) -> None:
    made = chat_to_responses(asked(stream=True, **case.request))
    machine = ChunksFromEvents(made.reply_context, made.paths)
    chunks: list[Json] = []
    try:
        for event in [*opening(), *case.input]:
            chunks += machine.feed(event)
        machine.close()
    except TranslationError:
        assert case.calls is None
        assert not [finish for _, finish in deltas(chunks) if finish]
        return
    assert case.calls is not None, _outcome(chunks)
    assert _outcome(chunks) == (case.text, list(case.calls))
    assert [(loss.path, loss.action) for loss in machine.losses] == list(case.ledger)


@each_way_in
def test_a_way_in(way_in: WayIn) -> None:
    for n, case in enumerate(CASES):
        events = wire([*opening(), *case.input])
        pieces = [b"".join(events)] if (n + WAYS_IN.index(way_in)) % 2 else events
        seen = way_in.stream(asked(tools=[FUNCTION], **case.request), both(Reply.of_sse(pieces)))
        if case.calls is None:
            assert isinstance(seen.error, openai.APIError), case.id
            assert not [finish for _, finish in deltas(seen.chunks_json()) if finish], case.id
        else:
            seen.reraise()
            assert _outcome(seen.chunks_json()) == (case.text, list(case.calls)), case.id


_STREAMED_ONLY = (
    "a-phase-that-comes-too-late",
    "added-",
    "done-",
    "a-delta-",
    "another-name",
    "finished-",
)
WHOLE = [
    case
    for case in (*REPEATED, *ABSENT, *OTHER_WORDS, *SHAPES)
    if case.input[-1].get("response", {}).get("output") and not case.id.startswith(_STREAMED_ONLY)
]


@each_way_in
def test_whole_replies_are_read_alike(way_in: WayIn) -> None:
    """Cases in which the finished response holds the whole answer."""
    for case in WHOLE:
        reply = both(Reply.of_json(case.input[-1]["response"]))
        seen = way_in.create(asked(tools=[FUNCTION], **case.request), reply)
        if case.calls is None:
            assert isinstance(seen.error, openai.APIStatusError), case.id
            assert (seen.error.status_code, seen.error.code) == (502, "invalid_response"), case.id
            continue
        (choice,) = seen.json()["choices"]
        made = choice["message"].get("tool_calls", ())
        calls = [(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in made]
        assert (choice["message"]["content"], calls) == (case.text, list(case.calls)), case.id


@pytest.mark.parametrize("event", ["response.created", "response.in_progress"])
@each_way_in
def test_an_opening_that_is_cut_is_not_needed(way_in: WayIn, event: str) -> None:
    cut = f'event: {event}\ndata: {{"type": "{event}", "respon\n\n'.encode()
    seen = way_in.stream(
        asked(),
        both(Reply.of_sse([cut, *wire([*message_events(0, "Hello"), ending(message("Hello"))])])),
    )
    seen.reraise()
    assert _outcome(seen.chunks_json()) == ("Hello", [])


def test_every_order_of_two_calls_and_their_ends() -> None:
    """Two calls whose events are interleaved in every way, each in its own order."""
    one = [
        added(0, FIRST),
        arguments("delta", OSLO[:4], "fc_1"),
        arguments("delta", OSLO[4:], "fc_1"),
        done(0, FIRST),
    ]
    other = [e | {"output_index": 1} for e in call_events(1, ROME, '{"c":"Rome"}')]
    for places in itertools.combinations(range(len(one) + len(other)), len(one)):
        first, second = iter(one), iter(other)
        events = [
            next(first) if n in places else next(second) for n in range(len(one) + len(other))
        ]
        machine = ChunksFromEvents()
        chunks = [
            chunk
            for event in [*opening(), *events, ending(FIRST, ROME)]
            for chunk in machine.feed(event)
        ]
        assert sorted(_outcome(chunks)[1]) == TWO


_REASON, _FILTER = {"status": "incomplete"}, {"source_type": "completion", "blocked": False}
ODD_FIELDS: dict[str, Json] = {
    "an-item's-type": {"output": [message("Hello"), {"type": ["x"]}, {"type": {"a": 1}}]},
    "a-call's-id": {
        "output": [message("Hello"), FIRST | {"call_id": ["x"]}, SECOND | {"call_id": {"a": 1}}],
    },
    "a-reason": {"output": [message("Hello")], "incomplete_details": {"reason": ["x"]}, **_REASON},
    "filters": {
        "output": [message("Hello")],
        "content_filters": [_FILTER | {"content_filter_results": x} for x in (7, ["x"], True)],
    },
    "logprobs": {
        "output": [
            message(
                text("Hello", logprobs=[{"token": "Hello", "logprob": 0, "top_logprobs": True}])
            ),
        ],
    },
    "an-endless-time": {"output": [message("Hello")], "created_at": float("inf")},
    "a-long-time": {"output": [message("Hello")], "created_at": 10**400},
}  # fmt: skip


@each_way_in
def test_fields_of_other_types_do_not_lose_the_answer(way_in: WayIn) -> None:
    body = asked(logprobs=True)
    for name, odd in ODD_FIELDS.items():
        end = ending(**{"status": "completed", **{key: odd[key] for key in odd if key != "output"}})
        end["response"]["output"] = odd["output"]
        whole = way_in.create(body, both(Reply.of_json(end["response"])), memory="memory://")
        whole.reraise()
        assert whole.value.choices[0].message.content == "Hello", name
        streamed = way_in.stream(
            body, both(Reply.of_sse(wire([*opening(), end]))), memory="memory://"
        )
        streamed.reraise()
        assert _outcome(streamed.chunks_json())[0] == "Hello", name


@pytest.mark.parametrize("n", [1, 2])
@each_way_in
def test_a_logprob_of_minus_infinity(way_in: WayIn, n: int) -> None:
    entry = {"token": "Hello", "logprob": float("-inf"), "bytes": [72]}
    logprobs = [entry | {"top_logprobs": [entry]}]
    end = ending(message(text("Hello", logprobs=logprobs)))
    body = asked(logprobs=True, **({"n": n} if n > 1 else {}))
    whole = way_in.create(body, both(Reply.of_json(end["response"])), emulate=("n",))
    whole.reraise()
    assert [one.logprobs.content[0].logprob for one in whole.value.choices] == [float("-inf")] * n
    events = [*opening(), on_text("delta", 0, "Hello") | {"logprobs": logprobs}, end]
    streamed = way_in.stream(body, both(Reply.of_sse(wire(events))), emulate=("n",))
    streamed.reraise()
    choices = [choice for chunk in streamed.chunks for choice in chunk.choices]
    assert [one.logprobs.content[0].logprob for one in choices if one.delta.content] == [
        float("-inf")
    ] * n
