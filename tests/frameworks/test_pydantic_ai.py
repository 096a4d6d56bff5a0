"""Run pydantic-ai's agents: plain, streamed, with tools and with typed output."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    ModelHTTPError,
    ModelSettings,
    NativeOutput,
    PromptedOutput,
    ToolOutput,
)
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.frameworks.harness import Comparison, Side, plain

HELLO = "Hello! I am a tiny scripted model, so this reply is always the same."
SUNNY = "It is sunny and 21 degrees in Paris today :)"


# The docstring is recorded in the cassettes.
class Person(BaseModel):
    """Somebody."""

    name: str
    age: int
    tags: list[str]


PARIS = Person(name="Paris", age=42, tags=["Paris"])


def model(side: Side, name: str = "tiny") -> OpenAIChatModel:
    """Wire pydantic-ai's model in each of the three ways."""
    if side.way_in == "http_client":
        provider = OpenAIProvider(**side.where, http_client=side.async_http_client())
    elif side.way_in == "client":
        provider = OpenAIProvider(openai_client=side.async_openai())
    else:  # pydantic-ai makes the client; the adapter is installed on it
        provider = OpenAIProvider(**side.where)
        side.adapt(provider.client)
    return OpenAIChatModel(name, provider=provider)


def weather_agent(side: Side, asked: list[str]) -> Agent[None, str]:
    agent = Agent(model(side))

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        asked.append(city)
        return "sunny, 21 degrees"

    return agent


def settled(events: list[Any]) -> list[Any]:
    """Merge the deltas of each part into its start.

    Servers cut a call's arguments differently, first piece included.
    """
    kept: list[Any] = []
    for event in plain(events):
        if event["event_kind"] == "part_delta":
            start = next(each for each in reversed(kept) if each["event_kind"] == "part_start")
            assert start["index"] == event["index"]
            delta, part = event["delta"], start["part"]
            key = "args" if delta["part_delta_kind"] == "tool_call" else "content"
            part[key] = (part[key] or "") + delta[f"{key}_delta"]
        else:
            kept.append(event)
    return kept


def test_run(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        result = await Agent(model(side), instructions="Be brief.").run("Say hello.")
        return {"output": result.output, "messages": result.all_messages(), "usage": result.usage}

    outcome = comparison.compare("run", run)
    assert outcome["output"] == HELLO
    assert outcome["usage"]["output_tokens"] > 5
    assert outcome["messages"][-1]["finish_reason"] == "stop"


def test_run_sync(comparison: Comparison) -> None:
    def run(side: Side) -> Any:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)  # where `run_sync` runs
        try:
            result = Agent(model(side), instructions="Be brief.").run_sync("Say hello.")
            loop.run_until_complete(side.aclose())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        return {"output": result.output, "messages": result.all_messages()}

    assert comparison.compare("run", run)["output"] == HELLO


def test_run_stream(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        async with Agent(model(side)).run_stream("Say hello.") as result:
            deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
        return {"deltas": deltas, "messages": result.all_messages(), "usage": result.usage}

    outcome = comparison.compare("run_stream", run)
    assert "".join(outcome["deltas"]) == HELLO
    assert len(outcome["deltas"]) > 3
    assert outcome["usage"]["output_tokens"] > 5


def test_tools(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        asked: list[str] = []
        result = await weather_agent(side, asked).run("What is the weather in Paris?")
        return {
            "asked": asked,
            "output": result.output,
            "messages": result.all_messages(),
            "usage": result.usage,
        }

    outcome = comparison.compare("tools", run)
    assert outcome["asked"] == ["Paris"]
    assert outcome["output"] == SUNNY
    assert outcome["usage"]["requests"] == 2
    call, returned = outcome["messages"][1]["parts"][-1], outcome["messages"][2]["parts"][0]
    assert call["tool_call_id"] == returned["tool_call_id"]


def test_tools_streamed(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        asked: list[str] = []
        # The graph's own iteration: each event of each model request, and of the tools between
        # them.
        async with weather_agent(side, asked).run_stream_events(
            "What is the weather in Paris?"
        ) as stream:
            events = [event async for event in stream]
        deltas = sum(event.event_kind == "part_delta" for event in events)
        return {
            "asked": asked,
            "in pieces": deltas > 5,
            "events": settled(events),
            "output": events[-1].result.output,
        }

    outcome = comparison.compare("tools_streamed", run)
    assert outcome["asked"] == ["Paris"]
    assert outcome["output"] == SUNNY
    assert outcome["in pieces"]
    kinds = {event["event_kind"] for event in outcome["events"]}
    assert kinds > {
        "part_start",
        "part_end",
        "function_tool_call",
        "function_tool_result",
        "agent_run_result",
    }


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        pytest.param("native_output", NativeOutput(Person), id="json schema"),
        pytest.param("tool_output", ToolOutput(Person), id="a required tool"),
    ],
)
def test_output_type(recorded_comparison: Comparison, name: str, wanted: Any) -> None:
    async def run(side: Side) -> Any:
        result = await Agent(model(side), output_type=wanted).run("Make somebody up.")
        assert result.output == PARIS
        return {"output": result.output, "messages": result.all_messages(), "usage": result.usage}

    outcome = recorded_comparison.compare(name, run)
    assert outcome["output"]["age"] == 42


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        pytest.param("native_output_streamed", NativeOutput(Person), id="json schema"),
        pytest.param("tool_output_streamed", ToolOutput(Person), id="a required tool"),
    ],
)
def test_output_type_streamed(recorded_comparison: Comparison, name: str, wanted: Any) -> None:
    async def run(side: Side) -> Any:
        async with Agent(model(side), output_type=wanted).run_stream("Make somebody up.") as result:
            partial = [plain(output) async for output in result.stream_output(debounce_by=None)]
        return {"partial": partial, "messages": result.all_messages()}

    outcome = recorded_comparison.compare(name, run)
    assert outcome["partial"][-1] == plain(PARIS)


def test_prompted_output_gives_up_alike(comparison: Comparison) -> None:
    # The scripted model answers a prompt for JSON with its usual text: the framework retries, then
    # fails.
    async def run(side: Side) -> Any:
        agent = Agent(model(side), output_type=PromptedOutput(Person), retries=1)
        with pytest.raises(Exception, match="retries") as failure:
            await agent.run("Make somebody up.")
        return failure.value

    assert comparison.compare("prompted_output", run)[""] == "UnexpectedModelBehavior"


def test_errors(recorded_comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        agent = Agent(model(side), model_settings=ModelSettings(temperature=9.0))
        with pytest.raises(ModelHTTPError) as failure:
            await agent.run("Say hello.")
        return {"status": failure.value.status_code, "model": failure.value.model_name}

    assert recorded_comparison.compare("error", run)["status"] == 400
