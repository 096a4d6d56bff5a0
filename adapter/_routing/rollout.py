"""The rollout: which callers go to the Responses API at a percentage (docs/decisions.md#rollout).

Every caller has a fixed bucket from 0 to 100, and uses the Responses API once the percentage
exceeds it. So the share of callers is the percentage, a caller keeps its backend, and a higher
percentage only adds callers.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Generator, Iterator
from hashlib import blake2b
from typing import Any

from adapter._exchange.effects import Effect

from .call import Call

_SCALE = 100 / 2**64

# Not the shared generator of `random`: a program that seeds it would choose the same calls in every
# process, and its own sequence would change.
_RANDOM = random.SystemRandom()


class ServiceHash:
    """Hashes keyed with a service's name, the same in every process."""

    __slots__ = ("_bucket_hash", "_digest_hash")

    def __init__(self, service: str) -> None:
        key = blake2b(service.encode(), digest_size=32, person=b"adapter.service").digest()
        # Copied for each call, which costs half of making a keyed hash.
        self._bucket_hash, self._digest_hash = (
            blake2b(digest_size=8, key=key),
            blake2b(digest_size=16, key=key),
        )

    def bucket(self, caller: str) -> float:
        """Return a caller's bucket: at least 0, less than 100, uniform over callers."""
        hashed = self._bucket_hash.copy()
        hashed.update(caller.encode("utf-8", "surrogatepass"))
        return int.from_bytes(hashed.digest(), "big") * _SCALE

    def digest(self, caller: str) -> str:
        """Return a keyed hash of the caller."""
        hashed = self._digest_hash.copy()
        hashed.update(caller.encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()


def in_rollout_gen(
    percent: float, sticky_by: str, service_hash: ServiceHash, call: Call
) -> Generator[Effect, Any, bool]:
    """Return whether a call is in the rollout; read its body only if that depends on it."""
    if percent <= 0 or percent >= 100:
        return percent >= 100
    if sticky_by == "request":
        return _RANDOM.random() * 100 < percent
    caller = yield from rollout_key_gen(sticky_by, call)
    return service_hash.bucket(caller) < percent


def rollout_key_gen(sticky_by: str, call: Call) -> Generator[Effect, Any, str]:
    """Return the caller's key: the field that `sticky_by` names, else the conversation."""
    if sticky_by.startswith("header:"):
        value = call.headers.get(sticky_by[7:])
        if value:
            return f"{sticky_by.lower()}\0{value}"
    elif sticky_by != "conversation":
        yield from call.body.read_gen()
        value = call.fields.get(sticky_by)
        if isinstance(value, str) and value:
            return f"{sticky_by}\0{value}"
    if call.overrides.conversation:
        return f"conversation\0{call.overrides.conversation}"
    yield from call.body.read_gen()
    cache_key = call.fields.get("prompt_cache_key")
    if isinstance(cache_key, str) and cache_key:
        return f"prompt_cache_key\0{cache_key}"
    return f"opening\0{call.model}\0{_first_message(call.fields.get('messages'))}"


def _first_message(messages: Any) -> str:
    """Return the first user message in a normal form; without one, all messages.

    System messages are left out, since they hold clocks. White space and Unicode spelling are
    normalized, since histories are rendered again from databases and templates.
    """
    if not isinstance(messages, list):
        return ""
    for message in messages:
        if isinstance(message, dict) and message.get("role") == "user":
            return _content_text(message.get("content"))
    return "\0".join(
        _content_text(message.get("content")) for message in messages if isinstance(message, dict)
    )


def _content_text(content: Any) -> str:
    if isinstance(content, str):
        return _normalized(content)
    return "\0".join(_part_texts(content))


def _part_texts(content: Any) -> Iterator[str]:
    parts = (
        [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    )
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    if texts:
        yield _normalized(" ".join(texts))
        return
    for part in parts:  # images and files, without text
        for value in part.values():
            inner = value if isinstance(value, dict) else {}
            source = (
                inner.get("url")
                or inner.get("file_id")
                or inner.get("file_data")
                or inner.get("data")
            )
            if isinstance(source, str):  # the signature in a URL's query changes with each turn
                yield source if source.startswith("data:") else source.partition("?")[0]


def _normalized(text: str) -> str:
    text = " ".join(text.split())
    return text if text.isascii() else unicodedata.normalize("NFC", text)
