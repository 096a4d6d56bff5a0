"""Profiles of models: built-in facts, a caller's facts, and their use in the translation."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import openai
import pytest

import adapter
from adapter.errors import Unsupported
from adapter.translation import (
    ChunksFromEvents,
    Policy,
    ReplyContext,
    chat_to_responses,
    response_to_completion,
)
from adapter.translation.model_profiles import (
    BUILT_IN_FACTS,
    BUILT_IN_PROFILES,
    FIELDS,
    ModelFact,
    ModelProfile,
    ModelProfiles,
)
from adapter.translation.server_profiles import UNKNOWN_SERVER, server_profile
from tests.support.http import http
from tests.support.ways_in import CHAT_COMPLETION, Reply, WayIn, both, each_way_in

MESSAGES: list[Any] = [{"role": "user", "content": "Hi"}]
BOTH = "both"
AZURE = server_profile("x.openai.azure.com", b"/openai/v1/chat/completions")

# name: APIs that serve it, tools on Chat, named_choice_stops, logprobs_key
NAMES: dict[str, tuple[str, str, bool, bool]] = {
    "gpt-3.5-turbo": (BOTH, "free", True, True),
    "gpt-4": (BOTH, "free", True, True),
    "gpt-4-turbo-2024-04-09": (BOTH, "free", True, True),
    "gpt-4o": (BOTH, "free", True, True),
    "gpt-4.1-mini-2025-04-14": (BOTH, "free", True, True),
    "GPT-4o": (BOTH, "free", True, True),
    "openai/gpt-4o": (BOTH, "free", True, True),
    "openai.gpt-5": (BOTH, "free", False, False),
    "ft:gpt-4o-2024-08-06:org::id": (BOTH, "free", True, True),
    "chatgpt-4o-latest": (BOTH, "free", True, True),
    "gpt-5": (BOTH, "free", False, False),
    "gpt-5.1": (BOTH, "free", False, False),
    "o1": (BOTH, "free", False, False),
    "o3-mini": (BOTH, "free", False, False),
    "o4-mini": (BOTH, "free", False, False),
    "gpt-5.4": (BOTH, "without effort", False, False),
    "gpt-5.4-nano": (BOTH, "without effort", False, False),
    "gpt-5.5": (BOTH, "without effort", False, False),
    "gpt-5.6": (BOTH, "effort none only", False, False),
    "gpt-6.2-sol": (BOTH, "effort none only", False, False),
    "gpt-6.1-sol": (BOTH, "effort none only", False, False),
    "gpt-6-astra": (BOTH, "never", False, False),
    "o1-pro": ("responses", "free", False, False),
    "o3-pro-2025-06-10": ("responses", "free", False, False),
    "o3-deep-research": ("responses", "free", False, False),
    "o4-mini-deep-research-2025-06-26": ("responses", "free", False, False),
    "computer-use-preview": ("responses", "free", False, False),
    "gpt-5-codex": ("responses", "free", False, False),
    "gpt-5-pro": ("responses", "free", False, False),
    "gpt-5.1-codex-max": ("responses", "free", False, False),
    "gpt-5.5-pro": ("responses", "without effort", False, False),
    "gpt-daybreak-1": ("responses", "free", False, False),
    "gpt-5.6-cyber": ("responses", "effort none only", False, False),
    "gpt-6-cyber": ("responses", "effort none only", False, False),
    "gpt-rosalind-research": ("responses", "free", False, False),
    "gpt-6-rosalind": ("responses", "effort none only", False, False),
    "gpt-6.2-astra-law": ("responses", "effort none only", False, False),
    "gpt-audio": ("chat", "free", False, False),
    "gpt-audio-mini-2025-10-06": ("chat", "free", False, False),
    "gpt-4o-audio-preview": ("chat", "free", True, True),
    "gpt-4o-mini-audio-preview-2024-12-17": ("chat", "free", True, True),
    "gpt-4o-search-preview": ("chat", "free", True, True),
    "gpt-4o-mini-search-preview-2025-03-11": ("chat", "free", True, True),
    "gpt-5-search-api": ("chat", "free", False, False),
    "gpt-5-search-api-2025-10-14": ("chat", "free", False, False),
    "llama-3": (BOTH, "free", False, True),
    "": (BOTH, "free", False, True),
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    served, tools, stops, key = NAMES[name]
    profile = BUILT_IN_PROFILES.profile(name)
    where = "responses" if profile.responses_only else "chat" if profile.chat_only else BOTH
    assert (where, profile.tools_on_chat, profile.named_choice_stops, profile.logprobs_key) == (
        served,
        tools,
        stops,
        key,
    )
    assert not (profile.responses_only and profile.chat_only)
    assert bool(profile.sources) == (name not in ("llama-3", ""))


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("gpt-6-astra", ("none", "minimal")),
        ("gpt-6-astra-2026-09-03", ("none", "minimal")),
        ("gpt-6.1-sol", ("none",)),
        ("gpt-6.2-sol", ()),
        ("gpt-5", ()),
        ("gpt-4o", ()),
    ],
)
def test_refused_efforts(name: str, refused: tuple[str, ...]) -> None:
    assert BUILT_IN_PROFILES.profile(name).refused_efforts == refused


SHUTDOWNS: dict[str, str | None] = {
    "gpt-4o-audio-preview": "2026-05-07",
    "gpt-4o-audio-preview-2025-06-03": "2026-05-07",
    "gpt-4o-mini-search-preview-2025-03-11": "2026-07-23",
    "gpt-5-chat-latest": "2026-07-23",
    "o3-deep-research": "2026-07-23",
    "gpt-5.3-chat-latest": "2026-08-10",
    "gpt-3.5-turbo-1106": "2026-09-28",
    "gpt-3.5-turbo": "2026-10-23",
    "gpt-3.5-turbo-0125": "2026-10-23",
    "gpt-4": "2026-10-23",
    "gpt-4-0613": "2026-10-23",
    "gpt-4-turbo-2024-04-09": "2026-10-23",
    "gpt-4o-2024-05-13": "2026-10-23",
    "gpt-4o-2024-08-06": None,
    "gpt-4o": "2027-01-14",
    "gpt-4.1-nano": "2026-10-23",
    "gpt-4.1-nano-2025-04-14": None,
    "gpt-5": "2026-12-11",
    "gpt-5-pro": "2026-12-11",
    "gpt-5-2025-08-07": None,
    "openai/gpt-4.1": "2027-01-14",
    "ft:gpt-4o:org::id": "2027-01-14",
    "gpt-audio-mini": "2027-01-20",
    "gpt-audio": None,
    "gpt-5.5-cyber-preview": "2027-02-01",
    "gpt-5.1": "2027-04-01",
    "gpt-5.4-nano": "2027-04-01",
    "gpt-5.4": None,
    "llama-3": None,
}


@pytest.mark.parametrize("name", SHUTDOWNS)
def test_shutdowns(name: str) -> None:
    assert BUILT_IN_PROFILES.shutdown(name) == SHUTDOWNS[name]


def test_every_fact_has_a_source_and_a_field() -> None:
    assert all(fact.source and fact.known() for fact in BUILT_IN_FACTS)
    assert all(name == name.lower() for fact in BUILT_IN_FACTS for name in fact.names)
    assert all(dt.date.fromisoformat(fact.shutdown) for fact in BUILT_IN_FACTS if fact.shutdown)
    dated = [name for fact in BUILT_IN_FACTS if fact.shutdown for name in fact.names]
    assert len(dated) == len(set(dated)), "a name with two dates"


def test_a_fact_has_the_fields_of_a_profile() -> None:
    assert {one.name for one in dataclasses.fields(ModelFact)} - {"names", "source"} == set(FIELDS)
    assert ModelProfile() == ModelProfile(
        **{name: getattr(ModelProfile(), name) for name in FIELDS}
    )


# Calls that only the Responses API can answer

RESPONSES_ONLY = [
    ("gpt-5.4", True, "high", True),
    ("gpt-5.4", True, None, False),
    ("gpt-5.4", True, "none", False),
    ("gpt-5.4", False, "high", False),
    ("gpt-5.6", True, None, True),
    ("gpt-5.6", True, "none", False),
    ("gpt-6-astra", True, "none", True),
    ("gpt-6-astra", False, "high", False),
    ("gpt-5-pro", False, None, True),
    ("gpt-4.1", True, "high", False),
    ("gpt-audio", True, None, False),
    ("gpt-6-search-preview", True, None, False),
    (None, True, None, False),
    (5, True, None, False),
]


@pytest.mark.parametrize(("model", "tools", "effort", "expected"), RESPONSES_ONLY)
def test_37_responses_only(model: Any, tools: bool, effort: Any, expected: bool) -> None:
    assert (
        bool(BUILT_IN_PROFILES.responses_only_reason(model, tools=tools, effort=effort)) == expected
    )


@pytest.mark.parametrize(
    ("model", "effort", "tools", "expected"),
    [
        ("gpt-6-astra", "max", False, True),
        ("gpt-6-astra", "max", True, True),
        ("gpt-6-astra", "high", False, False),
        ("gpt-6-astra", "xhigh", False, False),
        ("gpt-5.6", "max", False, False),
        ("gpt-6-astra", ["max"], False, False),
    ],
)
def test_37_an_effort_that_is_taken_on_responses_only(
    model: str, effort: Any, tools: bool, expected: bool
) -> None:
    assert (
        bool(BUILT_IN_PROFILES.responses_only_reason(model, tools=tools, effort=effort)) == expected
    )


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gpt-5.4", "high", False),
        ("gpt-5.5-2026-04-24", "low", False),
        ("gpt-5.6", None, True),
        ("gpt-5.6-sol", "high", True),
        ("gpt-5.6", "none", False),
        ("gpt-6-astra", "low", True),
    ],
)
def test_37_azure_refuses_tools_from_a_later_model_on(
    model: str, effort: Any, expected: bool
) -> None:
    assert (
        bool(
            BUILT_IN_PROFILES.responses_only_reason(
                model, tools=True, effort=effort, server=lambda: AZURE
            )
        )
        == expected
    )


def test_37_a_callers_fact_about_tools_also_applies_on_azure() -> None:
    both = ModelProfiles.from_mapping({"gpt-5.4": {"tools_on_chat": "never"}})
    assert both.responses_only_reason("gpt-5.4", tools=True, effort=None, server=lambda: AZURE)
    azure = ModelProfiles.from_mapping({"gpt-5.6": {"azure_tools_on_chat": "free"}})
    assert (
        azure.responses_only_reason("gpt-5.6", tools=True, effort=None, server=lambda: AZURE)
        is None
    )
    assert azure.responses_only_reason(
        "gpt-5.6", tools=True, effort=None, server=lambda: UNKNOWN_SERVER
    )


FUNCTION = {"type": "function", "function": {"name": "f"}}
CUSTOM = {"type": "custom", "custom": {"name": "c"}}


@pytest.mark.parametrize(
    ("more", "responses_only"),
    [
        ({"tools": [CUSTOM], "reasoning_effort": "high"}, False),
        ({"tools": [CUSTOM, FUNCTION], "reasoning_effort": "high"}, True),
        ({"tools": [FUNCTION], "reasoning_effort": "high"}, True),
        ({"functions": [{"name": "f"}], "reasoning_effort": "high"}, True),
        ({"tools": [], "reasoning_effort": "high"}, False),
        ({"tools": [FUNCTION]}, False),
        ({"model": "gpt-5.6", "tools": [CUSTOM]}, False),
        ({"model": "gpt-6-astra", "reasoning_effort": "max"}, True),
    ],
)
@each_way_in
def test_37_a_call_that_cannot_be_carried_stays_on_chat_where_chat_takes_it(
    way_in: WayIn, more: dict[str, Any], responses_only: bool
) -> None:
    """`seed` holds the call on Chat, unless Chat can't answer it: then it is refused."""
    seen = way_in.create(
        {"model": "gpt-5.4", "messages": MESSAGES, "seed": 1, **more}, both(Reply.of_json(ANSWER))
    )
    assert seen.decision is not None
    assert seen.decision.reason == ("refused" if responses_only else "unsupported")
    assert seen.paths == ([] if responses_only else ["/v1/chat/completions"])


