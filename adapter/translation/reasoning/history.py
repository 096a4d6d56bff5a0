"""Where a remembered turn belongs: the tool calls of a history, what turns are bound to, and how they are put back (docs/mapping.md#reasoning).

A turn is found again by the id of its first call, where that can't be guessed (capabilities.py): whoever sends it has been given it. Then
the user message in front and every call's id, name and arguments must be as they were. Any other id proves nothing, since whoever
writes a history can make one up, and some servers begin every turn with `call_0`. Under such an id a turn is remembered in a
conversation that the application has named, and there it is found by all user messages and calls up to it: what a tool said, what the
assistant said and what the system was told may be masked, trimmed or written anew.

It is the first call that counts, since a turn goes back whole or not at all: of the others it is asked only that they are unchanged.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from adapter.translation.ledger import Ledger, Loss
from adapter.translation.objects.message_text import MessageText, TextSelector
from adapter.translation.objects.output_items import is_commentary
from adapter.translation.types import EMPTY_MAPPING, Origin

from .turns import PHASES, Item, MemoryEntry, RememberedTurn, TurnMessage
from .unguessable_ids import MIN_RANDOM, is_unguessable

_PAYLOAD_KEYS = {"function_call": "arguments", "custom_tool_call": "input"}
_CALL_KINDS = frozenset({"function_call", "custom_call", "legacy_call"})
_TEXT_PART_KEYS = {"type", "text"}  # of a part that is text and nothing else
_NO_USER = "nobody"  # stands for the user where a history begins with calls
_UNGUESSABLE: dict[str, bool] = {}  # calls, by their digests: whether their ids can't be guessed
_MAX_CACHED = 8192
_VERSION = "2"  # of names; those of the first version can't be mistaken for them

_CHANGED = "sent without its reasoning: the user message before it, or a call's id, name or arguments, isn't what it was when it was remembered"
_NOT_REMEMBERED = (
    "the turns before it are sent without their reasoning: of this one nothing is remembered, and prompt caches want the same input "
    "from every process"
)


@dataclass(frozen=True, slots=True)
class _Call:
    item: int  # its index in `input`
    digest: str
    name: str | None  # of a turn that begins with it, where one may be remembered
    user_digest: str  # names the user message that it follows
    user_index: int  # which user message that is
    message: int  # which message it stands in


@dataclass(slots=True)
class CallHistory:
    """The tool calls of a request's history, by what turns are bound to.

    `legacy`: the caller knows calls as `function_call`, which has no id. `keeps_empty`: a reply of which there is nothing to remember
    is remembered as such, since its reasoning was asked for.
    """

    calls: Sequence[_Call]
    starts: Sequence[int]  # indexes in `calls`
    _last_user_digest: (
        str | None
    )  # names the newest user message, where a call follows it or its words are let go
    _last_user: Item | None  # it itself: most whole replies need no name
    _chain: Any  # hashes user messages and calls so far, where the conversation is named
    _call_ids: Mapping[str, str]
    _first_id_hashes: Sequence[
        int
    ]  # hashes of the ids that begin turns: kept as long as a stream is open, where ids would be large
    legacy: bool = False
    keeps_empty: bool = False
    json_format: bool = False

    @property
    def named(self) -> bool:
        """Tell whether the conversation has a name."""
        return self._chain is not None

    @property
    def names(self) -> list[str]:
        """The names of the turns that may be remembered."""
        return [name for start in self.starts if (name := self.calls[start].name) is not None]

    def release(self) -> None:
        """Let go of all but what `memo` needs: of the words, which may be megabytes, their name, and no calls."""
        self._last_user_digest, self._last_user = (
            self._last_user_digest or _user_digest(self._last_user),
            None,
        )
        self.calls = self.starts = ()

    def caller_id(self, item: Item) -> str:
        """Return the id by which the caller knows a call."""
        return _caller_id(item, self._call_ids)

    def make_entry(self, delivered: Sequence[Any]) -> MemoryEntry | None:
        """Make the memo of a reply, of which `heard` are the items; None where nothing of it may be remembered, or is worth it."""
        digests: list[str] = []
        before: list[tuple[Item, ...]] = []
        ids: list[str | None] = []
        lead: list[Item] = []
        messages: list[
            tuple[Item, int] | None
        ] = []  # messages, each with how much reasoning is in front of it; None for a call
        name: str | None = None
        for item in delivered:
            kind = _string_or_none(item.get("type")) if isinstance(item, dict) else None
            if kind == "reasoning":
                if _can_be_sent_back(item):
                    lead.append({key: value for key, value in item.items() if value is not None})
            elif kind == "message":
                messages.append((item, 0 if digests else len(lead)))
            elif kind in _PAYLOAD_KEYS:
                own = "" if self.legacy else self.caller_id(item)
                digest = _digest(item, own)
                if not digests:
                    name = self._name(own, _string_or_none(item.get("name")) or "", digest)
                    if name is None:
                        return None
                messages.append(None)
                digests.append(digest)
                before.append(tuple(lead))
                ids.append(_string_or_none(item.get("id")))
                lead = []
        if name is None:
            return None
        user = self._last_user_digest or _user_digest(self._last_user)
        turn = RememberedTurn(
            tuple(digests),
            tuple(before),
            _turn_message(messages, json_format=self.json_format),
            tuple(ids),
            user,
        )
        return MemoryEntry(name, turn) if turn.has_content or self.keeps_empty else None

    def _name(self, own: str, tool: str, digest: str) -> str | None:
        """Name a turn that begins with a call: by the call's id, else by everything before it in a named conversation."""
        if _is_unguessable(own, tool, digest):
            return _name_by_id(own, self._first_id_hashes.count(hash(own)))
        return None if self._chain is None else _name_by_chain(_with_call(self._chain, digest))


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

    `named` says that the conversation has a name, `tools` that the reply may have calls; `call_ids` are the caller's own ids where the
    request has others, `json_format` that JSON was asked for.
    """
    calls: list[_Call] = []
    starts: list[int] = []
    times: dict[str, int] = {}
    hashes: list[int] = []
    user: int | None = None
    user_digest: str | None = None  # names that message once a call follows: it may hold megabytes
    chain = blake2b(digest_size=16) if named else None
    unhashed: list[int] = []  # what the user has said since the last call
    message = -1
    for i, origin in enumerate(origins):
        if origin.kind == "message":
            if items[i].get("role") == "user":
                user, user_digest = i, None
                if chain is not None:
                    unhashed.append(i)
        elif origin.kind in _CALL_KINDS:
            item = items[i]
            user_digest = user_digest or _user_digest(None if user is None else items[user])
            own = "" if origin.kind == "legacy_call" else _caller_id(item, call_ids)
            digest = _digest(item, own)
            name: str | None = None
            begun = chain
            if chain is not None:
                _add_user_messages(chain, items, unhashed)
                chain = _with_call(chain, digest)
            if origin.message != message:
                message = origin.message
                starts.append(len(calls))
                if begun is None:
                    # Where nothing may be remembered under it, nothing is: all that has to be seen here is whether to ask.
                    name = _name_by_id(own, times.get(own, 0)) if len(own) >= MIN_RANDOM else None
                elif _is_unguessable(own, item["name"], digest):
                    name = _name_by_id(own, times.get(own, 0))
                else:
                    name = _name_by_chain(chain)
                times[own] = times.get(own, 0) + 1
                hashes.append(hash(own))
            calls.append(_Call(i, digest, name, user_digest, -1 if user is None else user, message))
    if chain is not None and tools:
        _add_user_messages(chain, items, unhashed)
    asker = None if user is None else items[user]
    return CallHistory(
        calls,
        starts,
        user_digest,
        asker,
        chain,
        call_ids,
        array("q", hashes),
        legacy,
        json_format=json_format,
    )


def delivered_items(output: Sequence[Any], completion: Item) -> list[Any]:
    """List the items of a Response's output that the caller has heard of: up to the first call that the completion doesn't show.

    Calls have the arguments that the completion gives, and stand there once.
    """
    message = completion["choices"][0]["message"]
    legacy = message.get("function_call")
    shown = iter(message.get("tool_calls") or ([{"function": legacy}] if legacy else []))
    out: list[Any] = []
    known: set[str] = set()
    for item in output:
        if isinstance(item, dict) and _string_or_none(item.get("type")) in _PAYLOAD_KEYS:
            call_id = _string_or_none(item.get("call_id")) or _string_or_none(item.get("id")) or ""
            if call_id in known:
                continue
            if (call := next(shown, None)) is None:
                break
            known.add(call_id)
            key = _PAYLOAD_KEYS[item["type"]]
            out.append({**item, key: (call.get("function") or call.get("custom"))[key]})
        else:
            out.append(item)
    return out


class InsertedTurns(NamedTuple):
    """A request's items and origins with what was put back: `put` are the indexes of the items that were put in, `names` of which turns."""

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
    """Put remembered turns back.

    A turn goes back whole or not at all: all its calls must be there, unchanged and in order, behind the same user message and before
    the next one. And only turns behind the last one that isn't found go back: another process, which doesn't know the ones before it
    either, sends the same input up to there, and prompt caches live on that. `with_ids` writes the items' own ids, for servers that
    insist on them; under `store: false` they name nothing.
    """
    leads: dict[int, tuple[Item, ...]] = {}  # by the item that they come in front of
    phases: dict[int, str] = {}
    names: list[str] = []
    losses: list[Loss] = []
    cut = -1  # the message whose turn isn't found, where something stood before it
    done = 0
    for start in history.starts:
        first = history.calls[start]
        if start < done:
            continue
        turn = found.get(first.name or "")
        if turn is None:
            if (leads or phases) and _is_missing(first, items, history):
                cut, leads, phases, names = first.message, {}, {}, []
            continue
        end = start + len(turn.call_digests)
        calls = history.calls[start:end]
        if not _unchanged(turn, calls, history.calls[end : end + 1]):
            if turn.has_content:
                losses.append(Loss(f"messages[{first.message}]", "dropped", _CHANGED))
            if leads or phases:
                cut, leads, phases, names = first.message, {}, {}, []
            continue
        done = end
        names.append(first.name or "")
        leads |= {call.item: lead for call, lead in zip(calls, turn.reasoning, strict=True) if lead}
        message, at = turn.message, first.item - 1
        if message is not None and at >= 0 and origins[at].message == origins[first.item].message:
            if _text_digest(items[at], origins[at].prefix) != message.text_digest:
                continue  # other words than the model's: what is known of it doesn't fit
            lead = turn.reasoning[0]
            leads[at], leads[first.item] = (
                lead[: message.reasoning_before],
                lead[message.reasoning_before :],
            )
            if message.phase is not None:
                phases[at] = message.phase
    if cut >= 0:
        losses.append(Loss(f"messages[{cut}]", "dropped", _NOT_REMEMBERED))
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


