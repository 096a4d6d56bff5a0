"""Profiles of models: what each model supports on each API, as data with sources.

A fact sets some fields for names that match its patterns; for each field the first matching fact
counts, and a caller's facts come before the built-in ones. Names are matched without vendor prefix
(`openai/`, `openai.`) and without the `ft:` of fine-tuned models; a caller's patterns are matched
against the whole name as well. See docs/mapping.md#models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal, Self, get_args

from .server_profiles import ServerProfile

ToolsOnChat = Literal["free", "without effort", "effort none only", "never"]


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """What is known of one model.

    `responses_only`, `chat_only`: the other API doesn't serve it. `tools_on_chat`: when Chat takes
    function tools (it always takes custom tools); `azure_tools_on_chat`: the same for Azure.
    `refused_efforts`: values of `reasoning_effort` that both APIs refuse; `responses_efforts`:
    those that only Chat refuses. `named_choice_stops`: with a named `tool_choice`, Chat finishes
    with `stop` instead of `tool_calls`. `logprobs_key`: Chat writes `logprobs: null` into choices
    when none were requested. `reasons`: it reasons, and returns encrypted reasoning on request.
    `shutdown`: the last day of service as an ISO date, or empty. `sources`: the source of each
    fact used, a caller's first.
    """

    responses_only: bool = False
    chat_only: bool = False
    tools_on_chat: ToolsOnChat = "free"
    azure_tools_on_chat: ToolsOnChat = "free"
    refused_efforts: tuple[str, ...] = ()
    responses_efforts: tuple[str, ...] = ()
    # dialect: vLLM (its named choices do finish with stop; its models are unknown)
    named_choice_stops: bool = False
    logprobs_key: bool = True  # as in the public OpenAPI document
    reasons: bool = False
    shutdown: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFact:
    """The fields of ModelProfile that one source gives for some names; None: not given."""

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
        """Return the given fields."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not None}


FIELDS = tuple(one.name for one in fields(ModelProfile) if one.name != "sources")
"""The fields of a profile that facts can set."""

_BUILT_IN_EXCEPT_SHUTDOWNS = (
    ModelFact(
        ("o1-pro*", "o3-pro*", "*-deep-research*", "computer-use-preview*", "gpt-5-codex*",
         "gpt-5-pro*", "gpt-5.1-codex-max*", "gpt-5.5-pro*", "gpt-daybreak-*", "gpt-5.6-cyber*",
         "gpt-6-cyber*", "gpt-rosalind-research*", "gpt-6-rosalind*", "gpt-6.2-astra-law*"),
        "list of Responses-only models in OpenAI's SDK 3.54 "
        "(docs/mapping.md#responses-only-models)",
        responses_only=True, logprobs_key=False,
    ),
    ModelFact(
        ("gpt-audio*", "*-audio-preview*"),
        "OpenAI's model pages: audio input and output on Chat only "
        "(docs/mapping.md#chat-only-models)",
        chat_only=True,
    ),
    ModelFact(
        ("*-search-preview*", "gpt-5-search-api*"),
        "OpenAI's model pages: search models on Chat only (docs/mapping.md#chat-only-models)",
        chat_only=True,
    ),
    ModelFact(
        ("gpt-6-astra*",),
        "reported by users: both APIs refuse the efforts none and minimal; max is taken on the "
        "Responses API only (docs/mapping.md#model-abilities)",
        refused_efforts=("none", "minimal"), responses_efforts=("max",),
    ),
    ModelFact(
        ("gpt-6.1-sol*",),
        "reported by users: the effort none is refused (docs/mapping.md#model-abilities)",
        refused_efforts=("none",),
    ),
    ModelFact(
        ("gpt-6-astra*",),
        "reported by users: Chat refuses tools with any effort (docs/mapping.md#model-abilities)",
        tools_on_chat="never",
    ),
    ModelFact(
        ("gpt-5.4*", "gpt-5.5*"),
        "recorded: Chat answers 400 to function tools with an effort other than none, and takes "
        "them without an effort; reported by users: Azure refuses them from gpt-5.6 on only "
        "(docs/mapping.md#model-abilities)",
        tools_on_chat="without effort", azure_tools_on_chat="free",
    ),
    ModelFact(
        ("gpt-5.[6-9]*", "gpt-[6-9]*"),
        "reported by users: Chat answers 400 to function tools unless the effort is none, also "
        "without an effort (docs/mapping.md#model-abilities)",
        tools_on_chat="effort none only",
    ),
    ModelFact(
        ("gpt-3.5*", "gpt-4*", "chatgpt-4o*"),
        "recorded for gpt-3.5, gpt-4-turbo and gpt-4o (24 of 24 named choices), inferred for gpt-4 "
        "and gpt-4.1; logprobs key in 970 of 975 replies "
        "(docs/wire-facts.md#forced-tools, #logprobs-key)",
        named_choice_stops=True, logprobs_key=True,
    ),
    ModelFact(
        ("gpt-5*", "o1*", "o3*", "o4*", "gpt-audio*"),
        "recorded: no logprobs key in 127 of 127 replies, tool_calls in 2 of 2 named choices "
        "(docs/wire-facts.md#logprobs-key, #forced-tools)",
        named_choice_stops=False, logprobs_key=False,
    ),
    ModelFact(
        ("gpt-[6-9]*",),
        "inferred from gpt-5 (docs/wire-facts.md#forced-tools, #logprobs-key)",
        named_choice_stops=False, logprobs_key=False,
    ),
    ModelFact(
        ("gpt-5-chat*",),
        "docstrings of OpenAI's SDK: the model of ChatGPT, which doesn't reason "
        "(docs/mapping.md#models)",
        reasons=False,
    ),
    ModelFact(
        ("gpt-5*", "o1*", "o3*", "o4*", "grok-4.3*"),
        "recorded: encrypted reasoning accepted in 330 of 330 requests to gpt-5, 5.2, 5.4, 5.5, "
        "5.6, their mini and nano forms, o3, o3-mini, o4-mini and grok-4.3; inferred for others "
        "(docs/wire-facts.md#reasoning-items)",
        reasons=True,
    ),
    ModelFact(
        ("gpt-[6-9]*",),
        "inferred from gpt-5.6 (docs/wire-facts.md#reasoning-items)",
        reasons=True,
    ),
)  # fmt: skip

