"""Instructor: its modes for Chat Completions, its retries and its hooks.

The modes are tested whole, partial and as lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import instructor
import pytest
from instructor import Mode
from instructor.core.exceptions import IncompleteOutputException, InstructorRetryException
from pydantic import BaseModel, ValidationInfo, create_model, field_validator

from tests.frameworks.harness import Comparison, Side, plain

HELLO = "Hello! I am a tiny scripted model, so this reply is always the same."
SUNNY = "It is sunny and 21 degrees in Paris today :)"

Weather = create_model("get_weather", __doc__="Get the weather of a city.", city=(str, ...))
# For requests without a strict schema: the shortest legal JSON is `{}` then.
Anywhere = create_model(
    "get_weather", __doc__="Get the weather of a city.", city=(str, "somewhere")
)

# For named tools that aren't strict. llama.cpp ignores the name, and gives the same on both.
ON_VLLM = {
    "finish": "vLLM ends a named call with `stop` on Chat Completions, with `tool_calls` seen from Responses",
    "used": "the neutral default `strict: false` is written out, and vLLM's prompt shows it: 17 tokens more",
}


class Person(BaseModel):
    """A person."""

    name: str
    age: int
    tags: list[str]


PERSON = {"": "Person", "name": "Paris", "age": 42, "tags": ["Paris"]}


# The docstring is recorded in the cassettes.
class Fussy(BaseModel):
    """A person whose first name is never good enough."""

    name: str = "nobody"

    @field_validator("name")
    @classmethod
    def not_the_first(cls, name: str, info: ValidationInfo) -> str:
        """Refuse the first name that comes."""
        assert info.context is not None
        info.context["seen"].append(name)
        if len(info.context["seen"]) == 1:
            msg = "another one, please"
            raise ValueError(msg)
        return name

    model_config = {"validate_default": True}


def patched(side: Side, mode: Mode, *, asynchronous: bool) -> Any:
    """Make Instructor's client for a way in: on ours, or on one that it makes itself."""
    if side.way_in == "client":
        client = side.async_openai() if asynchronous else side.openai()
        return instructor.from_openai(client, mode=mode, model="tiny")
    http_client = side.async_http_client() if asynchronous else side.http_client()
    options = {
        "async_client": asynchronous,
        "http_client": http_client,
        "max_retries": 0,
        **side.where,
    }
    made = instructor.from_provider("openai/tiny", mode=mode, **options)
    side.adapt(made.client)
    return made


Program = Callable[[Side], Any]
HOOKS = (
    "completion:kwargs",
    "completion:response",
    "completion:error",
    "parse:error",
    "completion:last_attempt",
)


def program(method: str, question: str, mode: Mode, *, asynchronous: bool, **asked: Any) -> Program:
    """Return a program of one call.

    Its outcome is the result, or the results of a stream, and the hooks that were called.
    """
    body = {"messages": [{"role": "user", "content": question}], **asked}
    streams = method in {"create_partial", "create_iterable"}

    def hooks_called(client: Any) -> list[str]:
        hooks: list[str] = []
        for name in HOOKS:
            client.on(name, lambda *_, name=name, **__: hooks.append(name))
        return hooks

    def run(side: Side) -> Any:
        client = patched(side, mode, asynchronous=False)
        hooks = hooks_called(client)
        with client.client:
            try:
                result = getattr(client, method)(**body)
                result = list(result) if streams else result
            except InstructorRetryException as error:
                result = error
        return {**outcome(result), "hooks": hooks}

    async def arun(side: Side) -> Any:
        client = patched(side, mode, asynchronous=True)
        hooks = hooks_called(client)
        async with client.client:
            try:
                result = getattr(client, method)(**body)
                result = [each async for each in result] if streams else await result
            except InstructorRetryException as error:
                result = error
        return {**outcome(result), "hooks": hooks}

    return arun if asynchronous else run


def outcome(result: Any) -> dict[str, Any]:
    """Return the outcome of a call.

    Servers cut their replies differently, so equal snapshots in a row count once.
    """
    if isinstance(result, InstructorRetryException):
        attempts = [
            (type(each.exception).__name__, wire(each.completion))
            for each in result.failed_attempts or []
        ]
        return {
            "error": type(result).__name__,
            "attempts": result.n_attempts,
            "each": attempts,
            "used": result.total_usage,
        }
    if isinstance(result, list):
        return {"results": [plain(each) for each, _ in groupby(result)]}
    if isinstance(result, tuple):
        value, completion = result
        return {"results": [plain(value)], "completion": wire(completion)}
    return {"results": [plain(result)]}


