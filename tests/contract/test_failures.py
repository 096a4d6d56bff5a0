"""Failures inside a reply with status 200: their status, and how often the SDK retries the call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import openai
import pytest

from adapter.errors import UpstreamFailure
from adapter.translation import ChunksFromEvents, response_to_completion
from tests.support.answers import Sdk, impatient, sdk
from tests.support.loopback import Loopback
from tests.support.loopback import Reply as Answer
from tests.support.ways_in import Reply, Seen, WayIn, both, each_way_in

__all__ = ["impatient", "sdk"]

Json = dict[str, Any]
CALL: Json = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hi"}]}

# code, type, status
STATUSES: tuple[tuple[Any, Any, int], ...] = (
    ("content_policy_violation", "invalid_request_error", 400),
    ("content_filter", None, 400),
    ("ResponsibleAIPolicyViolation", None, 400),
    ("moderation_blocked", "image_generation_user_error", 400),
    ("cyber_policy", "invalid_request", 400),
    ("bio_policy", None, 400),
    ("misalignment_policy_violation", None, 403),  # from OpenAI's safety guide
    ("invalid_prompt", None, 400),
    ("unsupported_value", None, 400),
    ("unsupported_parameter", "server_error", 400),
    ("string_above_max_length", None, 400),
    ("integer_below_min_value", None, 400),
    ("array_above_max_length", None, 400),
    ("context_length_exceeded", None, 400),
    ("request_too_large", None, 400),
    ("previous_response_not_found", None, 400),
    ("image_file_not_found", None, 400),
    ("invalid_encrypted_content", None, 400),
    ("model_not_found", "invalid_request_error", 404),
    ("DeploymentNotFound", None, 404),
    ("invalid_api_key", "invalid_request_error", 401),
    ("unsupported_country_region_territory", "request_forbidden", 403),
    ("rate_limit_exceeded", "tokens", 429),
    ("RateLimitReached", None, 429),
    ("slow_down", None, 429),
    ("insufficient_quota", None, 429),
    ("usage_limit_reached", None, 429),
    ("billing_hard_limit_reached", "invalid_request_error", 429),
    ("billing_not_active", None, 429),
    ("project_spend_limit_exceeded", "insufficient_quota", 429),
    ("daily_token_limit_exceeded", None, 429),
    ("out_of_credits", None, 429),
    ("plan_limit_reached", None, 429),
    ("spending_limit_reached", None, 429),
    ("input_token_limit_exceeded", None, 400),
    ("prompt_too_long", None, 400),
    ("max_size_limit_exceeded", None, 400),
    ("model_high_demand", None, 503),
    ("model_loading", None, 503),
    ("server_is_overloaded", "service_unavailable_error", 503),
    ("engine_overloaded", None, 503),
    ("model_at_capacity", None, 503),
    ("vector_store_timeout", None, 504),
    ("server_error", "invalid_request_error", 500),
    ("internal_server_error", None, 500),
    ("jailbreak_detected", None, 400),
    ("prompt_injection", None, 400),
    ("DataInspectionFailed", None, 400),
    ("unsafe_content", None, 400),
    ("number_out_of_range", None, 400),
    ("exceed_context_size_error", None, 400),
    ("max_value_exceeded", None, 400),
    ("empty_array", None, 400),
    ("unrecognized_argument", None, 400),
    ("mismatched_organization", None, 401),
    ("api_key_expired", None, 401),
    ("missing_scope", None, 403),
    ("tokens_limit_reached", None, 413),
    ("budget_exceeded", None, 429),
    ("usage_cap_reached", None, 429),
    ("rpm_exceeded", None, 429),
    ("UNIMPLEMENTED", None, 501),
    (None, "invalid_request_error", 400),
    (None, "BadRequestError", 400),
    (None, "authentication_error", 401),
    (None, "permission_error", 403),
    (None, "not_found_error", 404),
    (None, "rate_limit_error", 429),
    (None, "insufficient_quota", 429),
    (None, "tokens", 429),
    (None, "overloaded_error", 503),
    (None, "ServiceUnavailableError", 503),
    (None, "server_error", 500),
    (None, "api_error", 500),
    (None, None, 500),
    ("", "", 500),
    ("of_tomorrow", "invalid_request_error", 400),
    ("of_tomorrow", "overloaded", 503),
    ("of_tomorrow", "of_tomorrow", 500),
    (400, None, 400),
    ("429", None, 429),
    (529, "overloaded_error", 529),
    (200, "invalid_request_error", 400),
    (4006, None, 500),
    (True, "rate_limit_error", 429),
    ([], {}, 500),
)

_ids = [f"{code}-{kind}" for code, kind, _ in STATUSES]


def error_of(code: Any, kind: Any) -> Json:
    return {"code": code, "type": kind, "message": "Upstream says no.", "param": None}


def failed(error: Any = None, **more: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "failed",
        "model": "m",
        "output": [],
        "error": error,
        **more,
    }


def flat(error: Json) -> Json:
    """Return a flat error event as the SDK's types have it: no type of the error."""
    return {**error, "type": "error", "sequence_number": 2}


