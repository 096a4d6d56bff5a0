"""Where a remembered turn belongs: the tool calls of a history, what turns are bound to, and how they are put back (MAPPING §2.7).

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
from adapter.translation.objects.message_text import Message, Prose
from adapter.translation.objects.output_items import is_commentary
from adapter.translation.types import NOTHING, Origin

from .turns import PHASES, Item, Memo, Spoken, ToolTurn
from .unguessable_ids import LEAST, is_unguessable

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_CALL_KINDS = frozenset({"function_call", "custom_call", "legacy_call"})
_TEXT = {"type", "text"}  # of a part that is text and nothing else
_NOBODY = "nobody"  # stands for the user where a history begins with calls
_KNOWN: dict[str, bool] = {}  # calls, by their digests: whether their ids can't be guessed
_MOST_KNOWN = 8192
_VERSION = "2"  # of names; those of the first version can't be mistaken for them

_CHANGED = "sent without its reasoning: the user message before it, or a call's id, name or arguments, isn't what it was when it was remembered"
_CUT = (
    "the turns before it are sent without their reasoning: of this one nothing is remembered, and prompt caches want the same input "
    "from every process"
)


@dataclass(frozen=True, slots=True)
class _Call:
    item: int  # its index in `input`
    digest: str
    name: str | None  # of a turn that begins with it, where one may be remembered
    user: str  # names the user message that it follows
    turn: int  # which user message that is
    message: int  # which message it stands in


@dataclass(slots=True)
class History:
    """The tool calls of a request's history, by what turns are bound to.

    `legacy`: the caller knows calls as `function_call`, which has no id. `keeps_empty`: a reply of which there is nothing to remember
    is remembered as such, since its reasoning was asked for.
    """

    calls: Sequence[_Call]
    starts: Sequence[int]  # indexes in `calls`
    _speaker: str | None  # names the newest user message, where a call follows it or its words are let go
    _user: Item | None  # it itself: most whole replies need no name
    _chain: Any  # hashes user messages and calls so far, where the conversation is named
    _call_ids: Mapping[str, str]
    _begun: Sequence[
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

    def let_go(self) -> None:
        """Let go of all but what `memo` needs: of the words, which may be megabytes, their name, and no calls."""
        self._speaker, self._user = self._speaker or _user_named(self._user), None
        self.calls = self.starts = ()

    def own_id(self, item: Item) -> str:
        """Return the id by which the caller knows a call."""
        return _own_id(item, self._call_ids)

    def memo(self, heard: Sequence[Any]) -> Memo | None:
        """Make the memo of a reply, of which `heard` are the items; None where nothing of it may be remembered, or is worth it."""
        digests: list[str] = []
        before: list[tuple[Item, ...]] = []
        ids: list[str | None] = []
        lead: list[Item] = []
        said: list[
            tuple[Item, int] | None
        ] = []  # messages, each with how much reasoning is in front of it; None for a call
        name: str | None = None
        for item in heard:
            kind = _text(item.get("type")) if isinstance(item, dict) else None
            if kind == "reasoning":
                if _carried(item):
                    lead.append({key: value for key, value in item.items() if value is not None})
            elif kind == "message":
                said.append((item, 0 if digests else len(lead)))
            elif kind in _CALLS:
                own = "" if self.legacy else self.own_id(item)
                digest = _digest(item, own)
                if not digests:
                    name = self._name(own, _text(item.get("name")) or "", digest)
                    if name is None:
                        return None
                said.append(None)
                digests.append(digest)
                before.append(tuple(lead))
                ids.append(_text(item.get("id")))
                lead = []
        if name is None:
            return None
        user = self._speaker or _user_named(self._user)
        turn = ToolTurn(tuple(digests), tuple(before), _spoken(said, json_format=self.json_format), tuple(ids), user)
        return Memo(name, turn) if turn.holds or self.keeps_empty else None

    def _name(self, own: str, tool: str, digest: str) -> str | None:
        """Name a turn that begins with a call: by the call's id, else by everything before it in a named conversation."""
        if _names_a_turn(own, tool, digest):
            return _by_id(own, self._begun.count(hash(own)))
        return None if self._chain is None else _by_chain(_after(self._chain, digest))


