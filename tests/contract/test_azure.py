"""Azure: URLs, deployments, versions, credentials, the content filter, and all recordings."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import openai
import pytest
from pydantic import BaseModel

import adapter
from tests.support import corpus, oracle
from tests.support.answers import (
    MESSAGES,
    Sdk,
    completion,
    event,
    impatient,
    message_item,
    opening,
    response,
    sdk,
    text_of,
)
from tests.support.chunking import CUTS
from tests.support.http import SDK, http
from tests.support.openapi import available as document_available
from tests.support.openapi import problems_of_openapi_body
from tests.support.typeddicts import problems_of_responses_body, types_are_current
from tests.support.ways_in import routing_fields_lead

__all__ = ["impatient", "sdk"]

ENDPOINT = "https://unit.openai.azure.com"
NEW = "2025-04-01-preview"
FIRST = "2025-03-01-preview"
ON = adapter.Settings(backend="responses", on_bug="raise")
OFF = adapter.Settings(backend="chat", on_bug="raise")


class Body(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc,name-defined]
    """A reply's body that arrives in the given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


class Azure(http.BaseTransport, http.AsyncBaseTransport):  # type: ignore[misc,name-defined]
    """An Azure resource with replies in order, the last one repeated; it records requests."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.replies: list[tuple[int, dict[str, str], list[bytes]]] = []
        self.json(response())

    def json(
        self, body: Any, status: int = 200, headers: Mapping[str, str] = {}, *, then: bool = False
    ) -> None:
        reply = (
            status,
            {"content-type": "application/json", **headers},
            [json.dumps(body).encode()],
        )
        self.replies = [*self.replies, reply] if then else [reply]

    def stream(self, pieces: list[bytes]) -> None:
        self.replies = [(200, {"content-type": "text/event-stream"}, pieces)]

    def handle_request(self, request: Any) -> Any:
        self.sent.append(request)
        status, headers, pieces = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return http.Response(status, headers=headers, stream=Body(pieces))

    async def handle_async_request(self, request: Any) -> Any:
        await request.aread()
        return self.handle_request(request)

    @property
    def targets(self) -> list[str]:
        """Return paths with their queries, as they were sent."""
        return [request.url.raw_path.decode() for request in self.sent]

    def wire(self) -> list[tuple[Any, ...]]:
        """Return everything that was sent, byte for byte."""
        return [
            (r.method, r.url.scheme, r.url.raw_path, tuple(r.headers.raw), r.read())
            for r in self.sent
        ]


@pytest.fixture
def azure() -> Azure:
    return Azure()


Make = Callable[..., Any]


def make(sdk: Sdk, azure: Azure, kind: str, settings: adapter.Settings = ON, **given: Any) -> Any:
    """Make a client: one of `ours`, `installed` on the SDK's, or `plain`.

    Without `api_version` it isn't an Azure client.
    """
    suffix = "OpenAI" if "api_version" not in given else "AzureOpenAI"
    name = sdk.pick(suffix, f"Async{suffix}")
    client = sdk.pick(http.Client, http.AsyncClient)(transport=azure, follow_redirects=True)
    arguments = {"max_retries": 0, "http_client": client} | given
    if not {"azure_ad_token", "azure_ad_token_provider", "api_key"} & given.keys():
        arguments["api_key"] = "fake-key"
    if kind == "ours":
        return getattr(adapter, name)(settings=settings, **arguments)
    made = getattr(openai, name)(**arguments)
    return adapter.install(made, settings) if kind == "installed" else made


each_kind = pytest.mark.parametrize("kind", ["ours", "installed"])


def ask(sdk: Sdk, client: Any, **more: Any) -> Any:
    return sdk.run(
        client.chat.completions.create(**{"model": "gpt-4o", "messages": MESSAGES, **more})
    )


# Where calls go

V = {"api_version": NEW}
TARGET = f"/openai/responses?api-version={NEW}"
SETUPS: dict[str, tuple[dict[str, Any], str, str]] = {  # the client, the target, the body's model
    "endpoint": ({"azure_endpoint": ENDPOINT, **V}, TARGET, "gpt-4o"),
    "endpoint with a slash": ({"azure_endpoint": f"{ENDPOINT}/", **V}, TARGET, "gpt-4o"),
    "endpoint of a gateway": (
        {"azure_endpoint": "https://gw.test/team-7", **V},
        f"/team-7{TARGET}",
        "gpt-4o",
    ),
    "endpoint and deployment": (
        {"azure_endpoint": ENDPOINT, "azure_deployment": "D", **V},
        TARGET,
        "D",
    ),
    "encoded deployment": (
        {"azure_endpoint": ENDPOINT, "azure_deployment": "my D ü+%25", **V},
        TARGET,
        "my D ü+%",
    ),
    "base URL of a deployment": (
        {"base_url": f"{ENDPOINT}/openai/deployments/D", **V},
        TARGET,
        "D",
    ),
    "base URL with a slash": ({"base_url": f"{ENDPOINT}/openai/deployments/D/", **V}, TARGET, "D"),
    "base URL of a gateway": (
        {"base_url": "https://gw.test/a/b/openai/deployments/D", **V},
        f"/a/b{TARGET}",
        "D",
    ),
    "v1 path": (
        {"base_url": f"{ENDPOINT}/openai/v1", "api_version": "preview"},
        "/openai/v1/responses?api-version=preview",
        "gpt-4o",
    ),
    "plain client": ({"base_url": f"{ENDPOINT}/openai/v1/"}, "/openai/v1/responses", "gpt-4o"),
    "plain client with a version": (
        {"base_url": f"{ENDPOINT}/openai/v1", "default_query": {"api-version": "latest"}},
        "/openai/v1/responses?api-version=latest",
        "gpt-4o",
    ),
}


@each_kind
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_calls_go_to_the_responses_path(
    sdk: Sdk, azure: Azure, kind: str, setup: tuple[Any, ...]
) -> None:
    given, target, model = setup
    client = make(sdk, azure, kind, **given)
    result = ask(sdk, client)
    assert text_of(result) == "Hello there"
    assert azure.targets == [target]
    (sent,) = azure.sent
    assert json.loads(sent.read())["model"] == model
    assert sent.url.host == client.base_url.host
    assert adapter.decision(result).backend == "responses"
    assert adapter.decision(result).losses == ()


@pytest.mark.parametrize("name", ["plain-name", "mit Leerzeichen ü", "a.b_c~d", "50%25"])
def test_the_model_in_the_url_is_decoded(sdk: Sdk, azure: Azure, name: str) -> None:
    if "%" in name and SDK < (3, 0):
        pytest.skip("this SDK puts the name into the URL as it is")
    ask(sdk, make(sdk, azure, "ours", azure_endpoint=ENDPOINT, **V), model=name)
    assert azure.targets == [TARGET]
    assert json.loads(azure.sent[0].read())["model"] == name


@pytest.mark.skipif(SDK < (3, 0), reason="this SDK puts the name into the URL as it is")
def test_a_slash_in_a_deployment(sdk: Sdk, azure: Azure) -> None:
    ask(sdk, make(sdk, azure, "ours", azure_endpoint=ENDPOINT, **V), model="org/model")
    assert azure.targets == [TARGET]
    assert json.loads(azure.sent[0].read())["model"] == "org/model"


def test_the_deployment_wins_over_the_model_for_the_facts_as_well(sdk: Sdk, azure: Azure) -> None:
    # A deployment's name that doesn't identify the model: the model in upstream's reply counts.
    azure.json(response(model="gpt-4o-2024-11-20"))
    result = ask(
        sdk,
        make(sdk, azure, "ours", azure_endpoint=ENDPOINT, azure_deployment="D", **V),
        model="anything",
    )
    assert result.model == "gpt-4o-2024-11-20"
    assert json.loads(azure.sent[0].read())["model"] == "D"


@each_kind
def test_what_is_held_stays_on_the_deployments_path(sdk: Sdk, azure: Azure, kind: str) -> None:
    azure.json(completion())
    given = {"azure_endpoint": ENDPOINT, "azure_deployment": "D", "api_version": "2024-10-21"}
    result = ask(sdk, make(sdk, azure, kind, **given), seed=1)
    assert azure.targets == ["/openai/deployments/D/chat/completions?api-version=2024-10-21"]
    assert json.loads(azure.sent[0].read())["model"] == "gpt-4o"
    assert [loss.path for loss in adapter.decision(result).losses] == ["seed"]


@each_kind
def test_copies_keep_settings_and_context(sdk: Sdk, azure: Azure, kind: str) -> None:
    given = {"azure_endpoint": ENDPOINT, "azure_deployment": "D", **V}
    copied = make(sdk, azure, kind, **given).with_options(timeout=3).copy(max_retries=1)
    native = make(sdk, azure, "plain", **given).with_options(timeout=3).copy(max_retries=1)
    ask(sdk, copied)
    assert azure.targets == [TARGET]
    assert (type(copied).__name__, copied.timeout, copied.max_retries) == (
        type(native).__name__,
        3,
        1,
    )
    for name in ("_api_version", "_azure_deployment", "_azure_endpoint", "base_url"):
        assert getattr(copied, name) == getattr(native, name)
    ask(sdk, copied.with_options(api_version="2025-05-01-preview"))
    assert azure.targets[1:] == ["/openai/responses?api-version=2025-05-01-preview"]
    azure.json(completion())
    ask(sdk, copied.with_options(settings=OFF))
    assert azure.targets[2:] == [f"/openai/deployments/D/chat/completions?api-version={NEW}"]


# Versions

VERSIONS = {
    "2023-05-15": FIRST,
    "2024-02-15-preview": FIRST,
    "2024-10-21": FIRST,
    "2025-02-01-preview": FIRST,
} | {kept: kept for kept in (FIRST, NEW, "2025-03-02", "2026-01-01", "preview", "latest", "v1")}


@each_kind
@pytest.mark.parametrize(("given", "sent"), VERSIONS.items())
def test_versions_are_raised_where_they_must_be(
    sdk: Sdk, azure: Azure, kind: str, given: str, sent: str
) -> None:
    result = ask(sdk, make(sdk, azure, kind, azure_endpoint=ENDPOINT, api_version=given))
    assert azure.targets == [f"/openai/responses?api-version={sent}"]
    entries = [(loss.path, loss.action) for loss in adapter.decision(result).losses]
    assert entries == ([] if given == sent else [("query.api-version", "changed")])


def test_other_parameters_of_the_query_stay_as_they_are(sdk: Sdk, azure: Azure) -> None:
    query = {"z": "a b&c=d/ü+", "my-api-version": "2024-01-01", "list": ["1", "2"], "empty": ""}
    given = {
        "azure_endpoint": ENDPOINT,
        "azure_deployment": "D",
        "api_version": "2024-10-21",
        "default_query": query,
    }
    for kind in ("ours", "plain"):
        ask(sdk, make(sdk, azure, kind, **given), extra_query={"last": "x"})
    ours, native = azure.targets
    assert ours.partition("?")[2] == native.partition("?")[2].replace(
        "&api-version=2024-10-21", f"&api-version={FIRST}"
    )
    assert "my-api-version=2024-01-01" in ours


def test_a_version_elsewhere_is_not_azures(sdk: Sdk, azure: Azure) -> None:
    ask(
        sdk,
        make(
            sdk,
            azure,
            "ours",
            base_url="https://gw.test/v1",
            default_query={"api-version": "2024-01-01"},
        ),
    )
    assert azure.targets == ["/v1/responses?api-version=2024-01-01"]


def test_a_deployment_behind_another_prefix_is_azures(sdk: Sdk, azure: Azure) -> None:
    client = make(
        sdk, azure, "ours", base_url="https://gw.test/llm/deployments/D", api_version="2024-10-21"
    )
    ask(sdk, client)
    assert azure.targets == [f"/llm/responses?api-version={FIRST}"]


def test_stored_completions(sdk: Sdk, azure: Azure) -> None:
    given = {"azure_endpoint": ENDPOINT, "azure_deployment": "D"}
    client = make(sdk, azure, "ours", **given, **V)
    assert text_of(sdk.run(client.chat.completions.retrieve("chatcmpl-resp_1"))) == "Hello there"
    old = make(sdk, azure, "ours", OFF, **given, api_version="2024-10-21")
    sdk.run(old.chat.completions.retrieve("chatcmpl-resp_1"))
    base = "/openai/responses/resp_1?api-version="
    assert azure.targets == [base + NEW, base + FIRST]


# Credentials


@each_kind
def test_the_key_goes_into_its_own_header(sdk: Sdk, azure: Azure, kind: str) -> None:
    for made in (kind, "plain"):
        azure.json(response() if made == kind else completion())
        ask(sdk, make(sdk, azure, made, azure_endpoint=ENDPOINT, **V))
    ours, native = (request.headers for request in azure.sent)
    assert ours["api-key"] == "fake-key"
    assert ours.get("authorization") == native.get("authorization")  # old SDKs send it twice


class Tokens:
    """A token provider that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        return f"token-{self.calls}"

    async def later(self) -> str:
        return self()


