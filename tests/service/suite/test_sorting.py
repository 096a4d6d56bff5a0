"""The structured parse, in threads as well; and a call that the Responses API can't carry."""

from __future__ import annotations

import pytest
from triage.sorting import Sorted, sort, sort_all, sum_up

LATE, TWICE = "My parcel is late.", "I was charged twice, I want a refund."


@pytest.mark.usefixtures("adapter_cassette")
def test_a_ticket_is_sorted() -> None:
    assert sort(LATE) == Sorted(
        team="shipping", priority=3, summary="Wants to know where a parcel is"
    )


@pytest.mark.usefixtures("adapter_cassette")
def test_the_most_urgent_comes_first() -> None:
    assert [one.team for one in sort_all([LATE, TWICE])] == ["billing", "shipping"]


@pytest.mark.usefixtures("adapter_cassette")
def test_a_ticket_is_summed_up() -> None:
    # `seed` keeps this call on Chat Completions, as the report at the end shows.
    assert sum_up(LATE) == "A customer waits for a parcel, and would like it on a weekend."


@pytest.mark.adapter_backend("responses", reason="Chat Completions has no such thing")
@pytest.mark.usefixtures("adapter_cassette")
@pytest.mark.adapter_cassette("test_a_ticket_is_sorted")
def test_a_side_of_ones_own(backend: str) -> None:
    assert backend == "responses"
    assert sort(LATE).team == "shipping"
