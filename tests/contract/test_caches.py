"""Caches that live from call to call are bounded in bytes, and hold no key of a caller."""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
from collections.abc import Callable
from typing import Any

import openai
import pytest

import adapter
from adapter import Settings
from adapter._exchange.endpoints import responses_endpoint
from adapter._exchange.fallback import chat_path_of
from adapter._exchange.request_body import RequestBody
from adapter._routing.router import Router
from adapter._util.expiring_set import ExpiringSet
from adapter.tools.audit.verdicts import Classifier
from adapter.tools.logs.rows import LoggedRequest
from adapter.translation import chat_to_responses
from adapter.translation.model_profiles import BUILT_IN_PROFILES
from tests.contract.test_edge_requests import ANSWER
from tests.support.choosing import choose
from tests.support.http import http
from tests.support.reachable import held, texts
from tests.support.ways_in import CHAT_COMPLETION

LONG = 200_000
USER = {"role": "user", "content": "x"}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {
        "id": "call_" + "a1B2c3D4e5F6g7H8", "type": "function",
        "function": {"name": "f", "arguments": "{}"},
    },
]}  # fmt: skip
RESULT = {
    "role": "tool",
    "tool_call_id": CALL["tool_calls"][0]["id"],  # type: ignore[index]
    "content": "y",
}


def mock(request: Any) -> Any:
    """Answer as servers without `/responses`, ones that refuse reasoning, and others, by path."""
    body = json.loads(request.content)
    if not request.url.path.endswith("/responses"):
        return http.Response(200, json=CHAT_COMPLETION)
    if "missing" in request.url.path:
        return http.Response(404, json={"error": {"message": "unknown route", "code": None}})
    if "include" in body and "refusing" in request.url.path:
        refusal = "Encrypted content is not supported with this model."
        return http.Response(
            400, json={"error": {"message": refusal, "param": "include", "code": None, "type": "x"}}
        )
    return http.Response(200, json=ANSWER)


KINDS = ("client", "install", "transport")


def client_of(kind: str, *, asynchronous: bool, **given: Any) -> Any:
    """Make an adapted client of a kind."""
    in_force = Settings(backend="responses", on_bug="raise", carry_reasoning="always")
    sdk, adapted_class, library, wrap = (
        (openai.AsyncOpenAI, adapter.AsyncOpenAI, http.AsyncClient, adapter.AsyncTransport)
        if asynchronous
        else (openai.OpenAI, adapter.OpenAI, http.Client, adapter.Transport)
    )
    transport = http.MockTransport(mock)
    if kind == "transport":
        return sdk(**given, http_client=library(transport=wrap(transport, settings=in_force)))
    given["http_client"] = library(transport=transport)
    return (
        adapted_class(**given, settings=in_force)
        if kind == "client"
        else adapter.install(sdk(**given), in_force)
    )


def call(kind: str, *, asynchronous: bool, bodies: list[dict[str, Any]], **given: Any) -> None:
    """Make calls with a client, and drop it."""
    if not asynchronous:
        with client_of(kind, asynchronous=False, **given) as client:
            for body in bodies:
                client.chat.completions.create(**body)
        return

    async def run() -> None:
        async with client_of(kind, asynchronous=True, **given) as client:
            for body in bodies:
                await client.chat.completions.create(**body)

    asyncio.run(run())


each_way = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.slow
@each_way
@each_kind
def test_no_key_of_a_client_outlives_it(kind: str, *, asynchronous: bool) -> None:
    key = secrets.token_hex(12)  # random, so that no constant of a function holds it
    bodies = [
        {"model": "gpt-5.4", "messages": [USER, CALL, RESULT]},
        {
            "model": "gpt-5.4",
            "messages": [USER],
            "user": key,
            "prompt_cache_key": key,
            "metadata": {"a": key},
        },
    ]
    for place in ("refusing", "missing", "plain"):
        call(
            kind, asynchronous=asynchronous, bodies=bodies, api_key=key, organization=key,
            project=key, max_retries=0,
            base_url=f"https://{key}:{key}@api.test/{place}/{key}/v1",
            default_headers={"x-api-key": key, "api-key": key, "ocp-apim-subscription-key": key},
            default_query={"code": key},
        )  # fmt: skip
    gc.collect()
    found = {
        where
        for where, one in held()
        if texts(one) and key in (one if isinstance(one, str) else repr(one))
    }
    assert found == set()


