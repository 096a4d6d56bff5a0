"""Read the tool calls of a history, to find remembered turns (docs/mapping.md#reasoning).

A turn is found by its first call's id, if it is unguessable: only a recipient can send it.
The user message before the calls and each call's id, name and arguments must then be unchanged. A
guessable id proves nothing. Turns with such ids are remembered only in a conversation that the
application has named, where all user messages and calls up to the turn must be the same
(docs/decisions.md#isolation). Tool outputs, assistant text and system messages don't count.

Only the first call's id must be unguessable, since a turn is inserted whole or not at all.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.translation.ledger import Ledger
from adapter.translation.objects.call_types import CALL_TYPES, call_type_of
from adapter.translation.objects.message_text import MessageText, TextSelector
from adapter.translation.objects.output_items import is_commentary
from adapter.translation.types import EMPTY_MAPPING, Origin

from .digests import (
    add_user_messages,
    call_digest,
    caller_id,
    has_unguessable_id,
    name_by_chain,
    name_by_id,
    new_chain,
    string_or_none,
    text_digest,
    text_of,
    user_digest,
    with_call,
)
from .turns import PHASES, Item, MemoryEntry, RememberedTurn, TurnMessage
from .unguessable_ids import MIN_RANDOM

_CALL_KINDS = frozenset({"legacy_call", *(one.origin for one in CALL_TYPES.values())})


@dataclass(frozen=True, slots=True)
class HistoryCall:
    """A tool call of a history.

    `item`: its index in `input`. `name`: of the turn that begins with it, None if no such turn can
    be remembered. `user_digest`, `user_index`: the user message before it. `message`: the index of
    its message.
    """

    item: int
    digest: str
    name: str | None
    user_digest: str
    user_index: int
    message: int


@dataclass(slots=True)
class CallHistory:
    """The tool calls of a request's history, and what is needed to remember its reply.

    `starts`: the indexes in `calls` of each turn's first call. `legacy`: the caller uses
    `function_call`, which has no id. `keeps_empty`: a reply without reasoning is remembered as
    such, since its reasoning was requested. `json_format`: JSON was requested.
    """

    calls: Sequence[HistoryCall]
    starts: Sequence[int]
    # The last user message, and its digest once it is needed: most whole replies need none.
    _last_user_digest: str | None
    _last_user: Item | None
    _chain: Any  # user messages and calls so far, if the conversation is named
    _call_ids: Mapping[str, str]
    _first_id_hashes: Sequence[int]  # of first calls; ids would be large, for each open stream
    legacy: bool = False
    keeps_empty: bool = False
    json_format: bool = False

    @property
    def named(self) -> bool:
        """Return whether the conversation is named."""
        return self._chain is not None

    @property
    def names(self) -> list[str]:
        """The names of the turns that may be remembered."""
        return [name for start in self.starts if (name := self.calls[start].name) is not None]

    def release(self) -> None:
        """Release what `make_entry` doesn't need: the calls, and the user message's text."""
        self._last_user_digest, self._last_user = (
            self._last_user_digest or user_digest(self._last_user),
            None,
        )
        self.calls = self.starts = ()

    def caller_id(self, item: Item) -> str:
        """Return the caller's id of a call."""
        return caller_id(item, self._call_ids)

    def make_entry(self, delivered: Sequence[Any]) -> MemoryEntry | None:
        """Make the memory entry of a reply, of which these items were delivered.

        None if the reply has no calls, or nothing of it can or needs to be remembered.
        """
        digests: list[str] = []
        before: list[tuple[Item, ...]] = []
        ids: list[str | None] = []
        lead: list[Item] = []
        # Messages, each with the number of reasoning items before it; None for a call.
        messages: list[tuple[Item, int] | None] = []
        name: str | None = None
        for item in delivered:
            kind = string_or_none(item.get("type")) if isinstance(item, dict) else None
            if kind == "reasoning":
                if _can_be_sent_back(item):
                    lead.append({key: value for key, value in item.items() if value is not None})
            elif kind == "message":
                messages.append((item, 0 if digests else len(lead)))
            elif kind in CALL_TYPES:
                call_id = "" if self.legacy else self.caller_id(item)
                digest = call_digest(item, call_id)
                if not digests:
                    name = self._name(call_id, string_or_none(item.get("name")) or "", digest)
                    if name is None:
                        return None
                messages.append(None)
                digests.append(digest)
                before.append(tuple(lead))
                ids.append(string_or_none(item.get("id")))
                lead = []
        if name is None:
            return None
        user = self._last_user_digest or user_digest(self._last_user)
        turn = RememberedTurn(
            tuple(digests),
            tuple(before),
            _turn_message(messages, json_format=self.json_format),
            tuple(ids),
            user,
        )
        return MemoryEntry(name, turn) if turn.has_content or self.keeps_empty else None

    def _name(self, call_id: str, tool: str, digest: str) -> str | None:
        """Return the name of a turn by its first call: by id, or by chain if the id is guessable.

        None if the id is guessable and the conversation isn't named.
        """
        if has_unguessable_id(call_id, tool, digest):
            return name_by_id(call_id, self._first_id_hashes.count(hash(call_id)))
        return None if self._chain is None else name_by_chain(with_call(self._chain, digest))


