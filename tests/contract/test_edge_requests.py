"""What a Chat request becomes: the cases that bridges between the two APIs get wrong.

Through every way in. Numbers in the ids are those of docs/edge-cases.md; the expected bodies are
written out.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import openai
import pydantic
import pytest

import adapter
from adapter.translation import Policy, chat_to_responses
from tests.support.typeddicts import needs_current_types, problems_of_responses_body
from tests.support.ways_in import (
    WAYS_IN,
    Reply,
    Sent,
    WayIn,
    both,
    each_way_in,
    plain_body,
    routing_fields_lead,
)

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "Hi"}
LOOK: Json = {"type": "text", "text": "Look:"}
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION: Json = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
FLAT: Json = {"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}

ANSWER: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1780000000.0,
    "status": "completed",
    "model": "gpt-4.1-2025-04-14",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        }
    ],
}


def streamed(response: Json) -> Reply:
    """Answer with a stream whose whole text is in its last event."""
    return Reply.of_sse(
        [
            b"data: "
            + json.dumps({"type": "response.completed", "response": response}).encode()
            + b"\n\n"
        ]
    )


def answer(sent: Sent) -> Reply:
    if not sent.path.endswith("/responses"):
        return both(Reply())(sent)
    return streamed(ANSWER) if sent.json().get("stream") else Reply.of_json(ANSWER)


def chat(*messages: Any, model: str = "gpt-4.1", **more: Any) -> Json:
    return {"model": model, "messages": list(messages or [USER]), **more}


def body(*items: Json, **more: Any) -> Json:
    return {"model": "gpt-4.1", "store": False, "input": list(items or [USER]), **more}


def assistant(*parts: Any) -> Json:
    """Return an assistant message in its request form: strings are its texts."""
    content = [
        {"type": "output_text", "text": part, "annotations": []} if isinstance(part, str) else part
        for part in parts
    ]
    return {"type": "message", "role": "assistant", "content": content}


def tool_call(call_id: str, arguments: str = "{}", name: str = "f") -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def call(call_id: str, arguments: str = "{}", name: str = "f") -> Json:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id: str, text: Any) -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def calls(*made: Json, content: Any = None) -> Json:
    return {"role": "assistant", "content": content, "tool_calls": list(made)}


def result(call_id: str, content: Any) -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


@dataclass(frozen=True, slots=True)
class Case:
    """A request that moves.

    The Chat body, the Responses body, and the ledger's paths and actions.
    """

    id: str
    input: Json
    expected: Json
    ledger: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


_SYSTEM_A: Json = {"role": "system", "content": "Be  brief.\n"}
_SYSTEM_B: Json = {"role": "system", "content": "é–\u2028 "}
_DEVELOPER: Json = {"role": "developer", "content": [{"type": "text", "text": "Use metres."}]}
_PDF = "data:application/pdf;base64,JVBERi0="
_PNG = "data:image/png;base64,iVBORw0="


MESSAGES = (
    Case(
        "01-two-system-messages", chat(_SYSTEM_A, _SYSTEM_B, USER), body(_SYSTEM_A, _SYSTEM_B, USER)
    ),
    Case(
        "02-system-in-the-middle",
        chat(USER, {"role": "assistant", "content": "Yes"}, _SYSTEM_A, USER),
        body(USER, assistant("Yes"), _SYSTEM_A, USER),
    ),
    Case(
        "02-developer-parts",
        chat(_DEVELOPER, USER),
        body(
            {"role": "developer", "content": [{"type": "input_text", "text": "Use metres."}]}, USER
        ),
    ),
    Case("03-system-only", chat(_SYSTEM_A), body(_SYSTEM_A)),
    Case(
        "04-assistant-parts",
        chat(
            USER,
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
        ),
        body(USER, assistant("a", "b")),
    ),
    Case(
        "05-refusal",
        chat(USER, {"role": "assistant", "content": None, "refusal": "no"}),
        body(USER, assistant({"type": "refusal", "refusal": "no"})),
    ),
    Case(
        "05-refusal-beside-empty-content",
        chat(USER, {"role": "assistant", "content": "", "refusal": "no"}),
        body(USER, assistant({"type": "refusal", "refusal": "no"})),
    ),
    Case(
        "05-refusal-part",
        chat(USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}),
        body(USER, assistant({"type": "refusal", "refusal": "no"})),
    ),
    Case(
        "06-text-and-calls",
        chat(USER, calls(tool_call("call_1"), content="Checking"), result("call_1", "4")),
        body(USER, assistant("Checking"), call("call_1"), output("call_1", "4")),
    ),
    Case(
        "06-empty-text-and-calls",
        chat(USER, calls(tool_call("call_1"), content=""), result("call_1", "4")),
        body(USER, call("call_1"), output("call_1", "4")),
    ),
    Case(
        "07-parallel-calls",
        chat(
            USER,
            calls(tool_call("call_1", '{"c":"Oslo"}'), tool_call("call_2", '{"c":"Rome"}')),
            result("call_1", "4"),
            result("call_2", "21"),
        ),
        body(
            USER,
            call("call_1", '{"c":"Oslo"}'),
            call("call_2", '{"c":"Rome"}'),
            output("call_1", "4"),
            output("call_2", "21"),
        ),
    ),
    Case(
        "08-empty-tool-content",
        chat(USER, calls(tool_call("call_1")), result("call_1", "")),
        body(USER, call("call_1"), output("call_1", "")),
    ),
    Case(
        "09-tool-output-parts",
        chat(
            USER,
            calls(tool_call("call_1")),
            result(
                "call_1",
                [
                    {"type": "text", "text": "4"},
                    {"type": "image_url", "image_url": {"url": _PNG}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            ),
        ),
        body(
            USER,
            call("call_1"),
            output(
                "call_1",
                [
                    {"type": "input_text", "text": "4"},
                    {"type": "input_image", "image_url": _PNG, "detail": "auto"},
                    {"type": "input_file", "file_id": "file-1"},
                ],
            ),
        ),
    ),
    Case(
        "10-empty-arguments",
        chat(USER, calls(tool_call("call_1", "")), result("call_1", "4")),
        body(USER, call("call_1", ""), output("call_1", "4")),
    ),
    Case(
        "11-arguments-verbatim",
        chat(
            USER,
            calls(tool_call("call_1", '{ "city":"P" }'), tool_call("call_2", '{"city":')),
            result("call_1", "4"),
            result("call_2", "bad"),
        ),
        body(
            USER,
            call("call_1", '{ "city":"P" }'),
            call("call_2", '{"city":'),
            output("call_1", "4"),
            output("call_2", "bad"),
        ),
    ),
    Case(
        "13-no-item-id",  # `fc_…` is Chat's id here, not an item's
        chat(USER, calls(tool_call("fc_1")), result("fc_1", "4")),
        body(USER, call("fc_1"), output("fc_1", "4")),
    ),
    Case(
        "18-two-files",
        chat(
            {
                "role": "user",
                "content": [
                    LOOK,
                    {"type": "file", "file": {"file_data": _PDF, "filename": "a.pdf"}},
                    {"type": "file", "file": {"file_data": _PDF, "filename": "b.pdf"}},
                ],
            }
        ),
        body(
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look:"},
                    {"type": "input_file", "file_data": _PDF, "filename": "a.pdf"},
                    {"type": "input_file", "file_data": _PDF, "filename": "b.pdf"},
                ],
            }
        ),
    ),
    Case(
        "19-image-detail",
        chat(
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "https://x.test/i.png"}},
                    {"type": "image_url", "image_url": {"url": _PNG, "detail": "low"}},
                ],
            }
        ),
        body(
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": "https://x.test/i.png", "detail": "auto"},
                    {"type": "input_image", "image_url": _PNG, "detail": "low"},
                ],
            }
        ),
    ),
    Case(
        "21-name-of-a-tool-message",
        chat(USER, calls(tool_call("call_1")), result("call_1", "4") | {"name": "f"}),
        body(USER, call("call_1"), output("call_1", "4")),
    ),
    Case(
        "24-custom-call-in-history",
        chat(
            USER,
            calls(
                {"id": "call_1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
            ),
            result("call_1", "1"),
        ),
        body(
            USER,
            {"type": "custom_tool_call", "call_id": "call_1", "name": "sql", "input": "SELECT 1"},
            {"type": "custom_tool_call_output", "call_id": "call_1", "output": "1"},
        ),
    ),
    Case(
        "26-json-object-with-the-word-in-a-system-message",
        chat(
            {"role": "system", "content": "Answer in json."},
            USER,
            response_format={"type": "json_object"},
        ),
        body(
            {"role": "system", "content": "Answer in json."},
            USER,
            text={"format": {"type": "json_object"}},
        ),
    ),
)


def _strict(given: Json, flat: Json) -> tuple[Json, Json]:
    """Return a function tool and a JSON schema with the given fields, and their translations."""
    return (
        chat(
            tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA, **given}}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": SCHEMA, **given},
            },
        ),
        body(
            tools=[{"type": "function", "name": "f", "parameters": SCHEMA, **flat}],
            text={"format": {"type": "json_schema", "name": "s", "schema": SCHEMA, **flat}},
        ),
    )


def _choice(given: Any, flat: Any) -> tuple[Json, Json]:
    return chat(tools=[FUNCTION], tool_choice=given), body(tools=[FLAT], tool_choice=flat)


_GRAMMAR = {"definition": 'start: "a"', "syntax": "lark"}

PARAMETERS = (
    Case(
        "16-functions",
        chat(functions=[{"name": "f", "description": "Do f.", "parameters": SCHEMA}]),
        body(tools=[FLAT | {"description": "Do f."}], parallel_tool_calls=False),
    ),
    Case(
        "16-function-call-by-name",
        chat(functions=[{"name": "f", "parameters": SCHEMA}], function_call={"name": "f"}),
        body(
            tools=[FLAT], parallel_tool_calls=False, tool_choice={"type": "function", "name": "f"}
        ),
    ),
    Case(
        "16-function-call-none",
        chat(functions=[{"name": "f", "parameters": SCHEMA}], function_call="none"),
        body(tools=[FLAT], parallel_tool_calls=False, tool_choice="none"),
    ),
    Case("22-strict-absent", *_strict({}, {"strict": False})),
    Case("22-strict-null", *_strict({"strict": None}, {"strict": False})),
    Case("22-strict-false", *_strict({"strict": False}, {"strict": False})),
    Case("22-strict-true", *_strict({"strict": True}, {"strict": True})),
    Case(
        "22-no-parameters",
        chat(tools=[{"type": "function", "function": {"name": "f"}}]),
        body(tools=[FLAT | {"parameters": {"type": "object", "properties": {}}}]),
    ),
    Case("23-choice-auto", *_choice("auto", "auto")),
    Case("23-choice-required", *_choice("required", "required")),
    Case(
        "23-choice-function",
        *_choice(
            {"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}
        ),
    ),
    Case(
        "23-choice-custom",
        *_choice({"type": "custom", "custom": {"name": "sql"}}, {"type": "custom", "name": "sql"}),
    ),
    Case(
        "23-choice-allowed-tools",
        *_choice(
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "sql"}},
                    ],
                },
            },
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "sql"}],
            },
        ),
    ),
    Case(
        "24-custom-tools",
        chat(
            tools=[
                {
                    "type": "custom",
                    "custom": {"name": "sql", "description": "SQL", "format": {"type": "text"}},
                },
                {
                    "type": "custom",
                    "custom": {"name": "a", "format": {"type": "grammar", "grammar": _GRAMMAR}},
                },
            ]
        ),
        body(
            tools=[
                {"type": "custom", "name": "sql", "description": "SQL", "format": {"type": "text"}},
                {"type": "custom", "name": "a", "format": {"type": "grammar", **_GRAMMAR}},
            ]
        ),
    ),
    Case(
        "25-schema-and-verbosity",
        chat(
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "s",
                    "description": "An s.",
                    "schema": SCHEMA,
                    "strict": True,
                },
            },
            verbosity="low",
        ),
        body(
            text={
                "format": {
                    "type": "json_schema",
                    "name": "s",
                    "description": "An s.",
                    "schema": SCHEMA,
                    "strict": True,
                },
                "verbosity": "low",
            }
        ),
    ),
    Case("29-sixteen-is-enough", chat(max_tokens=16), body(max_output_tokens=16)),
    Case("29-new-name", chat(max_completion_tokens=400), body(max_output_tokens=400)),
    Case(
        "31-logprobs",
        chat(logprobs=True, top_logprobs=2),
        body(include=["message.output_text.logprobs"], top_logprobs=2),
    ),
    Case(
        "31-logprobs-beside-an-include-of-the-callers",
        chat(
            logprobs=True, include=["message.output_text.logprobs", "message.input_image.image_url"]
        ),
        body(include=["message.output_text.logprobs", "message.input_image.image_url"]),
    ),
    Case("31-logprobs-alone", chat(logprobs=True), body(include=["message.output_text.logprobs"])),
    Case(
        "32-include-usage",
        chat(stream=True, stream_options={"include_usage": True}),
        body(stream=True),
    ),
    Case(
        "32-include-obfuscation",
        chat(stream=True, stream_options={"include_usage": True, "include_obfuscation": False}),
        body(stream=True, stream_options={"include_obfuscation": False}),
    ),
    Case("33-effort", chat(reasoning_effort="low"), body(reasoning={"effort": "low"})),
    Case(
        "33-user-location",
        chat(
            web_search_options={
                "search_context_size": "low",
                "user_location": {
                    "type": "approximate",
                    "approximate": {"city": "Paris", "country": "FR"},
                },
            }
        ),
        body(
            tools=[
                {
                    "type": "web_search",
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "city": "Paris", "country": "FR"},
                }
            ],
            tool_choice={
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "web_search"}],
            },
        ),
        (("web_search_options", "changed"),),
        {"emulate": ("web_search_options",)},
    ),
    Case("34-metadata", chat(metadata={"k": "v"}), body(metadata={"k": "v"})),
    Case("34-long-user", chat(user="u" * 80), body(user="u" * 80)),
    Case("35-store-absent", chat(), body()),
    Case("35-store-false", chat(store=False), body()),
    Case("35-store-null", chat(store=None), body()),
    Case("35-store-true", chat(store=True), body() | {"store": True}, (("store", "changed"),)),
    *(
        Case(f"28-neutral-{name}={json.dumps(value)}", chat(**{name: value}), body())
        for name, value in (
            ("n", 1),
            ("n", None),
            ("presence_penalty", 0),
            ("frequency_penalty", 0.0),
            ("logit_bias", {}),
            ("logit_bias", None),
            ("stop", None),
            ("seed", None),
            ("logprobs", False),
            ("modalities", ["text"]),
            ("audio", None),
            ("prediction", None),
            ("stream", False),
        )
    ),
    Case(
        "28-what-is-alike-on-both",
        chat(
            temperature=0.2,
            top_p=0.9,
            parallel_tool_calls=False,
            tools=[FUNCTION],
            prompt_cache_key="k",
            prompt_cache_retention="24h",
            safety_identifier="s",
            service_tier="flex",
        ),
        body(
            temperature=0.2,
            top_p=0.9,
            parallel_tool_calls=False,
            tools=[FLAT],
            prompt_cache_key="k",
            prompt_cache_retention="24h",
            safety_identifier="s",
            service_tier="flex",
        ),
    ),
)

CASES = (*MESSAGES, *PARAMETERS)
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@each_case
def test_the_pure_function(case: Case) -> None:
    before = copy.deepcopy(case.input)
    made = chat_to_responses(
        case.input, Policy(emulate=frozenset(case.settings.get("emulate", ())))
    )
    assert made.body == case.expected
    assert routing_fields_lead(made.body)
    assert [(loss.path, loss.action) for loss in made.losses] == list(case.ledger)
    assert made.held == ()
    assert case.input == before


@each_case
@each_way_in
def test_a_way_in(way_in: WayIn, case: Case) -> None:
    run = way_in.stream if case.input.get("stream") else way_in.create
    seen = run(case.input, answer, **case.settings)
    seen.reraise()
    assert seen.paths == ["/v1/responses"]
    assert seen.sent[0].json() == case.expected
    assert seen.ledger == list(case.ledger)
    assert seen.decision is not None
    assert (seen.decision.asked, seen.decision.backend) == ("responses", "responses")


@each_case
def test_all_ways_in_send_the_same_bytes(case: Case) -> None:
    run = [way_in.stream if case.input.get("stream") else way_in.create for way_in in WAYS_IN]
    sent = {one(case.input, answer, **case.settings).sent[0].body for one in run}
    assert len(sent) == 1


ROUTED = chat(seed=7, max_tokens=50, service_tier="flex", logprobs=True, stream=True)


@pytest.mark.parametrize("model", [None, "gpt-5.4-mini"])
@each_way_in
def test_routing_fields_lead_however_the_caller_orders_them(
    way_in: WayIn, model: str | None
) -> None:
    rules = [{"match": {"model": "gpt-4.1"}, "model": model}] if model else []
    assistant = dict(reversed(ROUTED.items())) | {
        "extra_body": {"include": ["file_search_call.results"]}
    }
    seen = way_in.stream(assistant, answer, drop=("seed",), rules=rules, carry_reasoning="always")
    seen.reraise()
    sent = seen.sent[0].json()
    assert list(sent)[:3] == ["model", "stream", "service_tier"]
    assert sent["model"] == model or "gpt-4.1"
    assert len(sent["include"]) == 3


@needs_current_types
@each_case
def test_expected_bodies_fit_the_sdks_types(case: Case) -> None:
    assert problems_of_responses_body(case.expected) == []


@dataclass(frozen=True, slots=True)
class Lossy:
    """A request with a value that can't be carried: its path, and the body without it.

    None instead of a body: the request can't be sent without the value.
    """

    id: str
    input: Json
    path: str
    dropped: Json | None
    action: str = "dropped"


_AUDIO: Json = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
_LOOK = {"role": "user", "content": [{"type": "input_text", "text": "Look:"}]}
_PREDICTION = {"type": "content", "content": "Hello"}

LOSSY = (
    Lossy(
        "17-audio-part",
        chat({"role": "user", "content": [LOOK, _AUDIO]}),
        "messages[0].content[1]",
        body(_LOOK),
    ),
    Lossy(
        "17-nothing-but-audio",
        chat({"role": "user", "content": [_AUDIO]}),
        "messages[0].content[0]",
        None,
    ),
    Lossy(
        "17-earlier-audio",
        chat(USER, {"role": "assistant", "content": "Yes", "audio": {"id": "audio_1"}}),
        "messages[1].audio",
        body(USER, assistant("Yes")),
    ),
    *(
        Lossy(
            f"21-name-of-{role}",
            chat(USER, {"role": role, "content": "Yes", "name": "bob"}, USER),
            "messages[1].name",
            body(
                USER,
                assistant("Yes") if role == "assistant" else {"role": role, "content": "Yes"},
                USER,
            ),
        )
        for role in ("system", "developer", "user", "assistant")
    ),
    Lossy("27-stop", chat(stop=["\n"]), "stop", body()),
    Lossy("27-stop-string", chat(stop="\n"), "stop", body()),
    Lossy("28-seed", chat(seed=7), "seed", body()),
    Lossy("28-n", chat(n=2), "n", body()),
    Lossy("28-logit-bias", chat(logit_bias={"50256": -100}), "logit_bias", body()),
    Lossy("28-presence-penalty", chat(presence_penalty=0.5), "presence_penalty", body()),
    Lossy("28-frequency-penalty", chat(frequency_penalty=-0.5), "frequency_penalty", body()),
    Lossy("28-prediction", chat(prediction=_PREDICTION), "prediction", body()),
    Lossy("28-audio", chat(audio={"voice": "alloy", "format": "wav"}), "audio", body()),
    Lossy("28-modalities", chat(modalities=["text", "audio"]), "modalities", body()),
    Lossy("29-max-tokens", chat(max_tokens=5), "max_tokens", body(max_output_tokens=16), "clamped"),
    Lossy(
        "29-max-completion-tokens",
        chat(max_completion_tokens=15),
        "max_completion_tokens",
        body(max_output_tokens=16),
        "clamped",
    ),
    Lossy("33-web-search", chat(web_search_options={}), "web_search_options", body()),
)

each_lossy = pytest.mark.parametrize("case", LOSSY, ids=[case.id for case in LOSSY])


@each_lossy
def test_the_pure_function_under_each_policy(case: Lossy) -> None:
    held = chat_to_responses(case.input)
    assert held.body is None
    assert [(loss.path, loss.action) for loss in held.held] == [(case.path, "held")]
    with pytest.raises(adapter.Unsupported) as refused:
        chat_to_responses(case.input, Policy("error"))
    assert refused.value.path == case.path
    assert str(refused.value).startswith(f"{case.path}: ")
    if case.dropped is None:
        with pytest.raises(adapter.TranslationError):
            chat_to_responses(case.input, Policy("drop"))
    else:
        made = chat_to_responses(case.input, Policy("drop"))
        assert made.body == case.dropped
        assert [(loss.path, loss.action) for loss in made.losses] == [(case.path, case.action)]


@each_lossy
@each_way_in
def test_kept_on_chat(way_in: WayIn, case: Lossy) -> None:
    seen = way_in.create(case.input, answer)
    seen.reraise()
    assert seen.paths == ["/v1/chat/completions"]
    assert seen.sent[0].body == plain_body(case.input)
    assert not [name for name in seen.sent[0].headers if name.startswith("x-adapter")]
    assert seen.value.choices[0].message.content == "from Chat"
    assert seen.ledger == [(case.path, "held")]
    assert seen.decision is not None
    assert (seen.decision.asked, seen.decision.backend) == ("responses", "chat")


@each_lossy
@each_way_in
def test_refused(way_in: WayIn, case: Lossy) -> None:
    seen = way_in.create(case.input, answer, unsupported="error")
    assert seen.sent == []
    refused(seen.error, case.path)


def refused(error: Exception | None, path: str) -> None:
    """Assert that a policy refuses a request like this."""
    assert isinstance(error, openai.BadRequestError)
    assert error.param == path
    assert error.code == "unsupported_by_responses"
    assert isinstance(error.body, dict)
    assert error.body["message"].startswith(f"{path}: ")
    assert error.body["type"] == "invalid_request_error"


@each_lossy
@each_way_in
def test_dropped(way_in: WayIn, case: Lossy) -> None:
    seen = way_in.create(case.input, answer, unsupported="drop")
    if case.dropped is None:
        assert isinstance(seen.error, openai.BadRequestError)
        assert seen.sent == []
        return
    seen.reraise()
    assert seen.paths == ["/v1/responses"]
    assert seen.sent[0].json() == case.dropped
    assert seen.ledger == [(case.path, case.action)]


@each_way_in
def test_28_a_policy_of_its_own_for_one_parameter(way_in: WayIn) -> None:
    seen = way_in.create(chat(seed=7), answer, drop=("seed",))
    assert seen.sent[0].json() == body()
    assert seen.ledger == [("seed", "dropped")]
    seen = way_in.create(chat(seed=7, n=2), answer, drop=("seed",))
    assert seen.paths == ["/v1/chat/completions"]


@each_way_in
def test_03_no_messages_stay_on_chat(way_in: WayIn) -> None:
    empty = {"model": "gpt-4.1", "messages": []}
    seen = way_in.create(empty, answer)
    assert seen.paths == ["/v1/chat/completions"]
    assert seen.sent[0].body == plain_body(empty)


_LONG = "chatcmpl-tool-" + "x" * 80
_LONGER = _LONG + "y"
_ODD = "functions.f:0 é"


def _echoing(sent: Sent) -> Reply:
    """Call with the id of the conversation's first call, as a server that continues it might do."""
    asked = next(item for item in sent.json()["input"] if item.get("type") == "function_call")
    made = {
        "type": "function_call",
        "id": "fc_9",
        "call_id": asked["call_id"],
        "name": "f",
        "arguments": "{}",
    }
    whole = ANSWER | {"output": [made]}
    return streamed(whole) if sent.json().get("stream") else Reply.of_json(whole)


