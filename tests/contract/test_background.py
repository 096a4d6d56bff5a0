"""Background runs: polled if the caller requested that and they can be, else an error.

No run is started twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anyio
import openai
import pytest

from adapter._exchange import background
from adapter._runtime import background_clock
from adapter.translation import ReplyContext
from tests.contract.test_edge_streams import asked
from tests.support.answers import (
    RESPONSES,
    Sdk,
    delta,
    event,
    events,
    impatient,
    response,
    sdk,
    text_of,
)
from tests.support.http import CONNECTION_ERRORS
from tests.support.loopback import HOLD, Loopback, Request
from tests.support.loopback import Reply as Answer
from tests.support.ways_in import CHAT_COMPLETION, Reply, Sent, WayIn, each_way_in

__all__ = ["impatient", "sdk"]

ASKED = asked(background=True, store=True)
RUN = f"{RESPONSES}/resp_bg"


def run(status: str, **more: Any) -> dict[str, Any]:
    return response(id="resp_bg", status=status, **more) | (
        {} if status == "completed" else {"output": []}
    )


class Clock:
    """A clock that advances with each wait; `waits` are their lengths."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.waits.append(round(seconds, 3))
        self.time += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for name in ("now", "sleep", "async_sleep"):
        monkeypatch.setattr(background_clock, name, getattr(made, name))
    return made


def scripted(*replies: Reply, start: Reply | None = None) -> Callable[[Sent], Reply]:
    """Answer the POST with a queued run, each GET with the next reply, and the cancellation."""
    coming = iter(replies)

    def answer(request: Sent) -> Reply:
        if request.path.endswith("/chat/completions"):
            return Reply.of_json(CHAT_COMPLETION)
        if request.method == "POST" and request.path == RESPONSES:
            return start or Reply.of_json(run("queued"))
        if request.path == f"{RUN}/cancel":
            return Reply.of_json(run("cancelled"))
        assert request.path == RUN
        return next(coming)

    return answer


def asked_for(sent: list[Sent]) -> list[tuple[str, str]]:
    return [(one.method, one.path) for one in sent]


STARTED, QUESTION, CANCELLED = ("POST", RESPONSES), ("GET", RUN), ("POST", f"{RUN}/cancel")


@each_way_in
def test_a_run_is_polled(way_in: WayIn, clock: Clock) -> None:
    replies = [
        Reply.of_json(run(status))
        for status in ("queued", "in_progress", "in_progress", "completed")
    ]
    seen = way_in.create(ASKED, scripted(*replies))
    assert seen.json()["choices"][0]["message"]["content"] == "Hello there"
    assert seen.json()["id"] == "chatcmpl-resp_bg"
    assert asked_for(seen.sent) == [STARTED, *[QUESTION] * 4]
    assert clock.waits == [1.0, 1.5, 2.25, 3.375]
    first, *others = seen.sent
    assert (first.json()["background"], first.json()["store"]) == (True, True)
    for one in others:
        assert one.body == b""
        assert one.headers["authorization"] == first.headers["authorization"]
        assert "content-type" not in one.headers
        assert "x-adapter-backend" not in one.headers
    assert seen.open_on_return == 0


@each_way_in
def test_a_whole_reply_to_a_stream_is_polled(way_in: WayIn) -> None:
    seen = way_in.stream(ASKED, scripted(Reply.of_json(run("completed"))))
    seen.reraise()
    assert text_of(seen.chunks) == "Hello there"


def test_waits_grow_to_ten_seconds(clock: Clock) -> None:
    replies = [Reply.of_json(run("in_progress"))] * 12 + [Reply.of_json(run("completed"))]
    WayIn("client", asynchronous=False).create(ASKED, scripted(*replies)).reraise()
    assert clock.waits[:6] == [1.0, 1.5, 2.25, 3.375, 5.062, 7.594]
    assert set(clock.waits[6:]) == {10.0}


@each_way_in
def test_a_timeout_cancels_the_run(way_in: WayIn, clock: Clock) -> None:
    seen = way_in.create(
        {**ASKED, "timeout": 4.0}, scripted(*[Reply.of_json(run("in_progress"))] * 9)
    )
    assert isinstance(seen.error, openai.APIStatusError)
    assert (seen.error.status_code, seen.error.code) == (504, "response_not_finished")
    assert "resp_bg" in str(seen.error)
    assert seen.error.response.headers["x-should-retry"] == "false"
    assert asked_for(seen.sent) == [STARTED, QUESTION, QUESTION, CANCELLED]
    assert clock.waits == [1.0, 1.5, 1.5]
    assert sum(clock.waits) == 4.0


