"""Strands Agents: its agent, whose model makes an asynchronous SDK client for each request."""

from __future__ import annotations

from typing import Any

import openai
from pydantic import BaseModel, Field
from strands import Agent, tool
from strands.agent.conversation_manager import NullConversationManager
from strands.models.openai import OpenAIModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, refuse, say, say_json

APP = App(shows=("strands-agents",), wired="client=; openai.AsyncOpenAI replaced")


class Dog(BaseModel):
    """A dog."""

    name: str = Field(description="What it is called")
    age: int


def model(wired: Wired, *, stream: bool = True, **params: Any) -> OpenAIModel:
    """Make a model on a client of ours, for one event loop."""
    return OpenAIModel(wired.async_openai(), model_id=wired.model, params=params, stream=stream)


def agent(wired: Wired, **options: Any) -> Agent:
    """Make an agent with a tool that notes when it runs."""

    @tool
    def get_weather(city: str) -> str:
        """Tell the weather in a city.

        Args:
            city: The city.
        """
        wired.note("get_weather", city)
        return f"Rain in {city}"

    return Agent(**{"model": model(wired), "tools": [get_weather], **options})


def told(made: Agent, result: Any) -> Any:
    """Give what came of a run, and what the agent remembers of it."""
    metrics = result.metrics
    calls = {name: each.call_count for name, each in metrics.tool_metrics.items()}
    return {
        "text": str(result), "stop": result.stop_reason, "structured": result.structured_output, "calls": calls,
        "messages": timeless(made.messages), "usage": metrics.accumulated_usage, "cycles": metrics.cycle_count,
    }  # fmt: skip


def timeless(value: Any) -> Any:
    """Leave out what was measured with a clock."""
    if isinstance(value, dict):
        return {
            key: timeless(each)
            for key, each in value.items()
            if key not in ("metrics", "latencyMs")
        }
    return [timeless(each) for each in value] if isinstance(value, list) else value


@APP.scenario(say("Hello there, how are you?"))
def printed(wired: Wired) -> Any:
    params = {"temperature": 0.5, "max_completion_tokens": 100, "top_p": 0.9, "user": "ann"}
    made = Agent(model(wired, **params), system_prompt="Be brief.")
    return told(made, made("Say hello."))


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains."))
def whole(wired: Wired) -> Any:
    made = agent(wired, model=model(wired, stream=False, max_tokens=100))
    return told(made, made("How is the weather?"))


@APP.scenario(say("Hello there.", finish="length"))
def cut_short(wired: Wired) -> Any:
    return Agent(model(wired, max_tokens=16))("Say hello.")


@APP.scenario(
    say("Let me look.", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("It rains."),
)
def tools(wired: Wired) -> Any:
    made = agent(wired)
    return told(made, made("How is the weather?"))


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains."))
def clients_of_its_own(wired: Wired) -> Any:
    wired.replace(openai, "AsyncOpenAI")
    made = agent(wired, model=OpenAIModel(client_args=wired.where, model_id=wired.model))
    return told(made, made("How is the weather?"))


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains."))
async def streamed(wired: Wired) -> Any:
    kinds = ("data", "event", "message", "current_tool_use")
    events = [
        event
        async for event in agent(wired, callback_handler=None).stream_async("How is the weather?")
    ]
    return [timeless({key: event[key] for key in kinds if key in event}) for event in events]


@APP.scenario(say("", call("Dog", name="Rex", age=3)))
def structured(wired: Wired) -> Any:
    made = agent(wired)
    return told(made, made("Invent a dog.", structured_output_model=Dog))


@APP.scenario(say_json({"name": "Rex", "age": 3}), refuse("No dogs."))
async def parsed(wired: Wired) -> Any:
    asked = [{"role": "user", "content": [{"text": "Invent a dog."}]}]
    own = model(wired)
    first = [event async for event in own.structured_output(Dog, asked)]
    try:
        return first, [event async for event in own.structured_output(Dog, asked)]
    except ValueError as error:
        return first, error


@APP.scenario(say("My name is Ann."), say("You asked for my name."))
async def conversation(wired: Wired) -> Any:
    made = Agent(model(wired))
    first = told(made, await made.invoke_async("What is your name?"))
    return first, told(made, await made.invoke_async("What did I ask?"))


@APP.scenario(say("A red square."))
def image(wired: Wired) -> Any:
    picture = {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n" + bytes(24)}}
    return str(Agent(model(wired))([{"text": "What is this?"}, {"image": picture}]))


@APP.scenario(say("One two STOP three"), say("Again."))
async def options_of_chat_alone(wired: Wired) -> Any:
    stopped = await Agent(model(wired, stop=["STOP"])).invoke_async("Count.")
    return str(stopped), str(
        await Agent(model(wired, seed=7, presence_penalty=0.5)).invoke_async("Again.")
    )


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return str(Agent(model(wired))("Wake up."))


@APP.scenario(fail(400, "Too much.", code="context_length_exceeded"))
def too_long(wired: Wired) -> Any:
    return str(Agent(model(wired), conversation_manager=NullConversationManager())("Talk."))


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return str(Agent(model(wired))("Hurry."))
