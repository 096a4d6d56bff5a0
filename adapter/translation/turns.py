"""What is remembered of a reply with tool calls, and where it goes in the next request (MAPPING §2.7, EDGE_CASES 63 to 65).

A Response holds reasoning items in front of its calls; a chat history has no place for them. They are remembered as a ToolTurn,
bound to the user message that came before and to each call's id, name and arguments: a call's id alone proves nothing, since
whoever writes the history can make one up, and some servers begin every turn with `call_0`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from sys import getsizeof
from typing import Any

from . import identifiers
from .draft import NOTHING, Origin
from .untrusted import MAX_CALLS, MAX_ITEMS, list_of, reasoning_of, short

Item = dict[str, Any]

ENCRYPTED = "reasoning.encrypted_content"
"""What `include` asks for, so that reasoning can be sent back without being stored on the server."""

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_CALL_KINDS = frozenset({"function_call", "custom_call", "legacy_call"})
_PHASES = ("commentary", "final_answer")
_SEPARATOR = "\0"
_NOBODY = "nobody"  # stands for the user where a history begins with calls


@dataclass(frozen=True, slots=True)
class Spoken:
    """The message in front of a turn's calls: after how many reasoning items it stood, its phase, id and text (a digest)."""

    at: int
    phase: str | None
    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolTurn:
    """What one reply with tool calls held beside what Chat shows.

    `calls` are digests of the calls, in order; `before` holds, for each of them, the reasoning items in front of it, as the API
    gave them; `ids` are the call items' own ids.
    """

    calls: tuple[str, ...]
    before: tuple[tuple[Item, ...], ...]
    spoken: Spoken | None = None
    ids: tuple[str | None, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        size = 600 + 200 * len(self.calls)
        for items in self.before:
            for item in items:
                size += 800 + len(item["encrypted_content"])  # ASCII
                if item.get("summary") or item.get("content") or len(item) > 4:
                    size += _size(item)
        return size

    def to_json(self) -> Item:
        """Return it as JSON; `from_json` reads it."""
        said = self.spoken
        spoken = {"spoken": [said.at, said.phase, said.text, said.id]} if said is not None else {}
        return {
            "calls": list(self.calls),
            "before": [list(one) for one in self.before],
            "ids": list(self.ids),
            **spoken,
        }

    @classmethod
    def from_json(cls, value: Any) -> ToolTurn:
        """Read what `to_json` wrote. Raises ValueError for anything else.

        Whoever can write to a shared store may have written it: what goes into requests is made anew, of the keys and types that
        a reasoning item has.
        """
        try:
            calls, before, ids = value["calls"], value["before"], value["ids"]
            spoken = _spoken_of(value["spoken"]) if "spoken" in value else None
            if not 0 < len(calls) == len(before) == len(ids) <= MAX_CALLS or sum(map(len, before)) > MAX_ITEMS:
                raise ValueError
            return cls(
                tuple([short(one) for one in list_of(calls)]),
                tuple([tuple([reasoning_of(item) for item in list_of(items)]) for items in list_of(before)]),
                spoken,
                tuple([None if one is None else short(one) for one in list_of(ids)]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError("not a remembered turn") from None


@dataclass(frozen=True, slots=True)
class Memo:
    """A turn, and the name under which it is found again."""

    name: str
    turn: ToolTurn


@dataclass(frozen=True, slots=True)
class _Call:
    item: int  # its index in `input`
    digest: str
    name: str  # of a turn that begins with it
    turn: int  # which user message it follows
    message: int  # which message it stands in


@dataclass(slots=True)
class History:
    """The tool calls of a request's history, by what turns are bound to.

    `names` are those of the turns that may be remembered: one for each assistant message with calls. `legacy`: the caller knows
    calls as `function_call`, which has no id.
    """

    calls: Sequence[_Call]
    starts: Sequence[int]  # indexes in `calls`
    _speaker: str | None  # names the newest user message, where a call follows it or its words are let go
    _user: Item | None  # it itself: most whole replies need no name
    _seen: Mapping[str, int]
    legacy: bool = False

    @property
    def names(self) -> list[str]:
        """The names of the turns that may be remembered."""
        return [self.calls[start].name for start in self.starts]

    def let_go(self) -> None:
        """Let go of all but what `memo` needs: of the words, which may be megabytes, their name, and no calls of earlier turns."""
        self._speaker, self._user = self._speaker or _user_named(self._user), None
        self._seen = {name: times for name, times in self._seen.items() if name.startswith(self._speaker)} or NOTHING
        self.calls = self.starts = ()

    def memo(self, heard: Sequence[Any]) -> Memo | None:
        """Make the memo of a reply, of which `heard` are the items; None where it holds nothing to remember."""
        digests: list[str] = []
        before: list[tuple[Item, ...]] = []
        ids: list[str | None] = []
        lead: list[Item] = []
        texts: list[Item] = []
        at = 0
        for item in heard:
            kind = item.get("type") if isinstance(item, dict) else None
            if kind == "reasoning":
                if _carried(item):
                    lead.append({key: value for key, value in item.items() if value is not None})
            elif kind == "message" and not digests:
                at = at if texts else len(lead)
                texts.append(item)
            elif kind in _CALLS:
                digests.append(_digest(item, legacy=self.legacy))
                before.append(tuple(lead))
                ids.append(_text(item.get("id")))
                lead = []
        if not digests:
            return None
        spoken = _spoken(texts, at)
        if not (any(before) or (spoken is not None and spoken.phase is not None)):
            return None
        name = _SEPARATOR.join((self._speaker or _user_named(self._user), digests[0]))
        turn = ToolTurn(tuple(digests), tuple(before), spoken, tuple(ids))
        return Memo(f"{name}{_SEPARATOR}{self._seen.get(name, 0)}", turn)


def read_history(items: Sequence[Item], origins: Sequence[Origin], *, legacy: bool = False) -> History:
    """Read the tool calls of a translated history."""
    calls: list[_Call] = []
    starts: list[int] = []
    seen: dict[str, int] = {}
    user: int | None = None
    speaker: str | None = None  # names that message once a call follows: it may hold megabytes
    message = -1
    for i, origin in enumerate(origins):
        if origin.kind == "message":
            if items[i].get("role") == "user":
                user, speaker = i, None
        elif origin.kind in _CALL_KINDS:
            speaker = speaker or _user(items, user)
            digest = _digest(items[i], legacy=origin.kind == "legacy_call")
            name = _SEPARATOR.join((speaker, digest))
            if origin.message != message:
                message = origin.message
                starts.append(len(calls))
            # The same call after the same words is told apart by how often it came before.
            before = seen.get(name, 0)
            calls.append(_Call(i, digest, f"{name}{_SEPARATOR}{before}", -1 if user is None else user, message))
            seen[name] = before + 1
    return History(calls, starts, speaker, None if user is None else items[user], seen, legacy)


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
        if isinstance(item, dict) and item.get("type") in _CALLS:
            call_id = item.get("call_id") or item.get("id") or ""
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


def put_back(
    items: list[Item],
    origins: Sequence[Origin],
    history: History,
    found: Mapping[str, ToolTurn],
    *,
    with_ids: bool = False,
) -> tuple[list[Item], tuple[Origin, ...], list[int]]:
    """Put remembered turns back: new items and origins, and the indexes of the items that were put in.

    A turn goes back whole or not at all: all its calls must be there, unchanged and in order, before the next user message.
    `with_ids` writes the items' own ids, for servers that insist on them; under `store: false` they name nothing.
    """
    leads: dict[int, tuple[Item, ...]] = {}  # by the item that they come in front of
    phases: dict[int, str] = {}
    done = 0
    for start in history.starts:
        first = history.calls[start]
        turn = found.get(first.name)
        if turn is None or start < done:
            continue
        behind = start + len(turn.calls)
        theirs = history.calls[start:behind]
        if not _unchanged(turn, theirs, history.calls[behind : behind + 1]):
            continue
        done = behind
        leads |= {call.item: lead for call, lead in zip(theirs, turn.before, strict=True) if lead}
        said, at = turn.spoken, first.item - 1
        if said is not None and at >= 0 and origins[at].message == origins[first.item].message:
            if _shown(items[at]) != said.text:
                continue  # other words than the model's: what is known of it doesn't fit
            lead = turn.before[0]
            leads[at], leads[first.item] = lead[: said.at], lead[said.at :]
            if said.phase is not None:
                phases[at] = said.phase
    if not leads and not phases:
        return items, tuple(origins), []
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
    return out, tuple(whence), put


def _unchanged(turn: ToolTurn, theirs: Sequence[_Call], following: Sequence[_Call]) -> bool:
    """Tell whether these are the turn's calls, all of them, and no more in the same message."""
    digests = tuple(call.digest for call in theirs if call.turn == theirs[0].turn)
    return digests == turn.calls and all(call.message != theirs[-1].message for call in following)


def _digest(item: Item, *, legacy: bool) -> str:
    """Name a call by its id, name and arguments."""
    call_id = "" if legacy else identifiers.call_id(_text(item.get("call_id")) or _text(item.get("id")) or "")
    written = _text(item.get(_CALLS[item["type"]])) or ""
    return _hash(_SEPARATOR.join((call_id, _text(item.get("name")) or "", written)))


def _user(items: Sequence[Item], user: int | None) -> str:
    """Name a user message, by its place."""
    return _user_named(None if user is None else items[user])


def _user_named(message: Item | None) -> str:
    """Name a user message by its content; a string is the same as one part of text."""
    if message is None:
        return _NOBODY
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "input_text", "text": content}]
    return _hash(json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def _spoken(messages: list[Item], at: int) -> Spoken | None:
    if not messages:
        return None
    phases = {message.get("phase") for message in messages}
    phase = phases.pop() if len(phases) == 1 else None
    own = _text(messages[0].get("id")) if len(messages) == 1 else None
    text = _hash("\n\n".join(_words(message) for message in messages))
    return Spoken(at, phase if phase in _PHASES else None, text, own)


def _shown(message: Item) -> str:
    return _hash(_words(message))


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


def _spoken_of(value: Any) -> Spoken:
    at, phase, text, own = value
    if type(at) is not int or not 0 <= at <= MAX_ITEMS or phase not in (None, *_PHASES):
        raise ValueError
    return Spoken(at, phase, short(text), None if own is None else short(own))


def _size(value: Any) -> int:
    if isinstance(value, list):
        return 60 + sum(map(_size, value))
    return 200 + sum(map(_size, value.values())) if isinstance(value, dict) else getsizeof(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
