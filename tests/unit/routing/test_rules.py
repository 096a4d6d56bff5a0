"""Rules: what they match, what they replace, and models' names (docs/decisions.md#rules)."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Callable
from typing import Any

import openai
import pytest

import adapter
from adapter import Settings
from adapter._exchange.record import Route
from adapter._exchange.request_body import RequestBody
from adapter._routing.call import Call
from adapter._routing.overrides import NO_OVERRIDES, Overrides
from adapter._routing.router import Router
from adapter._runtime import call_context
from tests.support import choosing
from tests.support.answers import CALL, CHAT, RESPONSES, Sdk, both, paths, response, sdk
from tests.support.loopback import Loopback
from tests.support.ways_in import Reply, WayIn, each_way_in
from tests.support.ways_in import both as answering

__all__ = ["sdk"]

TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
AZURE = b"/openai/deployments/mine/chat/completions?api-version=2025-04-01-preview"
AZURE_V1 = b"/openai/v1/chat/completions"
PLAIN = b"/v1/chat/completions"


def body(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], **more}


def choose(
    router: Router,
    request: Any = None,
    *,
    tag: str | None = None,
    path: bytes = PLAIN,
    host: str = "api.openai.com",
    site: str | None = None,
) -> Route:
    overrides = NO_OVERRIDES if tag is None else Overrides(tag=tag)
    return choosing.choose(
        router,
        Call(
            None,
            {},
            overrides,
            path,
            host,
            (site,) if site else (),
            body=RequestBody.of(body() if request is None else request),
        ),
    )


# match, the call, whether the rule matches
MATCHES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "nothing given": ({}, {}, True),
    "model": ({"model": "gpt-4o-mini"}, {}, True),
    "model, glob": ({"model": "gpt-4o*"}, {}, True),
    "model, one of several": ({"model": ["o1", "gpt-?o-*"]}, {}, True),
    "model, none of several": ({"model": ["o1", "o3*"]}, {}, False),
    "model, part": ({"model": "gpt-4o"}, {}, False),
    "model, brackets": ({"model": "gpt-[45]*"}, {}, True),
    "model, not in brackets": ({"model": "gpt-[!4]*"}, {}, False),
    "model, case": ({"model": "GPT-4o*"}, {}, False),
    "model, none": ({"model": "*"}, {"request": {}}, True),
    "model, no object": ({"model": "g*"}, {"request": [5]}, False),
    "model, a deployment": ({"model": "mine"}, {"path": AZURE}, True),
    "model, not the body's": ({"model": "gpt-4o*"}, {"path": AZURE}, False),
    "model, the body's on v1": ({"model": "gpt-4o*"}, {"path": AZURE_V1}, True),
    "model, end of line": ({"model": "gpt-4o"}, {"request": body(model="gpt-4o\n")}, False),
    "tag": ({"tag": "batch"}, {"tag": "batch"}, True),
    "tag, glob": ({"tag": ["x", "batch:*"]}, {"tag": "batch:night"}, True),
    "another tag": ({"tag": "batch"}, {"tag": "chat"}, False),
    "no tag": ({"tag": "*"}, {}, False),
    "call_site": ({"call_site": "app.jobs:*"}, {"site": "app.jobs:Report.write"}, True),
    "another call_site": ({"call_site": "app.jobs:*"}, {"site": "app.web:answer"}, False),
    "no call_site": ({"call_site": "*"}, {}, False),
    "azure": ({"azure": True}, {"path": AZURE}, True),
    "azure v1": ({"azure": True}, {"path": AZURE_V1, "host": "mine.openai.azure.com"}, True),
    "azure v1, behind a gateway": ({"azure": True},
        {"path": AZURE_V1 + b"?api-version=preview", "host": "llm.corp.test"}, True),
    "another vendor's /openai/v1": ({"azure": True}, {"path": AZURE_V1, "host": "api.groq.com"},
        False),
    "no azure": ({"azure": True}, {}, False),
    "not azure": ({"azure": False}, {}, True),
    "azure after all": ({"azure": False}, {"path": AZURE}, False),
    "host": ({"host": "api.openai.com"}, {}, True),
    "host, glob": ({"host": ["x", "*.OpenAI.com"]}, {}, True),
    "host, case": ({"host": "API.openai.com"}, {}, True),
    "another host": ({"host": "*.azure.com"}, {}, False),
    "host, part": ({"host": "openai.com"}, {}, False),
    "host of Azure": ({"host": "*.openai.azure.com"},
        {"path": AZURE_V1, "host": "mine.openai.azure.com"}, True),
    "host, IPv6": ({"host": "::1"}, {"host": "::1"}, True),
    "host, IPv6 in brackets": ({"host": "[2001:db8::*]"}, {"host": "2001:DB8::1"}, True),
    "host, dot at the end": ({"host": "api.openai.com"}, {"host": "api.openai.com."}, True),
    "host, dot at the end of the glob": ({"host": "*.openai.com."}, {}, True),
    "host, IDNA": ({"host": "xn--bcher-kva.example"}, {"host": "bücher.example"}, True),
    "host, IDNA deeper": ({"host": "*.bücher.example"}, {"host": "llm.xn--bcher-kva.example"},
        True),
    "azure, dot at the end": ({"azure": True}, {"path": AZURE_V1, "host": "mine.openai.azure.com."},
        True),
    "api": ({"api": "chat"}, {}, True),
    "stream": ({"stream": True}, {"request": body(stream=True)}, True),
    "no stream": ({"stream": True}, {}, False),
    "stream off": ({"stream": False}, {"request": body(stream=False)}, True),
    "stream null": ({"stream": False}, {"request": body(stream=None)}, True),
    "tools": ({"tools": True}, {"request": body(tools=[TOOL])}, True),
    "functions": ({"tools": True}, {"request": body(functions=[{"name": "look"}])}, True),
    "an empty list of tools": ({"tools": True}, {"request": body(tools=[])}, False),
    "no tools": ({"tools": False}, {}, True),
    "format, none": ({"format": "text"}, {}, True),
    "format, text": ({"format": "text"}, {"request": body(response_format={"type": "text"})}, True),
    "format, schema": ({"format": "json_schema"},
        {"request": body(response_format={"type": "json_schema"})}, True),
    "format, one of two": ({"format": ["json_schema", "json_object"]},
        {"request": body(response_format={"type": "json_object"})}, True),
    "another format": ({"format": "json_schema"},
        {"request": body(response_format={"type": "json_object"})}, False),
    "odd format": ({"format": "json_schema"}, {"request": body(response_format=[5])}, False),
    "all": ({"model": "gpt*", "tag": "x", "stream": True, "tools": True, "azure": False,
        "call_site": "a:*", "format": "text"},
            {"request": body(stream=True, tools=[TOOL]), "tag": "x", "site": "a:b"}, True),
    "all but one": ({"model": "gpt*", "tag": "x", "stream": True},
        {"request": body(stream=True), "tag": "y"}, False),
}  # fmt: skip


@pytest.mark.parametrize("case", MATCHES)
def test_matches(case: str) -> None:
    match, like, holds = MATCHES[case]
    router = Router(Settings(rules=[{"match": match, "backend": "responses"}]))
    choice = choose(router, **like)
    assert (choice.backend, choice.reason) == (
        ("responses", "rule") if holds else ("chat", "settings")
    )


def test_the_first_match_wins_and_no_other_counts() -> None:
    rules = [
        {"match": {"model": "o*"}, "backend": "chat"},
        {"match": {"tag": "x"}, "drop": ["seed"]},
        {"match": {"model": "gpt*"}, "backend": "responses", "unsupported": "error"},
        {"backend": "chat"},
    ]
    router = Router(Settings(backend="responses", rules=rules))
    assert (choose(router).reason, choose(router).backend, choose(router).policy.unsupported) == (
        "rule",
        "responses",
        "error",
    )
    tagged = choose(router, tag="x")
    assert (tagged.backend, tagged.reason, tagged.policy.unsupported,
        tagged.policy.action_for("seed")) == (
        "responses", "settings", "chat", "drop",
    )  # fmt: skip
    assert choose(router, body(model="claude")).backend == "chat"


BASE: dict[str, Any] = {
    "backend": "responses", "unsupported": "error", "unsupported_parameters": {"seed": "chat"},
        "drop": ["stop"],
    "emulate": ["n"], "fallback": ["missing"], "on_internal_error": "raise",
}  # fmt: skip
PUT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "unsupported": ({"unsupported": "drop"}, {"logit_bias": "drop", "n": "drop"}),
    "a policy": ({"unsupported_parameters": {"seed": "drop"}}, {"seed": "drop"}),
    "another policy": ({"unsupported_parameters": {"n": "drop"}}, {"n": "drop"}),
    "drop": ({"drop": ["seed", "n"]}, {"seed": "drop", "n": "drop"}),
    "a policy over a drop": ({"unsupported_parameters": {"stop": "chat"}}, {"stop": "chat"}),
    "emulate": ({"emulate": ["stop"]}, {"emulate": {"stop"}}),
    "no emulation": ({"emulate": []}, {"emulate": set()}),
    "fallback": ({"fallback": []}, {"fallback": set()}),
    "on_internal_error": ({"on_internal_error": "chat"}, {"on_bug": "chat"}),
}


@pytest.mark.parametrize("case", PUT)
def test_a_rule_replaces_and_merges_policies(case: str) -> None:
    rule, changed = PUT[case]
    settings = Settings(**BASE, rules=[{"match": {"tag": "x"}, **rule}])
    for choice, expected in (
        (choose(Router(settings)), {}),
        (choose(Router(settings), tag="x"), changed),
    ):
        got = {name: choice.policy.action_for(name) for name in ("logit_bias", "seed", "n", "stop")}
        got |= {
            "emulate": set(choice.policy.emulate),
            "fallback": set(choice.settings.fallback),
            "on_bug": choice.settings.on_internal_error,
        }
        was = {"logit_bias": "error", "seed": "chat", "n": "error", "stop": "drop",
            "emulate": {"n"}, "fallback": {"missing"},
               "on_bug": "raise"}  # fmt: skip
        assert got == was | expected
        assert (choice.settings_hash, choice.backend) == (settings.hash, "responses")


def test_use_adds_to_a_rule() -> None:
    router = Router(Settings(rules=[{"backend": "responses", "drop": ["seed"]}]))
    over = Overrides(drop=("stop",), emulate=("n",), unsupported="error")
    choice = choosing.choose(router, Call(None, {}, over, body=RequestBody.of(body())))
    assert [choice.policy.action_for(name) for name in ("seed", "stop", "logit_bias")] == [
        "drop",
        "drop",
        "error",
    ]
    assert choice.policy.emulate == {"n"}


# Models' names

MAP = {"match": {"model": "gpt-4o*"}, "model": "gpt-5.4-mini"}
ANSWER = answering(Reply.of_json(response()))


@each_way_in
@pytest.mark.parametrize("by", ["settings", "rule", "use", "force"])
def test_a_rule_maps_the_name_for_the_responses_api(way_in: WayIn, by: str) -> None:
    given: dict[str, Any] = {"backend": "responses" if by == "settings" else "chat"}
    if by == "force":
        given["force"] = "responses"
    rule = MAP | ({"backend": "responses"} if by == "rule" else {})
    with adapter.use(backend="responses" if by == "use" else None):
        seen = _create(way_in, rule, **given)
    assert seen.sent[0].path.endswith("/responses")
    assert seen.sent[0].json()["model"] == "gpt-5.4-mini"
    assert seen.ledger == [("model", "changed")]
    assert seen.decision.reason == by


@each_way_in
@pytest.mark.parametrize("by", ["settings", "rule", "use", "force", "hold"])
def test_a_rule_never_maps_the_name_on_chat(way_in: WayIn, by: str) -> None:
    given: dict[str, Any] = {"backend": "chat" if by == "settings" else "responses"}
    if by == "force":
        given["force"] = "chat"
    rule = MAP | ({"backend": "chat"} if by == "rule" else {})
    with adapter.use(backend="chat" if by == "use" else None):
        seen = _create(way_in, rule, {"seed": 7} if by == "hold" else {}, **given)
    assert seen.sent[0].path.endswith("/chat/completions")
    assert seen.sent[0].json()["model"] == "gpt-4o-mini"
    assert seen.ledger == ([("seed", "held")] if by == "hold" else [])


def _create(way_in: WayIn, rule: dict[str, Any], more: Any = (), **given: Any) -> Any:
    return way_in.create(body(**dict(more)), ANSWER, rules=[rule], **given)


# Call sites


class Service:
    def ask(self, make: Callable[[], Any]) -> Any:
        return make()

    @staticmethod
    def static(make: Callable[[], Any]) -> Any:
        return make()


def plain_function(make: Callable[[], Any]) -> Any:
    return make()


def _retrying(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@_retrying
def decorated(make: Callable[[], Any]) -> Any:
    return make()


SITES: dict[str, tuple[Callable[[Callable[[], Any]], Any], str]] = {
    "function": (plain_function, "plain_function"),
    "method": (lambda make: Service().ask(make), "Service.ask"),
    "static method": (Service.static, "Service.static"),
    "lambda": (lambda make: make(), "<lambda>"),
    "decorated": (decorated, "decorated"),
    "partial": (lambda make: functools.partial(plain_function, make)(), "plain_function"),
}


def _spy() -> Any:
    # Runs with other globals, see below.
    seen.append(original())  # type: ignore[name-defined]  # noqa: F821
    return seen[-1]  # type: ignore[name-defined]  # noqa: F821


def sites(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Record the call sites that are collected; the spy counts as a module of the adapter."""
    seen: list[tuple[str, ...]] = []
    inside = {"__name__": "adapter.spy", "seen": seen, "original": call_context.call_sites}
    monkeypatch.setattr(call_context, "call_sites", types.FunctionType(_spy.__code__, inside))
    return seen


