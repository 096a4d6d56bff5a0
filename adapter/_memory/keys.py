"""Under which names turns are kept: nothing crosses keys, organisations, base URLs or model families (docs/decisions.md#isolation).

A name is `scope:conversation:turn`, all digests, the same in every process. Names of turns are keyed with the scope's own secret,
so that whoever reads a store learns nothing from them. Nothing here holds a key or a token for longer than it takes to hash it.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from adapter.translation.model_profiles import family_name

_SEPARATOR = "\0"
_ANY = "*"
_NO_CONVERSATION = "-"  # stands for a conversation that wasn't named
_MAX_NAME = 64  # characters of a model's name, beyond which a digest stands for it: what is kept by it is bounded in bytes too


class MemoryScope(NamedTuple):
    """Whose turns they are. See whose_are.

    `base` is the server. The others are digests: `scope` and `secret` of the server and of who asks it, `tenant` of what a gateway tells
    its tenants apart by, `conversation` of what `use(conversation=…)` says.
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
    """Say whose turns they are. `credential` is all that was sent to say who asks, `tenant` the fields of `memory_scope_headers`."""
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
    """Name turns for a store."""
    named, secret = (
        (memory_scope.scope, memory_scope.secret)
        if scope_name is None
        else _scope_digest(scope_name)
    )
    begin, keyed = _key_hasher(
        named, secret, memory_scope.tenant, memory_scope.conversation, _family(model)
    )
    made = []
    for turn in turns:
        hashed = keyed.copy()
        hashed.update(turn.encode())
        made.append(begin + hashed.hexdigest())
    return made


def key_prefix(memory_scope: MemoryScope, scope_name: str | None, model: str) -> str:
    """Return what names begin with in a store that nobody can read: the turn's own name follows as it is.

    Hashing is left out there, which would cost more than everything else; the tenant and the model's family take its place.
    """
    named = memory_scope.scope if scope_name is None else _scope_digest(scope_name)[0]
    return f"{named}:{memory_scope.conversation}:{memory_scope.tenant}:{_family(model)}{_SEPARATOR}"


def key_pattern(scope_name: str | None, conversation: str | None) -> str:
    """Return the pattern of all names of a `memory_scope`, of a conversation, or of one in the other."""
    begin = _ANY if scope_name is None else _scope_digest(scope_name)[0]
    return f"{begin}:{_ANY if conversation is None else _conversation_digest(conversation)}:*"


def server_digest(memory_scope: MemoryScope) -> str:
    """Return what stands for the server in what outlives the call: its address may hold a key."""
    return _digest(memory_scope.base, b"adapter.base")


def bounded_name(name: str) -> str:
    """Return a name, or a digest in place of one that is long."""
    return name if len(name) <= _MAX_NAME else _digest(name, b"adapter.long")


def _family(model: str) -> str:
    return _known_family(model) if len(model) <= _MAX_NAME else bounded_name(family_name(model))


@lru_cache(maxsize=1024)
def _known_family(model: str) -> str:
    return family_name(model)


@lru_cache(maxsize=4096)
def _key_hasher(
    scope: str, secret: bytes, tenant: str, conversation: str, library: str
) -> tuple[str, Any]:
    """Return what names begin with, and what their last part is hashed with."""
    hashed = blake2b(digest_size=16, key=secret)
    hashed.update(_bytes(_SEPARATOR.join((library, tenant, ""))))
    return f"{scope}:{conversation}:", hashed


@lru_cache(maxsize=16)
def _scope_digest(scope_name: str) -> tuple[str, bytes]:
    """Return the digests of a `memory_scope`, which is a setting and no secret.

    What stands in names is what it always was, so that `forget` finds what older versions have kept too.
    """
    who = _SEPARATOR.join(("named", scope_name))
    return _digest(who, b"adapter.scope"), _scope_hashes(who)[1]


def _scope_hashes(identity: str) -> tuple[str, bytes]:
    """Return a scope's digest, which stands in names, and its secret, which doesn't."""
    hashed = blake2b(_bytes(identity), digest_size=48, person=b"adapter.scope").digest()
    return hashed[:16].hex(), hashed[16:]


def _conversation_digest(name: str) -> str:
    return blake2b(_bytes(name), digest_size=12, person=b"adapter.talk").hexdigest()


def _digest(text: str, person: bytes) -> str:
    return blake2b(_bytes(text), digest_size=16, person=person).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
