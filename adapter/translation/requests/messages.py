"""Translate messages to input items, in order (docs/mapping.md#messages).

Rules:

1. One message becomes one or several items, at the same place; nothing is merged, moved or
   repeated.
2. System and developer messages keep their places; `instructions` is never used.
3. Fields are taken by whitelist: SDK objects in a history have keys that the API refuses.
4. A tool call's id becomes the item's `call_id`, never its `id`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from adapter.errors import MalformedRequest
from adapter.translation import identifiers
from adapter.translation.json_types import json_type, string
from adapter.translation.objects.call_types import CALL_KINDS, FUNCTION_CALL, CallType
from adapter.translation.objects.content_parts import assistant_item, input_text, output_text
from adapter.translation.objects.tool_calls import call_item, output_item
from adapter.translation.types import Origin

from . import emulation
from .builder import RequestBuilder
from .content import input_content, output_content
from .converters import converter

# Fields of the SDK's result objects that Chat ignores: left out without an entry.
_IGNORED_BY_CHAT = {"annotations", "parsed", "index"}

_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"}
    | _IGNORED_BY_CHAT,
    # The name of a tool message has no effect on Chat (docs/edge-cases.md#message-names).
    "tool": {"role", "content", "name", "tool_call_id"},
    "function": {"role", "content", "name"},
}


# Shared by all conversations: origins are kept while a reply is read, and those of a long history
# would be as large as its text.
_origin = lru_cache(maxsize=4096)(Origin)
# `index` and `parsed_arguments` are fields of the SDK's objects.
_CALL_FIELDS = {"id", "type", "index", *CALL_KINDS}
_BODY_FIELDS = {
    kind: {"name", one.payload} | ({"parsed_arguments"} if one.is_json else set())
    for kind, one in CALL_KINDS.items()
}
_MAX_CACHED_PARTS = 8  # origins with more parts aren't cached, which bounds the cache


_Call = tuple[int, str, CallType]
"""A call: the index of its message, the id that is sent, and its type."""


class _RepeatedCalls:
    """The calls with a repeated id: their number, and those of the last message with the id.

    Outputs belong to the latter, in order.
    """

    __slots__ = ("answers", "calls", "message", "times")

    def __init__(self, first: _Call) -> None:
        self.times = 1
        self.message = first[0]
        self.calls = [first]
        self.answers = 0

    def add(self, call: _Call) -> None:
        self.times += 1
        if self.message != call[0]:
            self.message, self.calls, self.answers = call[0], [], 0
        self.calls.append(call)

    def answer(self) -> _Call:
        self.answers += 1
        return self.calls[min(self.answers, len(self.calls)) - 1]


class _InputBuilder:
    """Builds the items of one conversation, with the state that later messages depend on."""

    def __init__(self, builder: RequestBuilder) -> None:
        self.builder = builder
        self.items: list[dict[str, Any]] = []
        self.calls_by_id: dict[str, _Call | _RepeatedCalls] = {}  # by the caller's ids
        # Deprecated calls without an output so far: (name, invented id).
        self.pending: deque[tuple[str, str]] = deque()
        self.invented = 0

    def add(
        self,
        item: dict[str, Any],
        kind: str,
        m: int,
        call: int = 0,
        parts: tuple[str, ...] = (),
    ) -> None:
        self.items.append(item)
        make = _origin if len(parts) <= _MAX_CACHED_PARTS else Origin
        self.builder.origins.append(make(kind, m, call, parts))

    def message(self, m: int, message: Any) -> None:
        path = f"messages[{m}]"
        if not isinstance(message, dict):
            raise MalformedRequest(path, f"expected an object, got {json_type(message)}")
        role = string(message.get("role"), f"{path}.role")
        convert = _ROLES.get(role)
        if convert is None:
            self.builder.unsupported(f"{path}.role", "messages", "unknown role", droppable=False)
            return
        why = f"not a field of a message with the role {role}"
        self.builder.leave_out_unknown(path, message, _FIELDS[role], why)
        name = message.get("name")
        if name is None or role in ("tool", "function"):
            convert(self, m, path, message)
            return
        prefix = emulation.name_prefix(self.builder, name, path)
        first = len(self.items)
        convert(self, m, path, message)
        if prefix:
            self.write_name(prefix, path, first)

    def write_name(self, prefix: str, path: str, first: int) -> None:
        """Write the prefix before the message's first text; its items begin at index `first`."""
        item = self.items[first] if first < len(self.items) else {}
        content = item.get("content")
        if isinstance(content, str):
            item["content"] = prefix + content
        elif (text := next((part for part in content or () if "text" in part), None)) is not None:
            text["text"] = prefix + text["text"]
        elif content and item["role"] != "assistant":
            content.insert(0, input_text(prefix))
            origin = self.builder.origins[first]
            self.builder.origins[first] = origin._replace(parts=("name", *origin.parts))
        else:
            self.builder.ledger.add(
                f"{path}.name", "dropped", "there is no text to write it in front of"
            )
            return
        self.builder.origins[first] = self.builder.origins[first]._replace(prefix=len(prefix))
        self.builder.ledger.add(f"{path}.name", "changed", "written in front of the message's text")

    def input_message(self, m: int, path: str, message: dict[str, Any]) -> None:
        content, parts = input_content(self.builder, message.get("content"), f"{path}.content")
        self.add({"role": message["role"], "content": content}, "message", m, parts=parts)

    def assistant(self, m: int, path: str, message: dict[str, Any]) -> None:
        if message.get("audio") is not None:
            self.builder.unsupported(
                f"{path}.audio", "audio", "the Responses API can't refer to earlier audio"
            )
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list):
            raise MalformedRequest(
                f"{path}.tool_calls", f"expected an array, got {json_type(calls)}"
            )
        legacy = message.get("function_call")
        parts, origins = output_content(
            self.builder, message.get("content"), message.get("refusal"), path
        )
        if not parts and not calls and legacy is None:
            parts, origins = [output_text("")], ("content",)  # an empty answer, as Chat allows
        if parts:
            self.add(assistant_item(parts), "message", m, parts=origins)
        for k, call in enumerate(calls):
            self.tool_call(m, k, f"{path}.tool_calls[{k}]", call)
        if legacy is not None:
            name, arguments = _call_body(FUNCTION_CALL, legacy, f"{path}.function_call")
            made = self.call_id(f"call_fn_{self.invented}", FUNCTION_CALL, m)
            self.invented += 1
            self.pending.append((name, made))
            self.add(call_item(FUNCTION_CALL, made, name, arguments), "legacy_call", m)

    def tool_call(self, m: int, k: int, path: str, call: Any) -> None:
        if not isinstance(call, dict):
            raise MalformedRequest(path, f"expected an object, got {json_type(call)}")
        own = string(call.get("id"), f"{path}.id")
        given = call.get("type")
        kind = given or FUNCTION_CALL.kind
        if given is None or len(call) != 3:
            self.whitelist(call, path, _CALL_FIELDS)
        call_type = CALL_KINDS.get(kind) if isinstance(kind, str) else None
        if call_type is None:
            self.builder.unsupported(
                f"{path}.type", "messages", "unknown type of tool call", droppable=False
            )
            return
        body: Any = call.get(kind)
        name, payload = _call_body(call_type, body, f"{path}.{kind}")
        if len(body) != 2:
            self.whitelist(body, f"{path}.{kind}", _BODY_FIELDS[kind])
        call_id = self.call_id(own, call_type, m, path)
        self.add(call_item(call_type, call_id, name, payload), call_type.origin, m, k)

    def tool(self, m: int, path: str, message: dict[str, Any]) -> None:
        own = string(message.get("tool_call_id"), f"{path}.tool_call_id")
        output, parts = input_content(self.builder, message.get("content"), f"{path}.content")
        called = self.calls_by_id.get(own)
        if called is None:
            called = m, self.shortened(own), FUNCTION_CALL
        elif isinstance(called, _RepeatedCalls):
            called = called.answer()
        _, call_id, call_type = called
        self.add(output_item(call_type, call_id, output), "output", m, parts=parts)

    def function(self, m: int, path: str, message: dict[str, Any]) -> None:
        # Matched by order and name, since there are no ids (docs/mapping.md#function-role).
        name = string(message.get("name"), f"{path}.name")
        match = next((entry for entry in self.pending if entry[0] == name), None)
        if match is None:
            self.builder.unsupported(
                path,
                "messages",
                "no earlier function_call matches it",
                droppable=False,
            )
            return
        self.pending.remove(match)
        content = message.get("content")
        output, parts = input_content(
            self.builder, "" if content is None else content, f"{path}.content"
        )
        self.add(output_item(FUNCTION_CALL, match[1], output), "output", m, parts=parts)

    def call_id(self, own: str, call_type: CallType, m: int, path: str | None = None) -> str:
        """Return the id with which a call is sent.

        `path`: of the call, None if its id is invented. The API takes an id once, so later calls
        with the same id get others, the same in each request
        (docs/decisions.md#repeated-call-ids).
        """
        # dialect: Bedrock, DeepSeek and others (each turn begins with the id `call_0`)
        called = self.calls_by_id.get(own)
        if called is None:
            sent = self.shortened(own)
            self.calls_by_id[own] = m, sent, call_type
            return sent
        if not isinstance(called, _RepeatedCalls):
            called = self.calls_by_id[own] = _RepeatedCalls(called)
        sent = identifiers.repeated_call_id(own, called.times)
        self.builder.call_ids[sent] = own
        called.add((m, sent, call_type))
        if path is not None:
            self.builder.ledger.add(
                f"{path}.id",
                "changed",
                "sent with another id: an earlier call has the same one",
            )
        return sent

    def shortened(self, own: str) -> str:
        short = identifiers.call_id(own)
        if short != own:
            self.builder.call_ids[short] = own
        return short

    def whitelist(self, call: dict[str, Any], path: str, known: set[str]) -> None:
        self.builder.leave_out_unknown(path, call, known, "not a field of a tool call")


