"""Prepare every request: add instructions, remove personal data, limit the history."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]

HOUSE = "You help the support desk of a shop. Be brief and kind."
LONGEST = 12

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
_CARD = re.compile(r"\b(?:\d[ -]?){13,16}\b")


def redacted(text: str) -> str:
    """Take e-mail addresses and card numbers out of a text."""
    return _CARD.sub("[card]", _EMAIL.sub("[e-mail]", text))


def prepared(messages: list[Message]) -> list[Message]:
    """Return the messages to send: instructions first, redacted, the oldest turns removed."""
    kept = list(messages)
    while len(kept) > LONGEST:
        kept.pop(0)
        while kept and kept[0]["role"] != "user":  # a tool's output needs its call
            kept.pop(0)
    clean = [
        {**message, "content": redacted(message["content"])}
        if isinstance(message.get("content"), str)
        else message
        for message in kept
    ]
    return [{"role": "system", "content": HOUSE}, *clean]


@dataclass
class Meter:
    """Sum up what the calls cost."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0

    def add(self, completion: Any) -> None:
        """Count a completion."""
        self.calls += 1
        if completion.usage is not None:
            self.prompt += completion.usage.prompt_tokens
            self.completion += completion.usage.completion_tokens
