"""LlamaIndex: its model for OpenAI, whole and streamed, function agents, and structured results."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from itertools import groupby
from typing import Any

import openai
import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel

from tests.frameworks.harness import Comparison, Side

# Its memory never closes its SQLite store; where that is collected while a test's loop exists, the
# store's thread (aiosqlite's) finds the loop closed.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception in thread Thread-\d+ \(_connection_worker_thread\):pytest.PytestUnhandledThreadExceptionWarning"
)

HELLO = "Hello! I am a tiny scripted model, so this reply is always the same."
SUNNY = "It is sunny and 21 degrees in Paris today :)"
ON_ITS_WAY = (
    "Your order 1042 is in parcel LX-77, which left Lyon this morning and arrives on Friday."
)
SATURDAY = "Yes: tell the carrier before Thursday noon, and parcel LX-77 comes on Saturday instead."

WEATHER = "What is the weather in Paris?"
BOTH = "The weather in both Lima and Oslo?"
ORDER = "Where is my order 1042?"
MODEL = "gpt-4o-2024-08-06"  # LlamaIndex must know the name; the scripted model answers to it


class Person(BaseModel):
    """A person."""

    name: str
    age: int
    tags: list[str]


PERSON = {"": "Person", "name": "Paris", "age": 42, "tags": ["Paris"]}
SOMEBODY = PromptTemplate("Make {who} up.")


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return json.dumps({"city": city, "sky": "sunny"})


def find_order(order: int) -> str:
    """Look an order up by its number."""
    return json.dumps({"order": order, "parcel": "LX-77"})


# The docstring is recorded in the cassettes.
def track_parcel(parcel: str) -> str:
    """Say where a parcel is."""
    return json.dumps({"parcel": parcel, "at": "Lyon"})


Program = Callable[[Side], Any]


def tool(function: Callable[..., str]) -> FunctionTool:
    """Make a tool of a function.

    Awaited it runs at once, since threads would answer in any order.
    """

    async def at_once(**given: Any) -> str:
        return function(**given)

    return FunctionTool.from_defaults(function, async_fn=at_once)


class Model:
    """LlamaIndex's model for a way in; closes the clients that it made for itself."""

    def __init__(self, side: Side, *, asynchronous: bool, **options: Any) -> None:
        where = {
            "api_base": side.where["base_url"],
            "api_key": side.where["api_key"],
            "max_retries": 0,
            "temperature": 0.0,
            **options,
        }
        # The newest `stream_options` would not be sent by default.
        where.setdefault("additional_kwargs", {"stream_options": {"include_usage": True}})
        if side.way_in == "client":
            given = (
                {"async_openai_client": side.async_openai()}
                if asynchronous
                else {"openai_client": side.openai()}
            )
        elif asynchronous:
            given = {"async_http_client": side.async_http_client()}
        else:
            given = {"http_client": side.http_client()}
        self.llm = OpenAI(MODEL, **where, **given)
        self.client: Any = self.llm._get_aclient() if asynchronous else self.llm._get_client()
        side.adapt(self.client)

    def __enter__(self) -> OpenAI:
        return self.llm

    def __exit__(self, *_: object) -> None:
        self.client.close()

    async def __aenter__(self) -> OpenAI:
        return self.llm

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


def program(
    method: str, *given: Any, asynchronous: bool, options: Any = None, **asked: Any
) -> Program:
    """Return a program of one call of the model.

    The async form of a method has an `a` before its name.
    """
    streams = method.startswith("stream_")

    def run(side: Side) -> Any:
        with Model(side, asynchronous=False, **(options or {})) as llm:
            result = getattr(llm, method)(*given, **asked)
            return outcome(list(result) if streams else result)

    async def arun(side: Side) -> Any:
        async with Model(side, asynchronous=True, **(options or {})) as llm:
            result = getattr(llm, f"a{method}")(*given, **asked)
            result = await result if inspect.isawaitable(result) else result
            return outcome([each async for each in result] if streams else result)

    return arun if asynchronous else run