def read_history(
    items: Sequence[Item],
    origins: Sequence[Origin],
    *,
    legacy: bool = False,
    named: bool = False,
    tools: bool = True,
    call_ids: Mapping[str, str] = NOTHING,
    json_format: bool = False,
) -> History:
    """Read the tool calls of a translated history.

    `named` says that the conversation has a name, `tools` that the reply may have calls; `call_ids` are the caller's own ids where the
    request has others, `json_format` that JSON was asked for.
    """
    calls: list[_Call] = []
    starts: list[int] = []
    times: dict[str, int] = {}
    hashes: list[int] = []
    user: int | None = None
    speaker: str | None = None  # names that message once a call follows: it may hold megabytes
    chain = blake2b(digest_size=16) if named else None
    said: list[int] = []  # what the user has said since the last call
    message = -1
    for i, origin in enumerate(origins):
        if origin.kind == "message":
            if items[i].get("role") == "user":
                user, speaker = i, None
                if chain is not None:
                    said.append(i)
        elif origin.kind in _CALL_KINDS:
            item = items[i]
            speaker = speaker or _user_named(None if user is None else items[user])
            own = "" if origin.kind == "legacy_call" else _own_id(item, call_ids)
            digest = _digest(item, own)
            name: str | None = None
            begun = chain
            if chain is not None:
                _hear(chain, items, said)
                chain = _after(chain, digest)
            if origin.message != message:
                message = origin.message
                starts.append(len(calls))
                if begun is None:
                    # Where nothing may be remembered under it, nothing is: all that has to be seen here is whether to ask.
                    name = _by_id(own, times.get(own, 0)) if len(own) >= LEAST else None
                elif _names_a_turn(own, item["name"], digest):
                    name = _by_id(own, times.get(own, 0))
                else:
                    name = _by_chain(chain)
                times[own] = times.get(own, 0) + 1
                hashes.append(hash(own))
            calls.append(_Call(i, digest, name, speaker, -1 if user is None else user, message))
    if chain is not None and tools:
        _hear(chain, items, said)
    asker = None if user is None else items[user]
    return History(calls, starts, speaker, asker, chain, call_ids, array("q", hashes), legacy, json_format=json_format)


def heard(output: Sequence[Any], completion: Item) -> list[Any]:
    """List the items of a Response's output that the caller has heard of: up to the first call that the completion doesn't show.

    Calls have the arguments that the completion gives, and stand there once.
    """
    message = completion["choices"][0]["message"]
    legacy = message.get("function_call")
    shown = iter(message.get("tool_calls") or ([{"function": legacy}] if legacy else []))
    out: list[Any] = []
    known: set[str] = set()
    for item in output:
        if isinstance(item, dict) and _text(item.get("type")) in _CALLS:
            call_id = _text(item.get("call_id")) or _text(item.get("id")) or ""
            if call_id in known:
                continue
            if (call := next(shown, None)) is None:
                break
            known.add(call_id)
            key = _CALLS[item["type"]]
            out.append({**item, key: (call.get("function") or call.get("custom"))[key]})
        else:
            out.append(item)
    return out


class PutBack(NamedTuple):
    """A request's items and origins with what was put back: `put` are the indexes of the items that were put in, `names` of which turns."""

    items: list[Item]
    origins: tuple[Origin, ...]
    put: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()


def put_back(
    items: list[Item],
    origins: Sequence[Origin],
    history: History,
    found: Mapping[str, ToolTurn],
    *,
    with_ids: bool = False,
) -> PutBack:
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
        behind = start + len(turn.calls)
        theirs = history.calls[start:behind]
        if not _unchanged(turn, theirs, history.calls[behind : behind + 1]):
            if turn.holds:
                losses.append(Loss(f"messages[{first.message}]", "dropped", _CHANGED))
            if leads or phases:
                cut, leads, phases, names = first.message, {}, {}, []
            continue
        done = behind
        names.append(first.name or "")
        leads |= {call.item: lead for call, lead in zip(theirs, turn.before, strict=True) if lead}
        said, at = turn.spoken, first.item - 1
        if said is not None and at >= 0 and origins[at].message == origins[first.item].message:
            if _shown(items[at], origins[at].prefix) != said.text:
                continue  # other words than the model's: what is known of it doesn't fit
            lead = turn.before[0]
            leads[at], leads[first.item] = lead[: said.at], lead[said.at :]
            if said.phase is not None:
                phases[at] = said.phase
    if cut >= 0:
        losses.append(Loss(f"messages[{cut}]", "dropped", _CUT))
    if not leads and not phases:
        return PutBack(items, tuple(origins), losses=tuple(losses))
    whole = _with_leads(items, origins, leads, phases, with_ids=with_ids)
    return PutBack(*whole, tuple(names), tuple(losses))


