"""Digests of calls and messages, and the names under which turns are remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from adapter.translation.objects.call_types import CALL_TYPES

from .turns import Item
from .unguessable_ids import is_unguessable

_TEXT_PART_KEYS = {"type", "text"}  # of a part that has a text and nothing else
_NO_USER = "nobody"  # in place of a digest, if calls come before any user message
_VERSION = "2"  # of names: those of the first version are never found

_UNGUESSABLE: dict[str, bool] = {}  # digest of a call: whether its id is unguessable
_MAX_CACHED = 8192


def caller_id(item: Item, call_ids: Mapping[str, str]) -> str:
    """Return the caller's id of a call item; `call_ids` maps ids that were sent to the caller's."""
    sent = string_or_none(item.get("call_id")) or string_or_none(item.get("id")) or ""
    return call_ids.get(sent, sent)


def call_digest(item: Item, call_id: str) -> str:
    """Return a digest of a call: its id, name and arguments."""
    payload = string_or_none(item.get(CALL_TYPES[item["type"]].payload)) or ""
    name = string_or_none(item.get("name")) or ""
    return _hash(f"{len(call_id)} {len(name)} {call_id}{name}{payload}")


def user_digest(message: Item | None) -> str:
    """Return a digest of a user message's content; a string equals one text part."""
    if message is None:
        return _NO_USER
    content = message.get("content")
    if (
        isinstance(content, list)
        and len(content) == 1
        and content[0].keys() == _TEXT_PART_KEYS
        and content[0]["type"] == "input_text"
    ):
        content = content[0]["text"]
    if isinstance(content, str):
        return _hash("t" + content)
    return _hash(
        "p" + json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    )


def text_digest(text: str) -> str:
    """Return a digest of an assistant's text."""
    return _hash(text)


def text_of(message: Item) -> str:
    """Return the text of a message item, without separators between its parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def new_chain() -> Any:
    """Return an empty hash of a conversation's user messages and calls."""
    return blake2b(digest_size=16)


def add_user_messages(chain: Any, items: Sequence[Item], indexes: list[int]) -> None:
    """Add the user messages at these indexes to a chain, and clear the list."""
    for i in indexes:
        chain.update(f"u{user_digest(items[i])}".encode())
    indexes.clear()


def with_call(chain: Any, digest: str) -> Any:
    """Return a copy of a chain with a call added, by its digest."""
    longer = chain.copy()
    longer.update(f"c{digest}".encode())
    return longer


def name_by_id(call_id: str, before: int) -> str:
    """Return the name of a turn by its first call's id; `before`: earlier turns with that id."""
    return f"{_VERSION}i{_hash(f'{call_id} {before}' if before else call_id)}"


def name_by_chain(chain: Any) -> str:
    """Return the name of a turn in a named conversation: the chain up to its first call."""
    return f"{_VERSION}c{chain.hexdigest()}"


def has_unguessable_id(call_id: str, tool: str, digest: str) -> bool:
    """Return whether a call's id is unguessable; cached, since each request repeats its history."""
    known = _UNGUESSABLE.get(digest)
    if known is None:
        if len(_UNGUESSABLE) >= _MAX_CACHED:
            _UNGUESSABLE.clear()
        known = _UNGUESSABLE[digest] = is_unguessable(call_id, tool)
    return known


def string_or_none(value: Any) -> str | None:
    """Return `value` if it is a string, else None."""
    return value if isinstance(value, str) else None


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