TROUBLE = {
    "503": Reply(503),
    "500-with-html": Reply(500, (b"<html>",), "text/html"),
    "429": Reply(429),
    "reset": Reply(200, (b"{",), reset=True),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
@each_way_in
def test_failed_polls_are_repeated(way_in: WayIn, trouble: Reply) -> None:
    seen = way_in.create(ASKED, scripted(trouble, Reply.of_json(run("completed"))))
    assert seen.json()["choices"][0]["message"]["content"] == "Hello there"
    assert asked_for(seen.sent) == [STARTED, QUESTION, QUESTION]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("7", 7.0), ("0", 1.5), ("Mon, 30 Nov 2026 00:00:00 GMT", 1.5), ("nan", 1.5)],
)
@each_way_in
def test_retry_after_is_respected(way_in: WayIn, clock: Clock, given: str, expected: float) -> None:
    busy = Reply(503, headers=(("retry-after", given),))
    way_in.create(ASKED, scripted(busy, Reply.of_json(run("completed")))).reraise()
    assert clock.waits == [1.0, expected]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, openai.NotFoundError), (401, openai.AuthenticationError), (302, openai.APIStatusError)],
)
@each_way_in
def test_a_run_that_was_deleted(way_in: WayIn, status: int, expected: type[Exception]) -> None:
    seen = way_in.create(
        ASKED, scripted(Reply.of_json({"error": {"message": "no such response"}}, status))
    )
    assert isinstance(seen.error, expected)
    assert "resp_bg" in str(seen.error)
    assert asked_for(seen.sent) == [STARTED, QUESTION]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
@each_way_in
def test_a_failed_run_raises_as_any_failure(way_in: WayIn, status: str) -> None:
    error = {"code": "invalid_prompt", "message": "No."}
    seen = way_in.create(ASKED, scripted(Reply.of_json(run(status, error=error))))
    assert isinstance(seen.error, openai.BadRequestError)
    assert seen.error.code == "invalid_prompt"


@pytest.mark.parametrize(
    "own_id", ["", "..", "a/b", "a?b", "a b", 7, None, "x" * 600, "resp_é"], ids=repr
)
def test_invalid_ids(own_id: Any) -> None:
    start = Reply.of_json(run("queued") | {"id": own_id})
    seen = WayIn("client", asynchronous=False).create(ASKED, scripted(start=start))
    assert isinstance(seen.error, openai.BadRequestError)
    assert asked_for(seen.sent) == [STARTED]


# Without polling