@pytest.mark.parametrize(
    ("base", "version"),
    [
        ("https://x.services.ai.azure.com/openai/v1", None),
        ("https://x.openai.azure.com/openai/v1", None),
        ("https://gateway.test/openai/deployments/gpt-5.4", "2025-04-01-preview"),
    ],
    ids=["Foundry", "Azure OpenAI", "behind a gateway"],
)
@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-5.6"])
def test_37_on_azure(base: str, version: str | None, model: str) -> None:
    sent: list[str] = []

    def answer(request: Any) -> Any:
        sent.append(request.url.path)
        return http.Response(200, json=CHAT_COMPLETION)

    query = {} if version is None else {"api-version": version}
    client = adapter.OpenAI(
        base_url=base.replace("gpt-5.4", model),
        api_key="key",
        default_query=query,
        max_retries=0,
        http_client=http.Client(transport=http.MockTransport(answer)),
        settings=adapter.Settings(backend="responses", hosts=["*"]),
    )
    call: Any = {
        "model": model,
        "messages": MESSAGES,
        "seed": 1,
        "tools": [FUNCTION],
        "reasoning_effort": "high",
    }
    with client:
        if model == "gpt-5.4":
            client.chat.completions.create(**call)
            assert len(sent) == 1
            assert sent[0].endswith("/chat/completions")
        else:
            with pytest.raises(openai.BadRequestError, match="Responses API only"):
                client.chat.completions.create(**call)
            assert sent == []


