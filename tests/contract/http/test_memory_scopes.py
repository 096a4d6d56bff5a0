"""The memory scope of a call: by headers, tokens and a gateway's tenants, as a request is sent."""

from __future__ import annotations

import asyncio
import base64
import gc
import inspect
import json
import secrets
from collections.abc import Iterator
from typing import Any

import openai
import pytest

import adapter
from adapter import Settings
from adapter._http.memory_scope import memory_scope_of
from adapter._memory.keys import server_digest, store_keys
from tests.support.answers import response
from tests.support.http import SDK, http
from tests.support.tool_loop import TOOL, answered, call, item_kinds, random_id, reasoning

needs_callable_keys = pytest.mark.skipif(SDK < (2, 0), reason="this SDK takes no callable as a key")


def jwt(**claims: Any) -> str:
    """Make a token with some claims, and another signature each time."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, {"exp": secrets.randbelow(10**9), **claims})
    )
    return f"{head}.{body}.{secrets.token_hex(4)}"


# The pure part: a request's headers


def _scope(
    headers: dict[str, str], *, token: Any = None, tenants: tuple[bytes, ...] = (), url: str = ""
) -> str:
    request = http.Request("POST", url or "https://api.test/v1/chat/completions", headers=headers)
    return store_keys(
        memory_scope_of(request, None, token=token, tenants=tenants), None, "gpt-5", ("turn",)
    )[0]


ALICE, BOB = jwt(sub="alice", tid="t1"), jwt(sub="bob", tid="t1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (jwt(sub="alice", tid="t1"), jwt(sub="alice", tid="t1"), True),
        (jwt(sub="alice"), jwt(sub="alice"), True),
        (jwt(sub="alice", tid="t1"), jwt(sub="bob", tid="t1"), False),
        (jwt(sub="alice", tid="t1"), jwt(sub="alice", tid="t2"), False),
        (jwt(sub="alice", tid="t1"), jwt(sub="alice"), False),
        (jwt(sub="alice", iss="a"), jwt(sub="alice", iss="b"), False),
        (jwt(tid="t1"), jwt(tid="t1"), False),
        (jwt(sub="", tid="t1"), jwt(sub="", tid="t1"), False),
        (jwt(sub=["alice"]), jwt(sub=["alice"]), False),
        (jwt(sub="alice", tid=1), jwt(sub="alice", tid=1), False),
        ("opaque-1", "opaque-2", False),
        ("a.b.c", "a.b.d", False),
        ("a.W10.c", "a.W10.d", False),
        (f"{ALICE}.x", f"{ALICE}.y", False),
    ],
    ids=[
        "renewed", "without a tenant", "another subject", "another tenant", "a tenant more",
        "another issuer", "no subject", "an empty subject", "a list", "a number", "opaque",
        "no JSON",
        "no object", "four parts",
    ],
)  # fmt: skip
def test_a_fetched_token_counts_by_its_claims(one: str, other: str, *, same: bool) -> None:
    scopes = {_scope({"Authorization": f"Bearer {token}"}, token=token) for token in (one, other)}
    assert (len(scopes) == 1) is same
    azure = {_scope({"api-key": token}, token=token) for token in (one, other)}
    assert (len(azure) == 1) is same, "a callable's key, where Azure's client sends it"
    late = {
        _scope({"Authorization": f"Bearer {token}"}, token=lambda token=token: token)
        for token in (one, other)
    }
    assert late == scopes
    assert len({_scope({"Authorization": f"Bearer {token}"}) for token in (one, other)}) == 2, (
        "not fetched: whole"
    )


def test_a_token_that_isnt_the_fetched_one_counts_whole() -> None:
    fetched = jwt(sub="service", tid="t1")
    sent = [jwt(sub="service", tid="t1") for _ in range(2)]
    assert (
        len({_scope({"Authorization": f"Bearer {one}"}, token=fetched) for one in (*sent, fetched)})
        == 3
    )
    assert (
        len(
            {
                _scope({"Authorization": f"bearer {fetched}"}, token=fetched),
                _scope({}, token=fetched),
            }
        )
        == 2
    )


def test_no_header_equals_claims() -> None:
    """The form of claims begins with a line break, which no header has."""
    scope = _scope({"Authorization": f"Bearer {ALICE}"}, token=ALICE)
    claims = json.dumps({"iss": None, "tid": "t1", "sub": "alice"})
    assert scope != _scope({"Authorization": claims})


@pytest.mark.parametrize(
    "name", ["authorization", "api-key", "x-api-key", "Ocp-Apim-Subscription-Key"]
)
def test_every_credential_counts_with_all_its_values(name: str) -> None:
    url = "https://api.test/v1/chat/completions"
    requests = [
        http.Request("POST", url, headers=[(name, "service"), *([(name, more)] if more else [])])
        for more in ("", "alice", "bob")
    ]
    assert len({memory_scope_of(one, None, token=None) for one in requests}) == 3


def test_headers_that_distinguish_tenants() -> None:
    one, other = ({"X-Tenant": name, "X-Trace": secrets.token_hex(4)} for name in ("a", "b"))
    assert _scope(one) == _scope(other) == _scope({})
    assert len({_scope(sent, tenants=(b"x-tenant",)) for sent in (one, other, {})}) == 3
    assert _scope(one, tenants=(b"x-tenant",)) == _scope({"x-tenant": "a"}, tenants=(b"x-tenant",))
    shifted = [{"a": "1\0b=2"}, {"a": "1", "b": "2"}]
    assert len({_scope(sent, tenants=(b"a", b"b")) for sent in shifted}) == 2


def test_a_named_scope_keeps_tenants_apart_too() -> None:
    url = "https://api.test/v1/chat/completions"
    scope = [
        memory_scope_of(
            http.Request("POST", url, headers={"x-tenant": name}),
            None,
            token=None,
            tenants=(b"x-tenant",),
        )
        for name in ("a", "b")
    ]
    assert len({store_keys(one, "ours", "gpt-5", ("turn",))[0] for one in scope}) == 2


def test_digests_alone_are_kept() -> None:
    secret = secrets.token_hex(16)
    sent = {"Authorization": f"Bearer {secret}", "x-tenant": secret, "openai-organization": secret}
    request = http.Request(
        "POST", f"https://{secret}.test/v1/chat/completions?code={secret}", headers=sent
    )
    scope = memory_scope_of(request, secret, token=secret, tenants=(b"x-tenant",))
    assert secret not in repr(scope[1:])
    assert secret not in server_digest(scope)
    assert secret not in repr(store_keys(scope, None, "gpt-5", ("turn",)))


# Through the clients


def _recalled(
    one: Any, other: Any, *, asynchronous: bool, settings: Any = None, extra: Any = ({}, {})
) -> bool:
    """Return whether one client's reasoning is put back into another's call.

    Both are given as a class and its arguments.
    """
    sent: list[Any] = []

    def handle(request: Any) -> Any:
        sent.append(json.loads(request.content))
        return http.Response(200, json=response(reasoning(1), call(1), model="gpt-5"))

    chosen = Settings(backend="responses", on_bug="raise", **(settings or {}))
    asked = {
        "id": random_id(1),
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"key": "value"}'},
    }
    user = {"role": "user", "content": "Find out."}
    histories = [
        [user],
        [user, *answered({"role": "assistant", "content": None, "tool_calls": [asked]})],
    ]

    async def ask(given: Any, messages: Any, more: Any) -> None:
        kind, arguments = given
        library = http.AsyncClient if asynchronous else http.Client
        transport, prefix = http.MockTransport(handle), "Async" if asynchronous else ""
        if kind == "transport":
            wrapped = getattr(adapter, f"{prefix}Transport")(transport, settings=chosen)
            client = getattr(openai, f"{prefix}OpenAI")(
                **arguments, http_client=library(transport=wrapped)
            )
        elif kind.startswith("installed "):
            plain = getattr(openai, prefix + kind.removeprefix("installed "))
            client = adapter.install(
                plain(**arguments, http_client=library(transport=transport)), chosen
            )
        else:
            http_client = library(transport=transport)
            client = getattr(adapter, prefix + kind)(
                **arguments, http_client=http_client, settings=chosen
            )
        made = client.chat.completions.create(
            model="gpt-5", messages=messages, tools=[TOOL], extra_headers=more
        )
        if inspect.isawaitable(made):
            await made
        closed = client.close()
        if inspect.isawaitable(closed):
            await closed

    for given, messages, more in zip((one, other), histories, extra, strict=True):
        asyncio.run(ask(given, messages, more))
    return "reasoning" in item_kinds(sent[-1]["input"])


def _plain(**given: Any) -> Any:
    return "OpenAI", {"base_url": "https://api.test/v1", "max_retries": 0, **given}


def _azure(**given: Any) -> Any:
    plain = {
        "azure_endpoint": "https://az.test",
        "api_version": "2025-04-01-preview",
        "max_retries": 0,
    }
    return "AzureOpenAI", {**plain, **given}


def _wire(**given: Any) -> Any:
    return "transport", {"base_url": "https://api.test/v1", "max_retries": 0, **given}


def _provider(token: str, *, asynchronous: bool) -> Any:
    """Return a provider of a token of the kind that a client takes."""
    if not asynchronous:
        return lambda: token

    async def provide() -> str:
        return token

    return provide


each_mode = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@each_mode
@pytest.mark.parametrize("way", ["", "installed "], ids=["client", "installed"])
@pytest.mark.parametrize(
    "which", ["azure_ad_token_provider", pytest.param("api_key", marks=needs_callable_keys)]
)
@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("alice", "alice", True), ("alice", "bob", False)],
    ids=["renewed", "another"],
)
def test_a_token_that_the_client_fetched(
    which: str, way: str, one: str, other: str, *, same: bool, asynchronous: bool
) -> None:
    make = _azure if which == "azure_ad_token_provider" else _plain
    given = [
        make(
            **{
                which: _provider(
                    jwt(sub=who, tid="t1"), asynchronous=asynchronous and which == "api_key"
                )
            }
        )
        for who in (one, other)
    ]
    given = [(way + kind, arguments) for kind, arguments in given]
    assert _recalled(*given, asynchronous=asynchronous) is same


def _fixed() -> Iterator[Any]:
    a, b = (jwt(sub="service", tid="t1") for _ in range(2))
    yield pytest.param(
        _azure(azure_ad_token=a), _azure(azure_ad_token=b), ({}, {}), id="a fixed token"
    )
    yield pytest.param(_plain(api_key=a), _plain(api_key=b), ({}, {}), id="as a key")
    yield pytest.param(_wire(api_key=a), _wire(api_key=b), ({}, {}), id="through a transport")
    headers = [
        {"api_key": "key", "default_headers": {"Authorization": f"Bearer {token}"}}
        for token in (a, b)
    ]
    yield pytest.param(
        _plain(**headers[0]), _plain(**headers[1]), ({}, {}), id="in default_headers"
    )
    extra = tuple({"Authorization": f"Bearer {token}"} for token in (a, b))
    yield pytest.param(_plain(api_key="key"), _plain(api_key="key"), extra, id="in extra_headers")
    provided = [_azure(azure_ad_token_provider=lambda: a) for _ in range(2)]
    yield pytest.param(*provided, extra, id="in extra_headers, beside a provider")
    if SDK >= (2, 0):
        keys = [
            _plain(api_key=lambda: "service", default_headers=headers[k]["default_headers"])
            for k in (0, 1)
        ]
        yield pytest.param(*keys, ({}, {}), id="in default_headers, beside a callable")


@pytest.mark.parametrize(("one", "other", "extra"), list(_fixed()))
def test_any_other_token_counts_whole(one: Any, other: Any, extra: Any) -> None:
    """The claims agree, and prove nothing: the caller may have written them."""
    assert not _recalled(one, other, asynchronous=False, extra=extra)
    assert _recalled(one, one, asynchronous=False, extra=(extra[0], extra[0]))


@needs_callable_keys
@each_mode
def test_opaque_keys_of_a_callable_count_whole(*, asynchronous: bool) -> None:
    given = [
        _plain(api_key=_provider(key, asynchronous=asynchronous)) for key in ("first", "second")
    ]
    assert not _recalled(*given, asynchronous=asynchronous)
    assert _recalled(*given, asynchronous=asynchronous, settings={"memory_scope": "ours"})


@each_mode
@pytest.mark.parametrize("make", [_plain, _wire], ids=["client", "transport"])
@pytest.mark.parametrize("named", [None, "ours"], ids=["by key", "by name"])
def test_a_gateways_tenants(named: str | None, make: Any, *, asynchronous: bool) -> None:
    given = make(api_key="service")
    in_force = {"memory_scope_headers": ["X-Tenant"], **({"memory_scope": named} if named else {})}
    for other, same in (("a", True), ("b", False)):
        extra = ({"x-tenant": "a"}, {"X-TENANT": other})
        assert (
            _recalled(given, given, asynchronous=asynchronous, settings=in_force, extra=extra)
            is same
        )
    assert _recalled(
        given, given, asynchronous=asynchronous, extra=({"x-tenant": "a"}, {"x-tenant": "b"})
    )


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_workloads_token(*, asynchronous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = pytest.importorskip("openai.auth._workload")
    if not hasattr(identity, "WorkloadIdentityAuth"):
        pytest.skip("this SDK knows no workload's identity")
    tokens = iter([jwt(sub="service"), jwt(sub="service"), jwt(sub="service"), jwt(sub="other")])

    def exchange(self: Any) -> Any:
        return {"access_token": next(tokens), "expires_in": 3600}

    def store(self: Any) -> None:
        self._cached_token = exchange(self)["access_token"]
        self._cached_token_expires_at_monotonic = self._cached_token_refresh_at_monotonic = 10.0**12

    monkeypatch.setattr(identity.WorkloadIdentityAuth, "_perform_refresh", store)
    who = {
        "identity_provider_id": "idp", "service_account_id": "sa",
        "provider": {"token_type": "jwt", "get_token": lambda: "subject"},
    }  # fmt: skip
    given = _plain(workload_identity=who)
    assert _recalled(given, given, asynchronous=asynchronous)
    assert not _recalled(given, given, asynchronous=asynchronous)


def test_an_exception_of_a_provider_is_the_callers() -> None:
    class TokenError(Exception):
        pass

    def provide() -> str:
        raise TokenError

    settings = Settings(backend="responses")
    http_client = http.Client(transport=http.MockTransport(lambda _: http.Response(500)))
    kind, given = _azure(azure_ad_token_provider=provide)
    assert kind == "AzureOpenAI"
    with (
        adapter.AzureOpenAI(**given, http_client=http_client, settings=settings) as client,
        pytest.raises(TokenError),
    ):
        client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Hi."}])
    gc.collect()


@pytest.mark.parametrize("bad", ["X Tenant", "", "x\n", "a:b", "é"])
def test_no_header_names(bad: str) -> None:
    with pytest.raises(adapter.ConfigurationError, match=r"^memory_scope_headers"):
        Settings(memory_scope_headers=[bad])


def test_header_names_are_the_same_in_any_case_and_order() -> None:
    one, other = (
        Settings(memory_scope_headers="X-B, a, A"),
        Settings(memory_scope_headers=("A", "x-b")),
    )
    assert one.memory_scope_headers == other.memory_scope_headers == ("a", "x-b")
    assert one.hash == other.hash != Settings().hash