@pytest.mark.parametrize("call_id", [_LONG, _LONGER, _ODD])
@each_way_in
def test_12_call_ids_are_shortened_and_reversed(way_in: WayIn, call_id: str) -> None:
    asked = chat(
        USER,
        calls(tool_call(call_id), tool_call("call_1")),
        result(call_id, "4"),
        result("call_1", "5"),
    )
    seen = way_in.create(asked, _echoing)
    assert seen.value.choices[0].message.tool_calls[0].id == call_id
    made, other, its_output, _ = seen.sent[0].json()["input"][1:]
    assert 1 <= len(made["call_id"]) <= 64
    assert made["call_id"].replace("_", "").replace("-", "").isalnum()
    assert made["call_id"].isascii()
    assert made["call_id"] == its_output["call_id"]
    assert other["call_id"] == "call_1"
    again = way_in.stream(asked, _echoing)
    assert again.sent[0].json()["input"] == seen.sent[0].json()["input"]
    assert [
        c.id for chunk in again.chunks for c in chunk.choices[0].delta.tool_calls or () if c.id
    ] == [call_id]


def test_12_shortening_is_injective() -> None:
    ids = [
        _LONG,
        _LONGER,
        _ODD,
        _ODD + " ",
        "a" * 65,
        "a" * 66,
        "a" * 64,
        *(f"tool call {n}" for n in range(3000)),
    ]
    made = chat_to_responses(chat(USER, calls(*map(tool_call, ids)))).body
    assert made is not None
    assert len({item["call_id"] for item in made["input"][1:]}) == len(ids)