def wire(completion: Any) -> dict[str, Any]:
    """Return a completion without the fields that only one of a server's two APIs has."""
    assert isinstance(completion.id, str)
    [choice] = completion.choices
    called = [each.function.model_dump() for each in choice.message.tool_calls or []]
    used = completion.usage
    return {
        "model": completion.model,
        "finish": choice.finish_reason,
        "text": choice.message.content or "",
        "calls": called,
        "used": [used.prompt_tokens, used.completion_tokens, used.total_tokens],
    }


both_ways = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@both_ways
def test_tools(comparison: Comparison, asynchronous: bool) -> None:
    run = program(
        "create_with_completion",
        "What is the weather in Paris?",
        Mode.TOOLS,
        asynchronous=asynchronous,
        response_model=Weather,
    )
    found = comparison.compare(
        "tools", run, but=ON_VLLM if comparison.source.name == "vllm" else None
    )
    assert found["results"] == [{"": "get_weather", "city": "Paris"}]
    assert [call["name"] for call in found["completion"]["calls"]] == ["get_weather"]
    assert found["hooks"] == ["completion:kwargs", "completion:response"]


@both_ways
def test_tools_in_part(comparison: Comparison, asynchronous: bool) -> None:
    live = comparison.source.name == "llamacpp"
    run = program(
        "create_partial",
        "What is the weather in Paris?",
        Mode.TOOLS,
        asynchronous=asynchronous,
        response_model=Weather if live else Anywhere,
    )
    found = comparison.compare("tools_partial", run)
    cities = [each["city"] for each in found["results"]]
    assert cities == ([None, "", "Paris"] if live else ["somewhere"])


@both_ways
def test_parallel_tools(comparison: Comparison, asynchronous: bool) -> None:
    def listed(side: Side) -> Any:
        client = patched(side, Mode.PARALLEL_TOOLS, asynchronous=False)
        with client.client:
            return [each.city for each in client.create(**body)]

    async def alisted(side: Side) -> Any:
        client = patched(side, Mode.PARALLEL_TOOLS, asynchronous=True)
        async with client.client:
            return [each.city for each in await client.create(**body)]

    asked = [{"role": "user", "content": "The weather in both Lima and Oslo?"}]
    body = {"messages": asked, "response_model": Iterable[Weather]}
    assert comparison.compare("parallel", alisted if asynchronous else listed) == ["Lima", "Oslo"]


@both_ways
def test_json_schema(recorded_comparison: Comparison, asynchronous: bool) -> None:
    run = program(
        "create_with_completion",
        "Make somebody up.",
        Mode.JSON_SCHEMA,
        asynchronous=asynchronous,
        response_model=Person,
    )
    found = recorded_comparison.compare("json_schema", run)
    assert found["results"] == [PERSON]
    assert found["completion"]["finish"] == "stop"


@both_ways
def test_json_schema_in_part(recorded_comparison: Comparison, asynchronous: bool) -> None:
    run = program(
        "create_partial",
        "Make somebody up.",
        Mode.JSON_SCHEMA,
        asynchronous=asynchronous,
        response_model=Person,
    )
    found = recorded_comparison.compare("json_schema_partial", run)
    assert found["results"][-1] == PERSON
    steps = [(each["name"], each["age"], each["tags"]) for each in found["results"]]
    assert (
        steps.index(("Paris", None, None))
        < steps.index(("Paris", 42, None))
        < steps.index(("Paris", 42, ["Paris"]))
    )


@both_ways
def test_json(recorded_comparison: Comparison, asynchronous: bool) -> None:
    # `json_object` has no schema: the shortest legal object is `{}`, and the model's own defaults
    # fill it.
    run = program(
        "create_with_completion",
        "What is the weather in Paris?",
        Mode.JSON,
        asynchronous=asynchronous,
        response_model=Anywhere,
    )
    found = recorded_comparison.compare("json", run)
    assert found["results"] == [{"": "get_weather", "city": "somewhere"}]
    assert found["completion"]["text"].strip().startswith("{")


