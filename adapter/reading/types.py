"""The parts of a turn: tool calls, usage, citations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapter.translation.objects import call_types
from adapter.translation.objects.call_types import CALL_KINDS, FUNCTION_CALL, CallKind

from .sdk_objects import count, fields

CallType = Literal[CallKind, "function_call"]
"""The kind of a tool call; `function_call` is Chat's deprecated form, which has no id."""


def call_type_for(kind: str) -> call_types.CallType:
    """Return the type of a call on both APIs, by its kind."""
    return CALL_KINDS.get(kind, FUNCTION_CALL)


@dataclass(frozen=True, slots=True, repr=False)
class ToolCall:
    """One call of a tool.

    `arguments` is the exact text that the model wrote; for a custom tool, its input. `parsed` are
    the arguments as the tool's definition reads them: an instance of the Pydantic model, a dict of
    keyword arguments for a callable, the JSON object for a raw schema. It is None without a
    definition, for custom tools, and if the arguments don't fit: then `problem` says why.
    """

    id: str
    name: str
    arguments: str
    parsed: Any = field(default=None, hash=False)
    problem: str | None = None
    type: CallType = "function"

    def json(self) -> Any:
        """Decode the arguments. Raises ValueError if they aren't JSON."""
        return json.loads(self.arguments)

    def __repr__(self) -> str:
        bad = ", problem=…" if self.problem is not None else ""
        return (
            f"ToolCall(name={self.name!r}, id={self.id!r}, {len(self.arguments)} characters{bad})"
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. Details that the server didn't send are 0; `total_tokens` is the server's."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """Chat's name for `input_tokens`."""
        return self.input_tokens

    @property
    def completion_tokens(self) -> int:
        """Chat's name for `output_tokens`."""
        return self.output_tokens

    @classmethod
    def of(cls, given: Any) -> Usage | None:
        """Read the usage of either API; return None if there is none."""
        usage = fields(given)
        if not usage:
            return None
        details_in = fields(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
        details_out = fields(
            usage.get("completion_tokens_details") or usage.get("output_tokens_details")
        )
        tokens_in = count(usage.get("prompt_tokens")) or count(usage.get("input_tokens"))
        tokens_out = count(usage.get("completion_tokens")) or count(usage.get("output_tokens"))
        total = usage.get("total_tokens")
        return cls(
            tokens_in,
            tokens_out,
            total if isinstance(total, int) else tokens_in + tokens_out,
            count(details_in.get("cached_tokens")),
            count(details_in.get("cache_write_tokens")),
            count(details_out.get("reasoning_tokens")),
            count(details_in.get("audio_tokens")),
            count(details_out.get("audio_tokens")),
            count(details_out.get("accepted_prediction_tokens")),
            count(details_out.get("rejected_prediction_tokens")),
        )


@dataclass(frozen=True, slots=True, repr=False)
class Citation:
    """The source of a passage of the text.

    `start_index` and `end_index` count characters of `Turn.text`; None if the API sends none.
    `type` is `url_citation`, on the Responses API also `file_citation`, `container_file_citation`
    or `file_path`. `index` is the file's index in the list of files.
    """

    type: str
    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    file_id: str | None = None
    filename: str | None = None
    container_id: str | None = None
    index: int | None = None

    @classmethod
    def of(cls, given: Any) -> Citation:
        """Read an annotation: Chat nests it under its type, the Responses API doesn't."""
        flat = fields(given)
        kind = flat.get("type")
        nested = flat.get(kind) if isinstance(kind, str) else None
        inner: Mapping[str, Any] = fields(nested) if nested is not None else flat

        def text(key: str) -> str | None:
            value = inner.get(key)
            return value if isinstance(value, str) else None

        def number(key: str) -> int | None:
            value = inner.get(key)
            return value if isinstance(value, int) else None

        return cls(
            kind if isinstance(kind, str) else "",
            text("url"),
            text("title"),
            number("start_index"),
            number("end_index"),
            text("file_id"),
            text("filename"),
            text("container_id"),
            number("index"),
        )

    def __repr__(self) -> str:
        return f"Citation(type={self.type!r})"
