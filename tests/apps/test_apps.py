"""The tools of `make apps`: the scripted server, what a request means, and the comparison."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest

import adapter
from tests.apps import known, meaning, run
from tests.apps.harness import plain
from tests.apps.server import Answer, Scripted, call, fail, refuse, say
from tests.support.http import helpers_of

ROOT = Path(__file__).resolve().parents[2]
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object"}},
}
NAMED = {"type": "function", "function": {"name": "f"}}
ASKED: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello."}]}

ANSWERS: dict[str, tuple[Answer, dict[str, Any]]] = {
    "text": (say("Hello there, how are you?\n"), {}),
    "nothing": (say(""), {}),
    "a call": (say("", call("f", x=1)), {"tools": [TOOL]}),
    "words and calls": (say("Let me look.", call("f", x=1), call("f", x="a b")), {"tools": [TOOL]}),
    "a call by name": (say("", call("f", x=1)), {"tools": [TOOL], "tool_choice": NAMED}),
    "a refusal": (refuse("I won't."), {}),
    "cut": (say("Hello", finish="length"), {}),
    "filtered": (say("Hello", finish="content_filter"), {}),
    "logprobs": (say("Hello there"), {"logprobs": True}),
    "stop": (say("One STOP two"), {"stop": "STOP"}),
}


@pytest.fixture
def server() -> Any:
    made = Scripted()
    yield made
    made.close()


@pytest.mark.parametrize("name", ANSWERS)
def test_both_apis_answer_alike(server: Scripted, name: str) -> None:
    answer, more = ANSWERS[name]
    seen = []
    for kind, given in (
        (openai.OpenAI, {}),
        (adapter.OpenAI, {"settings": adapter.Settings(backend="responses", emulate=["stop"])}),
    ):
        with kind(base_url=server.base_url, api_key="key", max_retries=0, **given) as client:
            server.play(answer, answer)
            whole = client.chat.completions.create(**ASKED, **more).model_dump(exclude_unset=True)
            with helpers_of(client).stream(
                **ASKED, **more, stream_options={"include_usage": True}
            ) as stream:
                streamed = [
                    each.model_dump(exclude={"snapshot"}) for each in stream if each.type != "chunk"
                ]
            seen.append([whole, [each for each in streamed if "event" not in each]])
        assert not [each.trouble for each in server.asked if each.trouble]
    assert [*run.differences(*seen, "$")] == []


def test_both_apis_fail_alike(server: Scripted) -> None:
    seen = []
    for kind, given in (
        (openai.OpenAI, {}),
        (adapter.OpenAI, {"settings": adapter.Settings(backend="responses")}),
    ):
        with kind(base_url=server.base_url, api_key="key", **given) as client:
            server.play(fail(429, "Slow down."), fail(400, "Asleep.", code="asleep"))
            with pytest.raises(openai.BadRequestError) as caught:
                client.chat.completions.create(**ASKED)
            seen.append((plain(caught.value, {}), len(server.asked)))
    assert seen[0] == seen[1]


def test_what_the_script_does_not_answer_is_noted(server: Scripted) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key="key", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**ASKED)
        with pytest.raises(openai.NotFoundError):
            client.audio.speech.create(model="tts", input="Hello", voice="ash")
    assert [each.trouble for each in server.asked] == [
        "the script has no answer left",
        "no such route",
    ]


HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": "data:x"}}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "One."},
]  # fmt: skip
ITEMS = [
    {"role": "system", "content": "Be brief."},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look."}, {"type": "input_image", "image_url": "data:x", "detail": "auto"}]},
    {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"x":1}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "One."},
]  # fmt: skip
CHAT = {
    "model": "m",
    "messages": HISTORY,
    "tools": [TOOL],
    "max_tokens": 50,
    "stream": True,
    "n": 1,
    "stop": None,
}
RESPONSES = {
    "model": "m", "input": ITEMS, "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}],
    "max_output_tokens": 50, "stream": True, "store": False,
}  # fmt: skip


def test_requests_that_ask_for_the_same_mean_the_same() -> None:
    assert [*run.differences(meaning.of_chat(CHAT), meaning.of_responses(RESPONSES), "$")] == []


@pytest.mark.parametrize(
    ("chat", "responses"),
    [
        pytest.param({"store": True}, {}, id="stored"),
        pytest.param({"temperature": 0.5}, {}, id="temperature"),
        pytest.param({"stop": ["STOP"]}, {}, id="stop"),
        pytest.param({"tool_choice": NAMED}, {"tool_choice": "required"}, id="tool choice"),
        pytest.param({"messages": [*HISTORY, {"role": "user", "content": "Go on."}]}, {}, id="a turn is missing"),
        pytest.param({"messages": [{"role": "user", "content": "Hi.", "name": "Ann"}]}, {"input": [{"role": "user", "content": "Hi."}]}, id="name"),
        pytest.param({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "text"}}}, id="format"),
        pytest.param({"stream": False}, {}, id="stream"),
    ],
)  # fmt: skip
def test_requests_that_ask_for_something_else_do_not(
    chat: dict[str, Any], responses: dict[str, Any]
) -> None:
    assert meaning.of_chat({**CHAT, **chat}) != meaning.of_responses({**RESPONSES, **responses})


def test_dropped_parameters_are_ignored() -> None:
    chat = {**CHAT, "seed": 7, "messages": [{"role": "user", "content": "Hi.", "name": "Ann"}]}
    without, named = (
        {**RESPONSES, "input": [{"role": "user", "content": text}]}
        for text in ("Hi.", "[Ann]: Hi.")
    )
    assert meaning.of_chat(chat, ["seed", "messages[].name"]) == meaning.of_responses(without)
    assert meaning.of_chat(chat, ["seed", "name"]) == meaning.of_responses(named)
    # A tool message may lose its name in the same request.
    assert meaning.of_chat(chat, ["seed", "name", "messages[].name"]) == meaning.of_responses(named)


@pytest.mark.parametrize(
    ("body", "chat", "trouble"),
    [
        pytest.param(CHAT, True, "", id="chat"),
        pytest.param(RESPONSES, False, "", id="responses"),
        pytest.param(CHAT, False, "'max_tokens'", id="the other's parameters"),
        pytest.param(
            {"input": [{"role": "user", "content": "", "name": "Ann"}]},
            False,
            "input[0].name",
            id="name",
        ),
        pytest.param(
            {"input": [{"type": "function_call", "name": "f"}]},
            False,
            "arguments",
            id="half a call",
        ),
        pytest.param({"messages": [{"role": "user"}]}, True, "content", id="half a message"),
        pytest.param({"input": [], "tools": [TOOL]}, False, "tools[0].name", id="a tool of Chat's"),
    ],
)
def test_a_body_that_an_api_refuses(body: dict[str, Any], chat: bool, trouble: str) -> None:
    problem = known.trouble(body, chat=chat)
    assert trouble in problem if trouble else not problem


def result(outcome: Any, path: str = "/v1/chat/completions", **more: Any) -> dict[str, Any]:
    body = CHAT if "chat" in path else RESPONSES
    return {
        "outcome": outcome,
        "asked": [{"path": path, "body": body, "trouble": ""}],
        "records": [],
        **more,
    }


def report(**scenarios: Any) -> dict[str, Any]:
    return {
        "app": {"but": {name: {"on *.id": "a reason"} for name in scenarios}},
        "scenarios": scenarios,
    }


def test_a_difference_is_found_unless_it_is_excused() -> None:
    native = report(one=result({"text": "a", "id": "1"}))
    found = run.Found({})
    run._compare("on", native, report(one=result({"text": "b", "id": "2"}, "/v1/responses")), found)
    assert found.differences == ["on one outcome.text: natively 'a', here 'b'"]
    assert found.excused == Counter({"one: a reason": 1})


def test_calls_that_stay_are_counted_by_their_reason() -> None:
    moved = {"asked": "responses", "backend": "responses", "reason": "settings", "losses": []}
    held = {
        **moved,
        "backend": "chat",
        "reason": "unsupported",
        "losses": [["seed", "held"], ["stop", "held"]],
    }
    found = run.Found({})
    assert (
        run._moved("app", "on", report(one=result({}, records=[moved, held, held])), found)
        == "1 of 3"
    )
    assert [(row["stayed"], row["reason"], row["path"]) for row in found.stayed] == [
        ("2", "unsupported", "seed, stop")
    ]


def test_a_call_that_bypasses_the_adapter_is_found() -> None:
    found = run.Found({})
    assert run._moved("app", "on", report(one=result({})), found) == "0 of 1"
    assert found.stayed[0]["reason"] == "past the adapter"
    run._moved("app", "off", report(one=result({})), found)
    assert found.differences


GUARDED = """
import socket
from tests.apps.child import Guard
guard, server = Guard(), socket.create_server(("127.0.0.1", 0))
guard.port = server.getsockname()[1]
socket.create_connection(server.getsockname())
for what in (
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: socket.getaddrinfo("example.com", 443),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 53)),
):
    try:
        what()
    except OSError as error:
        assert "no network" in str(error)
print(guard.refused)
"""


def test_no_application_reaches_the_network() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GUARDED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (
        done.stdout.strip() == "['connect 127.0.0.1:9', 'look up example.com', 'send to 192.0.2.1']"
    )
