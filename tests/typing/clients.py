"""What type checkers infer for the clients: instances of the SDK's classes, and of their own."""

from __future__ import annotations

from typing import assert_type

import openai
from openai.types.chat import ChatCompletion

import adapter


class Mine(adapter.OpenAI):
    """A user's own client."""

    region: str = "eu"


class Theirs(openai.AsyncOpenAI):
    """A user's own client that predates the adapter."""


def takes_the_sdks(client: openai.OpenAI, async_client: openai.AsyncOpenAI) -> None:
    """A function that was written for the SDK's clients."""


def clients() -> None:
    """Clients are instances of the SDK's classes."""
    takes_the_sdks(adapter.OpenAI(), adapter.AsyncOpenAI())
    takes_the_sdks(adapter.AzureOpenAI(), adapter.AsyncAzureOpenAI())
    assert_type(adapter.OpenAI(settings={"backend": "responses"}), adapter.OpenAI)
    assert_type(adapter.AsyncAzureOpenAI(base_url="…"), adapter.AsyncAzureOpenAI)
    assert_type(adapter.OpenAI().chat.completions.create(model="m", messages=[]), ChatCompletion)
    with adapter.OpenAI() as client:
        assert_type(client, adapter.OpenAI)


def copies(mine: Mine, azure: adapter.AzureOpenAI, client: adapter.AsyncOpenAI) -> None:
    """Copies keep their class."""
    assert_type(mine.copy(timeout=3), Mine)
    assert_type(mine.with_options(settings=adapter.Settings()), Mine)
    assert_type(Mine(settings=None).with_options().region, str)
    assert_type(azure.with_options(api_version="v"), adapter.AzureOpenAI)
    assert_type(client.copy(settings={"backend": "chat"}), adapter.AsyncOpenAI)


def installed(mine: Mine, theirs: Theirs) -> None:
    """Installed clients keep their type."""
    assert_type(adapter.install(openai.OpenAI()), openai.OpenAI)
    assert_type(adapter.install(theirs, {"backend": "responses"}), Theirs)
    assert_type(adapter.uninstall(mine), Mine)