def _with_leads(
    items: list[Item],
    origins: Sequence[Origin],
    leads: Mapping[int, tuple[Item, ...]],
    phases: Mapping[int, str],
    *,
    with_ids: bool,
) -> tuple[list[Item], tuple[Origin, ...], tuple[int, ...]]:
    out: list[Item] = []
    whence: list[Origin] = []
    put: list[int] = []
    for i, (item, origin) in enumerate(zip(items, origins, strict=True)):
        for lead_item in leads.get(i, ()):
            put.append(len(out))
            out.append(lead_item if with_ids else {key: value for key, value in lead_item.items() if key != "id"})
            whence.append(Origin("reasoning", origin.message))
        out.append({**item, "phase": phases[i]} if i in phases else item)
        whence.append(origin)
    return out, tuple(whence), tuple(put)


def _is_missing(first: _Call, items: list[Item], history: History) -> bool:
    """Tell whether a turn that isn't found could have been: by an id that may be guessed no memory has any, and none will."""
    if first.name is None:
        return False
    item = items[first.item]
    return history.named or _names_a_turn(history.own_id(item), item["name"], first.digest)


def _names_a_turn(own: str, tool: str, digest: str) -> bool:
    """Tell whether a call's id can't be guessed; a history comes back with the same calls each time."""
    known = _KNOWN.get(digest)
    if known is None:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[digest] = is_unguessable(own, tool)
    return known


def _unchanged(turn: ToolTurn, theirs: Sequence[_Call], following: Sequence[_Call]) -> bool:
    """Tell whether these are the turn's calls, all of them, behind the same words, and no more in the same message."""
    if turn.user != theirs[0].user:
        return False
    digests = tuple(call.digest for call in theirs if call.turn == theirs[0].turn)
    return digests == turn.calls and all(call.message != theirs[-1].message for call in following)


def _own_id(item: Item, call_ids: Mapping[str, str]) -> str:
    sent = _text(item.get("call_id")) or _text(item.get("id")) or ""
    return call_ids.get(sent, sent)


def _digest(item: Item, own: str) -> str:
    """Name a call by its id, name and arguments."""
    written = _text(item.get(_CALLS[item["type"]])) or ""
    name = _text(item.get("name")) or ""
    return _hash(f"{len(own)} {len(name)} {own}{name}{written}")


def _hear(chain: Any, items: Sequence[Item], said: list[int]) -> None:
    for i in said:
        chain.update(f"u{_user_named(items[i])}".encode())
    said.clear()


def _after(chain: Any, digest: str) -> Any:
    longer = chain.copy()
    longer.update(f"c{digest}".encode())
    return longer


def _by_id(own: str, before: int) -> str:
    """Name a turn by its first call's id, and by how many turns before it begin with the same one."""
    return f"{_VERSION}i{_hash(f'{own} {before}' if before else own)}"


def _by_chain(chain: Any) -> str:
    return f"{_VERSION}c{chain.hexdigest()}"


def _user_named(message: Item | None) -> str:
    """Name a user message by its content; a string is the same as one part of text."""
    if message is None:
        return _NOBODY
    content = message.get("content")
    if (
        isinstance(content, list)
        and len(content) == 1
        and content[0].keys() == _TEXT
        and content[0]["type"] == "input_text"
    ):
        content = content[0]["text"]
    if isinstance(content, str):
        return _hash("t" + content)
    return _hash("p" + json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def _spoken(said: Sequence[tuple[Item, int] | None], *, json_format: bool) -> Spoken | None:
    """Describe the text that the caller has read: of several messages those that are shown."""
    shown = [one for one in said if one is not None]
    if len(shown) > 1:
        prose = Prose(Ledger(), first_only=json_format)
        read: list[tuple[Message, tuple[Item, int]]] = []
        for one in said:
            if one is None:
                prose.call()
                continue
            read.append((Message("", is_commentary(one[0]), certain=True), one))
            if words := _words(one[0]):
                prose.write(read[-1][0], words, [])
        prose.finish()
        shown = [
            one for message, one in sorted(read, key=lambda pair: pair[0].offset or 0) if message.offset is not None
        ]
    if not shown:
        return None
    phases = {_text(message.get("phase")) for message, _ in shown}
    phase = phases.pop() if len(phases) == 1 else None
    first, at = shown[0]
    own = _text(first.get("id")) if len(shown) == 1 else None
    text = _hash("\n\n".join(_words(message) for message, _ in shown))
    return Spoken(at, phase if phase in PHASES else None, text, own)


def _shown(message: Item, prefix: int) -> str:
    return _hash(_words(message)[prefix:])


def _words(message: Item) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _carried(item: Item) -> bool:
    """Tell whether a reasoning item can be sent back: only what is encrypted stands for itself (EDGE_CASES 65)."""
    encrypted = item.get("encrypted_content")
    return item.get("type") == "reasoning" and isinstance(encrypted, str) and encrypted != ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
