"""`install`: the HTTP client keeps what it has, and other clients' calls aren't touched."""

from __future__ import annotations

import copy
import functools
import gc
import json
import pickle
import shutil
import ssl
import subprocess
import threading
import weakref
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

import adapter
from tests.support.answers import CALL, CHAT, KEY, RESPONSES, Sdk, both, paths, sdk, text_of
from tests.support.http import http, needs
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["sdk"]

ON = adapter.Settings(backend="responses", on_bug="raise")
OFF = adapter.Settings(backend="chat", on_bug="raise")
BOTH = [CHAT, RESPONSES]

certificates = functools.cache(
    ssl.create_default_context
)  # loading them costs most of a client's making


@pytest.fixture(autouse=True)
def answering(loopback: Loopback) -> None:
    loopback.answer = both


def http_client(sdk: Sdk, **given: Any) -> Any:
    return sdk.pick(http.Client, http.AsyncClient)(**{"verify": certificates(), **given})


def transport(sdk: Sdk, **given: Any) -> Any:
    return sdk.pick(http.HTTPTransport, http.AsyncHTTPTransport)(
        **{"verify": certificates(), **given}
    )


def plain(sdk: Sdk, server: Loopback | str, client: Any = None, **more: Any) -> Any:
    return sdk.client(server, plain=True, http_client=client or http_client(sdk), **more)


def layers(wrapped: Any) -> int:
    """Count the adapter's transports around a transport."""
    count = 0
    while isinstance(wrapped, (adapter.Transport, adapter.AsyncTransport)):
        wrapped, count = wrapped._inner, count + 1
    return count


def ask(sdk: Sdk, client: Any) -> list[str]:
    """Call with and without a stream, and return the answers."""
    return [text_of(sdk.create(client)), text_of(sdk.stream(client))]


ADAPTED, NATIVE = ["Hello there"] * 2, ["Native hello"] * 2


def before_and_after(sdk: Sdk, client: Any) -> Any:
    """Call natively, installed and uninstalled; the answers show which API was called."""
    assert ask(sdk, client) == NATIVE
    adapter.install(client, ON)
    assert ask(sdk, client) == ADAPTED
    adapter.uninstall(client)
    assert ask(sdk, client) == NATIVE
    return adapter.install(client, ON)


# Transports


@pytest.mark.slow
def test_a_proxy(sdk: Sdk, loopback: Loopback) -> None:
    client = plain(
        sdk,
        "http://upstream.invalid/v1",
        http_client(sdk, proxy=f"http://me:secret@127.0.0.1:{loopback.port}"),
    )
    before_and_after(sdk, client)
    assert {request.header("proxy-authorization") for request in loopback.requests} == {
        "Basic bWU6c2VjcmV0"
    }
    native, adapted = f"http://upstream.invalid{CHAT}", f"http://upstream.invalid{RESPONSES}"
    assert paths(loopback) == [native] * 2 + [adapted] * 2 + [native] * 2


def test_mounts(sdk: Sdk, loopback: Loopback) -> None:
    mounted = transport(sdk, proxy=loopback.url)
    client = plain(
        sdk,
        "http://upstream.invalid/v1",
        http_client(sdk, mounts={"http://upstream.invalid": mounted, "all://*.test": None}),
    )
    http_of = client._client
    before = dict(http_of._mounts)
    before_and_after(sdk, client)
    assert [layers(one) for one in http_of._mounts.values() if one is not None] == [1]
    assert None in http_of._mounts.values()
    adapter.uninstall(client)
    assert {id(one) for one in http_of._mounts.values()} == {id(one) for one in before.values()}


