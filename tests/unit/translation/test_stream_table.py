"""The table of stream events: every type of the SDK is handled or ignored; others are counted."""

from __future__ import annotations

import typing
from typing import Any

import pytest
import typing_extensions
from openai.types.responses import ResponseStreamEvent

from adapter.translation import ChunksFromEvents
from adapter.translation.streams.events_to_chunks import IGNORED, TABLE, State

# Sent by some servers, and in no type of the SDK.
UNTYPED = frozenset({"keepalive", "response.cancelled", "response.done", "response.error"})
TERMINAL = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "error"}
) | UNTYPED - {"keepalive"}

HANDLED = frozenset(kind for _, kind in TABLE)


def members(union: Any) -> list[Any]:
    """Return the classes of a union, however it is wrapped."""
    if typing_extensions.get_origin(union) is typing.Annotated:
        union = typing_extensions.get_args(union)[0]
    arguments = typing_extensions.get_args(union)
    return [leaf for argument in arguments for leaf in members(argument)] if arguments else [union]


def types_of(event: Any) -> list[str]:
    """Return the values that an event's `type` may have."""
    return list(typing_extensions.get_args(event.model_fields["type"].annotation))


# Misspelt in the types of the first SDKs; later ones have `code_interpreter_call_code`.
MISSPELT = frozenset(
    {"response.code_interpreter_call.code.delta", "response.code_interpreter_call.code.done"}
)
SDK = (
    frozenset(kind for event in members(ResponseStreamEvent) for kind in types_of(event)) - MISSPELT
)


def test_the_walk_finds_the_union() -> None:
    assert {"response.created", "response.output_text.delta", "response.completed", "error"} <= SDK
    assert len(SDK) >= 30  # in the first SDK with the Responses API; 59 and more in 3.54


@pytest.mark.parametrize("kind", sorted(SDK | UNTYPED))
def test_every_event_is_handled_or_ignored_and_not_both(kind: str) -> None:
    assert (kind in HANDLED) != (kind in IGNORED), (
        "if Chat shows nothing of it, IGNORED in streams/event_types.py; else a row of the state "
        "table in streams/events_to_chunks.py"
    )


def test_terminal_events_end_and_no_others_do() -> None:
    ending = {
        kind
        for (state, kind), (_, following) in TABLE.items()
        if following is State.ENDED and state is not State.FAILING
    }
    assert ending == TERMINAL


@pytest.mark.parametrize("state", [State.WAITING, State.RUNNING])
def test_every_state_but_the_last_takes_every_event(state: State) -> None:
    assert {kind for origin, kind in TABLE if origin is state} == HANDLED


def test_after_the_end_there_is_nothing() -> None:
    assert not [kind for state, kind in TABLE if state is State.ENDED]


@pytest.mark.parametrize("kind", sorted(IGNORED))
def test_ignored_events_leave_no_trace(kind: str) -> None:
    machine = ChunksFromEvents()
    assert machine.feed({"type": kind, "sequence_number": 1}) == []
    assert machine.state is State.WAITING
    assert not machine.unknown


@pytest.mark.parametrize("kind", ["response.of_tomorrow", "", None, 7, "Response.Created"])
def test_unknown_events_are_counted_and_skipped(kind: Any) -> None:
    machine = ChunksFromEvents()
    for _ in range(2):
        assert machine.feed({"type": kind, "delta": "no"}) == []
    assert dict(machine.unknown) == {str(kind): 2}
    assert machine.state is State.WAITING


def test_an_event_without_a_type_is_counted_too() -> None:
    machine = ChunksFromEvents()
    assert machine.feed({"delta": "no"}) == []
    assert dict(machine.unknown) == {"None": 1}


@pytest.mark.parametrize("kind", [["a"], {"a": 1}])
def test_a_type_that_is_no_string_does_no_harm(kind: Any) -> None:
    machine = ChunksFromEvents()
    assert machine.feed({"type": kind}) == []
