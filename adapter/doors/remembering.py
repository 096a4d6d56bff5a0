"""Whose turns a request is about: what the memory's scope is made of (DESIGN §6, Reasoning)."""

from __future__ import annotations

import re
from typing import Any

from adapter.memory.scope import Whose

from .missing import base_of

# A JSON web token: it stands for a principal for an hour, and the next one looks different. The wire door can't ask the client.
_TOKEN = re.compile(r"(?i:bearer) eyJ[\w-]+\.[\w-]+\.[\w-]*")

_PROVIDERS = ("_api_key_provider", "_azure_ad_token_provider", "_azure_ad_token", "_workload_identity_auth")
"""Where the SDK's clients keep what makes tokens (openai/_client.py, openai/lib/azure.py); private, in all versions."""


def has_tokens(client: Any) -> bool:
    """Tell whether a client signs in with tokens, which change."""
    return any(getattr(client, name, None) is not None for name in _PROVIDERS)


def whose_of(request: Any, conversation: str | None, *, tokens: bool) -> Whose:
    """Say whose turns a request is about; `tokens` tells that its credential is one."""
    headers = request.headers
    scheme, host, port, path = base_of(request.url)
    credential = headers.get("api-key") or headers.get("authorization") or ""
    if tokens or _TOKEN.match(credential):
        credential = ""
    return Whose(
        f"{scheme}://{host}:{port}{path.decode('ascii', 'replace')}",
        headers.get("openai-organization") or "",
        headers.get("openai-project") or "",
        credential,
        conversation,
    )
