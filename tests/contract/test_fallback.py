"""Replies that send a call to Chat Completions (docs/decisions.md#fallback).

Which ones, and what the caller sees.
"""

from __future__ import annotations

import openai
import pytest

from adapter._exchange.effects import ReplyHead
from adapter._exchange.fallback import classify, loss_of_retry, needs_body
from adapter._runtime import missing_endpoints
from tests.support.answers import CHAT, RESPONSES, impatient, opening, response, sdk
from tests.support.fallback_replies import (
    ALL,
    BLOCKED,
    EVERYTHING,
    MISSING,
    PASSED_ON,
    answer_text,
    api,
    decision_of,
    each_way,
    native_error,
    over,
    page,
    run,
)
from tests.support.http import CONNECTION_ERRORS
from tests.support.ways_in import Reply, WayIn, each_way_in

__all__ = ["impatient", "sdk"]


@pytest.mark.parametrize(
    ("case", "expected"),
    [(case, "missing") for case in MISSING]
    + [(case, None) for case in PASSED_ON]
    + [(case, "blocked") for case in BLOCKED],
)
def test_how_a_reply_is_classified(case: str, expected: str | None) -> None:
    reply = {**MISSING, **PASSED_ON, **BLOCKED}[case]
    head = ReplyHead(reply.status, reply.content_type)
    reason = (
        classify(head, b"".join(reply.parts)) if reply.status == 302 or needs_body(head) else None
    )
    assert reason == (
        "rejected"
        if reply.status == 400 and reason == "rejected" and expected is None
        else expected
    )


@pytest.mark.parametrize("case", ["OpenAI", "Azure", "FastAPI 405", "Express", "Rust, nothing"])
@each_way
@each_way_in
def test_a_missing_endpoint_sends_the_call_to_chat(
    way_in: WayIn, streaming: bool, case: str
) -> None:
    seen = run(way_in, streaming, over(MISSING[case]))
    assert answer_text(seen) == "Native hello"
    assert decision_of(seen) == ("chat", "responses", "missing")
    assert seen.paths == [RESPONSES, CHAT]
    assert seen.ledger == [("$", "held")]
    assert (seen.open, seen.open_on_return) == (0, 0)
    again = run(way_in, streaming, over(MISSING[case]))
    assert answer_text(again) == "Native hello"
    assert decision_of(again) == ("chat", "responses", "missing")
    assert again.paths == [CHAT]
    assert again.sent[0].body == seen.sent[1].body


@pytest.mark.parametrize("case", ["302", "401, a page", "403, FastAPI", "200, a page"])
@each_way
@each_way_in
def test_a_gateway_in_the_way_sends_the_call_to_chat(
    way_in: WayIn, streaming: bool, case: str
) -> None:
    for _ in range(2):  # not remembered: a gateway may let other requests through
        seen = run(way_in, streaming, over(BLOCKED[case]))
        assert answer_text(seen) == "Native hello"
        assert decision_of(seen) == ("chat", "responses", "blocked")
        assert seen.paths == [RESPONSES, CHAT]
        assert (seen.open, seen.open_on_return) == (0, 0)


@pytest.mark.parametrize(
    "case",
    ["OpenAI's model", "Ollama's model, older", "a param, 405", "401", "400", "502, a page", "429"],
)
@each_way
@each_way_in
def test_an_answer_of_the_api_is_passed_on(way_in: WayIn, streaming: bool, case: str) -> None:
    reply = PASSED_ON[case]
    seen = run(way_in, streaming, over(reply))
    assert isinstance(seen.error, openai.APIStatusError)
    assert seen.error.status_code == reply.status
    assert decision_of(seen) == ("responses", "responses", "settings")
    assert seen.paths == [RESPONSES]
    assert seen.open == 0
    native = native_error(reply)
    assert type(seen.error) is type(native)
    assert seen.error.body == native.body
    assert (seen.error.code, seen.error.param) == (native.code, native.param)


@pytest.mark.parametrize(
    "case",
    ["OpenAI", "Azure", "Go", "nginx 405", "401, a page", "403, text", "400, a page", "rejected"],
)
@each_way
@each_way_in
def test_nothing_falls_back_with_fallback_off(way_in: WayIn, streaming: bool, case: str) -> None:
    seen = run(way_in, streaming, over(ALL[case]), fallback=())
    assert isinstance(seen.error, openai.APIStatusError)
    assert seen.error.status_code == ALL[case].status
    assert seen.error.body == native_error(ALL[case]).body
    assert decision_of(seen) == ("responses", "responses", "settings")
    assert seen.paths == [RESPONSES]
    assert run(way_in, streaming, over(ALL[case]), fallback=()).paths == [RESPONSES]
    assert seen.open == 0


@pytest.mark.parametrize("reason", ["missing", "blocked", "rejected"])
@each_way_in
def test_each_reason_is_enabled_by_itself(way_in: WayIn, reason: str) -> None:
    cases = {"missing": MISSING["OpenAI"], "blocked": BLOCKED["401, a page"], "rejected": api(400)}
    for other, reply in cases.items():
        missing_endpoints.clear()
        seen = run(way_in, False, over(reply), fallback=(reason,))
        assert (seen.error is None) is (other == reason)
        assert decision_of(seen)[0] == ("chat" if other == reason else "responses")


# `rejected`


