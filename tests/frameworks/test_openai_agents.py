"""The OpenAI Agents SDK on its Chat Completions model.

Agents, their tools, handoffs, structured results and sessions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    MaxTurnsExceeded,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_default_openai_api,
    set_default_openai_client,
    set_tracing_disabled,
)
from agents.models import _openai_shared
from pydantic import BaseModel

import adapter
from tests.frameworks.harness import Comparison, Side, plain

HELLO = "Hello! I am a tiny scripted model, so this reply is always the same."
SUNNY = "It is sunny and 21 degrees in Paris today :)"
ON_ITS_WAY = (
    "Your order 1042 is in parcel LX-77, which left Lyon this morning and arrives on Friday."
)
SATURDAY = "Yes: tell the carrier before Thursday noon, and parcel LX-77 comes on Saturday instead."

WEATHER = "What is the weather in Paris?"
BOTH = "The weather in both Lima and Oslo?"
ORDER = "Where is my order 1042?"

# by default the framework requests it for OpenAI's own address
USAGE = ModelSettings(include_usage=True)

set_tracing_disabled(True)


# The docstring is recorded in the cassettes.
class Person(BaseModel):
    """Be the result that an agent is asked for."""

    name: str
    age: int
    tags: list[str]


PERSON = Person(name="Paris", age=42, tags=["Paris"])


@function_tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return json.dumps({"city": city, "sky": "sunny"})


@function_tool
def find_order(order: int) -> str:
    """Look an order up by its number."""
    return json.dumps({"order": order, "parcel": "LX-77"})


# The docstring is recorded in the cassettes.
@function_tool
def track_parcel(parcel: str) -> str:
    """Say where a parcel is."""
    return json.dumps({"parcel": parcel, "at": "Lyon"})


def agent(side: Side, *tools: Any, **options: Any) -> Agent[Any]:
    """Make an agent on the side's client."""
    model = OpenAIChatCompletionsModel("tiny", openai_client=side.async_openai())
    return Agent(
        name="Teller", **{"model": model, "model_settings": USAGE, "tools": list(tools), **options}
    )


def run_fields(result: Any) -> dict[str, Any]:
    """Return everything that a run gives to its caller."""
    return {
        "output": result.final_output,
        "agent": result.last_agent.name,
        "items": [type(item).__name__ for item in result.new_items],
        "history": result.to_input_list(),
        "replies": result.raw_responses,
        "usage": result.context_wrapper.usage,
    }


