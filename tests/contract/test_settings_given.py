"""`settings=` takes a dict everywhere, too; anything else is an error at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import openai
import pytest

import adapter
from tests.support.answers import CHAT, KEY, RESPONSES, Sdk, both, paths, sdk
from tests.support.http import http
from tests.support.loopback import Loopback

__all__ = ["sdk"]

ON = {"backend": "responses"}


def _own(one: Sdk, settings: Any, **more: Any) -> Any:
    if isinstance(settings, str):  # the tests' own short form
        return one.adapted(base_url=more["server"].base_url, api_key=KEY, settings=settings)
    return one.client(more["server"], settings)


def _copy(one: Sdk, settings: Any, **more: Any) -> Any:
    return one.client(more["server"], adapter.Settings()).copy(settings=settings)


def _with_options(one: Sdk, settings: Any, **more: Any) -> Any:
    return one.client(more["server"], adapter.Settings()).with_options(settings=settings, timeout=3)


def _installed(one: Sdk, settings: Any, **more: Any) -> Any:
    return adapter.install(one.client(more["server"], plain=True), settings)


def _installed_again(one: Sdk, settings: Any, **more: Any) -> Any:
    return adapter.install(adapter.install(one.client(more["server"], plain=True)), settings)


def _transport(one: Sdk, settings: Any, **more: Any) -> Any:
    kind, way_in = one.pick(
        (http.Client, adapter.Transport), (http.AsyncClient, adapter.AsyncTransport)
    )
    return one.client(
        more["server"], plain=True, http_client=kind(transport=way_in(settings=settings))
    )


WAYS_IN: dict[str, Callable[..., Any]] = {
    "constructor": _own,
    "copy": _copy,
    "with_options": _with_options,
    "install": _installed,
    "install again": _installed_again,
    "transport": _transport,
}


@pytest.mark.parametrize(
    "given", [ON, MappingProxyType(ON), adapter.Settings(**ON)], ids=["dict", "mapping", "object"]
)
@pytest.mark.parametrize("way_in", WAYS_IN)
def test_a_dict_is_settings(sdk: Sdk, loopback: Loopback, way_in: str, given: Any) -> None:
    loopback.answer = both
    sdk.create(WAYS_IN[way_in](sdk, given, server=loopback))
    assert paths(loopback) == [RESPONSES]
    assert dict(ON) == {"backend": "responses"}


WRONG: dict[str, tuple[Any, str]] = {
    "a value that can't be": ({"backend": "respones"}, "^backend: "),
    "a name that is none": ({"bakend": "responses"}, "^bakend: .*backend"),
    "a key that is no name": ({1: "responses"}, "^settings: expected names as keys, got int$"),
    "a name alone": ("responses", "^settings: expected Settings or a dict, got str$"),
    "pairs": ([("backend", "responses")], "^settings: expected Settings or a dict, got list$"),
    "the class": (
        adapter.Settings,
        "^settings: expected Settings or a dict, got the class Settings$",
    ),
    "false": (False, "^settings: expected Settings or a dict, got bool$"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("way_in", WAYS_IN)
def test_wrong_settings_are_an_error_at_once(
    sdk: Sdk, loopback: Loopback, way_in: str, case: str
) -> None:
    given, message = WRONG[case]
    with pytest.raises(adapter.ConfigurationError, match=message):
        WAYS_IN[way_in](sdk, given, server=loopback)
    assert loopback.requests == []


@pytest.mark.parametrize("method", ["copy", "with_options"])
def test_an_empty_dict_is_not_none(sdk: Sdk, loopback: Loopback, method: str) -> None:
    loopback.answer = both
    client = sdk.client(loopback, ON)
    sdk.create(getattr(client, method)(settings={}))
    sdk.create(getattr(client, method)(settings=None))
    assert paths(loopback) == [CHAT, RESPONSES]


def test_a_client_that_could_not_be_installed_is_as_before(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, plain=True)
    before = dict(vars(client))
    with pytest.raises(adapter.ConfigurationError):
        adapter.install(client, {"backend": "respones"})  # type: ignore[arg-type]
    assert (type(client), vars(client)) == (sdk.plain, before)


def test_forget_takes_a_dict(tmp_path: Any) -> None:
    settings = {"memory": f"sqlite:///{tmp_path}/memory.db"}
    assert adapter.forget(conversation="c", settings=settings) == 0
    with pytest.raises(adapter.ConfigurationError, match=r"^settings: expected"):
        adapter.forget(conversation="c", settings="memory://")  # type: ignore[arg-type]


# Signatures


@pytest.mark.parametrize("method", ["__init__", "copy", "with_options"])
@pytest.mark.parametrize("name", ["OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI"])
def test_signatures_are_the_sdks_and_settings(name: str, method: str) -> None:
    own = inspect.signature(getattr(getattr(adapter, name), method))
    native = inspect.signature(getattr(getattr(openai, name), method))
    settings = own.parameters["settings"]
    assert (settings.kind, settings.default) == (inspect.Parameter.KEYWORD_ONLY, None)
    rest = [one for one in own.parameters.values() if one is not settings]
    assert own.replace(parameters=rest) == native


@pytest.mark.parametrize("name", ["OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI"])
@pytest.mark.parametrize("wrong", [{"api_kye": "k"}, {"setings": {}}, {"args": ()}])
def test_unknown_arguments_are_the_sdks_errors(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(wrong))}'"):
        getattr(adapter, name)(api_key=KEY, **wrong)
    with pytest.raises(TypeError, match="positional argument"):
        getattr(adapter, name)(adapter.Settings())
