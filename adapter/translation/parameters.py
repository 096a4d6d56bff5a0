"""The table of all Chat Completions parameters: everything that is a fact about one of them.

The translation, the commands, the settings, the documents' tables and a completeness test (its
names are the keys of the SDK's TypedDict) read it. See docs/mapping.md#parameters and
docs/mapping.md#neutral-values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

Support = Literal["exact", "emulated", "lossy", "impossible"]

Emulated = Literal["n", "name", "stop", "web_search_options"]
"""The parameters and message fields that the adapter can reproduce itself."""

ValueShape = Literal[
    "kind", "text", "word", "words", "count", "limit", "fields", "inner fields", "deep fields",
    "messages", "tools", "stop",
]  # fmt: skip
"""What of a value decides whether a call moves: `kind` is its type, and whether it is empty. The
others are the functions of `tools/audit/shapes.py`."""

_INDEX = re.compile(r"\[\d*\]")


class Conversion(Enum):
    """How a parameter is converted."""

    COPY = "copy"  # the value as it is, under the target's name
    CONVERT = "convert"  # by the function in `requests/` that `converters.converter` registers
    REFUSE = "refuse"  # no counterpart: the policy decides


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of the table.

    `target`: dotted path in the Responses body, empty if there is none. `neutral`: values that have
    no effect, as null always has. `example`: a value that has one. `echoed`: a Response repeats it,
    and no completion does. `error_names`: paths of the Responses body by which the API's errors
    mean it, besides those that a copied value has by its target. `shape`: what of its value decides
    whether a call moves. `breaks_if_dropped`: without it the answer lacks what programs read
    (audio, several choices, a search, the end at a stop sequence, a choice of tokens); anything
    else changes a nuance or a cost. `droppable`: false if the policy `drop` is `error` for it.
    """

    name: str
    target: str
    support: Support
    conversion: Conversion
    note: str
    neutral: tuple[Any, ...] = ()
    example: Any = None
    echoed: bool = False
    error_names: tuple[str, ...] = ()
    shape: ValueShape = "kind"
    breaks_if_dropped: bool = False
    droppable: bool = True

    @property
    def target_paths(self) -> tuple[str, ...]:
        """The target and, for a field, the object that it is in."""
        if "." in self.target:
            return self.target, self.target.partition(".")[0]
        return (self.target,) if self.target else ()

    def is_neutral(self, value: Any) -> bool:
        """Return whether this value has no effect and is left out without an entry."""
        # By type as well: True == 1 in Python, but `n: true` isn't `n: 1`.
        return value is None or any(type(value) is type(n) and value == n for n in self.neutral)


_COPY, _CONVERT, _REFUSE = Conversion.COPY, Conversion.CONVERT, Conversion.REFUSE

_FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}

