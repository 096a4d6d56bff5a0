"""litellm, which posts bodies of its own making through the SDK's client, and maps every error."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_MODE": "PRODUCTION",
}

import litellm
from pydantic import BaseModel

from tests.apps.harness import App, Wired
from tests.apps.server import call, fail, refuse, say, say_json

APP = App(shows=("litellm",), wired="completion(client=adapter.OpenAI())")

litellm.telemetry = False
litellm.suppress_debug_info = True
USER = [{"role": "user", "content": "Say hello."}]
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


class Book(BaseModel):
    """A book."""

    title: str
    pages: int


def ask(wired: Wired, messages: Any = USER, **more: Any) -> Any:
    """Ask as its users do, with a client of theirs."""
    given = {"client": wired.openai(), "max_retries": 0, "num_retries": 0, **more}
    return litellm.completion(f"openai/{wired.model}", messages=messages, **given)


async def ask_async(wired: Wired, messages: Any = USER, **more: Any) -> Any:
    """Ask the same in asyncio."""
    given = {"client": wired.async_openai(), "max_retries": 0, "num_retries": 0, **more}
    return await litellm.acompletion(f"openai/{wired.model}", messages=messages, **given)


def whole(response: Any) -> Any:
    """Give all that a response says, and what litellm thinks that it cost."""
    return response.model_dump(), litellm.completion_cost(response)


@APP.scenario(say("Hello there."))
def completion(wired: Wired) -> Any:
    return whole(
        ask(
            wired, temperature=0.2, max_tokens=64, top_p=0.9, user="ann", metadata={"of": "litellm"}
        )
    )


@APP.scenario(say("Hello there, in pieces."))
def streamed(wired: Wired) -> Any:
    chunks = list(ask(wired, stream=True))
    return [chunk.model_dump() for chunk in chunks], litellm.stream_chunk_builder(
        chunks, messages=USER
    ).model_dump()


@APP.scenario(say("Hello there, counted."))
def streamed_with_usage(wired: Wired) -> Any:
    chunks = list(ask(wired, stream=True, stream_options={"include_usage": True}))
    return [chunk.model_dump() for chunk in chunks]


BOTH = (
    say("", call("get_weather", city="Oslo"), call("get_weather", city="Rome")),
    say("It rains in both."),
)


@APP.scenario(*BOTH)
def tools(wired: Wired) -> Any:
    messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    first = ask(wired, messages, tools=[TOOL], tool_choice="auto")
    messages.append(first.choices[0].message)
    for each in first.choices[0].message.tool_calls:
        wired.note(each.function.name, each.function.arguments)
        messages.append({"role": "tool", "tool_call_id": each.id, "content": "Rain"})
    return whole(first), whole(ask(wired, messages, tools=[TOOL]))


@APP.scenario(*BOTH)
def tools_while_reasoning(wired: Wired) -> Any:
    return tools(replace(wired, model="gpt-5-mini"))


@APP.scenario(say("Let me look.", call("get_weather", city="Oslo")), say("It rains."))
def tools_streamed(wired: Wired) -> Any:
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, *USER]
    first = litellm.stream_chunk_builder(list(ask(wired, messages, tools=[TOOL], stream=True)))
    made = first.choices[0].message
    answer = {"role": "tool", "tool_call_id": made.tool_calls[0].id, "content": "Rain"}
    return first.model_dump(), whole(
        ask(wired, [*messages, made.model_dump(), answer], tools=[TOOL])
    )


@APP.scenario(say_json({"title": "The Moth", "pages": 12}), say_json({"ok": True}))
def structured(wired: Wired) -> Any:
    book = ask(wired, response_format=Book)
    anything = ask(wired, response_format={"type": "json_object"})
    return Book.model_validate_json(book.choices[0].message.content), whole(book), whole(anything)


@APP.scenario(say("", call("get_weather", city="Oslo")))
def tool_by_name(wired: Wired) -> Any:
    return whole(
        ask(
            wired,
            tools=[TOOL],
            tool_choice={"type": "function", "function": {"name": "get_weather"}},
        )
    )


@APP.scenario(say("One STOP two"), say("Seeded."))
def options_of_chat_alone(wired: Wired) -> Any:
    return whole(ask(wired, stop=["STOP"])), whole(ask(wired, seed=7, presence_penalty=0.5))


PAID_TWICE = "where n is emulated, each answer pays for the prompt"


@APP.scenario(
    say("Twice."),
    say("Twice."),
    but={
        "drops *prompt_tokens": PAID_TWICE,
        "drops *total_tokens": PAID_TWICE,
        "drops *result[[]1[]]": PAID_TWICE,
    },
)
def several(wired: Wired) -> Any:
    return whole(ask(wired, n=2))


@APP.scenario(say("Hello there."))
def logprobs(wired: Wired) -> Any:
    return whole(ask(wired, logprobs=True, top_logprobs=2))


@APP.scenario(
    refuse("I won't."), say("Cut", finish="length"), say("Filtered", finish="content_filter")
)
def endings(wired: Wired) -> Any:
    return [whole(ask(wired)) for _ in range(3)]


@APP.scenario(say("Hello."), say("Streamed too."))
async def asynchronous(wired: Wired) -> Any:
    first = await ask_async(wired)
    return whole(first), [chunk.model_dump() async for chunk in await ask_async(wired, stream=True)]


def _failing(name: str, *script: Any) -> None:
    def run(wired: Wired) -> Any:
        return ask(wired)

    run.__name__ = name
    APP.scenario(*script)(run)


_failing("not_allowed", fail(401, "Incorrect API key provided.", code="invalid_api_key"))
_failing(
    "too_long",
    fail(400, "This model's maximum context length is 10 tokens.", code="context_length_exceeded"),
)
_failing("not_found", fail(404, "The model does not exist.", code="model_not_found"))
_failing("too_fast", fail(429, "Slow down.", kind="rate_limit_error", code="rate_limit_exceeded"))
_failing("broken", fail(500, "Something broke.", kind="server_error"))


@APP.scenario(fail(429, "Slow down.", kind="rate_limit_error"), say("At last."))
def tried_again(wired: Wired) -> Any:
    return whole(ask(wired, max_retries=2, num_retries=None))


@APP.scenario(
    say("From the router."), fail(500, "Broken.", kind="server_error"), say("From the other.")
)
def router(wired: Wired) -> Any:
    one = {
        "model": f"openai/{wired.model}",
        "api_base": wired.base_url,
        "api_key": wired.api_key,
        "max_retries": 0,
    }
    deployments = [{"model_name": name, "litellm_params": one} for name in ("first", "second")]
    made = litellm.Router(
        deployments, fallbacks=[{"first": ["second"]}], num_retries=0, disable_cooldowns=True
    )
    return [
        made.completion("first", USER, client=wired.openai(max_retries=0))
        .choices[0]
        .message.content
        for _ in range(2)
    ]


@APP.scenario()
def embedding(wired: Wired) -> Any:
    return litellm.embedding(
        "openai/text-embedding-3-small", input=["a", "b"], client=wired.openai()
    ).model_dump()


@APP.scenario(say("Hello there."), say("Streamed."))
def through_a_session(wired: Wired) -> Any:
    # Without a client: it makes and keeps its own, on the HTTP client that it is told to use.
    litellm.client_session = wired.http_client()
    try:
        given = {"api_key": wired.api_key, "api_base": wired.base_url}
        first = litellm.completion(f"openai/{wired.model}", USER, **given)
        return whole(first), [
            each.model_dump()
            for each in litellm.completion(f"openai/{wired.model}", USER, stream=True, **given)
        ]
    finally:
        litellm.client_session = None


@APP.scenario(say("Hello there."), say("Streamed."))
async def through_an_async_session(wired: Wired) -> Any:
    litellm.aclient_session = wired.async_http_client()
    try:
        given = {"api_key": wired.api_key, "api_base": wired.base_url}
        first = await litellm.acompletion(f"openai/{wired.model}", USER, **given)
        pieces = await litellm.acompletion(f"openai/{wired.model}", USER, stream=True, **given)
        return whole(first), [each.model_dump() async for each in pieces]
    finally:
        litellm.aclient_session = None
