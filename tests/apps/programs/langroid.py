"""Langroid: its agents and tasks, on a model that takes a factory of HTTP clients."""

from __future__ import annotations

from typing import Any

import tiktoken
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, say, say_json


class Words:
    """Counts words: the tokens of a model are in a file that would have to be fetched."""

    def encode(self, text: str, **_: Any) -> list[int]:
        """Give a number for each word."""
        return list(range(len(text.split())))


tiktoken.encoding_for_model = lambda _: Words()

import langroid  # noqa: E402
from langroid.agent.tool_message import ToolMessage  # noqa: E402
from langroid.language_models import LLMMessage, OpenAICallParams, OpenAIGPT, OpenAIGPTConfig, Role  # noqa: E402
from langroid.utils.configuration import Settings, set_global  # noqa: E402

set_global(Settings(cache=False, notebook=True))

APP = App(shows=("langroid",), wired="http_client_factory=")


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


def config(wired: Wired, **options: Any) -> OpenAIGPTConfig:
    """Configure a model, whose HTTP clients are ours."""
    clients = wired.http_client(), wired.async_http_client()
    return OpenAIGPTConfig(
        chat_model=wired.model, api_base=wired.base_url, api_key=wired.api_key, http_client_factory=lambda: clients,
        **{"max_output_tokens": 100, **options},
    )  # fmt: skip


def model(wired: Wired, **options: Any) -> OpenAIGPT:
    """Make a model."""
    return OpenAIGPT(config(wired, **options))


def agent(wired: Wired, **options: Any) -> langroid.ChatAgent:
    """Make an agent with a tool that notes when it runs."""

    class WeatherTool(ToolMessage):
        request: str = "get_weather"
        purpose: str = "To tell the weather in a <city>."
        city: str

        def handle(self) -> str:
            wired.note("get_weather", self.city)
            return f"Rain in {self.city}"

    made = plain(wired, use_tools=False, use_functions_api=True, use_tools_api=True, **options)
    made.enable_message(WeatherTool)
    return made


def plain(wired: Wired, *, stream: bool = True, **options: Any) -> langroid.ChatAgent:
    """Make an agent without tools."""
    own = {"llm": config(wired, stream=stream), "system_message": "Be brief.", "vecdb": None}
    return langroid.ChatAgent(langroid.ChatAgentConfig(**own, **options))


def task(made: langroid.ChatAgent) -> langroid.Task:
    """Make a task that nobody is asked for; its log as a page would hold the time."""
    return langroid.Task(
        made, interactive=False, config=langroid.TaskConfig(enable_html_logging=False)
    )


def told(response: Any) -> Any:
    """Give what a model answered."""
    usage = response.usage
    used = [usage.prompt_tokens, usage.completion_tokens] if usage else None
    return {
        "text": response.message,
        "tools": response.oai_tool_calls,
        "used": used,
        "cached": response.cached,
    }


def said(made: langroid.ChatAgent, answer: Any) -> Any:
    """Give an agent's answer, and what it remembers."""
    history = [
        [each.role, each.content, each.tool_calls, each.tool_call_id]
        for each in made.message_history
    ]
    return {
        "answer": answer and answer.content,
        "history": history,
        "used": made.total_llm_token_usage,
    }


@APP.scenario(say("Hello there, how are you?"), say("Hello,\nAnn."), say("Too", finish="length"))
def model_alone(wired: Wired) -> Any:
    asked = [
        LLMMessage(role=Role.SYSTEM, content="Be brief."),
        LLMMessage(role=Role.USER, content="Say hello."),
    ]
    whole, streamed = model(wired, stream=False, temperature=0.5), model(wired, stream=True)
    return (
        told(whole.chat(asked)),
        told(streamed.chat("Hello.")),
        told(whole.chat("Talk.", max_tokens=16)),
    )


@APP.scenario(say("My name is Ann."), say("You asked for my name."))
def conversation(wired: Wired) -> Any:
    made = plain(wired)
    first = made.llm_response("What is your name?")
    return said(made, first), said(made, made.llm_response("What did I ask?"))


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains. DONE"))
def tools(wired: Wired) -> Any:
    made = agent(wired, stream=False)
    first = made.llm_response("How is the weather?")
    return said(made, first), said(made, made.llm_response(made.agent_response(first)))


@APP.scenario(
    say("", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("It rains. DONE"),
)
def task_streamed(wired: Wired) -> Any:
    made = agent(wired)
    return said(made, task(made).run("How is the weather?", turns=4))


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains. DONE"))
async def task_async(wired: Wired) -> Any:
    made = agent(wired)
    return said(made, await task(made).run_async("How is the weather?", turns=4))


@APP.scenario(say_json({"name": "Rex", "age": 3}))
def structured(wired: Wired) -> Any:
    made = plain(wired, stream=False, output_format=Dog)
    answer = made.llm_response("Invent a dog.")
    return said(made, answer), answer.content_any


@APP.scenario(say("Again."), say("Hello."))
def options_of_chat_alone(wired: Wired) -> Any:
    penalised = model(
        wired, stream=False, params=OpenAICallParams(presence_penalty=0.5, frequency_penalty=0.25)
    )
    return told(penalised.chat("Again.")), told(
        model(wired, seed=None, stream=False).chat("Hello.")
    )


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return told(model(wired, stream=False).chat("Wake up."))


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return told(model(wired, stream=False).chat("Hurry."))
