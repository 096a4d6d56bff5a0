"""The chat requests in log rows, and the names that may be shown."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from adapter import Settings
from adapter._util import safe_names
from adapter.tools.audit.batches import audit_batch
from adapter.tools.logs.rows import OTHER_ENDPOINT, LoggedRequest, unwrap

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
AZURE = (
    "https://acme.openai.azure.com/openai/deployments/chat/chat/completions?api-version=2024-06-01"
)

CHAT: dict[str, Any] = {
    "a bare body": BODY,
    "body": {"body": BODY},
    "request": {"request": BODY},
    "request.body": {"request": {"method": "POST", "body": BODY}},
    "request.body as text": {"request": {"body": json.dumps(BODY)}},
    "json": {"json": BODY},
    "input": {"input": BODY},
    "a batch file's": {
        "custom_id": "1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": BODY,
    },
    "text in text": json.dumps(json.dumps(BODY)),
    "a path of its own": {"path": "/gateway/llm", "request": BODY},
    "a file of that name": {"path": "/var/files/models/a.json", "request": BODY},
    "a recording": {
        "id": 1,
        "path": "/v1/chat/completions",
        "api": "chat",
        "request": BODY,
        "response": {"usage": USAGE},
    },
}


@pytest.mark.parametrize("name", CHAT)
def test_a_request_is_found(name: str) -> None:
    found = unwrap(json.dumps(CHAT[name]).encode())
    assert isinstance(found, LoggedRequest)
    assert found.body == BODY


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"1", "no chat request"),
        (b"[]", "no chat request"),
        (b"{}", "no chat request"),
        (b'{"body": "oops"}', "not JSON"),
        (b'{"path": "/v1/chat/completions", "request": null}', "no chat request"),
        (b'{"url": "/v1/embeddings", "body": {"input": "x"}}', OTHER_ENDPOINT),
        (b'{"url": "/v1/responses", "body": {"model": "m", "input": "x"}}', OTHER_ENDPOINT),
        (b'{"path": "/v1/messages", "request": {"model": "m", "messages": []}}', OTHER_ENDPOINT),
        (b'{"model": "m", "input": "x"}', OTHER_ENDPOINT),
    ],
    ids=[
        "half an object", "not UTF-8", "too deep", "a number", "a list", "nothing",
        "a body of null", "no request",
        "embeddings", "responses", "messages of another API", "a responses body",
    ],
)  # fmt: skip
def test_rows_without_a_chat_request(row: bytes, expected: object) -> None:
    assert unwrap(row) == expected


@pytest.mark.parametrize(
    "row",
    [
        {"request": BODY, "response": {"usage": USAGE}},
        {"request": BODY, "response": {"status_code": 200, "body": {"usage": USAGE}}},
        {"body": BODY, "usage": USAGE},
    ],
    ids=["response", "response.body", "usage"],
)
def test_the_usage_of_the_reply(row: Any) -> None:
    found = unwrap(row)
    assert isinstance(found, LoggedRequest)
    assert found.usage == USAGE


def test_an_azure_deployment_is_the_model() -> None:
    found = unwrap({"url": AZURE, "body": BODY})
    path = AZURE.partition(".com")[2].encode()
    assert found == LoggedRequest(BODY, path, "acme.openai.azure.com", inside=("body",), url=AZURE)
    summary = audit_batch(
        pa.RecordBatch.from_pylist([{"body": json.dumps(BODY), "url": AZURE}]), Settings()
    )
    assert summary.table("model") == []
    assert [key for key, _ in summary.pairs("model fate")] == [("chat", "with changes")]
    assert summary.table("loss") == [("query.api-version\tchanged", 1)]


COLUMNS: dict[str, Any] = {
    "text": pa.table({"body": [json.dumps(BODY)]}),
    "another name": pa.table({"at": [1], "payload": [json.dumps({"body": BODY}).encode()]}),
    "structs": pa.table({"request": [BODY]}),
    "structs of rows": pa.Table.from_pylist(
        [{"body": {"url": "/v1/chat/completions", "body": BODY}}]
    ),
    "a body in columns": pa.Table.from_pylist([BODY]),
    "a reply in text": pa.table(
        {"body": [json.dumps(BODY)], "response": [json.dumps({"usage": USAGE})]}
    ),
    "structs with gaps": pa.Table.from_pylist(
        [{"body": {**BODY, "seed": None, "extra": None, "tools": None}}]
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns(name: str) -> None:
    (batch,) = COLUMNS[name].to_batches()
    summary = audit_batch(batch, Settings())
    assert summary.table("model fate") == [("gpt-4o\tas it is", 1)]
    assert summary.table("extra") == []
    assert summary.count("usage", "as it is\tprompt") == (3 if "reply" in name else 0)


def test_a_batch_without_requests_is_refused() -> None:
    (batch,) = pa.table({"n": [1]}).to_batches()
    with pytest.raises(ValueError, match="no column that could hold requests"):
        audit_batch(batch, Settings())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("gpt-4o", "gpt-4o"),
        ("openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        (
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
        ),
        ("ft:gpt-4o-2024-08-06:acme:support:Ab12Cd34", "ft:gpt-4o-2024-08-06"),
        ("Tell me a joke", "other"),
        ("sk-proj-abcdefghijkl", "other"),
        ("ada@example.com", "other"),
        ("555-123-4567", "other"),
        ("a" * 200, "other"),
        ("d41d8cd98f00b204e9800998ecf8427e", "other"),
        ("", "other"),
        (None, "other"),
        (["gpt-4o"], "other"),
    ],
)
def test_names_of_models(value: Any, shown: str) -> None:
    assert safe_names.model(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("temperature", "temperature"), ("chat_template_kwargs", "chat_template_kwargs"),
        ("my secret", "other"), ("Straße", "other"),
        ("x" * 65, "other"), ("a1b2c3d4e5", "other"), ("sk_live_abcdefgh12", "other"),
        ("", "other"), ("ada@example.com", "other"),
    ],
)  # fmt: skip
def test_names_of_parameters(value: str, shown: str) -> None:
    assert safe_names.key(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("messages[12].name", "messages[].name"),
        ("messages[0].content[3].image_url.url", "messages[].content[].image_url.url"),
        ("messages[0].my secret", "messages[].other"),
        ("messages[0].content[1].my.secret words", "messages[].content[].other"),
        ("tools[0].function.a b", "tools[].function.other"),
        ("stream_options.é", "stream_options.other"),
        ("$", "$"),
        ("query.api-version", "query.api-version"),
        ("my secret", "other"),
    ],
)
def test_paths(value: str, shown: str) -> None:
    assert safe_names.without_indexes(safe_names.path(value)) == shown
