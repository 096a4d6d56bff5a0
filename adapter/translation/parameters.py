"""One table: every Chat Completions parameter, where it goes, and what happens when it can't.

The translator, the table in MIGRATION.md and the completeness test (its keys are the SDK's TypedDict keys) all come
from here. Classes and targets: docs/mapping.md#parameters; neutral values (the API's own defaults, which change nothing): docs/mapping.md#neutral-values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

Support = Literal["exact", "emulated", "lossy", "impossible"]

_INDEX = re.compile(r"\[\d*\]")


class Conversion(Enum):
    """How a parameter gets to the other side."""

    COPY = "copy"  # the value as it is, under the target's name
    CONVERT = "convert"  # by a function of its own, in requests.CONVERTERS
    REFUSE = "refuse"  # no counterpart: the policy decides


@dataclass(frozen=True, slots=True)
class Parameter:
    """What happens to one parameter.

    `to` is the dotted path in the Responses body (empty where there is none); `neutral` are the values that mean the
    same as leaving the parameter out (null always does).
    """

    name: str
    target: str
    support: Support
    conversion: Conversion
    note: str
    neutral: tuple[Any, ...] = ()

    def is_neutral(self, value: Any) -> bool:
        """Say whether this value is a no-op, to be left out without a word."""
        # True == 1 in Python, and `n: true` isn't `n: 1`.
        return value is None or any(type(value) is type(n) and value == n for n in self.neutral)


_COPY, _CONVERT, _REFUSE = Conversion.COPY, Conversion.CONVERT, Conversion.REFUSE

_TABLE = (
    Parameter("model", "model", "exact", _COPY, "The same name."),
    Parameter(
        "messages",
        "input",
        "exact",
        _CONVERT,
        "Item by item, in order; audio can't be carried, message `name` where emulation is asked for.",
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
        "n", "", "emulated", _CONVERT, "As that many requests, where emulation is asked for.", (1,)
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
        "One level flatter; `strict: false` is written out.",
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
        "The text is cut here, where emulation is asked for.",
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
        "`include_usage` is done here, `include_obfuscation` there.",
    ),
    Parameter("temperature", "temperature", "exact", _COPY, "The same."),
    Parameter("tool_choice", "tool_choice", "exact", _CONVERT, "One level flatter."),
    Parameter(
        "tools", "tools", "exact", _CONVERT, "One level flatter; `strict: false` is written out."
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
        "A `web_search` tool, where emulation is asked for.",
    ),
)

CHAT_PARAMETERS: dict[str, Parameter] = {rule.name: rule for rule in _TABLE}
"""Every parameter of `chat.completions.create`, in the order in which the Responses body is written."""

ROUTING_FIELDS = ("model", "stream", "service_tier")
"""What a body begins with, as the SDK writes both APIs' bodies: gateways route by a body's head."""

RESERVED_KEYS = frozenset({"input", "max_output_tokens"})
"""Keys of the Responses body that only the translation writes; a Chat body that brings one of them is refused."""

MINIMUM_OUTPUT_TOKENS = 16
"""The least `max_output_tokens` that the Responses API takes (400 `integer_below_min_value`; docs/mapping.md#parameters)."""

UNSUPPORTED_MESSAGE_FIELDS = frozenset(
    {"name", "input_audio", "prompt_cache_breakpoint", "cache_control"}
)
"""What can't be carried inside messages (and tools), by the names that a policy knows it by."""

BREAKING_DROPS = frozenset(
    {"audio", "input_audio", "modalities", "logit_bias", "n", "stop", "web_search_options"}
)
"""What to drop breaks a program, by the names that a policy knows it by: the answer lacks what the program asked
for and reads (sound, several choices, a search, a cut or a choice of tokens that it relies on). To drop anything else
loses a nuance or a cost, and the answer is still one to the same request."""

DEFAULT_POLICIES: dict[str, Literal["drop"]] = {"cache_control": "drop"}
"""What a policy says of a value unless it names it: such a mark of other vendors concerns cost alone."""

CHAT_ONLY = frozenset({"data_sources", "dataSources"})
"""Parameters of Azure's Chat Completions alone; an answer without them would be another one."""


def policy_name_of(path: str) -> str:
    """Return the name by which policies know what stands at a path: `messages[0].name` is `name`."""
    parts = _INDEX.sub("", path).split(".")
    inner = parts[-1] if len(parts) > 1 else ""
    return inner if inner in UNSUPPORTED_MESSAGE_FIELDS or inner == "audio" else parts[0]
