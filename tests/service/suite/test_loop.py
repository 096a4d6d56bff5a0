"""The tool loop, on both backends."""

from __future__ import annotations

import pytest
from triage.loop import answer
from triage.middleware import Meter

pytestmark = pytest.mark.usefixtures("adapter_cassette")

ASKED = {"role": "user", "content": "Where is my order 1042? Write to ada@example.com"}


def test_an_order_is_found_and_tracked() -> None:
    meter = Meter()
    history = answer([ASKED], meter)
    calls = [
        call["function"]["name"] for message in history for call in message.get("tool_calls", [])
    ]
    assert calls == ["find_order", "track_parcel"]
    assert history[2]["content"] == '{"order": 1042, "parcel": "LX-77"}'
    assert history[-1]["content"] == (
        "Your order 1042 is in parcel LX-77, which left Lyon this morning and arrives on Friday."
    )
    assert (meter.calls, meter.prompt > 0, meter.completion > 0) == (3, True, True)


def test_a_conversation_goes_on() -> None:
    history = answer([ASKED], Meter())
    history = answer(
        [*history, {"role": "user", "content": "Could it come on Saturday instead?"}], Meter()
    )
    assert history[-1]["content"].startswith("Yes: tell the carrier before Thursday noon")
