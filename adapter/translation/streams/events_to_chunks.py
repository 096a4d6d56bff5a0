"""Responses events → Chat chunks: a machine with `feed` and `close`.

Rules (docs/mapping.md#streams, docs/wire-facts.md#responses-streams, docs/edge-cases.md#streams):
1. An event is told by its `type` alone. `TABLE` says for each state and type what is done and which state follows; what isn't
   in it is counted and skipped.
2. Items are told apart as open_items.py says. What an announcement quotes is passed on only if nothing else says it.
3. Deltas are passed on at once. What deltas left out is taken from the `done` events, the finished item, or the finished
   response, once. Where those contradict what was already passed on (another text, name or id, an item more, another order of
   messages), the stream is broken: an error, not an answer.
4. The role comes once, in the first chunk, together with what kind of answer it is. A call's id, name and type come once; its index
   counts calls only.
5. One finish chunk, after everything else; then moderation, then usage where it was asked for.
6. A failure raises; one that says nothing of itself waits for the event that does, or for the end. A stream that closes before its terminal event raises. Nothing looks like an end that isn't one.
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
from adapter.translation.objects.content_filter import (
    completion_filter_results,
    prompt_filter_results,
)
from adapter.translation.objects.finish_reason import finish_reason
from adapter.translation.objects.moderation import moderation_to_chat
from adapter.translation.objects.usage import usage_to_chat
from adapter.translation.replies import response_to_chat
from adapter.translation.replies.annotations import annotation_to_chat
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
"""What a terminal event may say of a response that it doesn't bring."""


_FINAL_STATUSES = frozenset({"cancelled", "completed", "failed", "incomplete"})


class State(Enum):
    """Where a stream stands."""

    WAITING = "waiting"  # nothing has been heard of the response yet
    RUNNING = "running"
    FAILING = "failing"  # it has failed, and nothing says why as yet
    CUT = "cut"  # the answer is finished, at a stop sequence; the terminal event still brings the usage
    ENDED = "ended"  # after the terminal event or a failure, or after the cut where nothing more is wanted


