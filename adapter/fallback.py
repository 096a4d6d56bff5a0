"""When a reply to `POST /responses` means that the call belongs on Chat Completions after all (DESIGN §4, `fallback`).

Judged by the head of the reply and, where that isn't enough, by its body; never after the first byte of an answer. What the
SDK tries again by itself (408, 409, 429, 5xx) is left to it.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from . import codec
from .effects import Head

Reason = Literal["missing", "blocked", "rejected"]

WHY: dict[str, str] = {
    "missing": "the server has no Responses API",
    "blocked": "a gateway kept the request from the Responses API",
    "rejected": "translation-suspect: the Responses API refused the request, Chat Completions took it",
}
"""What the ledger says of each."""

_RETRIED = frozenset({408, 409, 429})

# What servers call an unknown route, where they say it in the API's shape; any other code names a thing that the route knows:
# a model, a deployment, a stored response.
_NO_ROUTE = frozenset({"none", "", "404", "405", "not_found", "notfound", "unknown_url", "invalid_url", "method_not_allowed",
                       "resourcenotfound", "resource_not_found", "route_not_found", "route_not_found_error"})  # fmt: skip
_MODEL = re.compile(r"\b(?:model|deployment)\b", re.IGNORECASE)


def needs_body(head: Head) -> bool:
    """Tell whether a reply may call for a fallback, so that it must be read to judge it."""
    if head.status in _RETRIED or head.status >= 500:
        return False
    return head.status >= 400 or _html(head)


def judge(head: Head, raw: bytes) -> Reason | None:
    """Say why a reply calls for a fallback, or None.

    `missing`: a 405, or a 404 that names nothing but the route. `blocked`: a 302; a 401, 403 or page of HTML that isn't shaped
    like the API's errors. `rejected`: a 400 of the API's own.
    """
    if head.status == 302:
        return "blocked"
    error = _error(raw)
    match head.status:
        case 405:
            return "missing"
        case 404 if error is not None:
            named = str(error.get("code")).lower() not in _NO_ROUTE or error.get("param") is not None
            # Some servers give an unknown model no code of its own (vLLM).
            return None if named or _MODEL.search(error["message"]) else "missing"
        case 404:
            return "missing"
        case 401 | 403:
            return "blocked" if error is None else None
        case 400 if error is not None:
            return "rejected"
    return "blocked" if error is None and _html(head) else None


def _html(head: Head) -> bool:
    return head.content_type.lower().partition(";")[0].strip() in ("text/html", "application/xhtml+xml")


def _error(raw: bytes) -> dict[str, Any] | None:
    """Return the error of a body that is shaped like the API's errors."""
    try:
        body = codec.loads(raw)
    except ValueError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) and isinstance(error.get("message"), str) else None
