"""Translate Responses events to Chat chunks, with a state machine.

Rules (docs/mapping.md#streams, docs/wire-facts.md#responses-streams, docs/edge-cases.md#streams):

1. Only an event's `type` counts. `TABLE` has the handler and the next state for each state and
   type; other events are counted and skipped.
2. Items are identified as described in `open_items.py`. Contents of an announcement are passed on
   only if no later event has them.
3. Deltas are passed on at once. What they left out is taken once, from `done` events, the finished
   item or the finished response. If those contradict what was passed on (another text, name or id,
   one more item, another order of messages), the stream is broken, which is an error.
4. The role comes once, in the first chunk, with the kind of answer. A call's id, name and type come
   once; its index counts calls only.
5. The finish chunk comes once, after all others; then moderation, then usage if it was requested.
6. A failure raises. One without details waits for the event that has them, or for the end. A stream
   that ends before its terminal event raises (docs/decisions.md#no-half-answers).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from types import NoneType
from typing import Any

from adapter.errors import MalformedReply, StreamTruncated, UpstreamFailure
from adapter.translation.json_types import json_type
from adapter.translation.ledger import Ledger
from adapter.translation.objects.call_types import CALL_EVENTS
from adapter.translation.objects.content_filter import (
    completion_filter_results,
    prompt_filter_results,
)
from adapter.translation.objects.finish_reason import finish_reason
from adapter.translation.objects.moderation import moderation_to_chat
from adapter.translation.objects.usage import usage_to_chat
from adapter.translation.replies import response_to_chat
from adapter.translation.replies.annotations import annotation_to_chat, shift_annotation
from adapter.translation.replies.empty_answers import check_answerable
from adapter.translation.replies.errors import (
    error_event,
    event_failure,
    printable_id,
    response_failure,
)
from adapter.translation.types import PathMap, ReplyContext

from .chunks import Chunk
from .event_types import IGNORED, is_keepalive
from .final_response import SettledItems
from .item_events import Event

_EVENT_KEYS = {"type", "sequence_number", "event_id", "response_id", "response"}
_STATUS_KEYS = ("error", "incomplete_details", "service_tier", "usage")
"""Fields of a response that a terminal event without one may have."""

_FINAL_STATUSES = frozenset({"cancelled", "completed", "failed", "incomplete"})


class State(Enum):
    """The state of a stream."""

    WAITING = "waiting"  # for the first event
    RUNNING = "running"
    FAILING = "failing"  # failed, without details so far
    CUT = "cut"  # finished at a stop sequence; the terminal event has the usage
    ENDED = "ended"  # after the terminal event, a failure, or a cut if no usage was requested


class ChunksFromEvents(SettledItems):
    """Turn the events of one Responses stream into the chunks of a Chat Completions stream.

    `feed(event)` returns the chunks that the event completes, as JSON objects; `close()` ends the
    stream. `feed` raises UpstreamFailure for an error event or a failed response, StreamTruncated
    for contradictions and MalformedReply for events that can't be read. `close` raises
    StreamTruncated if there was no terminal event, and a failure that had no details.

    With `chat_only=False` for a caller that may use what Chat has no form for: `feed` returns text
    as strings, without chunks around it; an answer that Chat can't represent is no failure; and
    calls with the same id, which Chat couldn't tell apart, are returned one by one.

    `losses`: the ledger so far. `unknown`: counts of skipped event types. `finished_calls`: number
    of finished tool calls. `fast_path`: for the next events, if there is one. `close_early`: the
    answer ended at a stop sequence, and the rest of the stream isn't needed.
    """

    __slots__ = ("_failure", "_paths", "close_early", "state", "unknown")

    def __init__(
        self,
        asked: ReplyContext | None = None,
        index: PathMap | None = None,
        *,
        chat_only: bool = True,
    ) -> None:
        super().__init__(asked or ReplyContext(stream=True), chat_only=chat_only)
        self._paths = index
        self._failure: UpstreamFailure | None = None  # the one without details
        self.state = State.WAITING
        self.unknown: Counter[str] | None = None
        self.close_early = False

    @property
    def losses(self) -> Ledger:
        """The ledger so far."""
        return self._ledger

    @property
    def usage(self) -> dict[str, Any] | None:
        """The usage of the finished response in Chat's form; None before, or if it has none."""
        return usage_to_chat(self._chunks.response.get("usage"))

    @property
    def response(self) -> dict[str, Any]:
        """The Response so far; not to be changed."""
        return self._chunks.response

    @property
    def annotations(self) -> list[dict[str, Any]]:
        """The annotations so far of the text that is shown, also those that Chat has no form for.

        Flat, as the Responses API has them, with positions in the whole text.
        """
        shifted = map(shift_annotation, self._items.annotations)
        return [annotation for annotation in shifted if annotation is not None]

    @property
    def response_id(self) -> Any:
        """The response's id as it was received; None before."""
        return self._chunks.response.get("id")

    def delivered_items(self) -> list[Any]:
        """List the items that were delivered whole so far, in the form of a Response's `output`."""
        if self.state is State.ENDED and not self._cutter.is_cut:
            return self._items.delivered_at_end(self._chunks.response.get("output") or [])
        return self._items.delivered()

    @property
    def ended(self) -> bool:
        """Return whether there will be no more chunks."""
        return self.state is State.ENDED

    def feed(self, event: Event) -> list[Chunk]:
        """Take one event; return the chunks that it completes."""
        kind = event.get("type")
        if self.fast_path is not None:
            self.fast_path.flush()
            self.fast_path = None  # this event may change where the next delta belongs
        if self.state is State.ENDED:
            return []
        entry = TABLE.get((self.state, kind)) if isinstance(kind, str) else None
        if entry is None and (error := error_event(event)) is not None:
            entry, event = TABLE[self.state, "error"], error
        if entry is None and is_terminal(event):  # dialect: several
            event = {**event, "type": "response.done"}
            entry = TABLE[self.state, "response.done"]
        if entry is None:
            if event and not (isinstance(kind, str) and (kind in IGNORED or is_keepalive(kind))):
                self.unknown = self.unknown if self.unknown is not None else Counter()
                self.unknown[
                    str(kind) if isinstance(kind, (str, int, NoneType)) else "no type"
                ] += 1
            return []
        handler, following = entry
        self.state = following
        return handler(self, event)

    def close(self) -> list[Chunk]:
        """End the stream."""
        if self._failure is not None and self.state is State.FAILING:
            failure, self._failure, self.state = self._failure, None, State.ENDED
            raise failure
        if self.state is not State.ENDED:
            self.state = State.ENDED
            why = "the stream ended before its terminal event"
            if self._context.background:
                why += f"; the response {printable_id(self._chunks.response)} may still be running"
            raise StreamTruncated("$", why)
        return []

    # The response as a whole

    def _opened(self, event: Event) -> list[Chunk]:
        self._chunks.take_response(event.get("response"))
        return []

    def _failed(self, event: Event) -> list[Chunk]:
        given = event.get("response")
        response = given if isinstance(given, dict) else {}
        if response.get("status") not in ("failed", "cancelled"):  # still that of its beginning
            response = response | {"status": event["type"].rpartition(".")[2]}
        return self._fail(response_failure(response, self._paths, event_error=event.get("error")))

    def _error(self, event: Event) -> list[Chunk]:
        return self._fail(event_failure(event, self._paths))

    def _fail(self, failure: UpstreamFailure) -> list[Chunk]:
        """Raise a failure; one without details only once no other event can have them."""
        # dialect: several (a failure without details, which the next event explains)
        first, self._failure = self._failure, None
        if first is None and failure.given is None:
            self._failure, self.state = failure, State.FAILING
            return []
        self.state = State.ENDED
        if first is None:
            raise failure
        if failure.given is None:
            raise first
        failure.spoke = failure.spoke or first.spoke
        raise failure

    def _unexplained(self, event: Event) -> list[Chunk]:
        self.state = State.FAILING
        return self.close()

    def _finished(self, event: Event) -> list[Chunk]:
        try:
            response = self._terminal(event)
        except UpstreamFailure as failure:
            return self._fail(failure)
        output = response["output"]
        out = self._settle_all(output)
        self._add_losses(output)
        self._check_answerable(response)
        return out + self._finish(response) + self._trailers(response)

    def _check_answerable(self, response: dict[str, Any]) -> None:
        if not self._chat_only:
            return
        spoke = self._chunks.is_open or self._call_count > 0 or self._cutter.is_cut
        check_answerable(response, self._items.finished(response["output"]), has_output=spoke)

    def _usage_after_cut(self, event: Event) -> list[Chunk]:
        return self._trailers(self._terminal(event))

    def _terminal(self, event: Event) -> dict[str, Any]:
        """Return the finished response of a terminal event; raise if it has none."""
        given = event.get("response")
        if given is None:
            given = self._implied_response(event)
        if not isinstance(given, dict):
            raise MalformedReply("response", f"expected a Response, got {json_type(given)}")
        response = self._chunks.response | {"status": None} | given
        kind = event["type"].rpartition(".")[2]
        if not response.get("status") or (
            kind == "incomplete" and response["status"] == "completed"
        ):
            response["status"] = "completed" if kind == "done" else kind
        listed = response.get("output")
        response["output"] = [] if listed is None else listed
        response_to_chat.check_response(response, self._paths)
        self._chunks.response = response
        self._chunks.set_service_tier(response.get("service_tier"))
        return response

    def _implied_response(self, event: Event) -> dict[str, Any] | None:
        """Return the finished response of a terminal event that has no `response`.

        Either the event itself, or what was streamed if all of it is finished; else None.
        """
        # dialect: several (`response.done`, a Response as the event, or no Response at all)
        own = {key: value for key, value in event.items() if key not in _EVENT_KEYS}
        if isinstance(own.get("output"), list):
            return own
        if self._items.all_finished:
            return {key: own[key] for key in _STATUS_KEYS if own.get(key)}
        return None

    def _add_losses(self, output: list[Any]) -> None:
        for path, item in self._items.finished(output):
            response_to_chat.add_item_losses(self._ledger, path, item)
        for kind in self.unknown or ():
            self._ledger.add(kind, "dropped", "unknown event type")

    def _finish(self, response: dict[str, Any]) -> list[Chunk]:
        opening = (
            []
            if self._chunks.is_open or self._call_count
            else self._chunks.opening({"content": ""})
        )
        delta: Chunk = {}
        annotations = [
            made
            for a in self._items.annotations
            if (made := annotation_to_chat(a, self._ledger, end=self._cutter.position)) is not None
        ]
        if annotations:
            # In one list: a second one breaks the SDK's accumulator (docs/mapping.md#stream-text).
            delta["annotations"] = annotations
        reason = finish_reason(
            response,
            self._context,
            calls=self._call_count > 0,
            cut=self._cutter.is_cut,
            ledger=self._ledger,
        )
        chunk = self._chunks.delta(delta, finish=reason)
        filtered = completion_filter_results(response)
        if filtered is not None:
            chunk["choices"][0]["content_filter_results"] = filtered
            # Azure's Chat sends these in the first chunk; here they are only known at the end.
            chunk["prompt_filter_results"] = prompt_filter_results(response)
        return [*opening, chunk]

    def _trailers(self, response: dict[str, Any]) -> list[Chunk]:
        out = []
        moderation = moderation_to_chat(response.get("moderation"))
        if moderation is not None:
            # Before the usage, unlike Chat: see docs/edge-cases.md#moderation-before-usage.
            out.append(self._chunks.without_choice("moderation", moderation))
        usage = usage_to_chat(response.get("usage")) if self._context.include_usage else None
        if usage is not None:
            out.append(self._chunks.without_choice("usage", usage))
        elif response.get("usage") and usage_to_chat(response["usage"]) is None:
            response_to_chat.add_usage_loss(self._ledger)
        return out

    def _ignore(self, event: Event) -> list[Chunk]:
        return []

    # Stop sequences

    def _finish_at_cut(self) -> list[Chunk]:
        """Finish the answer where its text is cut."""
        if self.state is State.ENDED or any(call.unfinished for call in self._items.calls):
            return []  # then the terminal event finishes it
        self._add_losses([])
        if self._context.include_usage or self._context.moderation:
            self.state = State.CUT
        else:
            self.state, self.close_early = State.ENDED, True
        return self._finish(self._chunks.response)