@each_kind
@pytest.mark.parametrize("backend", ["responses", "chat"])
@pytest.mark.parametrize("awaited", [False, True], ids=["plain provider", "async provider"])
@pytest.mark.usefixtures("impatient")
def test_token_providers(sdk: Sdk, azure: Azure, kind: str, backend: str, awaited: bool) -> None:
    if awaited and sdk.mode == "sync":
        pytest.skip("the sync client takes plain ones")
    seen = []
    for made in (kind, "plain"):
        on_responses = made != "plain" and backend == "responses"
        azure.sent.clear()
        azure.json({"error": {"message": "Busy.", "code": "429"}}, 429, {"retry-after-ms": "1"})
        for _ in range(2):
            azure.json(response() if on_responses else completion(), then=True)
        tokens = Tokens()
        provider = tokens.later if awaited else tokens
        settings = adapter.Settings(backend=backend)
        given = {
            "azure_ad_token_provider": provider,
            "max_retries": 2,
            "azure_endpoint": ENDPOINT,
            **V,
        }
        client = make(sdk, azure, made, settings, **given)
        ask(sdk, client)
        ask(sdk, client)
        assert [request.url.path.endswith("/responses") for request in azure.sent] == [
            on_responses
        ] * 3
        assert not any("api-key" in request.headers for request in azure.sent)
        seen.append((tokens.calls, [request.headers["authorization"] for request in azure.sent]))
    ours, native = seen
    assert ours == native
    assert ours[1][0] == "Bearer token-1"


