"""The stream reader, on both backends, with streams in pieces of any size."""

from __future__ import annotations

import openai
import pytest
from triage.drafting import draft, draft_async

TICKET = "Where is my parcel? Ada"
DRAFT = (
    "Hello Ada,\n\nyour parcel LX-77 left Lyon this morning, and we expect it on Friday.\n\n"
    "Kind regards, the support team"
)

pytestmark = [pytest.mark.usefixtures("adapter_cassette"), pytest.mark.adapter_cassette("draft")]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(pieces, marks=pytest.mark.adapter_streams(pieces), id=pieces)
        for pieces in ("whole", "event", "byte")
    ],
)
def test_a_draft_comes_piece_by_piece(pieces: str) -> None:
    *text, end = draft(TICKET)
    assert "".join(text) == DRAFT
    assert len(text) > 5
    assert end.startswith(" [stop, ")


@pytest.mark.adapter_streams("cut")
def test_a_broken_stream_is_no_draft() -> None:
    with pytest.raises(openai.APIConnectionError):
        list(draft(TICKET))


@pytest.mark.adapter_cassette("draft_async")
async def test_a_draft_in_async_code() -> None:
    assert "".join([piece async for piece in draft_async(TICKET)]) == DRAFT
