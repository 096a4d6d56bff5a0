"""Clients that tracing packages hand out in place of the SDK's, and what wraps a client: what becomes of their calls, and how the adapter gets there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tracer:
    """`what` it is, and how to `wire` the adapter."""

    what: str
    wire: str


CLIENTS: dict[str, Tracer] = {}


def client(path: str) -> Tracer | None:
    """Return what is known of a client under the dotted name that it is imported by."""
    return CLIENTS.get(path)
