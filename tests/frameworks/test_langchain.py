"""Run LangChain's model for OpenAI.

Alone, streamed, with tools, with structured output, and in LangChain's own agent. Its standard test
suite for chat models is `langchain_suite.py`, which is run from here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models import _client_utils
from pydantic import BaseModel

from tests.frameworks.harness import BACKENDS, CASSETTES, PATHS, Comparison, Side, Source, plain

HELLO = "Hello! I am a tiny scripted model, so this reply is always the same."
SUNNY = "It is sunny and 21 degrees in Paris today :)"
WEATHER = "What is the weather in Paris?"
# vLLM has a fingerprint on Chat, and the Responses API has none anywhere.
BUT = {"system_fingerprint": "the Responses API has none"}
# Where a caller doesn't set it, the adapter writes `strict: false`, which is Chat's default; vLLM
# puts it into the prompt.
SIZES = dict.fromkeys(
    ("prompt_tokens", "input_tokens", "total_tokens"), "`strict: false` is part of vLLM's prompt"
)


# The docstring is recorded in the cassettes.
class Person(BaseModel):
    """Somebody."""

    name: str
    age: int
    tags: list[str]


PARIS = {"name": "Paris", "age": 42, "tags": ["Paris"]}


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"sunny in {city}, 21 degrees"


def chat(side: Side, **options: Any) -> ChatOpenAI:
    """Wire LangChain's model in each of the three ways."""
    options = {"model": "tiny", "max_retries": 0, **side.where, **options}
    if side.way_in == "http_client":
        return ChatOpenAI(
            http_client=side.http_client(), http_async_client=side.async_http_client(), **options
        )
    if side.way_in == "client":
        sync, asynchronous = side.openai(), side.async_openai()
        return ChatOpenAI(
            client=sync.chat.completions,
            root_client=sync,
            async_client=asynchronous.chat.completions,
            root_async_client=asynchronous,
            **options,
        )
    # LangChain keeps its HTTP clients for the whole process: each test must have its own, in its
    # own loop.
    _client_utils._cached_sync_httpx_client.cache_clear()
    _client_utils._cached_async_httpx_client.cache_clear()
    model = ChatOpenAI(**options)
    side.adapt(model.root_client)
    side.adapt(model.root_async_client)
    return model


def test_invoke(comparison: Comparison) -> None:
    def run(side: Side) -> Any:
        return chat(side).invoke([SystemMessage("Be brief."), HumanMessage("Say hello.")])

    outcome = comparison.compare("invoke", run, but=BUT)
    assert outcome["content"] == HELLO
    assert outcome["usage_metadata"]["output_tokens"] > 5
    assert outcome["response_metadata"]["finish_reason"] == "stop"


