"""Whose turns a request is about: what the memory's scope is made of (DESIGN §6, Reasoning)."""

from __future__ import annotations

import re
from typing import Any

from adapter.memory.scope import Whose

from . import fields
from .missing import base_of

_CREDENTIALS = (b"authorization", b"api-key", b"x-api-key", b"ocp-apim-subscription-key")
"""Where OpenAI, Azure and the gateways before them look for a key; whoever differs in one of them is somebody else."""

# A JSON web token: it stands for a principal for an hour, and the next one looks different. The wire door can't ask the client.
_TOKEN = re.compile(r"(?i:bearer) eyJ[\w-]+\.[\w-]+\.[\w-]*")

_PROVIDERS = ("_azure_ad_token_provider", "_azure_ad_token", "_workload_identity_auth")
"""Where the SDK's clients keep what makes tokens (openai/_client.py, openai/lib/azure.py); private, in all versions."""


def token_of(client: Any) -> str | None:
    """Return the `Authorization` header that a client with changing tokens sends now; `*` where that can't be told; None for keys."""
    has = client.__dict__  # where the SDK keeps them; asking the client itself costs three times as much
    for name in _PROVIDERS:
        if has.get(name) is not None:
            return "*"
    if has.get("_api_key_provider") is not None:  # it has put its newest one into `api_key`
        return f"Bearer {client.api_key}"
    return None


def whose_of(request: Any, conversation: str | None, *, token: str | None) -> Whose:
    """Say whose turns a request is about; `token` is the client's own `Authorization` header where that changes. See token_of."""
    headers = request.headers
    scheme, host, port, path = base_of(request.url)
    query = sorted(part for part in request.url.query.split(b"&") if part and not part.startswith(b"api-version="))
    sent = {name.decode(): value for name in _CREDENTIALS if (value := fields.value(headers, name))}
    bearer = sent.get("authorization")
    if bearer is not None and (token in (bearer, "*") or _TOKEN.match(bearer)):
        del sent["authorization"]
    return Whose(
        f"{scheme}://{host}:{port}{path.decode('ascii', 'replace')}?{b'&'.join(query).decode('ascii', 'replace')}",
        fields.value(headers, b"openai-organization"),
        fields.value(headers, b"openai-project"),
        "\0".join(f"{name}={value}" for name, value in sent.items()),
        conversation,
    )