def calls(outcome: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """List the tool calls of an outcome's history."""
    asked = [item for item in outcome["history"] if item.get("type") == "function_call"]
    return [(item["name"], json.loads(item["arguments"])) for item in asked]


def kind(event: Any) -> str:
    """Return the kind of a streamed run's event."""
    if event.type == "raw_response_event":
        return str(event.data.type)
    return str(getattr(event, "name", event.type))


async def streamed(result: Any) -> dict[str, Any]:
    """Read a streamed run to its end.

    Servers cut their replies differently, so events of one kind in a row count once.
    """
    events = [event async for event in result.stream_events()]
    deltas = [
        event.data
        for event in events
        if event.type == "raw_response_event" and event.data.type.endswith(".delta")
    ]
    return {
        **run_fields(result),
        "events": [name for name, _ in groupby(kind(event) for event in events)],
        "text": "".join(each.delta for each in deltas if each.type == "response.output_text.delta"),
        "arguments": "".join(
            each.delta for each in deltas if each.type == "response.function_call_arguments.delta"
        ),
    }


async def ran(made: Agent[Any], question: Any, *, stream: bool, **options: Any) -> dict[str, Any]:
    """Run an agent in either way."""
    if stream:
        return await streamed(Runner.run_streamed(made, question, **options))
    return run_fields(await Runner.run(made, question, **options))


either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@either_way
def test_text(comparison: Comparison, stream: bool) -> None:
    async def run(side: Side) -> Any:
        return await ran(agent(side, instructions="Be brief."), "Say hello.", stream=stream)

    outcome = comparison.compare("text_stream" if stream else "text", run)
    assert outcome["output"] == HELLO
    assert outcome["items"] == ["MessageOutputItem"]
    assert outcome["usage"]["output_tokens"] == 17
    assert not stream or outcome["text"] == HELLO


@either_way
def test_tool_loop(comparison: Comparison, stream: bool) -> None:
    async def run(side: Side) -> Any:
        return await ran(agent(side, find_order, track_parcel), ORDER, stream=stream)

    outcome = comparison.compare("tool_loop_stream" if stream else "tool_loop", run)
    assert outcome["output"] == ON_ITS_WAY
    assert calls(outcome) == [
        ("find_order", {"order": 1042}),
        ("track_parcel", {"parcel": "LX-77"}),
    ]
    assert outcome["usage"]["requests"] == 3
    assert not stream or outcome["events"].count("tool_output") == 2


@either_way
def test_parallel_calls(comparison: Comparison, stream: bool) -> None:
    async def run(side: Side) -> Any:
        return await ran(agent(side, get_weather), BOTH, stream=stream)

    outcome = comparison.compare("parallel_stream" if stream else "parallel", run)
    assert calls(outcome) == [("get_weather", {"city": "Lima"}), ("get_weather", {"city": "Oslo"})]
    answers = [
        json.loads(item["output"])
        for item in outcome["history"]
        if item.get("type") == "function_call_output"
    ]
    assert [answer["city"] for answer in answers] == ["Lima", "Oslo"]
    assert outcome["output"] == SUNNY


@either_way
def test_output_type(recorded_comparison: Comparison, stream: bool) -> None:
    async def run(side: Side) -> Any:
        return await ran(agent(side, output_type=Person), "Make somebody up.", stream=stream)

    outcome = recorded_comparison.compare("output_type_stream" if stream else "output_type", run)
    assert outcome["output"] == plain(PERSON)


def test_output_type_after_a_tool(recorded_comparison: Comparison) -> None:
    # One request has both tools and a JSON schema; the named tool is replaced by the schema once it
    # has answered.
    async def run(side: Side) -> Any:
        forced = ModelSettings(tool_choice="get_weather")
        return await ran(
            agent(side, get_weather, output_type=Person, model_settings=forced),
            WEATHER,
            stream=False,
        )

    outcome = recorded_comparison.compare("output_type_tools", run)
    assert [name for name, _ in calls(outcome)] == ["get_weather"]
    assert outcome["output"] == plain(PERSON)


@pytest.mark.parametrize("choice", ["required", "get_weather"])
def test_tool_choice(recorded_comparison: Comparison, choice: str) -> None:
    async def run(side: Side) -> Any:
        forced = ModelSettings(tool_choice=choice, parallel_tool_calls=False)
        return await ran(
            agent(side, get_weather, model_settings=forced), "Say hello.", stream=False
        )

    outcome = recorded_comparison.compare(
        "tool_required" if choice == "required" else "tool_named", run
    )
    assert calls(outcome) == [("get_weather", {"city": "Paris"})]
    assert outcome["output"] == SUNNY


def test_handoff(recorded_comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        other = agent(side).clone(name="Clerk", handoff_description="Knows it.")
        first = agent(side, handoffs=[other], model_settings=ModelSettings(tool_choice="required"))
        return await ran(first, "Say hello.", stream=False)

    outcome = recorded_comparison.compare("handoff", run)
    assert outcome["agent"] == "Clerk"
    assert outcome["items"] == ["HandoffCallItem", "HandoffOutputItem", "MessageOutputItem"]


def test_agent_as_a_tool(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        inner = agent(side, instructions="Be kind.").as_tool(
            "get_weather", "Get the weather of a city."
        )
        return await ran(agent(side, inner), WEATHER, stream=False)

    outcome = comparison.compare("agent_tool", run)
    assert outcome["output"] == SUNNY
    assert HELLO in [item.get("output") for item in outcome["history"]]


def test_session(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        session = SQLiteSession("somebody")
        made = agent(side, find_order, track_parcel)
        outcomes = [
            await ran(made, question, stream=False, session=session)
            for question in (ORDER, "Could it come on Saturday instead?")
        ]
        return {"turns": outcomes, "kept": await session.get_items()}

    outcome = comparison.compare("session", run)
    assert [turn["output"] for turn in outcome["turns"]] == [ON_ITS_WAY, SATURDAY]
    assert len(outcome["kept"]) == 8


@pytest.mark.parametrize("first", ["chat", "responses"])
@pytest.mark.server
def test_the_flag_flips_in_mid_conversation(way_in: str, live: Any, first: str) -> None:
    async def run(side: Side) -> Any:
        made = agent(side, get_weather)
        with adapter.use(backend=first):
            before = await Runner.run(made, WEATHER)
        after = await Runner.run(made, [*before.to_input_list(), {"role": "user", "content": BOTH}])
        return {**run_fields(after), "before": run_fields(before)}

    comparison = Comparison("openai_agents", way_in, live)
    steady, flipped = (
        plain(comparison.side(backend).play(run))
        for backend in (first, {"chat": "responses", "responses": "chat"}[first])
    )
    assert flipped == steady
    assert [city for _, city in calls(flipped)] == [
        {"city": "Paris"},
        {"city": "Lima"},
        {"city": "Oslo"},
    ]


def test_one_agent_chooses_for_itself(comparison: Comparison) -> None:
    # The header has precedence over `use()`: this agent alone decided where the requests went,
    # which `compare` checks.
    async def run(side: Side) -> Any:
        own = ModelSettings(extra_headers={"x-adapter-backend": side.backend})
        with adapter.use(backend={"chat": "responses", "responses": "chat"}[side.backend]):
            return await ran(agent(side, get_weather, model_settings=own), WEATHER, stream=False)

    assert comparison.compare("header", run)["output"] == SUNNY


@contextmanager
def default_client(client: openai.AsyncOpenAI) -> Iterator[None]:
    """Make a client the framework's default for Chat Completions, until the block ends."""
    client_before, responses_before = (
        _openai_shared._default_openai_client,
        _openai_shared._use_responses_by_default,
    )
    set_default_openai_client(client, use_for_tracing=False)
    set_default_openai_api("chat_completions")
    try:
        yield
    finally:
        _openai_shared._default_openai_client = client_before
        _openai_shared._use_responses_by_default = responses_before


def test_default_client(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        with default_client(side.async_openai()):
            return run_fields(
                await Runner.run(Agent(name="Teller", model="tiny", tools=[get_weather]), WEATHER)
            )

    assert comparison.compare("default_client", run)["output"] == SUNNY


def test_cut_short(recorded_comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        short = ModelSettings(max_tokens=16)
        return await ran(agent(side, model_settings=short), "Tell me a long story.", stream=False)

    outcome = recorded_comparison.compare("length", run)
    assert outcome["output"].startswith("Once upon word1")
    assert outcome["usage"]["output_tokens"] == 16


@either_way
def test_wrong_key(comparison: Comparison, stream: bool) -> None:
    async def run(side: Side) -> Any:
        model = OpenAIChatCompletionsModel(
            "tiny", openai_client=side.async_openai(api_key="not-the-key")
        )
        with pytest.raises(openai.APIStatusError) as caught:
            await ran(Agent(name="Teller", model=model), "Say hello.", stream=stream)
        return {"error": type(caught.value).__name__, "status": caught.value.status_code}

    outcome = comparison.compare("wrong_key_stream" if stream else "wrong_key", run)
    assert outcome == {"error": "AuthenticationError", "status": 401}


@either_way
def test_too_many_turns(comparison: Comparison, stream: bool) -> None:
    async def run(side: Side) -> Any:
        with pytest.raises(MaxTurnsExceeded) as caught:
            await ran(agent(side, find_order, track_parcel), ORDER, stream=stream, max_turns=2)
        return [type(item).__name__ for item in caught.value.run_data.new_items]

    outcome = comparison.compare("turns_stream" if stream else "turns", run)
    assert outcome == ["ToolCallItem", "ToolCallOutputItem"] * 2


@pytest.mark.server
def test_stream_left_early(way_in: str, live: Any, backend: str) -> None:
    async def run(side: Side) -> Any:
        result = Runner.run_streamed(agent(side), "Tell me a long story.")
        async for event in result.stream_events():
            if kind(event) == "response.output_text.delta":
                result.cancel()
        return result.is_complete, result.final_output

    assert Comparison("openai_agents", way_in, live).side(backend).play(run) == (True, None)
