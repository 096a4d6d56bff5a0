"""The SDK's private parts that `adapter/_sdk/compat.py` uses are there, or have a way round."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from adapter._sdk import compat, fast_messages
from tests.support.answers import CALL, Sdk, both, sdk
from tests.support.http import needs
from tests.support.loopback import Loopback

__all__ = ["sdk"]

OVERRIDDEN = (
    "_build_request",
    "_make_status_error_from_response",
    "_prepare_request",
    "_process_response",
    "_process_response_data",
)
CLIENTS = (openai.OpenAI, openai.AsyncOpenAI, openai.AzureOpenAI, openai.AsyncAzureOpenAI)


@pytest.mark.parametrize("cls", CLIENTS, ids=lambda cls: cls.__name__)
def test_the_overridden_methods_are_there(cls: Any) -> None:
    assert [name for name in OVERRIDDEN if not compat.is_sdk_function(getattr(cls, name))] == []


def test_the_attributes_of_clients_and_resources_are_there(sdk: Sdk, loopback: Loopback) -> None:
    client = sdk.client(loopback, plain=True, default_headers={"x-one": "1"})
    assert dict(compat.custom_headers_of(client)) == {"x-one": "1"}
    completions = client.chat.completions
    assert compat.client_of(completions) is client
    assert getattr(completions, compat.POST) == client.post
    assert compat.processes_natively(client, type(client))
    assert compat.is_sdk_resource(type(completions))
    assert not compat.is_sdk_resource(type(client))


@needs(compat.SUPPORTED, "stream reader that can be replaced")
def test_the_readers_of_streams_are_known() -> None:
    assert set(compat.STREAMS) == {openai.Stream, openai.AsyncStream}
    assert None not in compat._READER_CODES.values()


def test_messages_have_no_alias() -> None:
    assert compat.messages_have_no_alias()


def test_without_the_sdks_dump_the_sdk_transforms_its_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain: ChatCompletionUserMessageParam = {"role": "user", "content": "Hi"}
    message = openai.types.chat.ChatCompletionMessage(role="assistant", content="Hi")
    dumped = {"role": "assistant", "content": "Hi"}
    assert fast_messages._transformed([plain, message]) == [plain, dumped]
    monkeypatch.setattr(compat, "_model_dump", None)
    assert fast_messages._transformed([plain]) == [plain]
    assert fast_messages._transformed([plain, message]) is None


def writes_it_last(self: Any, *, messages: Any, model: Any) -> Any:
    return self._post("/chat/completions", body={"messages": messages, "model": model})


async def writes_it_first(self: Any, *, messages: Any, model: Any) -> Any:
    return await self._post("/chat/completions", body={"model": model, "messages": messages})


def posts_nothing(_self: Any, *, messages: Any, model: Any) -> Any:
    return {"model": model, "messages": messages}


def posts_otherwise(self: Any, *, messages: Any, model: Any) -> Any:
    return self._client.post("/chat/completions", body={"model": model, "messages": messages})


@pytest.mark.parametrize(
    ("method", "first"),
    [
        (writes_it_last, False),
        (writes_it_first, True),
        (posts_nothing, False),
        (posts_otherwise, False),
        (None, False),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_where_a_method_writes_the_model(method: Any, first: bool) -> None:
    assert compat.writes_model_first(method) is first


@needs(compat.SUPPORTED, "resources that are made faster")
@pytest.mark.parametrize("probe", [True, False])
def test_a_call_that_stays_on_chat_has_the_sdks_bytes(
    sdk: Sdk, loopback: Loopback, probe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not probe:
        monkeypatch.setattr(fast_messages, "writes_model_first", lambda _method: False)
    loopback.answer = both
    more: Any = {
        "prediction": {"type": "content", "content": "x"}, "service_tier": "flex", "temperature": 0,
        "stop": ["x"], "stream": False, "user": "u", "extra_body": {"added": 1},
    }  # fmt: skip
    sdk.create(sdk.client(loopback, plain=True), **more)
    sdk.create(sdk.client(loopback), **more)
    plain, adapted = loopback.requests
    assert adapted.path == plain.path == "/v1/chat/completions"
    assert adapted.body == plain.body
    assert {"model", "messages", *more} - {"extra_body"} < json.loads(plain.body).keys()
    assert json.loads(plain.body)["model"] == CALL["model"]
