"""The format of a remembered turn in a store.

Versioned JSON, compressed where it pays, encrypted where a key is given
(docs/decisions.md#untrusted-store).
"""

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

_PLAIN, _ZLIB, _ENCRYPTED = b"1j", b"1z", b"1s"  # the version and the encoding of what follows
# Bytes of JSON below which compressing isn't worth its time; the median item of 200 has 1,784.
_COMPRESS_FROM = 4096
_NONCE = 12

MAX_TEXT = 2 * MAX_VALUE
"""The largest JSON of a value, in bytes."""

# JSON of that size can hold a million empty lists, which take seconds to parse. A turn has a few of
# these characters for each item and part, and those in its texts.
_MARKS = (b",", b"[", b"{")
_MAX_MARKS = 30_000


class TurnSerializer:
    """Convert turns to bytes and back.

    With keys, values are encrypted with the first one (AES-256-GCM, from `cryptography`) and
    decrypted with any, so that a key can be replaced. The name is authenticated: a value that was
    copied to another name can't be decrypted.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys: list[Any] = [_aes(key) for key in keys]

    def serialize(self, name: str, turn: RememberedTurn) -> bytes | None:
        """Return a turn's bytes to store under a name; None if it is too big to be read again."""
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
        """Return the turn that was stored under a name, of at most `max_text` bytes of JSON.

        Others may have written the value, so it is bounded before and while it is parsed. Raises
        ValueError if the value can't be read, or was encrypted with a key that we don't have.
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
                else "of another version, or of another program"
            )
        if len(rest) > max_text or (
            len(rest) > _MAX_MARKS and sum(map(rest.count, _MARKS)) > _MAX_MARKS
        ):
            raise ValueError("too big")
        try:
            read = pydantic_core.from_json(rest, allow_inf_nan=False, cache_strings="keys")
        except ValueError:  # its message quotes the value
            read = None
        return parse_turn(read)

    def _decrypt(self, name: str, value: bytes) -> bytes:
        if value[:2] != _ENCRYPTED:
            raise ValueError("not sealed")
        nonce, encrypted = value[2 : 2 + _NONCE], value[2 + _NONCE :]
        for key in self._keys:
            try:
                decrypted: bytes = key.decrypt(nonce, encrypted, name.encode())
            except Exception:  # noqa: BLE001, S112  # cryptography has many exceptions of its own
                continue
            return decrypted
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
    """Return the key of a setting: 32 bytes, written as 44 characters of URL-safe base64.

    Raises ValueError for anything else; its message doesn't quote the key.
    """
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
