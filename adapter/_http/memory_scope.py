"""The scope of the memory that a request may use (docs/decisions.md#isolation)."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from adapter._memory.keys import MemoryScope, make_memory_scope
from adapter._runtime.protocols import Token

from . import header_fields
from .urls import base_url_of

_CREDENTIALS = (b"authorization", b"api-key", b"x-api-key", b"ocp-apim-subscription-key")
"""Where OpenAI, Azure and gateways look for a key; a difference in one makes another scope."""

_MAX_TOKEN = 16_384  # characters of a token that is decoded
_CLAIMS = ("iss", "tid", "sub")  # a subject is unique within its issuer and tenant

_IDENTITY_HEADERS = frozenset({*_CREDENTIALS, b"openai-organization", b"openai-project"})


def memory_scope_of(
    request: Any, conversation: str | None, *, token: Token | None, tenants: Sequence[bytes] = ()
) -> MemoryScope:
    """Return the scope of the memory that a request may use.

    `token` is the one that the client fetched from its provider for this call. Tokens of one
    principal change, so if the request carries this very token, its claims count instead. Any
    other token counts whole, since its header, and so its claims, may be forged. `tenants` are the
    names, in lower case, of the headers by which a gateway distinguishes tenants.
    """
    scheme, host, port, path = base_url_of(request.url)
    query = sorted(
        part
        for part in request.url.query.split(b"&")
        if part and not part.startswith(b"api-version=")
    )
    sent = header_fields.joined_values(
        request.headers, _IDENTITY_HEADERS.union(tenants) if tenants else _IDENTITY_HEADERS
    )
    fetched = token() if callable(token) else token
    if fetched:
        for name, value in ((b"authorization", f"Bearer {fetched}"), (b"api-key", fetched)):
            if sent.get(name) == value:
                sent[name] = _principal(fetched) or value
    return make_memory_scope(
        f"{scheme}://{host}:{port}{path.decode('ascii', 'replace')}"
        f"?{b'&'.join(query).decode('ascii', 'replace')}",
        sent.get(b"openai-organization", ""),
        sent.get(b"openai-project", ""),
        "\0".join([f"{name.decode()}={sent[name]}" for name in _CREDENTIALS if sent.get(name)]),
        conversation,
        tenant="\0".join([f"{name.decode()}={sent.get(name, '')}" for name in tenants]),
    )


def _principal(token: str) -> str | None:
    """Return the stable claims of a JSON web token, unverified; None if it has none.

    The result begins with a line break, so no header can have it as its value.
    """
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _MAX_TOKEN:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        principal = {name: claims.get(name) for name in _CLAIMS}
    except (ValueError, AttributeError, RecursionError):
        return None
    if not principal["sub"] or not all(
        one is None or isinstance(one, str) for one in principal.values()
    ):
        return None
    return "\n" + json.dumps(principal)
