"""Requests whose target can't change: to relays that take it from the query, and signed ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import logging
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import openai
import pytest

import adapter
from adapter import Settings
from adapter._exchange.endpoints import classify_request, is_relayed
from tests.support import tier
from tests.support.answers import CALL, KEY, Sdk, chat_events, completion, events, response, sdk
from tests.support.http import http as sdks_http

__all__ = ["sdk"]

LIBRARIES = ["httpx2", "httpx"] if sdks_http.__name__ == "httpx2" else ["httpx"]


class Server:
    """A server that answers as either API, and keeps the requests."""

    def __init__(self, library: Any) -> None:
        self.library, self.requests = library, []

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        moved = request.url.path.endswith("/responses")
        if b'"stream":true' in request.content.replace(b" ", b""):
            text = b"".join(events() if moved else chat_events())
            return self.library.Response(
                200, headers={"content-type": "text/event-stream"}, content=text
            )
        return self.library.Response(200, json=response() if moved else completion())


WAYS = ["client", "install", "transport"]
each_way = pytest.mark.parametrize("way", tier.pick(WAYS, ["client", "transport"]))
each_library = pytest.mark.parametrize("library", tier.pick(LIBRARIES, LIBRARIES[:1]))


def client_of(sdk: Sdk, way: str, server: Server, settings: Settings, **given: Any) -> Any:
    of_client = {
        name: given.pop(name)
        for name in ("base_url", "default_query", "default_headers", "cls")
        if name in given
    }
    cls = of_client.pop("cls", None)
    asynchronous = sdk.mode == "async"
    inner = server.library.MockTransport(server)
    if way == "transport":
        inner = (adapter.AsyncTransport if asynchronous else adapter.Transport)(
            inner, settings=settings
        )
    kind = server.library.AsyncClient if asynchronous else server.library.Client
    named = {"base_url": "https://api.test/v1", "api_key": KEY, "max_retries": 0, **of_client}
    named["http_client"] = kind(transport=inner, **given)
    if way == "client" and cls is None:
        return (adapter.AsyncOpenAI if asynchronous else adapter.OpenAI)(**named, settings=settings)
    made = (cls or (openai.AsyncOpenAI if asynchronous else openai.OpenAI))(**named)
    return made if way == "transport" else adapter.install(made, settings)


def sent_by(
    sdk: Sdk, way: str, server: Server, settings: Settings, **given: Any
) -> tuple[Any, Any]:
    """Make a call; return its request as it was sent, and the decision."""
    client = client_of(sdk, way, server, settings, **given)
    raw = sdk.run(client.chat.completions.with_raw_response.create(**CALL))
    assert raw.parse().choices[0].message.content
    assert len(server.requests) == 1
    return server.requests[0], adapter.decision(raw)


MOVED = Settings(backend="responses")
PLAIN = Settings()


def held(made: Any) -> list[tuple[str, str]]:
    assert made is not None
    return [(loss.path, made.reason) for loss in made.losses if loss.action == "held"]


# Relays

TARGET = "https://api.openai.com/v1"
RELAYS: dict[str, dict[str, Any]] = {
    "a URL": {"base_url": f"http://relay.test/fetch?url={TARGET}"},
    "a URL with a slash": {"base_url": f"http://relay.test/fetch?url={TARGET}/"},
    "a quoted URL": {"base_url": "http://relay.test/fetch?url=https%3A%2F%2Fapi.openai.com%2Fv1"},
    "no path": {"base_url": f"http://relay.test?u={TARGET}"},
    "a path": {"base_url": "http://relay.test/v1?a="},
    "before others": {
        "base_url": f"http://relay.test/fetch?url={TARGET}",
        "default_query": {"tenant": "x"},
    },
    "behind others": {"base_url": f"http://relay.test/fetch?tenant=x&url={TARGET}"},
    "the whole URL": {
        "base_url": "http://relay.test/v1",
        "default_query": {"url": f"{TARGET}/chat/completions"},
    },
    "the path as well": {"base_url": f"http://relay.test/v1/chat/completions?url={TARGET}"},
}


@each_way
@pytest.mark.parametrize("case", RELAYS)
def test_a_call_through_a_relay_stays_as_it_is(sdk: Sdk, way: str, case: str) -> None:
    server, plainly = Server(sdks_http), Server(sdks_http)
    request, made = sent_by(sdk, way, server, MOVED, **RELAYS[case])
    native, _ = sent_by(sdk, "install", plainly, PLAIN, **RELAYS[case])
    assert (str(request.url), request.content) == (str(native.url), native.content)
    assert b"completions" in request.url.query
    assert held(made) == [("query", "unsupported")]


def test_a_stream_through_a_relay(sdk: Sdk, caplog: pytest.LogCaptureFixture) -> None:
    for way in WAYS:
        client = client_of(sdk, way, Server(sdks_http), MOVED, **RELAYS["a URL"])
        chunks = sdk.list(sdk.run(client.chat.completions.create(**CALL, stream=True)))
        assert chunks[-1].choices[0].finish_reason == "stop"


KINDS: dict[bytes, tuple[str | None, bool]] = {
    b"/v1/chat/completions": ("chat", False),
    b"/v1/chat/completions?api-version=1": ("chat", False),
    b"/v1/chat/completions?next=/chat/completions": ("chat", False),
    b"/v1/chat/completions/?x=1": ("chat", False),
    b"/v1/chat/completions?url=https://x.test/v1&next=/chat/completions": ("chat", False),
    b"/v1/chat/completions?url=https://x.test/v1/chat/completions": ("chat", True),
    b"/v1/chat/completions?url=https%3A%2F%2Fx.test%2Fv1%2Fchat%2Fcompletions&key=1": ("chat", True),
    b"/v1?a=/chat/completions": ("chat", True),
    b"/fetch?url=https://api.openai.com/v1/chat/completions": ("chat", True),
    b"/fetch?url=https://api.openai.com/v1/chat/completions/": ("chat", True),
    b"/fetch?url=https://api.openai.com/v1/chat/completions&key=1": ("chat", True),
    b"/fetch?url=https%3A%2F%2Fapi.openai.com%2Fv1%2Fchat%2Fcompletions": ("chat", True),
    b"/fetch?url=https%3a%2f%2fapi.openai.com%2fv1%2fchat%2fcompletions&key=1": ("chat", True),
    b"/fetch?url=https://x.test/openai/deployments/d/chat/completions?api-version=1": ("chat", True),
    b"/fetch?https://api.openai.com/v1/chat/completions": ("chat", True),
    b"/fetch?url=https://api.openai.com/v1/chat/completions/cmpl_1": (None, False),
    b"/fetch?url=https://api.openai.com/v1/embeddings": (None, False),
    b"/fetch/?url=https://api.openai.com/v1chat/completions": ("chat", True),
    b"/v1/responses?about=chat/completions.md": (None, False),
}  # fmt: skip


@pytest.mark.parametrize("path", KINDS, ids=bytes.decode)
def test_what_a_path_is(path: bytes) -> None:
    kind, relayed = KINDS[path]
    assert (classify_request("POST", path), is_relayed(path)) == (kind, relayed)
    assert classify_request("GET", path) is None


# Signatures in headers

SIGNED: dict[str, tuple[dict[str, str], str]] = {
    "AWS": (
        {"Authorization": "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=y"},
        "authorization",
    ),
    "AWS, asymmetric": ({"Authorization": "AWS4-ECDSA-P256-SHA256 Credential=x"}, "authorization"),
    "Alibaba": ({"Authorization": "ACS3-HMAC-SHA256 Credential=x"}, "authorization"),
    "Tencent": ({"Authorization": "TC3-HMAC-SHA256 Credential=x"}, "authorization"),
    "Volcengine": ({"Authorization": "HMAC-SHA256 Credential=x"}, "authorization"),
    "Google": ({"Authorization": "GOOG4-RSA-SHA256 Credential=x"}, "authorization"),
    "Baidu": ({"Authorization": "bce-auth-v1/x/2026"}, "authorization"),
    "Hawk": ({"Authorization": 'Hawk id="x", hash="y"'}, "authorization"),
    "draft signatures": ({"Authorization": 'Signature keyId="x",signature="y"'}, "authorization"),
    "HTTP Digest": (
        {"Authorization": 'Digest username="x", uri="/v1/chat/completions"'},
        "authorization",
    ),
    "OAuth 1": ({"Authorization": 'OAuth oauth_nonce="x", oauth_signature="y"'}, "authorization"),
    "RFC 9421": ({"Signature-Input": "sig=()", "Signature": "sig=:eA==:"}, "signature-input"),
    "RFC 9530": ({"Content-Digest": "sha-256=:eA==:"}, "content-digest"),
    "RFC 9530, repr": ({"Repr-Digest": "sha-256=:eA==:"}, "repr-digest"),
    "RFC 3230": ({"Digest": "SHA-256=x"}, "digest"),
    "MD5": ({"Content-MD5": "x"}, "content-md5"),
    "AWS, the body": ({"x-amz-content-sha256": "x"}, "x-amz-content-sha256"),
    "a gateway's": ({"X-Signature": "x"}, "x-signature"),
    "a webhook's": ({"X-Hub-Signature-256": "x"}, "x-hub-signature-256"),
    "a company's": ({"X-Acme-Request-Signature": "x"}, "x-acme-request-signature"),
    "a body's hash": ({"X-Body-Hash": "x"}, "x-body-hash"),
    "HMAC": ({"X-Hmac": "x"}, "x-hmac"),
}
UNSIGNED: dict[str, dict[str, str]] = {
    "a token": {"Authorization": "Bearer hmac-sha256"},
    "Basic": {"Authorization": "Basic eDp5"},
    "another scheme": {"Authorization": "Api-Key x"},
    "OAuth 2, spelled so": {"Authorization": "OAuth y0_token"},
    "tracing": {
        "traceparent": "00-1-2-01",
        "baggage": "x=1",
        "X-Request-Id": "signature",
        "X-Assigned-To": "me",
    },
    "languages": {"Accept-Language": "de", "X-Content-Type-Options": "nosniff", "X-Design": "2"},
}


def with_headers(headers: dict[str, str]) -> Any:
    """Make an auth that sets headers, like middleware.

    It doesn't declare whether it needs the body.
    """

    def put(request: Any) -> Any:
        request.headers.update(headers)
        return request

    return put


@pytest.mark.parametrize("case", SIGNED)
def test_a_signature_in_a_header(sdk: Sdk, case: str) -> None:
    headers, name = SIGNED[case]
    way = WAYS[list(SIGNED).index(case) % 3]
    server, plainly = Server(sdks_http), Server(sdks_http)
    request, made = sent_by(sdk, way, server, MOVED, auth=with_headers(headers))
    native, _ = sent_by(sdk, "install", plainly, PLAIN, auth=with_headers(headers))
    assert (request.url, request.content) == (native.url, native.content)
    assert held(made) == [(f"headers.{name}", "unsupported")]


@pytest.mark.parametrize("case", UNSIGNED)
def test_no_signature(sdk: Sdk, case: str) -> None:
    for way in WAYS:
        request, _ = sent_by(sdk, way, Server(sdks_http), MOVED, auth=with_headers(UNSIGNED[case]))
        assert request.url.path == "/v1/responses", way


# The auth of HTTP clients


this = sys.modules[__name__]


def _sealed(request: Any) -> Any:
    request.headers["X-Seen"] = hashlib.sha256(request.content).hexdigest()
    return request


def auths(library: Any) -> dict[str, tuple[Any, bool]]:  # noqa: C901  # classes
    """Return auths, each with whether the body is signed."""

    class DeclaresBody(library.Auth):  # type: ignore[misc]  # known at run time
        requires_request_body = True

        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["X-Seen"] = str(len(request.content))
            yield request

    class DeclaresBodyAsync(library.Auth):  # type: ignore[misc]
        requires_request_body = True

        def sync_auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["X-Seen"] = str(len(request.read()))
            yield request

        async def async_auth_flow(self, request: Any) -> Any:
            request.headers["X-Seen"] = str(len(await request.aread()))
            yield request

    class Hashes(library.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["X-Seen"] = hashlib.sha256(request.content).hexdigest()
            yield request

    class HashesElsewhere(library.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["X-Seen"] = self._seal(request)
            yield request

        def _seal(self, request: Any) -> str:
            return base64.b64encode(hmac.digest(b"key", request.content, "sha256")).decode()

    class Child(Hashes):
        pass

    class AroundAnother(library.Auth):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def auth_flow(self, request: Any) -> Iterator[Any]:
            yield from self.inner.auth_flow(request)

    class ByModule(library.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            yield this._sealed(request)

    class ByFunction(library.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            yield _sealed(request)

    class Signer:
        def __call__(self, request: Any) -> Any:
            return self.seal(request)

        def seal(self, request: Any) -> Any:
            return signs(request)

        def unused(self, request: Any) -> str:
            return hashlib.sha256(request.content).hexdigest()

        def plain(self, request: Any) -> Any:
            return marks(request)

    class BySigner(library.Auth):  # type: ignore[misc]
        def __init__(self) -> None:
            self.signer = Signer()

        def auth_flow(self, request: Any) -> Iterator[Any]:
            yield self.signer.seal(request)

    class ByPlain(library.Auth):  # type: ignore[misc]
        def __init__(self) -> None:
            self.signer = Signer()

        def auth_flow(self, request: Any) -> Iterator[Any]:
            yield self.signer.plain(request)

    class Token(library.Auth):  # type: ignore[misc]
        requires_response_body = True

        def auth_flow(self, request: Any) -> Iterator[Any]:
            request.headers["X-Seen"] = "token"
            response = yield request
            if response.status_code == 401:
                request.headers["X-Seen"] = response.content.decode()
                yield request

    def signs(request: Any) -> Any:
        request.headers["X-Seen"] = hashlib.md5(request.content).hexdigest()
        return request

    def marks(request: Any) -> Any:
        request.headers["X-Seen"] = "x"
        return request

    return {
        "it says so": (DeclaresBody(), True),
        "it says so, sync and async": (DeclaresBodyAsync(), True),
        "it hashes": (Hashes(), True),
        "a method of its hashes": (HashesElsewhere(), True),
        "its parent hashes": (Child(), True),
        "a function hashes": (signs, True),
        "one around another that says so": (AroundAnother(DeclaresBody()), True),
        "one around another that hashes": (AroundAnother(AroundAnother(Hashes())), True),
        "one around another, a token": (AroundAnother(Token()), False),
        "it calls a function of a module, which hashes": (ByModule(), True),
        "it calls a function that hashes": (ByFunction(), True),
        "it calls a method of another object, which hashes": (BySigner(), True),
        "another object could hash": (ByPlain(), False),
        "a function calls one that hashes": (lambda request: marks(_sealed(request)), True),
        "a partial": (partial(signs), True),
        "a method": (Signer().seal, True),
        "a method that doesn't hash": (Signer().plain, False),
        "a callable object": (Signer(), True),
        "a token": (Token(), False),
        "a function": (marks, False),
        "Basic": (library.BasicAuth("a", "b"), False),
        "a pair": (("a", "b"), False),
        "none": (None, False),
    }


AUTHS = list(auths(sdks_http))


@each_library
@each_way
@pytest.mark.parametrize("case", AUTHS)
def test_the_auth_of_an_http_client(sdk: Sdk, way: str, case: str, library: str) -> None:
    module = importlib.import_module(library)
    auth, is_signed = auths(module)[case]
    server, plainly = Server(module), Server(module)
    request, made = sent_by(sdk, way, server, MOVED, auth=auth)
    if not is_signed:
        assert request.url.path == "/v1/responses"
        return
    native, _ = sent_by(sdk, "install", plainly, PLAIN, auth=auth)
    assert (request.url, request.content) == (native.url, native.content)
    assert request.headers["X-Seen"] == native.headers["X-Seen"]
    assert held(made) == [("auth", "unsupported")]


def _with_auth(sdk: Sdk, auth: Any) -> type:
    base: Any = openai.AsyncOpenAI if sdk.mode == "async" else openai.OpenAI

    class Mine(base):  # type: ignore[misc]  # known at run time
        @property
        def custom_auth(self) -> Any:
            return auth

        def _custom_auth(self, *_: Any) -> Any:
            return auth

    return Mine


@each_way
@pytest.mark.parametrize("case", ["it says so", "it hashes", "a token"])
def test_the_auth_of_a_request(sdk: Sdk, way: str, case: str) -> None:
    auth, is_signed = auths(sdks_http)[case]
    server = Server(sdks_http)
    request, made = sent_by(
        sdk, way, server, MOVED, cls=_with_auth(sdk, auth), auth=("not", "this")
    )
    assert request.url.path == ("/v1/chat/completions" if is_signed else "/v1/responses")
    assert "X-Seen" in request.headers
    assert made is None or bool(held(made)) == is_signed


def test_a_transport_that_stands_between(sdk: Sdk) -> None:
    """An auth is also found through other transports above it."""
    auth, _ = auths(sdks_http)["it says so"]
    server = Server(sdks_http)

    class Between(sdks_http.BaseTransport, sdks_http.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def handle_request(self, request: Any) -> Any:
            return self.inner.handle_request(request)

        async def handle_async_request(self, request: Any) -> Any:
            return await self.inner.handle_async_request(request)

    asynchronous = sdk.mode == "async"
    way_in = (adapter.AsyncTransport if asynchronous else adapter.Transport)(
        sdks_http.MockTransport(server), settings=MOVED
    )
    kind = sdks_http.AsyncClient if asynchronous else sdks_http.Client
    made = sdk.plain(
        api_key=KEY,
        base_url="https://api.test/v1",
        http_client=kind(transport=Between(Between(way_in)), auth=auth),
    )
    sdk.run(made.chat.completions.create(**CALL))
    assert server.requests[0].url.path == "/v1/chat/completions"


def test_off_does_not_inspect_requests(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapter._http import incoming_request
    from adapter._runtime import call_context

    monkeypatch.setattr(incoming_request, "find_signature", lambda *_: pytest.fail("looked"))
    monkeypatch.setattr(call_context, "is_relayed", lambda *_: pytest.fail("looked"))
    for way in WAYS:
        request, _ = sent_by(sdk, way, Server(sdks_http), PLAIN)
        assert request.url.path == "/v1/chat/completions"


def test_the_reason_is_logged(
    sdk: Sdk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter._runtime import log
    from adapter._util.log_once import Once

    monkeypatch.setattr(log, "HELD", Once(50))
    with caplog.at_level(logging.WARNING, "adapter"):
        sent_by(sdk, "client", Server(sdks_http), MOVED, auth=with_headers({"Content-Digest": "x"}))
        sent_by(sdk, "transport", Server(sdks_http), MOVED, **RELAYS["a URL"])
    messages = [one.getMessage().partition(" (")[0] for one in caplog.records]
    assert messages == [
        f"asked for responses, kept on chat: {path}" for path in ("headers.content-digest", "query")
    ]
