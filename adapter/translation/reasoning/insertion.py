"""Insert remembered turns into a request (docs/mapping.md#reasoning).

A turn is inserted whole or not at all: all its calls must be there, unchanged and in order, after
the same user message and before the next one. Only turns after the last missing one are inserted,
so that processes with different memories send the same prefix to the prompt cache
(docs/decisions.md#prompt-caches).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adapter.translation.ledger import Loss
from adapter.translation.types import Origin

from .digests import has_unguessable_id, text_digest, text_of
from .history import CallHistory, HistoryCall
from .turns import Item, RememberedTurn

_CHANGED = (
    "sent without its reasoning: the preceding user message, or a call's id, name or arguments, "
    "changed since it was remembered"
)
_NOT_REMEMBERED = (
    "earlier turns are sent without their reasoning: nothing is remembered of this one, and the "
    "input must be the same from every process for prompt caches"
)


class InsertedTurns(NamedTuple):
    """A request's items and origins with remembered turns inserted.

    `inserted`: the indexes of the inserted items. `names`: the names of their turns.
    """

    items: list[Item]
    origins: tuple[Origin, ...]
    inserted: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()


def insert_turns(
    items: list[Item],
    origins: Sequence[Origin],
    history: CallHistory,
    found: Mapping[str, RememberedTurn],
    *,
    with_ids: bool = False,
) -> InsertedTurns:
    """Insert the turns that were found, by name, in front of their calls and messages.

    `with_ids` keeps the items' ids, for servers that insist on them; under `store: false` they
    refer to nothing (docs/decisions.md#refused-reasoning).
    """
    leads: dict[int, tuple[Item, ...]] = {}  # reasoning, by the index of the item after it
    phases: dict[int, str] = {}
    names: list[str] = []
    losses: list[Loss] = []
    missing = -1  # the message of the last missing turn, if turns before it had been found
    done = 0
    for start in history.starts:
        first = history.calls[start]
        if start < done:
            continue
        turn = found.get(first.name or "")
        if turn is None:
            if (leads or phases) and _is_missing(first, items, history):
                missing, leads, phases, names = first.message, {}, {}, []
            continue
        end = start + len(turn.call_digests)
        calls = history.calls[start:end]
        if not _unchanged(turn, calls, history.calls[end : end + 1]):
            if turn.has_content:
                losses.append(Loss(f"messages[{first.message}]", "dropped", _CHANGED))
            if leads or phases:
                missing, leads, phases, names = first.message, {}, {}, []
            continue
        done = end
        names.append(first.name or "")
        leads |= {call.item: lead for call, lead in zip(calls, turn.reasoning, strict=True) if lead}
        message, at = turn.message, first.item - 1
        if message is not None and at >= 0 and origins[at].message == origins[first.item].message:
            if text_digest(text_of(items[at])[origins[at].prefix :]) != message.text_digest:
                continue  # the text isn't the model's: its phase and place don't apply
            lead = turn.reasoning[0]
            leads[at], leads[first.item] = (
                lead[: message.reasoning_before],
                lead[message.reasoning_before :],
            )
            if message.phase is not None:
                phases[at] = message.phase
    if missing >= 0:
        losses.append(Loss(f"messages[{missing}]", "dropped", _NOT_REMEMBERED))
    if not leads and not phases:
        return InsertedTurns(items, tuple(origins), losses=tuple(losses))
    whole = _insert(items, origins, leads, phases, with_ids=with_ids)
    return InsertedTurns(*whole, tuple(names), tuple(losses))


def _insert(
    items: list[Item],
    origins: Sequence[Origin],
    leads: Mapping[int, tuple[Item, ...]],
    phases: Mapping[int, str],
    *,
    with_ids: bool,
) -> tuple[list[Item], tuple[Origin, ...], tuple[int, ...]]:
    out: list[Item] = []
    new_origins: list[Origin] = []
    inserted: list[int] = []
    for i, (item, origin) in enumerate(zip(items, origins, strict=True)):
        for lead_item in leads.get(i, ()):
            inserted.append(len(out))
            out.append(
                lead_item
                if with_ids
                else {key: value for key, value in lead_item.items() if key != "id"}
            )
            new_origins.append(Origin("reasoning", origin.message))
        out.append({**item, "phase": phases[i]} if i in phases else item)
        new_origins.append(origin)
    return out, tuple(new_origins), tuple(inserted)


def _is_missing(first: HistoryCall, items: list[Item], history: CallHistory) -> bool:
    """Return whether a turn that wasn't found could be in another process's memory.

    Without a named conversation, turns with guessable ids are in no memory.
    """
    if first.name is None:
        return False
    item = items[first.item]
    return history.named or has_unguessable_id(history.caller_id(item), item["name"], first.digest)


def _unchanged(
    turn: RememberedTurn, calls: Sequence[HistoryCall], following: Sequence[HistoryCall]
) -> bool:
    """Return whether these are all calls of the turn and of their message, after its user message.

    `following`: the call after them, if any.
    """
    if turn.user_digest != calls[0].user_digest:
        return False
    digests = tuple(call.digest for call in calls if call.user_index == calls[0].user_index)
    return digests == turn.call_digests and all(
        call.message != calls[-1].message for call in following
    )
