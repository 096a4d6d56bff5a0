"""What the finished response does: what it alone has is passed on, and it is held against what was."""

from __future__ import annotations

from typing import Any

from adapter.errors import StreamTruncated
from adapter.translation.equality import same_text
from adapter.translation.ledger import Ledger
from adapter.translation.objects.message_text import Message, Prose
from adapter.translation.objects.output_items import FINAL, is_bare

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
        out += self._say(self._prose.finish(), last=True) + self._refuse(self._refusals.finish())
        for call in self._items.calls:
            if not call.opened and call.first is None:
                raise StreamTruncated(f"{call.path}.name", "a tool call without a name or an id")
        if output:
            self._check_listed()
        else:
            self._check_finished()
        self._check_placed(output)
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
                and not (message.text.length or message.refused)
            ):
                out += self._settle_message(message, message.announcement, last=False)
        for call in self._items.calls:
            if not call.sent:
                out += self._rest_of_call(call, call.done or call.announcement or {}, last=True)
        return out

    def _settle_repeated(self, output: list[Any]) -> list[Chunk]:
        """Make one of calls that came twice, with the longer arguments; raise where they aren't the same call."""
        out: list[Chunk] = []
        for call in self._items.calls:
            first = call.first
            if first is None:
                continue
            sent, before = "".join(call.sent), "".join(first.sent)
            same = is_bare(sent, call.kind) or not before or same_text(sent, before, as_json=not call.custom)
            if not same or (call.name, call.custom) != (first.name, first.custom):
                out += self._other_call(call)
                continue
            if not before and sent:
                if output and call in self._items.unlisted:
                    raise StreamTruncated(f"{first.path}.{first.written}", "not what the call with the same id says")
                out += self._arguments(first, sent)
            self._ledger.note(call.path, "dropped", "the same call stands before it")
        return out

    def _other_call(self, call: Call) -> list[Chunk]:
        """Raise for a call that bears another one's id: whoever answers by the id could answer the wrong one."""
        raise StreamTruncated(f"{call.path}.call_id", "the id of another call")

    def _check_listed(self) -> None:
        """Raise where the caller was given what the finished response doesn't list."""
        for item in self._items.unlisted:
            if item.first is None if isinstance(item, Call) else isinstance(item, OpenMessage) and item.shown:
                raise StreamTruncated(item.path, "the finished response doesn't list what was streamed")

    def _check_placed(self, output: list[Any]) -> None:
        """Raise where the answer reads otherwise than it was streamed: in the order of the finished response, with what was told late.

        A phase that was told too late changes nothing but where JSON was asked for: there another text is the answer.
        """
        if len(self._items.messages) < 2:
            return
        ledger = Ledger()  # all of it is in the books
        again = Prose(ledger, first_only=self._asked.json_format), Prose(ledger)
        pairs: list[tuple[list[Message], list[Message]]] = [([], []), ([], [])]
        for found, item in self._items.placed(output):
            if isinstance(found, Call):
                for prose in again:
                    prose.call()
                continue
            for prose, streamed, (before, after) in zip(again, found.said, pairs, strict=True):
                commentary = found.commentary if self._asked.json_format else streamed.commentary
                read = Message(found.path, commentary and item.get("phase") != FINAL, certain=True)
                if streamed.length:
                    prose.write(read, streamed.text, [])
                prose.end()
                before.append(streamed)
                after.append(read)
        for prose, (before, after) in zip(again, pairs, strict=True):
            prose.finish()
            if _shown(before) != _shown(after):
                raise StreamTruncated("output", "the finished response doesn't read as it was streamed")

    def _check_finished(self) -> None:
        """Raise where a server that finishes its items has left one open, and says nothing about it at the end."""
        calls = [call for call in self._items.calls if call.first is None]
        messages = [message for message in self._items.messages if message.shown]
        for items in (calls, messages):
            if any(item.done is not None for item in items):
                for item in items:
                    if item.done is None:
                        raise StreamTruncated(item.path, "the stream ended before it was finished")


def _shown(messages: list[Message]) -> list[tuple[int, str]]:
    """Tell what is read of messages, and where."""
    return sorted((message.offset, message.text) for message in messages if message.offset is not None)
