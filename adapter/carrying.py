"""Reasoning from turn to turn: what a request takes along of what was remembered, and what is done where the API won't have it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from . import codec
from .effects import Effect, Forget, Recall, Recalled, Refuse
from .journal import Choice
from .translation.draft import Translation
from .translation.histories import History, put_back, read_history
from .translation.ledger import Loss
from .translation.turns import ENCRYPTED, Memo, asks_encrypted

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
        return Load(plain, codec.dumps(plain.body), plain)
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
    if recalled.refused:
        plain, recalled = _without_include(plain), NOTHING
    return _with(plain, history, recalled)


def _with(plain: Translation, history: History, recalled: Recalled) -> Load:
    assert plain.body is not None
    history.keeps_empty = asks_encrypted(plain.body)
    if not recalled.turns:
        return Load(plain, codec.dumps(plain.body), plain, history, recalled)
    back = put_back(plain.body["input"], plain.index.items, history, recalled.turns, with_ids=recalled.with_ids)
    translation = plain
    if back.put or back.names:
        translation = plain._replace(
            body=plain.body | {"input": back.items}, index=plain.index._replace(items=back.origins)
        )
    body = codec.dumps(translation.body)
    return Load(translation, body, plain, history, recalled, back.put, back.names, back.losses)


class Lighter(NamedTuple):
    """The same request with less of ours in it; what is to be noted before it is sent, and what the ledger says."""

    load: Load
    note: Effect
    losses: tuple[Loss, ...]


def lighten(refused: Load, raw: bytes) -> Lighter | None:
    """Judge a 400 by its body: give the request without what it was refused for, where that is ours; None where it isn't."""
    if refused.history is None:
        return None
    error = _error(raw)
    said, code, param = (str(error.get(key) or "") for key in ("message", "code", "param"))
    model, plain, recalled = refused.plain.asked.model, refused.plain, refused.recalled
    alone = plain.asks_reasoning and plain.body is not None and plain.body["include"] == [ENCRYPTED]
    named = "encrypted content is not supported" in said.lower() or ENCRYPTED in said
    # About anything else it may quote the caller's own words.
    if (named and (not param or param.startswith("include"))) or (alone and param.startswith("include")):
        lighter = _with(_without_include(plain), refused.history, NOTHING)
        return Lighter(lighter, Refuse(model, "encrypted"), _losses(refused, "the model gives no encrypted reasoning"))
    if param in {f"input[{k}].id" for k in refused.put} and not recalled.with_ids:
        lighter = _with(plain, refused.history, recalled._replace(with_ids=True))
        return Lighter(lighter, Refuse(model, "no ids"), ())
    blamed = any(param.startswith(f"input[{k}]") for k in refused.put) or "of type 'reasoning'" in said
    if refused.put and (blamed or code == "invalid_encrypted_content" or "encrypted content" in said.lower()):
        lighter = _with(plain, refused.history, NOTHING)
        why = "the API refused what was remembered of the model's reasoning"
        return Lighter(lighter, Forget(model, refused.names), _losses(refused, why))
    return None


def _losses(refused: Load, why: str) -> tuple[Loss, ...]:
    """Say which messages go without the reasoning that led to them."""
    origins = refused.translation.index.items
    messages = dict.fromkeys(origins[k].message for k in refused.put)
    return tuple(Loss(f"messages[{m}]", "dropped", f"sent without its reasoning: {why}") for m in messages) or (
        Loss("$", "dropped", f"reasoning isn't carried from turn to turn: {why}"),
    )


def _error(raw: bytes) -> dict[str, Any]:
    try:
        body = codec.loads(raw)
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