def _is_missing(first: _Call, items: list[Item], history: CallHistory) -> bool:
    """Tell whether a turn that isn't found could have been: by an id that may be guessed no memory has any, and none will."""
    if first.name is None:
        return False
    item = items[first.item]
    return history.named or _is_unguessable(history.caller_id(item), item["name"], first.digest)


def _is_unguessable(own: str, tool: str, digest: str) -> bool:
    """Tell whether a call's id can't be guessed; a history comes back with the same calls each time."""
    known = _UNGUESSABLE.get(digest)
    if known is None:
        if len(_UNGUESSABLE) >= _MAX_CACHED:
            _UNGUESSABLE.clear()
        known = _UNGUESSABLE[digest] = is_unguessable(own, tool)
    return known


def _unchanged(turn: RememberedTurn, calls: Sequence[_Call], following: Sequence[_Call]) -> bool:
    """Tell whether these are the turn's calls, all of them, behind the same words, and no more in the same message."""
    if turn.user_digest != calls[0].user_digest:
        return False
    digests = tuple(call.digest for call in calls if call.user_index == calls[0].user_index)
    return digests == turn.call_digests and all(
        call.message != calls[-1].message for call in following
    )


def _caller_id(item: Item, call_ids: Mapping[str, str]) -> str:
    sent = _string_or_none(item.get("call_id")) or _string_or_none(item.get("id")) or ""
    return call_ids.get(sent, sent)