@both_ways
def test_json_in_part(recorded_comparison: Comparison, asynchronous: bool) -> None:
    run = program(
        "create_partial",
        "What is the weather in Paris?",
        Mode.JSON,
        asynchronous=asynchronous,
        response_model=Anywhere,
    )
    assert recorded_comparison.compare("json_partial", run)["results"][-1]["city"] == "somewhere"


@both_ways
def test_list_in_a_stream(recorded_comparison: Comparison, asynchronous: bool) -> None:
    run = program(
        "create_iterable",
        "What is the weather in Paris?",
        Mode.JSON_SCHEMA,
        asynchronous=asynchronous,
        response_model=Anywhere,
    )
    found = recorded_comparison.compare("iterable", run)
    assert [each["city"] for each in found["results"]] == ["somewhere"]


@pytest.mark.parametrize(
    "mode", [Mode.TOOLS, Mode.JSON_SCHEMA, Mode.JSON], ids=["tools", "json_schema", "json"]
)
@both_ways
def test_asks_again(recorded_comparison: Comparison, mode: Mode, asynchronous: bool) -> None:
    # Instructor sends the refused reply back unchanged, with the reason: as a tool's answer, or as
    # a user message.
    name = {
        Mode.TOOLS: "again_tools",
        Mode.JSON_SCHEMA: "again_json_schema",
        Mode.JSON: "again_json",
    }[mode]
    seen: list[list[str]] = []

    def run(side: Side) -> Any:
        seen.append([])
        asked = {"response_model": Fussy, "max_retries": 1, "context": {"seen": seen[-1]}}
        return program("create", "Make somebody up.", mode, asynchronous=False, **asked)(side)

    async def arun(side: Side) -> Any:
        seen.append([])
        asked = {"response_model": Fussy, "max_retries": 1, "context": {"seen": seen[-1]}}
        return await program("create", "Make somebody up.", mode, asynchronous=True, **asked)(side)

    found = recorded_comparison.compare(name, arun if asynchronous else run)
    assert [len(names) for names in seen] == [2, 2]
    assert found["results"] == [{"": "Fussy", "name": seen[0][-1]}]
    assert found["hooks"].count("completion:response") == 2
    assert found["hooks"].count("parse:error") == 1


@both_ways
def test_gives_up(comparison: Comparison, asynchronous: bool) -> None:
    # llama.cpp ignores the named tool and answers in text; vLLM calls it with arguments that don't
    # fit.
    run = program(
        "create",
        "Say hello.",
        Mode.TOOLS,
        asynchronous=asynchronous,
        response_model=Person,
        max_retries=1,
    )
    found = comparison.compare(
        "gives_up", run, but=ON_VLLM if comparison.source.name == "vllm" else None
    )
    assert (found["error"], found["attempts"]) == ("InstructorRetryException", 2)
    texts = [completion["text"] for _, completion in found["each"]]
    assert texts == ([HELLO, HELLO] if comparison.source.name == "llamacpp" else ["", ""])


@both_ways
def test_cut_short(recorded_comparison: Comparison, asynchronous: bool) -> None:
    run = program(
        "create",
        "Make somebody up.",
        Mode.JSON_SCHEMA,
        asynchronous=asynchronous,
        response_model=Person,
        max_retries=0,
        max_tokens=16,
    )

    def cut(side: Side) -> Any:
        with pytest.raises(IncompleteOutputException) as caught:
            run(side)
        return wire(caught.value.last_completion)

    async def acut(side: Side) -> Any:
        with pytest.raises(IncompleteOutputException) as caught:
            await run(side)
        return wire(caught.value.last_completion)

    assert (
        recorded_comparison.compare("cut_short", acut if asynchronous else cut)["finish"]
        == "length"
    )


@both_ways
def test_without_a_model(comparison: Comparison, asynchronous: bool) -> None:
    def without_model(side: Side) -> Any:
        client = patched(side, Mode.TOOLS, asynchronous=False)
        with client.client:
            return wire(client.create(**body))

    async def awithout_model(side: Side) -> Any:
        client = patched(side, Mode.TOOLS, asynchronous=True)
        async with client.client:
            return wire(await client.create(**body))

    body = {"messages": [{"role": "user", "content": "Say hello."}], "response_model": None}
    assert (
        comparison.compare("without_model", awithout_model if asynchronous else without_model)[
            "text"
        ]
        == HELLO
    )
