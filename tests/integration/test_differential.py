"""On a real server with both APIs and a deterministic model, adapted chat equals native chat."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import openai
import pytest

import adapter
from tests.servers.process import Server
from tests.support.comparing import Comparison, compare
from tests.support.differences import DIFFERENCES
from tests.support.real_server import KEY, ONE_REQUEST_A_CONNECTION
from tests.support.scenarios import (
    ANSWERS,
    FIND_ORDER,
    SCENARIOS,
    TRACK_PARCEL,
    WEATHER,
    Conversation,
    Person,
    Scenario,
    play,
    play_async,
    user,
)
from tests.support.ways_in import HTTP

SERVER = "llamacpp"
SETTINGS = adapter.Settings(backend="responses", unsupported="error", on_bug="raise", fallback=())
USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}

pytestmark = pytest.mark.server


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _calls(*calls: tuple[str, str, str], content: Any = None) -> dict[str, Any]:
    made = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": text}}
        for id_, name, text in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": made}


def _result(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


LIMA, OSLO = (
    ("call_lima", "get_weather", '{"city": "Lima"}'),
    ("call_oslo", "get_weather", '{"city": "Oslo"}'),
)
SUNNY = ANSWERS["get_weather"]
ASKED = user("The weather in both Lima and Oslo?")
HISTORIES: dict[str, list[dict[str, Any]]] = {
    "one_call": [*ASKED, _calls(LIMA), _result("call_lima", SUNNY)],
    "two_calls": [
        *ASKED,
        _calls(LIMA, OSLO),
        _result("call_lima", SUNNY),
        _result("call_oslo", SUNNY),
    ],
    "swapped_results": [
        *ASKED,
        _calls(LIMA, OSLO),
        _result("call_oslo", SUNNY),
        _result("call_lima", SUNNY),
    ],
    "text_and_call": [*ASKED, _calls(LIMA, content="Let me see."), _result("call_lima", SUNNY)],
    "result_in_parts": [
        *ASKED,
        _calls(LIMA),
        _result("call_lima", [_text("sunny, "), _text("21 degrees")]),
    ],
    "empty_result": [*ASKED, _calls(LIMA), _result("call_lima", "")],
    "empty_text_beside_call": [*ASKED, _calls(LIMA, content=""), _result("call_lima", SUNNY)],
    "answered": [
        *ASKED,
        _calls(LIMA),
        _result("call_lima", SUNNY),
        {"role": "assistant", "content": "It is sunny."},
        *user("Say hello."),
    ],
    "three_rounds": [
        *user("Where is my order 1042?"),
        _calls(("call_a", "find_order", '{"order": 1042}')),
        _result("call_a", ANSWERS["find_order"]),
        _calls(("call_b", "track_parcel", '{"parcel": "LX-77"}')),
        _result("call_b", ANSWERS["track_parcel"]),
    ],
}
PROMPTS: dict[str, list[dict[str, Any]]] = {
    "part": [{"role": "user", "content": [_text("Say hello.")]}],
    "unicode": user("Grüße, 世界! 👋\r\n\tSay\u2028hello.\u0000"),
    "empty": user(""),
    "system_in_parts": [
        {"role": "system", "content": [_text("Be "), _text("brief.")]},
        *user("Say hello."),
    ],
    "assistant_in_parts": [
        *user("Say hello."),
        {"role": "assistant", "content": [_text("Hel"), _text("lo!")]},
        *user("Again."),
    ],
    "late_system": [*user("Say hello."), {"role": "system", "content": "Be brief."}, *user("Now.")],
    "two_users": [*user("Say"), *user("hello.")],
    "long_talk": [
        turn
        for _ in range(3)
        for turn in (*user("Say hello."), {"role": "assistant", "content": "Hello!"})
    ]
    + user("And again."),
}
BROKEN = [*ASKED, _calls(("call_1", "get_weather", '{"city": ')), _result("call_1", "no such city")]
LIMITS = {16: "length", 17: "length", 43: "length", 44: "limit", 500: "limit"}
"""The long answer has 43 tokens, and one that ends it."""


def _scenario(name: str, body: dict[str, Any]) -> Scenario:
    def calls() -> Conversation:
        yield "create", body

    return Scenario(name, calls)


def _variations() -> Iterator[Scenario]:
    ways: Iterator[dict[str, Any]] = cycle(({}, {"stream": True}, USAGE))
    for name, messages in HISTORIES.items():
        # A history may hold calls whose tools are no longer offered, and llama.cpp reads its
        # prompts slowly.
        more: dict[str, Any] = {"tools": [WEATHER]} if name == "two_calls" else {}
        yield _scenario(f"history_{name}", {"messages": messages, **more})
        yield _scenario(f"history_{name}_stream", {"messages": messages, **more, **USAGE})
    for name, messages in PROMPTS.items():
        yield _scenario(f"prompt_{name}", {"messages": messages, **next(ways)})
        yield _scenario(f"prompt_{name}_again", {"messages": messages, **next(ways)})
    for limit, end in LIMITS.items():
        for word in ("max_tokens", "max_completion_tokens"):
            body = {"messages": user("Tell me a long story."), word: limit, **next(ways)}
            yield _scenario(f"{end}_{word}_{limit}", body)
    yield _scenario("error_broken_arguments", {"messages": BROKEN, "tools": [WEATHER]})
    yield _scenario(
        "error_broken_arguments_stream", {"messages": BROKEN, "tools": [WEATHER], **USAGE}
    )
    loose = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object"}},
    }
    options: dict[str, dict[str, Any]] = {
        "tool_loose": {"tools": [loose]},
        "tool_not_strict": {
            "tools": [{"type": "function", "function": {**WEATHER["function"], "strict": False}}]
        },
        "tool_no_parameters": {
            "tools": [{"type": "function", "function": {"name": "get_weather"}}]
        },
        "tool_auto": {"tools": [WEATHER], "tool_choice": "auto"},
        "tool_serial": {"tools": [WEATHER], "parallel_tool_calls": False},
        "sampling": {"temperature": 0, "top_p": 0.5},
        "labelled": {"metadata": {"team": "a"}, "user": "u-1", "safety_identifier": "s-1"},
        "not_stored": {"store": False},
    }
    for name, body in options.items():
        # Descriptive names: the list of differences refers to them.
        yield _scenario(name, {"messages": user("What is the weather in Paris?"), **body})
        yield _scenario(
            f"{name}_stream", {"messages": user("What is the weather in Paris?"), **body, **USAGE}
        )


def _parsed() -> Iterator[Scenario]:
    def calls() -> Conversation:
        yield (
            "parse",
            {"messages": user("Say hello."), "tools": [openai.pydantic_function_tool(Person)]},
        )

    yield Scenario("parse_unused_tool", calls)


ALL = [
    *(scenario for scenario in SCENARIOS if SERVER in scenario.servers),
    *_variations(),
    *_parsed(),
]
each = pytest.mark.parametrize(
    "scenario", [pytest.param(scenario, id=scenario.name) for scenario in ALL]
)


@pytest.fixture(scope="module")
def server(llamacpp_server: Server) -> Server:
    client = openai.OpenAI(base_url=llamacpp_server.base_url, api_key=KEY)
    for path in (client.chat.completions.create, client.responses.create):
        for _ in range(2):
            # A server that has just started puts several tokens into one event.
            request: dict[str, Any] = {
                "messages" if path == client.chat.completions.create else "input": user("Hi")
            }
            list(path(model="tiny", stream=True, **request))  # type: ignore[call-overload]
    client.close()
    return llamacpp_server


def _options(server: Server, scenario: Scenario) -> dict[str, Any]:
    # One retry, as llama.cpp closes idle connections after five seconds, possibly during the next
    # turn.
    return {"base_url": server.base_url, "api_key": scenario.key or KEY, "max_retries": 1}


@pytest.fixture(scope="module")
def results(server: Server) -> dict[str, tuple[list[Any], list[Any]]]:
    """Run every scenario on both sides, once: several tests use the results."""
    with HTTP.Client() as native, HTTP.Client() as adapted:
        return {
            scenario.name: (
                play(scenario, openai.OpenAI(http_client=native, **_options(server, scenario))),
                play(
                    scenario,
                    adapter.OpenAI(
                        http_client=adapted, settings=SETTINGS, **_options(server, scenario)
                    ),
                ),
            )
            for scenario in ALL
        }


@each
def test_adapted_equals_native(scenario: Scenario, results: dict[str, Any]) -> None:
    native, adapted = results[scenario.name]
    assert compare(SERVER, scenario.name, native, adapted, DIFFERENCES).faults == []
    expected = scenario.name.startswith("error_")
    assert isinstance(native[-1], openai.APIStatusError) == expected, (
        f"the scenario doesn't work: {native[-1]!r:.300}"
    )


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(scenario, id=scenario.name) for scenario in ALL if scenario in SCENARIOS],
)
async def test_async_equals_native(
    scenario: Scenario, server: Server, results: dict[str, Any]
) -> None:
    options = _options(server, scenario)
    async with adapter.AsyncOpenAI(
        http_client=HTTP.AsyncClient(verify=False), settings=SETTINGS, **options
    ) as client:
        adapted = await play_async(scenario, client)
    native, _ = results[scenario.name]
    assert compare(SERVER, scenario.name, native, adapted, DIFFERENCES).faults == []


def test_every_listed_difference_occurs(
    results: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    total = Comparison()
    for name, (native, adapted) in results.items():
        total.add(compare(SERVER, name, native, adapted, DIFFERENCES))
    with capsys.disabled():
        print(f"\nllama.cpp, live, {len(results)} scenarios: {total}")
    assert [
        entry for entry in DIFFERENCES if SERVER in entry.servers and not total.occurred[entry]
    ] == []
    assert total.faults == []


def test_nothing_stayed_on_chat(results: dict[str, Any]) -> None:
    backends = {
        (name, decision.backend)
        for name, (_, adapted) in results.items()
        for result in adapted
        if not isinstance(result, list) and (decision := adapter.decision(result)) is not None
    }
    assert len(backends) >= 30
    assert {backend for _, backend in backends} == {"responses"}


def test_a_history_may_change_sides_at_every_turn(server: Server) -> None:
    messages = user("Where is my order 1042?")
    options = {
        "base_url": server.base_url,
        "api_key": KEY,
        "max_retries": 0,
        "default_headers": ONE_REQUEST_A_CONNECTION,
    }
    texts = []
    with adapter.OpenAI(settings=SETTINGS, **options) as client:
        for backend in ("chat", "responses", "chat"):
            with adapter.use(backend=backend):  # type: ignore[arg-type]
                completion = client.chat.completions.create(
                    model="tiny",
                    messages=messages,
                    tools=[FIND_ORDER, TRACK_PARCEL],  # type: ignore[arg-type]
                )
            decision = adapter.decision(completion)
            assert decision is not None
            assert decision.backend == backend
            message = completion.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            messages += [
                _result(call.id, ANSWERS[call.function.name])  # type: ignore[union-attr]
                for call in message.tool_calls or ()
            ]
            texts.append(message.content)
    assert (
        texts[-1]
        == "Your order 1042 is in parcel LX-77, which left Lyon this morning and arrives on Friday."
    )