@each_kind
def test_a_bug_in_remembering_a_token(
    sdk: Sdk, azure: Azure, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("adapter._sdk.tokens._remember_token", fail)
    azure.json(response())
    given: Any = {"azure_endpoint": ENDPOINT, "azure_ad_token_provider": Tokens(), **V}
    client = make(sdk, azure, kind, adapter.Settings(backend="responses", on_bug="chat"), **given)
    assert text_of(ask(sdk, client)) == "Hello there"
    assert azure.sent[0].headers["authorization"] == "Bearer token-1"


@each_kind
def test_a_given_token(sdk: Sdk, azure: Azure, kind: str) -> None:
    ask(sdk, make(sdk, azure, kind, azure_endpoint=ENDPOINT, azure_ad_token="given", **V))
    assert azure.sent[0].headers["authorization"] == "Bearer given"


@each_kind
@pytest.mark.parametrize(
    "location", ["https://elsewhere.test/openai/x", f"{ENDPOINT}/openai/x", "/openai/x"]
)
def test_the_key_leaves_its_origin_as_natively(
    sdk: Sdk, azure: Azure, kind: str, location: str
) -> None:
    sent = []
    for made in (kind, "plain"):
        azure.sent.clear()
        azure.json({}, 307, {"location": location})
        azure.json(response() if made != "plain" else completion(), then=True)
        assert text_of(ask(sdk, make(sdk, azure, made, azure_endpoint=ENDPOINT, **V)))
        marks = [request.extensions.get("openai.azure_auth_origin") for request in azure.sent]
        sent.append(
            (
                [("api-key" in request.headers, str(request.url)) for request in azure.sent][1:],
                marks,
            )
        )
    ours, native = sent
    assert ours == native
    if SDK >= (3, 25):
        assert ours[0][0][0] == (not location.startswith("https://elsewhere"))
        assert None not in ours[1]


# The content filter

SAFE = {
    "hate": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": False, "severity": "safe"},
}
JAILBREAK = SAFE | {"jailbreak": {"detected": False, "filtered": False}}
CUT = SAFE | {"violence": {"filtered": True, "severity": "high"}}


def filters(answer: dict[str, Any], *, blocked: bool = False) -> list[dict[str, Any]]:
    entry = {"content_filter_raw": [], "content_filter_offsets": {}}
    return [
        {"blocked": False, "source_type": "prompt", "content_filter_results": JAILBREAK, **entry},
        {
            "blocked": blocked,
            "source_type": "completion",
            "content_filter_results": answer,
            **entry,
        },
    ]


STOPPED = {
    "status": "incomplete",
    "incomplete_details": {"reason": "content_filter"},
    "content_filters": filters(CUT),
}
PROMPTS = [{"prompt_index": 0, "content_filter_results": JAILBREAK}]


def client_of(sdk: Sdk, azure: Azure) -> Any:
    return make(sdk, azure, "ours", azure_endpoint=ENDPOINT, azure_deployment="D", **V)


def stopped_stream(text: str = "Hello there") -> list[bytes]:
    text_delta = event(
        "response.output_text.delta", output_index=0, content_index=0, item_id="msg_1", delta=text
    )
    return [
        *opening(),
        text_delta,
        event("response.incomplete", response=response(message_item(text), **STOPPED)),
    ]


def test_findings_of_a_completion(sdk: Sdk, azure: Azure) -> None:
    azure.json(response(content_filters=filters(SAFE)))
    result = ask(sdk, client_of(sdk, azure))
    assert result.choices[0].content_filter_results == SAFE
    assert result.prompt_filter_results == PROMPTS
    assert "content_filters" not in result.model_dump()


def test_findings_of_a_stream(sdk: Sdk, azure: Azure) -> None:
    azure.stream(stopped_stream())
    chunks = sdk.list(ask(sdk, client_of(sdk, azure), stream=True))
    assert text_of(chunks) == "Hello there"
    found = [
        getattr(choice, "content_filter_results", None)
        for chunk in chunks
        for choice in chunk.choices
    ]
    assert [one for one in found if one] == [CUT]
    assert [one for chunk in chunks if (one := getattr(chunk, "prompt_filter_results", None))] == [
        PROMPTS
    ]
    assert chunks[-1].choices[0].finish_reason == "content_filter"


def test_no_findings_where_there_is_no_filter(sdk: Sdk, azure: Azure) -> None:
    for more in ({}, {"content_filters": None}):
        azure.json(response(**more))
        dumped = ask(sdk, client_of(sdk, azure)).model_dump_json()
        assert "filter" not in dumped


@pytest.mark.parametrize("param", ["prompt", None])
@pytest.mark.parametrize("stream", [False, True])
def test_a_filtered_prompt_is_chats_error(
    sdk: Sdk, azure: Azure, param: str | None, stream: bool
) -> None:
    error = {
        "message": "The response was filtered.",
        "type": None,
        "param": param,
        "code": "content_filter",
    }
    entry = {"blocked": True, "source_type": "prompt", "content_filter_results": CUT}
    azure.json({"error": {**error, "status": 400, "content_filters": [entry]}}, 400)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(sdk, client_of(sdk, azure), stream=stream)
    raised: Any = caught.value
    assert (raised.code, raised.param, raised.status_code) == ("content_filter", param, 400)
    assert raised.body["message"] == error["message"]
    inner = raised.body["innererror"]
    assert inner == {"code": "ResponsibleAIPolicyViolation", "content_filter_result": CUT}


def test_chats_own_error_shape_stays(sdk: Sdk, azure: Azure) -> None:
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": CUT}
    azure.json(
        {
            "error": {
                "message": "Filtered.",
                "param": "prompt",
                "code": "content_filter",
                "innererror": inner,
            }
        },
        400,
    )
    with pytest.raises(openai.BadRequestError) as caught:
        ask(sdk, client_of(sdk, azure))
    assert caught.value.body["innererror"] == inner  # type: ignore[index]


class Shape(BaseModel):
    """What the parsed answer would be."""

    word: str


def test_a_filtered_answer_is_content_filter(sdk: Sdk, azure: Azure) -> None:
    azure.json(response(**STOPPED))
    assert ask(sdk, client_of(sdk, azure)).choices[0].finish_reason == "content_filter"
    parse = client_of(sdk, azure).beta.chat.completions.parse
    with pytest.raises(openai.ContentFilterFinishReasonError):
        sdk.run(parse(model="gpt-4o", messages=MESSAGES, response_format=Shape))


def test_a_filtered_answer_in_the_stream_helper(sdk: Sdk, azure: Azure) -> None:
    azure.stream(stopped_stream('{"word": "Hell'))
    completions = client_of(sdk, azure).beta.chat.completions
    for more in ({}, {"response_format": Shape}):
        stream = completions.stream(model="gpt-4o", messages=MESSAGES, **more)
        with pytest.raises(openai.ContentFilterFinishReasonError):
            sdk.inside(stream, lambda stream: stream.get_final_completion())


# Requests other than chat calls


def test_other_endpoints_are_untouched(sdk: Sdk, azure: Azure) -> None:
    azure.json({"object": "list", "data": []})
    for given in (
        {"azure_endpoint": ENDPOINT, "azure_deployment": "D", **V},
        SETUPS["endpoint"][0],
        SETUPS["v1 path"][0],
    ):
        wires = []
        for kind in ("ours", "installed", "plain"):
            azure.sent.clear()
            client = make(sdk, azure, kind, **given)
            sdk.run(client.embeddings.create(model="emb", input="x", encoding_format="float"))
            sdk.list(client.models.list()) if sdk.mode == "sync" else sdk.run(
                client.models.list()._get_page()
            )
            sdk.run(client.responses.with_raw_response.create(model="gpt-4o", input="x"))
            wires.append(azure.wire())
        assert wires[0] == wires[1] == wires[2]
        assert len(wires[0]) == 3


# Every recording


def recorded(
    api: str, *, stream: bool | None = None, ok: bool | None = True
) -> list[corpus.Recording]:
    return corpus.select(api=api, host="azure", stream=stream, ok=ok)


@functools.cache
def queries() -> dict[int, str]:
    rows = map(
        json.loads, (corpus.FOLDER / "recordings.jsonl").read_text(encoding="utf-8").splitlines()
    )
    return {row["id"]: row.get("query") or "" for row in rows if "azure" in row["host"]}


def report(what: str, right: int, total: int, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nAzure, {what}: {right} right of {total}", end=" ")


def finished(recording: corpus.Recording) -> dict[str, Any]:
    if recording.sse is None:
        return dict(recording.response)
    return next(data["response"] for _, data in reversed(recording.sse) if "response" in data)


def outcome(sdk: Sdk, client: Any, recording: corpus.Recording) -> oracle.Seen | None:
    call: dict[str, Any] = {"model": "D"}
    if oracle.is_json(finished(recording)):
        call["response_format"] = {"type": "json_object"}
    try:
        if recording.sse is None:
            return oracle.of_completion(ask(sdk, client, **call))
        reader = oracle.Reader()
        chunks = sdk.list(
            ask(sdk, client, **call, stream=True, stream_options={"include_usage": True}),
            reader.take,
        )
        return reader.seen() if chunks else None
    except openai.APIError:
        return None


@corpus.needs_corpus
def test_recorded_replies(sdk: Sdk, azure: Azure, capsys: pytest.CaptureFixture[str]) -> None:
    ours = make(sdk, azure, "ours", **SETUPS["endpoint and deployment"][0])
    installed = make(sdk, azure, "installed", **SETUPS["v1 path"][0])
    wrong, total = set(), len(recorded("responses"))
    for recording in recorded("responses"):
        response = finished(recording)
        expected = None if oracle.must_raise(response) else oracle.seen(response)
        for number, cut in enumerate(CUTS if recording.sse is not None else ["result"]):
            if recording.sse is None:
                azure.json(recording.response)
            else:
                azure.stream(CUTS[cut](corpus.sse_bytes(recording)))
            for client in (ours, installed) if number == 0 else (ours,):
                if outcome(sdk, client, recording) != expected:
                    wrong.add(recording.id)
    report(f"recorded replies, {sdk.mode}, streams in every cut", total - len(wrong), total, capsys)
    assert wrong == set()
    assert total == 32


@corpus.needs_corpus
def test_recorded_findings_of_the_filter(sdk: Sdk, azure: Azure) -> None:
    found = 0
    for recording in recorded("responses"):
        entries = {
            entry["source_type"]: entry["content_filter_results"]
            for entry in finished(recording).get("content_filters") or ()
        }
        if recording.sse is None:
            azure.json(recording.response)
            result: Any = ask(sdk, client_of(sdk, azure))
        else:
            azure.stream([corpus.sse_bytes(recording)])
            result = sdk.list(ask(sdk, client_of(sdk, azure), stream=True))[-1]
        choice = result.choices[0].model_dump()
        assert choice.get("content_filter_results") == (
            entries.get("completion", {}) if entries else None
        ), recording.id
        prompts = [
            entry["content_filter_results"]
            for entry in result.model_dump().get("prompt_filter_results") or ()
        ]
        assert prompts == ([entries["prompt"]] if "prompt" in entries else []), recording.id
        found += bool(entries)
    assert found >= 9


@corpus.needs_corpus
def test_recorded_requests(capsys: pytest.CaptureFixture[str]) -> None:
    recordings = [r for r in recorded("chat", ok=None) if isinstance(r.request, dict)]
    azure, wrong, moved = Azure(), [], 0
    azure.json(response())
    with http.Client(transport=adapter.Transport(azure, settings=ON)) as client:
        for recording in recordings:
            query = queries()[recording.id]
            path = f"{recording.path}?{query}" if query else recording.path
            reply = client.post(f"https://{recording.host}{path}", json=recording.request)
            decision = adapter.decision(reply)
            assert decision is not None
            sent = azure.sent[-1]
            body = json.loads(sent.read())
            if decision.backend == "chat":
                held = [
                    loss
                    for loss in decision.losses
                    if loss.action == "held" and loss.path and loss.why
                ]
                right = (
                    bool(held) and sent.url.raw_path.decode() == path and body == recording.request
                )
            else:
                moved += 1
                right = arrived(recording, query, sent, body)
            if not right:
                wrong.append((recording.id, path, sent.url.raw_path))
    report(
        f"recorded requests, {moved} moved", len(recordings) - len(wrong), len(recordings), capsys
    )
    assert wrong == []
    assert len(recordings) > 100
    assert moved > 80


def arrived(recording: corpus.Recording, query: str, sent: Any, body: dict[str, Any]) -> bool:
    """Return whether a translated request has the right target and model, and is valid."""
    base = recording.path.removesuffix("/chat/completions")
    prefix, mark, deployment = base.partition("/deployments/")
    version = query.partition("=")[2]
    if mark or "/openai" in base:
        version = FIRST if "2000" < version < FIRST else version
    target = f"{prefix}/responses" + (f"?api-version={version}" if version else "")
    problems = problems_of_responses_body(body) if types_are_current() else []
    if document_available():
        problems += problems_of_openapi_body(body)
    model = unquote(deployment) or recording.request["model"]  # type: ignore[index]
    return (
        sent.url.raw_path.decode() == target
        and body["model"] == model
        and routing_fields_lead(body)
        and not problems
    )


@corpus.needs_corpus
def test_recorded_chat_is_untouched_when_off(
    sdk: Sdk, azure: Azure, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, total = [], 0
    given = {"azure_endpoint": ENDPOINT, "azure_deployment": "D", "api_version": "2024-10-21"}
    clients = [make(sdk, azure, kind, OFF, **given) for kind in ("ours", "installed", "plain")]
    for recording in recorded("chat", ok=None):
        request = dict(recording.request or {"messages": MESSAGES})
        call = {
            "model": request.pop("model", None) or "gpt-4o",
            "messages": request.pop("messages"),
        }
        streamed = request.pop("stream", recording.sse is not None)
        seen = []
        for client in clients:
            azure.sent.clear()
            if recording.sse is None:
                azure.json(recording.response, recording.status)
            else:
                azure.stream([corpus.sse_bytes(recording)])
            result = native(sdk, client, **call, stream=streamed, extra_body=request)
            raw = native(
                sdk,
                client.chat.completions.with_raw_response,
                **call,
                stream=streamed,
                extra_body=request,
            )
            seen.append((azure.wire(), result, raw))
        total += 1
        if not seen[0] == seen[1] == seen[2] or len(seen[0][0]) != 2:
            wrong.append(recording.id)
    report(f"recorded Chat with the flag off, {sdk.mode}", total - len(wrong), total, capsys)
    assert wrong == []
    assert total > 100


def native(sdk: Sdk, target: Any, **call: Any) -> Any:
    """Make a call and return its result: objects, bytes and headers, or the error."""
    create = target.create if hasattr(target, "create") else target.chat.completions.create
    try:
        result = sdk.run(create(**call))
        if hasattr(result, "http_response"):
            content = (
                sdk.run(result.http_response.aread())
                if sdk.mode == "async"
                else result.http_response.read()
            )
            return content, tuple(result.http_response.headers.raw)
        if not call["stream"]:
            return type(result), result.model_dump()
        return [(type(chunk), chunk.model_dump()) for chunk in sdk.list(result)]
    except openai.APIError as error:
        return type(error), str(error), error.body
