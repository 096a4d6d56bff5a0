"""`decision(result)`: the decision for every kind of result, which is left unchanged."""

from __future__ import annotations

import copy
import gc
import inspect
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

import adapter
from tests.support.answers import (
    CALL,
    Sdk,
    Settings,
    both,
    completion,
    ending,
    error,
    events,
    hanging,
    message_item,
    opening,
    response,
    sdk,
)
from tests.support.http import CONNECTION_ERRORS, helpers_of, http
from tests.support.loopback import Loopback, Reply

__all__ = ["sdk"]


class Person(BaseModel):
    name: str


def _parse(one: Sdk, client: Any) -> Any:
    return one.run(helpers_of(client).parse(**CALL, response_format=Person))


def _streamed_parse(one: Sdk, client: Any) -> Any:
    manager = helpers_of(client).stream(**CALL, response_format=Person)
    return one.inside(manager, lambda stream: stream.get_final_completion())


def _raw(one: Sdk, client: Any) -> Any:
    return one.run(client.chat.completions.with_raw_response.create(**CALL))


def _helper(one: Sdk, client: Any) -> Any:
    return one.inside(helpers_of(client).stream(**CALL), lambda stream: stream)


def _streaming(one: Sdk, client: Any) -> Any:
    return one.inside(
        client.chat.completions.with_streaming_response.create(**CALL), lambda reply: reply
    )


def _stream(one: Sdk, client: Any) -> Any:
    made = one.create(client, stream=True)
    one.run(made.close())
    return made


def _raw_parse(one: Sdk, client: Any) -> Any:
    return one.run(helpers_of(client).with_raw_response.parse(**CALL, response_format=Person))


def _parsed_by(one: Sdk, raw: Any) -> Any:
    """Parse a raw response, and drop it; some SDKs return a coroutine."""
    made = raw.parse()
    return one.run(made) if inspect.isawaitable(made) else made


def _chunks(one: Sdk, client: Any) -> list[Any]:
    return one.list(one.create(client, stream=True))


def _final(one: Sdk, client: Any) -> Any:
    return one.inside(
        helpers_of(client).stream(**CALL), lambda stream: stream.get_final_completion()
    )


def _of_helper(one: Sdk, client: Any, take: Callable[[Any], Any]) -> Any:
    """Read a helper to its end, and take the first of its events that isn't None."""

    async def aevents(stream: Any) -> Any:
        return [event async for event in stream]

    seen = one.inside(helpers_of(client).stream(**CALL), one.pick(list, aevents))
    return next(found for found in map(take, seen) if found is not None)


def _parsed_in_streaming(one: Sdk, client: Any) -> Any:
    manager = client.chat.completions.with_streaming_response.create(**CALL)
    return one.inside(manager, lambda reply: reply.parse())


RESULTS: dict[str, Callable[[Sdk, Any], Any]] = {
    "completion": lambda one, client: one.create(client),
    "parsed": _parse,
    "stream": _stream,
    "stream helper": _helper,
    "raw": _raw,
    "raw http": lambda one, client: _raw(one, client).http_response,
    "streaming raw": _streaming,
    "raw, parsed": lambda one, client: _parsed_by(one, _raw(one, client)),
    "raw parse, parsed": lambda one, client: _parsed_by(one, _raw_parse(one, client)),
    "streaming raw, parsed": _parsed_in_streaming,
    "a chunk": lambda one, client: _chunks(one, client)[0],
    "the last chunk": lambda one, client: _chunks(one, client)[-1],
    "the final completion": _final,
    "a chunk event": lambda one, client: _of_helper(
        one, client, lambda event: event if event.type == "chunk" else None
    ),
    "a snapshot": lambda one, client: _of_helper(
        one, client, lambda event: getattr(event, "snapshot", None)
    ),
    "a copy": lambda one, client: one.create(client).model_copy(deep=True),
    "a copied chunk": lambda one, client: copy.copy(_chunks(one, client)[1]),
}


def _answer(request: Any) -> Reply:
    if b"json_schema" in request.body and "/responses" in request.path:
        return Reply.of_json(response(message_item('{"name":"Ann"}')))
    if b"json_schema" in request.body:
        return Reply.of_json(completion('{"name":"Ann"}'))
    return both(request)


@pytest.mark.parametrize("backend", ["chat", "responses"])
@pytest.mark.parametrize("result", RESULTS)
def test_of_results(sdk: Sdk, loopback: Loopback, result: str, backend: Any) -> None:
    loopback.answer = _answer
    settings = Settings(backend=backend)
    got = RESULTS[result](sdk, sdk.client(loopback, settings))
    made = adapter.decision(got)
    # Calls that the settings alone keep on Chat, without observers, have no call site.
    assert (made is None or made.call_site is None) == (backend == "chat")
    assert made is not None
    assert replace(made, call_site=None) == adapter.Decision(
        backend, backend, "settings", (), settings.hash
    )


