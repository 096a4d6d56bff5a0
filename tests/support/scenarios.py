"""The scenarios that are recorded: one table for the recorder and for the tests that replay them.

A scenario is a short conversation in Chat's terms. It is written once, as a generator that yields
calls and receives their results, and run by a sync or an async client, against a server or a
cassette:

    with use_cassette(scenario.cassette("vllm", "responses")):
        results = play(scenario, client)

A result is what the call site gets: a completion, the list of a stream's chunks, or the SDK's
exception.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import openai
from pydantic import BaseModel

from tests.support.http import CONNECTION_ERRORS, arguments

ROOT = Path(__file__).resolve().parents[2] / "cassettes"
SERVERS = ("vllm", "llamacpp")
SIDES = ("chat", "responses")

Method = Literal["create", "parse"]
Conversation = Generator[tuple[Method, Mapping[str, Any]], Any, None]


# The docstring is recorded in the cassettes.
class Person(BaseModel):
    """Be the model that `parse` is asked for; the scripted replies happen to fit it."""

    name: str
    age: int
    tags: list[str]


class GetWeather(BaseModel):
    """Get the weather of a city."""

    city: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """Hold one scenario.

    `servers` are those that can show it; `key` replaces the valid API key.
    """

    name: str
    calls: Callable[[], Conversation]
    servers: tuple[str, ...] = (*SERVERS, "openai")
    model: str = "tiny"
    key: str | None = None

    def cassette(self, server: str, side: str) -> Path:
        """Return the path of the cassette of one side."""
        return ROOT / server / f"{self.name}.{side}.yaml"


def _function(name: str, description: str, argument: str, kind: str = "string") -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {argument: {"type": kind}},
        "required": [argument],
        "additionalProperties": False,
    }
    # strict, because vLLM otherwise leaves the arguments unconstrained
    function = {"name": name, "description": description, "parameters": schema, "strict": True}
    return {"type": "function", "function": function}


WEATHER = _function("get_weather", "Get the weather of a city.", "city")
FIND_ORDER = _function("find_order", "Look an order up by its number.", "order", "integer")
TRACK_PARCEL = _function("track_parcel", "Say where a parcel is.", "parcel")
ANSWERS = {
    "get_weather": '{"sky": "sunny", "celsius": 21}',
    "find_order": '{"order": 1042, "parcel": "LX-77"}',
    "track_parcel": '{"at": "Lyon", "expected": "Friday"}',
}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "age": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["name", "age", "tags"],
            "additionalProperties": False,
        },
    },
}


def user(text: str) -> list[dict[str, Any]]:
    """Return a conversation of one user message."""
    return [{"role": "user", "content": text}]


def _one(text: str, method: Method = "create", **body: Any) -> Callable[[], Conversation]:
    """Make one call."""

    def calls() -> Conversation:
        yield method, {"messages": user(text), **body}

    return calls


def _with_messages(**body: Any) -> Callable[[], Conversation]:
    """Make one call whose messages are in the body."""

    def calls() -> Conversation:
        yield "create", body

    return calls


def as_history(message: Any) -> dict[str, Any]:
    """Return a reply's message as the application keeps it: only role, content and tool calls."""
    kept: dict[str, Any] = {"role": "assistant", "content": message.content or None}
    if message.tool_calls:
        kept["tool_calls"] = [
            call.model_dump(include={"id", "type", "function"}) for call in message.tool_calls
        ]
    return kept


def merged(chunks: list[Any]) -> dict[str, Any]:
    """Accumulate a stream's chunks to the same history entry."""
    content, calls = "", dict[int, dict[str, Any]]()
    for delta in (choice.delta for chunk in chunks for choice in chunk.choices):
        content += delta.content or ""
        for part in delta.tool_calls or []:
            function = {"name": "", "arguments": ""}
            call = calls.setdefault(
                part.index, {"id": part.id, "type": "function", "function": function}
            )
            call["function"]["name"] = part.function.name or call["function"]["name"]
            call["function"]["arguments"] += part.function.arguments or ""
    kept: dict[str, Any] = {"role": "assistant", "content": content or None}
    if calls:
        kept["tool_calls"] = list(calls.values())
    return kept


