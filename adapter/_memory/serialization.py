"""What a remembered turn looks like in a store: versioned JSON, compressed where it pays, sealed where a key is given."""

from __future__ import annotations

import base64
import binascii
import os
import zlib
from collections.abc import Sequence
from typing import Any

import pydantic_core

from adapter._util import fast_json
from adapter.errors import MissingExtra
from adapter.translation.reasoning.turns import RememberedTurn

from .store import MAX_VALUE
from .untrusted_values import parse_turn

_PLAIN, _ZLIB, _ENCRYPTED = b"1j", b"1z", b"1s"  # the version, and how the rest is written
_COMPRESS_FROM = 4096  # below so many bytes, which one item has (1,784 in the median of 200), compressing saves nothing worth its time
_NONCE = 12

MAX_TEXT = 2 * MAX_VALUE
"""How many bytes of JSON a value may hold."""

# JSON of so many bytes can be a million empty lists, which take seconds to read; a turn has a few marks for each item and part, and
# those that are in its texts.
_MARKS = (b",", b"[", b"{")
_MAX_MARKS = 30_000


class TurnSerializer:
    """Write turns as bytes, and read them again.

    With keys, values are sealed with the first one (AES-256 in GCM, from `cryptography`) and opened with any: so a key can be
    replaced. What is sealed belongs to its name; moved to another it doesn't open.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys: list[Any] = [_aes(key) for key in keys]

    def serialize(self, name: str, turn: RememberedTurn) -> bytes | None:
        """Write a turn that is kept under a name; None for one that is too big to be read again."""
        text = fast_json.dumps(turn.to_json())
        packed = _PLAIN + text
        if len(text) >= _COMPRESS_FROM:
            smaller = zlib.compress(text, 1)
            if len(smaller) < len(text) * 0.9:
                packed = _ZLIB + smaller
        if self._keys:
            nonce = os.urandom(_NONCE)
            packed = _ENCRYPTED + nonce + self._keys[0].encrypt(nonce, packed, name.encode())
        return packed if len(packed) <= MAX_VALUE and len(text) <= MAX_TEXT else None

    def deserialize(self, name: str, value: bytes, max_text: int = MAX_TEXT) -> RememberedTurn:
        """Read a turn that was kept under a name, of at most so many bytes of JSON.

        Whoever can write to the store may have written it, so it is bounded before and while it is read. Raises ValueError for
        what can't be read, also for want of its key.
        """
        if not isinstance(value, bytes):
            raise ValueError("not bytes")
        if len(value) > MAX_VALUE:
            raise ValueError("too big")
        if self._keys:
            value = self._decrypt(name, value)
        kind, rest = value[:2], value[2:]
        if kind == _ZLIB:
            rest = _inflate(rest, max_text)
        elif kind != _PLAIN:
            raise ValueError(
                "sealed with another key"
                if kind == _ENCRYPTED
                else "of another version, or not ours"
            )
        if len(rest) > max_text or (
            len(rest) > _MAX_MARKS and sum(map(rest.count, _MARKS)) > _MAX_MARKS
        ):
            raise ValueError("too big")
        try:
            read = pydantic_core.from_json(rest, allow_inf_nan=False, cache_strings="keys")
        except ValueError:  # its message quotes what it can't read
            read = None
        return parse_turn(read)

    def _decrypt(self, name: str, value: bytes) -> bytes:
        if value[:2] != _ENCRYPTED:
            raise ValueError("not sealed")
        nonce, sealed = value[2 : 2 + _NONCE], value[2 + _NONCE :]
        for key in self._keys:
            try:
                opened: bytes = key.decrypt(nonce, sealed, name.encode())
            except Exception:  # noqa: BLE001, S112  # cryptography has exceptions of its own for every way of being wrong
                continue
            return opened
        raise ValueError("sealed with another key")


def _inflate(data: bytes, max_text: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, max_text)
    except zlib.error:
        raise ValueError("not zlib's") from None
    if not inflater.eof:
        raise ValueError("cut off, or too big")
    return text


def parse_key(text: str) -> bytes:
    """Read a key: 32 bytes as 44 characters of URL-safe base64. Raises ValueError, without the key in it, for anything else."""
    try:
        key = base64.b64decode(text.strip().encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("expected 32 bytes in URL-safe base64")
    return key


def _aes(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise MissingExtra("memory_key needs cryptography (extra `seal`)") from None
    return AESGCM(key)