WITHOUT_POLLING = {
    "not-requested": {},
    "not-stored": {"background": True},
    "stored-only": {"store": True},
    "stored-as-text": {"background": True, "store": "true"},
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("given", WITHOUT_POLLING.values(), ids=WITHOUT_POLLING)
@pytest.mark.parametrize("status", ["queued", "in_progress"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_no_other_run_is_started(
    sdk: Sdk, loopback: Loopback, given: Any, status: str, *, stream: bool
) -> None:
    end = event("response.completed", response=run(status))
    loopback.answer = lambda _: Answer.of_sse([end]) if stream else Answer.of_json(run(status))
    client = sdk.client(loopback, max_retries=2)
    more = {key: value for key, value in given.items() if key == "store"}
    extra = {"background": True} if given.get("background") else {}
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.create(client, stream=stream, extra_body=extra, **more)
    assert raised.value.code == "response_not_finished"
    assert "resp_bg" in str(raised.value)
    assert len(loopback.requests) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", ["cancelled", "pending", 7, "secret:\nforged"])
@pytest.mark.parametrize(
    "given", [{}, {"background": True, "store": True}], ids=["not-requested", "requested"]
)
def test_a_run_that_was_cancelled_is_not_started_again(
    sdk: Sdk, loopback: Loopback, given: Any, status: Any
) -> None:
    loopback.answer = lambda _: Answer.of_json(run("queued") | {"status": status})
    client = sdk.client(loopback, max_retries=2)
    with pytest.raises(openai.InternalServerError) as raised:
        sdk.create(client, extra_body=given)
    assert "secret" not in str(raised.value)
    assert len(loopback.requests) == 1


# Callers that leave


@pytest.fixture
def service(loopback: Loopback) -> Loopback:
    def answer(request: Request) -> Answer:
        if request.method == "POST" and request.path == RESPONSES:
            return Answer.of_json(run("queued"))
        return Answer.of_json(
            run("cancelled" if request.path.endswith("/cancel") else "in_progress")
        )

    loopback.answer = answer
    return loopback


def last_request(service: Loopback) -> tuple[str, str]:
    return service.requests[-1].method, service.requests[-1].path


def test_an_interrupt_cancels_the_run(
    service: Loopback, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(background_clock, "sleep", interrupted)
    one = Sdk("sync")
    with pytest.raises(KeyboardInterrupt):
        one.create(one.client(service), store=True, extra_body={"background": True})
    one.close()
    assert last_request(service) == CANCELLED
    assert len(service.requests) == 2


@pytest.mark.parametrize("way", ["task", "timeout", "scope"])
def test_a_cancelled_call_cancels_the_run(
    service: Loopback, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    async def main() -> None:
        waits = asyncio.Event()

        async def asleep(_: float) -> None:
            waits.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(background_clock, "async_sleep", asleep)
        one = Sdk("async")
        client = one.client(service)
        call = client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "Hi"}],
            store=True,
            extra_body={"background": True},
        )
        if way == "scope":
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: call)
                await waits.wait()
                group.cancel_scope.cancel()
        else:
            task = asyncio.ensure_future(call)
            await waits.wait()
            if way == "task":
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(task, 0)
        await client.close()

    asyncio.run(main())
    assert last_request(service) == CANCELLED
    assert len(service.requests) == 2


def _stream_of(*parts: Any) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        if request.path.endswith("/cancel"):
            return Answer.of_json(run("cancelled"))
        return Answer.of_sse(parts)

    return answer


def _begun() -> list[bytes]:
    started = [
        event(f"response.{kind}", response=run("in_progress"))
        for kind in ("created", "in_progress")
    ]
    return [*started, *events()[2:4], delta("Hello ")]


BACKGROUND: dict[str, Any] = {"stream": True, "store": True, "extra_body": {"background": True}}


def test_a_stream_that_is_closed_cancels_the_run(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = _stream_of(*_begun(), HOLD)
    stream = sdk.create(sdk.client(loopback), **BACKGROUND)
    first = sdk.run(anext(aiter(stream))) if sdk.mode == "async" else next(iter(stream))
    assert first.choices
    sdk.run(stream.close())
    assert [(one.method, one.path) for one in loopback.requests] == [STARTED, CANCELLED]


def test_a_stream_that_is_read_cancels_nothing(sdk: Sdk, loopback: Loopback) -> None:
    end = event("response.completed", response=run("completed"))
    loopback.answer = _stream_of(*_begun(), delta("there"), end)
    stream = sdk.create(sdk.client(loopback), **BACKGROUND)
    assert text_of(sdk.list(stream)) == "Hello there"
    sdk.run(stream.close())
    assert len(loopback.requests) == 1


def test_a_truncated_stream_names_the_run_and_does_not_cancel_it(
    sdk: Sdk, loopback: Loopback
) -> None:
    loopback.answer = _stream_of(*_begun())
    stream = sdk.create(sdk.client(loopback), **BACKGROUND)
    with pytest.raises((*CONNECTION_ERRORS, openai.APIError)) as raised:
        sdk.list(stream)
    assert "resp_bg" in f"{raised.value} {raised.value.__cause__}"
    sdk.run(stream.close())
    assert len(loopback.requests) == 1


def test_a_stream_of_another_call_cancels_nothing(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = _stream_of(*_begun(), HOLD)
    stream = sdk.create(sdk.client(loopback), stream=True)
    sdk.run(stream.close())
    assert len(loopback.requests) == 1


# Paths


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/v1/responses", b"/v1/responses/resp_1/cancel"),
        (
            b"/openai/responses?api-version=2025-03-01-preview",
            b"/openai/responses/resp_1/cancel?api-version=2025-03-01-preview",
        ),
        (None, None),
    ],
)
def test_the_path_that_cancels_a_run(path: bytes | None, expected: bytes | None) -> None:
    assert background.cancel_path("resp_1", path) == expected


def test_the_error_says_what_polling_needs() -> None:
    made = background.poll_gen(run("queued"), ReplyContext(background=True), b"/v1/responses")
    with pytest.raises(StopIteration) as stop:
        next(made)
    assert "resp_bg" in json.loads(stop.value.value.body)["error"]["message"]
