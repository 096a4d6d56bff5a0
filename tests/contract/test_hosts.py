"""The setting `hosts`: calls to other hosts are never changed, through any way in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

import adapter
from adapter import Settings
from tests.contract.test_header import HEADER, WAYS, Upstream, client_of, upstream
from tests.support.answers import CALL, CHAT, RESPONSES, Sdk, sdk

__all__ = ["sdk", "upstream"]

ASKED: dict[
    str, tuple[dict[str, Any], Callable[[], AbstractContextManager[Any]], dict[str, Any]]
] = {
    "settings": ({"backend": "responses"}, nullcontext, {}),
    "force": ({"force": "responses"}, nullcontext, {}),
    "rollout": ({"rollout": 100}, nullcontext, {}),
    "rule": ({"rules": [{"backend": "responses", "unsupported": "error"}]}, nullcontext, {}),
    "use": ({}, lambda: adapter.use(backend="responses"), {}),
    "header": ({}, nullcontext, {"extra_headers": {HEADER: "responses"}}),
}
HOSTS: dict[str, tuple[Any, bool]] = {
    "default": (("*",), True),
    "named": ("api.test", True),
    "a glob of several": (["*.azure.com", "API.*"], True),
    "another": (["api.openai.com"], False),
    "none": ([], False),
}
CALLS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "create": lambda client, given: client.chat.completions.create(**CALL, seed=7, **given),
    "stream": lambda client, given: client.chat.completions.create(
        **CALL, seed=7, stream=True, **given
    ),
    "raw": lambda client, given: client.chat.completions.with_raw_response.create(
        **CALL, seed=7, **given
    ),
    "stored": lambda client, given: client.chat.completions.retrieve("chatcmpl-resp_1", **given),
}


def _parts(request: Any) -> Any:
    return request.method, str(request.url), request.content, sorted(request.headers.multi_items())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_to_another_host_is_left_as_it_is(
    sdk: Sdk, way: str, call: str, upstream: Upstream
) -> None:
    for asked, (settings, inside, given) in ASKED.items():
        client = client_of(sdk, way, upstream, Settings(hosts=["*.openai.com"], **settings))
        with inside():
            result = sdk.run(CALLS[call](client, given))
        plain = client_of(sdk, "plain", upstream, Settings())
        sdk.run(CALLS[call](plain, {}))
        native, adapted = upstream.requests.pop(), upstream.requests.pop()
        assert _parts(adapted) == _parts(native), asked
        made = adapter.decision(result)
        assert made is None or (made.backend, made.asked, made.reason) in {
            ("chat", "chat", "hosts"),
            ("chat", "chat", "settings"),
        }


@pytest.mark.parametrize("case", HOSTS)
@pytest.mark.parametrize("asked", ASKED)
def test_which_hosts_are_adapted(sdk: Sdk, case: str, asked: str, upstream: Upstream) -> None:
    hosts, adapted = HOSTS[case]
    settings, inside, given = ASKED[asked]
    client = client_of(sdk, "client", upstream, Settings(hosts=hosts, **settings))
    with inside():
        sdk.run(client.chat.completions.create(**CALL, **given))
    assert upstream.paths == [RESPONSES if adapted else CHAT]


def test_a_flag_is_not_asked_about_another_host(sdk: Sdk, upstream: Upstream) -> None:
    pytest.importorskip("openfeature")

    class Flags:
        def get_string_details(self, *args: Any) -> Any:
            pytest.fail("asked")

    client = client_of(sdk, "client", upstream, Settings(hosts="x", flags=Flags()))
    sdk.run(client.chat.completions.create(**CALL))
    assert upstream.paths == [CHAT]


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_matches_a_host(sdk: Sdk, way: str, upstream: Upstream) -> None:
    rules: Any = [{"match": {"host": ["*.test"], "api": "chat"}, "backend": "responses"}]
    for base_url in ("https://api.test/v1", "https://api.other/v1"):
        client = client_of(sdk, way, upstream, Settings(rules=rules), base_url=base_url)
        sdk.run(client.chat.completions.create(**CALL))
    assert upstream.paths == [RESPONSES, CHAT]


@pytest.mark.parametrize(
    "hosts", [["*.openai.azure.com"], ["api.openai.com"]], ids=["named", "not named"]
)
def test_azure(sdk: Sdk, hosts: Any, upstream: Upstream) -> None:
    sdk.run(
        client_of(
            sdk, "azure", upstream, Settings(backend="responses", hosts=hosts)
        ).chat.completions.create(**CALL)
    )
    rules: Any = [{"match": {"host": hosts}, "backend": "responses"}]
    sdk.run(
        client_of(sdk, "azure", upstream, Settings(rules=rules)).chat.completions.create(**CALL)
    )
    moved = [path.endswith("/responses") for path in upstream.paths]
    assert moved == [hosts == ["*.openai.azure.com"]] * 2
