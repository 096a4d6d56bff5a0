"""What the finished response does: what it alone has is passed on, and it is held against what was."""

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
    """Settle the items of a stream by its finished response."""

    __slots__ = ()

    def _settle_all(self, output: list[Any]) -> list[Chunk]:
        """Bring everything up to the finished response; where that lists nothing, to what came one by one."""
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
        """Take what nothing but an announcement has said, and null arguments for none."""
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
        """Make one of calls that came twice, with the longer arguments; raise where they aren't the same call."""
        out: list[Chunk] = []
        for call in self._items.calls:
            first = call.original
            if first is None:
                continue
            sent, before = "".join(call.delivered), "".join(first.delivered)
            same = (
                is_empty_payload(sent, call.kind)
                or not before
                or same_text(sent, before, as_json=not call.custom)
            )
            if not same or (call.name, call.custom) != (first.name, first.custom):
                out += self._on_reused_call_id(call)
                continue
            if not before and sent:
                if output and call in self._items.unlisted:
                    raise StreamTruncated(
                        f"{first.path}.{first.payload_field}",
                        "not what the call with the same id says",
                    )
                out += self._arguments(first, sent)
            self._ledger.add(call.path, "dropped", "the same call stands before it")
        return out

    def _on_reused_call_id(self, call: Call) -> list[Chunk]:
        """Raise for a call that bears another one's id: whoever answers by the id could answer the wrong one."""
        raise StreamTruncated(f"{call.path}.call_id", "the id of another call")

    def _check_listed(self) -> None:
        """Raise where the caller was given what the finished response doesn't list."""
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
        """Raise where the answer reads otherwise than it was streamed: in the order of the finished response, with what was told late.

        A phase that was told too late changes nothing but where JSON was asked for: there another text is the answer.
        """
        if len(self._items.messages) < 2:
            return
        ledger = Ledger()  # all of it is in the books
        again = TextSelector(ledger, first_only=self._context.json_format), TextSelector(ledger)
        pairs: list[tuple[list[MessageText], list[MessageText]]] = [([], []), ([], [])]
        for found, item in self._items.in_final_order(output):
            if isinstance(found, Call):
                for selector in again:
                    selector.call()
                continue
            for selector, streamed, (before, after) in zip(
                again, found.text_and_refusal, pairs, strict=True
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
        for selector, (before, after) in zip(again, pairs, strict=True):
            selector.finish()
            if _shown_texts(before) != _shown_texts(after):
                raise StreamTruncated(
                    "output", "the finished response doesn't read as it was streamed"
                )

    def _check_finished(self) -> None:
        """Raise where a server that finishes its items has left one open, and says nothing about it at the end."""
        calls = [call for call in self._items.calls if call.original is None]
        messages = [message for message in self._items.messages if message.shown]
        for items in (calls, messages):
            if any(item.done is not None for item in items):
                for item in items:
                    if item.done is None:
                        raise StreamTruncated(item.path, "the stream ended before it was finished")


def _shown_texts(messages: list[MessageText]) -> list[tuple[int, str]]:
    """Tell what is read of messages, and where."""
    return sorted(
        (message.offset, message.text) for message in messages if message.offset is not None
    )
