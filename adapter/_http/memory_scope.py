"""Whose turns a request is about: what the memory's scope is made of (docs/decisions.md#isolation)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from adapter._memory.keys import MemoryScope, make_memory_scope
from adapter._runtime.missing_endpoints import base_url_of

from . import header_fields

_CREDENTIALS = (b"authorization", b"api-key", b"x-api-key", b"ocp-apim-subscription-key")
"""Where OpenAI, Azure and the gateways before them look for a key; whoever differs in one of them is somebody else."""

_MAX_TOKEN = 16_384  # characters of a token that is looked into
_CLAIMS = ("iss", "tid", "sub")  # a subject is one within its issuer, and its tenant

Token = str | Callable[[], str | None]
"""A token that a client has fetched for the call that it makes, or what returns it once it is fetched."""


_IDENTITY_HEADERS = frozenset({*_CREDENTIALS, b"openai-organization", b"openai-project"})


def memory_scope_of(
    request: Any, conversation: str | None, *, token: Token | None, tenants: Sequence[bytes] = ()
) -> MemoryScope:
    """Say whose turns a request is about.

    `token` is what the client has fetched from its provider for this call: tokens of the same principal come and go, so where the
    request carries this very one, its claims stand for it. Any other counts whole: whoever may write a header can write claims.
    `tenants` are the names, in lower case, of the headers by which a gateway tells tenants apart.
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
        f"{scheme}://{host}:{port}{path.decode('ascii', 'replace')}?{b'&'.join(query).decode('ascii', 'replace')}",
        sent.get(b"openai-organization", ""),
        sent.get(b"openai-project", ""),
        "\0".join([f"{name.decode()}={sent[name]}" for name in _CREDENTIALS if sent.get(name)]),
        conversation,
        tenant="\0".join([f"{name.decode()}={sent.get(name, '')}" for name in tenants]),
    )


def _principal(token: str) -> str | None:
    """Return the stable claims of a JSON web token, unverified; None where it has none.

    What is returned can't be a header's value.
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