def _legacy_history(*names: str) -> Json:
    pairs = [
        message
        for name in names
        for message in (
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": name, "arguments": f'{{"of":"{name}"}}'},
            },
            {"role": "function", "name": name, "content": f"{name} says"},
        )
    ]
    return chat(USER, *pairs, functions=[{"name": "f", "parameters": SCHEMA}])


@each_way_in
def test_15_the_deprecated_pair(way_in: WayIn) -> None:
    made = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_9",
        "name": "f",
        "arguments": '{"a":1}',
    }
    seen = way_in.create(
        _legacy_history("f", "g", "f"), both(Reply.of_json(ANSWER | {"output": [made]}))
    )
    choice = seen.value.choices[0]
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call.model_dump() == {"name": "f", "arguments": '{"a":1}'}
    assert choice.message.tool_calls is None
    assert choice.message.content is None
    items = seen.sent[0].json()["input"][1:]
    ids = [item.pop("call_id") for item in items]
    assert items == [
        {"type": "function_call", "name": "f", "arguments": '{"of":"f"}'},
        {"type": "function_call_output", "output": "f says"},
        {"type": "function_call", "name": "g", "arguments": '{"of":"g"}'},
        {"type": "function_call_output", "output": "g says"},
        {"type": "function_call", "name": "f", "arguments": '{"of":"f"}'},
        {"type": "function_call_output", "output": "f says"},
    ]
    assert ids[0::2] == ids[1::2]
    assert len(set(ids)) == 3
    assert all(1 <= len(call_id) <= 64 for call_id in ids)


