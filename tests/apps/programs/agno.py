"""Agno: its agent and its team on OpenAI's chat model, which takes clients or makes its own."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

from agno.agent import Agent
from agno.db.in_memory import InMemoryDb
from agno.media import Image
from agno.models.openai import OpenAIChat
from agno.team import Team
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, refuse, say, say_json

APP = App(shows=("agno",), wired="client=, async_client=")


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


def model(wired: Wired, **options: Any) -> OpenAIChat:
    """Make a model on clients of ours, as a user does."""
    return OpenAIChat(
        id=wired.model, client=wired.openai(), async_client=wired.async_openai(), **options
    )


def agent(wired: Wired, **options: Any) -> Agent:
    """Make an agent with a tool that notes when it runs."""

    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        wired.note("get_weather", city)
        return f"Rain in {city}"

    return Agent(**{"model": model(wired), "tools": [get_weather], **options})


def told(run: Any) -> Any:
    """Give what came of a run: content, messages, tokens, tools."""
    messages = [
        {key: getattr(each, key) for key in ("role", "content", "tool_calls", "tool_call_id")}
        for each in run.messages or ()
    ]
    metrics = {
        key: value for key, value in run.metrics.to_dict().items() if key.endswith("_tokens")
    }
    tools = [[each.tool_name, each.tool_args, each.result] for each in run.tools or ()]
    return {
        "content": run.content,
        "status": run.status,
        "messages": messages,
        "metrics": metrics,
        "tools": tools,
    }


def heard(event: Any) -> Any:
    """Give what an event of a streamed run says."""
    tool, content = getattr(event, "tool", None), getattr(event, "content", None)
    content = re.sub(r"[\d.]+s\.", "<time>", content) if isinstance(content, str) else content
    return [event.event, content, tool and [tool.tool_name, tool.tool_args, tool.result]]


@APP.scenario(say("Hello there, how are you?"))
def whole(wired: Wired) -> Any:
    options = {
        "temperature": 0.5,
        "max_completion_tokens": 100,
        "top_p": 0.9,
        "user": "ann",
        "metadata": {"a": "b"},
    }
    return told(
        Agent(model=model(wired, **options), instructions="Be brief.", markdown=True).run(
            "Say hello."
        )
    )


@APP.scenario(say("Hello there,\nhow are you?"))
def printed(wired: Wired) -> Any:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        Agent(model=model(wired)).print_response("Say hello.", stream=True, show_message=True)
    return re.sub(r"\([\d.]+s\)", "(<time>)", out.getvalue())


@APP.scenario(
    say("Let me look.", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("It rains."),
)
def tools(wired: Wired) -> Any:
    return told(agent(wired).run("How is the weather?"))


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains."))
def tools_streamed(wired: Wired) -> Any:
    events = agent(wired).run(
        "How is the weather?", stream=True, stream_events=True, yield_run_output=True
    )
    *seen, run = events
    return [heard(event) for event in seen], told(run)


@APP.scenario(
    say("", call("get_weather", city="Oslo")), say("It rains."), say("Hello from asyncio.")
)
async def asynchronous(wired: Wired) -> Any:
    made = agent(wired)
    first = told(await made.arun("How is the weather?"))
    return first, [heard(event) async for event in made.arun("Say hello.", stream=True)]


@APP.scenario(
    say_json({"name": "Rex", "age": 3}), say_json({"name": "Rex", "age": 4}), refuse("No dogs.")
)
def structured(wired: Wired) -> Any:
    made = agent(wired, output_schema=Dog)
    mode = agent(wired, output_schema=Dog, use_json_mode=True)
    return told(made.run("Invent a dog.")), told(mode.run("Another.")), told(made.run("Another."))


@APP.scenario(say("My name is Ann."), say("You asked for my name."))
def conversation(wired: Wired) -> Any:
    options = {"db": InMemoryDb(), "add_history_to_context": True, "session_id": "one", "tools": []}
    first = told(agent(wired, **options).run("What is your name?"))
    return first, told(agent(wired, **options).run("What did I ask?"))


@APP.scenario(
    say(
        "", call("delegate_task_to_member", member_id="reporter", task="Tell the weather in Oslo.")
    ),
    say("", call("get_weather", city="Oslo")),
    say("It rains in Oslo."),
    say("The reporter says that it rains."),
)
def team(wired: Wired) -> Any:
    reporter = agent(wired, name="reporter", role="Tells the weather.")
    return told(Team(members=[reporter], model=model(wired)).run("How is the weather in Oslo?"))


@APP.scenario(say("A red square."))
def image(wired: Wired) -> Any:
    return told(
        Agent(model=model(wired)).run(
            "What is this?", images=[Image(content=b"\x89PNG\r\n\x1a\n" + bytes(24))]
        )
    )


@APP.scenario(say("One two STOP three"), say("Again."), say("Too", finish="length"))
def options_of_chat_alone(wired: Wired) -> Any:
    stopped = told(Agent(model=model(wired, stop="STOP")).run("Count."))
    again = told(
        Agent(model=model(wired, seed=7, frequency_penalty=0.5, presence_penalty=0.25)).run(
            "Again."
        )
    )
    return stopped, again, told(Agent(model=model(wired, max_tokens=16)).run("Talk."))


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return told(Agent(model=model(wired)).run("Wake up."))


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return told(Agent(model=model(wired)).run("Hurry."))
