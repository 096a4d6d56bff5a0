"""The names under which turns are stored (docs/decisions.md#isolation).

A name is `scope:conversation:turn`, three digests that are the same in every process, and no two
keys, organisations, base URLs or model families share one. The turn's digest is keyed with a secret
of its scope, so that reading a store reveals nothing. No API key or token is kept longer than it
takes to hash it.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from adapter.translation.model_profiles import family_name

_SEPARATOR = "\0"
_ANY = "*"
_NO_CONVERSATION = "-"  # where the conversation isn't named
_MAX_NAME = 64  # characters of a model's name; a digest replaces a longer one, to bound caches


class MemoryScope(NamedTuple):
    """Whose turns a call may recall. See make_memory_scope.

    `base` is the server. The others are digests: `scope` and `secret` of the server and the
    caller's credentials, `tenant` of the headers by which a gateway tells its tenants apart,
    `conversation` of the name in `use(conversation=…)`.
    """

    base: str
    scope: str
    secret: bytes
    tenant: str = ""
    conversation: str = _NO_CONVERSATION


def make_memory_scope(
    base: str,
    organization: str = "",
    project: str = "",
    credential: str = "",
    conversation: str | None = None,
    *,
    tenant: str = "",
) -> MemoryScope:
    """Make the memory scope of a call.

    `credential` is everything in the request that identifies the caller, `tenant` the header
    fields that `memory_scope_headers` names.
    """
    scope, secret = _scope_hashes(_SEPARATOR.join(("", base, organization, project, credential)))
    return MemoryScope(
        base,
        scope,
        secret,
        _digest(tenant, b"adapter.tenant") if tenant else "",
        _NO_CONVERSATION if not conversation else _conversation_digest(conversation),
    )


def store_keys(
    memory_scope: MemoryScope, scope_name: str | None, model: str, turns: tuple[str, ...]
) -> list[str]:
    """Return the names of turns in a store that others may read."""
    scope, secret = (
        (memory_scope.scope, memory_scope.secret)
        if scope_name is None
        else _scope_digest(scope_name)
    )
    prefix, hasher = _key_hasher(
        scope, secret, memory_scope.tenant, memory_scope.conversation, _family(model)
    )
    names = []
    for turn in turns:
        hashed = hasher.copy()
        hashed.update(turn.encode())
        names.append(prefix + hashed.hexdigest())
    return names


def key_prefix(memory_scope: MemoryScope, scope_name: str | None, model: str) -> str:
    """Return the prefix of names in an in-memory store; the turn's own name follows unhashed.

    No other program can read that store, and hashing would cost more than everything else. The
    prefix holds the tenant and the model's family in place of the keyed digest.
    """
    scope = memory_scope.scope if scope_name is None else _scope_digest(scope_name)[0]
    return f"{scope}:{memory_scope.conversation}:{memory_scope.tenant}:{_family(model)}{_SEPARATOR}"


def key_pattern(scope_name: str | None, conversation: str | None) -> str:
    """Return a glob for all names of a `memory_scope`, a conversation, or both."""
    scope = _ANY if scope_name is None else _scope_digest(scope_name)[0]
    return f"{scope}:{_ANY if conversation is None else _conversation_digest(conversation)}:*"


def server_digest(memory_scope: MemoryScope) -> str:
    """Return a digest of the server, for what outlives the call: its base URL may hold a key."""
    return _digest(memory_scope.base, b"adapter.base")


def bounded_name(name: str) -> str:
    """Return a name, or its digest if it is long."""
    return name if len(name) <= _MAX_NAME else _digest(name, b"adapter.long")


def _family(model: str) -> str:
    return _known_family(model) if len(model) <= _MAX_NAME else bounded_name(family_name(model))


@lru_cache(maxsize=1024)
def _known_family(model: str) -> str:
    return family_name(model)


@lru_cache(maxsize=4096)
def _key_hasher(
    scope: str, secret: bytes, tenant: str, conversation: str, family: str
) -> tuple[str, Any]:
    """Return the prefix of names, and the keyed hash to copy for their last part."""
    hashed = blake2b(digest_size=16, key=secret)
    hashed.update(_bytes(_SEPARATOR.join((family, tenant, ""))))
    return f"{scope}:{conversation}:", hashed


@lru_cache(maxsize=16)
def _scope_digest(scope_name: str) -> tuple[str, bytes]:
    """Return the digest and the secret of a `memory_scope`.

    The digest must not change, so that `forget` finds the turns that older versions have stored.
    """
    identity = _SEPARATOR.join(("named", scope_name))
    return _digest(identity, b"adapter.scope"), _scope_hashes(identity)[1]


def _scope_hashes(identity: str) -> tuple[str, bytes]:
    """Return a scope's digest, which is part of names, and its secret, which isn't."""
    hashed = blake2b(_bytes(identity), digest_size=48, person=b"adapter.scope").digest()
    return hashed[:16].hex(), hashed[16:]


def _conversation_digest(name: str) -> str:
    return blake2b(_bytes(name), digest_size=12, person=b"adapter.talk").hexdigest()


def _digest(text: str, person: bytes) -> str:
    return blake2b(_bytes(text), digest_size=16, person=person).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
