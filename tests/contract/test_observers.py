"""Observers: one frozen record for every call, through every way in, whatever its outcome."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import openai
import pytest

import adapter
from adapter import Counters, Record
from tests.support import tier
from tests.support.answers import (
    CALL,
    KEY,
    Sdk,
    Settings,
    both,
    chat_events,
    completion,
    delta,
    error,
    event,
    events,
    impatient,
    opening,
    response,
    sdk,
)
from tests.support.http import CONNECTION_ERRORS, arguments, http
from tests.support.loopback import HOLD, Loopback, Reply, Request

__all__ = ["impatient", "sdk"]

WAYS = tier.pick(("client", "install", "transport"), ("client", "transport"))
CANARY = "canary-4711"
USAGE_CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "gpt-4o",
    "choices": [],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
}


@dataclass(frozen=True)
class Case:
    """A call, its upstream, and the expected fields of its record."""

    answer: Callable[[Request], Reply]
    fields: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=lambda: {"backend": "responses"})
    more: dict[str, Any] = field(default_factory=dict)
    fails: bool = False


def _zipped(request: Request) -> Reply:
    body = gzip.compress(json.dumps(completion()).encode())
    return Reply(200, [("content-type", "application/json"), ("content-encoding", "gzip")], [body])


def _missing(request: Request) -> Reply:
    return (
        Reply.of_json({"detail": "Not Found"}, 404)
        if request.path.endswith("/responses")
        else both(request)
    )


def _chat_usage(request: Request) -> Reply:
    chunks = chat_events()
    return Reply.of_sse(
        [*chunks[:-1], b"data: " + json.dumps(USAGE_CHUNK).encode() + b"\n\n", chunks[-1]]
    )


TOKENS = {"prompt_tokens": 5, "completion_tokens": 3}
NO_TOKENS = {"prompt_tokens": None, "completion_tokens": None}
OFF = {"backend": "chat"}
CASES: dict[str, Case] = {
    "responses": Case(
        both,
        {
            "asked": "responses",
            "backend": "responses",
            "reason": "settings",
            "status": 200,
            "stream": False,
            "model": "gpt-4o",
            "error": None,
            "held": (),
            **TOKENS,
        },
    ),
    "responses, streamed": Case(
        both,
        {"backend": "responses", "status": 200, "stream": True, **TOKENS},
        more={"stream": True},
    ),
    "chat": Case(
        both,
        {
            "asked": "chat",
            "backend": "chat",
            "reason": "settings",
            "status": 200,
            "model": "gpt-4o",
            **TOKENS,
        },
        OFF,
    ),
    "chat, compressed": Case(_zipped, {"backend": "chat", "status": 200, **TOKENS}, OFF),
    "chat, streamed": Case(
        both, {"backend": "chat", "status": 200, "stream": True, **NO_TOKENS}, OFF, {"stream": True}
    ),
    "chat, streamed with usage": Case(
        _chat_usage,
        {"backend": "chat", "stream": True, "prompt_tokens": 7, "completion_tokens": 2},
        OFF,
        {"stream": True},
    ),
    "held": Case(
        both,
        {
            "asked": "responses",
            "backend": "chat",
            "reason": "unsupported",
            "held": ("logit_bias", "seed"),
            "status": 200,
            "losses": (("logit_bias", "held"), ("seed", "held")),
        },
        more={"seed": 1, "logit_bias": {"1": 1}},
    ),
    "dropped": Case(both, {"backend": "responses", "held": (), "losses": (("seed", "dropped"),)},
                    {"backend": "responses", "drop": ["seed"]}, {"seed": 1}),
    "refused": Case(
        both,
        {
            "asked": "responses",
            "backend": "responses",
            "reason": "refused",
            "status": 400,
            "held": ("seed",),
            "error": "BadRequestError",
        },
        {"backend": "responses", "unsupported": "error"},
        {"seed": 1},
        fails=True,
    ),
    "fell back": Case(
        _missing,
        {"asked": "responses", "backend": "chat", "reason": "missing", "status": 200, **TOKENS},
    ),
    "an error": Case(
        lambda _: error(401, "invalid_api_key"),
        {"backend": "responses", "status": 401, "error": "AuthenticationError", **NO_TOKENS},
        fails=True,
    ),
    "an error of Chat's": Case(
        lambda _: error(401),
        {"backend": "chat", "status": 401, "error": "AuthenticationError"},
        OFF,
        fails=True,
    ),
    "several": Case(
        both,
        {"backend": "responses", "status": 200, "prompt_tokens": 15, "completion_tokens": 9},
        {"backend": "responses", "emulate": ["n"]},
        {"n": 3},
    ),
    "several, streamed": Case(both, {"backend": "responses", "status": 200, "stream": True},
                              {"backend": "responses", "emulate": ["n"]}, {"n": 3, "stream": True}),
    "a stream that fails": Case(
        lambda _: Reply.of_sse([*opening(), delta("Hi"), event("error", code="x", message="m")]),
        {"backend": "responses", "status": 200, "error": "APIError"},
        more={"stream": True},
        fails=True,
    ),
}  # fmt: skip


def made(one: Sdk, server: Loopback, way: str, settings: Settings) -> Any:
    """Make a client that uses the adapter in one of three ways."""
    if way == "client":
        return one.client(server, settings)
    if way == "install":
        return adapter.install(one.client(server, plain=True), settings)
    inner = one.pick(http.HTTPTransport, http.AsyncHTTPTransport)(verify=False)
    way_in = one.pick(adapter.Transport, adapter.AsyncTransport)(inner, settings=settings)
    return one.client(
        server, plain=True, http_client=one.pick(http.Client, http.AsyncClient)(transport=way_in)
    )


def call(one: Sdk, client: Any, **more: Any) -> Any:
    """Make a call and read its whole reply."""
    result = one.create(client, **more)
    return one.list(result) if more.get("stream") else result


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_one_record_a_call(sdk: Sdk, loopback: Loopback, way: str, case: str) -> None:
    one = CASES[case]
    loopback.answer = one.answer
    seen: list[Record] = []
    client = made(sdk, loopback, way, Settings(observers=[seen.append], **one.settings))
    if one.fails:
        with pytest.raises(openai.APIError):
            call(sdk, client, **one.more)
    else:
        call(sdk, client, **one.more)
    assert len(seen) == 1
    (record,) = seen
    expected = dict(one.fields)
    if way == "transport" and expected.get("status", 0) >= 400:
        expected["error"] = None  # a transport doesn't see the exception
    assert {name: getattr(record, name) for name in expected} == expected
    assert 0 <= record.latency < 60
    assert (
        (record.first_token is not None) == (record.stream and record.error is None)
        or not record.stream
        or one.fails
    )
    if record.first_token is not None:
        assert 0 <= record.first_token <= record.latency


def test_records_are_frozen_and_without_contents(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda _: Reply.of_json(response(metadata={"x": CANARY}))
    seen: list[Record] = []
    settings = Settings(backend="responses", observers=[seen.append], drop=["logit_bias"])
    messages: Any = [{"role": "user", "content": CANARY, "name": CANARY}]
    with adapter.use(drop=["name"], tag="billing", conversation=CANARY):
        sdk.create(
            sdk.client(loopback, settings), messages=messages, logit_bias={CANARY: 1}, user=CANARY
        )
    (record,) = seen
    assert record.tag == "billing"
    assert CANARY not in repr(record)
    assert CANARY not in str(record)
    with pytest.raises(FrozenInstanceError):
        record.status = 1  # type: ignore[misc]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("backend", ["chat", "responses"])
def test_retries_are_one_call(sdk: Sdk, loopback: Loopback, backend: str) -> None:
    """The adapter's clients know when a call ends; a transport only sees requests."""
    replies = iter([error(500), error(500), None])

    def answer(request: Request) -> Reply:
        return next(replies) or both(request)

    loopback.answer = answer
    seen: list[Record] = []
    settings = Settings(backend=backend, observers=[seen.append])  # type: ignore[arg-type]
    client = sdk.client(loopback, settings, max_retries=2)
    sdk.create(client)
    assert [(one.status, one.error) for one in seen] == [(200, None)]
    assert len(loopback.requests) == 3