class ChunksFromEvents(SettledItems):
    """Turn the events of one Responses stream into the chunks of a Chat Completions stream.

    `feed(event)` returns the chunks that the event completes, as JSON objects; `close()` says that upstream has no
    more. `feed` raises UpstreamFailure for an error event or a failed response, and StreamTruncated for contradictions;
    `close` raises StreamTruncated when the terminal event never came, and the failure that was never explained. `losses` is the ledger so far, `unknown` counts
    skipped event types, `finished_calls` finished tool calls, `lane` is the short way for the next events where there is one. `hang_up` tells that the answer ended before upstream did, at a stop sequence: what is still
    to come is neither read nor wanted.
    """

    __slots__ = ("_failure", "_paths", "close_early", "state", "unknown")

    def __init__(self, asked: ReplyContext | None = None, index: PathMap | None = None) -> None:
        super().__init__(asked or ReplyContext(stream=True))
        self._paths = index
        self._failure: UpstreamFailure | None = None  # the one that says nothing of itself
        self.state = State.WAITING
        self.unknown: Counter[str] | None = None
        self.close_early = False

    @property
    def losses(self) -> Ledger:
        """The ledger so far."""
        return self._ledger

    @property
    def usage(self) -> dict[str, Any] | None:
        """The usage of the finished response, in Chat's terms; None before, and where the server sent none."""
        return usage_to_chat(self._chunks.response.get("usage"))

    @property
    def response_id(self) -> Any:
        """The response's id, as it was given; None before."""
        return self._chunks.response.get("id")

    def delivered_items(self) -> list[Any]:
        """List the items of which the caller has seen all so far, in the form of a Response's `output`."""
        if self.state is State.ENDED and not self._cutter.is_cut:
            return self._items.delivered_at_end(self._chunks.response.get("output") or [])
        return self._items.delivered()

    @property
    def ended(self) -> bool:
        """Tell whether nothing more comes out."""
        return self.state is State.ENDED

    def feed(self, event: Event) -> list[Chunk]:
        """Take one event; return the chunks that it completes."""
        kind = event.get("type")
        if self.fast_path is not None:
            self.fast_path.flush()
            self.fast_path = None  # whatever comes may change what the next delta is for
        if self.state is State.ENDED:
            return []
        entry = TABLE.get((self.state, kind)) if isinstance(kind, str) else None
        if entry is None and (error := error_event(event)) is not None:
            entry, event = TABLE[self.state, "error"], error
        if entry is None and is_terminal(event):
            event = {**event, "type": "response.done"}
            entry = TABLE[self.state, "response.done"]
        if entry is None:
            if event and not (isinstance(kind, str) and (kind in IGNORED or is_keepalive(kind))):
                self.unknown = self.unknown if self.unknown is not None else Counter()
                self.unknown[
                    str(kind) if isinstance(kind, (str, int, NoneType)) else "a type that is none"
                ] += 1
            return []
        handler, following = entry
        self.state = following
        return handler(self, event)

    def close(self) -> list[Chunk]:
        """Take the end of the stream."""
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
        if response.get("status") not in ("failed", "cancelled"):  # as it was when it began
            response = response | {"status": event["type"].rpartition(".")[2]}
        return self._fail(response_failure(response, self._paths, event_error=event.get("error")))

    def _error(self, event: Event) -> list[Chunk]:
        return self._fail(event_failure(event, self._paths))

    def _fail(self, failure: UpstreamFailure) -> list[Chunk]:
        """Raise a failure; but one that says nothing of itself only when nothing else does."""
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
        spoke = self._chunks.is_open or self._call_count > 0 or self._cutter.is_cut
        check_answerable(response, self._items.finished(response["output"]), has_output=spoke)

    def _usage_after_cut(self, event: Event) -> list[Chunk]:
        return self._trailers(self._terminal(event))

    def _terminal(self, event: Event) -> dict[str, Any]:
        """Return the finished response of a terminal event; raise where it is none."""
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
        """Return the finished response of a terminal event without one: as the event itself, or as it was streamed; None for neither."""
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
            self._ledger.add(kind, "dropped", "an event that isn't known here")

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
            # All in one: two lists without indexes break the SDK's accumulator (docs/mapping.md#stream-text).
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
            # Azure's Chat puts these into a chunk of their own at the very beginning; here they are known at the end
            # only.
            chunk["prompt_filter_results"] = prompt_filter_results(response)
        return [*opening, chunk]

    def _trailers(self, response: dict[str, Any]) -> list[Chunk]:
        out = []
        moderation = moderation_to_chat(response.get("moderation"))
        if moderation is not None:
            # Chat sends it behind the usage (docs/edge-cases.md#moderation-before-usage), which makes the SDK's `.stream()` forget the usage.
            out.append(self._chunks.without_choice("moderation", moderation))
        usage = usage_to_chat(response.get("usage")) if self._context.include_usage else None
        if usage is not None:
            out.append(self._chunks.without_choice("usage", usage))
        elif response.get("usage") and usage_to_chat(response["usage"]) is None:
            response_to_chat.add_usage_loss(self._ledger)
        return out

    def _ignore(self, event: Event) -> list[Chunk]:
        return []

    # What the caller reads

    def _finish_at_cut(self) -> list[Chunk]:
        """Finish the answer where its text is cut; what is still to come of it is of no interest."""
        if self.state is State.ENDED or any(call.unfinished for call in self._items.calls):
            return []  # the terminal event finishes it
        self._add_losses([])
        if self._context.include_usage or self._context.moderation:
            self.state = State.CUT
        else:
            self.state, self.close_early = State.ENDED, True
        return self._finish(self._chunks.response)


def is_terminal(event: Event) -> bool:
    """Tell whether an event of an unknown type is, or brings, a Response that is over.

    Servers call the last event differently.
    """
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
    "response.function_call_arguments.delta": ChunksFromEvents._arguments_delta,
    "response.function_call_arguments.done": ChunksFromEvents._arguments_done,
    "response.custom_tool_call_input.delta": ChunksFromEvents._arguments_delta,
    "response.custom_tool_call_input.done": ChunksFromEvents._arguments_done,
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
"""The event types that say nothing but that a response is under way."""

TERMINAL = frozenset(_TERMINAL_EVENTS) - {"response.error", "error"}
"""The event types that end a stream with a Response in them."""

TABLE: dict[tuple[State, str], tuple[Handler, State]] = {
    (state, kind): (handler, following)
    for state in (
        State.WAITING,
        State.RUNNING,
    )  # a resumed stream begins in the middle (docs/wire-facts.md#responses-streams)
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
"""What is done with an event, and the state that follows."""