def test_a_custom_mount(sdk: Sdk, loopback: Loopback) -> None:
    class Elsewhere(http.HTTPTransport):  # type: ignore[misc,name-defined]
        def handle_request(self, request: Any) -> Any:
            return super().handle_request(moved(request))

    class AsyncElsewhere(http.AsyncHTTPTransport):  # type: ignore[misc,name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            return await super().handle_async_request(moved(request))

    def moved(request: Any) -> Any:
        target = request.url.copy_with(host="127.0.0.1", port=loopback.port)
        kept = {
            "headers": request.headers,
            "stream": request.stream,
            "extensions": request.extensions,
        }
        return http.Request(request.method, target, **kept)

    own = sdk.pick(Elsewhere, AsyncElsewhere)(verify=certificates())
    before_and_after(
        sdk,
        plain(
            sdk,
            "http://upstream.invalid/v1",
            http_client(sdk, mounts={"all://upstream.invalid": own}),
        ),
    )
    assert paths(loopback) == [CHAT] * 2 + [RESPONSES] * 2 + [CHAT] * 2


def test_what_a_transport_is_asked_for_is_still_there(sdk: Sdk, loopback: Loopback) -> None:
    limits = http.Limits(max_connections=7, max_keepalive_connections=3)
    inner = transport(sdk, http2=True, limits=limits, retries=2)
    client = plain(sdk, loopback, http_client(sdk, transport=inner))
    adapter.install(client, ON)
    wrapped = client._client._transport
    assert (layers(wrapped), wrapped._inner, wrapped._pool) == (1, inner, inner._pool)
    pool = wrapped._pool
    assert (pool._http2, pool._max_connections, pool._max_keepalive_connections, pool._retries) == (
        True,
        7,
        3,
        2,
    )
    assert ask(sdk, client) == ADAPTED


def test_http2_of_the_client(sdk: Sdk, loopback: Loopback) -> None:
    pytest.importorskip("h2", reason="HTTP/2 needs the h2 package")
    client = plain(sdk, loopback, http_client(sdk, http2=True))
    adapter.install(client, ON)
    assert client._client._transport._pool._http2 is True
    assert ask(sdk, client) == ADAPTED


