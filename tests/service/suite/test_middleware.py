"""The preparation of messages: no call is made, so these tests run once."""

from __future__ import annotations

import pytest
from triage.middleware import HOUSE, LONGEST, prepared, redacted


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("write to ada@example.com please", "write to [e-mail] please"),
        ("card 4111 1111 1111 1111 was charged", "card [card]was charged"),
        ("order 1042", "order 1042"),
    ],
    ids=["e-mail", "card", "order"],
)
def test_redacted(text: str, clean: str) -> None:
    assert redacted(text) == clean


def test_a_long_history_is_cut_at_a_users_message() -> None:
    turn = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "c", "content": "{}"},
        {"role": "assistant", "content": "done"},
    ]
    cut = prepared(turn * 5)
    assert [message["role"] for message in cut[:2]] == ["system", "user"]
    assert cut[0]["content"] == HOUSE
    assert len(cut) == LONGEST + 1
