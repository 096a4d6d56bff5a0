"""The log: one line for each changed call, names and paths only (docs/decisions.md#privacy)."""

from __future__ import annotations

import logging
from typing import Any

import openai
import pytest

from tests.support.answers import (
    KEY,
    Sdk,
    Settings,
    both,
    call_item,
    completion,
    ending,
    error,
    event,
    events,
    message_item,
    response,
    sdk,
)
from tests.support.http import CONNECTION_ERRORS
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["sdk"]

HEADER = "x-adapter-backend"


# The log

CANARY = "canary-4711"
SECRET: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": CANARY},
        {"role": "user", "content": [{"type": "text", "text": CANARY}], "name": CANARY},
        {
            "role": "assistant",
            "content": CANARY,
            "tool_calls": [
                {
                    "id": f"call_{CANARY}",
                    "type": "function",
                    "function": {"name": "f", "arguments": f'{{"a": "{CANARY}"}}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": f"call_{CANARY}", "content": CANARY},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": CANARY,
                "parameters": {"type": "object", "title": CANARY},
            },
        }
    ],
    "metadata": {"a": CANARY}, "user": CANARY, "prompt_cache_key": CANARY, "stop": [CANARY],
    "seed": 7,
    "extra_headers": {"x-mine": CANARY}, "extra_query": {"q": CANARY},
}  # fmt: skip
SEARCH = {
    "type": "web_search_call",
    "id": CANARY,
    "status": "completed",
    "action": {"query": CANARY},
}
SAYING = response(message_item(CANARY), call_item(arguments=CANARY), SEARCH)
DROPPING = Settings(backend="responses", unsupported="drop")


def _own(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.partition(".")[0] == "adapter"]


LOGGED: dict[str, tuple[Settings, list[Reply]]] = {
    "dropped": (DROPPING, [Reply.of_json(SAYING)]),
    "held": (Settings(backend="responses"), [Reply.of_json(completion(CANARY))]),
    "refused": (Settings(backend="responses", unsupported="error"), []),
    "not a response": (
        DROPPING,
        [Reply(200, (("content-type", "text/plain"),), [CANARY.encode()])],
    ),
    "a page": (
        DROPPING,
        [
            Reply(403, (("content-type", "text/html"),), [CANARY.encode()]),
            Reply.of_json({"error": {"message": "no"}}, 400),
        ],
    ),
    "not an object": (DROPPING, [Reply.of_json(CANARY)]),
    "wrong output": (DROPPING, [Reply.of_json(SAYING | {"output": CANARY})]),
    "dropped connection": (DROPPING, [Reply.drop()]),
}
STREAM_LOGGED: dict[str, tuple[Settings, list[bytes]]] = {
    "dropped": (
        DROPPING,
        [
            *events(CANARY)[:-1],
            event(
                "response.completed", response=SAYING | {"output": [message_item(CANARY), SEARCH]}
            ),
        ],
    ),
    "cut": (DROPPING, events(CANARY)[:-1]),
    "contradiction": (DROPPING, [*events(CANARY, "x")[:-1], ending("other " + CANARY)]),
    "garbage": (DROPPING, [*events(CANARY)[:-1], f"data: {CANARY}\n\n".encode()]),
    "unknown": (
        DROPPING,
        [event("response.something.new", delta=CANARY, item={CANARY: 1}), *events(CANARY)],
    ),
}  # fmt: skip


def _check(caplog: pytest.LogCaptureFixture, failure: Exception | None) -> None:
    (record,) = [one for one in _own(caplog) if one.levelno == logging.INFO]
    assert record.name == "adapter"
    lines = [text for one in _own(caplog) for text in (one.getMessage(), repr(one.__dict__))]
    for text in (*lines, str(failure), repr(getattr(failure, "body", None))):
        assert CANARY not in text
        assert KEY not in text
        assert "get_weather" not in text


@pytest.mark.parametrize("case", LOGGED)
def test_one_line_without_contents(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    settings, replies = LOGGED[case]
    loopback.answer = replies
    caplog.set_level(logging.DEBUG, "adapter")
    failure: Exception | None = None
    try:
        sdk.create(sdk.client(loopback, settings), **SECRET)
    except openai.APIError as raised:
        failure = raised
    assert (failure is None) == (case in ("dropped", "held"))
    _check(caplog, failure)


@pytest.mark.parametrize("case", STREAM_LOGGED)
def test_one_line_without_contents_for_streams(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    settings, parts = STREAM_LOGGED[case]
    loopback.answer = [Reply.of_sse(parts, framing="close")]
    caplog.set_level(logging.DEBUG, "adapter")
    failure: Exception | None = None
    try:
        sdk.stream(sdk.client(loopback, settings), **SECRET)
    except (openai.APIError, *CONNECTION_ERRORS) as raised:
        failure = raised
    assert (failure is None) == (case in ("dropped", "unknown"))
    _check(caplog, failure)


def test_the_line_names_what_changed(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.answer = [Reply.of_json(SAYING)]
    caplog.set_level(logging.INFO, "adapter")
    sdk.create(sdk.client(loopback, DROPPING), **SECRET)
    (line,) = [record.getMessage() for record in _own(caplog)]
    for part in (
        "asked=responses",
        "backend=responses",
        "messages[1].name dropped",
        "stop dropped",
        "seed dropped",
        "output[2] dropped",
        f"settings={DROPPING.hash}",
    ):
        assert part in line


def test_calls_with_backend_chat_are_not_logged(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.answer = both
    caplog.set_level(logging.DEBUG, "adapter")
    client = sdk.client(loopback, "chat")
    sdk.create(client)
    sdk.stream(client)
    assert _own(caplog) == []


def test_retries_share_one_line(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    wait = error(429, headers=(("retry-after-ms", "1"),))
    loopback.answer = [wait, wait, Reply.of_json(response())]
    caplog.set_level(logging.INFO, "adapter")
    sdk.create(sdk.client(loopback, DROPPING, max_retries=2), seed=7)
    assert len(_own(caplog)) == 1


def test_a_refused_value_is_not_shown(sdk: Sdk, loopback: Loopback) -> None:
    """Error texts of the adapter contain no values, at any path."""
    client = sdk.client(loopback, Settings(backend="responses", unsupported="error"))
    for more in (
        {"stop": CANARY},
        {"messages": [{"role": CANARY, "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": CANARY}]}]},
    ):
        with pytest.raises(openai.BadRequestError) as raised:
            sdk.create(client, **more)
        assert CANARY not in str(raised.value)


def test_upstreams_error_text_is_passed_on_and_not_logged(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: Request) -> Reply:
        return Reply.of_json(
            {"error": {"message": CANARY, "type": "t", "param": None, "code": None}}, 400
        )

    loopback.answer = answer
    caplog.set_level(logging.DEBUG, "adapter")
    with pytest.raises(openai.BadRequestError, match=CANARY):
        sdk.create(sdk.client(loopback, DROPPING), seed=7)
    assert CANARY not in repr([record.__dict__ for record in _own(caplog)])