class Counting(http.BaseTransport, http.AsyncBaseTransport):  # type: ignore[misc,name-defined]
    """A custom transport, with state and methods to close it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.closed = 0

    def handle_request(self, request: Any) -> Any:
        self.seen.append(request.url.path)
        on_chat = request.url.path == CHAT
        answer = both(Request("POST", request.url.path, "", (), request.content, 0))
        assert on_chat or request.url.path == RESPONSES
        content = b"".join(answer.parts)  # type: ignore[arg-type]
        return http.Response(200, headers=dict(answer.headers), content=content)

    async def handle_async_request(self, request: Any) -> Any:
        await request.aread()
        return self.handle_request(request)

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


def test_a_custom_transport(sdk: Sdk) -> None:
    own = Counting()
    client = plain(sdk, "https://api.test/v1", http_client(sdk, transport=own))
    before_and_after(sdk, client)
    assert own.seen == [CHAT] * 2 + [RESPONSES] * 2 + [CHAT] * 2
    assert client._client._transport.seen is own.seen
    sdk.run(client.close())
    assert own.closed == 1


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Make an authority and a server; return the files of its certificate, key and certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with openssl, which isn't here")
    folder = tmp_path_factory.mktemp("tls")
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    (folder / "config").write_text(
        "[req]\ndistinguished_name=name\n[name]\n"
        "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\n"
        "[server]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
        "authorityKeyIdentifier=keyid\n"
    )

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    run(
        "req",
        "-x509",
        *made,
        "-config",
        "config",
        "-extensions",
        "ca",
        "-subj",
        "/CN=Unit CA",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    )
    run(
        "req",
        *made[:5],
        "-config",
        "config",
        "-subj",
        "/CN=127.0.0.1",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    )
    signing = [
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "config",
        "-extensions",
        "server",
    ]
    run("x509", "-req", "-in", "server.csr", *signing, "-days", "2", "-out", "server.pem")
    return folder / "ca.pem", folder / "server.key", folder / "server.pem"


@pytest.fixture
def tls(authority: tuple[Path, Path, Path]) -> Iterator[tuple[str, list[str]]]:
    """Run a server; yield its address and the paths of its requests."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            seen.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = both(Request("POST", self.path, "", (), body, 0))
            content = b"".join(part for part in answer.parts if isinstance(part, bytes))
            self.send_response(200)
            for name, value in (*answer.headers, ("content-length", str(len(content)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Ignore clients that hang up."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority[2], authority[1])
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/v1", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_custom_authority(
    sdk: Sdk, tls: tuple[str, list[str]], authority: tuple[Path, ...]
) -> None:
    address, seen = tls
    trusting = plain(
        sdk, address, http_client(sdk, verify=ssl.create_default_context(cafile=str(authority[0])))
    )
    before_and_after(sdk, trusting)
    assert seen == [CHAT] * 2 + [RESPONSES] * 2 + [CHAT] * 2
    strict = adapter.install(plain(sdk, address), ON)
    with pytest.raises(openai.APIConnectionError) as caught:
        sdk.create(strict)
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.__cause__)
    assert len(seen) == 6


# What the HTTP client does itself


def test_event_hooks(sdk: Sdk, loopback: Loopback) -> None:
    seen: list[tuple[str, Any]] = []

    def asked(request: Any) -> None:
        seen.append((request.method, request.url.path))

    def answered(reply: Any) -> None:
        seen.append((reply.request.url.path, reply.status_code))

    async def aasked(request: Any) -> None:
        asked(request)

    async def aanswered(reply: Any) -> None:
        answered(reply)

    hooks = {"request": [sdk.pick(asked, aasked)], "response": [sdk.pick(answered, aanswered)]}
    client = plain(sdk, loopback, http_client(sdk, event_hooks=hooks))
    before_and_after(sdk, client)
    # Hooks are above the transports: they see a Chat call, whichever API it goes to
    # (docs/mapping.md#http-duties).
    assert seen == [("POST", CHAT), (CHAT, 200)] * 6


def test_a_hook_that_reads_the_reply(sdk: Sdk, loopback: Loopback) -> None:
    kinds: list[str] = []

    def read(reply: Any) -> None:
        kinds.append(json.loads(reply.read())["object"])

    async def aread(reply: Any) -> None:
        kinds.append(json.loads(await reply.aread())["object"])

    client = plain(
        sdk, loopback, http_client(sdk, event_hooks={"response": [sdk.pick(read, aread)]})
    )
    assert text_of(sdk.create(adapter.install(client, ON))) == "Hello there"
    assert kinds == ["chat.completion"]


class Challenge(http.Auth):  # type: ignore[misc,name-defined]
    """An authentication that answers a challenge."""

    def auth_flow(self, request: Any) -> Any:
        reply = yield request
        if reply.status_code == 401:
            request.headers["x-answer"] = reply.headers["x-nonce"]
            yield request


def test_an_authentication_with_a_challenge(sdk: Sdk, loopback: Loopback) -> None:
    def guarded(request: Request) -> Reply:
        if request.header("x-answer") != "n1":
            return Reply.of_json({"error": {"message": "Who?"}}, 401, (("x-nonce", "n1"),))
        return both(request)

    loopback.answer = guarded
    client = plain(sdk, loopback, http_client(sdk, auth=Challenge()))
    before_and_after(sdk, client)
    assert paths(loopback) == [CHAT] * 4 + [RESPONSES] * 4 + [CHAT] * 4
    bodies = [request.json() for request in loopback.requests[4:6]]
    assert bodies[0] == bodies[1]
    assert "input" in bodies[0]


def test_auth_of_the_http_client(sdk: Sdk, loopback: Loopback) -> None:
    before_and_after(sdk, plain(sdk, loopback, http_client(sdk, auth=("me", "secret"))))
    assert len({request.header("authorization") for request in loopback.requests}) == 1


def test_cookies_headers_and_params(sdk: Sdk, loopback: Loopback) -> None:
    def baking(request: Request) -> Reply:
        answer = both(request)
        return Reply(
            answer.status,
            (*answer.headers, ("set-cookie", "seen=yes; Path=/")),
            answer.parts,
            answer.framing,
        )

    loopback.answer = baking
    given = {"cookies": {"mine": "1"}, "headers": {"x-mine": "2"}, "params": {"p": "3"}}
    client = plain(sdk, loopback, http_client(sdk, **given))
    before_and_after(sdk, client)
    sent = [(r.header("cookie"), r.header("x-mine"), r.query) for r in loopback.requests]
    assert sent[0][0] == "mine=1"
    assert len(set(sent[1:])) == 1  # natively, installed and uninstalled
    assert "seen=yes" in sent[2][0]  # type: ignore[operator]
    assert client._client.cookies["seen"] == "yes"


def test_redirects_and_timeouts(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda request: (
        both(request)
        if request.path.startswith("/v1")
        else Reply.redirect(f"/v1{request.path[3:]}")
    )
    client = plain(sdk, f"{loopback.url}/v0", http_client(sdk, follow_redirects=True), timeout=5)
    before_and_after(sdk, client)
    assert paths(loopback)[4:8] == ["/v0/responses", RESPONSES] * 2


# Copies and sharing


@pytest.mark.parametrize("method", ["copy", "with_options"])
def test_thirty_copies_wrap_once(sdk: Sdk, loopback: Loopback, method: str) -> None:
    client = adapter.install(plain(sdk, loopback), ON)
    shared = client._client
    for number in range(30):
        client = adapter.install(getattr(client, method)(timeout=number + 1))
    assert (client._client, client.timeout, layers(shared._transport)) == (shared, 30, 1)
    assert ask(sdk, client) == ADAPTED
    assert paths(loopback) == [RESPONSES] * 2


def test_each_client_uses_its_own_settings(sdk: Sdk, loopback: Loopback) -> None:
    shared = http_client(sdk)
    untouched, on, off, error = (plain(sdk, loopback, shared) for _ in range(4))
    adapter.install(on, ON)
    adapter.install(off, OFF)
    adapter.install(error, adapter.Settings(backend="responses", unsupported="error"))
    assert layers(shared._transport) == 1
    for _ in range(2):
        assert [ask(sdk, one) for one in (untouched, on, off, error)] == [
            NATIVE,
            ADAPTED,
            NATIVE,
            ADAPTED,
        ]
    sdk.create(on, seed=1)
    assert paths(loopback)[-1] == CHAT
    with pytest.raises(openai.BadRequestError, match="seed"):
        sdk.create(error, seed=1)
    for one in (on, off):
        adapter.uninstall(one)
    assert [ask(sdk, one) for one in (untouched, on, off, error)] == [NATIVE] * 3 + [ADAPTED]
    adapter.uninstall(error)
    assert layers(shared._transport) == 0


def test_the_header_of_a_plain_client_is_left_alone(sdk: Sdk, loopback: Loopback) -> None:
    shared = http_client(sdk)
    adapter.install(plain(sdk, loopback, shared), ON)
    sdk.create(plain(sdk, loopback, shared), extra_headers={"x-adapter-backend": "responses"})
    assert paths(loopback) == [CHAT]
    assert loopback.requests[0].header("x-adapter-backend") == "responses"


# Handles


HANDLES = {
    "chat": lambda c: c.chat,
    "completions": lambda c: c.chat.completions,
    "beta": lambda c: c.beta,
    "beta.chat": lambda c: c.beta.chat,
    "beta.chat.completions": lambda c: c.beta.chat.completions,
}


def method_of(handle: Any) -> Any:
    """Return a method that calls; old SDKs have only `parse` under `beta`."""
    chat = getattr(handle, "chat", handle)
    completions = getattr(chat, "completions", chat)
    return getattr(completions, "create", None) or completions.parse


@pytest.mark.parametrize("handle", HANDLES.values(), ids=HANDLES)
@pytest.mark.parametrize("used", [False, True], ids=["not used", "used"])
def test_handles_from_before(sdk: Sdk, loopback: Loopback, handle: Any, used: bool) -> None:
    client = plain(sdk, loopback)
    held = handle(client)
    method = method_of(held)
    if used:
        sdk.run(method(**CALL))
    loopback.requests.clear()
    adapter.install(client, ON)
    sdk.run(method_of(held)(**CALL))
    sdk.run(method(**CALL))
    adapter.uninstall(client)
    sdk.run(method_of(held)(**CALL))
    sdk.run(method(**CALL))
    assert paths(loopback) == [RESPONSES] * 2 + [CHAT] * 2


def test_methods_and_wrappers_from_before(sdk: Sdk, loopback: Loopback) -> None:
    client = plain(sdk, loopback)
    create = client.chat.completions.create
    raw = client.with_raw_response.chat.completions
    raw_create = client.chat.completions.with_raw_response.create
    streaming = client.chat.completions.with_streaming_response
    adapter.install(client, ON)
    assert text_of(sdk.run(create(**CALL))) == "Hello there"
    assert text_of(sdk.list(sdk.run(create(**CALL, stream=True)))) == "Hello there"
    for call in (raw.create, raw_create):
        found = sdk.run(call(**CALL))
        assert text_of(sdk.run(found.parse())) == "Hello there"
        assert found.headers["x-adapter-backend"] == "responses"
    assert (
        text_of(sdk.inside(streaming.create(**CALL), lambda reply: reply.parse())) == "Hello there"
    )
    assert paths(loopback) == [RESPONSES] * 5


def test_uninstall_restores(sdk: Sdk, loopback: Loopback) -> None:
    client = plain(sdk, loopback, http_client(sdk, mounts={"all://x.test": transport(sdk)}))
    shared = client._client
    before = (type(client), shared._transport, *shared._mounts.values())
    names = set(vars(client))
    for _ in range(3):
        adapter.install(client, ON)
        assert (type(client).__name__, type(client)) == (before[0].__name__, sdk.adapted)
        assert client.chat.completions._client is client
        adapter.uninstall(client)
        assert (type(client), shared._transport, *shared._mounts.values()) == before
        assert set(vars(client)) - {"chat", "beta"} == names - {"chat", "beta"}
        assert client.chat.completions._client is client
    assert ask(sdk, client) == NATIVE
    assert adapter.uninstall(client) is client


# The module's own client


@pytest.fixture
def module(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield the module `openai`, configured as applications do it."""
    client = http.Client(verify=certificates())
    for name, value in {
        "api_key": KEY,
        "base_url": f"{loopback.base_url}/",
        "http_client": client,
        "_client": None,
    }.items():
        monkeypatch.setattr(openai, name, value)
    yield openai
    adapter.uninstall(openai)
    client.close()


def test_the_module(module: Any, loopback: Loopback) -> None:
    assert adapter.install(module, ON) is openai
    assert text_of(openai.chat.completions.create(**CALL)) == "Hello there"
    assert text_of(list(openai.chat.completions.create(**CALL, stream=True))) == "Hello there"
    assert openai.models.list is not None
    adapter.install(module, OFF)
    assert text_of(openai.chat.completions.create(**CALL)) == "Native hello"
    adapter.install(module, ON)
    assert text_of(openai.chat.completions.create(**CALL)) == "Hello there"
    assert adapter.uninstall(module) is openai
    assert text_of(openai.chat.completions.create(**CALL)) == "Native hello"
    assert paths(loopback) == [RESPONSES] * 2 + [CHAT, RESPONSES, CHAT]


def test_the_module_after_use(module: Any, loopback: Loopback) -> None:
    held = openai.chat.completions
    assert text_of(openai.chat.completions.create(**CALL)) == "Native hello"
    adapter.install(module, ON)
    assert text_of(held.create(**CALL)) == "Hello there"
    module.timeout = 3
    assert text_of(openai.chat.completions.create(**CALL)) == "Hello there"
    adapter.uninstall(module)
    assert text_of(held.create(**CALL)) == "Native hello"
    assert type(openai._load_client()).__mro__[1] is openai.OpenAI  # type: ignore[attr-defined]


# Subclasses


def test_a_subclass_with_its_own_post(sdk: Sdk, loopback: Loopback) -> None:
    class Mixin:
        def __init__(self, team: str, **more: Any) -> None:
            super().__init__(
                base_url=loopback.base_url,
                api_key=KEY,
                http_client=http_client(sdk),
                max_retries=0,
                **more,
            )
            self.team, self.posted = team, []

    class Mine(Mixin, sdk.plain):  # type: ignore[misc,name-defined]
        def post(self, path: str, **given: Any) -> Any:
            self.posted.append(path)
            given["options"] = {**given["options"], "headers": {"x-team": self.team}}
            return super().post(path, **given)

    client = Mine("blue")
    sdk._clients.append(client)  # closed at the end, whatever happens
    before_and_after(sdk, client)
    assert isinstance(client, Mine)
    assert client.posted == ["/chat/completions"] * 6
    assert {request.header("x-team") for request in loopback.requests} == {"blue"}
    adapter.uninstall(client)
    assert type(client) is Mine


def test_a_subclass_of_an_adapted_class(sdk: Sdk, loopback: Loopback) -> None:
    class Mine(sdk.adapted):  # type: ignore[misc,name-defined]
        def __init__(self, team: str = "red", **more: Any) -> None:
            super().__init__(**more)
            self.team = team

    client = Mine(
        base_url=loopback.base_url, api_key=KEY, http_client=http_client(sdk), settings=ON
    )
    assert (ask(sdk, client), client.team) == (ADAPTED, "red")
    copied = client.with_options(timeout=2)
    assert (type(copied), copied.timeout, ask(sdk, copied)) == (Mine, 2, ADAPTED)
    sdk.run(client.close())


# Copying, pickling, forgetting


def outcome(make: Any) -> Any:
    try:
        return type(make()).__name__
    except Exception as error:  # noqa: BLE001  # any, as natively
        return type(error)


@pytest.mark.parametrize("kind", ["constructed", "installed"])
@pytest.mark.parametrize(
    "way", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"]
)
def test_copying_ends_as_natively(sdk: Sdk, loopback: Loopback, kind: str, way: Any) -> None:
    native = plain(sdk, loopback)
    client = adapter.install(plain(sdk, loopback), ON)
    if kind == "constructed":
        client = sdk.client(loopback, ON, http_client=http_client(sdk))
    assert outcome(lambda: way(client)) == outcome(lambda: way(native))


@needs(
    hasattr(openai.OpenAI, "chat"), "resources made on first use: a copy's calls are the original's"
)
def test_a_shallow_copy_obeys(sdk: Sdk, loopback: Loopback) -> None:
    client = adapter.install(plain(sdk, loopback), ON)
    shallow_copy = copy.copy(client)
    assert ask(sdk, shallow_copy) == ADAPTED
    adapter.uninstall(client)
    assert (ask(sdk, client), ask(sdk, shallow_copy)) == (NATIVE, ADAPTED)


@pytest.mark.parametrize("kind", ["constructed", "installed", "copied", "uninstalled"])
def test_clients_are_collected(sdk: Sdk, loopback: Loopback, kind: str) -> None:
    def used() -> tuple[weakref.ref[Any], ...]:
        given = {"base_url": loopback.base_url, "api_key": KEY, "http_client": http_client(sdk)}
        client = (
            sdk.adapted(**given, settings=ON)
            if kind == "constructed"
            else adapter.install(sdk.plain(**given), ON)
        )
        if kind == "copied":
            client = client.with_options(timeout=3)
        result = sdk.create(client)
        assert adapter.decision(result).backend == "responses"
        if kind == "uninstalled":
            adapter.uninstall(client)
        sdk.run(client.close())
        return weakref.ref(client), weakref.ref(client._client), weakref.ref(result)

    kept = used()
    gc.collect()
    assert [reference() for reference in kept] == [None] * 3


def test_a_shared_http_client_keeps_no_clients(sdk: Sdk, loopback: Loopback) -> None:
    shared = http_client(sdk)

    def used() -> list[weakref.ref[Any]]:
        clients = [
            adapter.install(
                sdk.plain(base_url=loopback.base_url, api_key=KEY, http_client=shared), ON
            )
            for _ in range(20)
        ]
        sdk.create(clients[7])
        return [weakref.ref(client) for client in clients]

    kept = used()
    gc.collect()
    assert [reference() for reference in kept] == [None] * 20
    # Transports that no client uses any more forward requests, and are used again.
    assert ask(sdk, plain(sdk, loopback, shared)) == NATIVE
    assert ask(sdk, adapter.install(plain(sdk, loopback, shared), ON)) == ADAPTED
    assert layers(shared._transport) == 1