@each_way_in
def test_15_the_deprecated_reply_streamed(way_in: WayIn) -> None:
    made = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_9",
        "name": "f",
        "arguments": '{"a":1}',
    }
    seen = way_in.stream(_legacy_history("f"), both(streamed(ANSWER | {"output": [made]})))
    deltas = [chunk.choices[0].delta.function_call for chunk in seen.chunks]
    assert "".join(delta.name or "" for delta in deltas if delta) == "f"
    assert "".join(delta.arguments or "" for delta in deltas if delta) == '{"a":1}'
    assert seen.chunks[-1].choices[0].finish_reason == "function_call"
    assert not [chunk for chunk in seen.chunks if chunk.choices[0].delta.tool_calls]


class Weather(pydantic.BaseModel):
    """The weather in a place."""

    city: str


_CALLING = ANSWER | {
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Checking", "annotations": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "Weather",
            "arguments": '{ "city":"P" }',
            "status": "completed",
        },
    ]
}


def _calling(sent: Sent) -> Reply:
    return streamed(_CALLING) if sent.json().get("stream") else Reply.of_json(_CALLING)


@pytest.mark.parametrize("as_json", [False, True], ids=["object", "dumped"])
@pytest.mark.parametrize("method", ["create", "parse", "helper"])
@each_way_in
def test_20_results_put_back_into_history(way_in: WayIn, method: str, as_json: bool) -> None:
    tools = [openai.pydantic_function_tool(Weather)]
    first = getattr(way_in, method)(chat(tools=tools), _calling)
    first.reraise()
    message = first.value.choices[0].message
    put_back = message.model_dump() if as_json else message
    seen = way_in.create(chat(USER, put_back, result("call_1", "4")), answer)
    expected = [
        USER,
        assistant("Checking"),
        call("call_1", '{ "city":"P" }', "Weather"),
        output("call_1", "4"),
    ]
    assert seen.sent[0].json()["input"] == expected
    assert seen.ledger == []