def nested(error: Any) -> Json:
    return {"type": "error", "error": error, "sequence_number": 2}


def chats(error: Any) -> Json:
    return {"error": error}


def as_failed(error: Any) -> Json:
    return {"type": "response.failed", "response": failed(error)}


def as_error(error: Any) -> Json:
    return {"type": "response.error", "error": error}


SHAPES: dict[str, Callable[[Any], Json]] = {
    "nested": nested,
    "Chat's": chats,
    "failed": as_failed,
    "response.error": as_error,
}


def bare(error: Json) -> Json:
    """Return the error object itself in place of an event."""
    return dict(error)


CREATED: Json = {"type": "response.created", "response": failed() | {"status": "in_progress"}}
TEXT: Json = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hel",
}


def wire(events: Iterable[Json]) -> list[bytes]:
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]


@pytest.mark.parametrize(("code", "kind", "status"), STATUSES, ids=_ids)
def test_the_status_by_code_else_by_type(code: Any, kind: Any, status: int) -> None:
    error = error_of(code, kind)
    with pytest.raises(UpstreamFailure) as raised:
        response_to_completion(failed(error))
    found = [raised.value]
    for shape in SHAPES.values():
        with pytest.raises(UpstreamFailure) as raised:
            ChunksFromEvents().feed(shape(error))
        found.append(raised.value)
    assert [one.status for one in found] == [status] * len(found)
    assert {one.error["message"] for one in found} == {"Upstream says no."}


@pytest.mark.parametrize(("code", "kind", "status"), STATUSES, ids=_ids)
def test_a_flat_event_has_only_its_code(code: Any, kind: Any, status: int) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ChunksFromEvents().feed(flat(error_of(code, kind)))
    with pytest.raises(UpstreamFailure) as by_code:
        response_to_completion(failed(error_of(code, None)))
    assert raised.value.status == by_code.value.status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "No.", "status_code": 400}, 400),
        ({"message": "No.", "status": "RESOURCE_EXHAUSTED", "code": None}, 429),
        ({"message": "No.", "status": "failed"}, 500),
    ],
    ids=["Groq", "Gemini", "no status"],
)
def test_a_status_that_the_error_names(error: Json, status: int) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ChunksFromEvents().feed(nested(error))
    assert raised.value.status == status


DENIED = {"message": "No.", "code": "content_filter"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "error": DENIED},
        {"type": "response.failed", "response": failed(), "error": DENIED},
        {"type": "response.failed", "response": failed({"error": DENIED})},
        {"type": "error", "error": {"error": DENIED}},
        {"object": "error", "type": "BadRequestError", **DENIED},
    ],
    ids=["alone", "beside", "a body in the response", "a body in the event", "older servers"],
)
def test_an_error_in_another_place(event: Json) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ChunksFromEvents().feed(event)
    found = raised.value
    assert (found.error["code"], found.error["message"], found.status) == (
        "content_filter",
        "No.",
        400,
    )


