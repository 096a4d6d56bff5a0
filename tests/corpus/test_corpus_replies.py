"""Every recorded reply of `/responses`, through the clients, as Chat callers see it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import adapter
from adapter.errors import TranslationError
from adapter.translation import ChunksFromEvents, chat_to_responses, response_to_completion
from adapter.translation.types import Translation
from tests.support import corpus, oracle
from tests.support.chunking import CUTS, every, per_event, truncations
from tests.support.http import CONNECTION_ERRORS, http
from tests.support.typeddicts import needs_current_types

SETTINGS = adapter.Settings(backend="responses", on_bug="raise")


class Pieces(http.SyncByteStream, http.AsyncByteStream):
    """A reply's body that arrives in the given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


class Upstream(http.BaseTransport, http.AsyncBaseTransport):
    """A server that gives one prepared reply to every request to `/responses`."""

    status = 200
    content_type = "application/json"
    pieces: list[bytes]

    def handle_request(self, request: http.Request) -> http.Response:
        assert request.url.path == "/v1/responses"
        return http.Response(
            self.status, headers={"content-type": self.content_type}, stream=Pieces(self.pieces)
        )

    async def handle_async_request(self, request: http.Request) -> http.Response:
        return self.handle_request(request)

    def json(self, body: Any, status: int = 200) -> None:
        self.status, self.content_type, self.pieces = (
            status,
            "application/json",
            [json.dumps(body).encode()],
        )

    def stream(self, pieces: list[bytes]) -> None:
        self.status, self.content_type, self.pieces = 200, "text/event-stream", pieces


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def client(upstream: Upstream) -> Iterator[adapter.OpenAI]:
    with adapter.OpenAI(
        api_key="k", http_client=http.Client(transport=upstream), settings=SETTINGS, max_retries=0
    ) as client:
        yield client


@pytest.fixture
def async_client(upstream: Upstream) -> adapter.AsyncOpenAI:
    http_client = http.AsyncClient(transport=upstream)
    return adapter.AsyncOpenAI(
        api_key="k", http_client=http_client, settings=SETTINGS, max_retries=0
    )


@cache
def replies(part: corpus.Part, *, stream: bool) -> tuple[corpus.Recording, ...]:
    return tuple(
        r
        for op in ("create", "retrieve")
        for r in corpus.select(api="responses", op=op, stream=stream, part=part)
        if (r.sse is not None) == stream
    )


# A test double's stream (N239): events that no API sends, and no known terminal event.
UNFINISHED: dict[str, Any] = {"status": "in_progress"}


def finished(recording: corpus.Recording) -> dict[str, Any]:
    """Return the Response in a recording; for a stream, the one that ends it."""
    if recording.sse is None:
        return recording.response
    return next(
        (data["response"] for _, data in reversed(recording.sse) if "response" in data), UNFINISHED
    )


def asked(recording: corpus.Recording) -> dict[str, Any]:
    """Return a chat request that the recorded reply could answer."""
    response = finished(recording)
    request: dict[str, Any] = {"model": "gpt-5", "messages": [{"role": "user", "content": "…"}]}
    if oracle.is_json(response):
        request["response_format"] = {"type": "json_object"}
    if wants_logprobs(recording):
        request["logprobs"] = True
    if recording.sse is not None:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    return request


def wants_logprobs(recording: corpus.Recording) -> bool:
    return "logprobs_nonempty" in recording.features


def expected(recording: corpus.Recording) -> oracle.Seen | None:
    """Return what the caller must see; None for an exception."""
    response = finished(recording)
    return (
        None
        if oracle.must_raise(response)
        else oracle.seen(response, logprobs=wants_logprobs(recording))
    )


def created(client: adapter.OpenAI, request: dict[str, Any]) -> oracle.Seen | None:
    try:
        result = client.chat.completions.create(**request)
        if not request.get("stream"):
            assert type(result) is openai.types.chat.ChatCompletion
            return oracle.of_completion(result)
        reader = oracle.Reader()
        for chunk in result:
            assert type(chunk) is openai.types.chat.ChatCompletionChunk
            reader.take(chunk)
        return reader.seen()
    except (openai.APIError, *CONNECTION_ERRORS):
        return None


async def created_async(client: adapter.AsyncOpenAI, request: dict[str, Any]) -> oracle.Seen | None:
    try:
        result = await client.chat.completions.create(**request)
        if not request.get("stream"):
            return oracle.of_completion(result)
        reader = oracle.Reader()
        async for chunk in result:
            reader.take(chunk)
        return reader.seen()
    except (openai.APIError, *CONNECTION_ERRORS):
        return None


