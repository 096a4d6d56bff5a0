"""Emulation of `stop`, `n` and the `name` of messages (docs/decisions.md#emulation).

The Responses API has none of them. Emulating them changes a call's cost or prompt, so it is opt-in;
otherwise the policy decides. `stop` and `n` are only written to the reply context:
`replies/stop_sequences.py` cuts the text, and the exchange sends the request `n` times.
"""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedRequest
from adapter.translation.json_types import json_type, string

from .builder import RequestBuilder
from .converters import converter

MAX_STOPS = 4
MAX_CHOICES = 128
"""The limits of Chat Completions (docs/mapping.md#parameters)."""


@converter("stop")
def stop(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    """Emulate `stop`: a string, or up to four, none of them empty."""
    if "stop" not in builder.policy.emulate:
        builder.unsupported("stop", "stop", "not part of the Responses API; opt in with emulate")
        return
    if not isinstance(value, list):
        _check_stop("stop", value)
        value = [value]
    if not 1 <= len(value) <= MAX_STOPS:
        raise MalformedRequest("stop", f"expected up to {MAX_STOPS} sequences")
    for i, sequence in enumerate(value):
        _check_stop(f"stop[{i}]", sequence)
    builder.reply_context["stop"] = tuple(value)
    builder.ledger.add(
        "stop",
        "changed",
        "the adapter truncates the text; tokens after the stop sequence are still billed",
    )


def name_prefix(builder: RequestBuilder, value: Any, path: str) -> str:
    """Return the prefix of a message's text for its name; empty if `name` isn't emulated."""
    path = f"{path}.name"
    if "name" not in builder.policy.emulate:
        builder.unsupported(
            path, "name", "messages have no name on the Responses API; opt in with emulate"
        )
        return ""
    if not string(value, path):
        builder.ledger.add(path, "dropped", "the name is empty")
        return ""
    return f"[{value}]: "


def _check_stop(path: str, sequence: Any) -> None:
    if not isinstance(sequence, str):
        raise MalformedRequest(path, f"expected a string, got {json_type(sequence)}")
    if not sequence:
        raise MalformedRequest(path, "expected a string that isn't empty")


@converter("n")
def n(builder: RequestBuilder, value: Any, body: dict[str, Any]) -> None:
    """Emulate `n`: the exchange sends the request that many times, for one choice each."""
    if "n" not in builder.policy.emulate:
        builder.unsupported(
            "n", "n", "one answer per request on the Responses API; opt in with emulate"
        )
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedRequest("n", f"expected an integer, got {json_type(value)}")
    if not 1 < value <= MAX_CHOICES:
        raise MalformedRequest("n", f"expected 1 to {MAX_CHOICES}")
    builder.reply_context["n"] = value
    why = "sent as that many requests; each is billed with its prompt"
    if body.get("store") is True:
        why += ", and each Response is stored"
    builder.ledger.add("n", "changed", why)
