"""Which callers a rollout moves: every caller has a fixed place from 0 to 100, and moves once the percentage passes it.

So the share is the percentage, a caller stays on its side, and a higher percentage only adds callers.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from adapter._exchange.effects import UNREAD, Need

from .call import Call

_SCALE = 100 / 2**64

# Not the module's own generator: a program that seeds that one would choose the same calls in every process, and would find
# its own sequence of numbers disturbed.
_CHANCE = random.SystemRandom()


class Hashes:
    """A service's keyed hashes: the same in every process, of no use without the service's name."""

    __slots__ = ("_name", "_place")

    def __init__(self, service: str) -> None:
        key = blake2b(service.encode(), digest_size=32, person=b"adapter.service").digest()
        # Copied for each call: half the price of making one with a key.
        self._place, self._name = blake2b(digest_size=8, key=key), blake2b(digest_size=16, key=key)

    def place(self, caller: str) -> float:
        """Return a caller's place, from 0 up to but not including 100, uniform over callers."""
        made = self._place.copy()
        made.update(caller.encode("utf-8", "surrogatepass"))
        return int.from_bytes(made.digest(), "big") * _SCALE

    def name(self, caller: str) -> str:
        """Return a name for a caller that tells nothing of it."""
        made = self._name.copy()
        made.update(caller.encode("utf-8", "surrogatepass"))
        return made.hexdigest()


def moves(percent: float, sticky_by: str, hashes: Hashes, call: Call) -> bool | Need:
    """Tell whether a rollout moves this call; Need.BODY where the request must be read for it."""
    if percent <= 0 or percent >= 100:
        return percent >= 100
    if sticky_by == "request":
        return _CHANCE.random() * 100 < percent
    caller = caller_of(sticky_by, call)
    return caller if isinstance(caller, Need) else hashes.place(caller) < percent


def caller_of(sticky_by: str, call: Call) -> str | Need:
    """Say who is calling: what `sticky_by` names or, where the call has no such thing, its conversation."""
    if sticky_by == "conversation":
        return _conversation(call)
    if sticky_by.startswith("header:"):
        value = call.headers.get(sticky_by[7:])
        if value:
            return f"{sticky_by.lower()}\0{value}"
    else:
        if call.body is UNREAD:
            return Need.BODY
        value = call.fields.get(sticky_by)
        if isinstance(value, str) and value:
            return f"{sticky_by}\0{value}"
    return _conversation(call)


def _conversation(call: Call) -> str | Need:
    if call.overrides.conversation:
        return f"conversation\0{call.overrides.conversation}"
    if call.body is UNREAD:
        return Need.BODY
    cache_key = call.fields.get("prompt_cache_key")
    if isinstance(cache_key, str) and cache_key:
        return f"prompt_cache_key\0{cache_key}"
    return f"opening\0{call.model}\0{_opening(call.fields.get('messages'))}"


def _opening(messages: Any) -> str:
    """Return what the conversation was opened with: the first user message, however it is written down.

    System messages are left out, since they hold clocks; so are spaces and the spelling of characters, since histories are
    rendered again from databases and templates. A conversation without a user message is known by all of its others.
    """
    if not isinstance(messages, list):
        return ""
    for message in messages:
        if isinstance(message, dict) and message.get("role") == "user":
            return _said(message.get("content"))
    return "\0".join(_said(message.get("content")) for message in messages if isinstance(message, dict))


def _said(content: Any) -> str:
    if isinstance(content, str):
        return _plain(content)
    return "\0".join(_parts(content))


def _parts(content: Any) -> Iterator[str]:
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    if texts:
        yield _plain(" ".join(texts))
        return
    for part in parts:  # pictures and files alone; the signature in a URL's query changes from turn to turn
        for value in part.values():
            inner = value if isinstance(value, dict) else {}
            named = inner.get("url") or inner.get("file_id") or inner.get("file_data") or inner.get("data")
            if isinstance(named, str):
                yield named if named.startswith("data:") else named.partition("?")[0]


def _plain(text: str) -> str:
    text = " ".join(text.split())
    return text if text.isascii() else unicodedata.normalize("NFC", text)
