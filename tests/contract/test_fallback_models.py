"""Models that a server doesn't serve on the Responses API (docs/decisions.md#fallback)."""

from __future__ import annotations

from types import SimpleNamespace

import openai
import pytest

from adapter._exchange.effects import ReplyHead
from adapter._exchange.fallback import classify, lacks_model, needs_body
from adapter._runtime import missing_endpoints
from tests.support.answers import CALL, CHAT, RESPONSES, impatient, response, sdk
from tests.support.fallback_replies import (
    ALL,
    EVERYTHING,
    MISSING,
    RESPONSES_ONLY,
    SERVED,
    UNSERVED,
    answer_text,
    clock,
    decision_of,
    each_way,
    native_error,
    over,
    run,
)
from tests.support.ways_in import WAYS_IN, Reply, WayIn, each_way_in

__all__ = ["clock", "impatient", "sdk"]


@pytest.mark.parametrize("case", UNSERVED)
def test_a_model_that_is_not_served(case: str) -> None:
    reply = UNSERVED[case]
    head, raw = ReplyHead(reply.status, reply.content_type), b"".join(reply.parts)
    assert needs_body(head)
    assert classify(head, raw) == "missing"
    assert lacks_model(head, raw)


@pytest.mark.parametrize("case", SERVED)
def test_texts_that_only_resemble_it(case: str) -> None:
    reply = SERVED[case]
    head, raw = ReplyHead(reply.status, reply.content_type), b"".join(reply.parts)
    assert not lacks_model(head, raw)
    assert classify(head, raw) in (None, "rejected")


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_endpoint_is_missing_for_all_models(case: str) -> None:
    reply = MISSING[case]
    assert not lacks_model(ReplyHead(reply.status, reply.content_type), b"".join(reply.parts))


@pytest.mark.parametrize(
    "case", ["OpenAI", "Copilot", "Azure", "Bedrock, 404", "vLLM, newer", "any-llm"]
)
@each_way
@each_way_in
def test_a_model_that_is_not_served_goes_to_chat(way_in: WayIn, streaming: bool, case: str) -> None:
    seen = run(way_in, streaming, over(UNSERVED[case]))
    assert answer_text(seen) == "Native hello"
    assert decision_of(seen) == ("chat", "responses", "missing")
    assert seen.paths == [RESPONSES, CHAT]
    assert seen.decision is not None
    assert "this model" in seen.decision.losses[0].why
    again = run(way_in, streaming, over(UNSERVED[case]))
    assert answer_text(again) == "Native hello"
    assert decision_of(again) == ("chat", "responses", "missing")
    assert again.ledger == seen.ledger == [("$", "held")]
    assert again.paths == [CHAT]
    another = run(way_in, False, over(Reply.of_json(response())), {**CALL, "model": "another"})
    assert another.paths == [RESPONSES]
    assert decision_of(another) == ("responses", "responses", "settings")


@each_way_in
def test_an_unserved_model_is_tried_again_after_a_while(
    way_in: WayIn, clock: SimpleNamespace
) -> None:
    upstream = over(UNSERVED["Copilot"])
    assert run(way_in, False, upstream, fallback_expiry=5).paths == [RESPONSES, CHAT]
    clock.now += 4.9
    assert run(way_in, False, upstream, fallback_expiry=5).paths == [CHAT]
    clock.now += 0.2
    assert run(way_in, False, over(Reply.of_json(response())), fallback_expiry=5).paths == [
        RESPONSES
    ]


@each_way_in
def test_a_rule_names_the_model_that_is_not_served(way_in: WayIn) -> None:
    rules = [{"match": {"model": "alias"}, "model": "m"}]
    body = {**CALL, "model": "alias"}
    assert run(way_in, False, over(UNSERVED["Copilot"]), body, rules=rules).paths == [
        RESPONSES,
        CHAT,
    ]
    assert run(way_in, False, over(UNSERVED["Copilot"]), body, rules=rules).paths == [CHAT]
    assert run(way_in, False, over(UNSERVED["Copilot"]), body).paths == [RESPONSES, CHAT]


@each_way_in
def test_a_model_that_is_not_served_without_missing(way_in: WayIn) -> None:
    for _ in range(2):
        seen = run(way_in, False, over(UNSERVED["OpenAI"]), fallback=("blocked",))
        assert type(seen.error) is openai.BadRequestError
        assert seen.paths == [RESPONSES]
        rejected = run(way_in, False, over(UNSERVED["OpenAI"]), fallback=("rejected",))
        assert decision_of(rejected) == ("chat", "responses", "rejected")
        assert rejected.paths == [RESPONSES, CHAT]


@each_way_in
def test_a_responses_only_model_that_is_not_served_is_an_error(way_in: WayIn) -> None:
    for _ in range(2):
        seen = run(way_in, False, over(UNSERVED["OpenAI"]), RESPONSES_ONLY["name"])
        assert type(seen.error) is openai.BadRequestError
        assert seen.paths == [RESPONSES]
        assert "can't go to Chat Completions instead" in str(seen.error)


# Responses-only models


@pytest.mark.parametrize(
    "case", ["OpenAI", "Azure", "Go", "nginx 405", "302", "401, a page", "200, a page", "rejected"]
)
@pytest.mark.parametrize("body", RESPONSES_ONLY)
@each_way
@each_way_in
def test_responses_only_models_never_go_to_chat(
    way_in: WayIn, streaming: bool, body: str, case: str
) -> None:
    reply = ALL[case]
    for _ in range(2):
        seen = run(way_in, streaming, over(reply), RESPONSES_ONLY[body], fallback=EVERYTHING)
        assert isinstance(seen.error, openai.APIStatusError)
        assert seen.error.status_code == (reply.status if reply.status >= 400 else 502)
        assert "the call can't go to Chat Completions instead" in str(seen.error)
        assert "Responses API only" in str(seen.error)
        assert seen.error.response.headers["x-should-retry"] == "false"
        if case in ("OpenAI", "rejected"):
            native = native_error(reply)
            assert (seen.error.code, seen.error.param, seen.error.type) == (
                native.code,
                native.param,
                native.type,
            )
        assert decision_of(seen)[:2] == ("responses", "responses")
        assert seen.paths == [RESPONSES]
        assert seen.open == 0


def test_a_responses_only_model_ignores_remembered_endpoints() -> None:
    for way_in in WAYS_IN:
        missing_endpoints.clear()
        run(way_in, False, over(MISSING["Go"]))
        seen = run(way_in, False, over(Reply.of_json(response())), RESPONSES_ONLY["name"])
        assert answer_text(seen) == "Hello there"
        assert seen.paths == [RESPONSES]