def read_history(
    items: Sequence[Item],
    origins: Sequence[Origin],
    *,
    legacy: bool = False,
    named: bool = False,
    tools: bool = True,
    call_ids: Mapping[str, str] = EMPTY_MAPPING,
    json_format: bool = False,
) -> CallHistory:
    """Read the tool calls of a translated history.

    `legacy`, `json_format`: see CallHistory. `named`: the conversation is named. `tools`: the reply
    may have calls. `call_ids`: maps ids that were sent to the caller's.
    """
    calls: list[HistoryCall] = []
    starts: list[int] = []
    times: dict[str, int] = {}
    hashes: list[int] = []
    user: int | None = None
    asker: str | None = None  # digest of the user message, kept instead of its text
    chain = new_chain() if named else None
    unhashed: list[int] = []  # user messages since the last call
    message = -1
    for i, origin in enumerate(origins):
        if origin.kind == "message":
            if items[i].get("role") == "user":
                user, asker = i, None
                if chain is not None:
                    unhashed.append(i)
        elif origin.kind in _CALL_KINDS:
            item = items[i]
            asker = asker or user_digest(None if user is None else items[user])
            call_id = "" if origin.kind == "legacy_call" else caller_id(item, call_ids)
            digest = call_digest(item, call_id)
            name: str | None = None
            before = chain
            if chain is not None:
                add_user_messages(chain, items, unhashed)
                chain = with_call(chain, digest)
            if origin.message != message:
                message = origin.message
                starts.append(len(calls))
                if before is None:
                    # Guessable ids find nothing; a length check is enough to decide on a lookup.
                    name = (
                        name_by_id(call_id, times.get(call_id, 0))
                        if len(call_id) >= MIN_RANDOM
                        else None
                    )
                elif has_unguessable_id(call_id, item["name"], digest):
                    name = name_by_id(call_id, times.get(call_id, 0))
                else:
                    name = name_by_chain(chain)
                times[call_id] = times.get(call_id, 0) + 1
                hashes.append(hash(call_id))
            calls.append(HistoryCall(i, digest, name, asker, -1 if user is None else user, message))
    if chain is not None and tools:
        add_user_messages(chain, items, unhashed)
    return CallHistory(
        calls,
        starts,
        asker,
        None if user is None else items[user],
        chain,
        call_ids,
        array("q", hashes),
        legacy,
        json_format=json_format,
    )


def delivered_items(output: Sequence[Any], completion: Item) -> list[Any]:
    """List the items of a Response that the completion shows, up to the first call that it lacks.

    Calls have the arguments of the completion, and each call is listed once.
    """
    message = completion["choices"][0]["message"]
    legacy = message.get("function_call")
    shown = iter(message.get("tool_calls") or ([{"function": legacy}] if legacy else []))
    out: list[Any] = []
    known: set[str] = set()
    for item in output:
        call_type = call_type_of(item) if isinstance(item, dict) else None
        if call_type is not None:
            call_id = string_or_none(item.get("call_id")) or string_or_none(item.get("id")) or ""
            if call_id in known:
                continue
            if (call := next(shown, None)) is None:
                break
            known.add(call_id)
            key = call_type.payload
            out.append({**item, key: call[call_type.kind][key]})
        else:
            out.append(item)
    return out


def _turn_message(
    messages: Sequence[tuple[Item, int] | None], *, json_format: bool
) -> TurnMessage | None:
    """Describe the text that the caller has read: of several messages, those that are shown."""
    shown = [one for one in messages if one is not None]
    if len(shown) > 1:
        selector = TextSelector(Ledger(), first_only=json_format)
        read: list[tuple[MessageText, tuple[Item, int]]] = []
        for one in messages:
            if one is None:
                selector.call()
                continue
            read.append((MessageText("", is_commentary(one[0]), phase_known=True), one))
            if text := text_of(one[0]):
                selector.write(read[-1][0], text, [])
        selector.finish()
        shown = [
            one
            for message, one in sorted(read, key=lambda pair: pair[0].offset or 0)
            if message.offset is not None
        ]
    if not shown:
        return None
    phases = {string_or_none(message.get("phase")) for message, _ in shown}
    phase = phases.pop() if len(phases) == 1 else None
    first, at = shown[0]
    own_id = string_or_none(first.get("id")) if len(shown) == 1 else None
    digest = text_digest("\n\n".join(text_of(message) for message, _ in shown))
    return TurnMessage(at, phase if phase in PHASES else None, digest, own_id)


def _can_be_sent_back(item: Item) -> bool:
    """Return whether a reasoning item can be sent back: only with encrypted content.

    See docs/edge-cases.md#encrypted-content-without-ids.
    """
    encrypted = item.get("encrypted_content")
    return item.get("type") == "reasoning" and isinstance(encrypted, str) and encrypted != ""