def outcome(result: Any) -> Any:
    """Return the outcome of a call; of a stream, its last response and its accumulated deltas."""
    if isinstance(result, list) and result and hasattr(result[-1], "delta"):
        return {**outcome(result[-1]), "deltas": "".join(each.delta or "" for each in result)}
    if isinstance(result, list):  # objects that grow in steps which follow the server's cuts
        filled = [name for each in result for name, value in each.model_dump().items() if value]
        return {"last": result[-1], "filled": list(dict.fromkeys(filled))}
    if hasattr(result, "message"):
        blocks = [block.model_dump() for block in result.message.blocks]
        # The last chunk of a stream may have no choice: it has only usage.
        finish = [choice.finish_reason for choice in getattr(result.raw, "choices", [])]
        return {
            "text": result.message.content or "",
            "role": result.message.role,
            "blocks": blocks,
            "finish": finish,
            "tokens": result.additional_kwargs,
            "logprobs": result.logprobs,
        }
    if hasattr(result, "sources"):
        return {"text": result.response, "sources": [each.model_dump() for each in result.sources]}
    if hasattr(result, "text"):
        return {"text": result.text, "tokens": result.additional_kwargs}
    return result


def calls(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """List the tool calls of an outcome."""
    blocks = [block for block in found["blocks"] if block["block_type"] == "tool_call"]
    arguments = [block["tool_kwargs"] for block in blocks]
    parsed = [json.loads(each) if isinstance(each, str) else each for each in arguments]
    return [(block["tool_name"], each) for block, each in zip(blocks, parsed, strict=True)]


both_ways = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
either_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
TALK = [
    ChatMessage(role="system", content="Be brief."),
    ChatMessage(role="user", content="Say hello."),
]


@both_ways
@either_way
def test_chat(comparison: Comparison, stream: bool, asynchronous: bool) -> None:
    run = program("stream_chat" if stream else "chat", TALK, asynchronous=asynchronous)
    found = comparison.compare("chat_stream" if stream else "chat_whole", run)
    assert found["text"] == HELLO
    assert found["tokens"]["completion_tokens"] == 17
    assert not stream or found["deltas"] == HELLO


@both_ways
@either_way
def test_complete(comparison: Comparison, stream: bool, asynchronous: bool) -> None:
    run = program(
        "stream_complete" if stream else "complete", "Say hello.", asynchronous=asynchronous
    )
    assert comparison.compare("complete_stream" if stream else "complete", run)["text"] == HELLO


@both_ways
@either_way
def test_chat_with_tools(comparison: Comparison, stream: bool, asynchronous: bool) -> None:
    asked = {"tools": [tool(get_weather)], "user_msg": BOTH, "allow_parallel_tool_calls": True}
    run = program(
        "stream_chat_with_tools" if stream else "chat_with_tools",
        asynchronous=asynchronous,
        **asked,
    )
    found = comparison.compare("tools_stream" if stream else "tools", run)
    assert calls(found) == [("get_weather", {"city": "Lima"}), ("get_weather", {"city": "Oslo"})]


@pytest.mark.parametrize("choice", ["required", "get_weather"])
@both_ways
def test_tool_choice(recorded_comparison: Comparison, choice: str, asynchronous: bool) -> None:
    asked = {
        "tools": [tool(get_weather)],
        "user_msg": WEATHER,
        "tool_choice": choice,
        "strict": True,
    }
    run = program("chat_with_tools", asynchronous=asynchronous, **asked)
    but = (
        {"finish": "vLLM ends a named call with `stop` on Chat Completions"}
        if choice == "get_weather"
        else None
    )
    found = recorded_comparison.compare(
        "tool_required" if choice == "required" else "tool_named", run, but=but
    )
    assert calls(found) == [("get_weather", {"city": "Paris"})]


@both_ways
def test_predict_and_call(comparison: Comparison, asynchronous: bool) -> None:
    run = program("predict_and_call", [tool(get_weather)], WEATHER, asynchronous=asynchronous)
    found = comparison.compare("predict_and_call", run)
    assert json.loads(found["text"])["city"] == "Paris"
    assert [source["tool_name"] for source in found["sources"]] == ["get_weather"]


def agent_run(
    streaming: bool, question: str, *functions: Callable[..., str], **options: Any
) -> Program:
    """Return a program that runs an agent, and its events: one for a run of the same kind."""

    async def run(side: Side) -> Any:
        async with Model(side, asynchronous=True) as llm:
            tools = [tool(each) for each in functions]
            agent = FunctionAgent(
                tools=tools, llm=llm, system_prompt="Be brief.", streaming=streaming, **options
            )
            running = agent.run(question)
            events = [event async for event in running.stream_events()]
            result = await running
        return {
            "text": result.response.content,
            "structured": result.structured_response,
            "calls": [
                {
                    "tool_id": each.tool_id,
                    "name": each.tool_name,
                    "given": each.tool_kwargs,
                    "gave": str(each.tool_output),
                }
                for each in result.tool_calls
            ],
            "events": [name for name, _ in groupby(type(event).__name__ for event in events)],
            "deltas": "".join(getattr(event, "delta", None) or "" for event in events),
        }

    return run


@either_way
def test_function_agent(comparison: Comparison, stream: bool) -> None:
    run = agent_run(stream, ORDER, find_order, track_parcel)
    found = comparison.compare("agent_stream" if stream else "agent", run)
    assert found["text"] == ON_ITS_WAY
    made = [(call["name"], call["given"]) for call in found["calls"]]
    assert made == [("find_order", {"order": 1042}), ("track_parcel", {"parcel": "LX-77"})]
    assert found["deltas"] == (ON_ITS_WAY if stream else "")


@either_way
def test_function_agent_in_parallel(comparison: Comparison, stream: bool) -> None:
    run = agent_run(stream, BOTH, get_weather)
    found = comparison.compare("agent_parallel_stream" if stream else "agent_parallel", run)
    assert found["text"] == SUNNY
    assert sorted(call["given"]["city"] for call in found["calls"]) == ["Lima", "Oslo"]


def test_function_agent_with_a_structured_end(recorded_comparison: Comparison) -> None:
    run = agent_run(True, WEATHER, get_weather, output_cls=Person)
    found = recorded_comparison.compare("agent_structured", run)
    assert found["structured"] == {"name": "Paris", "age": 42, "tags": ["Paris"]}


@both_ways
@either_way
def test_structured_predict(
    recorded_comparison: Comparison, stream: bool, asynchronous: bool
) -> None:
    method = "stream_structured_predict" if stream else "structured_predict"
    run = program(method, Person, SOMEBODY, asynchronous=asynchronous, who="somebody")
    found = recorded_comparison.compare("structured_stream" if stream else "structured", run)
    assert (found["last"] if stream else found) == PERSON
    assert not stream or found["filled"] == ["name", "age", "tags"]


@both_ways
def test_structured_by_a_tool(recorded_comparison: Comparison, asynchronous: bool) -> None:
    options = {"pydantic_program_mode": PydanticProgramMode.FUNCTION, "strict": True}
    run = program(
        "structured_predict",
        Person,
        SOMEBODY,
        asynchronous=asynchronous,
        options=options,
        who="somebody",
    )
    assert recorded_comparison.compare("structured_tool", run) == PERSON


@both_ways
@either_way
def test_logprobs(recorded_comparison: Comparison, stream: bool, asynchronous: bool) -> None:
    options = {"logprobs": True, "top_logprobs": 2}
    run = program(
        "stream_chat" if stream else "chat", TALK, asynchronous=asynchronous, options=options
    )
    found = recorded_comparison.compare("logprobs_stream" if stream else "logprobs", run)
    assert stream or len(found["logprobs"]) == 17


@both_ways
def test_cut_short(recorded_comparison: Comparison, asynchronous: bool) -> None:
    asked = [ChatMessage(role="user", content="Tell me a long story.")]
    found = recorded_comparison.compare(
        "length", program("chat", asked, asynchronous=asynchronous, options={"max_tokens": 16})
    )
    assert found["finish"] == ["length"]


def test_chat_engine(comparison: Comparison) -> None:
    def run(side: Side) -> Any:
        with Model(side, asynchronous=False) as llm:
            engine = SimpleChatEngine.from_defaults(llm=llm, system_prompt="Be brief.")
            whole = engine.chat("Say hello.").response
            streamed = "".join(engine.stream_chat("And on Saturday?").response_gen)
            return {
                "whole": whole,
                "streamed": streamed,
                "kept": [str(each) for each in engine.chat_history],
            }

    found = comparison.compare("chat_engine", run)
    assert (found["whole"], found["streamed"]) == (HELLO, SATURDAY)
    assert len(found["kept"]) == 4


@both_ways
def test_wrong_key(comparison: Comparison, asynchronous: bool) -> None:
    def refused(error: openai.APIStatusError) -> dict[str, Any]:
        return {"error": type(error).__name__, "status": error.status_code}

    def run(side: Side) -> Any:
        with Model(side, asynchronous=False) as llm:
            llm._get_client().api_key = "not-the-key"
            with pytest.raises(openai.APIStatusError) as caught:
                llm.chat(TALK)
            return refused(caught.value)

    async def arun(side: Side) -> Any:
        async with Model(side, asynchronous=True) as llm:
            llm._get_aclient().api_key = "not-the-key"
            with pytest.raises(openai.APIStatusError) as caught:
                await llm.achat(TALK)
            return refused(caught.value)

    found = comparison.compare("wrong_key", arun if asynchronous else run)
    assert found == {"error": "AuthenticationError", "status": 401}