def report(kind: str, right: int, total: int, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{kind}: {right} right of {total}", end=" ")


LEAST: dict[corpus.Part, int] = {1: 600, 2: 120}


@corpus.needs_corpus
@corpus.each_part
def test_results(
    client: adapter.OpenAI,
    async_client: adapter.AsyncOpenAI,
    upstream: Upstream,
    capsys: Any,
    part: corpus.Part,
) -> None:
    wrong = []
    for recording in replies(part, stream=False):
        upstream.json(recording.response)
        request = asked(recording)
        both = created(client, request), asyncio.run(created_async(async_client, request))
        if both != (expected(recording),) * 2:
            wrong.append(recording.id)
    total = len(replies(part, stream=False))
    report("recorded results, sync and async", total - len(wrong), total, capsys)
    assert wrong == []
    assert total > LEAST[part]


LONG = 6_000  # bytes; longer streams are split into pieces of 7 bytes in place of 1


def pieces(cut: str, recording: corpus.Recording) -> list[bytes]:
    data = corpus.sse_bytes(recording)
    return every(7)(data) if cut == "per-byte" and len(data) > LONG else CUTS[cut](data)


@corpus.needs_corpus
@corpus.each_part
@pytest.mark.parametrize("cut", CUTS)
def test_streams(  # noqa: PLR0917  # fixtures
    client: adapter.OpenAI,
    async_client: adapter.AsyncOpenAI,
    upstream: Upstream,
    capsys: Any,
    cut: str,
    part: corpus.Part,
) -> None:
    wrong = []

    async def all_async() -> None:
        for recording in replies(part, stream=True):
            upstream.stream(pieces(cut, recording))
            if await created_async(async_client, asked(recording)) != expected(recording):
                wrong.append((recording.id, "async"))

    for recording in replies(part, stream=True):
        upstream.stream(pieces(cut, recording))
        if created(client, asked(recording)) != expected(recording):
            wrong.append((recording.id, "sync"))
    asyncio.run(all_async())
    total = 2 * len(replies(part, stream=True))
    report(f"recorded streams, {cut}, sync and async", total - len(wrong), total, capsys)
    assert wrong == []
    assert total > LEAST[part]


@corpus.needs_corpus
@corpus.each_part
def test_streams_that_break_off(
    client: adapter.OpenAI, upstream: Upstream, capsys: Any, part: corpus.Part
) -> None:
    # After each event of the short streams, and at some positions of the longer ones.
    ended, total = [], 0
    for recording in replies(part, stream=True):
        if finished(recording) is UNFINISHED:
            continue
        data = corpus.sse_bytes(recording)
        terminal = [b'"type": "response.', b'"type":"response.']
        pieces = per_event(data)
        last = max(
            i
            for i, piece in enumerate(pieces)
            if piece.partition(b"data:")[2].strip() not in (b"[DONE]", b"")
        )
        assert any(mark in pieces[last] for mark in terminal)
        prefixes = truncations(pieces[: last + 1])
        for prefix in prefixes[:: max(1, len(prefixes) // 8)]:
            upstream.stream([prefix])
            total += 1
            if created(client, asked(recording)) is not None:
                ended.append((recording.id, len(prefix)))
    report("streams that break off raise", total - len(ended), total, capsys)
    assert ended == []
    assert total > {1: 2_000, 2: 500}[part]


PARAMS = {
    "include": "logprobs",
    "input": "messages",
    "max_output_tokens": "max_completion_tokens",
    "reasoning.effort": "reasoning_effort",
    "text.format.schema": "response_format.json_schema.schema",
    "text.format.name": "response_format.json_schema.name",
}


@corpus.needs_corpus
def test_errors(client: adapter.OpenAI, upstream: Upstream, capsys: Any) -> None:
    recordings = [r for r in corpus.select(api="responses", ok=False) if r.status >= 400]
    for recording in recordings:
        error = recording.response["error"]
        upstream.json(recording.response, recording.status)
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(
                model="gpt-5", messages=[{"role": "user", "content": "…"}]
            )
        raised = caught.value
        assert type(raised) in (
            openai.BadRequestError,
            openai.AuthenticationError,
            openai.RateLimitError,
        ), recording.id
        assert raised.status_code == recording.status
        assert raised.code == error["code"], recording.id
        assert raised.body["message"] == error["message"]
        if error["param"] is None or not error["param"].startswith(("input[", "tools[")):
            assert raised.param == PARAMS.get(error["param"], error["param"]), recording.id
        else:
            assert raised.param.startswith(("messages[", "tools[")), recording.id
    report("recorded errors", len(recordings), len(recordings), capsys)
    assert len(recordings) > 20


def request_of(recording: corpus.Recording) -> Translation:
    return chat_to_responses(asked(recording))


def declared(kind: type[Any], made: Any) -> Any:
    """Build an SDK object; fail if the JSON differs from the SDK's types more than Chat's own."""
    try:
        kind.model_validate(made, strict=True)
    except pydantic.ValidationError as error:
        for one in error.errors():
            # Chat streams custom calls as well, and not all servers give a citation's position.
            custom = one["loc"][-1] == "type" and one["input"] == "custom"
            assert custom or "url_citation" in one["loc"], one
    return kind.construct(**made)


def streamed(recording: corpus.Recording) -> oracle.Seen | None:
    """Accumulate the chunks of a recorded stream; each must fit the SDK's types."""
    translation = request_of(recording)
    machine, reader = (
        ChunksFromEvents(translation.reply_context, translation.paths),
        oracle.Reader(),
    )
    try:
        for _, data in recording.sse or ():
            for chunk in machine.feed(data) if isinstance(data, dict) else ():
                reader.take(declared(ChatCompletionChunk, chunk))
        machine.close()
    except TranslationError:
        return None
    return reader.seen()


def whole(recording: corpus.Recording) -> oracle.Seen | None:
    """Translate a recording's finished Response; the completion must fit the SDK's types."""
    translation = request_of(recording)
    try:
        made = response_to_completion(
            finished(recording), translation.reply_context, translation.paths
        )
    except TranslationError:
        return None
    return oracle.of_completion(declared(ChatCompletion, made.body))


@corpus.needs_corpus
@corpus.each_part
@needs_current_types
def test_replies_are_valid_and_streams_equal_whole_replies(capsys: Any, part: corpus.Part) -> None:
    wrong = [one.id for one in replies(part, stream=False) if whole(one) != expected(one)]
    for one in replies(part, stream=True):
        seen = streamed(one)
        if seen != expected(one) or (finished(one).get("output") and seen != whole(one)):
            wrong.append(one.id)
    total = len(replies(part, stream=False)) + len(replies(part, stream=True))
    report("recorded replies, valid, whole as streamed", total - len(wrong), total, capsys)
    assert wrong == []
