"""The header `x-adapter-backend`: it is never sent on, through any way in; and its values."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest

import adapter
from adapter import Settings
from adapter._routing import router
from adapter._util.log_once import Once
from tests.support import tier
from tests.support.answers import (
    CALL,
    CHAT,
    KEY,
    RESPONSES,
    Sdk,
    chat_events,
    completion,
    events,
    response,
    sdk,
)
from tests.support.http import http

__all__ = ["sdk"]

HEADER = "x-adapter-backend"

EMBEDDINGS = {
    "object": "list",
    "data": [],
    "model": "e",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}


@dataclass
class Upstream:
    """The server of all ways in: it keeps the requests, and answers."""

    broken: int = 0  # so many first requests fail
    moved: int = 0  # so many first requests are redirected
    requests: list[Any] = field(default_factory=list)

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        path = request.url.path
        if len(self.requests) <= self.broken:
            return http.Response(500, json={})
        if path == RESPONSES and self.broken:
            return http.Response(404, json={})
        if len(self.requests) <= self.moved:
            return http.Response(307, headers={"location": f"{path}?again"})
        if path.endswith("/moved"):
            return http.Response(307, headers={"location": "/v1/models"})
        if not path.endswith(("/chat/completions", "/responses")):
            return http.Response(200, json=EMBEDDINGS)
        whole, stream = (
            (response(), events()) if path.endswith("/responses") else (completion(), chat_events())
        )
        if json.loads(request.content).get("stream"):
            return http.Response(
                200, headers={"content-type": "text/event-stream"}, content=b"".join(stream)
            )
        return http.Response(200, json=whole)

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]

    @property
    def headers(self) -> list[Any]:
        return [request.headers.get(HEADER) for request in self.requests]


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


Given = dict[str, Any]
Call = Callable[[Any, Given], Any]

CALLS: dict[str, Call] = {
    "chat": lambda client, given: client.chat.completions.create(**CALL, **given),
    "chat stream": lambda client, given: client.chat.completions.create(**CALL, **given,
        stream=True),
    "chat raw": lambda client, given: client.chat.completions.with_raw_response.create(**CALL,
        **given),
    "chat held": lambda client, given: client.chat.completions.create(**CALL, **given, seed=7),
    "chat stored": lambda client, given: client.chat.completions.retrieve("resp_1", **given),
    "responses": lambda client, given: client.responses.create(model="gpt-4o", input="x", **given),
    "responses stream": lambda client, given: client.responses.create(model="gpt-4o", input="x",
        stream=True, **given),
    "embeddings": lambda client, given: client.embeddings.create(model="e", input="x",
        encoding_format="float", **given),
    "models": lambda client, given: client.models.list(**given),
    "files": lambda client, given: client.files.create(file=b"x", purpose="batch", **given),
    "delete": lambda client, given: client.files.delete("f", **given),
    "post": lambda client, given: client.post("/embeddings", cast_to=object, body={"a": 1},
        options=_options(given)),
    "get": lambda client, given: client.get("/models", cast_to=object, options=_options(given)),
    "redirect": lambda client, given: client.get("/moved", cast_to=object, options=_options(given)),
}  # fmt: skip


def _options(given: Given) -> Given:
    return {"headers": given["extra_headers"]} if given else {}


SETTINGS: dict[str, Given] = {
    "chat": {"backend": "chat"},
    "responses": {"backend": "responses"},
    "killed": {"backend": "responses", "force": "native", "allow_header": False},
}


def client_of(sdk: Sdk, way: str, upstream: Upstream, settings: Settings, **given: Any) -> Any:
    """Make a client; with `hook` a hook of its HTTP client adds the header to every request."""
    hook = given.pop("hook", None)
    named = {"base_url": "https://api.test/v1", "api_key": KEY, "max_retries": 0, **given}
    asynchronous = sdk.mode == "async"
    more: Given = {}
    if hook is not None:

        async def ahook(request: Any) -> None:
            hook(request)

        more["event_hooks"] = {"request": [ahook if asynchronous else hook]}
    inner = http.MockTransport(upstream)
    if way == "transport":
        inner = (adapter.AsyncTransport if asynchronous else adapter.Transport)(
            inner, settings=settings
        )
    kind = http.AsyncClient if asynchronous else http.Client
    http_client = kind(transport=inner, follow_redirects=True, **more)
    if way == "azure":
        azure = adapter.AsyncAzureOpenAI if asynchronous else adapter.AzureOpenAI
        del named["base_url"]
        named |= {
            "azure_endpoint": "https://x.openai.azure.com",
            "api_version": "2025-04-01-preview",
        }
        return azure(**named, http_client=http_client, settings=settings)
    if way == "client":
        own = adapter.AsyncOpenAI if asynchronous else adapter.OpenAI
        return own(**named, http_client=http_client, settings=settings)
    made = (openai.AsyncOpenAI if asynchronous else openai.OpenAI)(**named, http_client=http_client)
    return adapter.install(made, settings) if way == "install" else made


def _put_in(request: Any) -> None:
    request.headers["X-Adapter-Backend"] = "chat"


PLACES: dict[str, tuple[Given, Given]] = {
    "call": ({}, {"extra_headers": {HEADER: "chat"}}),
    "client": ({"default_headers": {HEADER.title(): "chat"}}, {}),
    "hook": ({"hook": _put_in}, {}),
    "unknown value": ({}, {"extra_headers": {HEADER: "sideways"}}),
}


WAYS = tier.pick(["client", "install", "transport"], ["client", "transport"])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["client", "install", "transport", "azure"])
@pytest.mark.parametrize("place", PLACES)
def test_it_is_never_sent_on(sdk: Sdk, place: str, way: str, upstream: Upstream) -> None:
    of_client, of_call = PLACES[place]
    for named, settings in SETTINGS.items():
        client = client_of(sdk, way, upstream, Settings(**settings), **of_client)
        for name, call in CALLS.items():
            if not hasattr(client, name.partition(" ")[0]) and name in (
                "responses",
                "responses stream",
            ):
                continue  # an older SDK
            del upstream.requests[:]
            result = sdk.run(call(client, dict(of_call)))
            if "stream" in name:
                sdk.list(result)
            assert upstream.requests, name
            assert upstream.headers == [None] * len(upstream.requests), (
                named, name,
            )  # fmt: skip
        sdk.run(client.close())


def test_another_client_of_the_same_http_client_keeps_its_own(sdk: Sdk, upstream: Upstream) -> None:
    kind = http.AsyncClient if sdk.mode == "async" else http.Client
    named: Given = {"base_url": "https://api.test/v1", "api_key": KEY}
    named["http_client"] = kind(transport=http.MockTransport(upstream))
    adapter.install(sdk.plain(**named), Settings())
    sdk.run(
        sdk.plain(**named).embeddings.create(
            model="e", input="x", encoding_format="float", extra_headers={HEADER: "mine"}
        )
    )
    assert upstream.headers == ["mine"]


@pytest.mark.parametrize("way", WAYS)
def test_a_retry_and_a_fallback_are_without_it_too(
    sdk: Sdk, way: str, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
    upstream.broken = 1
    client = client_of(
        sdk, way, upstream, Settings(), max_retries=2, base_url=f"https://{sdk.mode}-{way}.test/v1"
    )
    sdk.run(client.chat.completions.create(**CALL, extra_headers={HEADER: "responses"}))
    assert upstream.paths == [RESPONSES, RESPONSES, CHAT]
    assert upstream.headers == [None] * 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", ["chat", "responses"])
def test_a_redirect_is_without_it_too(sdk: Sdk, backend: str, way: str, upstream: Upstream) -> None:
    upstream.moved = 2
    client = client_of(sdk, way, upstream, Settings())
    sdk.run(client.chat.completions.create(**CALL, extra_headers={HEADER: backend}))
    assert upstream.paths == [RESPONSES if backend == "responses" else CHAT] * 3
    assert upstream.headers == [None] * 3


# Its values


@pytest.fixture
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "ONCE", Once())


@pytest.mark.usefixtures("fresh_warnings")
@pytest.mark.parametrize("way", WAYS)
def test_an_invalid_value_is_logged_once_for_each_kind(
    sdk: Sdk, way: str, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(sdk, way, upstream, Settings(backend="responses"))
    with caplog.at_level(logging.WARNING, "adapter"):
        for value in ("SECRET", "SECRET\x1b[31m", "CHAT", " chat", "", "SECRET" * 100, "Responses"):
            sdk.run(client.chat.completions.create(**CALL, extra_headers={HEADER: value}))
    assert set(upstream.paths) == {RESPONSES}
    logged = [record.getMessage() for record in caplog.records if record.name == "adapter"]
    assert [
        "unknown" in logged[0],
        "misspelled" in logged[1],
        "empty" in logged[2],
        len(logged),
    ] == [True] * 3 + [3]
    assert all(one.startswith(f"headers.{HEADER}: ") for one in logged)
    assert "SECRET" not in caplog.text
    sdk.run(client.close())


@pytest.mark.usefixtures("fresh_warnings")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", ["chat", "responses"])
def test_a_disallowed_header_chooses_nothing_and_logs_nothing(
    sdk: Sdk, backend: Any, way: str, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(sdk, way, upstream, Settings(backend=backend, allow_header=False))
    with caplog.at_level(logging.WARNING, "adapter"):
        for value in ("chat", "responses", "sideways"):
            sdk.run(client.chat.completions.create(**CALL, extra_headers={HEADER: value}))
    assert set(upstream.paths) == {RESPONSES if backend == "responses" else CHAT}
    assert set(upstream.headers) == {None}
    assert not caplog.records
    sdk.run(client.close())


def test_a_transport_alone(upstream: Upstream) -> None:
    with http.Client(
        transport=adapter.Transport(http.MockTransport(upstream), settings=Settings())
    ) as client:
        for method, path in (
            ("GET", "/models"),
            ("POST", "/embeddings"),
            ("DELETE", "/x"),
            ("POST", "/chat/completions"),
        ):
            client.request(
                method, f"https://api.test/v1{path}", headers={HEADER: "chat"}, json=CALL
            )
    assert upstream.headers == [None] * 4


def test_a_rule_cannot_set_allow_header() -> None:
    with pytest.raises(
        adapter.ConfigurationError, match=r"^rules\.0\.allow_header: no such setting"
    ):
        Settings(rules=[{"allow_header": False}])  # type: ignore[list-item]
