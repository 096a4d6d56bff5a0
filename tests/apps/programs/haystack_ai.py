"""Haystack: its chat generator alone, in a pipeline, under its agent; it makes SDK clients."""

from __future__ import annotations

from typing import Annotated, Any

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, ImageContent, StreamingChunk
from haystack.tools import Tool, create_tool_from_function
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, refuse, say, say_json

APP = App(
    shows=("haystack-ai",),
    wired='http_client_kwargs={"transport": adapter.Transport()}',
)


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


def generator(wired: Wired, **options: Any) -> OpenAIChatGenerator:
    """Make the generator as a user does: one transport serves its sync and its async client."""
    if wired.adapted:
        import adapter

        options["http_client_kwargs"] = {"transport": adapter.Transport()}
    return OpenAIChatGenerator(model=wired.model, api_base_url=wired.base_url, **options)


def weather(wired: Wired) -> Tool:
    """Make a tool that notes when it runs."""

    def get_weather(city: Annotated[str, "the city"]) -> str:
        """Tell the weather in a city."""
        wired.note("get_weather", city)
        return f"Rain in {city}"

    return create_tool_from_function(get_weather)


def told(result: Any) -> Any:
    """Give what came, with everything that Haystack says of it."""
    if isinstance(result, ChatMessage | StreamingChunk):
        return result.to_dict()
    if isinstance(result, dict):
        return {key: told(each) for key, each in result.items()}
    return [told(each) for each in result] if isinstance(result, list) else result


ASKED = [ChatMessage.from_system("Be brief."), ChatMessage.from_user("Say hello.", name="ann")]


@APP.scenario(say("Hello there, how are you?"))
def whole(wired: Wired) -> Any:
    options = {"temperature": 0.5, "max_completion_tokens": 100, "top_p": 0.9, "user": "ann"}
    return told(
        generator(wired, generation_kwargs=options).run([ChatMessage.from_user("Say hello.")])
    )


@APP.scenario(say("Hello Ann."))
def named(wired: Wired) -> Any:
    return told(generator(wired).run(ASKED))


@APP.scenario(say("Hello there,\nhow are you?"))
def streamed(wired: Wired) -> Any:
    heard: list[Any] = []
    options = {"stream_options": {"include_usage": True}}
    result = generator(wired, streaming_callback=heard.append, generation_kwargs=options).run(
        "Say hello."
    )
    return told(result), told(heard)


@APP.scenario(say("Hello.", finish="length"), say("Hello."))
def choices_and_limits(wired: Wired) -> Any:
    cut = generator(wired, generation_kwargs={"max_tokens": 16}).run("Talk.")
    return told(cut), told(
        generator(wired, generation_kwargs={"logprobs": True, "top_logprobs": 0}).run("Again.")
    )


@APP.scenario(
    *[say("One two STOP three")] * 3,
    but={"drops outcome.result[[]0].*.usage.*": "n costs its tokens n times"},
)
def several_and_stopped(wired: Wired) -> Any:
    several = generator(wired, generation_kwargs={"n": 2}).run("Talk.")
    return told(several), told(generator(wired, generation_kwargs={"stop": ["STOP"]}).run("Count."))


@APP.scenario(
    say_json({"name": "Rex", "age": 3}), refuse("No dogs."), say_json({"name": "Rex", "age": 4})
)
def structured(wired: Wired) -> Any:
    made = generator(wired, generation_kwargs={"response_format": Dog})
    schema = {
        "type": "json_schema",
        "json_schema": {"name": "Dog", "schema": Dog.model_json_schema()},
    }
    heard: list[Any] = []
    streaming = generator(
        wired, streaming_callback=heard.append, generation_kwargs={"response_format": schema}
    )
    first, second = told(made.run("Invent a dog.")), told(made.run("Invent a dog."))
    return first, second, told(streaming.run("Invent a dog.")), told(heard)


@APP.scenario(say("Rain in Oslo."))
def pipeline(wired: Wired) -> Any:
    pipe = Pipeline()
    pipe.add_component(
        "prompt", ChatPromptBuilder(template=[ChatMessage.from_user("The weather in {{city}}?")])
    )
    pipe.add_component("model", generator(wired))
    pipe.connect("prompt.prompt", "model.messages")
    return told(pipe.run({"prompt": {"city": "Oslo"}}, include_outputs_from={"prompt"}))


@APP.scenario(say("A red square."))
def image(wired: Wired) -> Any:
    picture = ImageContent(base64_image="iVBORw0KGgo=", mime_type="image/png", detail="low")
    return told(
        generator(wired).run([ChatMessage.from_user(content_parts=["What is this?", picture])])
    )


@APP.scenario(
    say("Let me look.", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("It rains in both."),
)
def agent(wired: Wired) -> Any:
    made = Agent(chat_generator=generator(wired), tools=[weather(wired)], system_prompt="Help.")
    return told(made.run(messages=[ChatMessage.from_user("How is the weather?")]))


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains."))
def agent_streamed(wired: Wired) -> Any:
    heard: list[Any] = []
    made = Agent(
        chat_generator=generator(wired, tools_strict=True),
        tools=[weather(wired)],
        streaming_callback=heard.append,
    )
    return told(made.run(messages=[ChatMessage.from_user("How is the weather?")])), told(heard)


@APP.scenario(
    say("", call("get_weather", city="Oslo")), say("It rains."), say("Hello from asyncio.")
)
async def agent_async(wired: Wired) -> Any:
    heard: list[Any] = []

    async def hear(chunk: StreamingChunk) -> None:
        heard.append(chunk)

    model = generator(wired)
    looped = await Agent(model, tools=[weather(wired)]).run_async(
        [ChatMessage.from_user("How is the weather?")]
    )
    plain = await model.run_async("Say hello.", streaming_callback=hear)
    await model.close_async()
    return told(looped), told(plain), told(heard)


@APP.scenario(say("Rain in Oslo."))
async def pipeline_async(wired: Wired) -> Any:
    pipe = Pipeline()
    pipe.add_component(
        "prompt", ChatPromptBuilder(template=[ChatMessage.from_user("The weather in {{city}}?")])
    )
    pipe.add_component("model", model := generator(wired))
    pipe.connect("prompt.prompt", "model.messages")
    result = await pipe.run_async({"prompt": {"city": "Oslo"}})
    await model.close_async()
    return told(result)


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return generator(wired).run("Wake up.")


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return told(generator(wired).run("Hurry."))


@APP.scenario(fail(500, "Broken.", kind="server_error"), fail(500, "Broken.", kind="server_error"))
def given_up(wired: Wired) -> Any:
    return generator(wired, max_retries=1, streaming_callback=print).run("Hurry.")
