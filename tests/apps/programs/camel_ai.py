"""CAMEL: its chat agent and its role playing, on a model that takes the SDK's clients."""

from __future__ import annotations

from typing import Any

from camel.agents import ChatAgent
from camel.messages import BaseMessage
from camel.models import ModelFactory
from camel.societies import RolePlaying
from camel.toolkits import FunctionTool
from camel.types import ModelPlatformType, TaskType
from camel.utils import BaseTokenCounter
from PIL import Image
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, say, say_json

APP = App(shows=("camel-ai",), wired="client=, async_client=")


class Dog(BaseModel):
    """A dog."""

    name: str
    age: int


class Words(BaseTokenCounter):
    """Counts words: the tokens of a model are in a file that would have to be fetched."""

    def count_tokens_from_messages(self, messages: list[Any]) -> int:
        """Count what messages say."""
        return sum(len(str(each).split()) for each in messages)

    def encode(self, text: str) -> list[int]:
        """Give a number for each word."""
        return list(range(len(text.split())))

    def decode(self, token_ids: list[int]) -> str:
        """Give as many words."""
        return " ".join(map(str, token_ids))


def model(wired: Wired, **config: Any) -> Any:
    """Make a model on clients of ours, as a user does."""
    return ModelFactory.create(
        ModelPlatformType.OPENAI, wired.model, model_config_dict=config, token_counter=Words(), client=wired.openai(),
        async_client=wired.async_openai(), url=wired.base_url, api_key=wired.api_key,
    )  # fmt: skip


def agent(wired: Wired, *tools: Any, **config: Any) -> ChatAgent:
    """Make an agent."""
    return ChatAgent("Be brief.", model=model(wired, **config), tools=tools)


def weather(wired: Wired) -> FunctionTool:
    """Make a tool that notes when it runs."""

    def get_weather(city: str) -> str:
        """Tell the weather in a city.

        Args:
            city (str): The city.
        """
        wired.note("get_weather", city)
        return f"Rain in {city}"

    return FunctionTool(get_weather)


def told(response: Any) -> Any:
    """Give what came of a step."""
    info = {key: value for key, value in response.info.items() if key != "tool_calls"}
    called = [
        [each.tool_name, each.args, each.result] for each in response.info.get("tool_calls") or ()
    ]
    said = [[each.role_name, each.content, each.parsed] for each in response.msgs]
    return {"said": said, "over": response.terminated, "info": info, "called": called}


@APP.scenario(say("Hello there, how are you?"), say("You said hello."))
def conversation(wired: Wired) -> Any:
    made = agent(wired, temperature=0.5, max_tokens=100, top_p=0.9, user="ann")
    first, second = told(made.step("Say hello.")), told(made.step("What did I say?"))
    return first, second, list(made.memory.get_context()[0])


@APP.scenario(say("Hello there,\nhow are you?"))
def streamed(wired: Wired) -> Any:
    made = agent(wired, stream=True, stream_options={"include_usage": True})
    return [told(each) for each in made.step("Say hello.")]


@APP.scenario(
    say("Let me look.", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("It rains."),
)
def tools(wired: Wired) -> Any:
    return told(agent(wired, weather(wired)).step("How is the weather?"))


@APP.scenario(say("", call("get_weather", city="Oslo")), say("It rains."))
def tools_streamed(wired: Wired) -> Any:
    return [
        told(each) for each in agent(wired, weather(wired), stream=True).step("How is the weather?")
    ]


@APP.scenario(*[say_json({"name": "Rex", "age": 3})] * 2)
def structured(wired: Wired) -> Any:
    streamed = agent(wired, stream=True).step("Invent a dog.", response_format=Dog)
    return told(agent(wired).step("Invent a dog.", response_format=Dog)), [
        told(each) for each in streamed
    ]


@APP.scenario(
    say("", call("get_weather", city="Oslo")),
    say("It rains."),
    say("Hello,\nAnn."),
    say_json({"name": "Rex", "age": 3}),
)
async def asynchronous(wired: Wired) -> Any:
    looped = told(await agent(wired, weather(wired)).astep("How is the weather?"))
    streamed = [told(each) async for each in await agent(wired, stream=True).astep("Say hello.")]
    return looped, streamed, told(await agent(wired).astep("Invent a dog.", response_format=Dog))


@APP.scenario(
    say("I'll write a poem. Instruction: Begin. Input: None"), say("Solution: Roses. Next request.")
)
def role_playing(wired: Wired) -> Any:
    own = {"model": model(wired)}
    play = RolePlaying(
        "Reader", "Poet", task_prompt="A poem.", with_task_specify=False, task_type=TaskType.AI_SOCIETY,
        assistant_agent_kwargs=own, user_agent_kwargs=own,
    )  # fmt: skip
    assistant, user = play.step(play.init_chat("Begin."))
    return told(assistant), told(user)


@APP.scenario(say("A red square."))
def image(wired: Wired) -> Any:
    asked = BaseMessage.make_user_message(
        "Ann", "What is this?", image_list=[Image.new("RGB", (2, 2), "red")]
    )
    asked.image_list[0].format = "PNG"
    return told(agent(wired).step(asked))


@APP.scenario(
    *[say("One two STOP three")] * 2, but={"drops outcome.*.usage.*": "n costs its tokens n times"}
)
def several(wired: Wired) -> Any:
    return told(agent(wired, n=2).step("Talk."))


@APP.scenario(say("One two STOP three"), say("Too", finish="length"))
def options_of_chat_alone(wired: Wired) -> Any:
    stopped = told(agent(wired, stop=["STOP"]).step("Count."))
    return stopped, told(agent(wired, max_tokens=16, frequency_penalty=0.5).step("Talk."))


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
def refused(wired: Wired) -> Any:
    return told(agent(wired).step("Wake up."))


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return told(agent(wired).step("Hurry."))