def is_terminal(event: Event) -> bool:
    """Return whether an event of an unknown type is, or contains, a Response that has ended."""
    # dialect: several (the last event has another name)
    response = event.get("response", event)
    if (
        not isinstance(response, dict)
        or response.get("object") != "response"
        or "output" not in response
    ):
        return False
    status = response.get("status")
    return isinstance(status, str) and status in _FINAL_STATUSES


Handler = Callable[[ChunksFromEvents, Event], list[Chunk]]

_OUTPUT_EVENTS: dict[str, Handler] = {
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
}
_OUTPUT_EVENTS |= {
    kind: ChunksFromEvents._arguments_delta
    if kind.endswith(".delta")
    else ChunksFromEvents._arguments_done
    for kind in CALL_EVENTS
}
_TERMINAL_EVENTS: dict[str, Handler] = {
    "response.completed": ChunksFromEvents._finished,
    "response.done": ChunksFromEvents._finished,
    "response.incomplete": ChunksFromEvents._finished,
    "response.failed": ChunksFromEvents._failed,
    "response.cancelled": ChunksFromEvents._failed,
    "response.error": ChunksFromEvents._error,
    "error": ChunksFromEvents._error,
}

OPENING = frozenset({"response.created", "response.queued", "response.in_progress"})
"""The event types that only announce the response."""

