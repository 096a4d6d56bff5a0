"""autogen: agents and teams whose model client sends a `name` with each user's message, unless it is told not to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat
from autogen_core import CancellationToken
from autogen_core.models import SystemMessage, UserMessage
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, refuse, say, say_json

APP = App(
    shows=("autogen-ext", "autogen-agentchat"),
    wired="http_client=AsyncClient(transport=AsyncTransport())",
)


class Book(BaseModel):
    """A book."""

    title: str
    pages: int


def model(wired: Wired, **more: Any) -> OpenAIChatCompletionClient:
    """Make the model's client."""
    return OpenAIChatCompletionClient(
        model=wired.model, **wired.where, http_client=wired.async_http_client(), **more
    )


def weather(wired: Wired) -> FunctionTool:
    """Make a tool that says when it runs."""

    async def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        await asyncio.sleep(0)
        wired.note("get_weather", city)
        return f"Rain in {city}"

    return FunctionTool(get_weather, description="Tell the weather in a city.")


ASKED = [SystemMessage(content="Be brief."), UserMessage(content="Say hello.", source="user")]


@APP.scenario(say("Hello there."), say("Hello there, streamed."))
async def client(wired: Wired) -> Any:
    made = model(wired, temperature=0.5, max_tokens=100)
    whole = await made.create(ASKED)
    pieces = [piece async for piece in made.create_stream(ASKED)]
    return whole, pieces, made.actual_usage(), made.total_usage()


@APP.scenario(say("Hello there."), say("Hello there, streamed."), say("One STOP two"))
async def client_without_names(wired: Wired) -> Any:
    made = model(wired, include_name_in_message=False)
    whole = await made.create(ASKED)
    pieces = [piece async for piece in made.create_stream(ASKED, include_usage=True)]
    return (
        whole,
        pieces,
        made.actual_usage(),
        await made.create(ASKED, extra_create_args={"stop": "STOP"}),
    )


@APP.scenario(
    say("", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("It rains in both."),
)
async def tool_agent(wired: Wired) -> Any:
    agent = AssistantAgent(
        "teller",
        model(wired),
        tools=[weather(wired)],
        reflect_on_tool_use=True,
        max_tool_iterations=2,
    )
    return await agent.run(task="How is the weather?")


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains."))
async def tool_agent_without_names(wired: Wired) -> Any:
    made = model(wired, include_name_in_message=False, parallel_tool_calls=False)
    agent = AssistantAgent("teller", made, tools=[weather(wired)], reflect_on_tool_use=True)
    return await agent.run(task="How is the weather?")


@APP.scenario(say("Let me look.", call("get_weather", city="Oslo")), say("It rains, streamed."))
async def tool_agent_streamed(wired: Wired) -> Any:
    made = model(wired, include_name_in_message=False)
    agent = AssistantAgent(
        "teller", made, tools=[weather(wired)], reflect_on_tool_use=True, model_client_stream=True
    )
    return [event async for event in agent.run_stream(task="How is the weather?")]


@APP.scenario(
    say("", call("get_weather", city="Oslo")),
    say("", call("get_weather", city="Rome")),
    say("It rains."),
)
async def tool_agent_that_reasons(wired: Wired) -> Any:
    made = model(replace(wired, model="gpt-5-mini"), include_name_in_message=False)
    agent = AssistantAgent(
        "teller", made, tools=[weather(wired)], reflect_on_tool_use=True, max_tool_iterations=3
    )
    return await agent.run(task="How is the weather?")


@APP.scenario(say_json({"title": "The Moth", "pages": 12}), say_json({"ok": True}))
async def structured(wired: Wired) -> Any:
    agent = AssistantAgent(
        "writer", model(wired, include_name_in_message=False), output_content_type=Book
    )
    return await agent.run(task="Invent a book."), await model(wired).create(
        ASKED, json_output=True
    )


@APP.scenario(say("First thought."), say("Second thought."), say("APPROVE"))
async def team(wired: Wired) -> Any:
    made = model(wired)
    agents = [
        AssistantAgent(name, made, system_message=f"You are {name}.")
        for name in ("writer", "critic")
    ]
    chat = RoundRobinGroupChat(
        agents, termination_condition=TextMentionTermination("APPROVE") | MaxMessageTermination(6)
    )
    return await chat.run(task="Write a line.")


@APP.scenario(say("critic"), say("I am the critic."), say("writer"), say("APPROVE"))
async def selector(wired: Wired) -> Any:
    made = model(wired, include_name_in_message=False)
    agents = [AssistantAgent(name, made, description=f"A {name}.") for name in ("writer", "critic")]
    chat = SelectorGroupChat(agents, made, termination_condition=TextMentionTermination("APPROVE"))
    return await chat.run(task="Write a line.")


@APP.scenario(say("I am Ann."), say("You said so."))
async def kept_and_loaded(wired: Wired) -> Any:
    agent = AssistantAgent("teller", model(wired))
    await agent.on_messages(
        [TextMessage(content="Who are you?", source="user")], CancellationToken()
    )
    state = await agent.save_state()
    other = AssistantAgent("teller", model(wired))
    await other.load_state(state)
    return state, await other.on_messages(
        [TextMessage(content="Who?", source="user")], CancellationToken()
    )


@APP.scenario(refuse("I won't."))
async def refused(wired: Wired) -> Any:
    return await model(wired, include_name_in_message=False).create(ASKED)


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
async def tried_again(wired: Wired) -> Any:
    return await model(wired).create(ASKED)


@APP.scenario(fail(400, "Too long.", code="context_length_exceeded"))
async def failed(wired: Wired) -> Any:
    return await AssistantAgent("teller", model(wired)).run(task="Say hello.")