@pytest.mark.usefixtures("impatient")
def test_retries_that_all_fail_are_one_call(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda _: error(500)
    seen: list[Record] = []
    with pytest.raises(openai.InternalServerError):
        sdk.create(
            sdk.client(
                loopback, Settings(backend="responses", observers=[seen.append]), max_retries=2
            )
        )
    assert [(one.status, one.error) for one in seen] == [(500, "InternalServerError")]


@pytest.mark.parametrize("backend", ["chat", "responses"])
@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_breaks(sdk: Sdk, loopback: Loopback, way: str, backend: str) -> None:
    seen: list[Record] = []
    settings = Settings(backend=backend, observers=[seen.append])  # type: ignore[arg-type]
    client = made(sdk, loopback, way, settings).with_options(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(CONNECTION_ERRORS):
        sdk.create(client)
    assert [(one.status, one.backend) for one in seen] == [(None, backend)]
    assert seen[0].error is not None


@pytest.mark.parametrize("backend", ["chat", "responses"])
@pytest.mark.parametrize("way", WAYS)
def test_a_stream_left_early(sdk: Sdk, loopback: Loopback, way: str, backend: str) -> None:
    begun = chat_events()[:2] if backend == "chat" else events()[:-1]
    loopback.answer = lambda _: Reply.of_sse([*begun, HOLD])
    seen: list[Record] = []
    settings = Settings(backend=backend, observers=[seen.append])  # type: ignore[arg-type]
    client = made(sdk, loopback, way, settings)
    stream = sdk.create(client, stream=True)
    sdk.run(anext(aiter(stream)) if sdk.mode == "async" else next(iter(stream)))
    assert seen == []
    sdk.run(stream.close())
    assert [(one.status, one.stream, one.error) for one in seen] == [(200, True, None)]
    assert seen[0].first_token is not None


@pytest.mark.parametrize("way", WAYS)
def test_events_that_show_nothing_are_no_first_token(
    sdk: Sdk, loopback: Loopback, way: str
) -> None:
    """Such as those that the server sends before the model begins to think."""
    loopback.answer = lambda _: Reply.of_sse(opening()[:2], ending="close")
    seen: list[Record] = []
    client = made(sdk, loopback, way, Settings(backend="responses", observers=[seen.append]))
    with pytest.raises(CONNECTION_ERRORS):
        sdk.stream(client)
    (record,) = seen
    assert record.error is not None
    assert record.first_token is None


async def test_a_cancelled_call(loopback: Loopback) -> None:
    loopback.answer = lambda _: Reply.of_sse([HOLD])
    seen: list[Record] = []
    client = adapter.AsyncOpenAI(
        base_url=loopback.base_url,
        api_key=KEY,
        settings=Settings(backend="responses", observers=[seen.append]),
    )
    async with client:
        task = asyncio.create_task(client.chat.completions.create(**arguments(CALL), stream=True))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [one.error for one in seen] == ["CancelledError"]


def test_an_observer_that_raises_is_removed(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.answer = both
    seen: list[Record] = []

    def broken(record: Record) -> None:
        raise ValueError(CANARY)

    client = sdk.client(loopback, Settings(backend="responses", observers=[broken, seen.append]))
    with caplog.at_level(logging.WARNING, "adapter"):
        for _ in range(3):
            sdk.create(client)
    assert len(seen) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "an observer raised ValueError and was removed"
    ]
    assert CANARY not in caplog.text


def test_counters_over_many_calls(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    counters = Counters()
    client = sdk.client(
        loopback, Settings(backend="responses", observers=[counters], drop=["stop"])
    )
    for more in (
        {},
        {"seed": 1},
        {"stop": "x"},
        {"stream": True},
        {"extra_headers": {"x-adapter-backend": "chat"}},
    ):
        call(sdk, client, **more)
    figures = counters.snapshot()
    assert figures["calls"] == 5
    assert figures["held"] == {"seed": 1}
    assert figures["reasons"] == {"settings": 3, "unsupported": 1, "header": 1}
    assert "seed" in str(counters)


def test_replies_stay_as_they_are(sdk: Sdk, loopback: Loopback) -> None:
    """Observing a reply of Chat doesn't change it."""
    loopback.answer = _zipped
    results = []
    for observers in ([], [Counters()]):
        client = sdk.client(loopback, Settings(observers=observers))
        raw = sdk.run(client.chat.completions.with_raw_response.create(**arguments(CALL)))
        results.append((raw.content, [pair for pair in raw.headers.items() if pair[0] != "date"]))
    assert results[0] == results[1]
