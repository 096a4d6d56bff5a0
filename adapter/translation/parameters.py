"""The table of all Chat Completions parameters: target, support, conversion, neutral values.

The translation, the table in MIGRATION.md and a completeness test (its names are the keys of the
SDK's TypedDict) read it. See docs/mapping.md#parameters and docs/mapping.md#neutral-values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

Support = Literal["exact", "emulated", "lossy", "impossible"]

_INDEX = re.compile(r"\[\d*\]")


class Conversion(Enum):
    """How a parameter is converted."""

    COPY = "copy"  # the value as it is, under the target's name
    CONVERT = "convert"  # by its function in chat_to_responses.CONVERTERS
    REFUSE = "refuse"  # no counterpart: the policy decides


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of the table.

    `target`: dotted path in the Responses body, empty if there is none. `neutral`: values that have
    no effect, as null always has.
    """

    name: str
    target: str
    support: Support
    conversion: Conversion
    note: str
    neutral: tuple[Any, ...] = ()

    def is_neutral(self, value: Any) -> bool:
        """Return whether this value has no effect and is left out without an entry."""
        # By type as well: True == 1 in Python, but `n: true` isn't `n: 1`.
        return value is None or any(type(value) is type(n) and value == n for n in self.neutral)


_COPY, _CONVERT, _REFUSE = Conversion.COPY, Conversion.CONVERT, Conversion.REFUSE

_TABLE = (
    Parameter("model", "model", "exact", _COPY, "The same name."),
    Parameter(
        "messages",
        "input",
        "exact",
        _CONVERT,
        "Item by item, in order; audio can't be carried, message `name` if emulation is enabled.",
    ),
    Parameter("audio", "", "impossible", _REFUSE, "The Responses API has no speech output."),
    Parameter(
        "frequency_penalty", "", "impossible", _REFUSE, "Not part of the Responses API.", (0, 0.0)
    ),
    Parameter(
        "function_call",
        "tool_choice",
        "emulated",
        _CONVERT,
        "As `tool_choice`; the answer comes back as `function_call`.",
    ),
    Parameter(
        "functions",
        "tools",
        "emulated",
        _CONVERT,
        "As function tools; the answer comes back as `function_call`.",
    ),
    Parameter("logit_bias", "", "impossible", _REFUSE, "Not part of the Responses API.", ({},)),
    Parameter(
        "logprobs",
        "include",
        "exact",
        _CONVERT,
        "`include: [message.output_text.logprobs]`.",
        (False,),
    ),
    Parameter(
        "max_completion_tokens",
        "max_output_tokens",
        "exact",
        _CONVERT,
        "The Responses API takes 16 or more.",
    ),
    Parameter(
        "max_tokens", "max_output_tokens", "exact", _CONVERT, "The Responses API takes 16 or more."
    ),
    Parameter("metadata", "metadata", "exact", _COPY, "The same."),
    Parameter(
        "modalities",
        "",
        "impossible",
        _REFUSE,
        "Only text comes out of the Responses API.",
        ([], ["text"]),
    ),
    Parameter(
        "moderation", "moderation", "exact", _COPY, "The same; the result is given Chat's shape."
    ),
    Parameter(
        "n", "", "emulated", _CONVERT, "Sent as that many requests, if emulation is enabled.", (1,)
    ),
    Parameter("parallel_tool_calls", "parallel_tool_calls", "exact", _COPY, "The same."),
    Parameter(
        "prediction",
        "",
        "lossy",
        _REFUSE,
        "Predicted outputs exist on Chat only; the text is the same, time and cost are not.",
    ),
    Parameter(
        "presence_penalty", "", "impossible", _REFUSE, "Not part of the Responses API.", (0, 0.0)
    ),
    Parameter("prompt_cache_key", "prompt_cache_key", "exact", _COPY, "The same."),
    Parameter("prompt_cache_options", "prompt_cache_options", "exact", _COPY, "The same."),
    Parameter("prompt_cache_retention", "prompt_cache_retention", "exact", _COPY, "The same."),
    Parameter("reasoning_effort", "reasoning.effort", "exact", _COPY, "The same values."),
    Parameter(
        "response_format",
        "text.format",
        "exact",
        _CONVERT,
        "Flattened one level; `strict: false` is written out.",
    ),
    Parameter("safety_identifier", "safety_identifier", "exact", _COPY, "The same."),
    Parameter(
        "seed",
        "",
        "lossy",
        _REFUSE,
        "Best effort on Chat, absent from the Responses API; `system_fingerprint` is null.",
    ),
    Parameter("service_tier", "service_tier", "exact", _COPY, "The same."),
    Parameter(
        "stop",
        "",
        "emulated",
        _CONVERT,
        "The adapter truncates the text, if emulation is enabled.",
        ([],),
    ),
    Parameter(
        "store",
        "store",
        "lossy",
        _CONVERT,
        "Written out, since the default differs; stored as a Response.",
        (False,),
    ),
    Parameter(
        "stream", "stream", "exact", _COPY, "The same; events come back as chunks.", (False,)
    ),
    Parameter(
        "stream_options",
        "stream_options",
        "emulated",
        _CONVERT,
        "`include_usage` is handled by the adapter, `include_obfuscation` is passed on.",
    ),
    Parameter("temperature", "temperature", "exact", _COPY, "The same."),
    Parameter("tool_choice", "tool_choice", "exact", _CONVERT, "Flattened one level."),
    Parameter(
        "tools", "tools", "exact", _CONVERT, "Flattened one level; `strict: false` is written out."
    ),
    Parameter(
        "top_logprobs", "top_logprobs", "exact", _CONVERT, "The same, together with `logprobs`."
    ),
    Parameter("top_p", "top_p", "exact", _COPY, "The same."),
    Parameter("user", "user", "exact", _COPY, "The same."),
    Parameter("verbosity", "text.verbosity", "exact", _COPY, "Beside the format in `text`."),
    Parameter(
        "web_search_options",
        "tools",
        "emulated",
        _CONVERT,
        "A `web_search` tool, if emulation is enabled.",
    ),
)