@pytest.mark.slow
@each_way
@each_kind
def test_long_names_are_not_kept(kind: str, *, asynchronous: bool) -> None:
    def names(count: int) -> list[dict[str, Any]]:
        return [
            {
                "model": f"m{k}" + "x" * LONG, "messages": [USER, CALL, RESULT],
                "user": f"u{k}" + "x" * LONG,
                "metadata": {f"k{k}" + "x" * 1000: "v"}, "extra_body": {f"e{k}" + "x" * LONG: 1},
            }
            for k in range(count)
        ]  # fmt: skip

    for place in ("refusing", "missing"):
        for k in range(3):
            base = f"https://api.test/{place}/{k}{'y' * 20_000}/v1"
            with adapter.use(conversation=f"c{k}" + "x" * LONG, tag=f"t{k}" + "x" * LONG):
                call(
                    kind,
                    asynchronous=asynchronous,
                    bodies=names(4),
                    api_key="key",
                    base_url=base,
                    max_retries=0,
                )
    gc.collect()
    assert {where: texts(one) for where, one in held() if texts(one) > 10_000} == {}


# Each cache by itself

CACHES: dict[str, Callable[[str], object]] = {
    "facts about models": BUILT_IN_PROFILES.profile,
    "endpoints": lambda name: responses_endpoint(
        f"/openai/deployments/{name}/chat/completions?api-version=1".encode()
    ),
    "ways back": lambda name: chat_path_of(f"/{name}/responses?code={name}".encode()),
    "rules": lambda name: choose(ROUTER, _a_call(name)),
    "parts": lambda name: chat_to_responses(_of_parts(int(name[:4]))),
    "verdicts": lambda name: JUDGE.classify(LoggedRequest({"model": name, "messages": [USER]})),
    "what was found out": lambda name: EXPIRING.add((name, name.encode()), 600),
}

ROUTER = Router(Settings(rules=[{"match": {"model": "gpt-*"}, "backend": "responses"}]))
JUDGE = Classifier(Settings())
EXPIRING = ExpiringSet()


def _a_call(name: str) -> Any:
    from adapter._routing.call import Call
    from adapter._routing.overrides import Overrides

    body = {"model": name, "messages": [USER], "user": name}
    return Call(
        None,
        {},
        Overrides(conversation=name, tag=name),
        host=name,
        call_sites=(name,),
        body=RequestBody.of(body),
    )


def _of_parts(count: int) -> dict[str, Any]:
    parts = [{"type": "text", "text": "x"}] * (count % 7 * 40)
    return {
        "model": "m",
        "messages": [USER] * (count % 50) + [{"role": "user", "content": parts or "x"}],
    }


@pytest.mark.parametrize("cache", CACHES)
def test_many_long_names(cache: str) -> None:
    before = sum(texts(one) for _, one in _of_these())
    for k in range(250):
        CACHES[cache](f"{k:04}" + "x" * LONG)
    kept = sum(texts(one) for _, one in _of_these()) - before
    assert kept < (40 if cache == "verdicts" else 2) * 1024 * 1024, "bounded by bytes"


def _of_these() -> Any:
    yield from held("adapter")
    for one in (ROUTER, JUDGE, EXPIRING):
        seen, pending = set(), [one]
        while pending:
            inner = pending.pop()
            if id(inner) not in seen and not isinstance(inner, type):
                seen.add(id(inner))
                yield "", inner
                pending += [*gc.get_referents(inner)] if not callable(inner) else []


def test_what_was_found_out_is_still_known() -> None:
    known = ExpiringSet()
    known.add(("https", "h", 1, b"/v1"), 60)
    assert known.contains(("https", "h", 1, b"/v1"))
    assert not known.contains(("https", "h", None, b"/v1"))
    assert not known.contains(("https", "h", 1, "/v1"))
    known.add("\ud83d", 60)
    assert known.contains("\ud83d")
