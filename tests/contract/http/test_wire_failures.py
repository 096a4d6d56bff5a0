"""Failures that upstream reports: raised where, and as what, Chat's are raised.

See docs/mapping.md#stream-errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

import adapter
from tests.support.answers import (
    Sdk,
    delta,
    ending,
    error,
    event,
    events,
    finishes,
    impatient,
    opening,
    response,
    sdk,
    text_of,
)
from tests.support.chunking import CUTS
from tests.support.http import CONNECTION_ERRORS
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["impatient", "sdk"]

HALF = [*opening(), delta("Hello ")]
FAILED = {"code": "server_error", "message": "It broke."}


def read_all(one: Sdk, client: Any) -> tuple[list[Any], Exception | None]:
    """Return the chunks of a stream, and the error it ended with."""
    seen: list[Any] = []
    try:
        one.list(one.create(client, stream=True), seen.append)
    except (openai.APIError, *CONNECTION_ERRORS) as raised:
        return seen, raised
    return seen, None


# Reported failures


def first_events(count: int) -> list[bytes]:
    return opening()[:count]


FAILURES: dict[str, tuple[Callable[[], bytes], type[openai.APIStatusError], str]] = {
    "flat": (
        lambda: event("error", code="rate_limit_exceeded", message="Slow down.", param=None),
        openai.RateLimitError, "rate_limit_exceeded",
    ),
    "nested": (
        lambda: event(
            "error",
            error={
                "type": "insufficient_quota", "code": "insufficient_quota", "message": "No money.",
            },
        ),
        openai.RateLimitError, "insufficient_quota",
    ),
    "failed": (
        lambda: event(
            "response.failed", response=response(status="failed", error=FAILED, output=[]),
        ),
        openai.InternalServerError, "server_error",
    ),
    "context": (
        lambda: event("error", code="context_length_exceeded", message="Too long.", param="input"),
        openai.BadRequestError, "context_length_exceeded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("cut", [name for name in CUTS if "97" not in name])
def test_a_failure_among_the_first_events_is_raised_by_create(
    sdk: Sdk, loopback: Loopback, cut: str, case: str, before: int
) -> None:
    """It is if it arrives with the first event; later failures are raised while reading."""
    make, expected, code = FAILURES[case]
    loopback.answer = [Reply.of_sse(CUTS[cut](b"".join([*first_events(before), make()])))]
    if before and cut != "whole":
        seen, failure = read_all(sdk, sdk.client(loopback))
        assert seen == []
        assert type(failure) is openai.APIError
        assert failure.code == code
        return
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.create(sdk.client(loopback), stream=True)
    assert type(raised.value) is expected
    assert raised.value.code == code
    if case == "context":
        assert raised.value.param == "messages"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("before", range(3))
def test_it_is_retried_like_chats_429(sdk: Sdk, loopback: Loopback, before: int) -> None:
    failing = Reply.of_sse([b"".join([*first_events(before), FAILURES["nested"][0]()])])
    loopback.answer = [failing, failing, Reply.of_sse(events())]
    client = sdk.client(loopback, max_retries=2)
    assert text_of(sdk.stream(client)) == "Hello there"
    assert [request.header("x-stainless-retry-count") for request in loopback.requests] == [
        "0",
        "1",
        "2",
    ]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("cut", ["whole", "per-event"])
@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_after_output_is_raised_while_reading(
    sdk: Sdk, loopback: Loopback, case: str, cut: str
) -> None:
    make, _, code = FAILURES[case]
    loopback.answer = [Reply.of_sse(CUTS[cut](b"".join([*HALF, make()])))]
    stream = sdk.create(sdk.client(loopback, max_retries=2), stream=True)
    seen: list[Any] = []
    with pytest.raises(openai.APIError) as raised:
        sdk.list(stream, seen.append)
    assert text_of(seen) == "Hello "
    assert finishes(seen) == []
    assert raised.value.code == code
    assert not isinstance(raised.value, openai.APIStatusError)  # as for Chat's own streams
    assert len(loopback.requests) == 1


def test_incomplete_is_no_failure(sdk: Sdk, loopback: Loopback) -> None:
    cut_off = ending(
        "Hello ",
        kind="response.incomplete",
        status="incomplete",
        incomplete_details={"reason": "max_output_tokens"},
    )
    loopback.answer = [Reply.of_sse([*HALF, cut_off])]
    chunks, failure = read_all(sdk, sdk.client(loopback))
    assert failure is None
    assert finishes(chunks) == ["length"]


def test_error_params_are_in_chats_terms(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [
        error(400, "invalid_value", param="max_output_tokens"),
        error(400, None, param="text.format.schema"),
    ]  # type: ignore[arg-type]
    client = sdk.client(loopback)
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.create(client, max_tokens=20)
    assert (raised.value.param, raised.value.code) == ("max_tokens", "invalid_value")
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.create(client)
    assert raised.value.param == "response_format"
    assert "response_format.json_schema.schema" in str(raised.value)


def test_decisions_of_failures(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [Reply.of_sse(events()[:6], framing="close"), Reply.drop(), error(429)]
    client = sdk.client(loopback)
    _, cut = read_all(sdk, client)
    for raised in (cut, *[_raised(sdk, client) for _ in range(2)]):
        made = adapter.decision(raised)
        assert made is not None
        assert (made.backend, made.asked, made.reason) == ("responses", "responses", "settings")


def _raised(one: Sdk, client: Any) -> openai.APIError:
    with pytest.raises(openai.APIError) as raised:
        one.create(client)
    return raised.value


def test_requests_are_never_sent_twice_for_a_broken_stream(sdk: Sdk, loopback: Loopback) -> None:
    def answer(request: Request) -> Reply:
        return Reply.of_sse(events()[:6], framing="close")

    loopback.answer = answer
    _, failure = read_all(sdk, sdk.client(loopback, max_retries=2))
    assert isinstance(failure, CONNECTION_ERRORS)
    assert len(loopback.requests) == 1
