"""smolagents, whose agents ask for tool calls or write code that they then run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smolagents import ChatMessage, CodeAgent, OpenAIModel, Tool, ToolCallingAgent, tool

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, refuse, say, say_json

APP = App(shows=("smolagents",), wired="install(model.client)")


def model(wired: Wired, **options: Any) -> OpenAIModel:
    """Make a model, with the adapter in the client that it has made."""
    made = OpenAIModel(wired.model, api_base=wired.base_url, api_key=wired.api_key, **options)
    wired.install(made.client)
    return made


def weather(wired: Wired) -> Tool:
    """Make a tool that says when it runs."""

    @tool
    def get_weather(city: str) -> str:
        """Tell the weather in a city.

        Args:
            city: The city.
        """
        wired.note("get_weather", city)
        return f"Rain in {city}"

    return get_weather


def steps(agent: Any) -> list[Any]:
    """Give what an agent remembers of its steps."""
    kept = [step.dict() for step in agent.memory.steps]
    return [
        {key: value for key, value in step.items() if key not in ("timing", "model_input_messages")}
        for step in kept
    ]


FINAL = call("final_answer", answer="It rains in both.")
CODE = "Thought: I look.\n<code>\nprint(get_weather('Oslo'))\n</code>"
DONE = "Thought: I know.\n<code>\nfinal_answer('Rain, as ever')\n</code>"


@APP.scenario(say("Hello there."), say("Streamed to you."))
def generate(wired: Wired) -> Any:
    asked = [ChatMessage(role="user", content=[{"type": "text", "text": "Say hello."}])]
    made = model(wired, temperature=0.3, max_tokens=50)
    whole = made.generate(asked)
    return whole, list(made.generate_stream(asked))


@APP.scenario(say("One two Observation: three"), say("One two Observation: three"))
def stop_sequences(wired: Wired) -> Any:
    asked = [ChatMessage(role="user", content=[{"type": "text", "text": "Count."}])]
    made = model(wired)
    return made.generate(asked, stop_sequences=["Observation:"]), list(
        made.generate_stream(asked, stop_sequences=["Observation:"])
    )


@APP.scenario(
    say("", call("get_weather", city="Oslo")),
    say("", call("get_weather", city="Rome")),
    say("", FINAL),
)
def tool_agent(wired: Wired) -> Any:
    agent = ToolCallingAgent(tools=[weather(wired)], model=model(wired), verbosity_level=2)
    return (
        agent.run("How is the weather in Oslo and in Rome?"),
        steps(agent),
        agent.monitor.get_total_token_counts(),
    )


@APP.scenario(say("I look.", call("get_weather", city="Oslo")), say("", FINAL))
def tool_agent_streamed(wired: Wired) -> Any:
    agent = ToolCallingAgent(tools=[weather(wired)], model=model(wired), stream_outputs=True)
    seen = [type(event).__name__ for event in agent.run("How is the weather?", stream=True)]
    return seen, steps(agent)


@APP.scenario(
    say("", call("get_weather", city="Oslo")),
    say("", call("get_weather", city="Rome")),
    say("", FINAL),
)
def tool_agent_that_reasons(wired: Wired) -> Any:
    made = model(replace(wired, model="gpt-5.4-mini"))
    agent = ToolCallingAgent(tools=[weather(wired)], model=made)
    return agent.run("How is the weather in Oslo and in Rome?"), steps(agent)


@APP.scenario(say(CODE), say(DONE))
def code_agent(wired: Wired) -> Any:
    agent = CodeAgent(tools=[weather(wired)], model=model(wired))
    return agent.run("How is the weather in Oslo?"), steps(agent)


@APP.scenario(say(CODE), say(DONE))
def code_agent_streamed(wired: Wired) -> Any:
    agent = CodeAgent(
        tools=[weather(wired)], model=model(wired), stream_outputs=True, planning_interval=None
    )
    return agent.run("How is the weather in Oslo?"), steps(agent)


@APP.scenario(
    say_json({"thought": "I look.", "code": "print(get_weather('Oslo'))"}),
    say_json({"thought": "I know.", "code": "final_answer('Rain')"}),
)
def code_agent_structured(wired: Wired) -> Any:
    agent = CodeAgent(
        tools=[weather(wired)], model=model(wired), use_structured_outputs_internally=True
    )
    return agent.run("How is the weather in Oslo?"), steps(agent)


@APP.scenario(say("1. Look outside."), say(CODE), say(DONE))
def planning(wired: Wired) -> Any:
    agent = CodeAgent(tools=[weather(wired)], model=model(wired), planning_interval=5)
    return agent.run("How is the weather in Oslo?"), steps(agent)


@APP.scenario(say("No tool here."), say("", call("no_such_tool", x=1)), say("", FINAL))
def mistakes(wired: Wired) -> Any:
    agent = ToolCallingAgent(tools=[weather(wired)], model=model(wired), max_steps=3)
    return agent.run("How is the weather?"), steps(agent)


@APP.scenario(refuse("I won't."))
def refused(wired: Wired) -> Any:
    return model(wired).generate(
        [ChatMessage(role="user", content=[{"type": "text", "text": "Do it."}])]
    )


@APP.scenario(fail(400, "Too long.", code="context_length_exceeded"))
def failed(wired: Wired) -> Any:
    return ToolCallingAgent(tools=[], model=model(wired), max_steps=1).run("Say hello.")
