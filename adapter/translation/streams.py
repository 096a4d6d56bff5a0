"""Responses events → Chat chunks: a machine with `feed` and `close`.

Rules (MAPPING §5, WIRE_FACTS, EDGE_CASES 50 to 61):
1. An event is told by its `type` alone. `TABLE` says for each state and type what is done and which state follows; what isn't
   in it is counted and skipped.
2. Items are told apart by `output_index`, since some servers change an item's id with every event; by id where a server sends no
   index, and else the newest item of the kind is meant.
3. Deltas are passed on at once. What deltas left out is taken from the `done` events, the finished item, or the finished
   response, once. Where those contradict what was already passed on, the stream is broken: an error, not an answer.
4. The role comes once, in the first chunk, together with what kind of answer it is. A call's id, name and type come once; its index
   counts calls only.
5. One finish chunk, after everything else; then moderation, then usage where it was asked for.
6. A failure raises. A stream that closes before its terminal event raises. Nothing looks like an end that isn't one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from types import NoneType
from typing import Any

from adapter.errors import MalformedReply, StreamTruncated

from . import replies
from .annotations import annotation_to_chat
from .azure import completion_filter_results, prompt_filter_results
from .chunks import Chunk, Chunks
from .content import json_type
from .cut import Cut
from .draft import Asked, IndexMap
from .event_types import IGNORED
from .failures import event_failure, response_failure
from .finish import finish_reason
from .lane import Lane
from .ledger import Ledger
from .logprobs import logprobs_to_chat
from .moderation import moderation_to_chat
from .open_items import Call, OpenItems, OpenMessage, rest_of
from .prose import Piece, Prose
from .usage import usage_to_chat

Event = dict[str, Any]


class State(Enum):
    """Where a stream stands."""

    WAITING = "waiting"  # nothing has been heard of the response yet
    RUNNING = "running"
    CUT = "cut"  # the answer is finished, at a stop sequence; the terminal event still brings the usage
    ENDED = "ended"  # after the terminal event or a failure, or after the cut where nothing more is wanted


class ChunksFromEvents:
    """Turn the events of one Responses stream into the chunks of a Chat Completions stream.

    `feed(event)` returns the chunks that the event completes, as JSON objects; `close()` says that upstream has no
    more. `feed` raises UpstreamFailure for an error event or a failed response, and StreamTruncated for contradictions;
    `close` raises StreamTruncated when the terminal event never came. `losses` is the ledger so far, `unknown` counts
    skipped event types, `finished_calls` finished tool calls, `lane` is the short way for the next events where there is one. `hang_up` tells that the answer ended before upstream did, at a stop sequence: what is still
    to come is neither read nor wanted.
    """

    __slots__ = (
        "_asked", "_calls", "_chunks", "_cut", "_index", "_items", "_ledger", "_prose", "_refusals", "finished_calls", "hang_up", "lane", "state", "unknown",
    )  # fmt: skip

    def __init__(self, asked: Asked | None = None, index: IndexMap | None = None) -> None:
        self._asked = asked or Asked(stream=True)
        self._index = index
        self._ledger = Ledger()
        self._prose = Prose(self._ledger, first_only=self._asked.json_format)
        self._refusals = Prose(self._ledger)
        self._items = OpenItems()
        self._calls = 0
        self._chunks = Chunks(self._asked)
        self._cut = Cut(self._asked.stop)
        self.state = State.WAITING
        self.unknown: Counter[str] | None = None
        self.hang_up = False
        self.finished_calls = 0
        self.lane: Lane | None = None

    @property
    def losses(self) -> Ledger:
        """The ledger so far."""
        return self._ledger

    @property
    def usage(self) -> dict[str, Any] | None:
        """The usage of the finished response, in Chat's terms; None before, and where the server sent none."""
        return usage_to_chat(self._chunks.response.get("usage"))

    def heard(self) -> list[Any]:
        """List the items of which the caller has seen all so far, in the form of a Response's `output`."""
        if self.state is State.ENDED and not self._cut.over:
            return self._items.heard_at_the_end(self._chunks.response.get("output") or [])
        return self._items.heard()

    @property
    def ended(self) -> bool:
        """Tell whether nothing more comes out."""
        return self.state is State.ENDED

    def feed(self, event: Event) -> list[Chunk]:
        """Take one event; return the chunks that it completes."""
        kind = event.get("type")
        if self.lane is not None:
            self.lane.close()
            self.lane = None  # whatever comes may change what the next delta is for
        if self.state is State.ENDED:
            return []
        if kind is None and event.get("error"):
            kind = "error"  # the shape of Chat's own stream errors, which some servers send here as well
        entry = TABLE.get((self.state, kind)) if isinstance(kind, str) else None
        if entry is None:
            if not isinstance(kind, str) or kind not in IGNORED:
                self.unknown = self.unknown if self.unknown is not None else Counter()
                self.unknown[str(kind) if isinstance(kind, (str, int, NoneType)) else "a type that is none"] += 1
            return []
        handler, following = entry
        self.state = following
        return handler(self, event)

    def close(self) -> list[Chunk]:
        """Take the end of the stream."""
        if self.state is not State.ENDED:
            self.state = State.ENDED
            raise StreamTruncated("$", "the stream ended before its terminal event")
        return []

    # The response as a whole

    def _opened(self, event: Event) -> list[Chunk]:
        self._chunks.opened(event.get("response"))
        return []

    def _failed(self, event: Event) -> list[Chunk]:
        response = event.get("response")
        raise response_failure(response if isinstance(response, dict) else {}, self._index)

    def _error(self, event: Event) -> list[Chunk]:
        self.state = State.ENDED
        raise event_failure(event, self._index)

    def _finished(self, event: Event) -> list[Chunk]:
        response = self._terminal(event)
        output = response["output"]  # for what the events left out
        out: list[Chunk] = []
        for found, item in self._items.settled(output):
            out += self._settle(found, item)
        out += self._say(self._prose.finish(), last=True) + self._refuse(self._refusals.finish())
        for call in self._items.calls:
            if not call.opened:
                raise StreamTruncated(f"{call.path}.name", "a tool call without a name")
        self._note_rest(output)
        self._check_answerable(response)
        return out + self._finish(response) + self._trailers(response)

    def _check_answerable(self, response: dict[str, Any]) -> None:
        replies.check_answerable(response, spoke=self._chunks.spoke or self._calls > 0 or self._cut.over)

    def _usage_came(self, event: Event) -> list[Chunk]:
        return self._trailers(self._terminal(event))

    def _terminal(self, event: Event) -> dict[str, Any]:
        """Return the finished response of a terminal event; raise where it is none."""
        given = event.get("response")
        if not isinstance(given, dict):
            raise MalformedReply("response", f"expected a Response, got {json_type(given)}")
        response = self._chunks.response | {"status": None} | given
        response["status"] = response.get("status") or event["type"].rpartition(".")[2]
        listed = response.get("output")
        response["output"] = [] if listed is None else listed
        replies.check_response(response, self._index)
        self._chunks.response = response
        self._chunks.settle_tier(response.get("service_tier"))
        return response

    def _note_rest(self, output: list[Any]) -> None:
        for path, item in self._items.finished(output):
            replies.note_item(self._ledger, path, item)
        for kind in self.unknown or ():
            self._ledger.note(kind, "dropped", "an event that isn't known here")

    def _finish(self, response: dict[str, Any]) -> list[Chunk]:
        opening = [] if self._chunks.spoke or self._calls else self._chunks.first({"content": ""})
        delta: Chunk = {}
        annotations = [
            made
            for a in self._items.annotations
            if (made := annotation_to_chat(a, self._ledger, end=self._cut.at)) is not None
        ]
        if annotations:
            # All in one: two lists without indexes break the SDK's accumulator (MAPPING §5.5).
            delta["annotations"] = annotations
        reason = finish_reason(response, self._asked, calls=self._calls > 0, cut=self._cut.over, ledger=self._ledger)
        chunk = self._chunks.delta(delta, finish=reason)
        filtered = completion_filter_results(response)
        if filtered is not None:
            chunk["choices"][0]["content_filter_results"] = filtered
            # Azure's Chat puts these into a chunk of their own at the very beginning; here they are known at the end
            # only.
            chunk["prompt_filter_results"] = prompt_filter_results(response)
        return [*opening, chunk]

    def _trailers(self, response: dict[str, Any]) -> list[Chunk]:
        out = []
        moderation = moderation_to_chat(response.get("moderation"))
        if moderation is not None:
            # Chat sends it behind the usage (recording 494), which makes the SDK's `.stream()` forget the usage.
            out.append(self._chunks.beside("moderation", moderation))
        usage = usage_to_chat(response.get("usage")) if self._asked.include_usage else None
        if usage is not None:
            out.append(self._chunks.beside("usage", usage))
        return out

    def _behind_the_cut(self, event: Event) -> list[Chunk]:
        return []

    # Items

    def _item_added(self, event: Event) -> list[Chunk]:
        item = event.get("item")
        if not isinstance(item, dict):
            return []
        found = self._items.open(event, item)
        return self._open_call(found, item) if isinstance(found, Call) else []

    def _item_done(self, event: Event) -> list[Chunk]:
        item = event.get("item")
        if not isinstance(item, dict):
            return []
        found = self._items.get(event, item)
        found.done = item
        self.finished_calls += isinstance(found, Call)
        return self._settle(found, item)

    def _settle(self, found: object, item: Any) -> list[Chunk]:
        """Bring what was passed on up to what the finished item says."""
        if isinstance(found, Call):
            out = self._open_call(found, item)
            return out + self._rest_of_call(found, item.get(found.written))
        if not isinstance(found, OpenMessage):
            return []
        out = []
        content = item.get("content")
        for p, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict):
                out += self._rest_of_part(found, p, part)
        if found is self._items.newest_message:
            out += self._say(self._prose.end()) + self._refuse(self._refusals.end())
        return out

    # Text and refusals

    def _part_added(self, event: Event) -> list[Chunk]:
        part = event.get("part")
        if not isinstance(part, dict):
            return []
        match part.get("type"):
            case "output_text":
                return self._text(
                    self._items.message(event), event.get("content_index"), part.get("text"), part.get("logprobs")
                )
            case "refusal":
                return self._refusal(self._items.message(event), event.get("content_index"), part.get("refusal"))
        return []  # a reasoning item's part

    def _part_done(self, event: Event) -> list[Chunk]:
        part = event.get("part")
        if not isinstance(part, dict) or part.get("type") not in ("output_text", "refusal"):
            return []  # a reasoning item's part
        return self._rest_of_part(self._items.message(event), event.get("content_index"), part)

    def _text_delta(self, event: Event) -> list[Chunk]:
        message = self._items.message(event)
        p = event.get("content_index")
        out = self._text(message, p, event.get("delta"), event.get("logprobs"), event.get("obfuscation"))
        self.lane = self._lane(message, event.get("output_index"), p)
        return out

    def _lane(self, message: OpenMessage, output_index: Any, p: Any) -> Lane | None:
        """Open the short way for the deltas that follow, where all that they do is to be read."""
        plain = self.state is State.RUNNING and self._chunks.spoke and not (self._asked.logprobs or self._asked.stop)
        numbered = isinstance(output_index, int) and isinstance(p, int) and p in message.parts
        if not (plain and numbered and self._prose.runs(message.text)):
            return None
        return Lane((output_index, p), message.parts[p].text, message.text, self._prose, self._chunks)

    def _text_done(self, event: Event) -> list[Chunk]:
        part = {"type": "output_text", "text": event.get("text"), "logprobs": event.get("logprobs")}
        return self._rest_of_part(self._items.message(event), event.get("content_index"), part)

    def _refusal_delta(self, event: Event) -> list[Chunk]:
        message = self._items.message(event)
        return self._refusal(message, event.get("content_index"), event.get("delta"), event.get("obfuscation"))

    def _refusal_done(self, event: Event) -> list[Chunk]:
        part = {"type": "refusal", "refusal": event.get("refusal")}
        return self._rest_of_part(self._items.message(event), event.get("content_index"), part)

    def _annotation(self, event: Event) -> list[Chunk]:
        message = self._items.message(event)
        self._items.annotate(message, event.get("content_index"), [event.get("annotation")], seen=0)
        return []

    def _rest_of_part(self, message: OpenMessage, p: Any, part: dict[str, Any]) -> list[Chunk]:
        state = message.part(p)
        path = f"{message.path}.content[{state.number}]"
        if part.get("type") == "refusal":
            return self._refusal(message, p, rest_of(f"{path}.refusal", state.refusal, part.get("refusal")))
        self._items.annotate(message, p, part.get("annotations"), seen=state.annotations)
        untouched = not state.text
        rest = rest_of(f"{path}.text", state.text, part.get("text"))
        return self._text(message, p, rest, part.get("logprobs") if untouched else None)

    def _text(self, message: OpenMessage, p: Any, text: Any, logprobs: Any, obfuscation: Any = None) -> list[Chunk]:
        if not isinstance(text, str) or not text:
            return []
        message.part(p).text.append(text)
        entries = logprobs_to_chat(logprobs) if self._asked.logprobs else []
        return self._say(self._prose.write(message.text, text, entries), obfuscation)

    def _refusal(self, message: OpenMessage, p: Any, text: Any, obfuscation: Any = None) -> list[Chunk]:
        if not isinstance(text, str) or not text:
            return []
        message.part(p).refusal.append(text)
        return self._refuse(self._refusals.write(message.refusal, text, []), obfuscation)

    # Tool calls

    def _arguments_delta(self, event: Event) -> list[Chunk]:
        return self._arguments(self._items.call(event), event.get("delta"), event.get("obfuscation"))

    def _arguments_done(self, event: Event) -> list[Chunk]:
        call = self._items.call(event)
        return self._rest_of_call(call, event.get(call.written))

    def _rest_of_call(self, call: Call, text: Any) -> list[Chunk]:
        return self._arguments(call, rest_of(f"{call.path}.{call.written}", call.sent, text))

    def _open_call(self, call: Call, item: dict[str, Any]) -> list[Chunk]:
        call.learn(item)
        if call.opened or call.name is None or call.call_id is None:
            return []
        call.opened = True
        out = self._say(self._prose.call(), last=True) + self._refuse(self._refusals.call())
        if self._cut.over:
            call.dropped = True  # it stands behind the cut
            return out
        if self._asked.legacy_functions and self._calls:
            call.dropped = True
            self._ledger.note(call.path, "dropped", "the deprecated function_call holds one call")
            return out
        call.index = self._calls
        self._calls += 1
        body = {"name": call.name, call.written: ""}
        if self._asked.legacy_functions:
            out += self._chunks.first({"function_call": body})
        else:
            call_id = self._asked.call_ids.get(call.call_id, call.call_id)
            out += self._chunks.first(
                {"tool_calls": [{"index": call.index, "id": call_id, "type": call.kind, call.kind: body}]}
            )
        if call.sent:
            out.append(self._fragment(call, "".join(call.sent)))
        return out

    def _arguments(self, call: Call, text: Any, obfuscation: Any = None) -> list[Chunk]:
        if not isinstance(text, str) or not text:
            return []
        call.sent.append(text)
        return [self._fragment(call, text, obfuscation)] if call.opened and not call.dropped else []

    def _fragment(self, call: Call, text: str, obfuscation: Any = None) -> Chunk:
        body = {call.written: text}
        if self._asked.legacy_functions:
            return self._chunks.delta({"function_call": body}, obfuscation=obfuscation)
        return self._chunks.delta({"tool_calls": [{"index": call.index, call.kind: body}]}, obfuscation=obfuscation)

    # What the caller reads

    def _say(self, pieces: list[Piece], obfuscation: Any = None, *, last: bool = False) -> list[Chunk]:
        """Write what comes out of the prose; `last` where a call or the end follows."""
        before = self._cut.over
        out = self._chunks.say(self._cut.take(pieces, last=last), obfuscation)
        return out + self._stop() if self._cut.over and not before else out

    def _refuse(self, pieces: list[Piece], obfuscation: Any = None) -> list[Chunk]:
        return [] if self._cut.over else self._chunks.refuse(pieces, obfuscation)

    def _stop(self) -> list[Chunk]:
        """Finish the answer where its text is cut; what is still to come of it is of no interest."""
        if self.state is State.ENDED or any(call.unfinished for call in self._items.calls):
            return []  # the terminal event finishes it
        self._note_rest([])
        if self._asked.include_usage or self._asked.moderation:
            self.state = State.CUT
        else:
            self.state, self.hang_up = State.ENDED, True
        return self._finish(self._chunks.response)