def test_ainvoke(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        return await chat(side).ainvoke([SystemMessage("Be brief."), HumanMessage("Say hello.")])

    assert comparison.compare("invoke", run, but=BUT)["content"] == HELLO


def test_stream(comparison: Comparison) -> None:
    def run(side: Side) -> Any:
        return list(chat(side, stream_usage=True).stream("Say hello."))

    outcome = comparison.compare("stream", run, but=BUT)
    assert "".join(chunk["content"] for chunk in outcome) == HELLO
    assert sum(bool(chunk["content"]) for chunk in outcome) > 3
    assert [
        chunk["usage_metadata"]["output_tokens"] > 5 for chunk in outcome if chunk["usage_metadata"]
    ] == [True]


def test_astream(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        return [chunk async for chunk in chat(side, stream_usage=True).astream("Say hello.")]

    assert (
        "".join(chunk["content"] for chunk in comparison.compare("stream", run, but=BUT)) == HELLO
    )


def test_a_tool_loop_by_hand(comparison: Comparison) -> None:
    def run(side: Side) -> Any:
        model, history = chat(side).bind_tools([get_weather], strict=True), [HumanMessage(WEATHER)]
        while not history[-1].text or not isinstance(history[-1], AIMessage):
            history.append(model.invoke(history))
            history += [get_weather.invoke(call) for call in history[-1].tool_calls]
        return history

    outcome = comparison.compare("tools", run, but=BUT)
    assert [message["type"] for message in outcome] == ["human", "ai", "tool", "ai"]
    assert outcome[1]["tool_calls"][0]["args"] == {"city": "Paris"}
    assert outcome[1]["tool_calls"][0]["id"] == outcome[2]["tool_call_id"]
    assert outcome[3]["content"] == SUNNY


def test_tools_streamed(comparison: Comparison) -> None:
    async def run(side: Side) -> Any:
        whole, pieces = None, 0
        async for chunk in chat(side).bind_tools([get_weather]).astream(WEATHER):
            whole = chunk if whole is None else whole + chunk
            pieces += len(chunk.tool_call_chunks)
        # Where the arguments are cut is up to the server.
        return {"whole": whole, "in pieces": pieces > 3}

    outcome = comparison.compare("tools_streamed", run, but=BUT)
    assert outcome["whole"]["tool_calls"][0]["args"] == {"city": "Paris"}
    assert outcome["in pieces"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_agent(comparison: Comparison, asynchronous: bool) -> None:
    question = {"messages": [HumanMessage(WEATHER)]}

    def run(side: Side) -> Any:
        return create_agent(chat(side), tools=[get_weather]).invoke(question)["messages"]

    async def arun(side: Side) -> Any:
        return (await create_agent(chat(side), tools=[get_weather]).ainvoke(question))["messages"]

    outcome = comparison.compare("agent", arun if asynchronous else run, but=BUT | SIZES)
    assert [message["type"] for message in outcome] == ["human", "ai", "tool", "ai"]
    assert outcome[2]["content"] == "sunny in Paris, 21 degrees"
    assert outcome[3]["content"] == SUNNY


def test_agent_streamed(comparison: Comparison) -> None:
    def run(side: Side) -> Any:
        agent = create_agent(chat(side), tools=[get_weather])
        text, updates = "", []
        for mode, data in agent.stream(
            {"messages": [HumanMessage(WEATHER)]}, stream_mode=["messages", "updates"]
        ):
            if mode == "updates":
                updates.append(data)
            elif isinstance(data[0], AIMessage):
                text += data[0].text
        return {"text": text, "updates": updates}

    outcome = comparison.compare("agent_streamed", run, but=BUT | SIZES)
    assert outcome["text"] == SUNNY
    assert [list(update) for update in outcome["updates"]] == [["model"], ["tools"], ["model"]]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("json_schema", {"method": "json_schema"}, id="json schema"),
        pytest.param(
            "json_schema_strict",
            {"method": "json_schema", "strict": True},
            id="json schema, strict",
        ),
        pytest.param(
            "function_calling", {"method": "function_calling", "strict": True}, id="a named tool"
        ),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_structured_output(
    recorded_comparison: Comparison, name: str, options: dict[str, Any], asynchronous: bool
) -> None:
    def model(side: Side) -> Any:
        return chat(side).with_structured_output(Person, include_raw=True, **options)

    def run(side: Side) -> Any:
        return model(side).invoke("Make somebody up.")

    async def arun(side: Side) -> Any:
        return await model(side).ainvoke("Make somebody up.")

    # vLLM's Chat ends a named tool's call with `stop`; the Responses API makes no such distinction.
    but = BUT | ({"finish_reason": "a named tool"} if name == "function_calling" else {})
    outcome = recorded_comparison.compare(name, arun if asynchronous else run, but=but)
    assert outcome["parsed"] == {"": "Person", **PARIS}
    assert outcome["parsing_error"] is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("json_schema_streamed", {"method": "json_schema"}, id="json schema"),
        pytest.param(
            "function_calling_streamed",
            {"method": "function_calling", "strict": True},
            id="a named tool",
        ),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
# LangChain dumps the SDK's parsed completion, whose type doesn't declare `parsed`: the same on
# Chat.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_structured_output_streamed(
    recorded_comparison: Comparison, name: str, options: dict[str, Any], asynchronous: bool
) -> None:
    def model(side: Side) -> Any:
        return chat(side).with_structured_output(Person, **options)

    def run(side: Side) -> Any:
        return list(model(side).stream("Make somebody up."))

    async def arun(side: Side) -> Any:
        return [part async for part in model(side).astream("Make somebody up.")]

    outcome = recorded_comparison.compare(name, arun if asynchronous else run, but=BUT)
    assert outcome[-1] == plain(Person(**PARIS))


def test_agent_with_structured_output(recorded_comparison: Comparison) -> None:
    def run(side: Side) -> Any:
        agent = create_agent(
            chat(side), tools=[get_weather], response_format=ProviderStrategy(Person)
        )
        return agent.invoke({"messages": [HumanMessage("Make somebody up.")]})

    outcome = recorded_comparison.compare("agent_structured", run, but=BUT | SIZES)
    assert outcome["structured_response"] == {"": "Person", **PARIS}


def test_errors(recorded_comparison: Comparison) -> None:
    def run(side: Side) -> Any:
        with pytest.raises(openai.BadRequestError) as failure:
            chat(side, temperature=9.0).invoke("Say hello.")
        return {
            "status": failure.value.status_code,
            "mro": [each.__name__ for each in type(failure.value).__mro__],
        }

    assert recorded_comparison.compare("error", run)["status"] == 400


def standard_tests(
    backend: str, source: Source, folder: Path
) -> tuple[dict[str, str], dict[str, int]]:
    """Run LangChain's standard tests on one backend.

    Returns each test's outcome, and the number of requests by path.
    """
    cassette = CASSETTES / "langchain" / f"standard.{backend}.yaml"
    report, paths = folder / f"{backend}.xml", folder / f"{backend}.json"
    asked = {
        "backend": backend,
        "cassette": str(cassette) if source.recorded else None,
        "record": source.record,
        "paths": str(paths),
        **Side(backend, "http_client", source, None).where,
    }
    suite = Path(__file__).with_name("langchain_suite.py")
    # Its tests tolerate warnings, and the numbers of its benchmarks mean nothing here.
    options = [
        "-q",
        "-Wdefault",
        "-pno:asyncio",
        "-pno:cacheprovider",
        "--benchmark-disable",
        f"--junitxml={report}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(suite), *options],
        env={**os.environ, "LANGCHAIN_SUITE": json.dumps(asked)},
        cwd=suite.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout[-3000:] + done.stderr[-3000:]
    outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        bad = [
            f"{each.tag}: {each.get('message')}"
            for each in case
            if each.tag in {"failure", "error", "skipped"}
        ]
        message = re.sub(r"0x[0-9a-f]+", "0x", "; ".join(bad))
        outcomes[f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"] = (
            message or "passed"
        )
    return outcomes, json.loads(paths.read_text())


def test_the_standard_tests(source: Source, tmp_path: Path) -> None:
    outcomes, asked = {}, {}
    for backend in BACKENDS:
        outcomes[backend], asked[backend] = standard_tests(backend, source, tmp_path)
    # llama.cpp ignores a JSON schema on the Responses API, and a failure's text has token details
    # that only one of its APIs sends.
    if source.name == "llamacpp":
        outcomes = {
            backend: {
                name: outcome.partition(":")[0]
                for name, outcome in results.items()
                if "structured_out" not in name
            }
            for backend, results in outcomes.items()
        }
    different = {
        f"{name}: {outcomes['chat'].get(name)}, {outcomes['responses'].get(name)}"
        for name in {*outcomes["chat"], *outcomes["responses"]}
        if outcomes["chat"].get(name) != outcomes["responses"].get(name)
    }
    assert not different, "\n".join(sorted(different))
    assert sum(outcome_text == "passed" for outcome_text in outcomes["responses"].values()) > 25
    assert set(asked["chat"]) == {PATHS["chat"]}
    # The tests of stop sequences stay on Chat under the default settings.
    assert asked["responses"][PATHS["responses"]] > 40
    assert asked["responses"][PATHS["chat"]] == 3