@pytest.mark.parametrize("as_json", [False, True], ids=["object", "dumped"])
@pytest.mark.parametrize("method", ["parse", "helper"])
@pytest.mark.filterwarnings(
    "ignore:Pydantic serializer warnings:UserWarning"
)  # the SDK's own types warn about `parsed`
@each_way_in
def test_20_parsed_results_put_back_into_history(way_in: WayIn, method: str, as_json: bool) -> None:
    part = {"type": "output_text", "text": '{ "city":"P" }', "annotations": []}
    parsed = ANSWER | {"output": [ANSWER["output"][0] | {"content": [part]}]}
    first = getattr(way_in, method)(
        chat(response_format=Weather),
        both(streamed(parsed) if method == "helper" else Reply.of_json(parsed)),
    )
    first.reraise()
    message = first.value.choices[0].message
    assert message.parsed == Weather(city="P")
    seen = way_in.create(chat(USER, message.model_dump() if as_json else message, USER), answer)
    assert seen.sent[0].json()["input"] == [USER, assistant('{ "city":"P" }'), USER]
    assert seen.ledger == []


_FIRST = chat(
    _SYSTEM_A,
    USER,
    calls(tool_call("call_1", '{ "city":"é" }'), content="Checking"),
    result("call_1", "4"),
)
_SECOND = chat(
    *_FIRST["messages"],
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": "And now?"},
)


