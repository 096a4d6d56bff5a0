"""What models can do on each API: facts as data, each with its source, and a caller's own facts over them.

A fact says something of some names and leaves the rest to those after it: for each field the first fact counts that
speaks of it. Names are matched without vendor prefix (`openai/`, `openai.`) and without the `ft:` of fine-tuned models;
a caller's own patterns match the whole name as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal, Self, get_args

ToolsOnChat = Literal["free", "without effort", "effort none only", "never"]


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """All that is known of a model.

    `responses_only`, `chat_only`: the other API doesn't serve it. `tools_on_chat`: when Chat takes function tools (custom tools
    it takes in any case), `azure_tools_on_chat`: when Azure's does. `refused_efforts`: values of `reasoning_effort` that it doesn't
    take on either API, `responses_efforts`: those that it doesn't take on Chat. `named_choice_stops`: with a named
    `tool_choice`, Chat ends with `stop` instead of `tool_calls`. `logprobs_key`: Chat writes `logprobs: null` into
    choices when none were asked for. `reasons`: it reasons, and gives its reasoning encrypted when asked for it. `shutdown`: the day
    after which it isn't served, as an ISO date, or empty.
    `sources`: how each of this was found, the surest first.
    """

    responses_only: bool = False
    chat_only: bool = False
    tools_on_chat: ToolsOnChat = "free"
    azure_tools_on_chat: ToolsOnChat = "free"
    refused_efforts: tuple[str, ...] = ()
    responses_efforts: tuple[str, ...] = ()
    named_choice_stops: bool = False
    logprobs_key: bool = True  # as in the public OpenAPI document
    reasons: bool = False
    shutdown: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFact:
    """What one source says of some names, by the fields of Family; None says nothing."""

    names: tuple[str, ...]
    source: str
    responses_only: bool | None = None
    chat_only: bool | None = None
    tools_on_chat: ToolsOnChat | None = None
    azure_tools_on_chat: ToolsOnChat | None = None
    refused_efforts: tuple[str, ...] | None = None
    responses_efforts: tuple[str, ...] | None = None
    named_choice_stops: bool | None = None
    logprobs_key: bool | None = None
    reasons: bool | None = None
    shutdown: str | None = None

    def known(self) -> dict[str, Any]:
        """Return what it says."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not None}


FIELDS = tuple(one.name for one in fields(ModelProfile) if one.name != "sources")
"""What there is to know of a model."""

_BUILT_IN_EXCEPT_SHUTDOWNS = (
    ModelFact(
        ("o1-pro*", "o3-pro*", "*-deep-research*", "computer-use-preview*", "gpt-5-codex*", "gpt-5-pro*", "gpt-5.1-codex-max*",
         "gpt-5.5-pro*", "gpt-daybreak-*", "gpt-5.6-cyber*", "gpt-6-cyber*", "gpt-rosalind-research*", "gpt-6-rosalind*",
         "gpt-6.2-astra-law*"),
        "SDK 3.54, list of names served on the Responses API only (docs/mapping.md#responses-only-models)",
        responses_only=True, logprobs_key=False,
    ),
    ModelFact(
        ("gpt-audio*", "*-audio-preview*"),
        "official pages: audio goes in and comes out on Chat Completions only (docs/mapping.md#chat-only-models)",
        chat_only=True,
    ),
    ModelFact(
        ("*-search-preview*", "gpt-5-search-api*"),
        "official pages: search models answer on Chat Completions only (docs/mapping.md#chat-only-models)",
        chat_only=True,
    ),
    ModelFact(
        ("gpt-6-astra*",),
        "reported by several who tried it: none and minimal are refused on both APIs, max is taken on the Responses API only",
        refused_efforts=("none", "minimal"), responses_efforts=("max",),
    ),
    ModelFact(
        ("gpt-6.1-sol*",),
        "reported: the effort none is refused (docs/mapping.md#model-abilities)",
        refused_efforts=("none",),
    ),
    ModelFact(
        ("gpt-6-astra*",),
        "reported: Chat refuses tools in any case (docs/mapping.md#model-abilities)",
        tools_on_chat="never",
    ),
    ModelFact(
        ("gpt-5.4*", "gpt-5.5*"),
        "recorded: 400 on Chat with function tools and an effort other than none; an omitted effort works (docs/edge-cases.md#responses-only-models); custom "
        "tools are taken; reported: Azure Foundry refuses them from gpt-5.6 on",
        tools_on_chat="without effort", azure_tools_on_chat="free",
    ),
    ModelFact(
        ("gpt-5.[6-9]*", "gpt-[6-9]*"),
        "reported: 400 on Chat with tools unless the effort is none, also when it is omitted (docs/edge-cases.md#responses-only-models)",
        tools_on_chat="effort none only",
    ),
    ModelFact(
        ("gpt-3.5*", "gpt-4*", "chatgpt-4o*"),
        "recorded for gpt-3.5, gpt-4-turbo, gpt-4o (24 of 24) and read across to gpt-4 and 4.1; the key in 970 of 975 replies "
        "(docs/wire-facts.md#forced-tools, #logprobs-key)",
        named_choice_stops=True, logprobs_key=True,
    ),
    ModelFact(
        ("gpt-5*", "o1*", "o3*", "o4*", "gpt-audio*"),
        "recorded: no logprobs key in 127 of 127 replies; tool_calls under a named choice in 2 of 2 (docs/wire-facts.md#logprobs-key, #forced-tools)",
        named_choice_stops=False, logprobs_key=False,
    ),
    ModelFact(
        ("gpt-[6-9]*",),
        "read across from gpt-5 (docs/wire-facts.md#forced-tools, #logprobs-key)",
        named_choice_stops=False, logprobs_key=False,
    ),
    ModelFact(
        ("gpt-5-chat*",),
        "the SDK's docstrings: the model of ChatGPT, which doesn't reason",
        reasons=False,
    ),
    ModelFact(
        ("gpt-5*", "o1*", "o3*", "o4*", "grok-4.3*"),
        "recorded: `include` taken by gpt-5, 5.2, 5.4, 5.5, 5.6, their mini and nano forms, o3, o3-mini, o4-mini and grok-4.3 (330 "
        "of 330); read across to the others",
        reasons=True,
    ),
    ModelFact(
        ("gpt-[6-9]*",),
        "read across from gpt-5.6",
        reasons=True,
    ),
)  # fmt: skip

