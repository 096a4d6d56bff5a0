"""Emulated `n`: that many requests, in threads or tasks, merged into one; nothing is left over."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pydantic
import pytest

import adapter
from adapter._runtime import missing_endpoints, performer
from tests.support import tier
from tests.support.answers import (
    CALL,
    CHAT,
    RESPONSES,
    Sdk,
    Settings,
    call_item,
    completion,
    delta,
    error,
    event,
    events,
    hanging,
    impatient,
    message_item,
    opening,
    paths,
    response,
    sdk,
    text_of,
)
from tests.support.fan_out_threads import busy, quiet
from tests.support.http import CONNECTION_ERRORS, LEFT_OPEN, helpers_of, http
from tests.support.loopback import HOLD, Loopback
from tests.support.loopback import Reply as Answer
from tests.support.loopback import Request as Asked
from tests.support.ways_in import WAYS_IN, Reply, Seen, Sent, Upstream, WayIn, each_way_in

__all__ = ["impatient", "sdk"]

N = 3
ASKED: dict[str, Any] = {**CALL, "n": N}
ON = {"emulate": ("n",)}
EMULATING = Settings(backend="responses", emulate=["n"])
each_way = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    yield
    assert quiet(), "a thread is still at work"


def one_after_another(*replies: Any) -> Upstream:
    """Answer the k-th request with the k-th reply, and later ones with the last."""
    numbers = itertools.count()
    return lambda _: replies[min(next(numbers), len(replies) - 1)]


def loopback_one_after_another(*answers: Any) -> Callable[[Asked], Answer]:
    """Do the same on the loopback server."""
    numbers = itertools.count()
    return lambda _: answers[min(next(numbers), len(answers) - 1)]


def numbered(k: int, *output: Any, streaming: bool = False) -> Reply:
    """Return reply number k, with its own id, text and usage."""
    usage = {
        "input_tokens": 5,
        "output_tokens": 10**k,
        "total_tokens": 5 + 10**k,
        "input_tokens_details": {"cached_tokens": k},
        "output_tokens_details": {"reasoning_tokens": 2 * k},
    }
    made = response(*(output or [message_item(f"answer {k}")]), id=f"resp_{k}", usage=usage)
    if not streaming or output:  # a whole Response may answer a stream
        return Reply.of_json(made)
    begun = event(
        "response.created", response={**made, "status": "in_progress", "output": [], "usage": None}
    )
    parts = [
        begun,
        *opening()[2:],
        delta("answer "),
        delta(str(k)),
        event("response.completed", response=made),
    ]
    return Reply.of_sse(parts)


def run(
    way_in: WayIn, streaming: bool, upstream: Upstream, body: Any = ASKED, **settings: Any
) -> Seen:
    """Make one call with emulation and read the whole reply."""
    return (way_in.stream if streaming else way_in.create)(body, upstream, **{**ON, **settings})


def choices_of(seen: Seen) -> dict[int, dict[str, Any]]:
    """Return the contents of each choice of a result or a stream."""
    seen.reraise()
    found: dict[int, dict[str, Any]] = {}
    if not seen.chunks:
        for choice in seen.json()["choices"]:
            message = choice["message"]
            calls = "".join(
                call["function"]["arguments"] for call in message.get("tool_calls") or []
            )
            found[choice["index"]] = {
                "text": message.get("content") or "", "refusal": message.get("refusal") or "",
                "calls": calls, "end": choice["finish_reason"],
            }  # fmt: skip
        return found
    for chunk in seen.chunks_json():
        for choice in chunk["choices"]:
            kept = found.setdefault(
                choice["index"], {"text": "", "refusal": "", "calls": "", "end": None}
            )
            kept["text"] += choice["delta"].get("content") or ""
            kept["refusal"] += choice["delta"].get("refusal") or ""
            kept["calls"] += "".join(
                c["function"].get("arguments", "") for c in choice["delta"].get("tool_calls") or []
            )
            kept["end"] = choice["finish_reason"] or kept["end"]
    return found


REFUSED = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
           "content": [{"type": "refusal", "refusal": "I can't."}]}  # fmt: skip
OUTPUTS: dict[str, list[tuple[Any, ...]]] = {
    "texts": [(), (), ()],
    "calls": [
        (call_item(arguments='{"a":0}'),),
        (call_item(arguments='{"a":1}'),),
        (call_item(arguments='{"a":2}'),),
    ],
    "refusals": [(REFUSED,)] * 3,
    "all kinds": [(), (call_item(),), (REFUSED,)],
}


@pytest.mark.parametrize("case", OUTPUTS)
@each_way
@each_way_in
def test_the_result_equals_n_single_calls(way_in: WayIn, streaming: bool, case: str) -> None:
    replies = [numbered(k, *output, streaming=streaming) for k, output in enumerate(OUTPUTS[case])]
    body = {**ASKED, "stream_options": {"include_usage": True}} if streaming else ASKED
    single = {key: value for key, value in body.items() if key != "n"}
    singles = [run(way_in, streaming, one_after_another(reply), single) for reply in replies]
    seen = run(way_in, streaming, one_after_another(*replies), body)

    found = choices_of(seen)
    assert sorted(found) == [0, 1, 2]
    # The order in which the requests are answered isn't defined.
    assert sorted(map(str, found.values())) == sorted(str(choices_of(one)[0]) for one in singles)
    parts = seen.chunks_json() if streaming else [seen.json()]
    ids = {part["id"] for part in parts}
    assert len(ids) == 1
    if case == "texts":
        assert ids == {f"chatcmpl-resp_{found[0]['text'].removeprefix('answer ')}"}
    assert parts[-1]["usage"]["completion_tokens"] == 111
    assert parts[-1]["usage"]["total_tokens"] == 126
    assert parts[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 6
    assert seen.paths == [RESPONSES] * N
    assert {sent.body for sent in seen.sent} == {singles[0].sent[0].body}
    assert (seen.open, seen.open_on_return) == (0, 0)
    assert seen.decision is not None
    assert (seen.decision.backend, seen.decision.reason) == ("responses", "settings")
    assert ("n", "changed") in seen.ledger


@each_way_in
def test_the_helper(way_in: WayIn) -> None:
    upstream = one_after_another(*[numbered(k, streaming=True) for k in range(N)])
    seen = way_in.helper(ASKED, upstream, **ON)
    seen.reraise()
    assert sorted(choice.message.content for choice in seen.value.choices) == [
        "answer 0",
        "answer 1",
        "answer 2",
    ]
    assert [choice.index for choice in seen.value.choices] == [0, 1, 2]
    assert seen.open == 0


class Answered(pydantic.BaseModel):
    """The type for `parse`."""

    k: int


@each_way_in
def test_parse(way_in: WayIn) -> None:
    upstream = one_after_another(*[numbered(k, message_item(f'{{"k":{k}}}')) for k in range(N)])
    seen = way_in.parse({**ASKED, "response_format": Answered}, upstream, **ON)
    seen.reraise()
    assert sorted(choice.message.parsed.k for choice in seen.value.choices) == [0, 1, 2]


@each_way
@each_way_in
def test_one_and_many(way_in: WayIn, streaming: bool) -> None:
    for n in (1, 2, 20):
        seen = run(way_in, streaming, lambda _: numbered(0, streaming=streaming), {**CALL, "n": n})
        assert sorted(choices_of(seen)) == list(range(n))
        assert len(seen.sent) == n


# Failures: the first one is raised

SAYS_NO = {"error": {"message": "No.", "type": "some_type", "param": None, "code": "some_code"}}
STREAM_ERROR = b'data: {"type":"error","code":"x","message":"y","param":null}\n\n'
WHOLE_FAULTS: dict[str, Reply] = {
    "400": Reply.of_json(SAYS_NO, 400),
    "401": Reply.of_json(SAYS_NO, 401),
    "404 model": Reply.of_json({"error": {**SAYS_NO["error"], "param": "model"}}, 404),
    "429": Reply.of_json(SAYS_NO, 429, [("retry-after", "7")]),
    "500": Reply.of_json(SAYS_NO, 500),
    "502 in HTML": Reply(502, (b"<html>",), "text/html"),
    "a failed response": Reply.of_json(
        response(status="failed", error={"code": "server_error", "message": "y"})
    ),
    "no JSON": Reply(200, (b"what",)),
    "cut": Reply(200, (b'{"id":',), reset=True),
}
STREAM_FAULTS: dict[str, Reply] = {
    **{name: WHOLE_FAULTS[name] for name in ("400", "401", "429", "500", "502 in HTML")},
    "an error at once": Reply.of_sse([STREAM_ERROR]),
    "an error": Reply.of_sse([*opening(), delta("a"), STREAM_ERROR]),
    "a failed response": Reply.of_sse(
        [
            *opening(),
            delta("a"),
            event(
                "response.failed",
                response=response(status="failed", error={"code": "server_error", "message": "y"}),
            ),
        ]
    ),
    "the end": Reply.of_sse([*opening(), delta("a")]),
    "a reset": Reply.of_sse([*opening(), delta("a")], reset=True),
    "a reset at once": Reply.of_sse([], reset=True),
}  # fmt: skip


def _error(seen: Seen) -> tuple[Any, ...]:
    error = seen.error
    assert error is not None
    fields = [
        getattr(error, name, None)
        for name in ("status_code", "code", "param", "type", "message", "body")
    ]
    headers = getattr(getattr(error, "response", None), "headers", {})
    return type(error), *fields, headers.get("retry-after"), headers.get("x-should-retry")


@pytest.mark.parametrize("place", [0, N - 1])
@pytest.mark.parametrize(
    ("streaming", "case"),
    [*((False, case) for case in WHOLE_FAULTS), *((True, case) for case in STREAM_FAULTS)],
)
@each_way_in
def test_a_failure_is_that_of_a_single_call(
    way_in: WayIn, streaming: bool, case: str, place: int
) -> None:
    bad = (STREAM_FAULTS if streaming else WHOLE_FAULTS)[case]
    replies = [numbered(k, streaming=streaming) for k in range(N)]
    replies[place] = bad
    alone = run(way_in, streaming, one_after_another(bad), CALL)
    seen = run(way_in, streaming, one_after_another(*replies))
    assert _error(seen) == _error(alone)
    assert seen.value is None
    assert quiet()
    gc.collect()
    assert seen.open <= alone.open <= LEFT_OPEN
    assert seen.decision is not None
    assert seen.decision.backend == "responses"


@each_way
@each_way_in
def test_all_failed_replies_are_closed(way_in: WayIn, streaming: bool) -> None:
    for bad in (
        Reply.of_json(SAYS_NO, 400),
        Reply(307, (b"moved",), "", ()),
        Reply(304, (b"",), ""),
    ):
        seen = run(way_in, streaming, one_after_another(bad))
        assert isinstance(seen.error, openai.APIStatusError)
        assert quiet()
        assert seen.open == 0


# On real connections


def emulating(sdk: Sdk, loopback: Loopback, **more: Any) -> Any:
    """Make a client that emulates `n`."""
    return sdk.client(loopback, more.pop("settings", EMULATING), **more)


def left(sdk: Sdk) -> list[str]:
    """Return the names of the remaining tasks."""
    if sdk._runner is None:
        return [] if quiet() else [thread.name for thread in busy()]
    return [
        task.get_name()
        for task in asyncio.all_tasks(sdk._runner.get_loop())
        if task.get_name() == "adapter-n"
    ]


def released(server: Loopback) -> bool:
    """Wait until the server has seen the end of all connections."""
    return server.wait_for(lambda one: one.open_connections == 0)


def idle(client: Any) -> bool:
    """Return whether no connection of a client is in use."""
    pool = client._client._transport._pool
    return all(connection.is_idle() for connection in pool.connections) and not pool._requests


FAULTS = {
    "HTTP": error(400),
    "dropped": Answer.drop(),
    "reset": Answer.drop("reset"),
    "in the first events": Answer.of_sse([STREAM_ERROR]),
    "in mid-stream": Answer.of_sse([*opening(), delta("a"), STREAM_ERROR]),
    "cut": Answer.of_sse([*opening(), delta("a")], framing="close"),
    "reset in mid-stream": Answer.of_sse([*opening(), delta("a")], ending="reset"),
}


@pytest.mark.parametrize("slow", ["begun", "opening", "head only"])
@pytest.mark.parametrize("case", FAULTS)
def test_a_failure_does_not_wait_for_a_slow_one(
    sdk: Sdk, loopback: Loopback, case: str, slow: str
) -> None:
    waits = {
        "begun": hanging([*opening(), delta("a")]),
        "opening": hanging(opening()[:1]),
        "head only": hanging([]),
    }[slow]
    loopback.answer = loopback_one_after_another(waits, waits, FAULTS[case])
    client = emulating(sdk, loopback, timeout=20)
    begun = time.monotonic()
    with pytest.raises((openai.APIError, *CONNECTION_ERRORS)):
        sdk.stream(client, n=N)
    assert time.monotonic() - begun < 10
    if sdk.mode == "async":
        assert left(sdk) == []
        assert loopback.wait_for(lambda one: one.open_connections <= 1)
    loopback.close()  # a thread can't be interrupted: it ends when its wait does
    assert left(sdk) == []
    assert LEFT_OPEN or idle(client)


@each_way
def test_a_timeout_of_one(sdk: Sdk, loopback: Loopback, streaming: bool) -> None:
    good = Answer.of_sse(events()) if streaming else Answer.of_json(response())
    loopback.answer = loopback_one_after_another(
        good, Answer(200, parts=[HOLD], framing="chunked"), good
    )
    client = emulating(sdk, loopback, timeout=0.6)
    with pytest.raises((openai.APITimeoutError, http.ReadTimeout)):
        sdk.stream(client, n=N) if streaming else sdk.create(client, n=N)
    assert left(sdk) == []
    assert idle(client)


def test_connections_are_used_again(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda request: (
        Answer.of_sse(events()) if request.json().get("stream") else Answer.of_json(response())
    )
    client = emulating(sdk, loopback)
    for _ in range(5):
        sdk.create(client, n=N)
        sdk.stream(client, n=N)
    assert left(sdk) == []
    assert len(loopback.requests) == 30
    assert loopback.connections <= 2 * N
    assert idle(client)


def _fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


LEAVING: dict[str, int | None] = {"unread": 0, "after one": 1, "after some": 4}


@pytest.mark.parametrize("how", ["close", "dropped", "exception"])
@pytest.mark.parametrize("after", tier.pick(list(LEAVING), ["after one"]))  # each takes two seconds
def test_leaving_early(sdk: Sdk, loopback: Loopback, after: str, how: str) -> None:
    loopback.answer = lambda _: hanging(events()[:6])
    client = emulating(sdk, loopback, timeout=2)
    before = _fds()

    def leave_sync() -> None:
        stream = client.chat.completions.create(**ASKED, stream=True)
        for _ in range(LEAVING[after] or 0):
            next(stream)
        if how == "close":
            stream.close()
        elif how == "exception":
            with pytest.raises(KeyError), stream:
                raise KeyError

    async def leave() -> None:
        stream = await client.chat.completions.create(**ASKED, stream=True)
        for _ in range(LEAVING[after] or 0):
            await anext(stream)
        if how == "close":
            await stream.close()
        elif how == "exception":
            with pytest.raises(KeyError):
                async with stream:
                    raise KeyError
        del stream
        gc.collect()
        await asyncio.sleep(0.05)  # the loop closes abandoned generators

    sdk.run(leave()) if sdk.mode == "async" else leave_sync()
    gc.collect()
    assert left(sdk) == []
    assert released(loopback)
    assert idle(client)
    assert _fds() <= before + N  # the server's ends of the connections


@pytest.mark.parametrize("when", ["head", "body", "stream"])
def test_a_cancelled_task(loopback: Loopback, when: str) -> None:
    sdk = Sdk("async")
    held = {
        "head": Answer(200, parts=[HOLD], framing="chunked"),
        "body": Answer(200, parts=[b"{", HOLD], framing="chunked"),
    }
    loopback.answer = lambda _: held.get(when) or hanging(events()[:5])
    client = emulating(sdk, loopback)

    async def call() -> None:
        if when != "stream":
            await client.chat.completions.create(**ASKED)
            return
        async with await client.chat.completions.create(**ASKED, stream=True) as stream:
            async for _ in stream:
                pass

    async def cancel() -> None:
        task = asyncio.create_task(call())
        await asyncio.to_thread(loopback.wait_for, lambda one: len(one.requests) == N)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    sdk.run(cancel())
    assert left(sdk) == []
    assert released(loopback)
    assert idle(client)
    sdk.close()


def test_closing_a_stream_elsewhere_wakes_its_reader(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda _: hanging(events()[:5])
    client = emulating(sdk, loopback, timeout=20)
    stream = sdk.create(client, n=N, stream=True)
    ended: list[BaseException | None] = []

    def read_sync() -> None:
        try:
            for _ in stream:
                pass
            ended.append(None)
        except BaseException as error:  # noqa: BLE001
            ended.append(error)

    if sdk.mode == "sync":
        reader = threading.Thread(target=read_sync)
        reader.start()
        time.sleep(0.2)
        begun = time.monotonic()
        with contextlib.suppress(ValueError):  # another thread can't close a running generator
            stream.close()
        reader.join(5)
        assert not reader.is_alive()
        assert time.monotonic() - begun < 10
        assert ended[0] is not None
    else:

        async def read() -> None:
            async def reading() -> None:
                async for _ in stream:
                    pass

            task = asyncio.create_task(reading())
            await asyncio.sleep(0.2)
            await stream.close()
            with pytest.raises((openai.APIError, *CONNECTION_ERRORS)):
                await asyncio.wait_for(task, 2)

        sdk.run(read())
        assert left(sdk) == []
    loopback.close()
    assert left(sdk) == []


@pytest.mark.usefixtures("impatient")
@each_way
def test_a_retry_repeats_the_whole(sdk: Sdk, loopback: Loopback, streaming: bool) -> None:
    good = Answer.of_sse(events()) if streaming else Answer.of_json(response())
    loopback.answer = loopback_one_after_another(error(503), good)
    client = emulating(sdk, loopback, max_retries=2)
    result = sdk.stream(client, n=N) if streaming else sdk.create(client, n=N)
    if streaming:
        assert {choice.index for chunk in result for choice in chunk.choices} == {0, 1, 2}
    else:
        assert [text_of_choice(choice) for choice in result.choices] == ["Hello there"] * N
    assert N + 1 <= len(loopback.requests) <= 2 * N
    assert set(paths(loopback)) == {RESPONSES}
    assert left(sdk) == []


def text_of_choice(choice: Any) -> str:
    """Return the text of a choice."""
    return choice.message.content or ""


@pytest.mark.parametrize("status", [307, 308])
@each_way
def test_redirects(sdk: Sdk, loopback: Loopback, streaming: bool, status: int) -> None:
    good = Answer.of_sse(events()) if streaming else Answer.of_json(response())
    loopback.answer = lambda request: (
        Answer.redirect("/v2/responses", status) if request.path == RESPONSES else good
    )
    client = emulating(sdk, loopback)
    result = sdk.stream(client, n=N) if streaming else sdk.create(client, n=N)
    found = [choice.index for choice in result.choices] if not streaming else [
        choice.index for chunk in result for choice in chunk.choices if choice.finish_reason
    ]  # fmt: skip
    assert sorted(found) == [0, 1, 2]
    assert paths(loopback).count("/v2/responses") == N
    assert len({request.body for request in loopback.requests}) == 1
    assert left(sdk) == []
    assert idle(client)


def test_a_redirect_of_one_request(sdk: Sdk, loopback: Loopback) -> None:
    numbers = itertools.count()
    loopback.answer = lambda request: (
        Answer.redirect("/v2/responses")
        if next(numbers) == 1 and request.path == RESPONSES
        else Answer.of_json(response())
    )
    client = emulating(sdk, loopback)
    assert len(sdk.create(client, n=N).choices) == N
    assert paths(loopback).count("/v2/responses") == N


# What stays on Chat


@pytest.mark.parametrize(("most", "path"), [(2, CHAT), (3, RESPONSES), (None, RESPONSES)])
@each_way
def test_more_than_the_pool_allows_stays_on_chat(
    sdk: Sdk, loopback: Loopback, streaming: bool, most: int | None, path: str
) -> None:
    def answer(request: Asked) -> Answer:
        if request.path == CHAT:
            assert request.json()["n"] == N
            return Answer.of_sse(events()[:0]) if streaming else Answer.of_json(completion())
        return Answer.of_sse(events()) if streaming else Answer.of_json(response())

    loopback.answer = answer
    kind = sdk.pick(http.Client, http.AsyncClient)
    client = emulating(
        sdk, loopback, http_client=kind(limits=http.Limits(max_connections=most), timeout=5)
    )
    result = sdk.create(client, n=N, stream=streaming)
    made = adapter.decision(result)
    if streaming:
        sdk.list(result)
    assert set(paths(loopback)) == {path}
    assert made is not None
    expected = ("chat", "unsupported") if path == CHAT else ("responses", "settings")
    assert (made.backend, made.reason) == expected
    assert [(loss.path, loss.action) for loss in made.losses] == [
        ("n", "held" if path == CHAT else "changed")
    ]


def test_a_pool_of_exactly_n_does_not_deadlock(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda _: Answer.of_sse(events())
    kind = sdk.pick(http.Client, http.AsyncClient)
    client = emulating(
        sdk, loopback, http_client=kind(limits=http.Limits(max_connections=N), timeout=5)
    )

    if sdk.mode == "async":

        async def all_at_once() -> list[int]:
            async def one() -> int:
                stream = await client.chat.completions.create(**ASKED, stream=True)
                return len({choice.index async for chunk in stream for choice in chunk.choices})

            return await asyncio.gather(*(one() for _ in range(4)))

        assert sdk.run(all_at_once()) == [N] * 4
    else:
        streams = [client.chat.completions.create(**ASKED, stream=True) for _ in range(4)]
        assert [
            len({c.index for chunk in stream for c in chunk.choices}) for stream in streams
        ] == [N] * 4


def test_an_event_loop_that_is_not_asyncios_stays_on_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise RuntimeError("no running event loop")

    monkeypatch.setattr(performer, "asyncio", SimpleNamespace(get_running_loop=none))
    for way_in in WAYS_IN:
        seen = run(
            way_in,
            False,
            lambda sent: Reply.of_json(completion()) if sent.path == CHAT else numbered(0),
        )
        assert seen.paths == ([CHAT] if way_in.asynchronous else [RESPONSES] * N)


@each_way_in
def test_contextvars_reach_the_requests(way_in: WayIn) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var")
    token = var.set("the caller's")
    seen_there: list[str] = []

    def upstream(_: Sent) -> Reply:
        seen_there.append(var.get("nothing"))
        var.set("another's")
        return numbered(0)

    run(way_in, False, upstream)
    assert seen_there == ["the caller's"] * N
    assert var.get() == "the caller's"
    var.reset(token)


# Settings that enable it, and combinations


def test_by_settings_rule_and_use(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda request: Answer.of_json(
        completion() if request.path == CHAT else response()
    )
    off = sdk.client(loopback)
    rule = sdk.client(
        loopback,
        Settings(backend="responses", rules=[{"match": {"model": "gpt-4o"}, "emulate": ["n"]}]),
    )
    sdk.create(off, n=N)
    assert paths(loopback) == [CHAT]
    assert len(sdk.create(rule, n=N).choices) == N
    assert paths(loopback)[1:] == [RESPONSES] * N
    sdk.create(rule, n=N, model="gpt-4.1")
    assert paths(loopback)[1 + N :] == [CHAT]
    with adapter.use(emulate={"n"}):
        assert len(sdk.create(off, n=N).choices) == N
    assert paths(loopback)[2 + N :] == [RESPONSES] * N


@pytest.mark.parametrize(
    ("policy", "expected"), [("chat", CHAT), ("error", None), ("drop", RESPONSES)]
)
@each_way_in
def test_without_emulation(way_in: WayIn, policy: str, expected: str | None) -> None:
    def upstream(sent: Sent) -> Reply:
        return Reply.of_json(completion()) if sent.path == CHAT else numbered(0)

    seen = run(way_in, False, upstream, emulate=(), unsupported=policy)
    assert seen.paths == ([expected] if expected else [])
    if expected is None:
        assert isinstance(seen.error, openai.BadRequestError)
        assert (seen.error.param, seen.error.code) == ("n", "unsupported_by_responses")
    assert seen.ledger == [("n", "dropped" if policy == "drop" else "held")]


@each_way
@each_way_in
def test_together_with_stop(way_in: WayIn, streaming: bool) -> None:
    upstream = one_after_another(*[numbered(k, streaming=streaming) for k in range(N)])
    seen = run(way_in, streaming, upstream, {**ASKED, "stop": "wer"}, emulate=("n", "stop"))
    assert [(one["text"], one["end"]) for one in choices_of(seen).values()] == [("ans", "stop")] * N
    assert quiet()
    assert seen.open == 0


@pytest.mark.parametrize(
    "reply", [Reply.of_json({"detail": "Not Found"}, 404), Reply(302, (), ""), Reply(403, (), "")]
)
@pytest.mark.parametrize("place", ["one", "all"])
@each_way_in
def test_together_with_a_fallback(way_in: WayIn, place: str, reply: Reply) -> None:
    missing_endpoints.clear()
    first = (
        one_after_another(numbered(0), reply, numbered(1))
        if place == "one"
        else one_after_another(reply)
    )
    seen = run(
        way_in,
        False,
        lambda sent: Reply.of_json(completion()) if sent.path == CHAT else first(sent),
    )
    assert seen.json()["choices"][0]["message"]["content"] == "Native hello"
    assert seen.paths[-1] == CHAT
    assert seen.paths.count(CHAT) == 1
    assert seen.sent[-1].json()["n"] == N
    assert seen.decision is not None
    assert (seen.decision.backend, seen.decision.reason) == (
        "chat",
        "missing" if reply.status == 404 else "blocked",
    )
    assert seen.ledger == [("$", "held")]
    assert quiet()
    assert seen.open == 0


@each_way
def test_one_record_and_one_log_line(
    sdk: Sdk, loopback: Loopback, streaming: bool, caplog: pytest.LogCaptureFixture
) -> None:
    records: list[Any] = []
    loopback.answer = lambda _: Answer.of_sse(events()) if streaming else Answer.of_json(response())
    client = emulating(
        sdk,
        loopback,
        settings=Settings(backend="responses", emulate=["n"], observers=(records.append,)),
    )
    with caplog.at_level("INFO", "adapter"):
        sdk.stream(client, n=N) if streaming else sdk.create(client, n=N)
    assert [
        (one.backend, one.prompt_tokens, one.completion_tokens, one.status) for one in records
    ] == [("responses", 15, 9, 200)]
    assert len(caplog.records) == 1


def test_a_fallback_is_recorded_as_one(
    sdk: Sdk, loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.answer = lambda request: (
        Answer.of_json(completion()) if request.path == CHAT else Answer(404)
    )
    with caplog.at_level("INFO", "adapter"):
        sdk.create(emulating(sdk, loopback), n=N)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert [line.partition(" ledger")[0] for line in lines] == [
        "POST /chat/completions asked=responses backend=chat reason=missing"
    ]


def test_whole_and_streamed_answers_mixed() -> None:
    for way_in in WAYS_IN:
        for turn in itertools.permutations(
            [numbered(0, message_item("answer 0")), numbered(1, streaming=True)]
        ):
            seen = run(way_in, True, one_after_another(*turn), {**CALL, "n": 2})
            assert sorted(one["text"] for one in choices_of(seen).values()) == [
                "answer 0",
                "answer 1",
            ]
            assert quiet()
            assert seen.open == 0


def test_an_error_behind_the_end_of_an_answer(sdk: Sdk, loopback: Loopback) -> None:
    """It is no error of the call, also where the other answers haven't begun."""
    numbers = itertools.count()

    def late() -> Any:
        time.sleep(0.2)
        yield from events()

    def answer(_: Asked) -> Answer:
        return Answer.of_sse(late()) if next(numbers) else Answer.of_sse(events(), ending="close")

    loopback.answer = answer
    chunks = sdk.stream(sdk.client(loopback, EMULATING), n=N)
    for index in range(N):
        of_choice = [
            choice for chunk in chunks for choice in chunk.choices if choice.index == index
        ]
        assert "".join(choice.delta.content or "" for choice in of_choice) == "Hello there"
        assert of_choice[-1].finish_reason == "stop"


def test_raw_replies(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = loopback_one_after_another(
        Answer.of_json(response()), Answer.of_sse(events())
    )
    client = emulating(sdk, loopback)
    raw = sdk.run(client.chat.completions.with_raw_response.create(**CALL, n=2, stream=True))
    assert raw.headers["content-type"].startswith("text/event-stream")
    parsed = sdk.list(raw.parse())
    assert {choice.index for chunk in parsed for choice in chunk.choices} == {0, 1}
    assert text_of([chunk for chunk in parsed if chunk.choices]) == "Hello there" * 2


def test_helpers_leave_nothing_behind(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda _: hanging(events()[:6])
    client = emulating(sdk, loopback, timeout=2)
    manager = helpers_of(client).stream(**ASKED)
    sdk.inside(
        manager, lambda stream: next(iter(stream)) if sdk.mode == "sync" else stream.__anext__()
    )
    assert left(sdk) == []
    assert released(loopback)
