"""Semantic Kernel: chat completion services, functions that are called by themselves, agents."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Annotated, Any

from pydantic import BaseModel

# The Handlebars templates' package is published as source alone, and isn't installed; they aren't used here.
sys.modules["pybars"] = pybars = ModuleType("pybars")
pybars.__dict__.update(Compiler=object, PybarsError=ValueError)

from semantic_kernel import Kernel  # noqa: E402
from semantic_kernel.agents import ChatCompletionAgent, ChatHistoryAgentThread  # noqa: E402
from semantic_kernel.connectors.ai import FunctionChoiceBehavior  # noqa: E402
from semantic_kernel.connectors.ai.open_ai import (  # noqa: E402
    OpenAIChatCompletion,
    OpenAIChatPromptExecutionSettings,
)
from semantic_kernel.contents import ChatHistory, ChatMessageContent, ImageContent, TextContent  # noqa: E402
from semantic_kernel.functions import KernelArguments, kernel_function  # noqa: E402

from tests.apps.harness import App, Wired  # noqa: E402
from tests.apps.server import call, fail, refuse, say, say_json  # noqa: E402

APP = App(shows=("semantic-kernel",), wired="async_client=")


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


class Weather:
    """A plugin that notes when it runs."""

    def __init__(self, wired: Wired) -> None:
        self.wired = wired

    @kernel_function(name="get_weather", description="Tell the weather in a city.")
    def get_weather(self, city: Annotated[str, "The city"]) -> str:
        """Tell the weather in a city."""
        self.wired.note("get_weather", city)
        return f"Rain in {city}"


def service(wired: Wired) -> OpenAIChatCompletion:
    """Make a service on a client of ours, as a user does."""
    return OpenAIChatCompletion(wired.model, async_client=wired.async_openai(), service_id="chat")


def settings(**options: Any) -> OpenAIChatPromptExecutionSettings:
    """Make the settings of a request."""
    return OpenAIChatPromptExecutionSettings(service_id="chat", **options)


def told(message: Any) -> Any:
    """Give a message, or what came in pieces, with all that it says of itself."""
    if isinstance(message, list | tuple):
        return [told(each) for each in message]
    metadata = {key: each for key, each in message.metadata.items() if key != "created"}
    return {
        **message.to_dict(),
        "finish": message.finish_reason,
        "metadata": metadata,
        "items": message.items,
    }


def history(*said: str) -> ChatHistory:
    """Make a history in which the user said something."""
    made = ChatHistory(system_message="Be brief.")
    for each in said:
        made.add_user_message(each)
    return made


@APP.scenario(say("Hello there, how are you?"), say("Hello.", finish="length"))
async def whole(wired: Wired) -> Any:
    own = service(wired)
    options = settings(
        temperature=0.5, max_completion_tokens=100, top_p=0.9, user="ann", metadata={"a": "b"}
    )
    first = told(await own.get_chat_message_contents(history("Say hello."), options))
    return first, told(
        await own.get_chat_message_contents(history("Again."), settings(max_tokens=16))
    )


@APP.scenario(say("Hello there,\nhow are you?"))
async def streamed(wired: Wired) -> Any:
    return [
        told(each)
        async for each in service(wired).get_streaming_chat_message_contents(
            history("Hello."), settings()
        )
    ]


def kernel(wired: Wired) -> Kernel:
    """Make a kernel with a service and a plugin."""
    made = Kernel()
    made.add_service(service(wired))
    made.add_plugin(Weather(wired), plugin_name="weather")
    return made


CALLS = say(
    "Let me look.",
    call("weather-get_weather", city="Oslo"),
    call("weather-get_weather", city="Rome"),
)


@APP.scenario(CALLS, say("It rains in both."))
async def functions(wired: Wired) -> Any:
    own, asked = kernel(wired), history("How is the weather?")
    options = settings(function_choice_behavior=FunctionChoiceBehavior.Auto())
    service = own.get_service("chat")
    result = await service.get_chat_message_contents(asked, options, kernel=own)
    return told(result), told(asked.messages)


@APP.scenario(say("", call("weather-get_weather", city="Oslo")), say("It rains."))
async def functions_streamed(wired: Wired) -> Any:
    own, asked = kernel(wired), history("How is the weather?")
    options = settings(function_choice_behavior=FunctionChoiceBehavior.Auto())
    pieces = own.get_service("chat").get_streaming_chat_message_contents(asked, options, kernel=own)
    return [told(each) async for each in pieces], told(asked.messages)


@APP.scenario(say("Rain in Oslo."), say("Rain,\nin Rome."))
async def prompt(wired: Wired) -> Any:
    own = kernel(wired)
    asked = KernelArguments(settings(temperature=0), city="Oslo")
    first = await own.invoke_prompt(
        "The weather in {{$city}}? {{weather.get_weather $city}}", arguments=asked
    )
    pieces = own.invoke_prompt_stream("The weather in Rome?", arguments=KernelArguments(settings()))
    return str(first), told(first.value), [told(each) async for each in pieces]


@APP.scenario(
    say("", call("weather-get_weather", city="Oslo")), say("It rains."), say("You asked of Oslo.")
)
async def agent(wired: Wired) -> Any:
    thread = ChatHistoryAgentThread()
    own = ChatCompletionAgent(
        service=service(wired), name="Teller", instructions="Help.", plugins=[Weather(wired)]
    )
    first = await own.get_response("How is the weather in Oslo?", thread=thread)
    pieces = [each async for each in own.invoke_stream("What did I ask?", thread=thread)]
    remembered = [each async for each in thread.get_messages()]
    return told(first.message), [told(each.message) for each in pieces], told(remembered)


@APP.scenario(
    say_json({"name": "Rex", "age": 3}), say_json({"name": "Rex", "age": 4}), refuse("No dogs.")
)
async def structured(wired: Wired) -> Any:
    own, loose = service(wired), {"type": "json_object"}
    dog = told(
        await own.get_chat_message_contents(history("Invent a dog."), settings(response_format=Dog))
    )
    other = told(
        await own.get_chat_message_contents(history("In JSON."), settings(response_format=loose))
    )
    return (
        dog,
        other,
        told(await own.get_chat_message_contents(history("A dog."), settings(response_format=Dog))),
    )


@APP.scenario(say("A red square."))
async def image(wired: Wired) -> Any:
    made = history()
    picture = ImageContent(
        data=b"\x89PNG\r\n\x1a\n" + bytes(24), data_format="base64", mime_type="image/png"
    )
    made.add_message(
        ChatMessageContent(role="user", items=[TextContent(text="What is this?"), picture])
    )
    return told(await service(wired).get_chat_message_contents(made, settings()))


@APP.scenario(
    *[say("One two STOP three")] * 2, but={"drops outcome.*.usage.*": "n costs its tokens n times"}
)
async def several(wired: Wired) -> Any:
    return told(
        await service(wired).get_chat_message_contents(
            history("Talk."), settings(number_of_responses=2)
        )
    )


@APP.scenario(say("One two STOP three"), say("Again."), say("Hello."))
async def options_of_chat_alone(wired: Wired) -> Any:
    own = service(wired)
    stopped = told(await own.get_chat_message_contents(history("Count."), settings(stop=["STOP"])))
    options = settings(seed=7, presence_penalty=0.5, logit_bias={"50": -1})
    again = told(await own.get_chat_message_contents(history("Again."), options))
    return (
        stopped,
        again,
        told(await own.get_chat_message_contents(history("Hi."), settings(frequency_penalty=0.0))),
    )


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
async def refused(wired: Wired) -> Any:
    return told(await service(wired).get_chat_message_contents(history("Wake up."), settings()))


@APP.scenario(fail(400, "No.", code="content_filter"))
async def filtered(wired: Wired) -> Any:
    return told(await service(wired).get_chat_message_contents(history("Wake up."), settings()))


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
async def tried_again(wired: Wired) -> Any:
    return told(await service(wired).get_chat_message_contents(history("Hurry."), settings()))