ASKING = [{"match": {"call_site": "tests.unit.routing.test_rules:*"}, "backend": "responses"}]


@pytest.mark.parametrize("where", SITES)
@pytest.mark.parametrize("kind", ["create", "stream helper", "raw"])
def test_call_sites(
    where: str, kind: str, sync_client: Any, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = sites(monkeypatch)
    create = sync_client.chat.completions.create
    call, name = SITES[where]
    if kind == "create":
        call(functools.partial(create, **CALL))
    elif kind == "raw":
        call(functools.partial(sync_client.chat.completions.with_raw_response.create, **CALL))
    else:
        if not hasattr(sync_client.chat.completions, "stream"):
            pytest.skip("an SDK whose helper is in beta")
        call(functools.partial(_stream, sync_client))
        name = "_stream"
    assert [callers[0] for callers in seen] == [f"{__name__}:{name}"]
    assert paths(loopback) == [RESPONSES]


def _stream(client: Any) -> None:
    with client.chat.completions.stream(**CALL) as stream:
        stream.until_done()


@pytest.fixture
def sync_client(loopback: Loopback) -> Any:
    loopback.answer = both
    made = Sdk("sync")
    yield made.client(loopback, Settings(rules=ASKING))
    made.close()


async def _innermost(client: Any) -> Any:
    return await client.chat.completions.create(**CALL)


async def _outer(client: Any) -> Any:
    return await asyncio.wait_for(_innermost(client), 30)


class AsyncService:
    async def ask(self, client: Any) -> Any:
        return await client.chat.completions.create(**CALL)


async def _itself(client: Any) -> Any:
    # The SDK's own coroutine is the task, with no caller on its stack.
    return await asyncio.gather(client.chat.completions.create(**CALL))


ASYNC_SITES: dict[str, tuple[Callable[[Any], Any], str | None]] = {
    "coroutine": (_innermost, "_innermost"),
    "nested": (_outer, "_innermost"),
    "method": (lambda client: AsyncService().ask(client), "AsyncService.ask"),
    "task": (lambda client: asyncio.create_task(_innermost(client)), "_innermost"),
    "a task by itself": (_itself, None),
}


@pytest.mark.parametrize("where", ASYNC_SITES)
async def test_async_call_sites(
    where: str, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.answer = both
    seen = sites(monkeypatch)
    call, name = ASYNC_SITES[where]
    async with adapter.AsyncOpenAI(
        base_url=loopback.base_url, api_key="fake", settings=Settings(rules=ASKING)
    ) as client:
        await call(client)
    assert [next(iter(callers), None) for callers in seen] == [name and f"{__name__}:{name}"]
    assert paths(loopback) == [RESPONSES if name else CHAT]


def test_call_sites_through_a_transport(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.http import http

    loopback.answer = both
    seen = sites(monkeypatch)
    transport = adapter.Transport(settings=Settings(rules=ASKING))
    with openai.OpenAI(
        base_url=loopback.base_url, api_key="fake", http_client=http.Client(transport=transport)
    ) as client:
        plain_function(functools.partial(client.chat.completions.create, **CALL))
    assert [callers[0] for callers in seen] == [f"{__name__}:plain_function"]


def _module(name: str, code: str) -> Any:
    made = types.ModuleType(name)
    exec(code, made.__dict__)
    return made


_PASSES_ON = "def passed_on(call): return call()"
BETWEEN: dict[str, tuple[str, ...]] = {
    "a company's own client": ("shop.llm",),
    "a tracer": ("braintrust.oai",),
    "an unknown tracer": ("unheard.of.tracing",),
    "both, twice": (
        "shop.llm",
        "opik.api",
        "shop.gateway",
        "posthog.ai.openai",
        "openlit.instrumentation",
    ),
}


@pytest.mark.parametrize("modules", BETWEEN.values(), ids=BETWEEN)
def test_a_rule_matches_distant_callers(
    modules: tuple[str, ...], sync_client: Any, loopback: Loopback
) -> None:
    call = functools.partial(sync_client.chat.completions.create, **CALL)
    for name in modules:
        call = functools.partial(_module(name, _PASSES_ON).passed_on, call)
    plain_function(call)
    assert paths(loopback) == [RESPONSES]


@pytest.mark.parametrize("between", ["shop.llm", "langsmith.wrappers"])
async def test_a_rule_matches_distant_async_callers(between: str, loopback: Loopback) -> None:
    loopback.answer = both
    passing = _module(between, "async def passed_on(call): return await call()")
    async with adapter.AsyncOpenAI(
        base_url=loopback.base_url, api_key="fake", settings=Settings(rules=ASKING)
    ) as client:
        await passing.passed_on(functools.partial(client.chat.completions.create, **CALL))
    assert paths(loopback) == [RESPONSES]


def test_the_first_rule_counts_not_the_nearest_caller(loopback: Loopback) -> None:
    loopback.answer = both
    rules = [
        {
            "match": {"call_site": "tests.unit.routing.test_rules:plain_function"},
            "backend": "responses",
        },
        {"match": {"call_site": "shop.llm:*"}, "backend": "chat"},
    ]
    made = Sdk("sync")
    for order in (rules, rules[::-1]):
        client = made.client(loopback, Settings(rules=order))
        call = functools.partial(client.chat.completions.create, **CALL)
        plain_function(functools.partial(_module("shop.llm", _PASSES_ON).passed_on, call))
    assert paths(loopback) == [RESPONSES, CHAT]
    made.close()


def test_only_part_of_a_deep_stack_is_examined(sync_client: Any, loopback: Loopback) -> None:
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        else:
            sync_client.chat.completions.create(**CALL)

    deep(500)
    assert paths(loopback) == [RESPONSES]


@pytest.mark.parametrize(
    "rules",
    [[], [{"match": {"tag": "x", "model": "*"}, "backend": "chat"}]],
    ids=["none", "others"],
)
def test_call_sites_are_collected_only_if_a_rule_needs_them(
    sdk: Sdk, rules: Any, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.answer = both
    seen = sites(monkeypatch)
    sdk.create(sdk.client(loopback, Settings(backend="responses", rules=rules)))
    assert seen == []


# The header, spelled twice


@pytest.mark.parametrize("own", ["chat", "responses"])
def test_the_calls_own_header_beats_the_clients(sdk: Sdk, own: str, loopback: Loopback) -> None:
    loopback.answer = both
    other = "chat" if own == "responses" else "responses"
    client = sdk.client(loopback, default_headers={"X-Adapter-Backend": other})
    sdk.create(client, extra_headers={"x-adapter-backend": own})
    sdk.create(client)
    assert paths(loopback) == [RESPONSES if one == "responses" else CHAT for one in (own, other)]
    assert all(request.header("x-adapter-backend") is None for request in loopback.requests)


@pytest.mark.parametrize(
    "given", [{"drop": "sead"}, {"drop": ["seed", "whatsit"]}, {"emulate": "seed"}]
)
def test_use_takes_known_parameters_only(given: Any) -> None:
    (name,) = given
    with pytest.raises(adapter.ConfigurationError, match=rf"^{name}: "), adapter.use(**given):
        pytest.fail("the block was entered")
