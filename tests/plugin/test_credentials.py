"""Credentials in cassettes: never recorded, irrelevant to replays, and found by the check."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import vcr
import yaml

from adapter.testing import cassette_bodies, cassette_check, cassettes, credentials
from tests.support.loopback import Loopback, Reply
from tests.support.ways_in import HTTP

FIRST, SECOND = "c4nary" + "A1b2" * 6, "0ther" + "C3d4" * 6
"""The secrets of two users, of the same form."""


def _jwt(secret: str) -> str:
    return (
        "eyJ"
        + base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
        + f".{secret}.{secret}"
    )


def _tool(secret: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "mcp",
        "server_label": "s",
        "server_url": "https://example.com/mcp",
        **more,
        "authorization": secret,
    }


@dataclass(frozen=True, slots=True)
class Place:
    """A place with a credential, in a request (query, headers, body, user) or in its reply."""

    query: Callable[[str], str] = lambda _: ""
    headers: Callable[[str], dict[str, str]] = lambda _: {}
    body: Callable[[str], Any] = lambda _: {"model": "m"}
    user: Callable[[str], str] = lambda _: ""
    path: Callable[[str], str] = lambda _: "/v1/responses"
    reply: Callable[[str], Any] = lambda _: {"id": "resp_1"}
    reply_headers: Callable[[str], tuple[tuple[str, str], ...]] = lambda _: ()
    pack: Callable[[bytes], bytes] = field(default=lambda raw: raw)


QUERIES = (
    "api-key",
    "api_key",
    "apikey",
    "key",
    "code",
    "sig",
    "token",
    "access_token",
    "subscription-key",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "client_secret",
    "password",
    "x.y-token",
)
HEADERS = (
    "authorization",
    "api-key",
    "x-api-key",
    "ocp-apim-subscription-key",
    "cookie",
    "proxy-authorization",
    "x-amz-security-token",
    "openai-organization",
    "openai-project",
    "x-goog-api-key",
    "azureml-model-session",
)
KEYS = (
    "authorization",
    "api_key",
    "x-api-key",
    "access_token",
    "client_secret",
    "password",
    "connectionString",
)

PLACES: dict[str, Place] = {
    **{
        f"query {name}": Place(query=lambda s, n=name: f"api-version=2025&{n}={s}")
        for name in QUERIES
    },  # type: ignore[misc]
    **{
        f"header {name}": Place(headers=lambda s, n=name: {n: s})  # type: ignore[misc]
        for name in HEADERS
    },
    **{
        f"key {name}": Place(body=lambda s, n=name: {"a": [{n: s, "b": 1}]})  # type: ignore[misc]
        for name in KEYS
    },
    **{
        f"replied header {name}": Place(reply_headers=lambda s, n=name: ((n, s),))
        for name in ("set-cookie", "x-session-token", "azureml-x")
    },  # type: ignore[misc]
    "a token in a header that stays": Place(headers=lambda s: {"accept": f"text/x; v={_jwt(s)}"}),
    "a location's query": Place(
        reply_headers=lambda s: (("location", f"https://private.internal/v1/responses?sig={s}"),)
    ),
    "a location's user": Place(
        reply_headers=lambda s: (("location", f"https://u:{s}@private.internal/v1"),)
    ),
    "user and password": Place(user=lambda s: f"user:{s}@"),
    "a key in the path": Place(path=lambda s: f"/sk-{s}/v1/responses"),
    "an MCP server's authorization": Place(body=lambda s: {"tools": [_tool(s)]}),
    "an MCP server's headers": Place(
        body=lambda s: {"tools": [_tool("", headers={"X-Mine": s, "Y": s})]}
    ),
    "an MCP server's address": Place(
        body=lambda s: {"tools": [_tool("", server_url=f"https://example.com/mcp?token={s}")]}
    ),
    "an MCP server, echoed": Place(
        reply=lambda s: {"id": "resp_1", "tools": [_tool(s, headers={"A": s})]}
    ),
    "an MCP server, echoed in a stream": Place(
        reply=lambda s: (
            f"event: response.created\ndata: {json.dumps({'response': {'tools': [_tool(s)]}})}\n\n"
        )
    ),
    "a data source's key": Place(
        body=lambda s: {
            "data_sources": [
                {
                    "type": "azure_search",
                    "parameters": {"authentication": {"type": "api_key", "key": s}},
                }
            ]
        }
    ),
    "a token in a text": Place(
        body=lambda s: {"input": f"use {_jwt(s)} for it"}, reply=lambda s: {"text": _jwt(s)}
    ),
    "a bearer in a text": Place(body=lambda s: {"input": f"Authorization: Bearer {s}"}),
    "a password in a text": Place(
        body=lambda s: {"input": f"Authorization: Basic {base64.b64encode(s.encode()).decode()}"}
    ),
    "an address with a signature": Place(
        body=lambda s: {"image_url": f"https://example.com/a.png?se=2030&sig={s}&sp=r"}
    ),
    "an address with a password": Place(body=lambda s: {"input": f"postgres://me:{s}@db/x"}),
    "a packed body": Place(
        body=lambda s: {"tools": [_tool(s)], "input": _jwt(s)},
        pack=lambda raw: gzip.compress(raw, mtime=1),
        headers=lambda _: {"content-encoding": "gzip"},
    ),
    "a body packed in another way": Place(
        body=lambda s: {"tools": [_tool(s)]},
        pack=zlib.compress,
        headers=lambda _: {"content-encoding": "deflate"},
    ),
    "a body that isn't text": Place(body=lambda s: b"\xff\xfe\x00" + _jwt(s).encode() + b"\xff"),
    "a separator of lines in a stream": Place(
        reply=lambda s: (
            "data: "
            + json.dumps({"text": "\u2028", "tools": [_tool(s)]}, ensure_ascii=False)
            + "\n\n"
        )
    ),
    "lines of JSON": Place(
        body=lambda s: b"\n".join(
            json.dumps({"body": {"tools": [_tool(s)]}}).encode() for _ in range(2)
        )
    ),
    "lines of JSON in a form": Place(
        body=lambda s: (
            b"--x\r\nname=file\r\n\r\n"
            + json.dumps({"body": {"tools": [_tool(s)]}}).encode()
            + b"\r\n--x--"
        )
    ),
    "spaced JSON": Place(body=lambda s: json.dumps({"tools": [_tool(s)]}, indent=3).encode()),
    "a form": Place(
        body=lambda s: (
            f"--x\r\ncontent-disposition: form-data; name=a\r\n\r\nBearer {s}\r\n--x--".encode()
        )
    ),
}
each_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


def ask(place: Place, server: Loopback, secret: str) -> Any:
    """Send a request with a secret in it."""
    body = place.body(secret)
    raw = place.pack(
        body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    )
    said = place.reply(secret)
    content_type = "text/event-stream" if isinstance(said, str) else "application/json"
    text = said if isinstance(said, str) else json.dumps(said)
    server.answer = lambda _: Reply(
        200, (("content-type", content_type), *place.reply_headers(secret)), [text.encode()]
    )
    query = place.query(secret)
    url = f"http://{place.user(secret)}127.0.0.1:{server.port}{place.path(secret)}" + (
        f"?{query}" if query else ""
    )
    with HTTP.Client(transport=HTTP.HTTPTransport(verify=False)) as client:
        reply = client.post(
            url, content=raw, headers={"content-type": "application/json", **place.headers(secret)}
        )
        reply.read()
        return reply


def _forms(secret: str) -> list[bytes]:
    return [secret.encode(), base64.b64encode(secret.encode()).rstrip(b"=")[:-1]]


def in_any_form(path: Path, secret: str) -> bool:
    """Return whether a cassette has a secret: as text, in a compressed body, or as base64."""
    text = path.read_bytes()
    data = cassettes.Serializer.deserialize(text.decode())
    raw = [
        credentials.decompressed(one or b"")
        for each in data["interactions"]
        for one in (each["request"]["body"], each["response"]["body"]["string"])
    ]
    return any(form in one for one in (text, *raw) for form in _forms(secret))


@each_place
def test_a_credential_is_never_recorded(loopback: Loopback, tmp_path: Path, place: Place) -> None:
    path = tmp_path / "a.chat.yaml"
    with cassettes.use_cassette(path, record=True):
        reply = ask(place, loopback, FIRST)
    said = place.reply(FIRST)
    assert reply.text == (said if isinstance(said, str) else json.dumps(said)), (
        "the caller's own reply is not changed"
    )
    assert not in_any_form(path, FIRST)
    assert "internal" not in path.read_text()
    assert [str(one) for one in cassette_check.check(tmp_path, [])] == []
    sent = len(loopback.requests)
    for secret in (FIRST, SECOND):
        with cassettes.use_cassette(path):
            ask(place, loopback, secret)
    assert len(loopback.requests) == sent, "a replay sends nothing"


@pytest.mark.parametrize(
    "name",
    ["an MCP server's authorization", "query api-key", "a packed body", "a location's query"],
)
def test_pytest_recordings_settings_do_the_same(
    loopback: Loopback, tmp_path: Path, name: str
) -> None:
    place, path = PLACES[name], tmp_path / "a.yaml"
    for mode, secret in (("all", FIRST), ("none", SECOND)):
        machine = vcr.VCR(record_mode=mode, **cassettes.options())
        machine.register_serializer("yaml", cassettes.Serializer)
        machine.register_matcher("same_body", cassettes.same_body)
        with machine.use_cassette(str(path)):
            ask(place, loopback, secret)
    assert not in_any_form(path, FIRST)


def unfiltered(place: Place, folder: Path, *, of_vcrpy: bool) -> Path:
    """Write the cassette that a recorder without filters would have written."""
    body, said = place.body(FIRST), place.reply(FIRST)
    raw = place.pack(body if isinstance(body, bytes) else json.dumps(body).encode())
    reply = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    query = place.query(FIRST)
    url = f"https://{place.user(FIRST)}recorded.invalid{place.path(FIRST)}" + (
        f"?{query}" if query else ""
    )
    reply_headers = {
        name: value.replace("private.internal", "recorded.invalid")
        for name, value in place.reply_headers(FIRST)
    }
    form = (lambda one: {"string": one}) if of_vcrpy else cassette_bodies.to_form
    each = {
        "request": {
            "method": "POST",
            "uri": url,
            "headers": place.headers(FIRST),
            "body": form(raw),
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": reply_headers,
            "body": form(reply),
        },
    }
    path = folder / "b.chat.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "interactions": [each]}), encoding="utf-8")
    return path


@each_place
def test_a_recorded_credential_is_found(tmp_path: Path, place: Place) -> None:
    unfiltered(place, tmp_path, of_vcrpy=False)
    findings = cassette_check.check(tmp_path, [])
    assert any("holds" in one.what for one in findings), findings
    assert not any(form.decode() in str(one) for one in findings for form in _forms(FIRST)), (
        "the finding repeats it"
    )


def test_an_earlier_cassette_replays_with_another_secret(
    loopback: Loopback, tmp_path: Path
) -> None:
    place = Place(query=PLACES["query code"].query, body=PLACES["an MCP server's headers"].body)
    path = unfiltered(place, tmp_path, of_vcrpy=True)
    with cassettes.use_cassette(path):
        ask(place, loopback, SECOND)
    assert loopback.requests == []


HARMLESS = (
    "the code is 4711 and the key point is this",
    "https://example.com/a?page=2&order=asc",
    "basic arithmetic operations",
    "?encode=x",
    '{"token": "Hello", "logprob": -0.1}',
    (
        '{"type": "object", "properties": {"password": {"type": "string"}, '
        '"headers": {"type": "object"}}}'
    ),
    '{"max_tokens": 5, "prompt_cache_key": "mine", "total_tokens": 7}',
    '{"arguments": "{\\"password\\": \\"x\\"}"}',
    "sk-removed",
    '{"type":"mcp","authorization":null,"headers":{}}',
    'data: {"type":"response.output_text.delta","delta":"key=1"}\n\n',
    "a@b.example",
    "https://example.com/@me:x",
    '{"a": ',
    "[" * 2000,
    "\x1f\x8b broken",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_unchanged(text: str) -> None:
    found: list[str] = []
    assert credentials.clean_body(text, found.append) == text
    assert credentials.clean_body(text.encode(), found.append) == text.encode()
    assert found == []


@each_place
def test_cleaning_twice_changes_nothing(place: Place) -> None:
    body = place.body(FIRST)
    once = credentials.clean_body(body if isinstance(body, bytes) else json.dumps(body).encode())
    found: list[str] = []
    assert credentials.clean_body(once, found.append) == once
    assert found == []
    url = credentials.clean_url(
        f"https://{place.user(FIRST)}h{place.path(FIRST)}?{place.query(FIRST)}"
    )
    assert credentials.clean_url(url, None, found.append) == url
    assert found == []


def test_json_keeps_its_spacing() -> None:
    for style in cassette_bodies.STYLES:
        text = cassette_bodies.dumps({"tools": [_tool("é" + FIRST)]}, style)
        assert credentials.clean_body(text) == cassette_bodies.dumps(
            {"tools": [_tool(credentials.REMOVED)]}, style
        )
