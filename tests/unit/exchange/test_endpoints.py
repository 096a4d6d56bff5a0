"""Paths of Chat Completions and their counterparts on the Responses API."""

from __future__ import annotations

import pytest

from adapter._exchange.endpoints import (
    StoredCompletion,
    azure_deployment,
    classify_request,
    is_azure,
    is_relayed,
    responses_endpoint,
    stored_endpoint,
)
from adapter._exchange.fallback import chat_path_of

CHAT_PATHS = [
    # path, target, model of the path, losses
    (b"/v1/chat/completions", b"/v1/responses", None, ()),
    (b"/chat/completions", b"/responses", None, ()),
    (b"/a/b%20c/chat/completions", b"/a/b%20c/responses", None, ()),
    (b"/v1/chat/completions/", b"/v1/responses", None, ()),
    (b"/v1/chat/completions?a=1&b=%2F", b"/v1/responses?a=1&b=%2F", None, ()),
    (b"/openai/deployments/my%20d/chat/completions?api-version=2025-04-01-preview",
     b"/openai/responses?api-version=2025-04-01-preview", "my d", ()),
    (b"/openai/deployments/d/chat/completions?api-version=2023-05-15",
     b"/openai/responses?api-version=2025-03-01-preview", "d", ("query.api-version",)),
    (b"/openai/v1/chat/completions?api-version=preview",
     b"/openai/v1/responses?api-version=preview", None, ()),
    (b"/v1/chat/completions?api-version=2023-05-15",
     b"/v1/responses?api-version=2023-05-15", None, ()),
]  # fmt: skip


@pytest.mark.parametrize(("path", "target", "model", "losses"), CHAT_PATHS, ids=repr)
def test_the_counterpart_of_a_chat_path(
    path: bytes, target: bytes, model: str | None, losses: tuple[str, ...]
) -> None:
    made = responses_endpoint(path)
    assert (made.path, made.model) == (target, model)
    assert tuple(loss.path for loss in made.changes) == losses
    assert azure_deployment(path) == model
    assert classify_request("POST", path) == "chat"


@pytest.mark.parametrize(
    ("path", "back"),
    [
        (b"/v1/chat/completions", b"/v1/chat/completions"),
        (b"/v1/chat/completions?x=1", b"/v1/chat/completions?x=1"),
        (b"/v1/responses", b"/v1/chat/completions"),
        (b"/v1/responses?x=1", b"/v1/chat/completions?x=1"),
        (b"/v1/models", None),
    ],
)
def test_the_chat_path_of_a_fallback(path: bytes, back: bytes | None) -> None:
    assert chat_path_of(path) == back


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", b"/v1/chat/completions", "chat"),
        ("POST", b"/v1/completions", None),
        ("POST", b"/v1/responses", None),
        ("GET", b"/v1/chat/completions", None),
        ("GET", b"/v1/chat/completions/chatcmpl-resp_1", "stored"),
        ("DELETE", b"/v1/chat/completions/chatcmpl-resp_1", "stored"),
        ("GET", b"/v1/chat/completions/chatcmpl-123", None),
        ("POST", b"/v1/chat/completions/chatcmpl-resp_1", None),
        ("POST", b"/fetch?url=https://api.example/v1/chat/completions", "chat"),
    ],
)
def test_a_request_is_classified(method: str, path: bytes, kind: str | None) -> None:
    assert classify_request(method, path) == kind


@pytest.mark.parametrize(
    ("path", "relayed"),
    [
        (b"/v1/chat/completions", False),
        (b"/v1/chat/completions?a=1", False),
        (b"/fetch?url=https://api.example/v1/chat/completions", True),
        (b"/fetch?path=chat/completions", True),
    ],
)
def test_a_relay_is_known_by_its_query(path: bytes, relayed: bool) -> None:
    assert is_relayed(path) is relayed


@pytest.mark.parametrize(
    ("host", "path", "azure"),
    [
        ("x.openai.azure.com", b"/openai/v1/chat/completions", True),
        ("x.services.ai.azure.com.", b"/chat/completions", True),
        ("gateway.example", b"/openai/deployments/d/chat/completions", True),
        ("gateway.example", b"/chat/completions?api-version=2024-10-21", True),
        ("api.openai.com", b"/v1/chat/completions", False),
        ("api.groq.com", b"/openai/v1/chat/completions", False),
        ("azure.com.evil.example", b"/v1/chat/completions", False),
    ],
)
def test_azure_is_known(host: str, path: bytes, azure: bool) -> None:
    assert is_azure(host, path) is azure


STORED = b"/v1/chat/completions/chatcmpl-resp_1"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", STORED,
         StoredCompletion(b"/v1/responses/resp_1", "retrieve", "chatcmpl-resp_1")),
        ("DELETE", STORED,
         StoredCompletion(b"/v1/responses/resp_1", "delete", "chatcmpl-resp_1")),
        ("GET", STORED + b"/messages",
         StoredCompletion(b"/v1/responses/resp_1/input_items?order=asc", "messages",
                          "chatcmpl-resp_1")),
        ("GET", STORED + b"/messages?order=desc&limit=2",
         StoredCompletion(b"/v1/responses/resp_1/input_items?order=desc&limit=2", "messages",
                          "chatcmpl-resp_1", newest_first=True)),
        ("DELETE", STORED + b"/messages", None),
        ("GET", b"/v1/chat/completions/chatcmpl-resp_%2e%2e%2fkeys", None),
        ("GET", b"/v1/chat/completions/chatcmpl-abc", None),
    ],
    ids=["retrieve", "delete", "messages", "newest first", "deleted messages", "a path inside",
         "Chat's own id"],
)  # fmt: skip
def test_a_stored_completion(method: str, path: bytes, expected: StoredCompletion | None) -> None:
    assert stored_endpoint(method, path) == expected


def test_the_next_page_replaces_the_last_one() -> None:
    request = stored_endpoint("GET", STORED + b"/messages?after=x&limit=2")
    assert request is not None
    assert request.page_after("msg/1") == (
        b"/v1/responses/resp_1/input_items?limit=2&order=asc&after=msg%2F1"
    )