# As the source writes the names: a dated snapshot is meant where it is named, or where the name ends with a star.
_SHUTDOWNS = (
    ("2026-05-07", ("gpt-4o-audio-preview*", "gpt-4o-mini-audio-preview*")),
    ("2026-07-23", ("gpt-4o-search-preview*", "gpt-4o-mini-search-preview*", "gpt-5-chat-latest", "gpt-5.1-chat-latest", "gpt-5-codex",
                    "gpt-5.1-codex", "gpt-5.1-codex-max", "o3-deep-research", "o4-mini-deep-research", "computer-use-preview")),
    ("2026-08-10", ("gpt-5.2-chat-latest", "gpt-5.3-chat-latest")),
    ("2026-09-28", ("gpt-3.5-turbo-1106",)),
    ("2026-10-23", ("gpt-4.1-nano", "o4-mini", "o3-mini", "o1", "o1-pro", "gpt-4o-2024-05-13", "gpt-4-turbo*", "gpt-4-1106-preview", "gpt-4",
                    "gpt-4-0613", "gpt-3.5-turbo", "gpt-3.5-turbo-0125")),
    ("2026-12-11", ("gpt-5", "gpt-5-mini", "gpt-5-nano", "o3", "o3-pro", "gpt-5-pro")),
    ("2027-01-14", ("gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini")),
    ("2027-01-20", ("gpt-audio-mini",)),
    ("2027-02-01", ("gpt-5.5-cyber-preview",)),
    ("2027-04-01", ("gpt-5.1", "gpt-5.4-nano")),
)  # fmt: skip

BUILT_IN_FACTS = _BUILT_IN_EXCEPT_SHUTDOWNS + tuple(
    ModelFact(
        names,
        "the SDK's docstrings and the deprecations page (docs/mapping.md#shutdown-dates)",
        shutdown=date,
    )
    for date, names in _SHUTDOWNS
)
"""The facts that come with the adapter."""

_MAX_CACHED = 512  # names; what a service calls models is up to its callers
_LONGEST_NAME = (
    256  # characters of a name that is remembered, and that the built-in facts can be about
)


