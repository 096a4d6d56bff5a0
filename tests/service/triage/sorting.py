"""Sort tickets: which team, how urgent, what about."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from pydantic import BaseModel

from .clients import MODEL, client
from .middleware import prepared


class Sorted(BaseModel):
    """Say where a ticket belongs; 1 is the most urgent."""

    team: Literal["billing", "shipping", "returns"]
    priority: int
    summary: str


def sort(ticket: str) -> Sorted:
    """Sort one ticket."""
    completion = client().chat.completions.parse(
        model=MODEL,
        messages=prepared([{"role": "user", "content": f"Triage this ticket: {ticket}"}]),
        response_format=Sorted,
    )
    found = completion.choices[0].message.parsed
    assert found is not None
    return found


def sort_all(tickets: Iterable[str]) -> list[Sorted]:
    """Sort many, a few at once, the most urgent first."""
    with ThreadPoolExecutor(4) as threads:
        return sorted(threads.map(sort, tickets), key=lambda one: one.priority)


def sum_up(ticket: str) -> str:
    """Sum a ticket up in a sentence, the same each time as far as the API can promise that."""
    completion = client().chat.completions.create(
        model=MODEL, messages=prepared([{"role": "user", "content": f"Sum up: {ticket}"}]), seed=7
    )
    return completion.choices[0].message.content or ""