def _digest(item: Item, own: str) -> str:
    """Name a call by its id, name and arguments."""
    written = _string_or_none(item.get(_PAYLOAD_KEYS[item["type"]])) or ""
    name = _string_or_none(item.get("name")) or ""
    return _hash(f"{len(own)} {len(name)} {own}{name}{written}")


def _add_user_messages(chain: Any, items: Sequence[Item], indexes: list[int]) -> None:
    for i in indexes:
        chain.update(f"u{_user_digest(items[i])}".encode())
    indexes.clear()


def _with_call(chain: Any, digest: str) -> Any:
    longer = chain.copy()
    longer.update(f"c{digest}".encode())
    return longer


def _name_by_id(own: str, before: int) -> str:
    """Name a turn by its first call's id, and by how many turns before it begin with the same one."""
    return f"{_VERSION}i{_hash(f'{own} {before}' if before else own)}"


def _name_by_chain(chain: Any) -> str:
    return f"{_VERSION}c{chain.hexdigest()}"


def _user_digest(message: Item | None) -> str:
    """Name a user message by its content; a string is the same as one part of text."""
    if message is None:
        return _NO_USER
    content = message.get("content")
    if (
        isinstance(content, list)
        and len(content) == 1
        and content[0].keys() == _TEXT_PART_KEYS
        and content[0]["type"] == "input_text"
    ):
        content = content[0]["text"]
    if isinstance(content, str):
        return _hash("t" + content)
    return _hash(
        "p" + json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    )


