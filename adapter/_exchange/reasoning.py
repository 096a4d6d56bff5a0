"""Reasoning from turn to turn: what a request takes along of what was remembered, and what is done where the API won't have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from adapter._util import json_codec
from adapter.translation.ledger import Loss
from adapter.translation.reasoning.history import History, put_back, read_history
from adapter.translation.reasoning.turns import ENCRYPTED, Memo, asks_encrypted
from adapter.translation.types import Translation

from .effects import Effect, Forget, Recall, Recalled, Refuse
from .record import Choice

NOTHING = Recalled()


class Load(NamedTuple):
    """A request as it is sent: `translation` with what was put back, and `body`, written.

    `plain` is the translation without anything put back, `history` what turns are bound to (None where nothing is carried), `put`
    the indexes of the items that were put in, `names` the turns that they belong to, `losses` what the ledger says of the others.
    """

    translation: Translation
    body: bytes
    plain: Translation
    history: History | None = None
    recalled: Recalled = NOTHING
    put: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()

    @property
    def refusable(self) -> bool:
        """Tell whether it holds anything that the caller didn't write."""
        return bool(self.put) or self.plain.asks_reasoning

    @property
    def memo(self) -> Callable[[list[Any]], Memo | None] | None:
        """What makes the memo of the reply out of the items that were heard; None where nothing is carried. Holds no body."""
        return None if self.history is None else self.history.memo


def loaded(plain: Translation, choice: Choice, *, named: bool = False) -> Generator[Effect, Any, Load]:
    """Make a translated request ready to be sent, with what is remembered of its history; `named`: the conversation has a name."""
    assert plain.body is not None
    if choice.policy.carry_reasoning == "never":
        return Load(plain, json_codec.dumps(plain.body), plain)
    asked, items = plain.asked, plain.body["input"]
    history = read_history(
        items,
        plain.index.items,
        legacy=asked.legacy_functions,
        named=named,
        tools="tools" in plain.body,
        call_ids=asked.call_ids,
        json_format=asked.json_format,
    )
    names, recalled = tuple(history.names), NOTHING
    if names or plain.asks_reasoning:
        try:
            recalled = yield Recall(asked.model, names)
        except Exception:  # a memory that fails costs continuity, never the call
            if choice.on_bug == "raise":
                raise
    if not (recalled.refused or recalled.stopped):
        return _with(plain, history, recalled)
    load = _with(_without_include(plain), history, NOTHING)
    return load._replace(losses=(_STOPPED,)) if recalled.stopped and names else load


_STOPPED = Loss("$", "dropped", "reasoning isn't carried from turn to turn: the API has refused it more than once")


def _with(plain: Translation, history: History, recalled: Recalled) -> Load:
    assert plain.body is not None
    history.keeps_empty = asks_encrypted(plain.body)
    if not recalled.turns:
        return Load(plain, json_codec.dumps(plain.body), plain, history, recalled)
    back = put_back(plain.body["input"], plain.index.items, history, recalled.turns, with_ids=recalled.with_ids)
    translation = plain
    if back.put or back.names:
        translation = plain._replace(
            body=plain.body | {"input": back.items}, index=plain.index._replace(items=back.origins)
        )
    body = json_codec.dumps(translation.body)
    return Load(translation, body, plain, history, recalled, back.put, back.names, back.losses)


def taken(load: Load) -> list[Effect]:
    """Return what is to be noted where the API has taken a request: nothing, for most."""
    suspect = load.put and load.recalled.suspect
    return [Refuse(load.plain.asked.model, "nothing")] if suspect else []


class Lighter(NamedTuple):
    """The same request with less of ours in it; what is to be noted before it is sent, and what the ledger says."""

    load: Load
    note: Effect
    losses: tuple[Loss, ...]


def lighten(refused: Load, error: dict[str, Any]) -> Lighter | None:
    """Judge an error: give the request without what it was refused for, where that is ours; None where it isn't.

    Reasoning that is refused without its items' ids is put back once with them: with some servers it is bound to them.
    """
    if refused.history is None:
        return None
    said, code, param = (str(error.get(key) or "") for key in ("message", "code", "param"))
    model, plain, recalled = refused.plain.asked.model, refused.plain, refused.recalled
    alone = plain.asks_reasoning and plain.body is not None and plain.body["include"] == [ENCRYPTED]
    named = "encrypted content is not supported" in said.lower() or ENCRYPTED in said
    # About anything else it may quote the caller's own words.
    if (named and (not param or param.startswith("include"))) or (alone and param.startswith("include")):
        lighter = _with(_without_include(plain), refused.history, NOTHING)
        return Lighter(lighter, Refuse(model, "encrypted"), _losses(refused, "the model gives no encrypted reasoning"))
    if not refused.put or not _blames(error, said, code, param, refused.put):
        return None
    if not recalled.with_ids:
        lighter = _with(plain, refused.history, recalled._replace(with_ids=True))
        if lighter.body != refused.body:
            return Lighter(lighter, Refuse(model, "no ids"), ())
    lighter = _with(plain, refused.history, NOTHING)
    why = "the API refused what was remembered of the model's reasoning"
    return Lighter(lighter, Forget(model, refused.names), _losses(refused, why))


_BLAMES = re.compile(
    r"of type ['\"`]?reasoning\b|encrypted[ _]content|\breasoning items?\b|\bitem with id ['\"`]?rs_|['\"`]rs_[0-9a-z]{2}",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\binput(?:\[(\d+)\]|\.(\d+)\b)")


def _blames(error: dict[str, Any], said: str, code: str, param: str, put: tuple[int, ...]) -> bool:
    """Tell whether an error is about the reasoning items that were put in, at these places of the input."""
    if code == "invalid_encrypted_content" or error.get("type") == "invalid_encrypted_content":
        return True
    found = _PLACE.match(param)
    if found is not None:
        return int(found[1] or found[2]) in put
    if param and not param.startswith("input"):
        return False
    if _BLAMES.search(said) is not None:
        return True
    return any(int(at[1] or at[2]) in put for at in _PLACE.finditer(said))


def _losses(refused: Load, why: str) -> tuple[Loss, ...]:
    """Say which messages go without the reasoning that led to them."""
    origins = refused.translation.index.items
    messages = dict.fromkeys(origins[k].message for k in refused.put)
    return tuple(Loss(f"messages[{m}]", "dropped", f"sent without its reasoning: {why}") for m in messages) or (
        Loss("$", "dropped", f"reasoning isn't carried from turn to turn: {why}"),
    )


def error_in(raw: bytes) -> dict[str, Any]:
    """Return the error in a reply's body; an empty one where there is none."""
    try:
        body = json_codec.loads(raw)
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _without_include(plain: Translation) -> Translation:
    if not plain.asks_reasoning or plain.body is None:
        return plain
    kept = [entry for entry in plain.body["include"] if entry != ENCRYPTED]
    body = {key: value for key, value in plain.body.items() if key != "include"}
    return plain._replace(body=body | {"include": kept} if kept else body, asks_reasoning=False)