_TABLE = (
    Parameter("model", "model", "exact", _COPY, "The same name.", shape="text", droppable=False),
    Parameter("messages", "input", "exact", _CONVERT,
              "Item by item, in order; audio can't be carried, message `name` if emulation is "
              "enabled.",
              shape="messages", droppable=False),
    Parameter("audio", "", "impossible", _REFUSE, "The Responses API has no speech output.",
              example={"voice": "alloy", "format": "wav"}, breaks_if_dropped=True),
    Parameter("frequency_penalty", "", "impossible", _REFUSE, "Not part of the Responses API.",
              neutral=(0, 0.0), example=0.5, echoed=True),
    Parameter("function_call", "tool_choice", "emulated", _CONVERT,
              "As `tool_choice`; the answer comes back as `function_call`.", example="auto",
              echoed=True, error_names=("tool_choice",), shape="fields", droppable=False),
    Parameter("functions", "tools", "emulated", _CONVERT,
              "As function tools; the answer comes back as `function_call`.", example=[_FUNCTION],
              echoed=True, shape="tools", droppable=False),
    Parameter("logit_bias", "", "impossible", _REFUSE, "Not part of the Responses API.",
              neutral=({},), example={"1": 1}, breaks_if_dropped=True),
    Parameter("logprobs", "include", "exact", _CONVERT,
              "`include: [message.output_text.logprobs]`.", neutral=(False,), example=True,
              error_names=("include", "top_logprobs")),
    Parameter("max_completion_tokens", "max_output_tokens", "exact", _CONVERT,
              "The Responses API takes 16 or more.", example=4096, echoed=True,
              error_names=("max_output_tokens",), shape="limit"),
    Parameter("max_tokens", "max_output_tokens", "exact", _CONVERT,
              "The Responses API takes 16 or more.", example=4096, echoed=True,
              error_names=("max_output_tokens",), shape="limit"),
    Parameter("metadata", "metadata", "exact", _COPY, "The same.", example={"a": "b"}),
    Parameter("modalities", "", "impossible", _REFUSE, "Only text comes out of the Responses API.",
              neutral=([], ["text"]), example=["text", "audio"], shape="words",
              breaks_if_dropped=True),
    Parameter("moderation", "moderation", "exact", _COPY,
              "The same; the result is given Chat's shape.", example={}),
    Parameter("n", "", "emulated", _CONVERT, "Sent as that many requests, if emulation is enabled.",
              neutral=(1,), example=2, shape="count", breaks_if_dropped=True),
    Parameter("parallel_tool_calls", "parallel_tool_calls", "exact", _COPY, "The same.",
              example=True, echoed=True),
    Parameter("prediction", "", "lossy", _REFUSE,
              "Predicted outputs exist on Chat only; the text is the same, time and cost are not.",
              example={"type": "content", "content": "a"}),
    Parameter("presence_penalty", "", "impossible", _REFUSE, "Not part of the Responses API.",
              neutral=(0, 0.0), example=0.5, echoed=True),
    Parameter("prompt_cache_key", "prompt_cache_key", "exact", _COPY, "The same.", example="a",
              echoed=True),
    Parameter("prompt_cache_options", "prompt_cache_options", "exact", _COPY, "The same.",
              example={}, echoed=True),
    Parameter("prompt_cache_retention", "prompt_cache_retention", "exact", _COPY, "The same.",
              example="24h", echoed=True),
    Parameter("reasoning_effort", "reasoning.effort", "exact", _COPY, "The same values.",
              example="low", echoed=True, shape="word"),
    Parameter("response_format", "text.format", "exact", _CONVERT,
              "Flattened one level; `strict: false` is written out.",
              example={"type": "json_object"}, echoed=True, error_names=("text.format", "text"),
              shape="inner fields", droppable=False),
    Parameter("safety_identifier", "safety_identifier", "exact", _COPY, "The same.", example="a",
              echoed=True),
    Parameter("seed", "", "lossy", _REFUSE,
              "Best effort on Chat, absent from the Responses API; `system_fingerprint` is null.",
              example=1),
    Parameter("service_tier", "service_tier", "exact", _COPY, "The same.", example="auto"),
    Parameter("stop", "", "emulated", _CONVERT,
              "The adapter truncates the text, if emulation is enabled.", neutral=([],),
              example=["a"], shape="stop", breaks_if_dropped=True),
    Parameter("store", "store", "lossy", _CONVERT,
              "Written out, since the default differs; stored as a Response.", neutral=(False,),
              example=True, echoed=True),
    Parameter("stream", "stream", "exact", _COPY, "The same; events come back as chunks.",
              neutral=(False,), example=True),
    Parameter("stream_options", "stream_options", "emulated", _CONVERT,
              "`include_usage` is handled by the adapter, `include_obfuscation` is passed on.",
              example={"include_usage": True}, shape="fields"),
    Parameter("temperature", "temperature", "exact", _COPY, "The same.", example=1, echoed=True),
    Parameter("tool_choice", "tool_choice", "exact", _CONVERT, "Flattened one level.",
              example="auto", echoed=True, shape="deep fields"),
    Parameter("tools", "tools", "exact", _CONVERT,
              "Flattened one level; `strict: false` is written out.",
              example=[{"type": "function", "function": _FUNCTION}], echoed=True, shape="tools"),
    Parameter("top_logprobs", "top_logprobs", "exact", _CONVERT,
              "The same, together with `logprobs`.", example=2, echoed=True,
              error_names=("top_logprobs",)),
    Parameter("top_p", "top_p", "exact", _COPY, "The same.", example=1, echoed=True),
    Parameter("user", "user", "exact", _COPY, "The same.", example="a", echoed=True),
    Parameter("verbosity", "text.verbosity", "exact", _COPY, "Beside the format in `text`.",
              example="low", echoed=True),
    Parameter("web_search_options", "tools", "emulated", _CONVERT,
              "A `web_search` tool, if emulation is enabled.", example={}, echoed=True,
              breaks_if_dropped=True),
)  # fmt: skip

