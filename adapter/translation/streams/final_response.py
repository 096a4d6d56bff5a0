"""Complete and check a stream's answer by its finished response."""

from __future__ import annotations

from typing import Any

from adapter.errors import StreamTruncated
from adapter.translation.equality import same_text
from adapter.translation.ledger import Ledger
from adapter.translation.objects.message_text import MessageText, TextSelector
from adapter.translation.objects.output_items import FINAL, is_empty_payload

from .chunks import Chunk
from .item_events import ItemEvents
from .item_states import Call, OpenMessage


class SettledItems(ItemEvents):
    """Complete the items of a stream by its finished response, and check them against it."""

    __slots__ = ()

    def _settle_all(self, output: list[Any]) -> list[Chunk]:
        """Pass on what only the finished response has, and check it against what was streamed.

        If it lists no output, the items that were finished one by one take its place.
        """
        # dialect: Codex (no output in `completed`)
        out: list[Chunk] = []
        for found, item in self._items.settled(output):
            out += self._settle(found, item, last=True)
        if not output:
            out += self._settle_announced()
        out += self._settle_repeated(output)
        out += self._emit_text(self._selector.finish(), last=True) + self._emit_refusal(
            self._refusals.finish()
        )
        for call in self._items.calls:
            if not call.opened and call.original is None:
                raise StreamTruncated(f"{call.path}.name", "a tool call without a name or an id")
        if output:
            self._check_listed()
        else:
            self._check_finished()
        self._check_order(output)
        return out

    def _settle_announced(self) -> list[Chunk]:
        """Pass on contents that only announcements had, and `{}` for null arguments."""
        out: list[Chunk] = []
        for message in self._items.messages:
            for p, state in message.parts.items():
                if state.announced is not None and not state.text and not state.refusal:
                    out += self._rest_of_part(message, p, state.announced)
            if (
                message.announcement is not None
                and message.done is None
                and not (message.text.length or message.refusal_text)
            ):
                out += self._settle_message(message, message.announcement, last=False)
        for call in self._items.calls:
            if not call.delivered:
                out += self._rest_of_call(call, call.done or call.announcement or {}, last=True)
        return out

    def _settle_repeated(self, output: list[Any]) -> list[Chunk]:
        """Merge calls with the same id, keeping the arguments; raise if the calls differ."""
        out: list[Chunk] = []
        for call in self._items.calls:
            first = call.original
            if first is None:
                continue
            sent, before = "".join(call.delivered), "".join(first.delivered)
            as_json = call.call_type.is_json
            same = (
                is_empty_payload(sent, as_json=as_json)
                or not before
                or same_text(sent, before, as_json=as_json)
            )
            if not same or (call.name, call.call_type) != (first.name, first.call_type):
                out += self._on_reused_call_id(call)
                continue
            if not before and sent:
                if output and call in self._items.unlisted:
                    raise StreamTruncated(
                        f"{first.path}.{first.call_type.payload}",
                        "differs from the call with the same id",
                    )
                out += self._arguments(first, sent)
            self._ledger.add(call.path, "dropped", "duplicates an earlier call")
        return out

    def _on_reused_call_id(self, call: Call) -> list[Chunk]:
        """Raise for a call with another call's id: its output could go to the wrong one.

        Only Chat identifies calls by their ids alone.
        """
        if not self._chat_only:
            call.original = None
            return self._begin_call(call)
        raise StreamTruncated(f"{call.path}.call_id", "the call_id is used by another call")

    def _check_listed(self) -> None:
        """Raise if something was delivered that the finished response doesn't list."""
        for item in self._items.unlisted:
            if (
                item.original is None
                if isinstance(item, Call)
                else isinstance(item, OpenMessage) and item.shown
            ):
                raise StreamTruncated(
                    item.path, "the finished response doesn't list what was streamed"
                )

    def _check_order(self, output: list[Any]) -> None:
        """Raise if the finished response, in its order, gives another text than was streamed.

        A phase that arrived late only counts if JSON was requested: then another text is the answer
        (docs/edge-cases.md#late-phases).
        """
        if len(self._items.messages) < 2:
            return
        ledger = Ledger()  # discarded: these losses have entries already
        selectors = TextSelector(ledger, first_only=self._context.json_format), TextSelector(ledger)
        pairs: list[tuple[list[MessageText], list[MessageText]]] = [([], []), ([], [])]
        for found, item in self._items.in_final_order(output):
            if isinstance(found, Call):
                for selector in selectors:
                    selector.call()
                continue
            for selector, streamed, (before, after) in zip(
                selectors, found.text_and_refusal, pairs, strict=True
            ):
                commentary = found.commentary if self._context.json_format else streamed.commentary
                read = MessageText(
                    found.path, commentary and item.get("phase") != FINAL, phase_known=True
                )
                if streamed.length:
                    selector.write(read, streamed.text, [])
                selector.end()
                before.append(streamed)
                after.append(read)
        for selector, (before, after) in zip(selectors, pairs, strict=True):
            selector.finish()
            if _shown_texts(before) != _shown_texts(after):
                raise StreamTruncated(
                    "output", "the finished response differs from what was streamed"
                )

    def _check_finished(self) -> None:
        """Raise if some items of a kind were finished and others weren't."""
        calls = [call for call in self._items.calls if call.original is None]
        messages = [message for message in self._items.messages if message.shown]
        for items in (calls, messages):
            if any(item.done is not None for item in items):
                for item in items:
                    if item.done is None:
                        raise StreamTruncated(item.path, "the stream ended before it was finished")


def _shown_texts(messages: list[MessageText]) -> list[tuple[int, str]]:
    """Return the texts that are shown, with their offsets."""
    return sorted(
        (message.offset, message.text) for message in messages if message.offset is not None
    )