Handler = Callable[[ChunksFromEvents, Event], list[Chunk]]

_SPEAKING: dict[str, Handler] = {
    "response.created": ChunksFromEvents._opened,
    "response.queued": ChunksFromEvents._opened,
    "response.in_progress": ChunksFromEvents._opened,
    "response.output_item.added": ChunksFromEvents._item_added,
    "response.output_item.done": ChunksFromEvents._item_done,
    "response.content_part.added": ChunksFromEvents._part_added,
    "response.content_part.done": ChunksFromEvents._part_done,
    "response.output_text.delta": ChunksFromEvents._text_delta,
    "response.output_text.done": ChunksFromEvents._text_done,
    "response.output_text.annotation.added": ChunksFromEvents._annotation,
    "response.refusal.delta": ChunksFromEvents._refusal_delta,
    "response.refusal.done": ChunksFromEvents._refusal_done,
    "response.function_call_arguments.delta": ChunksFromEvents._arguments_delta,
    "response.function_call_arguments.done": ChunksFromEvents._arguments_done,
    "response.custom_tool_call_input.delta": ChunksFromEvents._arguments_delta,
    "response.custom_tool_call_input.done": ChunksFromEvents._arguments_done,
}
_ENDING: dict[str, Handler] = {
    "response.completed": ChunksFromEvents._finished,
    "response.incomplete": ChunksFromEvents._finished,
    "response.failed": ChunksFromEvents._failed,
    "response.cancelled": ChunksFromEvents._failed,
    "error": ChunksFromEvents._error,
}

TERMINAL = frozenset(_ENDING) - {"error"}
"""The event types that end a stream with a Response in them."""

TABLE: dict[tuple[State, str], tuple[Handler, State]] = {
    (state, kind): (handler, following)
    for state in (State.WAITING, State.RUNNING)  # a resumed stream begins in the middle (WIRE_FACTS, order)
    for handlers, following in ((_SPEAKING, State.RUNNING), (_ENDING, State.ENDED))
    for kind, handler in handlers.items()
}
TABLE |= {(State.CUT, kind): (handler, State.ENDED) for kind, handler in _ENDING.items()}
TABLE |= {
    (State.CUT, kind): (ChunksFromEvents._usage_came, State.ENDED)
    for kind in ("response.completed", "response.incomplete")
}
TABLE |= {(State.CUT, kind): (ChunksFromEvents._behind_the_cut, State.CUT) for kind in _SPEAKING}
"""What is done with an event, and the state that follows."""
