"""`stop`, `n` and the `name` of messages: done here, where that is asked for.

The Responses API has none of them. They change what a call costs, or what the model reads, so they
are opted in to; otherwise the policy decides. Of `stop` and `n` the request only says what is to be
done (`Asked`): the cut is made in the reply (cut.py), and who sends the request sends it `n` times.
"""

from __future__ import annotations

from typing import Any

from adapter.errors import MalformedRequest
from adapter.translation.json_types import json_type, string

from .builder import RequestBuilder

MAX_STOPS = 4
MAX_CHOICES = 128
"""What Chat Completions takes (docs/mapping.md#parameters)."""


def stop(builder: RequestBuilder, value: Any, _: dict[str, Any]) -> None:
    """Have the answer cut: a string, or up to four, none of them empty."""
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
        "stop", "changed", "the text is cut here; what the model writes behind the cut is paid for"
    )


def name_prefix(builder: RequestBuilder, value: Any, path: str) -> str:
    """Return what goes in front of a message's text for its name; nothing where that isn't emulated."""
    path = f"{path}.name"
    if "name" not in builder.policy.emulate:
        builder.unsupported(
            path, "name", "messages have no name on the Responses API; opt in with emulate"
        )
        return ""
    if not string(value, path):
        builder.ledger.add(path, "dropped", "it is empty")
        return ""
    return f"[{value}]: "


def _check_stop(path: str, sequence: Any) -> None:
    if not isinstance(sequence, str):
        raise MalformedRequest(path, f"expected a string, got {json_type(sequence)}")
    if not sequence:
        raise MalformedRequest(path, "expected a string that isn't empty")


def n(builder: RequestBuilder, value: Any, body: dict[str, Any]) -> None:
    """Have the request sent more than once, for one choice each."""
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
    why = "sent as that many requests, each of which is paid for with its prompt"
    if body.get("store") is True:
        why += "; as many Responses are stored"
    builder.ledger.add("n", "changed", why)
