"""Accumulate one answer: Chat's deltas and messages in, neutral events and the turn out.

Responses streams arrive as chunks too (`responses.py`), so that both APIs give the same sequence of
events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from adapter.errors import StreamTruncated
from adapter.translation.objects.call_types import CallKind

from .events import (
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from .sdk_objects import as_list, fields, key_of, string, text_of
from .tools import Parser, ToolSet, json_object, parser_of, try_parse
from .turn import Turn
from .types import CallType, Citation, ToolCall, Usage, call_type_for

EventList = list[Event[Any]]

_CUT_REASONS = {"length", "content_filter"}
_END_REASONS = {"stop", "tool_calls", "function_call"}
# A tuple, so that a `type` that can't be hashed is compared like any other value.
_OTHER_KINDS = tuple(kind for kind in get_args(CallKind) if kind != "function")
_PAYLOADS = {kind: call_type_for(kind).payload for kind in get_args(CallType)}


@dataclass(slots=True, eq=False)
class _Call:
    """An unfinished tool call; `pieces` are its arguments so far."""

    index: int
    id: str = ""
    name: str = ""
    type: CallType = "function"
    pieces: list[str] = field(default_factory=list)
    started: bool = False
    parsed: Any = None
    done: ToolCall | None = None

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


class AnswerAccumulator:
    """Accumulate one answer: `add_delta` takes the next piece, `finish` makes the turn."""

    def __init__(self, tools: ToolSet, output: Any) -> None:
        self._tools = tools
        self._output: Parser | None = None if output is None else parser_of(output)
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._by_index: dict[Any, _Call] = {}
        self.citations: list[Citation] = []
        self.parsed: Any = None  # the text as parsed by the SDK
        self.parsed_arguments: list[Any] = []  # the calls' arguments as parsed by the SDK, in order
        self.finish_reason: str | None = None

    def add_delta(self, delta: Mapping[str, Any]) -> EventList:
        """Add the fields of a chunk's delta, or of a whole message."""
        out: EventList = []
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning and isinstance(reasoning, str):
            out.append(self.add_reasoning(reasoning))
        content = delta.get("content")
        if content and (text := content if isinstance(content, str) else text_of(content)):
            out += self.add_text(text)
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self._refusal.append(refusal)
            out.append(RefusalDelta(refusal))
        calls = delta.get("tool_calls")
        if calls:
            for entry in as_list(calls):
                out += self._add_call(fields(entry))
        legacy = delta.get("function_call")
        if legacy:
            out += self._add_call(
                {"index": "function_call", "type": "function_call", "function_call": legacy}
            )
        if "annotations" in delta or "audio" in delta or "parsed" in delta:
            out += self._add_extras(delta)
        return out

    def _add_extras(self, delta: Mapping[str, Any]) -> EventList:
        notes = delta.get("annotations")
        if isinstance(notes, list):
            self.citations += [Citation.of(note) for note in notes if fields(note)]
        if delta.get("parsed") is not None:
            self.parsed = delta["parsed"]
        audio = delta.get("audio")
        # Audio answers have their text here, and none in `content`.
        transcript = fields(audio).get("transcript") if audio is not None else None
        if transcript and isinstance(transcript, str) and not delta.get("content"):
            return self.add_text(transcript)
        return []

    def add_text(self, text: str) -> EventList:
        """Add a piece of the text."""
        if not text:
            return []
        self._text.append(text)
        return [TextDelta(text)]

    def add_reasoning(self, text: str) -> ReasoningDelta:
        """Add a piece of the reasoning."""
        self._reasoning.append(text)
        return ReasoningDelta(text)

    # Tool calls

    def _add_call(self, entry: Mapping[str, Any]) -> EventList:
        call = self._find_call(entry)
        kind: Any = entry.get("type")
        if kind in _OTHER_KINDS or kind == "function_call":
            call.type = kind
        else:
            for other in _OTHER_KINDS:
                if entry.get(other) is not None:
                    call.type = other
        inner = fields(entry.get(call.type))
        arguments = inner.get(_PAYLOADS[call.type])
        call.id = call.id or string(entry.get("id"))
        call.name = call.name or string(inner.get("name"))
        if inner.get("parsed_arguments") is not None:
            call.parsed = inner["parsed_arguments"]
        out: EventList = []
        if not call.started and call.name:
            out += self._start_call(call)
        if arguments is not None and not isinstance(arguments, str):
            # Some servers send the JSON value itself.
            arguments = json.dumps(arguments, ensure_ascii=False)
        if arguments:
            call.pieces.append(arguments)
            if call.started:
                out.append(ToolCallDelta(arguments, call.id, call.index))
        return out

    def _find_call(self, entry: Mapping[str, Any]) -> _Call:
        """Return the call that an entry belongs to, or a new one.

        The index decides. Compatible servers may send none, or the same one for several calls:
        then a new id together with a name is a new call.
        """
        key, call_id = key_of(entry.get("index")), string(entry.get("id"))
        body = entry.get("function") or next(filter(None, map(entry.get, _OTHER_KINDS)), None)
        named = fields(body).get("name")
        if key is not None:
            found = self._by_index.get(key)
        else:
            found = next((call for call in self._calls if call_id and call.id == call_id), None)
            if (
                found is None
                and self._calls
                and not (named and (call_id or self._calls[-1].pieces))
            ):
                found = self._calls[-1]
        if found is None or (named and call_id and found.id and found.id != call_id):
            found = _Call(len(self._calls))
            self._calls.append(found)
            if key is not None:
                self._by_index[key] = found
        return found

    def _start_call(self, call: _Call) -> EventList:
        call.started = True
        out = self._finish_complete_calls(before=call)
        out.append(ToolCallStarted(call.name, call.id, call.index, call.type))
        if call.pieces:
            out.append(ToolCallDelta(call.arguments, call.id, call.index))
        return out

    def _finish_complete_calls(self, *, before: _Call) -> EventList:
        """Finish the calls whose arguments are complete, which only a JSON object shows."""
        out: EventList = []
        for call in self._calls:
            if (
                call is not before
                and call.started
                and call.done is None
                and call.type != "function_call"
                and call_type_for(call.type).is_json
            ):
                text = call.arguments
                if text[-1:] == "}" and try_parse(json_object, text)[1] is None:
                    out.append(self._finish_call(call, cut=False))
        return out

    def _finish_call(self, call: _Call, *, cut: bool) -> ToolCallDone:
        parsed = call.parsed
        if parsed is None and call.index < len(self.parsed_arguments):
            parsed = self.parsed_arguments[call.index]
        done = self._tools.parse_call(
            call.id, call.name, call.arguments, call.type, cut=cut, parsed=parsed
        )
        call.done = done
        return ToolCallDone(
            done.name, done.arguments, done.parsed, done.id, call.index, done.problem, done.type
        )

    # The end

    def finish(
        self, *, usage: Usage | None, id_: str, model: str, raw: Any, reasoning: str | None = None
    ) -> EventList:
        """End the answer. Raises StreamTruncated if there was no finish reason.

        `reasoning` is the final text of the reasoning, if known.
        """
        finish = self.finish_reason
        if finish is None:
            raise StreamTruncated("$", "the stream ended before its finish_reason")
        out: EventList = []
        for call in self._calls:
            if not call.started:
                out += self._start_call(call)
        for call in self._calls:
            if call.done is not None and call.done.arguments != call.arguments:
                # More followed after the complete object: white space, unless the server errs.
                self._finish_call(call, cut=False)
            if call.done is None:
                cut = finish in _CUT_REASONS and self._is_cut(call)
                done = self._finish_call(call, cut=cut)
                out += [] if cut else [done]
        if finish in _END_REASONS:
            finish = "tool_calls" if self._calls else "stop"
        text, refusal = "".join(self._text), "".join(self._refusal) or None
        complete = refusal is None and finish not in _CUT_REASONS
        parsed, problem = self._parse(text, complete=complete)
        calls = tuple(call.done for call in self._calls if call.done is not None)
        summary = reasoning or "".join(self._reasoning) or None
        turn: Turn[Any] = Turn(
            text,
            refusal,
            parsed,
            calls,
            tuple(self.citations),
            summary,
            finish,
            usage,
            id_,
            model,
            raw,
            problem,
        )
        return [*out, Finished(turn)]

    def _is_cut(self, call: _Call) -> bool:
        if not call_type_for(call.type).is_json:
            return call is self._calls[-1]  # its text doesn't show whether it is complete
        return try_parse(json_object, call.arguments)[1] is not None

    def _parse(self, text: str, *, complete: bool) -> tuple[Any, str | None]:
        if self._output is None:
            return self.parsed, None
        if not complete:
            return None, None  # `refusal` and `finish` say why
        if not text:
            return None, None if self._calls else "the answer is empty"
        parsed, problem = try_parse(self._output, text)
        return parsed, None if self._calls else problem  # before tool calls it may be a preamble