@each_way_in
def test_36_the_same_call_gives_the_same_bytes(way_in: WayIn) -> None:
    asked = _FIRST | {"tools": [FUNCTION], "metadata": {"b": "1", "a": "2"}, "temperature": 0.5}
    assert way_in.create(asked, answer).sent[0].body == way_in.create(asked, answer).sent[0].body


@each_way_in
def test_36_the_next_turn_begins_with_the_last(way_in: WayIn) -> None:
    first, second = (way_in.create(turn, answer).sent[0] for turn in (_FIRST, _SECOND))
    items = first.json()["input"]
    assert second.json()["input"][: len(items)] == items
    last = json.dumps(items[-1], ensure_ascii=False, separators=(",", ":")).encode()
    end = first.body.index(last) + len(last)
    assert second.body.startswith(first.body[:end])


@each_way_in
def test_30_temperature_is_forwarded_to_models_that_may_refuse_it(way_in: WayIn) -> None:
    seen = way_in.create(chat(model="gpt-5", temperature=0.3), answer)
    assert seen.sent[0].json()["temperature"] == 0.3


@dataclass(frozen=True, slots=True)
class ResponsesOnly:
    """A call with a value that can't be carried, and whether its model is available on Chat."""

    id: str
    input: Json
    expected: str


RESPONSES_ONLY = (
    ResponsesOnly(
        "37-gpt-5.4-tools-and-effort",
        chat(model="gpt-5.4", tools=[FUNCTION], reasoning_effort="high"),
        "refused",
    ),
    ResponsesOnly(
        "37-gpt-5.4-tools-effort-omitted", chat(model="gpt-5.4", tools=[FUNCTION]), "chat"
    ),
    ResponsesOnly(
        "37-gpt-5.4-tools-effort-none",
        chat(model="gpt-5.4", tools=[FUNCTION], reasoning_effort="none"),
        "chat",
    ),
    ResponsesOnly(
        "37-gpt-5.4-effort-without-tools", chat(model="gpt-5.4", reasoning_effort="high"), "chat"
    ),
    ResponsesOnly(
        "37-gpt-5.6-tools-effort-omitted", chat(model="gpt-5.6", tools=[FUNCTION]), "refused"
    ),
    ResponsesOnly(
        "37-gpt-5.6-tools-effort-none",
        chat(model="gpt-5.6", tools=[FUNCTION], reasoning_effort="none"),
        "chat",
    ),
    ResponsesOnly("37-responses-only-name", chat(model="gpt-5-pro"), "refused"),
    ResponsesOnly("37-gpt-4.1-tools", chat(model="gpt-4.1", tools=[FUNCTION]), "chat"),
)


