"""What a call sends is fixed when it is made, though the caller changes its arguments later.

See docs/edge-cases.md#changes-between-retries.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from adapter import Settings
from tests.support import rich, tier
from tests.support.answers import CHAT, RESPONSES, Sdk, error, sdk
from tests.support.calls import WAYS, Upstream, Way
from tests.support.loopback import Reply, Request

__all__ = ["sdk"]

ON = Settings(backend="responses")
RETRY = (("retry-after-ms", "1"),)


def _given() -> dict[str, Any]:
    return {
        "model": "gpt-4o",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "first"}]},
            {"role": "assistant", "content": "said"},
            {"role": "user", "content": "first"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "parameters": {"type": "object", "properties": {"a": {}}},
                },
            }
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"type": "object", "properties": {}}},
        },
        "metadata": {"a": "first"},
        "extra_body": {"text": {"own": ["first"]}},
    }


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a message's text": lambda g: g["messages"][2].update(content="second"),
    "a part's text": lambda g: g["messages"][0]["content"][0].update(text="second"),
    "one more message": lambda g: g["messages"].append({"role": "user", "content": "second"}),
    "no messages": lambda g: g["messages"].clear(),
    "a tool's schema": lambda g: g["tools"][0]["function"]["parameters"]["properties"]["a"].update(
        type="string"
    ),
    "the format's schema": lambda g: g["response_format"]["json_schema"]["schema"][
        "properties"
    ].update(second={}),
    "metadata": lambda g: g["metadata"].update(a="second"),
    "extra_body": lambda g: g["extra_body"]["text"]["own"].append("second"),
}


def _call(
    way: Way,
    given: dict[str, Any],
    answer: Callable[[Request], Reply],
    settings: Settings | None,
    **more: Any,
) -> list[Request]:
    one = Sdk("async" if way.asynchronous else "sync")
    upstream = Upstream(answer)
    made = one.run(
        way.client(upstream, settings, max_retries=2).chat.completions.create(**given, **more)
    )
    if more:
        one.list(made)
    one.close()
    return upstream.requests


OWN = [way for way in tier.two(WAYS) if way.kind != "transport"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", OWN, ids=lambda way: way.name)
def test_a_retry_sends_what_the_call_sent(way: Way, change: str, stream: bool) -> None:
    given = _given()
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        if len(seen) == 1:
            CHANGES[change](given)
            return error(500, headers=RETRY)
        return rich.answer(request)

    requests = _call(way, given, answer, ON, **({"stream": True} if stream else {}))
    assert [request.path for request in requests] == [RESPONSES, RESPONSES]
    assert requests[0].body == requests[1].body
    assert b"second" not in requests[1].body


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", tier.two(WAYS), ids=lambda way: way.name)
def test_a_fallback_sends_what_the_call_was(way: Way, change: str) -> None:
    given = _given()

    def answer(request: Request) -> Reply:
        if request.path == RESPONSES:
            CHANGES[change](given)
            return error(404, "404")
        return rich.answer(request)

    requests = _call(way, given, answer, ON)
    assert [request.path for request in requests] == [RESPONSES, CHAT]
    native = _call(way, _given(), rich.answer, None)
    assert requests[1].body == native[0].body


@pytest.mark.parametrize("change", ["a message's text", "a part's text", "one more message"])
@pytest.mark.parametrize("settings", [None, Settings()], ids=["native", "off"])
def test_the_sdk_fixes_messages_as_well(sdk: Sdk, change: str, settings: Settings | None) -> None:
    """The SDK does it by itself, and so does a call that is routed to Chat."""
    given = _given()
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        if len(seen) == 1:
            CHANGES[change](given)
            return error(500, headers=RETRY)
        return rich.answer(request)

    requests = _call(Way("client", sdk.mode == "async"), given, answer, settings)
    assert [json.loads(request.body) for request in requests] == [json.loads(requests[0].body)] * 2
