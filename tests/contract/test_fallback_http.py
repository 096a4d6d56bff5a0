"""Fallback with retries, redirects, connections, and remembered endpoints."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import openai
import pytest

import adapter
from adapter._exchange.fallback import chat_path_of
from adapter._runtime import missing_endpoints
from tests.support.answers import (
    CALL,
    CHAT,
    RESPONSES,
    Sdk,
    chat_events,
    completion,
    error,
    impatient,
    paths,
    response,
    sdk,
    text_of,
)
from tests.support.fallback_replies import (
    EVERYTHING,
    MISSING,
    answer_text,
    clock,
    decision_of,
    over,
    run,
)
from tests.support.http import http
from tests.support.loopback import Loopback
from tests.support.loopback import Reply as Answer
from tests.support.loopback import Request as Asked
from tests.support.ways_in import WAYS_IN, Reply, WayIn, each_way_in

__all__ = ["clock", "impatient", "sdk"]


@pytest.mark.parametrize(
    ("settings", "seconds"), [({}, 600.0), ({"fallback_expiry": 5}, 5.0)], ids=["default", "given"]
)
@each_way_in
def test_a_missing_endpoint_is_tried_again_after_a_while(
    way_in: WayIn, clock: SimpleNamespace, settings: Any, seconds: float
) -> None:
    upstream = over(MISSING["Azure"])
    assert run(way_in, False, upstream, **settings).paths == [RESPONSES, CHAT]
    clock.now += seconds - 0.01
    assert run(way_in, False, upstream, **settings).paths == [CHAT]
    clock.now += 0.02
    assert run(way_in, False, upstream, **settings).paths == [RESPONSES, CHAT]
    clock.now += seconds + 1
    there = run(way_in, False, over(Reply.of_json(response())), **settings)
    assert there.paths == [RESPONSES]
    assert answer_text(there) == "Hello there"
    assert decision_of(there) == ("responses", "responses", "settings")


def test_each_base_url_is_tried(sdk: Sdk, loopback: Loopback) -> None:
    def answer(request: Asked) -> Answer:
        if request.path == "/old/responses":
            return Answer.of_json({"detail": "Not Found"}, 404)
        return Answer.of_json(response() if request.path.endswith("/responses") else completion())

    loopback.answer = answer
    old, new = sdk.client(f"{loopback.url}/old"), sdk.client(f"{loopback.url}/new")
    assert [text_of(sdk.create(client)) for client in (old, new, old, new)] == [
        "Native hello",
        "Hello there",
    ] * 2
    assert paths(loopback) == [
        "/old/responses",
        "/old/chat/completions",
        "/new/responses",
        "/old/chat/completions",
        "/new/responses",
    ]


def test_another_client_of_the_same_base_url_knows_it(loopback: Loopback) -> None:
    loopback.answer = lambda request: (
        Answer.of_json({}, 404)
        if request.path.endswith("/responses")
        else Answer.of_json(completion())
    )
    for mode in ("sync", "async"):
        one = Sdk(mode)  # type: ignore[arg-type]
        assert text_of(one.create(one.client(loopback))) == "Native hello"
        one.close()
    assert paths(loopback) == [RESPONSES, CHAT, CHAT]


def test_a_call_routed_to_chat_is_not_a_fallback() -> None:
    way_in = WAYS_IN[0]
    run(way_in, False, over(MISSING["Go"]))
    assert decision_of(run(way_in, False, over(MISSING["Go"]), backend="chat")) == (
        "chat",
        "chat",
        "settings",
    )


def test_without_missing_remembered_endpoints_are_ignored() -> None:
    way_in = WAYS_IN[0]
    run(way_in, False, over(MISSING["Go"]))
    assert run(way_in, False, over(MISSING["Go"]), fallback=("blocked",)).paths == [RESPONSES]


def test_only_so_many_base_urls_are_remembered() -> None:
    for number in range(3000):
        missing_endpoints.remember(("https", "host", None, str(number).encode()), 60)
    assert len(missing_endpoints._MISSING._expiry) <= 1000
    assert missing_endpoints._MISSING.contains(("https", "host", None, b"2999"))


@pytest.mark.usefixtures("impatient")
def test_a_retry_of_a_rejected_call_is_logged_as_it_ends(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [error(400), error(500), Answer.of_json(completion())]
    client = sdk.client(
        loopback, adapter.Settings(backend="responses", fallback=["rejected"]), max_retries=2
    )
    made = adapter.decision(sdk.create(client))
    assert made is not None
    assert made.losses[0].why.startswith("translation-suspect")
    assert paths(loopback) == [RESPONSES, CHAT, CHAT]


# Retries, redirects, connections


@pytest.mark.parametrize(
    ("reason", "first"),
    [("missing", error(404, "404")), ("blocked", Answer(403)), ("rejected", error(400))],
)
@pytest.mark.usefixtures("impatient")
def test_a_retry_after_a_fallback_goes_straight_to_chat(
    sdk: Sdk, loopback: Loopback, reason: str, first: Answer
) -> None:
    loopback.answer = [first, error(503), Answer.drop(), Answer.of_json(completion())]
    client = sdk.client(
        loopback, adapter.Settings(backend="responses", fallback=EVERYTHING), max_retries=3
    )
    result = sdk.create(client)
    assert text_of(result) == "Native hello"
    assert paths(loopback) == [RESPONSES, CHAT, CHAT, CHAT]
    made = adapter.decision(result)
    assert made is not None
    assert (made.backend, made.asked, made.reason) == ("chat", "responses", reason)


@pytest.mark.usefixtures("impatient")
def test_a_fallback_after_a_retry(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [
        error(503),
        Answer.of_json({"detail": "Not Found"}, 404),
        Answer.of_json(completion()),
    ]
    assert text_of(sdk.create(sdk.client(loopback, max_retries=2))) == "Native hello"
    assert paths(loopback) == [RESPONSES, RESPONSES, CHAT]


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("streamed", [False, True], ids=["create", "stream"])
def test_a_fallback_after_a_redirect_goes_to_the_new_host(
    sdk: Sdk, loopback: Loopback, status: int, streamed: bool
) -> None:
    def answer(request: Asked) -> Answer:
        if request.path == RESPONSES:
            return Answer.redirect("/v2/responses?a=1", status)
        if request.path == "/v2/responses":
            return Answer.of_json({"detail": "Not Found"}, 404)
        assert request.query == "a=1"
        assert "messages" in request.json()
        return Answer.of_sse(chat_events()) if streamed else Answer.of_json(completion())

    loopback.answer = answer
    client = sdk.client(loopback)
    assert text_of(sdk.stream(client) if streamed else sdk.create(client)) == "Native hello"
    assert paths(loopback) == [RESPONSES, "/v2/responses", "/v2/chat/completions"]


def test_a_redirect_to_another_path_has_no_fallback(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [Answer.redirect("/elsewhere"), Answer.of_json({"detail": "Not Found"}, 404)]
    with pytest.raises(openai.NotFoundError):
        sdk.create(sdk.client(loopback))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/v1/chat/completions", b"/v1/chat/completions"),
        (b"/v1/chat/completions/?a=1", b"/v1/chat/completions/?a=1"),
        (b"/v1/responses", b"/v1/chat/completions"),
        (b"/v1/responses/?a=/responses", b"/v1/chat/completions?a=/responses"),
        (b"/v1/answers", None),
        (b"/v1?a=/chat/completions", None),
    ],
)
def test_the_path_of_chat(path: bytes, expected: bytes | None) -> None:
    assert chat_path_of(path) == expected


@pytest.mark.parametrize("case", ["FastAPI", "page", "302"])
@pytest.mark.parametrize("streamed", [False, True], ids=["create", "stream"])
def test_the_first_reply_leaves_its_connection_free(
    sdk: Sdk, loopback: Loopback, case: str, streamed: bool
) -> None:
    first = {
        "FastAPI": Answer.of_json({"detail": "Not Found"}, 404),
        "page": Answer(
            403, (("content-type", "text/html"),), [b"<html>" * 9999], framing="chunked"
        ),
        "302": Answer(302, (("location", "/login"),)),
    }[case]
    second = Answer.of_sse(chat_events()) if streamed else Answer.of_json(completion())
    loopback.answer = [first, second]
    kind = sdk.pick(http.Client, http.AsyncClient)
    client = sdk.client(
        loopback, http_client=kind(limits=http.Limits(max_connections=1), timeout=5)
    )
    assert text_of(sdk.stream(client) if streamed else sdk.create(client)) == "Native hello"
    assert all(connection.is_idle() for connection in client._client._transport._pool.connections)


@pytest.mark.parametrize("case", ["missing", "blocked", "rejected"])
def test_the_reply_is_chats_own(sdk: Sdk, loopback: Loopback, case: str) -> None:
    first = {"missing": Answer(404), "blocked": Answer(403), "rejected": error(400)}[case]
    own = Answer(
        200, (("content-type", "application/json"), ("x-request-id", "req_c"), ("x-Odd", " yes")),
        [b'{ "id" : "chatcmpl-1" }\n'],
        gzip=True,
    )  # fmt: skip
    plain = sdk.client(loopback, plain=True)
    adapted = sdk.client(loopback, adapter.Settings(backend="responses", fallback=EVERYTHING))
    replies = []
    for client, answers in ((plain, [own]), (adapted, [first, own])):
        loopback.answer = answers
        raw = sdk.run(client.chat.completions.with_raw_response.create(**CALL))
        replies.append((raw.status_code, raw.headers.raw, raw.content))
    assert replies[0] == replies[1]
    sent = [request for request in loopback.requests if request.path == CHAT]
    assert (sent[0].headers, sent[0].body, sent[0].query) == (
        sent[1].headers,
        sent[1].body,
        sent[1].query,
    )


def test_observers_get_one_record(sdk: Sdk, loopback: Loopback) -> None:
    records: list[Any] = []
    loopback.answer = [Answer(404), Answer.of_json(completion())]
    sdk.create(
        sdk.client(loopback, adapter.Settings(backend="responses", observers=(records.append,)))
    )
    assert [
        (one.backend, one.asked, one.reason, one.status, one.prompt_tokens) for one in records
    ] == [("chat", "responses", "missing", 200, 5)]
