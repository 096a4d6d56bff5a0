"""The SDK's private parts that `adapter/_sdk/compat.py` uses are there, or have a way round."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from adapter._sdk import compat, fast_messages
from tests.support.answers import Sdk, sdk
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