CHAT_PARAMETERS: dict[str, Parameter] = {row.name: row for row in _TABLE}
"""Every parameter of `chat.completions.create`, in the order of the Responses body."""

# dialect: gateways (they choose a route by the first keys of the body)
ROUTING_FIELDS = ("model", "stream", "service_tier")
"""The keys that come first in a body, as in those that the SDK writes for both APIs."""

RESERVED_KEYS = frozenset({"input", "max_output_tokens"})
"""Keys that only the translation writes; a Chat body with one of them isn't translated."""

MINIMUM_OUTPUT_TOKENS = 16
"""The least `max_output_tokens` of the Responses API (docs/mapping.md#parameters)."""

UNSUPPORTED_MESSAGE_FIELDS = frozenset(
    {"name", "input_audio", "prompt_cache_breakpoint", "cache_control"}
)
"""Fields of messages and tools that can't be carried, by their names in a policy."""

BREAKING_DROPS = frozenset(
    {"audio", "input_audio", "modalities", "logit_bias", "n", "stop", "web_search_options"}
)
"""What breaks a program when it is dropped, by names in a policy: the answer lacks what the program
reads (audio, several choices, a search, the end at a stop sequence, a choice of tokens). Dropping
anything else changes a nuance or a cost; the answer still answers the same request."""

DEFAULT_POLICIES: dict[str, Literal["drop"]] = {"cache_control": "drop"}
"""Actions for names that a policy doesn't list: cache markers of other vendors only affect cost."""

# dialect: Azure (its Chat only)
CHAT_ONLY = frozenset({"data_sources", "dataSources"})
"""Parameters of Azure's Chat Completions alone; the answer depends on them."""


def policy_name_of(path: str) -> str:
    """Return the name in a policy for a path: `name` for `messages[0].name`."""
    parts = _INDEX.sub("", path).split(".")
    inner = parts[-1] if len(parts) > 1 else ""
    return inner if inner in UNSUPPORTED_MESSAGE_FIELDS or inner == "audio" else parts[0]