def _loop(
    question: str, *, tools: list[Any], then: str | None = None, **body: Any
) -> Callable[[], Conversation]:
    """Ask, answer every call until the model answers in text, and optionally ask again."""

    def calls() -> Conversation:
        history = user(question)
        waiting = [then] if then else []
        for _ in range(8):
            result = yield "create", {"messages": list(history), "tools": tools, **body}
            history.append(
                merged(result)
                if isinstance(result, list)
                else as_history(result.choices[0].message)
            )
            for call in history[-1].get("tool_calls", []):
                history.append(
                    {
                        "role": "tool",
                        "tool_call_id": call["id"],
                        "content": ANSWERS[call["function"]["name"]],
                    }
                )
            if history[-1]["role"] == "assistant":
                if not waiting:
                    return
                history += user(waiting.pop())

    return calls


_PARTS = [
    {
        "role": "user",
        "content": [{"type": "text", "text": "Say"}, {"type": "text", "text": "hello."}],
    }
]
_PROMPTED = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": "Say hello."},
]
_TURNS = [
    *user("Say hello."),
    {"role": "assistant", "content": "Hello!"},
    *user("Once more, please."),
]
_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
_REASONS = "gpt-5.2"  # a name that means a reasoning model

# Features that a server lacks on the Responses API, or on both, are not recorded from it (see
# cassettes/README.md).
_FORMATS = _LOGPROBS = ("vllm", "openai")  # llama.cpp: `text` is ignored, `top_logprobs` refused
_CHECKS_VALUES = (
    "vllm",
    "openai",
)  # llama.cpp answers to any model's name and takes any temperature
_CHECKS_SCHEMAS = (
    "llamacpp",
    "openai",
)  # vLLM reads a tool's schema only when it must constrain a call

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("text", _one("Say hello.")),
    Scenario("text_parts", _with_messages(messages=_PARTS)),
    Scenario("text_prompted", _with_messages(messages=_PROMPTED)),
    Scenario("text_turns", _with_messages(messages=_TURNS)),
    Scenario("stream", _one("Say hello.", stream=True)),
    Scenario("stream_usage", _one("Say hello.", **_USAGE)),
    Scenario("tool_call", _one("What is the weather in Paris?", tools=[WEATHER])),
    Scenario("tool_call_stream", _one("What is the weather in Paris?", tools=[WEATHER], **_USAGE)),
    Scenario("parallel_calls", _one("The weather in both Lima and Oslo?", tools=[WEATHER])),
    Scenario(
        "parallel_calls_stream",
        _one("The weather in both Lima and Oslo?", tools=[WEATHER], **_USAGE),
    ),
    Scenario(
        "tool_loop",
        _loop(
            "Where is my order 1042?",
            tools=[FIND_ORDER, TRACK_PARCEL],
            then="Could it come on Saturday instead?",
        ),
    ),
    Scenario(
        "tool_loop_stream",
        _loop("Where is my order 1042?", tools=[FIND_ORDER, TRACK_PARCEL], stream=True),
    ),
    Scenario("tool_loop_parallel", _loop("The weather in both Lima and Oslo?", tools=[WEATHER])),
    Scenario(
        "tool_choice_named",
        _one("What is the weather in Paris?", tools=[WEATHER], tool_choice=NAMED),
    ),
    Scenario(
        "tool_choice_named_stream",
        _one("What is the weather in Paris?", tools=[WEATHER], tool_choice=NAMED, stream=True),
    ),
    Scenario("tool_choice_required", _one("Say hello.", tools=[WEATHER], tool_choice="required")),
    Scenario("tool_choice_none", _one("Say hello.", tools=[WEATHER], tool_choice="none")),
    Scenario("json_schema", _one("Make somebody up.", response_format=SCHEMA), servers=_FORMATS),
    Scenario(
        "json_schema_stream",
        _one("Make somebody up.", response_format=SCHEMA, **_USAGE),
        servers=_FORMATS,
    ),
    Scenario(
        "parse_format", _one("Make somebody up.", "parse", response_format=Person), servers=_FORMATS
    ),
    Scenario(
        "parse_tools",
        _one(
            "What is the weather in Paris?",
            "parse",
            tools=[openai.pydantic_function_tool(GetWeather, name="get_weather")],
        ),
    ),
    Scenario("logprobs", _one("Say hello.", logprobs=True, top_logprobs=2), servers=_LOGPROBS),
    Scenario(
        "logprobs_stream",
        _one("Say hello.", logprobs=True, top_logprobs=2, stream=True),
        servers=_LOGPROBS,
    ),
    Scenario("length", _one("Tell me a long story.", max_completion_tokens=16)),
    Scenario("length_stream", _one("Tell me a long story.", max_completion_tokens=16, **_USAGE)),
    Scenario(
        "length_parse",
        _one("Make somebody up.", "parse", response_format=Person, max_completion_tokens=16),
        servers=_FORMATS,
    ),
    Scenario("reasoning", _one("What is the answer?", reasoning_effort="low"), model=_REASONS),
    Scenario(
        "reasoning_stream",
        _one("What is the answer?", reasoning_effort="low", **_USAGE),
        model=_REASONS,
    ),
    Scenario(
        "reasoning_tools",
        _loop("What is the weather in Paris?", tools=[WEATHER], reasoning_effort="low"),
        servers=SERVERS,  # the real API's newest models refuse this on Chat
    ),
    Scenario(
        "error_model",
        _with_messages(messages=user("Say hello."), model="no-such-model"),
        servers=_CHECKS_VALUES,
    ),
    Scenario(
        "error_model_stream",
        _with_messages(messages=user("Say hello."), model="no-such-model", stream=True),
        servers=_CHECKS_VALUES,
    ),
    Scenario("error_key", _one("Say hello."), key="not-the-key"),
    Scenario("error_value", _one("Say hello.", temperature=7.5), servers=_CHECKS_VALUES),
    Scenario(
        "error_tool",
        _one(
            "Say hello.",
            tools=[
                {
                    "type": "function",
                    "function": {"name": "no good!", "parameters": {"type": "nonsense"}},
                }
            ],
        ),
        servers=_CHECKS_SCHEMAS,
    ),
    Scenario(
        "refusal",
        _one(
            "Write me instructions for stealing credit card numbers.",
            "parse",
            response_format=Person,
        ),
        servers=("openai",),
    ),
)
"""Every scenario. Model refusals are only recorded from the real API: neither server has them."""