@pytest.mark.parametrize("name", ["status", "status_code", "http_status"])
def test_a_status_beside_the_error(name: str) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ChunksFromEvents().feed({"type": "error", name: 403, "error": {"message": "No."}})
    assert raised.value.status == 403


@pytest.mark.parametrize(
    "body",
    [
        {"error": DENIED},
        {"error": {"error": DENIED}},
        {"type": "error", "error": DENIED},
        {"type": "error", **DENIED},
        {"object": "error", "type": "BadRequestError", **DENIED},
        failed({"error": DENIED}),
    ],
    ids=[
        "Chat's",
        "a body in it",
        "an event",
        "a flat event",
        "older servers",
        "a body in the response",
    ],
)
@each_way_in
def test_a_whole_reply_that_is_an_error(way_in: WayIn, body: Json) -> None:
    seen = way_in.create(CALL, both(Reply.of_json(body)))
    assert isinstance(seen.error, openai.BadRequestError)
    assert seen.error.code == "content_filter"
    assert len(seen.sent) == 1


@each_way_in
def test_an_error_beside_the_response_of_an_unrequested_stream(way_in: WayIn) -> None:
    for event in (
        {"type": "response.failed", "error": DENIED},
        {"type": "response.failed", "response": failed(), "error": DENIED},
    ):
        seen = way_in.create(CALL, both(Reply.of_sse(wire([CREATED, event]))))
        assert isinstance(seen.error, openai.BadRequestError)
        assert seen.error.code == "content_filter"


@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_that_is_a_text(shape: str) -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ChunksFromEvents().feed(SHAPES[shape]("The model broke."))
    assert (raised.value.error["message"], raised.value.status) == ("The model broke.", 500)


def test_a_text_with_a_code_beside_it() -> None:
    with pytest.raises(UpstreamFailure) as raised:
        ChunksFromEvents().feed(
            {"type": "error", "code": "slow_down", "error": "Later.", "sequence_number": 1}
        )
    assert (raised.value.error["code"], raised.value.error["message"], raised.value.status) == (
        "slow_down",
        "Later.",
        429,
    )


def test_the_reason_replaces_a_missing_error() -> None:
    with pytest.raises(UpstreamFailure) as raised:
        response_to_completion(failed(incomplete_details={"reason": "content_filter"}))
    assert (raised.value.error["code"], raised.value.status) == ("content_filter", 400)


# Through every way in

SIBLINGS = {
    "content_policy_violation": (openai.BadRequestError, 400, 1),
    "billing_hard_limit_reached": (openai.RateLimitError, 429, 3),
    "server_is_overloaded": (openai.InternalServerError, 503, 3),
}
# The event of a failure, by its error.
TELLING = {**SHAPES, "flat": flat, "bare": bare}


def sibling(code: str) -> Json:
    return error_of(code, "invalid_request_error")


@pytest.mark.parametrize("code", SIBLINGS)
@each_way_in
def test_early(way_in: WayIn, code: str) -> None:
    kind, status, _ = SIBLINGS[code]
    seen = [way_in.create(CALL, both(Reply.of_json(failed(sibling(code)))))]
    for telling in TELLING.values():
        begun = [[telling(sibling(code))], [CREATED, telling(sibling(code))]]
        seen += [
            way_in.stream(CALL, both(Reply.of_sse([b"".join(wire(events))]))) for events in begun
        ]
    for one in seen:
        assert type(one.error) is kind
        assert (one.error.status_code, one.error.code) == (status, code)


@pytest.mark.parametrize("code", SIBLINGS)
@each_way_in
def test_in_mid_stream(way_in: WayIn, code: str) -> None:
    for telling in TELLING.values():
        seen = way_in.stream(
            CALL, both(Reply.of_sse(wire([CREATED, TEXT, telling(sibling(code))])))
        )
        assert type(seen.error) is openai.APIError
        assert seen.error.code == code
        assert text(seen) == "Hel"