@pytest.mark.parametrize("case", RESPONSES_ONLY, ids=[case.id for case in RESPONSES_ONLY])
@each_way_in
def test_37_responses_only_models_never_go_to_chat(way_in: WayIn, case: ResponsesOnly) -> None:
    seen = way_in.create(case.input | {"logit_bias": {"1": 1}}, answer)
    if case.expected == "refused":
        assert seen.sent == []
        refused(seen.error, "logit_bias")
    else:
        assert seen.paths == ["/v1/chat/completions"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error status from `/responses`, and the SDK's exception for it."""

    id: str
    input: int
    error: Json
    expected: type[openai.APIStatusError]


REFUSALS = (
    Refusal(
        "69-404-model",
        404,
        {
            "message": "No such model",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        },
        openai.NotFoundError,
    ),
    Refusal(
        "69-401",
        401,
        {
            "message": "Wrong key",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        },
        openai.AuthenticationError,
    ),
    Refusal(
        "69-400",
        400,
        {
            "message": "Bad",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "unsupported_value",
        },
        openai.BadRequestError,
    ),
)


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", REFUSALS, ids=[case.id for case in REFUSALS])
@each_way_in
def test_69_an_error_status_is_passed_on(way_in: WayIn, case: Refusal, streaming: bool) -> None:
    run = way_in.stream if streaming else way_in.create
    seen = run(chat(), both(Reply.of_json({"error": case.error}, case.input)))
    assert seen.paths == ["/v1/responses"]
    assert type(seen.error) is case.expected
    assert seen.error.status_code == case.input
    assert seen.error.code == case.error["code"]
    assert seen.error.param == case.error["param"]
    assert seen.error.body == case.error
    assert seen.open == 0


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@each_way_in
def test_69_a_missing_endpoint_falls_back_to_chat(way_in: WayIn, streaming: bool) -> None:
    run = way_in.stream if streaming else way_in.create
    seen = run(
        chat(),
        both(
            Reply.of_json({"error": {"message": "Not allowed", "code": "method_not_allowed"}}, 405)
        ),
    )
    assert seen.paths == ["/v1/responses", "/v1/chat/completions"]
    assert seen.decision is not None
    assert (seen.decision.backend, seen.decision.reason) == ("chat", "missing")