@pytest.mark.parametrize(
    "override", [{"tools_on_chat": "free"}, {"tools_on_chat": "without effort"}]
)
def test_37_responses_only_by_a_callers_facts(override: dict[str, Any]) -> None:
    facts = ModelProfiles.from_mapping({"gpt-5.6*": override})
    assert BUILT_IN_PROFILES.responses_only_reason("gpt-5.6", tools=True, effort=None)
    assert facts.responses_only_reason("gpt-5.6", tools=True, effort=None) is None
    assert facts.responses_only_reason("gpt-5.7", tools=True, effort=None) is not None


# Profiles in the translation

CHAT_ONLY = [name for name, (served, *_) in NAMES.items() if served == "chat"]
ONLY = "the model is served on Chat Completions only"


@pytest.mark.parametrize("name", CHAT_ONLY)
@pytest.mark.parametrize("unsupported", ["chat", "drop"])
def test_a_chat_only_model_stays_on_chat(name: str, unsupported: Any) -> None:
    made = chat_to_responses({"model": name, "messages": MESSAGES}, Policy(unsupported))
    assert made.body is None
    assert [(loss.path, loss.action, loss.why) for loss in made.held] == [("model", "held", ONLY)]


def test_a_chat_only_model_is_an_error_where_that_is_the_policy() -> None:
    for policy in (Policy("error"), Policy(parameters={"model": "error"})):
        with pytest.raises(Unsupported) as caught:
            chat_to_responses({"model": "gpt-audio", "messages": MESSAGES}, policy)
        assert (caught.value.path, caught.value.why) == ("model", ONLY)


