"""Handle the events of single items: text, refusals and tool calls, to chunks.

Events that end an item are checked against what was passed on of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from adapter.errors import StreamTruncated
from adapter.translation.equality import missing_suffix
from adapter.translation.ledger import Ledger
from adapter.translation.objects.call_types import call_type_of
from adapter.translation.objects.logprobs import logprobs_to_chat
from adapter.translation.objects.message_text import TextPiece, TextSelector
from adapter.translation.objects.output_items import (
    FINAL,
    call_id_of,
    check_kind,
    is_commentary,
    name_of,
    object_in,
    part_of,
    parts_of,
    payload_of,
    text_of,
)
from adapter.translation.objects.tool_calls import tool_call
from adapter.translation.replies.stop_sequences import StopCutter
from adapter.translation.types import ReplyContext

from .chunks import Chunk, ChunkBuilder
from .item_states import Call, Item, OpenMessage
from .open_items import OpenItems
from .text_fast_path import TextFastPath

Event = dict[str, Any]


class ItemEvents(ABC):
    """Turn the events of items into chunks.

    `finished_calls`: number of finished tool calls. `fast_path`: for the next deltas, or None.
    """

    __slots__ = (
        "_call_count",
        "_chat_only",
        "_chunks",
        "_context",
        "_cutter",
        "_items",
        "_lazy_refusals",
        "_ledger",
        "_selector",
        "fast_path",
        "finished_calls",
    )  # fmt: skip

    def __init__(self, context: ReplyContext, *, chat_only: bool) -> None:
        self._context = context
        self._chat_only = chat_only
        self._ledger = Ledger()
        self._selector = TextSelector(self._ledger, first_only=context.json_format)
        self._lazy_refusals: TextSelector | None = None  # made on first use
        self._items = OpenItems()
        self._call_count = 0
        self._chunks = ChunkBuilder(context)
        self._cutter = StopCutter(context.stop)
        self.finished_calls = 0
        self.fast_path: TextFastPath | None = None

    @property
    def _refusals(self) -> TextSelector:
        if self._lazy_refusals is None:
            self._lazy_refusals = TextSelector(self._ledger)
        return self._lazy_refusals

    # Items

    def _item_added(self, event: Event) -> list[Chunk]:
        item = object_in(event, "item")
        check_kind("item", item)
        found = self._items.announce(event, item)
        if isinstance(found, OpenMessage):
            self._take_phase(found, item)
        return self._open_call(found, item) if isinstance(found, Call) else []

    def _item_done(self, event: Event) -> list[Chunk]:
        item = object_in(event, "item")
        check_kind("item", item)
        found = self._items.get(event, item)
        self.finished_calls += isinstance(found, Call) and found.done is None
        found.done = item
        return self._settle(found, item)

    def _settle(self, found: Item, item: dict[str, Any], *, last: bool = False) -> list[Chunk]:
        """Pass on what the finished item has beyond what was passed on.

        `last`: the item is one of the finished response, where an empty field means empty.
        """
        if isinstance(found, Call):
            if found.call_id is None:
                found.call_id = call_id_of(item)
            out = self._open_call(found, item)
            return out + self._rest_of_call(found, item, last=last)
        if not isinstance(found, OpenMessage):
            return []
        out = self._settle_message(found, item, last=last)
        if found is self._items.messages[-1]:
            out += self._emit_text(self._selector.end()) + self._emit_refusal(self._refusals.end())
        return out

    def _settle_message(
        self, found: OpenMessage, item: dict[str, Any], *, last: bool
    ) -> list[Chunk]:
        """Pass on what a finished message has beyond what was passed on.

        Its whole text is compared, since servers number parts differently.
        """
        parts = parts_of(found.path, item)
        last = last and item.get("content") is not None  # null means unknown, an empty list empty
        self._take_phase(found, item)
        out = self._emit_text(self._selector.settle(found.text))
        path = f"{found.path}.content"
        sent = {"text": found.text.text, "refusal": found.refusal_text}
        missing = {}
        for of, so_far in sent.items():
            whole = "".join([part.text for part in parts if part.kind == of])
            as_json = self._context.json_format and of == "text"
            over = found is not self._items.messages[-1] or self._selector.is_closed(found.text)
            missing[of] = self._missing(
                found, path, so_far, whole, as_json=as_json, last=last, closed=over
            )
        at = {"text": 0, "refusal": 0}
        for p, (kind, text, given) in enumerate(parts):
            if kind is None:
                continue
            rest = text[max(len(sent[kind]) - at[kind], 0) :] if missing[kind] else ""
            if kind == "text":
                state = found.part(p, at[kind])
                self._items.annotate(found, p, given.get("annotations"), seen=state.annotations)
                out += self._text(found, p, rest, given.get("logprobs") if rest == text else None)
            else:
                out += self._refusal(found, p, rest)
            at[kind] += len(text)
        return out

    def _take_phase(self, found: OpenMessage, item: dict[str, Any]) -> None:
        """Update a message's phase; what was streamed of it stays."""
        # dialect: several (no phase in the announcement, or another one)
        commentary = is_commentary(item)
        if commentary == found.commentary or (found.commentary and item.get("phase") != FINAL):
            return
        found.commentary = commentary
        if found.shown:
            if commentary:
                why = "received after its text had been streamed as the answer"
                self._ledger.add(f"{found.path}.phase", "changed", why)
            return
        self._selector.set_commentary(found.text, commentary=commentary)
        self._refusals.set_commentary(found.refusal, commentary=commentary)

    def _missing(
        self,
        item: Item,
        path: str,
        delivered: str,
        whole: str,
        *,
        as_json: bool,
        last: bool = False,
        closed: bool = False,
    ) -> str:
        """Return what an event has beyond what was delivered; raise if it contradicts that.

        `closed`: later output was streamed, so missing white space is no longer passed on.
        """
        if not whole and not last:
            return ""  # dialect: several (empty fields in `done` events)
        missing = missing_suffix(path, delivered, whole, as_json=as_json, confirmed=item.confirmed)
        if closed and item.confirmed and missing is not None and missing.isspace():
            missing = None
        item.confirmed = True
        if missing is None and not item.reworded:
            item.reworded = True
            self._ledger.add(
                path,
                "changed",
                "kept as streamed; the finished text differs in formatting only",
            )
        return missing or ""

    # Text and refusals

    def _part_added(self, event: Event) -> list[Chunk]:
        # Deltas, or the event that ends the part, repeat the announced contents.
        part = event.get("part")
        if part is not None and part_of("part", part).kind is not None:
            message = self._items.message(event)
            if message.done is None:
                message.part(event.get("content_index")).announced = (
                    part if part_of("part", part).text else None
                )
        return []

    def _part_done(self, event: Event) -> list[Chunk]:
        part = event.get("part")
        if part is None or part_of("part", part).kind is None:
            return []  # a reasoning item's part
        return self._rest_of_part(self._items.message(event), event.get("content_index"), part)

    def _text_delta(self, event: Event) -> list[Chunk]:
        message = self._items.message(event)
        p = event.get("content_index")
        text = _checked_delta(message, text_of("delta", event.get("delta")))
        out = self._text(message, p, text, event.get("logprobs"), event.get("obfuscation"))
        self.fast_path = self._open_fast_path(message, event.get("output_index"), p)
        return out

    def _open_fast_path(
        self, message: OpenMessage, output_index: Any, p: Any
    ) -> TextFastPath | None:
        """Return a fast path for the following deltas, if they only add text that is shown."""
        plain = (
            self._chat_only
            and self._chunks.is_open
            and not (self._context.logprobs or self._context.stop)
        )
        numbered = isinstance(output_index, int) and isinstance(p, int) and p in message.parts
        if not (
            plain
            and numbered
            and self._selector.is_shown(message.text)
            and self._items.is_unambiguous(message, output_index)
        ):
            return None
        return TextFastPath(
            (output_index, p), message.parts[p].text, message.text, self._selector, self._chunks
        )

    def _text_done(self, event: Event) -> list[Chunk]:
        part = {"type": "output_text", "text": event.get("text"), "logprobs": event.get("logprobs")}
        return self._rest_of_part(self._items.message(event), event.get("content_index"), part)

    def _refusal_delta(self, event: Event) -> list[Chunk]:
        message = self._items.message(event)
        text = _checked_delta(message, text_of("delta", event.get("delta")))
        return self._refusal(message, event.get("content_index"), text, event.get("obfuscation"))

    def _refusal_done(self, event: Event) -> list[Chunk]:
        part = {"type": "refusal", "refusal": event.get("refusal")}
        return self._rest_of_part(self._items.message(event), event.get("content_index"), part)

    def _annotation(self, event: Event) -> list[Chunk]:
        message = self._items.message(event)
        self._items.annotate(message, event.get("content_index"), [event.get("annotation")], seen=0)
        return []

    def _rest_of_part(self, message: OpenMessage, p: Any, given: dict[str, Any]) -> list[Chunk]:
        state = message.part(p)
        path = f"{message.path}.content[{state.number}]"
        kind, text, _ = part_of(path, given)
        if kind == "refusal":
            sent = "".join(state.refusal)
            return self._refusal(
                message, p, self._missing(message, f"{path}.refusal", sent, text, as_json=False)
            )
        self._items.annotate(message, p, given.get("annotations"), seen=state.annotations)
        sent = "".join(state.text)
        rest = self._missing(message, f"{path}.text", sent, text, as_json=self._context.json_format)
        return self._text(message, p, rest, None if sent else given.get("logprobs"))

    def _text(
        self, message: OpenMessage, p: Any, text: str | None, logprobs: Any, obfuscation: Any = None
    ) -> list[Chunk]:
        if not text:
            return []
        message.part(p).text.append(text)
        entries = logprobs_to_chat(logprobs) if self._context.logprobs else []
        return self._emit_text(self._selector.write(message.text, text, entries), obfuscation)

    def _refusal(
        self, message: OpenMessage, p: Any, text: str | None, obfuscation: Any = None
    ) -> list[Chunk]:
        if not text:
            return []
        message.part(p).refusal.append(text)
        shown = self._emit_text(self._selector.settle(message.text))  # before the refusal
        return shown + self._emit_refusal(
            self._refusals.write(message.refusal, text, []), obfuscation
        )

    # Tool calls

    def _arguments_delta(self, event: Event) -> list[Chunk]:
        call = self._items.call(event)
        text = _checked_delta(call, payload_of("delta", event.get("delta")))
        return self._arguments(call, text, event.get("obfuscation"))

    def _arguments_done(self, event: Event) -> list[Chunk]:
        # dialect: LM Studio (no deltas before it)
        call = self._items.call(event)
        return self._open_call(call, {**event, "type": call.call_type.item}) + self._rest_of_call(
            call, event
        )

    def _rest_of_call(
        self, call: Call, given: dict[str, Any], *, last: bool = False
    ) -> list[Chunk]:
        key, is_json = call.call_type.payload, call.call_type.is_json
        path = f"{call.path}.{key}"
        whole = payload_of(path, given.get(key))
        if whole is None and last and is_json and key in given:
            whole = "{}"  # dialect: several (null for no arguments)
        sent = "".join(call.delivered)
        return self._arguments(
            call, self._missing(call, path, sent, whole or "", as_json=is_json, last=last)
        )

    def _open_call(self, call: Call, item: dict[str, Any]) -> list[Chunk]:
        _update_call(call, item)
        if call.opened or call.original is not None or call.name is None or call.call_id is None:
            return []
        first = self._items.original_of(call)
        if first is not call:
            call.original = first  # merged or refused at the end
            return []
        return self._begin_call(call)

    def _begin_call(self, call: Call) -> list[Chunk]:
        """Return the chunks that begin a call, with the arguments so far."""
        assert call.name is not None
        assert call.call_id is not None
        call.opened = True
        out = self._emit_text(self._selector.call(), last=True) + self._emit_refusal(
            self._refusals.call()
        )
        if self._cutter.is_cut:
            call.dropped = True
            return out
        if self._context.legacy_functions and self._call_count:
            call.dropped = True
            self._ledger.add(call.path, "dropped", "the deprecated function_call holds one call")
            return out
        call.index = self._call_count
        self._call_count += 1
        call_id = self._context.call_ids.get(call.call_id, call.call_id)
        begun = tool_call(call.call_type, call_id, call.name, "")
        if self._context.legacy_functions:
            out += self._chunks.opening({"function_call": begun[call.call_type.kind]})
        else:
            out += self._chunks.opening({"tool_calls": [{"index": call.index, **begun}]})
        if call.delivered:
            out.append(self._fragment(call, "".join(call.delivered)))
        return out

    def _arguments(self, call: Call, text: str | None, obfuscation: Any = None) -> list[Chunk]:
        if not text:
            return []
        call.delivered.append(text)
        return [self._fragment(call, text, obfuscation)] if call.opened and not call.dropped else []

    def _fragment(self, call: Call, text: str, obfuscation: Any = None) -> Chunk:
        body = {call.call_type.payload: text}
        if self._context.legacy_functions:
            return self._chunks.delta({"function_call": body}, obfuscation=obfuscation)
        return self._chunks.delta(
            {"tool_calls": [{"index": call.index, call.call_type.kind: body}]},
            obfuscation=obfuscation,
        )

    # Chunks

    def _emit_text(
        self, pieces: list[TextPiece], obfuscation: Any = None, *, last: bool = False
    ) -> list[Chunk]:
        """Return the chunks for text of the selector; `last`: a call or the end follows."""
        before = self._cutter.is_cut
        shown = self._cutter.feed(pieces, last=last)
        out: list[Any] = (
            self._chunks.text(shown, obfuscation)
            if self._chat_only
            else [piece.text for piece in shown]
        )
        return out + self._finish_at_cut() if self._cutter.is_cut and not before else out

    def _emit_refusal(self, pieces: list[TextPiece], obfuscation: Any = None) -> list[Chunk]:
        return [] if self._cutter.is_cut else self._chunks.refusal(pieces, obfuscation)

    @abstractmethod
    def _finish_at_cut(self) -> list[Chunk]:
        """Finish the answer where its text is cut."""


def _checked_delta(item: Item, delta: str | None) -> str | None:
    if delta and item.done is not None:
        raise StreamTruncated(item.path, "a delta arrived after the item was finished")
    return delta


def _update_call(call: Call, item: dict[str, Any]) -> None:
    """Update a call's name, id and kind from an item; raise if other ones were delivered."""
    name, call_id = name_of(item.get("name")), name_of(item.get("call_id"))
    call_type = call_type_of(item) or call.call_type
    if not call.opened and call.original is None:
        call.name, call.call_id = name or call.name, call_id or call.call_id
        call.call_type = call_type
        return
    for key, new, known in (
        ("name", name, call.name),
        ("call_id", call_id, call.call_id),
        ("type", call_type, call.call_type),
    ):
        if new is not None and new != known:
            raise StreamTruncated(f"{call.path}.{key}", "differs from the call's first event")