def _turn_message(
    messages: Sequence[tuple[Item, int] | None], *, json_format: bool
) -> TurnMessage | None:
    """Describe the text that the caller has read: of several messages those that are shown."""
    shown = [one for one in messages if one is not None]
    if len(shown) > 1:
        selector = TextSelector(Ledger(), first_only=json_format)
        read: list[tuple[MessageText, tuple[Item, int]]] = []
        for one in messages:
            if one is None:
                selector.call()
                continue
            read.append((MessageText("", is_commentary(one[0]), phase_known=True), one))
            if text_of_message := _text_of(one[0]):
                selector.write(read[-1][0], text_of_message, [])
        selector.finish()
        shown = [
            one
            for message, one in sorted(read, key=lambda pair: pair[0].offset or 0)
            if message.offset is not None
        ]
    if not shown:
        return None
    phases = {_string_or_none(message.get("phase")) for message, _ in shown}
    phase = phases.pop() if len(phases) == 1 else None
    first, at = shown[0]
    own = _string_or_none(first.get("id")) if len(shown) == 1 else None
    text = _hash("\n\n".join(_text_of(message) for message, _ in shown))
    return TurnMessage(at, phase if phase in PHASES else None, text, own)


def _text_digest(message: Item, prefix: int) -> str:
    return _hash(_text_of(message)[prefix:])


def _text_of(message: Item) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def _can_be_sent_back(item: Item) -> bool:
    """Tell whether a reasoning item can be sent back: only what is encrypted stands for itself (docs/edge-cases.md#encrypted-content-without-ids)."""
    encrypted = item.get("encrypted_content")
    return item.get("type") == "reasoning" and isinstance(encrypted, str) and encrypted != ""


def _string_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