@pytest.mark.parametrize("reason", ["use", "header"])
def test_reasons(sdk: Sdk, loopback: Loopback, reason: str) -> None:
    loopback.answer = both
    client = sdk.client(loopback, "chat")
    with adapter.use(backend="responses"):
        got = sdk.create(
            client,
            **({"extra_headers": {"x-adapter-backend": "responses"}} if reason == "header" else {}),
        )
    made = adapter.decision(got)
    assert made is not None
    assert (made.backend, made.asked, made.reason) == ("responses", "responses", reason)


def test_a_call_that_is_held_on_chat(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    made = adapter.decision(sdk.create(sdk.client(loopback), seed=7))
    assert made is not None
    assert (made.backend, made.asked, made.reason) == ("chat", "responses", "unsupported")
    assert [(loss.path, loss.action) for loss in made.losses] == [("seed", "held")]


def test_the_ledger_of_a_stream_grows_while_it_is_read(sdk: Sdk, loopback: Loopback) -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    last = ending(output=[message_item(), item])
    loopback.answer = [Reply.of_sse([*events()[:-1], last])]
    stream = sdk.create(
        sdk.client(loopback, Settings(backend="responses", drop=("seed",))), stream=True, seed=7
    )
    before = adapter.decision(stream)
    sdk.list(stream)
    after = adapter.decision(stream)
    assert before is not None
    assert after is not None
    assert [loss.path for loss in before.losses] == ["seed"]
    assert [loss.path for loss in after.losses] == ["seed", "output[1]"]


# Exceptions

ERRORS = {
    "429": [error(429)],
    "html": [Reply(502, (("content-type", "text/html"),), [b"<html>"])],
    "not a response": [Reply(200, (("content-type", "text/plain"),), [b"what"])],
    "dropped": [Reply.drop()],
    "in the first events": [Reply.of_sse([b'data: {"type":"error","code":"x","message":"y"}\n\n'])],
    "cut": [Reply.of_sse(events()[:6], framing="close")],
    "in mid-stream": [
        Reply.of_sse([*events()[:6], b'data: {"type":"error","code":"x","message":"y"}\n\n'])
    ],
    "timeout": [hanging(opening())],
}


@pytest.mark.parametrize("case", ERRORS)
def test_of_exceptions(sdk: Sdk, loopback: Loopback, case: str) -> None:
    loopback.answer = ERRORS[case]
    streamed = case not in ("429", "html", "not a response", "dropped")
    client = sdk.client(loopback, timeout=0.6)
    with pytest.raises((openai.APIError, *CONNECTION_ERRORS)) as raised:
        sdk.stream(client) if streamed else sdk.create(client)
    made = adapter.decision(raised.value)
    assert made is not None
    assert (made.backend, made.asked, made.reason) == ("responses", "responses", "settings")


def test_of_a_refusal(sdk: Sdk, loopback: Loopback) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        sdk.create(sdk.client(loopback, Settings(backend="responses", unsupported="error")), seed=7)
    made = adapter.decision(raised.value)
    assert made is not None
    assert made.reason == "refused"
    assert loopback.requests == []
    assert (raised.value.param, raised.value.code) == ("seed", "unsupported_by_responses")


@pytest.mark.parametrize("how", ["parse", "stream"])
def test_of_a_length_error(sdk: Sdk, loopback: Loopback, how: str) -> None:
    cut_off = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    last = ending('{"na', kind="response.incomplete", **cut_off)
    streamed = Reply.of_sse([*opening(), last])
    loopback.answer = [
        streamed if how == "stream" else Reply.of_json(response(message_item('{"na'), **cut_off))
    ]
    client = sdk.client(loopback)
    with pytest.raises(openai.LengthFinishReasonError) as raised:
        (_parse if how == "parse" else _streamed_parse)(sdk, client)
    made = adapter.decision(raised.value)
    assert made is not None
    assert made.backend == "responses"


# No trace


def test_it_changes_nothing_about_a_completion(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback)
    one, other = sdk.create(client), sdk.create(client)
    assert one == other
    assert adapter.decision(one) is not None
    alone = ChatCompletion.model_validate(one.model_dump())
    assert one == alone
    assert one.model_dump() == alone.model_dump()
    assert one.model_dump_json() == alone.model_dump_json()
    assert set(vars(one)) - {"_request_id"} == set(vars(alone))
    assert one.model_extra == alone.model_extra
    assert "adapter" not in repr(one)
    for same in (
        pickle.loads(pickle.dumps(one)),
        copy.copy(one),
        copy.deepcopy(one),
        one.model_copy(deep=True),
    ):
        assert same == one
        assert adapter.decision(same) is None or adapter.decision(same) == adapter.decision(one)


@pytest.mark.slow
def test_a_decision_is_dropped_with_its_result(loopback: Loopback) -> None:
    from adapter._sdk import decisions

    loopback.answer = both
    with adapter.OpenAI(
        base_url=loopback.base_url, api_key="k", settings=Settings(backend="responses")
    ) as client:
        held = [client.chat.completions.create(**CALL) for _ in range(3)]
        gc.collect()
        before = len(decisions._STATES)
        held.clear()
        gc.collect()
        assert len(decisions._STATES) == before - 3


@pytest.mark.parametrize(
    "thing", [None, 5, "text", [], {}, object(), ValueError("x"), openai.OpenAIError("x")]
)
def test_of_other_things(thing: Any) -> None:
    assert adapter.decision(thing) is None


def test_of_a_plain_clients_results(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    client = sdk.client(loopback, plain=True)
    assert adapter.decision(sdk.create(client)) is None
    assert adapter.decision(_raw(sdk, client)) is None


# Ways in


TRANSPORTED: dict[str, Callable[[Sdk, Any], Any]] = {
    name: RESULTS[name]
    for name in (
        "completion",
        "parsed",
        "stream",
        "stream helper",
        "raw",
        "streaming raw",
        "raw, parsed",
        "a copy",
    )
}


@pytest.mark.parametrize("result", TRANSPORTED)
def test_through_a_transport(sdk: Sdk, loopback: Loopback, result: str) -> None:
    loopback.answer = _answer
    kind, settings = sdk.pick(http.Client, http.AsyncClient), Settings(backend="responses")
    client = sdk.client(
        loopback, plain=True, http_client=kind(transport=adapter.Transport(settings=settings))
    )
    made = adapter.decision(TRANSPORTED[result](sdk, client))
    assert made is not None
    assert made.call_site
    assert replace(made, call_site=None) == adapter.Decision(
        "responses", "responses", "settings", (), settings.hash
    )


def test_of_an_installed_client(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = _answer
    settings = Settings(backend="responses")
    client = adapter.install(sdk.client(loopback, plain=True), settings)
    for result, take in RESULTS.items():
        made = adapter.decision(take(sdk, client))
        assert made is not None
        assert made.call_site, result
        made = replace(made, call_site=None)
        assert (result, made) == (
            result,
            adapter.Decision("responses", "responses", "settings", (), settings.hash),
        )


def test_an_equal_id_is_not_the_same(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    one, other = (
        sdk.client(loopback, "chat"),
        sdk.client(loopback, Settings(backend="chat", drop=("seed",))),
    )
    first, second = (sdk.list(sdk.create(client, stream=True)) for client in (one, other))
    alien = sdk.list(sdk.create(sdk.client(loopback, plain=True), stream=True))
    assert first[0].id == second[0].id == alien[0].id
    hashes = {made and made.settings_hash for made in map(adapter.decision, first)}
    assert hashes == {Settings(backend="chat").hash}
    assert {adapter.decision(chunk) for chunk in alien} == {None}
    others = adapter.decision(second[1])
    assert others is not None
    assert others.settings_hash not in hashes


@pytest.mark.parametrize("ids", [("a1", "a1", "b1", ""), ("", "a1", "a1"), ("a", "a"), ("", "")])
def test_chunks_of_other_ids_than_the_first(
    sdk: Sdk, loopback: Loopback, ids: tuple[str, ...]
) -> None:
    chunk = completion() | {"object": "chat.completion.chunk", "choices": []}
    sent = [json.dumps(chunk | {"id": name}) for name in ids]
    reply = Reply.of_sse([f"data: {one}\n\n".encode() for one in (*sent, "[DONE]")])
    loopback.answer = [reply, reply]
    chunks = sdk.list(sdk.create(sdk.client(loopback, "chat"), stream=True))
    alien = sdk.list(sdk.create(sdk.client(loopback, plain=True), stream=True))
    assert [chunk.id for chunk in chunks] == [chunk.id for chunk in alien] == [*ids]
    assert [adapter.decision(chunk) is None for chunk in chunks] == [False] * len(ids)
    assert {adapter.decision(chunk) for chunk in alien} == {None}


def test_what_is_known_by_ids_is_bounded(
    sdk: Sdk, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter._runtime import known_ids

    loopback.answer = both
    monkeypatch.setattr(known_ids, "_BY_ID", {})
    monkeypatch.setattr(known_ids, "_MAX_BY_ID", 3)
    client = sdk.client(loopback)
    streams = [sdk.list(sdk.create(client, stream=True)) for _ in range(5)]
    assert [adapter.decision(chunks[0]) is None for chunks in streams] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert len(known_ids._BY_ID) == 3
    # Of calls that have ended only the decision is kept.
    assert {type(known) for _, known in known_ids._BY_ID.values()} == {adapter.Decision}


@pytest.mark.parametrize("library", ["Response", "Request"])
def test_of_http_without_a_call(library: str) -> None:
    thing = (
        http.Response(200)
        if library == "Response"
        else http.Request("POST", "http://upstream.invalid/")
    )
    assert adapter.decision(thing) is None
