"""CrewAI: its own OpenAI provider, alone and under crews, which reads raw replies before it parses them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from crewai import LLM, Agent, Crew, Process, Task
from crewai.events import crewai_event_bus
from crewai.llms.providers.openai import completion
from crewai.tools import tool
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import Step, call, fail, say, say_json

APP = App(shows=("crewai",), wired="OpenAI and AsyncOpenAI of its provider's module replaced")


def scenario(*script: Step) -> Callable[[Any], Any]:
    """Add a scenario that ends when its events have been told: they are printed in a thread."""

    def add(run: Any) -> Any:
        @functools.wraps(run)
        def whole(wired: Wired) -> Any:
            try:
                return run(wired)
            finally:
                crewai_event_bus.flush()

        @functools.wraps(run)
        async def asynchronous(wired: Wired) -> Any:
            try:
                return await run(wired)
            finally:
                crewai_event_bus.flush()

        return APP.scenario(*script)(asynchronous if inspect.iscoroutinefunction(run) else whole)

    return add


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


def model(wired: Wired, **options: Any) -> Any:
    """Make a model; it makes its clients at once."""
    wired.replace(completion, "OpenAI", "AsyncOpenAI")
    return LLM(
        model=f"openai/{wired.model}", base_url=wired.base_url, api_key=wired.api_key, **options
    )


def crew(wired: Wired, *, output: type[BaseModel] | None = None, **options: Any) -> Crew:
    """Make a crew of one with a tool that notes when it runs."""

    @tool("get_weather")
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        wired.note("get_weather", city)
        return f"Rain in {city}"

    tools = [] if output else [get_weather]
    agent = Agent(
        role="Teller",
        goal="Tell the weather.",
        backstory="Has a window.",
        llm=model(wired, **options),
        tools=tools,
    )
    task = Task(
        description="How is the weather in {city}?",
        expected_output="A line.",
        agent=agent,
        output_pydantic=output,
    )
    return Crew(agents=[agent], tasks=[task], process=Process.sequential)


def told(result: Any) -> Any:
    """Give what a crew came to."""
    tasks = [[each.raw, each.pydantic, each.agent] for each in result.tasks_output]
    return {
        "raw": result.raw,
        "pydantic": result.pydantic,
        "tasks": tasks,
        "usage": result.token_usage,
    }


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@scenario(say("Hello there, how are you?"), say("Hello,\nAnn."))
def model_alone(wired: Wired) -> Any:
    options = {"temperature": 0.5, "max_completion_tokens": 100, "top_p": 0.9}
    whole, streamed = model(wired, **options), model(wired, stream=True)
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]
    return (
        whole.call(said),
        whole.get_token_usage_summary(),
        streamed.call("Hello."),
        streamed.get_token_usage_summary(),
    )


@scenario(*[say("", call("get_weather", city="Oslo"))] * 3)
def model_with_functions(wired: Wired) -> Any:
    functions = {"get_weather": lambda city: wired.note(city) or f"Rain in {city}"}
    ran = [
        model(wired, stream=stream).call("Weather?", [TOOL], available_functions=functions)
        for stream in (False, True)
    ]
    return ran, model(wired).call("Weather?", [TOOL])


@scenario(*[say_json({"name": "Rex", "age": 3})] * 3)
def model_structured(wired: Wired) -> Any:
    whole = model(wired).call("Invent a dog.", response_model=Dog)
    streamed = model(wired, stream=True).call("Invent a dog.", response_model=Dog)
    return whole, streamed, model(wired, response_format=Dog).call("Invent a dog.")


@scenario(say("Hello."), say("Hello,\nAnn."), say_json({"name": "Rex", "age": 3}))
async def model_async(wired: Wired) -> Any:
    whole, streamed = model(wired), model(wired, stream=True)
    return (
        await whole.acall("Hello."),
        await streamed.acall("Hello."),
        await whole.acall("A dog.", response_model=Dog),
    )


@scenario(say("", call("get_weather", city="Oslo")), say("It rains in Oslo."))
def crew_whole(wired: Wired) -> Any:
    return told(crew(wired).kickoff({"city": "Oslo"}))


@scenario(say("Let me look.", call("get_weather", city="Oslo")), say("It rains in Oslo."))
def crew_streamed(wired: Wired) -> Any:
    return told(crew(wired, stream=True).kickoff({"city": "Oslo"}))


@scenario(say("", call("get_weather", city="Oslo")), say("It rains in Oslo."))
async def crew_async(wired: Wired) -> Any:
    return told(await crew(wired).akickoff({"city": "Oslo"}))


@scenario(say_json({"name": "Rex", "age": 3}), say_json({"name": "Rex", "age": 3}))
def crew_structured(wired: Wired) -> Any:
    return told(crew(wired, output=Dog).kickoff({"city": "Oslo"}))


@scenario(say("One two STOP three"), say("Again."), say("Too", finish="length"))
def options_of_chat_alone(wired: Wired) -> Any:
    stopped = model(wired, stop=["STOP"]).call("Count.")
    again = model(wired, seed=7, presence_penalty=0.5, logprobs=True).call("Again.")
    return stopped, again, model(wired, max_tokens=16).call("Talk.")


@scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return model(wired).call("Wake up.")


@scenario(fail(400, "Too long.", code="context_length_exceeded"))
def too_long(wired: Wired) -> Any:
    return model(wired).call("Talk.")


@scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return model(wired).call("Hurry.")
