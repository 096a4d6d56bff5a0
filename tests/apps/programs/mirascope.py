"""mirascope, with decorated functions that become calls; its OpenAI provider makes clients of both kinds."""

from __future__ import annotations

import asyncio
from typing import Any

from mirascope import llm
from mirascope.llm.providers.openai.completions import base_provider
from mirascope.llm.providers.openai.responses import provider
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, refuse, say, say_json

APP = App(shows=("mirascope",), wired="OpenAI and AsyncOpenAI replaced in its providers' modules")
MODEL = "openai/gpt-4o:completions"


class Book(BaseModel):
    """A book."""

    title: str
    pages: int


def register(wired: Wired) -> None:
    """Register the provider for this scenario's server."""
    wired.replace(base_provider, "OpenAI", "AsyncOpenAI")
    wired.replace(provider, "OpenAI", "AsyncOpenAI")
    llm.reset_provider_registry()
    llm.register_provider("openai", api_key=wired.api_key, base_url=wired.base_url)


def weather(wired: Wired) -> Any:
    """Make a tool that says when it runs."""

    @llm.tool
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        wired.note("get_weather", city)
        return f"Rain in {city}"

    return get_weather


def seen(response: Any) -> dict[str, Any]:
    """Give what a response says."""
    return {
        "text": response.text(), "content": response.content, "calls": response.tool_calls, "finish": response.finish_reason,
        "usage": response.usage, "messages": response.messages, "raw": response.raw if not isinstance(response, llm.StreamResponse | llm.AsyncStreamResponse) else None,
    }  # fmt: skip


@APP.scenario(say("Hello there."))
def called(wired: Wired) -> Any:
    register(wired)

    @llm.call(MODEL, temperature=0.5, max_tokens=100, top_p=0.9)
    def greet(name: str) -> str:
        return f"Greet {name}."

    return seen(greet("Ann"))


@APP.scenario(say("Hello there, streamed."))
def streamed(wired: Wired) -> Any:
    register(wired)

    @llm.call(MODEL)
    def greet(name: str) -> str:
        return f"Greet {name}."

    response = greet.stream("Ann")
    return list(response.text_stream()), seen(response)


@APP.scenario(say("One two three"), say("One two three"))
def options_of_chat_alone(wired: Wired) -> Any:
    register(wired)
    stopped = llm.model(MODEL, stop_sequences=["three"]).call("Count.")
    return seen(stopped), seen(llm.model(MODEL, seed=7).call("Count."))


def _looped(wired: Wired, *, stream: bool, model: str = MODEL) -> Any:
    register(wired)

    @llm.call(model, tools=[weather(wired)])
    def ask(question: str) -> str:
        return question

    response = ask.stream("How is the weather?") if stream else ask("How is the weather?")
    rounds = []
    for _ in range(3):
        rounds.append(list(response.chunk_stream()) if stream else seen(response))
        if not response.tool_calls:
            break
        response = response.resume(response.execute_tools())
    return rounds, seen(response)


LOOP = (
    say("", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("One more.", call("get_weather", city="Bern")),
    say("It rains everywhere."),
)


@APP.scenario(*LOOP)
def tools(wired: Wired) -> Any:
    return _looped(wired, stream=False)


@APP.scenario(*LOOP)
def tools_streamed(wired: Wired) -> Any:
    return _looped(wired, stream=True)


@APP.scenario(*LOOP)
def tools_while_reasoning(wired: Wired) -> Any:
    return _looped(wired, stream=False, model="openai/gpt-5-mini:completions")


@APP.scenario(*LOOP)
def tools_streamed_while_reasoning(wired: Wired) -> Any:
    return _looped(wired, stream=True, model="openai/gpt-5-mini:completions")


def _book(mode: Any) -> Any:
    def run(wired: Wired) -> Any:
        register(wired)

        @llm.call(MODEL, format=llm.format(Book, mode=mode))
        def invent() -> str:
            return "Invent a book."

        response = invent()
        return response.parse(), seen(response)

    run.__name__ = f"book_{mode}"
    return run


BOOK = {"title": "The Moth", "pages": 12}
APP.scenario(say_json(BOOK))(_book("strict"))
APP.scenario(say_json(BOOK))(_book("json"))
APP.scenario(say("", call("__mirascope_formatted_output_tool__", **BOOK)))(_book("tool"))


@APP.scenario(say_json({"title": "The Moth"}))
def invalid(wired: Wired) -> Any:
    register(wired)
    return llm.model(MODEL).call("Invent a book.", format=Book).parse()


@APP.scenario(say("Hello."), say("Streamed."), say("", call("get_weather", city="Oslo")))
async def asynchronous(wired: Wired) -> Any:
    register(wired)
    whole = await llm.model(MODEL).call_async("Say hello.")
    response = await llm.model(MODEL).stream_async("Say hello.")
    pieces = [piece async for piece in response.text_stream()]

    @llm.tool
    async def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        await asyncio.sleep(0)
        wired.note("get_weather", city)
        return f"Rain in {city}"

    asked = await llm.model(MODEL).call_async("The weather?", tools=[get_weather])
    return seen(whole), pieces, seen(response), seen(asked), await asked.execute_tools()


@APP.scenario(say("A cat."))
def image(wired: Wired) -> Any:
    register(wired)
    picture = llm.Image.from_bytes(b"\x89PNG\r\n\x1a\n" + bytes(8))
    return seen(llm.model(MODEL).call(["What is this?", picture]))


@APP.scenario(refuse("I won't."))
def refused(wired: Wired) -> Any:
    register(wired)
    return seen(llm.model(MODEL).call("Do it."))


@APP.scenario(fail(404, "The model does not exist.", code="model_not_found"))
def failed(wired: Wired) -> Any:
    register(wired)
    return seen(llm.model(MODEL).call("Hello?"))


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    register(wired)
    return seen(llm.model(MODEL).call("Hurry."))


@APP.scenario(say("Hello there."), say("Streamed."))
def written_for_responses(wired: Wired) -> Any:
    register(wired)
    response = llm.model("openai/gpt-4o:responses").stream("Say hello.")
    return list(response.text_stream()), seen(
        llm.model("openai/gpt-4o:responses").call("Say hello.")
    )