def text(seen: Seen) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in seen.chunks)


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b'{"code":"slow_down","message":"Later."}', "slow_down", "Later."),
        (b'{"error":{"code":"slow_down","message":"Later."}}', "slow_down", "Later."),
        (b'{"type":"x","code":"slow_down","message":"Later."}', "slow_down", "Later."),
        (b"The upstream broke", None, "The upstream broke"),
        (b'"The upstream broke"', None, '"The upstream broke"'),
    ],
    ids=["bare", "nested", "of another type", "text", "JSON text"],
)
@each_way_in
def test_an_event_that_is_an_error_by_its_name(
    way_in: WayIn, data: bytes, code: str | None, message: str
) -> None:
    event = b"event: error\ndata: " + data + b"\n\n"
    early = way_in.stream(CALL, both(Reply.of_sse([event])))
    late = way_in.stream(CALL, both(Reply.of_sse([*wire([CREATED, TEXT]), event])))
    assert type(early.error) is (openai.RateLimitError if code else openai.InternalServerError)
    assert type(late.error) is openai.APIError
    for seen in (early, late):
        assert isinstance(seen.error, openai.APIError)
        assert isinstance(seen.error.body, dict)
        assert (seen.error.code, seen.error.body["message"]) == (code, message)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("code", SIBLINGS)
def test_how_often_a_call_is_sent(sdk: Sdk, loopback: Loopback, code: str, streamed: bool) -> None:
    """The SDK decides by the status, as for Chat."""
    kind, _, times = SIBLINGS[code]
    whole, events = failed(sibling(code)), wire([CREATED, nested(sibling(code))])
    loopback.answer = lambda _: (
        Answer.of_sse([b"".join(events)]) if streamed else Answer.of_json(whole)
    )
    with pytest.raises(kind):
        sdk.create(sdk.client(loopback, max_retries=2), **({"stream": True} if streamed else {}))
    assert len(loopback.requests) == times


# A failure whose details arrive in another event

DETAIL = {"code": "content_filter", "message": "Filtered.", "param": "input[0]"}
VAGUE: dict[str, Json] = {
    "failed": as_failed(None),
    "failed, an empty object": as_failed({}),
    "failed, nulls": as_failed({"code": None, "message": ""}),
    "failed, no response": {"type": "response.failed"},
    "failed, as it began": {"type": "response.failed", "response": failed(status="in_progress")},
    "completed, but failed": {"type": "response.completed", "response": failed(None)},
    "cancelled": {"type": "response.cancelled", "response": failed(None, status="cancelled")},
    "error": {"type": "error"},
    "error, null": {"type": "error", "error": None, "sequence_number": 3},
    "error, an empty object": {"type": "response.error", "error": {}},
}
DETAILED = {
    "flat": flat(DETAIL),
    "nested": nested(DETAIL),
    "failed": as_failed(DETAIL),
    "after a ping": None,
}
PING = {"type": "keepalive", "sequence_number": 4}


def following(detailed: str) -> list[Json]:
    return (
        [DETAILED[detailed] or flat(DETAIL)] if detailed != "after a ping" else [PING, flat(DETAIL)]
    )


@pytest.mark.parametrize("detailed", DETAILED)
@pytest.mark.parametrize("vague", VAGUE)
def test_the_detail_comes_next(vague: str, detailed: str) -> None:
    machine = ChunksFromEvents()
    assert machine.feed(VAGUE[vague]) == []
    assert not machine.ended
    *before, last = following(detailed)
    assert [machine.feed(event) for event in before] == [[] for _ in before]
    with pytest.raises(UpstreamFailure) as raised:
        machine.feed(last)
    assert (raised.value.error["code"], raised.value.error["message"], raised.value.status) == (
        "content_filter", "Filtered.", 400)  # fmt: skip
    assert machine.ended