@dataclass(frozen=True, slots=True)
class ModelProfiles:
    """The facts that hold for a caller: its own, and the built-in ones behind them.

    Immutable and hashable; what was looked up once is remembered. `from_mapping` reads a caller's facts from settings.
    """

    overrides: tuple[ModelFact, ...] = ()
    _cache: dict[str, ModelProfile] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read facts written as `{pattern: {field: value}}`, the first pattern of which is asked first.

        Fields are those of Family, and `source`. Raises ValueError, beginning with `models.<pattern>.<field>`, for what
        can't be.
        """
        if not isinstance(mapping, Mapping):
            raise ValueError("models: expected a table of patterns")
        return cls(tuple(_parse_fact(pattern, said) for pattern, said in mapping.items()))

    def profile(self, model: str) -> ModelProfile:
        """Return the facts of a model."""
        found = self._cache.get(model)
        if found is None:
            found = self._find(model)
            if len(model) <= _LONGEST_NAME:
                if len(self._cache) >= _MAX_CACHED:
                    self._cache.clear()
                self._cache[model] = found
        return found

    def _find(self, model: str) -> ModelProfile:
        bare = _bare_name(model)
        own = [
            fact for fact in self.overrides if _matches(fact, bare) or _matches(fact, model.lower())
        ]
        known: dict[str, Any] = {}
        sources = []
        built_in = BUILT_IN_FACTS if len(bare) <= _LONGEST_NAME else ()
        for fact in own + [fact for fact in built_in if _matches(fact, bare)]:
            new = {name: value for name, value in fact.known().items() if name not in known}
            # No model is missing on both: who says first where it is served has said it of both.
            if "tools_on_chat" in new and "azure_tools_on_chat" not in known:
                new.setdefault(
                    "azure_tools_on_chat", new["tools_on_chat"]
                )  # said of OpenAI and Azure alike
            if new.get("responses_only"):
                new["chat_only"] = False
            elif new.get("chat_only"):
                new["responses_only"] = False
            if new:
                known |= new
                sources.append(fact.source)
        return ModelProfile(**known, sources=tuple(sources))

    def responses_only_reason(
        self, model: object, *, tools: bool, effort: object, azure: Callable[[], bool] | None = None
    ) -> str | None:
        """Say why a call can be served on the Responses API only, or None where Chat can serve it as well.

        `tools` tells whether the call has function tools, `effort` is its `reasoning_effort` (None when omitted), `azure` whether
        it goes to Azure.
        """
        if not isinstance(model, str):
            return None
        profile = self.profile(model)
        if profile.responses_only:
            return "the model is served on the Responses API only"
        if profile.chat_only:
            return None
        if isinstance(effort, str) and effort in profile.responses_efforts:
            return "the model takes this reasoning effort on the Responses API only"
        tools_on_chat = profile.tools_on_chat
        if tools and tools_on_chat != profile.azure_tools_on_chat and azure is not None and azure():
            tools_on_chat = profile.azure_tools_on_chat
        if not tools or tools_on_chat == "free":
            return None
        refused = {
            "without effort": effort not in (None, "none"),
            "effort none only": effort != "none",
            "never": True,
        }[tools_on_chat]
        return (
            "the model takes function tools with reasoning on the Responses API only"
            if refused
            else None
        )

    def shutdown(self, model: str) -> str | None:
        """Return the day after which a model isn't served any more, as an ISO date, where one is known.

        Fine-tuned models are taken to go with what they were made from.
        """
        return self.profile(model).shutdown or None


BUILT_IN_PROFILES = ModelProfiles()
"""The built-in facts alone."""


def has_function_tools(body: Mapping[str, Any]) -> bool:
    """Tell whether a Chat body has function tools; custom ones are none."""
    if body.get("functions"):
        return True
    tools = body.get("tools")
    return (
        any(not isinstance(tool, dict) or tool.get("type") != "custom" for tool in tools)
        if isinstance(tools, list)
        else bool(tools)
    )


_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


def family_name(model: str) -> str:
    """Return what a model's snapshots and vendors' spellings of it have in common.

    Encrypted reasoning is bound to the model that wrote it (docs/mapping.md#reasoning); `gpt-5-mini` isn't of the family of `gpt-5`.
    """
    return _SNAPSHOT.sub("", _bare_name(model))


def _bare_name(model: str) -> str:
    name = model.lower().removeprefix("ft:").rpartition("/")[2]
    return name.removeprefix("openai.").partition(":")[0]


def _matches(fact: ModelFact, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in fact.names)


_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


def _parse_fact(pattern: Any, values: Any) -> ModelFact:
    path = f"models.{pattern}"
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f"{path}: expected a model's name or a pattern")
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: expected a table of facts")
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in (*FIELDS, "source"):
            near = get_close_matches(str(name), FIELDS, n=1)
            raise ValueError(
                f"{path}.{name}: not a fact about models"
                + (f"; did you mean {near[0]}?" if near else "")
            )
        checked[name] = _checked(f"{path}.{name}", name, value)
    if checked.get("responses_only") and checked.get("chat_only"):
        raise ValueError(f"{path}.chat_only: a model is served on one of the two APIs, at least")
    return ModelFact((pattern.lower(),), checked.pop("source", "settings"), **checked)


def _checked(path: str, name: str, value: Any) -> Any:
    match name:
        case "tools_on_chat" | "azure_tools_on_chat":
            if value not in get_args(ToolsOnChat):
                near = get_close_matches(str(value), get_args(ToolsOnChat), n=1)
                expected = " or ".join(map(repr, get_args(ToolsOnChat)))
                raise ValueError(
                    f"{path}: expected {expected}"
                    + (f"; did you mean {near[0]!r}?" if near else "")
                )
        case "refused_efforts" | "responses_efforts":
            if not isinstance(value, (list, tuple)) or not all(
                isinstance(one, str) and one for one in value
            ):
                raise ValueError(f"{path}: expected a list of efforts")
            return tuple(value)
        case "shutdown":
            value = str(value)  # TOML has dates of its own
            if value and not _DATE.fullmatch(value):
                raise ValueError(
                    f"{path}: expected a date like 2027-01-14, or an empty string for none"
                )
        case "source":
            if not isinstance(value, str):
                raise ValueError(f"{path}: expected a string")
        case _:
            if not isinstance(value, bool):
                raise ValueError(f"{path}: expected true or false")
    return value