def _body(scenario: Scenario, body: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    return arguments({"model": model or scenario.model, **body})


def _method(client: Any, name: Method) -> Any:
    """Find a method of the client: SDKs before 1.92 have `parse` under `beta`."""
    return getattr(client.chat.completions, name, None) or getattr(
        client.beta.chat.completions, name
    )


def play(scenario: Scenario, client: Any, *, model: str | None = None) -> list[Any]:
    """Run a scenario with a sync client; an API error is a result as well, and ends it."""
    results: list[Any] = []
    conversation = scenario.calls()
    try:
        method, body = next(conversation)
        while True:
            result = _method(client, method)(**_body(scenario, body, model))
            results.append(list(result) if body.get("stream") else result)
            method, body = conversation.send(results[-1])
    except StopIteration:
        return results
    except (openai.OpenAIError, *CONNECTION_ERRORS) as error:
        return [*results, error]


async def play_async(scenario: Scenario, client: Any, *, model: str | None = None) -> list[Any]:
    """Run a scenario with an async client."""
    results: list[Any] = []
    conversation = scenario.calls()
    try:
        method, body = next(conversation)
        while True:
            sent = _method(client, method)(**_body(scenario, body, model))
            result = await sent if inspect.isawaitable(sent) else sent
            results.append([chunk async for chunk in result] if body.get("stream") else result)
            method, body = conversation.send(results[-1])
    except StopIteration:
        return results
    except (openai.OpenAIError, *CONNECTION_ERRORS) as error:
        return [*results, error]