ANSWER: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "mine",
    "output": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}],
}


@each_way_in
@pytest.mark.parametrize("unsupported", ["chat", "drop"])
def test_through_the_ways_in(way_in: WayIn, unsupported: str) -> None:
    body = {"model": "gpt-4o-audio-preview", "messages": MESSAGES}
    seen = way_in.create(body, both(Reply.of_json(ANSWER)), unsupported=unsupported)
    assert seen.paths == ["/v1/chat/completions"]
    assert seen.value.choices[0].message.content == "from Chat"
    assert seen.ledger == [("model", "held")]


@each_way_in
def test_an_error_through_the_ways_in(way_in: WayIn) -> None:
    body = {"model": "gpt-5-search-api", "messages": MESSAGES}
    seen = way_in.create(body, both(Reply.of_json(ANSWER)), unsupported="error")
    assert seen.sent == []
    assert type(seen.error).__name__ == "BadRequestError"
    assert "model: " + ONLY in str(seen.error)


@pytest.mark.parametrize(
    ("fact", "finish", "key"), [(True, "stop", True), (False, "tool_calls", False)]
)
def test_the_reply_goes_by_the_facts_of_the_call(fact: bool, finish: str, key: bool) -> None:
    facts = ModelProfiles.from_mapping({"mine": {"named_choice_stops": fact, "logprobs_key": fact}})
    body = {
        "model": "mine",
        "messages": MESSAGES,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }
    asked = chat_to_responses(body, Policy(models=facts)).reply_context
    assert asked.models is facts
    assert ReplyContext().models is BUILT_IN_PROFILES
    whole = response_to_completion(ANSWER, asked).body["choices"][0]
    chunks = ChunksFromEvents(asked).feed({"type": "response.completed", "response": ANSWER})
    for choice in (whole, chunks[-1]["choices"][0]):
        assert choice["finish_reason"] == finish
        assert ("logprobs" in choice) == key


def test_an_override_can_free_or_bind_a_model() -> None:
    body = {"model": "gpt-audio", "messages": MESSAGES}
    freed = Policy(models=ModelProfiles.from_mapping({"gpt-audio": {"chat_only": False}}))
    assert chat_to_responses(body, freed).body is not None
    bound = Policy(models=ModelProfiles.from_mapping({"gpt-4.1": {"chat_only": True}}))
    assert chat_to_responses(body | {"model": "gpt-4.1"}, bound).body is None