_ROLES: dict[str, Callable[[_InputBuilder, int, str, dict[str, Any]], None]] = {
    "system": _InputBuilder.input_message,
    "developer": _InputBuilder.input_message,
    "user": _InputBuilder.input_message,
    "assistant": _InputBuilder.assistant,
    "tool": _InputBuilder.tool,
    "function": _InputBuilder.function,
}


def _call_body(call_type: CallType, value: Any, path: str) -> tuple[str, str]:
    """Return a call's name and arguments, which stay byte for byte.

    See docs/edge-cases.md#arguments-byte-for-byte.
    """
    if not isinstance(value, dict):
        raise MalformedRequest(path, f"expected an object, got {json_type(value)}")
    payload = value.get(call_type.payload)
    if payload is None and call_type.is_json:
        payload = ""
    name = string(value.get("name"), f"{path}.name")
    return name, string(payload, f"{path}.{call_type.payload}")


@converter("messages")
def messages_to_input(builder: RequestBuilder, messages: Any, _: dict[str, Any]) -> None:
    """Write `input`.

    A call without messages is kept on Chat, which rejects it itself
    (docs/edge-cases.md#no-user-message).
    """
    if not isinstance(messages, list):
        raise MalformedRequest("messages", f"expected an array, got {json_type(messages)}")
    if not messages:
        builder.held.add(
            "messages", "held", "Chat Completions rejects an empty conversation itself"
        )
        return
    items = _InputBuilder(builder)
    for m, message in enumerate(messages):
        if (
            type(message) is dict
            and len(message) == 2
            and type(text := message.get("content")) is str
        ):
            # A fast path for most of a long history: the same result as `items.message`.
            role = message.get("role")
            if role in ("user", "system", "developer"):
                items.add({"role": role, "content": text}, "message", m)
                continue
            if role == "assistant":
                items.add(assistant_item([output_text(text)]), "message", m, parts=("content",))
                continue
        items.message(m, message)
    builder.set("input", items.items)
