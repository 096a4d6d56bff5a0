"""Redirects and proxies of translated calls (docs/mapping.md#redirects, #http-clients).

The translated body is sent along, and the user's proxies and mounts stay in force.
"""

from __future__ import annotations

from collections.abc import Callable

import openai
import pytest

import adapter
from tests.support.answers import (
    CALL,
    KEY,
    RESPONSES,
    Sdk,
    both,
    events,
    hanging,
    impatient,
    opening,
    paths,
    response,
    sdk,
    text_of,
)
from tests.support.http import http
from tests.support.loopback import Loopback, Reply, Request

__all__ = ["impatient", "sdk"]


# Redirects

TARGETS: dict[str, tuple[str, str]] = {
    "same path, query": (f"{RESPONSES}?again=1", RESPONSES),
    "another version": ("/v2/responses", "/v2/responses"),
    "another path": ("/elsewhere", "/elsewhere"),
    "trailing slash": (f"{RESPONSES}/", f"{RESPONSES}/"),
    "relative": ("answers", "/v1/answers"),
    "relative, up": ("../v3/responses", "/v3/responses"),
    "query only": ("?again=1", RESPONSES),
}


def _redirecting(location: str, status: int) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        if request.path == RESPONSES and not request.query:
            return Reply.redirect(location, status)
        return both(request) if request.path.endswith("/responses") else _as_responses(request)

    return answer


def _as_responses(request: Request) -> Reply:
    return Reply.of_sse(events()) if request.json().get("stream") else Reply.of_json(response())


@pytest.mark.parametrize("streamed", [False, True], ids=["create", "stream"])
@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
@pytest.mark.parametrize("target", TARGETS)
def test_redirects_carry_the_translated_body(
    sdk: Sdk, loopback: Loopback, *, target: str, absolute: bool, status: int, streamed: bool
) -> None:
    location, arrives = TARGETS[target]
    if absolute:
        location = loopback.url + (location if location.startswith("/") else f"/v1/{location}")
        if target == "query only":
            location = f"{loopback.url}{RESPONSES}?again=1"
    loopback.answer = _redirecting(location, status)
    client = sdk.client(loopback)
    result = sdk.stream(client) if streamed else sdk.create(client)
    assert text_of(result) == "Hello there"
    first, second = loopback.requests
    assert (first.path, second.path) == (RESPONSES, arrives)
    assert first.body == second.body
    assert second.json()["input"] == CALL["messages"]
    assert second.header("authorization") == f"Bearer {KEY}"


@pytest.mark.parametrize("streamed", [False, True], ids=["create", "stream"])
def test_a_redirect_to_another_machine(sdk: Sdk, loopback: Loopback, streamed: bool) -> None:
    with Loopback(both) as other:
        loopback.answer = [Reply.redirect(f"{other.url}/v9/responses")]
        client = sdk.client(loopback)
        result = sdk.stream(client) if streamed else sdk.create(client)
        assert text_of(result) == "Hello there"
        assert other.requests[0].body == loopback.requests[0].body
        assert other.requests[0].header("authorization") is None


def test_two_redirects_in_a_row(sdk: Sdk, loopback: Loopback) -> None:
    def answer(request: Request) -> Reply:
        following = {RESPONSES: "/a", "/a": "/b"}.get(request.path)
        return Reply.redirect(following, 308) if following else Reply.of_json(response())

    loopback.answer = answer
    result = sdk.create(sdk.client(loopback))
    assert text_of(result) == "Hello there"
    assert len({request.body for request in loopback.requests}) == 1
    made = adapter.decision(result)
    assert made is not None
    assert made.backend == "responses"