@each_way
@each_way_in
def test_a_refused_request_that_chat_accepts_is_a_suspect(way_in: WayIn, streaming: bool) -> None:
    refused = api(400, "unknown_parameter", param="input[0].wrong")
    seen = run(way_in, streaming, over(refused), fallback=("rejected",))
    assert answer_text(seen) == "Native hello"
    assert decision_of(seen) == ("chat", "responses", "rejected")
    assert seen.paths == [RESPONSES, CHAT]
    assert seen.decision is not None
    assert [loss.why.partition(":")[0] for loss in seen.decision.losses] == ["translation-suspect"]
    assert (seen.open, seen.open_on_return) == (0, 0)
    assert run(way_in, streaming, over(refused), fallback=("rejected",)).paths == [RESPONSES, CHAT]


@each_way
@each_way_in
def test_where_chat_refuses_as_well_its_own_error_is_raised(way_in: WayIn, streaming: bool) -> None:
    native = api(400, "chat_says_so", "Chat says no.", param="messages[0].content")
    seen = run(
        way_in, streaming, over(api(400, "responses_says_so"), native), fallback=("rejected",)
    )
    assert isinstance(seen.error, openai.BadRequestError)
    assert (seen.error.code, seen.error.param) == ("chat_says_so", "messages[0].content")
    assert decision_of(seen) == ("chat", "responses", "rejected")
    assert seen.decision is not None
    assert [loss.why for loss in seen.decision.losses] == [
        "the Responses API refused the request, and so did Chat Completions"
    ]
    assert seen.paths == [RESPONSES, CHAT]
    assert seen.open == 0


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            200,
            (
                "translation-suspect: the Responses API refused the request, "
                "Chat Completions accepted it"
            ),
        ),
        (400, "the Responses API refused the request, and so did Chat Completions"),
        (401, "the Responses API refused the request, and so did Chat Completions"),
        (429, "the Responses API refused the request"),
        (500, "the Responses API refused the request"),
    ],
)
def test_the_ledger_has_the_outcome_of_the_retry_on_chat(status: int, why: str) -> None:
    assert loss_of_retry(ReplyHead(status, "")).why == why


# Never after the first byte

BROKEN = {
    "an error": Reply.of_sse([*opening(), b'data: {"type":"error","code":"x","message":"y"}\n\n']),
    "no answer": Reply.of_sse(opening()),
    "a reset": Reply.of_sse(opening(), reset=True),
    "failed": Reply.of_sse(
        [
            *opening(),
            (
                b'data: {"type":"response.failed","response":{"status":"failed",'
                b'"error":{"code":"server_error","message":"y"}}}\n\n'
            ),
        ],
    ),
    "failed at once": Reply.of_sse(
        [
            (
                b'data: {"type":"response.failed","response":{"status":"failed",'
                b'"error":{"code":"invalid_prompt","message":"y"}}}\n\n'
            )
        ]
    ),
}

FAILED = {
    "failed": Reply.of_json(
        response(status="failed", error={"code": "server_error", "message": "y"})
    ),
    "failed, the caller's fault": Reply.of_json(
        response(status="failed", error={"code": "invalid_prompt", "message": "y"})
    ),
    "not JSON": page(200, "what", "application/json"),
    "no Response": Reply.of_json({"hello": 1}),
    "empty": Reply(200, ()),
}


@pytest.mark.parametrize("case", BROKEN)
@each_way_in
def test_a_stream_that_has_begun_never_falls_back(way_in: WayIn, case: str) -> None:
    seen = run(way_in, True, over(BROKEN[case]), fallback=EVERYTHING)
    assert isinstance(seen.error, (openai.APIError, *CONNECTION_ERRORS))
    assert decision_of(seen)[0] == "responses"
    assert seen.paths == [RESPONSES]


@pytest.mark.parametrize("case", FAILED)
@each_way_in
def test_a_reply_that_says_200_never_falls_back(way_in: WayIn, case: str) -> None:
    seen = run(way_in, False, over(FAILED[case]), fallback=EVERYTHING)
    assert isinstance(seen.error, openai.APIError)
    assert decision_of(seen)[0] == "responses"
    assert seen.paths == [RESPONSES]
    assert seen.open == 0


# The classification itself

ODD = (
    b"", b"null", b"1", b'"x"', b"[]", b"[[]]", b"{}", b"\xff\xfe", b'{"error":null}',
    b'{"error":{}}', b'{"error":[]}',
    b'{"error":{"message":null}}', b'{"error":{"message":1,"code":[]}}',
    b'{"detail":[{"msg":"x"}]}', b"{" * 100,
)  # fmt: skip


@pytest.mark.parametrize("raw", ODD)
def test_odd_replies_are_classified(raw: bytes) -> None:
    for status in (200, 302, 400, 401, 403, 404, 405):
        for kind in ("", "application/json", "text/html", "text/plain"):
            assert classify(ReplyHead(status, kind), raw) in (
                None,
                "missing",
                "blocked",
                "rejected",
            )


def test_what_the_sdk_retries_is_left_to_it() -> None:
    retried = [408, 409, 429, *(status for status in range(500, 600) if status != 501)]
    assert [
        status for status in range(400, 600) if not needs_body(ReplyHead(status, "text/html"))
    ] == retried


def test_a_successful_reply_is_not_read_early() -> None:
    assert not needs_body(ReplyHead(200, "application/json"))
    assert not needs_body(ReplyHead(200, "text/event-stream"))
    assert not needs_body(ReplyHead(204, ""))
