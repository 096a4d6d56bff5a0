"""Insert remembered reasoning into a request, and retry without it if the API refuses it.

Why: docs/decisions.md#continuity and docs/decisions.md#refused-reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from adapter._util import json_codec
from adapter.translation.ledger import Loss
from adapter.translation.reasoning.history import CallHistory, read_history
from adapter.translation.reasoning.insertion import insert_turns
from adapter.translation.reasoning.turns import ENCRYPTED, MemoryEntry, asks_encrypted
from adapter.translation.types import Translation

from .effects import Effect, Forget, LearnRefusedReasoning, Recall, RecallResult
from .guards import attempt_gen
from .record import Route

NOTHING_RECALLED = RecallResult()


class PreparedRequest(NamedTuple):
    """A request ready to send: the translation with remembered reasoning, and its encoded body.

    `without_memory` is the translation without remembered reasoning; `history` is the history that
    turns are bound to (None if the memory isn't used); `inserted` are the indexes of the inserted
    items, `names` the names of their turns; `losses` are those of turns that weren't inserted.
    """

    translation: Translation
    body: bytes
    without_memory: Translation
    history: CallHistory | None = None
    recalled: RecallResult = NOTHING_RECALLED
    inserted: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()

    @property
    def has_adapter_parts(self) -> bool:
        """Whether the request contains parts that the caller didn't write."""
        return bool(self.inserted) or self.without_memory.asks_reasoning

    @property
    def make_entry(self) -> Callable[[list[Any]], MemoryEntry | None] | None:
        """Makes the memory entry of the reply from its items, without a reference to the body."""
        return None if self.history is None else self.history.make_entry


def prepare_gen(
    translation: Translation, route: Route, *, named: bool = False
) -> Generator[Effect, Any, PreparedRequest]:
    """Prepare a translated request: insert the reasoning that is remembered of its history.

    `named` is true if the caller has named the conversation.
    """
    assert translation.body is not None
    if route.policy.carry_reasoning == "never":
        return PreparedRequest(translation, json_codec.dumps(translation.body), translation)
    context, items = translation.reply_context, translation.body["input"]
    history = read_history(
        items,
        translation.paths.items,
        legacy=context.legacy_functions,
        named=named,
        tools="tools" in translation.body,
        call_ids=context.call_ids,
        json_format=context.json_format,
    )
    names, recalled = tuple(history.names), NOTHING_RECALLED
    if names or translation.asks_reasoning:
        effect = Recall(context.model, names)
        recalled = yield from attempt_gen(route, effect, NOTHING_RECALLED)
    if not (recalled.refused or recalled.stopped):
        return _insert_remembered(translation, history, recalled)
    prepared = _insert_remembered(_without_include(translation), history, NOTHING_RECALLED)
    return prepared._replace(losses=(_STOPPED,)) if recalled.stopped and names else prepared


_STOPPED = Loss(
    "$",
    "dropped",
    "reasoning is no longer sent back: the API refused it more than once",
)


def _insert_remembered(
    without_memory: Translation, history: CallHistory, recalled: RecallResult
) -> PreparedRequest:
    assert without_memory.body is not None
    history.keeps_empty = asks_encrypted(without_memory.body)
    if not recalled.turns:
        return PreparedRequest(
            without_memory, json_codec.dumps(without_memory.body), without_memory, history, recalled
        )
    inserted = insert_turns(
        without_memory.body["input"],
        without_memory.paths.items,
        history,
        recalled.turns,
        with_ids=recalled.with_ids,
    )
    translation = without_memory
    if inserted.inserted or inserted.names:
        translation = without_memory._replace(
            body=without_memory.body | {"input": inserted.items},
            paths=without_memory.paths._replace(items=inserted.origins),
        )
    body = json_codec.dumps(translation.body)
    return PreparedRequest(
        translation,
        body,
        without_memory,
        history,
        recalled,
        inserted.inserted,
        inserted.names,
        inserted.losses,
    )


def effects_when_accepted(prepared: PreparedRequest) -> list[Effect]:
    """Return the effects to perform when the API has accepted a request; most have none."""
    suspect = prepared.inserted and prepared.recalled.suspect
    return (
        [LearnRefusedReasoning(prepared.without_memory.reply_context.model, "nothing")]
        if suspect
        else []
    )


class Retry(NamedTuple):
    """The request without a refused part, the effect that remembers the refusal, and the losses."""

    request: PreparedRequest
    effect: Effect
    losses: tuple[Loss, ...]


def without_refused_parts(refused: PreparedRequest, error: dict[str, Any]) -> Retry | None:
    """Return the request without the part that `error` refuses; None if the caller wrote that part.

    Reasoning that is refused without item ids is sent once more with them, since some servers bind
    it to its ids (docs/wire-facts.md#dialects-of-requests).
    """
    if refused.history is None:
        return None
    message, code, param = (str(error.get(key) or "") for key in ("message", "code", "param"))
    model, plain, recalled = (
        refused.without_memory.reply_context.model,
        refused.without_memory,
        refused.recalled,
    )
    alone = plain.asks_reasoning and plain.body is not None and plain.body["include"] == [ENCRYPTED]
    named = "encrypted content is not supported" in message.lower() or ENCRYPTED in message
    # An error about another parameter may quote the caller's own text.
    if (named and (not param or param.startswith("include"))) or (
        alone and param.startswith("include")
    ):
        request = _insert_remembered(_without_include(plain), refused.history, NOTHING_RECALLED)
        return Retry(
            request,
            LearnRefusedReasoning(model, "encrypted"),
            _losses(refused, "the model returns no encrypted reasoning"),
        )
    if not refused.inserted or not _is_about_inserted(
        error, message, code, param, refused.inserted
    ):
        return None
    if not recalled.with_ids:
        request = _insert_remembered(plain, refused.history, recalled._replace(with_ids=True))
        if request.body != refused.body:
            return Retry(request, LearnRefusedReasoning(model, "no ids"), ())
    request = _insert_remembered(plain, refused.history, NOTHING_RECALLED)
    why = "the API refused the remembered reasoning"
    return Retry(request, Forget(model, refused.names), _losses(refused, why))


_NAMES_REASONING = re.compile(
    r"of type ['\"`]?reasoning\b|encrypted[ _]content|\breasoning items?\b"
    r"|\bitem with id ['\"`]?rs_|['\"`]rs_[0-9a-z]{2}",
    re.IGNORECASE,
)
_INPUT_INDEX = re.compile(r"\binput(?:\[(\d+)\]|\.(\d+)\b)")


def _is_about_inserted(
    error: dict[str, Any], message: str, code: str, param: str, inserted: tuple[int, ...]
) -> bool:
    """Return whether an error is about the reasoning items inserted at these input indexes."""
    if code == "invalid_encrypted_content" or error.get("type") == "invalid_encrypted_content":
        return True
    found = _INPUT_INDEX.match(param)
    if found is not None:
        return int(found[1] or found[2]) in inserted
    if param and not param.startswith("input"):
        return False
    if _NAMES_REASONING.search(message) is not None:
        return True
    return any(int(at[1] or at[2]) in inserted for at in _INPUT_INDEX.finditer(message))


def _losses(refused: PreparedRequest, why: str) -> tuple[Loss, ...]:
    """Return the losses of the messages that are sent without their reasoning."""
    origins = refused.translation.paths.items
    messages = dict.fromkeys(origins[k].message for k in refused.inserted)
    return tuple(
        Loss(f"messages[{m}]", "dropped", f"sent without its reasoning: {why}") for m in messages
    ) or (Loss("$", "dropped", f"reasoning isn't sent back: {why}"),)


def error_in(raw: bytes) -> dict[str, Any]:
    """Return the error object in a reply's body; an empty dict if there is none."""
    try:
        body = json_codec.loads(raw)
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _without_include(translation: Translation) -> Translation:
    if not translation.asks_reasoning or translation.body is None:
        return translation
    kept = [entry for entry in translation.body["include"] if entry != ENCRYPTED]
    body = {key: value for key, value in translation.body.items() if key != "include"}
    return translation._replace(
        body=body | {"include": kept} if kept else body, asks_reasoning=False
    )
