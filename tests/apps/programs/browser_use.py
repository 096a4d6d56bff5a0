"""Browser Use: its model for OpenAI, without a browser; it makes an SDK client for each request."""

from __future__ import annotations

from typing import Any

from browser_use.agent.views import AgentOutput
from browser_use.llm import ChatOpenAI
from browser_use.llm.messages import (
    AssistantMessage,
    ContentPartImageParam,
    ContentPartTextParam,
    ImageURL,
    SystemMessage,
    UserMessage,
)
from browser_use.tools.service import Tools

from tests.apps.harness import App, Wired
from tests.apps.server import fail, refuse, say, say_json

APP = App(shows=("browser-use",), wired="http_client= on adapter.AsyncTransport()")

ASKED = [SystemMessage(content="Browse."), UserMessage(content="Open the page.", name="ann")]
DONE = {
    "evaluation_previous_goal": "None yet.",
    "memory": "Nothing.",
    "next_goal": "End.",
    "action": [{"done": {"text": "It is done.", "success": True, "files_to_display": []}}],
}


def model(wired: Wired, **options: Any) -> ChatOpenAI:
    """Make the model as a user does."""
    client = wired.async_http_client()
    return ChatOpenAI(
        wired.model, **wired.where, http_client=client, **{"frequency_penalty": None, **options}
    )


def steps() -> type[AgentOutput]:
    """Give the agent's own answer format: each action of its tools."""
    return AgentOutput.type_with_custom_actions(Tools().registry.create_action_model())


@APP.scenario(say("Hello there."), say("Hello.", finish="length"))
async def whole(wired: Wired) -> Any:
    first = await model(wired, top_p=0.9).ainvoke([UserMessage(content="Say hello.")])
    return first, await model(wired, max_completion_tokens=16).ainvoke(
        [UserMessage(content="Talk.")]
    )


@APP.scenario(say_json(DONE), say_json(DONE))
async def step(wired: Wired) -> Any:
    picture = ContentPartImageParam(
        image_url=ImageURL(url="data:image/png;base64,iVBORw0KGgo=", detail="low")
    )
    seen = UserMessage(content=[ContentPartTextParam(text="The page:"), picture])
    first = await model(wired).ainvoke([ASKED[0], seen], output_format=steps())
    asked = [
        ASKED[0],
        seen,
        AssistantMessage(content=first.completion.model_dump_json()),
        UserMessage(content="Go on."),
    ]
    return first, await model(wired, add_schema_to_system_prompt=True).ainvoke(
        asked, output_format=steps()
    )


@APP.scenario(say_json(DONE), say("Hello."), say("Hello."))
async def options_of_chat_alone(wired: Wired) -> Any:
    penalised = await model(wired, frequency_penalty=0.3).ainvoke(
        [UserMessage(content="Go.")], output_format=steps()
    )
    seeded = await model(wired, seed=7).ainvoke([UserMessage(content="Say hello.")])
    return penalised, seeded, await model(wired).ainvoke(ASKED)


@APP.scenario(say("This is cut", finish="length"))
async def cut_short(wired: Wired) -> Any:
    return await model(wired).ainvoke([UserMessage(content="Go.")], output_format=steps())


@APP.scenario(refuse("I won't."))
async def declined(wired: Wired) -> Any:
    return await model(wired).ainvoke([UserMessage(content="Go.")], output_format=steps())


@APP.scenario(say("Nothing that is JSON."))
async def unreadable(wired: Wired) -> Any:
    return await model(wired).ainvoke([UserMessage(content="Go.")], output_format=steps())


@APP.scenario(fail(400, "This model is asleep.", code="asleep"))
async def refused(wired: Wired) -> Any:
    return await model(wired).ainvoke([UserMessage(content="Wake up.")])


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
async def tried_again(wired: Wired) -> Any:
    return await model(wired).ainvoke([UserMessage(content="Hurry.")])
