"""What model families can do on each API: facts as data, each with its source.

Names are matched without vendor prefix (`openai/`, `openai.`) and without the `ft:` of fine-tuned models, first match
wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

ToolsOnChat = Literal["free", "without effort", "effort none only", "never"]


@dataclass(frozen=True, slots=True)
class Family:
    """The facts that differ between models.

    `responses_only`: Chat Completions doesn't serve the model. `tools_on_chat`: when Chat takes function tools.
    `named_choice_stops`: with a named `tool_choice`, Chat ends with `stop` instead of `tool_calls`. `logprobs_key`:
    Chat writes `logprobs: null` into choices when none were asked for. `source` says how each was found.
    """

    names: tuple[str, ...]
    source: str
    responses_only: bool = False
    tools_on_chat: ToolsOnChat = "free"
    named_choice_stops: bool = False
    logprobs_key: bool = False


_FAMILIES = (
    Family(
        ("o1-pro*", "o3-pro*", "*-deep-research*", "computer-use-preview*", "gpt-5-codex*", "gpt-5-pro*", "gpt-5.1-codex-max*",
         "gpt-5.5-pro*", "gpt-daybreak-*", "gpt-5.6-cyber*", "gpt-6-cyber*", "gpt-rosalind-research*", "gpt-6-rosalind*",
         "gpt-6.2-astra-law*"),
        "SDK 3.54, list of names served on the Responses API only (MAPPING §10.3)",
        responses_only=True,
    ),
    Family(
        ("gpt-6-astra*",),
        "reported: Chat refuses tools in any case (MAPPING §10.4)",
        tools_on_chat="never",
    ),
    Family(
        ("gpt-5.4*", "gpt-5.5*"),
        "recorded: 400 on Chat with tools and an effort other than none; an omitted effort works (EDGE_CASES 37)",
        tools_on_chat="without effort",
    ),
    Family(
        ("gpt-5.[6-9]*", "gpt-[6-9]*"),
        "reported: 400 on Chat with tools unless the effort is none, also when it is omitted (EDGE_CASES 37)",
        tools_on_chat="effort none only",
    ),
    Family(
        ("gpt-3.5*", "gpt-4*", "chatgpt-4o*"),
        "recorded for gpt-3.5, gpt-4-turbo, gpt-4o (24 of 24) and read across to gpt-4 and 4.1; the key in 970 of 975 replies "
        "(WIRE_FACTS, chat streams)",
        named_choice_stops=True,
        logprobs_key=True,
    ),
    Family(
        ("gpt-5*", "o1*", "o3*", "o4*", "gpt-audio*"),
        "recorded: no logprobs key in 127 of 127 replies; tool_calls under a named choice in 2 of 2 (WIRE_FACTS)",
    ),
)  # fmt: skip

_UNKNOWN = Family(
    ("*",), "nothing is known of this name: the public OpenAPI document's shape is used", logprobs_key=True
)


def _bare(model: str) -> str:
    name = model.lower().removeprefix("ft:").rpartition("/")[2]
    return name.removeprefix("openai.").partition(":")[0]


@lru_cache(maxsize=512)
def facts(model: str) -> Family:
    """Return the facts of a model's family."""
    name = _bare(model)
    for family in _FAMILIES:
        if any(fnmatchcase(name, pattern) for pattern in family.names):
            return family
    return _UNKNOWN


def one_way(model: object, *, tools: bool, effort: object) -> str | None:
    """Say why a call can be served on the Responses API only, or None where Chat can serve it as well.

    `tools` tells whether the call has function tools, `effort` is its `reasoning_effort` (None when omitted).
    """
    if not isinstance(model, str):
        return None
    family = facts(model)
    if family.responses_only:
        return "the model is served on the Responses API only"
    if not tools or family.tools_on_chat == "free":
        return None
    refused = {
        "without effort": effort not in (None, "none"),
        "effort none only": effort != "none",
        "never": True,
    }[family.tools_on_chat]
    return "the model takes function tools with reasoning on the Responses API only" if refused else None