CHAT_PARAMETERS: dict[str, Parameter] = {row.name: row for row in _TABLE}
"""Every parameter of `chat.completions.create`, in the order of the Responses body."""

# dialect: gateways (they choose a route by the first keys of the body)
ROUTING_FIELDS = ("model", "stream", "service_tier")
"""The keys that come first in a body, as in those that the SDK writes for both APIs."""

RESERVED_KEYS = frozenset({"input", "max_output_tokens"})
"""Keys that only the translation writes; a Chat body with one of them isn't translated."""

MINIMUM_OUTPUT_TOKENS = 16
"""The least `max_output_tokens` of the Responses API (docs/mapping.md#parameters)."""


@dataclass(frozen=True, slots=True)
class MessageField:
    """A field of messages and tools that can't be carried; a policy names it as a parameter.

    `default_action`: what happens to it if a policy doesn't list it.
    """

    name: str
    breaks_if_dropped: bool = False
    default_action: Literal["drop"] | None = None


_MESSAGE_FIELDS = (
    MessageField("name"),
    MessageField("input_audio", breaks_if_dropped=True),
    MessageField("prompt_cache_breakpoint"),
    # A cache marker of other vendors, which only affects cost.
    MessageField("cache_control", default_action="drop"),
)

UNSUPPORTED_MESSAGE_FIELDS = frozenset(field.name for field in _MESSAGE_FIELDS)
"""Fields of messages and tools that can't be carried, by their names in a policy."""

BREAKING_DROPS = frozenset(row.name for row in (*_TABLE, *_MESSAGE_FIELDS) if row.breaks_if_dropped)
"""What breaks a program when it is dropped, by names in a policy."""

DEFAULT_POLICIES: dict[str, Literal["drop"]] = {
    field.name: field.default_action for field in _MESSAGE_FIELDS if field.default_action
}
"""Actions for names that a policy doesn't list."""

UNDROPPABLE = frozenset(row.name for row in _TABLE if not row.droppable)
"""The parameters that no setting leaves out: for them `drop` acts like `error`."""

ECHOED_KEYS = frozenset(
    row.target.partition(".")[0] or row.name for row in _TABLE if row.echoed
) | {
    # parameters of the Responses API alone
    "background", "instructions", "max_tool_calls", "previous_response_id", "prompt", "truncation",
}  # fmt: skip
"""The keys of a Response that repeat its request and that no completion has."""

# dialect: Azure (its Chat only)
CHAT_ONLY = frozenset({"data_sources", "dataSources"})
"""Parameters of Azure's Chat Completions alone; the answer depends on them."""


def policy_name_of(path: str) -> str:
    """Return the name in a policy for a path: `name` for `messages[0].name`."""
    parts = _INDEX.sub("", path).split(".")
    inner = parts[-1] if len(parts) > 1 else ""
    return inner if inner in UNSUPPORTED_MESSAGE_FIELDS or inner == "audio" else parts[0]
