"""Stored completions by ids from the adapter; the rest of the API passes untouched."""

from __future__ import annotations

import functools
import json
import re
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import openai
import pytest
from pydantic import BaseModel

import adapter
from tests.support import corpus, oracle, tier
from tests.support.answers import (
    KEY,
    Sdk,
    call_item,
    error,
    events,
    impatient,
    message_item,
    response,
    same_request,
    sdk,
    text_of,
)
from tests.support.http import SDK, http
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["impatient", "sdk"]

ID = "chatcmpl-resp_1"
BACKENDS = ["chat", "responses"]


certificates = functools.cache(
    ssl.create_default_context
)  # loading them is most of the cost of a client


def client_of(
    sdk: Sdk, server: Loopback, way_in: str = "ours", backend: str = "responses", **more: Any
) -> Any:
    """Make a client with the adapter in one of several ways, or a `plain` one."""
    kind, wrap = sdk.pick(
        (http.Client, adapter.Transport), (http.AsyncClient, adapter.AsyncTransport)
    )
    settings = adapter.Settings(backend=backend, on_bug="raise")
    given = {"transport": wrap(settings=settings)} if way_in == "transport" else {}
    client = sdk.client(
        server,
        settings,
        plain=way_in != "ours",
        http_client=kind(verify=certificates(), **given),
        **more,
    )
    return adapter.install(client, settings) if way_in == "installed" else client


each_way_in = pytest.mark.parametrize(
    "way_in", tier.pick(["ours", "installed", "transport"], ["ours", "transport"])
)
each_backend = pytest.mark.parametrize("backend", BACKENDS)