TERMINAL = frozenset(_TERMINAL_EVENTS) - {"response.error", "error"}
"""The event types that end a stream and contain a Response."""

TABLE: dict[tuple[State, str], tuple[Handler, State]] = {
    (state, kind): (handler, following)
    # WAITING too: a resumed stream begins with any event (docs/wire-facts.md#responses-streams).
    for state in (State.WAITING, State.RUNNING)
    for handlers, following in ((_OUTPUT_EVENTS, State.RUNNING), (_TERMINAL_EVENTS, State.ENDED))
    for kind, handler in handlers.items()
}
TABLE |= {
    (State.FAILING, kind): (ChunksFromEvents._unexplained, State.ENDED)
    for kind in (*_OUTPUT_EVENTS, *_TERMINAL_EVENTS)
}
TABLE |= {
    (State.FAILING, kind): (handler, State.ENDED)
    for kind, handler in _TERMINAL_EVENTS.items()
    if handler in (ChunksFromEvents._failed, ChunksFromEvents._error)
}
TABLE |= {(State.CUT, kind): (handler, State.ENDED) for kind, handler in _TERMINAL_EVENTS.items()}
TABLE |= {
    (State.CUT, kind): (ChunksFromEvents._usage_after_cut, State.ENDED)
    for kind in ("response.completed", "response.done", "response.incomplete")
}
TABLE |= {(State.CUT, kind): (ChunksFromEvents._ignore, State.CUT) for kind in _OUTPUT_EVENTS}
"""The handler of an event, and the next state."""