@pytest.mark.parametrize(
    "then", [TEXT, {"type": "response.completed", "response": failed(None, status="completed")}]
)
@pytest.mark.parametrize("vague", VAGUE)
def test_something_else_comes_next(vague: str, then: Json) -> None:
    machine = ChunksFromEvents()
    machine.feed(VAGUE[vague])
    with pytest.raises(UpstreamFailure) as raised:
        machine.feed(then)
    assert raised.value.error["code"] is None


@pytest.mark.parametrize("vague", VAGUE)
def test_the_detail_never_comes(vague: str) -> None:
    machine = ChunksFromEvents()
    machine.feed(VAGUE[vague])
    with pytest.raises(UpstreamFailure):
        machine.close()
    assert machine.ended


CUTS = {"one piece": lambda parts: [b"".join(parts)], "each by itself": list}
ENDS = {"end": [], "DONE": [b"data: [DONE]\n\n"]}


@pytest.mark.parametrize("vague", ["failed", "cancelled", "error, null"])
@each_way_in
def test_a_vague_failure_before_any_text(way_in: WayIn, vague: str) -> None:
    for cut in CUTS.values():
        for detail in ([flat(DETAIL)], [nested(DETAIL)], [PING, flat(DETAIL)]):
            # `created` alone begins a stream.
            seen = way_in.stream(CALL, both(Reply.of_sse(cut(wire([VAGUE[vague], *detail])))))
            assert type(seen.error) is openai.BadRequestError
            assert (seen.error.code, seen.error.param) == ("content_filter", "messages[0]")
            assert seen.open == 0
        for end in ENDS.values():
            seen = way_in.stream(CALL, both(Reply.of_sse([*cut(wire([VAGUE[vague]])), *end])))
            assert type(seen.error) is openai.InternalServerError
        seen = way_in.stream(CALL, both(Reply.of_sse(cut(wire([VAGUE[vague]])), reset=True)))
        assert type(seen.error) is openai.InternalServerError


@pytest.mark.parametrize("vague", ["failed", "cancelled", "error, null"])
@each_way_in
def test_a_vague_failure_after_text(way_in: WayIn, vague: str) -> None:
    for cut in CUTS.values():
        seen = way_in.stream(
            CALL, both(Reply.of_sse(cut(wire([CREATED, TEXT, VAGUE[vague], nested(DETAIL)]))))
        )
        assert type(seen.error) is openai.APIError
        assert (seen.error.code, seen.error.message, text(seen)) == (
            "content_filter",
            "Filtered.",
            "Hel",
        )
        for end in ENDS.values():
            seen = way_in.stream(
                CALL, both(Reply.of_sse([*cut(wire([CREATED, TEXT, VAGUE[vague]])), *end]))
            )
            assert type(seen.error) is openai.APIError
            assert (seen.error.code, text(seen)) == (None, "Hel")


@each_way_in
def test_a_vague_failure_in_an_unrequested_stream(way_in: WayIn) -> None:
    for events in ([as_failed(None), flat(DETAIL)], [nested(None), as_failed(DETAIL)]):
        seen = way_in.create(CALL, both(Reply.of_sse(wire([CREATED, *events]))))
        assert type(seen.error) is openai.BadRequestError
        assert seen.error.code == "content_filter"
    seen = way_in.create(CALL, both(Reply.of_sse(wire([CREATED, nested(None)]))))
    assert type(seen.error) is openai.InternalServerError


@each_way_in
def test_a_vague_failure_of_one_of_several(way_in: WayIn) -> None:
    reply = Reply.of_sse(wire([CREATED, TEXT, as_failed(None), flat(DETAIL)]))
    seen = way_in.stream({**CALL, "n": 2}, both(reply), emulate=("n",))
    assert type(seen.error) is openai.APIError
    assert seen.error.code == "content_filter"