# Names as the deprecations page writes them: a dated snapshot only where it is named, or by a star.
_SHUTDOWNS = (
    ("2026-05-07", ("gpt-4o-audio-preview*", "gpt-4o-mini-audio-preview*")),
    ("2026-07-23", ("gpt-4o-search-preview*", "gpt-4o-mini-search-preview*", "gpt-5-chat-latest",
                    "gpt-5.1-chat-latest", "gpt-5-codex", "gpt-5.1-codex", "gpt-5.1-codex-max",
                    "o3-deep-research", "o4-mini-deep-research", "computer-use-preview")),
    ("2026-08-10", ("gpt-5.2-chat-latest", "gpt-5.3-chat-latest")),
    ("2026-09-28", ("gpt-3.5-turbo-1106",)),
    ("2026-10-23", ("gpt-4.1-nano", "o4-mini", "o3-mini", "o1", "o1-pro", "gpt-4o-2024-05-13",
                    "gpt-4-turbo*", "gpt-4-1106-preview", "gpt-4", "gpt-4-0613", "gpt-3.5-turbo",
                    "gpt-3.5-turbo-0125")),
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
"""The built-in facts."""

_MAX_CACHED = 512  # names: bounded, since callers may send any
_LONGEST_NAME = 256  # characters; longer names aren't cached and match no built-in fact


@dataclass(frozen=True, slots=True)
class ModelProfiles:
    """The profiles that apply for a caller: its own facts, then the built-in ones.

    Immutable and hashable, with a cache of profiles. `from_mapping` reads a caller's facts from
    settings.
    """

    overrides: tuple[ModelFact, ...] = ()
    _cache: dict[str, ModelProfile] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read facts written as `{pattern: {field: value}}`; earlier patterns take precedence.

        Fields are those of ModelProfile, and `source`. Raises ValueError for an invalid field; its
        message begins with `models.<pattern>.<field>`.
        """
        if not isinstance(mapping, Mapping):
            raise ValueError("models: expected a table of patterns")
        return cls(tuple(_parse_fact(pattern, values) for pattern, values in mapping.items()))

    def profile(self, model: str) -> ModelProfile:
        """Return the profile of a model."""
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
            # A fact about OpenAI's Chat applies to Azure's as well, unless it gives another.
            if "tools_on_chat" in new and "azure_tools_on_chat" not in known:
                new.setdefault("azure_tools_on_chat", new["tools_on_chat"])
            # A model is served on one API at least, so each of these fields excludes the other.
            if new.get("responses_only"):
                new["chat_only"] = False
            elif new.get("chat_only"):
                new["responses_only"] = False
            if new:
                known |= new
                sources.append(fact.source)
        return ModelProfile(**known, sources=tuple(sources))

    def responses_only_reason(
        self,
        model: object,
        *,
        tools: bool,
        effort: object,
        server: Callable[[], ServerProfile] | None = None,
    ) -> str | None:
        """Return why Chat can't answer a call to this model; None if it can.

        `tools`: the call has function tools. `effort`: its `reasoning_effort`, None if omitted.
        `server`: returns the profile of the server that the call goes to. See
        docs/decisions.md#responses-only-models.
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
        if tools and tools_on_chat != profile.azure_tools_on_chat and server is not None:
            tools_on_chat = getattr(profile, server().tools_on_chat)
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
        """Return the last day of service of a model as an ISO date; None if none is known.

        Fine-tuned models have the date of their base model.
        """
        return self.profile(model).shutdown or None


BUILT_IN_PROFILES = ModelProfiles()
"""The profiles of a caller without facts of its own."""


def has_function_tools(body: Mapping[str, Any]) -> bool:
    """Return whether a Chat body has function tools; custom tools don't count."""
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
    """Return a model's name without vendor prefix and snapshot date.

    Encrypted reasoning is bound to this family (docs/mapping.md#reasoning); `gpt-5-mini` is not of
    the family of `gpt-5`.
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
        raise ValueError(f"{path}: expected a table of fields")
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in (*FIELDS, "source"):
            near = get_close_matches(str(name), FIELDS, n=1)
            raise ValueError(
                f"{path}.{name}: unknown field of a model"
                + (f"; did you mean {near[0]}?" if near else "")
            )
        checked[name] = _checked(f"{path}.{name}", name, value)
    if checked.get("responses_only") and checked.get("chat_only"):
        raise ValueError(f"{path}.chat_only: responses_only and chat_only can't both be true")
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