class Store:
    """The items of one Response, paged as by the Responses API: newest first by default."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = list(items)

    def __call__(self, request: Request) -> Reply:
        if request.path == "/v1/responses/resp_1/input_items" and request.method == "GET":
            return Reply.of_json(self.page(parse_qs(request.query)))
        if request.path == "/v1/responses/resp_1" and request.method == "DELETE":
            return Reply.of_json({"id": "resp_1", "object": "response.deleted", "deleted": True})
        if request.path == "/v1/responses/resp_1" and request.method == "GET":
            return Reply.of_json(
                response(store=True, metadata={"topic": "demo"}),
                headers=(("x-request-id", "req_s"),),
            )
        return error(404, "not_found")

    def page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        items = self.items if query.get("order", ["desc"]) == ["asc"] else self.items[::-1]
        if "after" in query:
            ids = [item["id"] for item in items]
            items = items[ids.index(query["after"][0]) + 1 :]
        limit = int(query.get("limit", ["20"])[0])
        shown = items[:limit]
        first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
        return {
            "object": "list",
            "data": shown,
            "first_id": first,
            "last_id": last,
            "has_more": len(items) > limit,
        }


def said(item: str, role: str, *parts: dict[str, Any] | str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": part} if isinstance(part, str) else part for part in parts]
    return {"type": "message", "id": item, "role": role, "status": "completed", "content": content}


def thought(item: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": item, "summary": []}


IMAGE = {"type": "input_image", "image_url": "https://img.test/cat.png", "detail": "low"}
ITEMS = [
    said("msg_1", "developer", "Be brief."),
    said("msg_2", "user", "What is it?", IMAGE),
    thought("rs_1"),
    said("msg_3", "assistant", "I'll look."),
    call_item() | {"id": "fc_1"},
    call_item("look", '{"deep":true}') | {"id": "fc_2", "call_id": "call_2"},
    {
        "type": "function_call_output",
        "id": "fo_1",
        "call_id": "call_1",
        "output": "Rain",
        "status": "completed",
    },
    {
        "type": "function_call_output",
        "id": "fo_2",
        "call_id": "call_2",
        "output": [{"type": "input_text", "text": "Fur"}],
    },
    said("msg_4", "assistant", {"type": "refusal", "refusal": "No."}),
    said("msg_5", "user", "Then what?"),
]
TURNS = ["developer", "user", "assistant", "tool", "tool", "assistant", "user"]


def read(sdk: Sdk, listed: Any) -> list[dict[str, Any]]:
    """Return the messages of all pages."""
    return [message.model_dump(exclude_unset=True) for message in sdk.list(listed)]


# Retrieve and delete


@each_way_in
@each_backend
def test_retrieve(sdk: Sdk, loopback: Loopback, way_in: str, backend: str) -> None:
    loopback.answer = Store()
    client = client_of(sdk, loopback, way_in, backend)
    completion = sdk.run(client.chat.completions.retrieve(ID))
    assert type(completion) is openai.types.chat.ChatCompletion
    assert (completion.id, text_of(completion), completion._request_id) == (
        ID,
        "Hello there",
        "req_s",
    )
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == 8
    assert completion.model_dump()["metadata"] == {"topic": "demo"}
    (request,) = loopback.requests
    assert (request.method, request.path, request.query, request.body) == (
        "GET",
        "/v1/responses/resp_1",
        "",
        b"",
    )
    raw = sdk.run(client.chat.completions.with_raw_response.retrieve(ID, extra_query={"x": "1 2"}))
    assert sdk.run(raw.parse()) == completion
    assert loopback.requests[1].query == "x=1+2"


def test_the_result_of_create_can_be_retrieved(sdk: Sdk, loopback: Loopback) -> None:
    stored = response(call_item(), id="resp_0a1B-2", store=True)
    loopback.answer = lambda request: Reply.of_json(stored)
    client = client_of(sdk, loopback)
    created = sdk.create(client, store=True)
    off = client_of(sdk, loopback, backend="chat")
    found = sdk.run(off.chat.completions.retrieve(created.id))
    assert found.choices == created.choices
    assert (found.id, found.created, found.model, found.usage) == (
        created.id,
        created.created,
        created.model,
        created.usage,
    )
    assert loopback.requests[1].path == "/v1/responses/resp_0a1B-2"


@each_way_in
@each_backend
def test_delete(sdk: Sdk, loopback: Loopback, way_in: str, backend: str) -> None:
    loopback.answer = Store()
    deleted = sdk.run(client_of(sdk, loopback, way_in, backend).chat.completions.delete(ID))
    assert type(deleted) is openai.types.chat.ChatCompletionDeleted
    assert (deleted.id, deleted.object, deleted.deleted) == (ID, "chat.completion.deleted", True)
    assert [(r.method, r.path, r.body) for r in loopback.requests] == [
        ("DELETE", "/v1/responses/resp_1", b"")
    ]


# Messages


@each_way_in
@each_backend
def test_messages(sdk: Sdk, loopback: Loopback, way_in: str, backend: str) -> None:
    loopback.answer = Store(*ITEMS)
    messages = read(
        sdk, client_of(sdk, loopback, way_in, backend).chat.completions.messages.list(ID)
    )
    (request,) = loopback.requests
    assert (request.method, request.path) == ("GET", "/v1/responses/resp_1/input_items")
    assert parse_qs(request.query) == {"order": ["asc"]}
    assert [message["role"] for message in messages] == TURNS
    developer, user, calling, rain, fur, refusing, last = messages
    assert (developer["id"], developer["content"], developer["content_parts"]) == (
        "msg_1",
        "Be brief.",
        None,
    )
    assert user["content"] is None
    assert user["content_parts"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://img.test/cat.png", "detail": "low"}},
    ]
    assert calling["content"] == "I'll look."
    assert [(call["id"], call["type"], call["function"]) for call in calling["tool_calls"]] == [
        ("call_1", "function", {"name": "get_weather", "arguments": '{"city":"Oslo"}'}),
        ("call_2", "function", {"name": "look", "arguments": '{"deep":true}'}),
    ]
    assert (rain["tool_call_id"], rain["content"]) == ("call_1", "Rain")
    assert (fur["tool_call_id"], fur["content"]) == ("call_2", "Fur")
    assert (refusing["content"], refusing["refusal"]) == (None, "No.")
    assert last["content"] == "Then what?"
    assert len({message["id"] for message in messages}) == len(messages)


def test_calls_without_a_text_are_a_message(sdk: Sdk, loopback: Loopback) -> None:
    custom = {
        "type": "custom_tool_call",
        "id": "ctc_1",
        "call_id": "call_9",
        "name": "sh",
        "input": "ls",
    }
    result = {
        "type": "custom_tool_call_output",
        "id": "cto_1",
        "call_id": "call_9",
        "output": "a b",
    }
    loopback.answer = Store(said("msg_1", "user", "List."), custom, result)
    _, calling, output = read(sdk, client_of(sdk, loopback).chat.completions.messages.list(ID))
    assert (calling["role"], calling["content"]) == ("assistant", None)
    assert calling["tool_calls"][0]["id"] == "call_9"
    assert calling["tool_calls"][0]["custom"] == {"name": "sh", "input": "ls"}
    assert (output["role"], output["tool_call_id"], output["content"]) == ("tool", "call_9", "a b")


def test_newest_first_is_the_same_backwards(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = Store(*ITEMS)
    messages = client_of(sdk, loopback).chat.completions.messages
    forwards, backwards = (read(sdk, messages.list(ID, order=order)) for order in ("asc", "desc"))

    def contents_of(message: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in message.items() if key != "id"}

    assert [contents_of(message) for message in backwards] == [
        contents_of(message) for message in forwards[::-1]
    ]
    assert [parse_qs(request.query)["order"] for request in loopback.requests] == [
        ["asc"],
        ["desc"],
    ]


def everything(messages: list[dict[str, Any]]) -> list[Any]:
    """Return the contents of messages, however text and calls are spread over pages."""
    out: list[Any] = []
    for message in messages:
        text = message.get("content") or message.get("content_parts") or message.get("refusal")
        out += [(message["role"], text)] if text else []
        out += [call["id"] for call in message.get("tool_calls") or ()]
    return out


@pytest.mark.parametrize("limit", range(1, 12))
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_all_pages_together_are_complete(
    sdk: Sdk, loopback: Loopback, limit: int, order: Any
) -> None:
    loopback.answer = Store(*ITEMS)
    listed = client_of(sdk, loopback).chat.completions.messages
    whole = everything(read(sdk, listed.list(ID)))
    loopback.requests.clear()
    paged = everything(read(sdk, listed.list(ID, limit=limit, order=order)))
    assert sorted(map(str, paged)) == sorted(map(str, whole))
    if order == "asc":
        assert paged == whole
    for request in loopback.requests:
        query = parse_qs(request.query)
        assert (query["limit"], query["order"]) == ([str(limit)], [order])
    assert len(loopback.requests) <= len(ITEMS) // limit + 2


def test_pages_by_hand(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = Store(*[said(f"msg_{n}", "user", f"Nr. {n}") for n in range(5)])
    listed = client_of(sdk, loopback).chat.completions.messages

    def page(**given: Any) -> Any:
        made = listed.list(ID, **given)
        return (
            made
            if sdk.mode == "sync"
            else sdk.run(made._get_page() if hasattr(made, "_get_page") else made)
        )

    first = page(limit=2)
    assert ([message.content for message in first.data], first.has_more) == (
        ["Nr. 0", "Nr. 1"],
        True,
    )
    second = sdk.run(first.get_next_page())
    assert [message.content for message in second.data] == ["Nr. 2", "Nr. 3"]
    assert parse_qs(loopback.requests[1].query) == {
        "limit": ["2"],
        "after": ["msg_1"],
        "order": ["asc"],
    }
    third = page(after="msg_3", limit=2)
    assert ([message.content for message in third.data], third.has_next_page()) == (
        ["Nr. 4"],
        False,
    )


# Errors


@each_backend
@pytest.mark.parametrize("what", ["retrieve", "delete", "messages.list"])
@pytest.mark.parametrize("param", ["response_id", "limit", None])
def test_errors(sdk: Sdk, loopback: Loopback, backend: str, what: str, param: Any) -> None:
    expected = {"response_id": "completion_id"}.get(param, param)
    loopback.answer = lambda request: error(
        404, "not_found", param=param, headers=(("x-request-id", "req_e"),)
    )
    completions = client_of(sdk, loopback, backend=backend).chat.completions
    with pytest.raises(openai.NotFoundError) as caught:
        read(sdk, completions.messages.list(ID)) if what == "messages.list" else sdk.run(
            getattr(completions, what)(ID)
        )
    raised: Any = caught.value
    assert (raised.status_code, raised.code, raised.param, raised.request_id) == (
        404,
        "not_found",
        expected,
        "req_e",
    )
    assert raised.body["message"] == "Upstream says no."
    assert len(loopback.requests) == 1


@pytest.mark.usefixtures("impatient")
def test_retries_are_the_sdks(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = [error(429), error(500), Reply.of_json(response())]
    client = client_of(sdk, loopback, max_retries=2)
    assert text_of(sdk.run(client.chat.completions.retrieve(ID))) == "Hello there"
    assert [request.path for request in loopback.requests] == ["/v1/responses/resp_1"] * 3


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"data": {}}, {"object": "response", "output": "x"}]
)
def test_invalid_bodies_raise(sdk: Sdk, loopback: Loopback, body: Any) -> None:
    loopback.answer = lambda request: Reply.of_json(body)
    completions = client_of(sdk, loopback).chat.completions
    with pytest.raises(openai.APIError):
        sdk.run(completions.retrieve(ID))
    with pytest.raises(openai.APIError):
        read(sdk, completions.messages.list(ID))


@pytest.mark.parametrize("status", ["in_progress", "queued", "failed", "cancelled"])
def test_a_response_without_an_answer_raises(sdk: Sdk, loopback: Loopback, status: str) -> None:
    loopback.answer = lambda request: Reply.of_json(response(status=status) | {"output": []})
    with pytest.raises(openai.APIStatusError):
        sdk.run(client_of(sdk, loopback).chat.completions.retrieve(ID))


# Other ids and requests

OTHERS: dict[str, Callable[[Any], Any]] = {
    **{
        f"retrieve {name!r}": lambda c, name=name: c.retrieve(name)
        for name in (
            "chatcmpl-9nYZ",
            "resp_1",
            "chatcmpl-resp",
            "chatcmpl-resp_",
            "xchatcmpl-resp_1",
            "chatcmpl-resp_1/x",
            "chatcmpl-resp_ü",
            "chatcmpl-msg_1",
            *(["chatcmpl-resp_1?x=1"] if SDK >= (3, 0) else []),
        )
    },  # older ones treat it as a query
    "delete": lambda c: c.delete("chatcmpl-9nYZ"),
    "messages": lambda c: c.messages.list("chatcmpl-9nYZ", limit=3),
    "list": lambda c: c.list(model="gpt-4o", metadata={"a": "b"}, order="desc"),
    "update": lambda c: c.update("chatcmpl-9nYZ", metadata={"a": "b"}),
    "update by our id": lambda c: c.update(ID, metadata={"a": "b"}),
}  # fmt: skip


@pytest.mark.parametrize("ask", OTHERS.values(), ids=OTHERS)
def test_other_requests_are_untouched(sdk: Sdk, loopback: Loopback, ask: Any) -> None:
    chat = {
        "id": "chatcmpl-9nYZ",
        "object": "chat.completion",
        "choices": [],
        "created": 1,
        "model": "m",
        "data": [],
    }
    loopback.answer = lambda request: Reply.of_json(chat)
    native = sdk.run(ask(client_of(sdk, loopback, "plain").chat.completions))
    for backend in BACKENDS:
        for way_in in ("ours", "installed", "transport"):
            found = sdk.run(ask(client_of(sdk, loopback, way_in, backend).chat.completions))
            assert (type(found), found.model_dump()) == (type(native), native.model_dump())
    first, *others = loopback.requests
    assert first.path.startswith("/v1/chat/completions")
    assert len(others) == 6
    for other in others:
        assert same_request(other, first)


# Recordings


@corpus.needs_corpus
def test_recordings(sdk: Sdk, loopback: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, total = [], 0
    completions = client_of(sdk, loopback).chat.completions
    for op in ("retrieve", "delete", "input_items"):
        # No request of Chat for a stored completion is answered with a stream.
        for recording in corpus.select(api="responses", op=op, stream=False):
            loopback.answer = lambda request, recording=recording: Reply.of_json(
                recording.response, recording.status
            )
            identifier = f"chatcmpl-{recording.path.split('/')[3]}"
            if op == "retrieve":
                raises = oracle.must_raise(recording.response)
                try:
                    found = oracle.of_completion(sdk.run(completions.retrieve(identifier)))
                    right = not raises and found == oracle.seen(recording.response)
                except openai.APIStatusError:
                    right = raises
            elif op == "delete":
                right = sdk.run(completions.delete(identifier)).to_dict() == {
                    "id": identifier,
                    "object": "chat.completion.deleted",
                    "deleted": True,
                }
            else:
                (message,) = read(sdk, completions.messages.list(identifier))
                item = recording.response["data"][0]
                right = (message["id"], message["role"], message["content"]) == (
                    item["id"],
                    "user",
                    item["content"][0]["text"],
                )
            total += 1
            if not right or loopback.requests[-1].path != recording.path:
                wrong.append(recording.id)
    with capsys.disabled():
        print(
            f"\nrecorded requests for stored Responses, {sdk.mode}: "
            f"{total - len(wrong)} right of {total}",
            end=" ",
        )
    assert wrong == []
    assert total == 7


# The rest of the API


class Shape(BaseModel):
    """The type of a parsed answer."""

    word: str


def answer(request: Request) -> Reply:
    if request.path.endswith("/responses") and b'"stream":true' in request.body.replace(b" ", b""):
        return Reply.of_sse(events('{"word":', '"hi"}'))
    if "/responses" in request.path and not request.path.endswith("/input_items"):
        return Reply.of_json(response(message_item('{"word":"hi"}')))
    return Reply.of_json(
        {"id": "x_1", "object": "list", "data": [], "has_more": False, "deleted": True}
    )


ASK = {"model": "gpt-4o", "input": "x"}
REST: dict[str, Callable[[Any], Any]] = {
    "embeddings.create": lambda c: c.embeddings.create(
        model="e", input=["x"], encoding_format="float"
    ),
    "models.list": lambda c: c.models.list(),
    "models.retrieve": lambda c: c.models.retrieve("chat/completions"),
    "models.delete": lambda c: c.models.delete("ft:x"),
    "files.create": lambda c: c.files.create(file=("a.jsonl", b"{}"), purpose="batch"),
    "files.list": lambda c: c.files.list(limit=2),
    "files.content": lambda c: c.files.content("file-1"),
    "files.delete": lambda c: c.files.delete("file-1"),
    "moderations.create": lambda c: c.moderations.create(input="x"),
    "completions.create": lambda c: c.completions.create(model="m", prompt="x"),
    "images.generate": lambda c: c.images.generate(prompt="x"),
    "audio.speech.create": lambda c: c.audio.speech.create(model="tts-1", voice="alloy", input="x"),
    "audio.transcriptions.create": lambda c: c.audio.transcriptions.create(
        model="w", file=("a.wav", b"RIFF")
    ),
    "batches.create": lambda c: c.batches.create(
        completion_window="24h", endpoint="/v1/chat/completions", input_file_id="file-1"),
    "fine_tuning.jobs.list": lambda c: c.fine_tuning.jobs.list(),
    "vector_stores.create": lambda c: c.vector_stores.create(name="x"),
    "uploads.create": lambda c: c.uploads.create(
        bytes=1, filename="x", mime_type="text/plain", purpose="batch"
    ),
    "responses.create": lambda c: c.responses.create(**ASK, store=True),
    "responses.parse": lambda c: c.responses.parse(**ASK, text_format=Shape),
    "responses.retrieve": lambda c: c.responses.retrieve(
        "resp_1", include=["message.output_text.logprobs"]
    ),
    "responses.delete": lambda c: c.responses.delete("resp_1"),
    "responses.cancel": lambda c: c.responses.cancel("resp_1"),
    "responses.compact": lambda c: c.responses.compact(**ASK),
    "responses.input_tokens.count": lambda c: c.responses.input_tokens.count(**ASK),
    "responses.input_items.list": lambda c: c.responses.input_items.list("resp_1", limit=3),
    "conversations.create": lambda c: c.conversations.create(),
    "beta.assistants.create": lambda c: c.beta.assistants.create(model="m"),
    "beta.threads.create": lambda c: c.beta.threads.create(),
    "beta.responses.create": lambda c: c.beta.responses.create(**ASK),
    "get": lambda c: c.get("/chat/completions", cast_to=object),
    "post": lambda c: c.post("/chat/completions/drafts", body={"messages": []}, cast_to=object),
    "put": lambda c: c.put("/chat/completions", body={"messages": []}, cast_to=object),
}  # fmt: skip


def has(client: Any, path: str) -> bool:
    for name in path.split("."):
        client = getattr(client, name, None)
    return client is not None


def without_boundary(request: Request) -> Request:
    found = re.search("boundary=(.+)", request.header("content-type") or "")
    if found is None:
        return request
    mark = found[1]
    headers = tuple((name, value.replace(mark, "BOUNDARY")) for name, value in request.headers)
    body = request.body.replace(mark.encode(), b"BOUNDARY")
    return Request(request.method, request.path, request.query, headers, body, request.connection)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", REST)
def test_the_rest_of_the_api_is_untouched(sdk: Sdk, loopback: Loopback, name: str) -> None:
    loopback.answer = answer
    if not has(client_of(sdk, loopback, "plain"), name):
        pytest.skip("this SDK has no such method")
    native, *found = (
        sdk.run(REST[name](client_of(sdk, loopback, way_in)))
        for way_in in ("plain", "ours", "installed", "transport")
    )
    first, *others = map(without_boundary, loopback.requests)
    assert len(others) == 3
    for one, request in zip(found, others, strict=True):
        assert same_request(request, first)
        assert type(one) is type(native)
        if isinstance(one, BaseModel):
            assert one.model_dump(warnings=False) == native.model_dump(warnings=False)


@each_way_in
def test_streams_of_the_other_api_are_untouched(sdk: Sdk, loopback: Loopback, way_in: str) -> None:
    loopback.answer = answer
    seen = []
    for made in (way_in, "plain"):
        client = client_of(sdk, loopback, made)
        streamed = [
            event.to_dict()
            for event in sdk.list(sdk.run(client.responses.create(**ASK, stream=True)))
        ]
        final: Any = None
        if SDK >= (1, 109):
            stream = client.responses.stream(**ASK, text_format=Shape)
            final = sdk.inside(stream, lambda stream: stream.get_final_response()).output_parsed
        seen.append((streamed, final))
    assert seen[0] == seen[1]
    assert seen[0][0][0]["type"] == "response.created"
    half = len(loopback.requests) // 2
    for adapted, native in zip(loopback.requests[:half], loopback.requests[half:], strict=True):
        assert same_request(adapted, native)


@pytest.mark.parametrize(
    "connect",
    ["responses.connect", "realtime.connect", "beta.realtime.connect", "beta.responses.connect"],
)
@pytest.mark.parametrize("way_in", ["ours", "installed"])
def test_websockets_go_to_the_same_place(
    sdk: Sdk, loopback: Loopback, connect: str, way_in: str
) -> None:
    made = []
    for kind in (way_in, "plain"):
        client = client_of(
            sdk, loopback, kind, default_headers={"x-mine": "1"}, default_query={"a": "b"}
        )
        if not has(client, connect):
            pytest.skip("this SDK has no such method")
        method: Any = client
        for name in connect.split("."):
            method = getattr(method, name)
        manager = method(**({} if "responses" in connect else {"model": "m"}))
        made.append(
            (str(manager._prepare_url()), client.auth_headers, client.default_headers["x-mine"])
        )
    assert made[0] == made[1]
    assert made[0][0].startswith("ws")
    assert f"Bearer {KEY}" in json.dumps(made[0][1])
