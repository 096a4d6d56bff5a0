"""Under which names turns are kept: nothing crosses keys, organisations, base URLs or model families (DESIGN §6).

A name is `scope:conversation:turn`, all digests, the same in every process. Names of turns are keyed with the scope's own secret,
so that whoever reads a store learns nothing from them.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from adapter.translation.models import family_name

_SEPARATOR = "\0"
_ANY = "*"
_NONE = "-"  # stands for a conversation that wasn't named


class Whose(NamedTuple):
    """Whose turns they are.

    `credential` is every key that was sent, without tokens: those change. `conversation` is what
    `use(conversation=…)` says.
    """

    base: str
    organization: str = ""
    project: str = ""
    credential: str = ""
    conversation: str | None = None


def names_of(whose: Whose, scope: str | None, model: str, turns: tuple[str, ...]) -> list[str]:
    """Name turns for a store."""
    begin, keyed = _keyed(whose, scope, model)
    made = []
    for turn in turns:
        hashed = keyed.copy()
        hashed.update(turn.encode())
        made.append(begin + hashed.hexdigest())
    return made


@lru_cache(maxsize=4096)
def begin_of(whose: Whose, scope: str | None, model: str) -> str:
    """Return what names begin with in a store that nobody can read: the turn's own name follows as it is.

    Hashing is left out there, which would cost more than everything else; the model's family takes its place.
    """
    return f"{_keyed(whose, scope, model)[0]}{family_name(model)}{_SEPARATOR}"


def pattern_of(scope: str | None, conversation: str | None) -> str:
    """Return the pattern of all names of a `memory_scope`, of a conversation, or of one in the other."""
    begin = _ANY if scope is None else _scoped("", "", "", "", scope)[0]
    return f"{begin}:{_ANY if conversation is None else _conversation(conversation)}:*"


@lru_cache(maxsize=4096)
def _keyed(whose: Whose, scope: str | None, model: str) -> tuple[str, Any]:
    """Return what names begin with, and what their last part is hashed with."""
    prefix, keyed = _scoped(whose.base, whose.organization, whose.project, whose.credential, scope)
    hashed = keyed.copy()
    hashed.update(_bytes(family_name(model) + _SEPARATOR))
    return f"{prefix}:{_conversation(whose.conversation)}:", hashed


@lru_cache(maxsize=256)
def _scoped(base: str, organization: str, project: str, credential: str, scope: str | None) -> tuple[str, Any]:
    """Return a scope's digest, and what its names are hashed with."""
    who = _SEPARATOR.join(("named", scope) if scope is not None else ("", base, organization, project, credential))
    secret = blake2b(_bytes(who), digest_size=32, person=b"adapter.secret").digest()
    digest = blake2b(_bytes(who), digest_size=16, person=b"adapter.scope").hexdigest()
    return digest, blake2b(digest_size=16, key=secret)


def _conversation(name: str | None) -> str:
    return _NONE if name is None else blake2b(_bytes(name), digest_size=12, person=b"adapter.talk").hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