@pytest.mark.parametrize("status", [301, 303])
def test_redirects_that_become_a_get_never_give_a_false_answer(
    sdk: Sdk, loopback: Loopback, status: int
) -> None:
    def answer(request: Request) -> Reply:
        if request.method == "POST":
            return Reply.redirect("/v1/responses/resp_1", status)
        assert request.body == b""
        return Reply.of_json(response())

    loopback.answer = answer
    try:
        result = sdk.create(sdk.client(loopback))
    except openai.APIError:
        return
    assert result.choices, "a Response passed for a completion"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_to_a_login_page_ends_as_it_does_for_chat(
    sdk: Sdk, loopback: Loopback, status: int
) -> None:
    page = Reply(200, (("content-type", "text/html"),), [b"<html>log in</html>"])
    loopback.answer = lambda request: (
        Reply.redirect("/login", status) if request.method == "POST" else page
    )
    native = sdk.create(sdk.client(loopback, plain=True))
    settings = adapter.Settings(
        backend="responses", fallback=[]
    )  # else a 302 falls back to Chat at once
    assert sdk.create(sdk.client(loopback, settings)) == native
    assert [request.method for request in loopback.requests] == ["POST", "GET"] * 2


def test_a_302_is_a_gateways_and_leads_to_chat(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda request: (
        Reply.redirect("/login", 302) if request.path == RESPONSES else both(request)
    )
    result = sdk.create(sdk.client(loopback))
    assert text_of(result) == "Native hello"
    made = adapter.decision(result)
    assert made is not None
    assert (made.backend, made.reason) == ("chat", "blocked")


def test_redirects_that_are_not_followed(sdk: Sdk, loopback: Loopback) -> None:
    kind = sdk.pick(http.Client, http.AsyncClient)
    loopback.answer = lambda request: Reply.redirect("/x")
    outcomes = []
    for plain in (True, False):
        client = sdk.client(loopback, plain=plain, http_client=kind(follow_redirects=False))
        with pytest.raises(openai.APIStatusError) as raised:
            sdk.create(client)
        outcomes.append(
            (
                type(raised.value),
                raised.value.status_code,
                raised.value.response.headers["location"],
            )
        )
    assert outcomes[0] == outcomes[1]


# Proxies


def test_proxies_of_the_environment_stay_in_force(
    sdk: Sdk, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.answer = both  # in the part of the proxy
    monkeypatch.setenv("HTTP_PROXY", loopback.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = sdk.client("http://upstream.invalid/v1")
    assert text_of(sdk.create(client)) == "Hello there"
    assert paths(loopback) == ["http://upstream.invalid/v1/responses"]
    with Loopback(both) as direct:
        sdk.create(sdk.client(direct))
        assert paths(direct) == [RESPONSES]
    assert len(loopback.requests) == 1


def test_the_users_own_mounts_stay_in_force(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = both
    kind = sdk.pick(http.Client, http.AsyncClient)
    transport = sdk.pick(http.HTTPTransport, http.AsyncHTTPTransport)
    http_client = kind(
        mounts={
            "http://upstream.invalid": transport(proxy=loopback.url),
            "all://skipped.invalid": None,
        }
    )
    client = sdk.client("http://upstream.invalid/v1", http_client=http_client)
    assert text_of(sdk.create(client)) == "Hello there"
    assert text_of(sdk.stream(client)) == "Hello there"
    assert paths(loopback) == ["http://upstream.invalid/v1/responses"] * 2


def test_limits_and_pool_timeouts_stay_in_force(sdk: Sdk, loopback: Loopback) -> None:
    loopback.answer = lambda request: (
        hanging(opening()) if request.json().get("stream") else both(request)
    )
    kind = sdk.pick(http.Client, http.AsyncClient)
    http_client = kind(limits=http.Limits(max_connections=1), timeout=http.Timeout(5, pool=0.1))
    client = sdk.client(loopback, http_client=http_client)
    stream = sdk.create(client, stream=True)
    with pytest.raises(openai.APITimeoutError):
        sdk.create(client)
    sdk.run(stream.close())
    assert text_of(sdk.create(client)) == "Hello there"


def test_the_pool_itself_is_the_users(sdk: Sdk, loopback: Loopback) -> None:
    kind = sdk.pick(http.Client, http.AsyncClient)
    http_client = kind(verify=False)
    pool = http_client._transport._pool
    client = sdk.client(loopback, http_client=http_client)
    assert client._client is http_client
    assert http_client._transport._pool is pool
