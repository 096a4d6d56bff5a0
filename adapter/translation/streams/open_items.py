"""Find the item that an event of a stream belongs to.

An event belongs to the item of its kind that was announced at its `output_index`. If there are
several or none, its `item_id` decides (for a call, first its `call_id`); without either it belongs
to the newest unfinished item of the kind. So an item stays open while others come at its index.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from adapter.translation.objects.call_types import CALL_EVENTS, CALL_TYPES
from adapter.translation.objects.output_items import call_id_of, name_of
from adapter.translation.replies.annotations import Annotation

from .item_states import Call, Item, OpenMessage

# dialect: several (items renumbered, no `output_index`, one index for two items)
# dialect: GitHub Copilot (another `item_id` in each event)
# dialect: OpenRouter (a message inside a reasoning item, other ids at the end; recording 663)

_MAX_CANDIDATES = 4
"""How many items of one kind at one index are considered if no id decides."""


class OpenItems:
    """The items of a stream; an item that was never announced is created by its first event.

    `calls`, `messages`: those so far, in order of appearance.
    """

    __slots__ = (
        "_by_call",
        "_by_id",
        "_by_index",
        "_matched",
        "_open",
        "_order",
        "_originals",
        "annotations",
        "calls",
        "messages",
    )  # fmt: skip

    def __init__(self) -> None:
        self._order: list[Item] = []
        self._by_id: dict[str, Item] = {}
        self._by_call: dict[str, Call] = {}
        self._by_index: dict[tuple[type[Item], int], list[Item]] = {}
        self._open: dict[type[Item], deque[Item]] = {}  # filled if events have no index and no id
        self._originals: dict[str, Call] = {}  # the first call with each `call_id`
        self._matched: Sequence[Item | None] = ()  # for each item of the finished response
        self.annotations: list[Annotation] = []
        self.calls: list[Call] = []
        self.messages: list[OpenMessage] = []

    # Identification

    def announce(self, event: dict[str, Any], item: dict[str, Any]) -> Item:
        """Return the item that an event announces: a new one, or one that isn't finished."""
        kind = _class(item.get("type"))
        own_id, call_id = _id(event, item), name_of(item.get("call_id"))
        found = self._announced(kind, event, own_id, call_id) or self._make(item)
        if not found.announced:
            found.announced, found.own_id = True, own_id or found.own_id
            if isinstance(found, Call) or item.get("content"):
                found.announcement = item
        self._register(found, event, own_id, call_id)
        return found

    def _announced(
        self, kind: type[Item], event: dict[str, Any], own_id: str | None, call_id: str | None
    ) -> Item | None:
        by_call = self._by_call.get(call_id) if kind is Call and call_id else None
        if by_call is not None and by_call.done is None:
            return by_call
        by_id = self._by_id.get(own_id) if own_id else None
        for found in (by_id, *reversed(self._items_at(kind, event)[-_MAX_CANDIDATES:])):
            if (
                type(found) is kind
                and found.done is None
                and not _has_other_ids(found, own_id, call_id)
            ):
                return found
        if (own_id is None and _index(event) < 0) or kind in self._open:
            newest = self._newest_open(kind)
            if (
                newest is not None
                and not newest.announced
                and (newest.own_id is None or own_id is None)
            ):
                return newest
        return None

    def get(self, event: dict[str, Any], item: dict[str, Any]) -> Item:
        """Return the item that an `output_item.done` event finishes."""
        kind = _class(item.get("type"))
        own_id, call_id = _id(event, item), name_of(item.get("call_id"))
        found = self._item_finished(kind, event, item, own_id, call_id)
        if found is None and _index(event) < 0 and kind is not Item:
            # dialect: llama.cpp (finishes all items at the end, with ids that it never announced)
            found = self._oldest_open(kind, call_id)
        found = found or self._make(item)
        self._register(found, event, own_id, call_id)
        return found

    def _item_finished(
        self,
        kind: type[Item],
        event: dict[str, Any],
        item: dict[str, Any],
        own_id: str | None,
        call_id: str | None,
    ) -> Item | None:
        if kind is Call and call_id and call_id in self._by_call:
            known = self._by_call[call_id]
            # With another finished form it is a second call with the same id.
            return known if known.done is None or known.done == item else None
        by_id = self._by_id.get(own_id) if own_id else None
        there = self._items_at(kind, event)
        candidates = (
            (by_id, *reversed(there[-_MAX_CANDIDATES:])) if len(there) != 1 else (there[0], by_id)
        )
        for found in candidates:
            if type(found) is not kind or (
                found is not by_id and call_id and _has_other_ids(found, own_id, None)
            ):
                continue
            if (
                found.done is None
                or found.done == item
                or (own_id is not None and found.done.get("id") == own_id)
            ):
                return found
        return None

    def message(self, event: dict[str, Any]) -> OpenMessage:
        """Return the message that a text event belongs to."""
        found = self._item_for(event, OpenMessage, {"type": "message"})
        assert isinstance(found, OpenMessage)
        return found

    def call(self, event: dict[str, Any]) -> Call:
        """Return the call that an arguments event belongs to."""
        found = self._item_for(event, Call, {"type": CALL_EVENTS[event["type"]].item})
        assert isinstance(found, Call)
        return found

    def _item_for(self, event: dict[str, Any], kind: type[Item], item: dict[str, Any]) -> Item:
        own_id = name_of(event.get("item_id"))
        by_id = self._by_id.get(own_id) if own_id else None
        there = self._items_at(kind, event)
        if len(there) == 1 and there[0].done is None:
            return there[0]
        # Also if it is finished: the event is then an error, and not another item.
        if type(by_id) is kind and (
            by_id.done is None or by_id in there[-_MAX_CANDIDATES:] or _index(event) < 0
        ):
            return by_id
        found = there[-1] if there and there[-1].done is None else None
        if found is None and _index(event) < 0:
            found = self._newest_open(kind)
        found = found or self._make(item)
        # Only by its first id, since it may change with every event.
        self._register(found, event, own_id if found.own_id is None else None, None)
        found.own_id = found.own_id or own_id
        return found

    def original_of(self, call: Call) -> Call:
        """Return the first call with this one's `call_id`."""
        assert call.call_id is not None
        return self._originals.setdefault(call.call_id, call)

    def _items_at(self, kind: type[Item], event: dict[str, Any]) -> list[Item]:
        """List the items of a kind that were at an event's index, the newest last."""
        return self._by_index.get((kind, _index(event)), [])

    def is_unambiguous(self, message: OpenMessage, output_index: int) -> bool:
        """Return whether this index belongs to this message alone."""
        return self._by_index.get((OpenMessage, output_index)) == [message] and message.done is None

    def _newest_open(self, kind: type[Item]) -> Item | None:
        queue = self._open_items(kind)
        while queue and queue[-1].done is not None:
            queue.pop()
        return queue[-1] if queue else None

    def _oldest_open(self, kind: type[Item], call_id: str | None) -> Item | None:
        queue = self._open_items(kind)
        while queue and queue[0].done is not None:
            queue.popleft()
        return next(
            (
                found
                for found in islice(queue, _MAX_CANDIDATES)
                if not _has_other_ids(found, None, call_id)
            ),
            None,
        )

    def _open_items(self, kind: type[Item]) -> deque[Item]:
        """Return the items of a kind, the newest last; callers remove finished ones at the ends."""
        if kind not in self._open:  # on first use: most servers number their items
            self._open[kind] = deque(item for item in self._order if type(item) is kind)
        return self._open[kind]

    def _make(self, item: dict[str, Any]) -> Item:
        kind = _class(item.get("type"))
        made = kind.of(f"output[{len(self._order)}]", item)
        self._order.append(made)
        if isinstance(made, Call):
            self.calls.append(made)
        elif isinstance(made, OpenMessage):
            self.messages.append(made)
        if kind in self._open:
            self._open[kind].append(made)
        return made

    def _register(
        self, found: Item, event: dict[str, Any], own_id: str | None, call_id: str | None
    ) -> None:
        """Index an item by the ids and the index of an event."""
        if own_id and (own_id not in self._by_id or self._by_id[own_id].done is not None):
            self._by_id[own_id] = found
        if call_id and isinstance(found, Call):
            self._by_call.setdefault(call_id, found)
            if self._by_call[call_id].done is not None:
                self._by_call[call_id] = found
        index = _index(event)
        if index >= 0:
            there = self._by_index.setdefault((type(found), index), [])
            if found not in there[-_MAX_CANDIDATES:]:
                there.append(found)

    # End of the stream

    @property
    def all_finished(self) -> bool:
        """Return whether there were messages or calls, all of them finished or confirmed."""
        items = [*self.messages, *self.calls]
        return bool(items) and all(item.done is not None or item.confirmed for item in items)

    def settled(self, output: list[Any]) -> Iterator[tuple[Item, dict[str, Any]]]:
        """Match the finished response's messages and calls to items, creating missing ones.

        Calls are matched by their `call_id`. Messages, and calls without one so far, are matched by
        their own id, else in order (docs/edge-cases.md#one-item-is-one-call).
        """
        self._matched = matched = []
        calls: dict[str | None, deque[Call]] = {}
        for call in self.calls:
            calls.setdefault(call.call_id, deque()).append(call)
        messages = dict.fromkeys(self.messages)
        fewer = len(messages) > sum(_class(item.get("type")) is OpenMessage for item in output)
        by_id = _by_unique_id(
            [(one.own_id or (one.done or {}).get("id"), one) for one in self.messages]
        )
        ids = _by_unique_id([(item.get("id"), item) for item in output])
        for item in output:
            kind = _class(item.get("type"))
            found: Item | None = None
            if kind is Call:
                queue = calls.get(call_id_of(item)) or calls.get(None)
                found = queue.popleft() if queue else self._make(item)
            elif kind is OpenMessage:
                found = by_id.get(item["id"]) if name_of(item.get("id")) in ids else None
                if found not in messages:
                    # If the finished response lists fewer messages, it leaves out empty ones.
                    found = next(
                        (
                            one
                            for one in messages
                            if not fewer or one.text.length or one.refusal_text
                        ),
                        None,
                    )
                if found is None:
                    found = self._make(item)
                else:
                    del messages[found]
            matched.append(found)
            if found is not None:
                yield found, item

    @property
    def unlisted(self) -> Iterator[Item]:
        """The messages and calls that the finished response doesn't list."""
        listed = {id(item) for item in self._matched}
        return (item for item in self._order if type(item) is not Item and id(item) not in listed)

    def in_final_order(
        self, output: list[Any]
    ) -> Iterator[tuple[OpenMessage | Call, dict[str, Any]]]:
        """Yield messages and calls in the order of the finished response; all if it lists none."""
        pairs = (
            zip(self._matched, output, strict=True)
            if output
            else ((item, item.done) for item in self._order)
        )
        for found, item in pairs:
            if isinstance(found, (OpenMessage, Call)):
                yield found, item or {}

    def delivered(self) -> list[Any]:
        """List the items so far, up to the first incomplete call; calls as they were delivered."""
        out: list[Any] = []
        for item in self._order:
            if not isinstance(item, Call):
                out.append(item.done)
            elif item.complete:
                out.append(item.as_delivered())
            elif item.original is None:
                break
        return out

    def delivered_at_end(self, output: list[Any]) -> list[Any]:
        """List all items, in the order of the finished response; calls as they were delivered.

        Its reasoning may be encrypted again (docs/wire-facts.md#reasoning-items).
        """
        # dialect: several (no encrypted content in the finished response)
        reasoning = (
            item.done for item in self._order if type(item) is Item and _is_reasoning(item.done)
        )
        matched: Sequence[Item | None] = self._matched if output else self._order
        out: list[Any] = []
        for item, found in zip(output or [one.done for one in self._order], matched, strict=False):
            if isinstance(found, Call):
                if found.original is not None:
                    continue
                if found.dropped:
                    break
                out.append(found.as_delivered())
            elif _is_reasoning(item):
                own = next(reasoning, None)
                out.append(item if item.get("encrypted_content") or own is None else own)
            else:
                out.append(item)
        return out

    def annotate(self, message: OpenMessage, p: Any, values: Any, *, seen: int) -> None:
        """Add a part's annotations, except the first `seen`, which were added before."""
        part = message.part(p)
        for value in (values if isinstance(values, list) else [])[seen:]:
            path = f"{message.path}.content[{part.number}].annotations[{part.annotations}]"
            self.annotations.append(Annotation(message.text, part.offset, value, path))
            part.annotations += 1

    def finished(self, output: list[Any]) -> Iterator[tuple[str, Any]]:
        """Yield path and item of the finished response; if it lists none, of the finished items."""
        items = output or [item.done for item in self._order if item.done is not None]
        for i, item in enumerate(items):
            yield f"output[{i}]", item


def _by_unique_id(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Return a mapping of the ids that occur once."""
    times = Counter(own_id for own_id, _ in pairs if isinstance(own_id, str))
    return {
        own_id: one
        for own_id, one in pairs
        if isinstance(own_id, str) and own_id and times[own_id] == 1
    }


def _has_other_ids(found: Item, own_id: str | None, call_id: str | None) -> bool:
    """Return whether an item has another id than these."""
    if isinstance(found, Call) and found.call_id and call_id:
        return found.call_id != call_id
    return (
        found.announced
        and found.own_id is not None
        and own_id is not None
        and found.own_id != own_id
    )


def _index(event: dict[str, Any]) -> int:
    """Return an event's `output_index`, or -1."""
    index = event.get("output_index")
    return index if type(index) is int else -1


def _id(event: dict[str, Any], item: dict[str, Any]) -> str | None:
    return name_of(item.get("id")) or name_of(event.get("item_id"))


def _is_reasoning(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning"


def _class(item_type: object) -> type[Item]:
    if item_type == "message":
        return OpenMessage
    return Call if isinstance(item_type, str) and item_type in CALL_TYPES else Item
