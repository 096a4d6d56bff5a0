"""Decide which replies to `POST /responses` send the call to Chat (docs/decisions.md#fallback).

The head of the reply decides or, if that isn't enough, its body; never anything after the first
byte of an answer. Statuses that the SDK retries by itself (408, 409, 429, 5xx) are left to it.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from adapter._util import json_codec
from adapter.translation.ledger import Loss

from .effects import ReplyHead
from .unsupported_models import STATUSES, is_unserved

Reason = Literal["missing", "blocked", "rejected"]

REASON_TEXT: dict[str, str] = {
    "missing": "the server has no Responses API",
    "blocked": "a gateway blocked the request to the Responses API",
    "rejected": "the Responses API refused the request",
}
"""The ledger's text for each reason."""

UNSERVED_TEXT = "the server doesn't serve this model on the Responses API"
"""The ledger's text if only the model is missing."""

_RETRIED = frozenset({408, 409, 429})

# Error codes of servers for an unknown route. Any other code means that the route exists, but not
# the model, deployment or stored response.
_NO_ROUTE = frozenset({
    "none", "", "404", "405", "not_found", "notfound", "unknown_url", "invalid_url",
    "method_not_allowed", "methodnotallowed", "resourcenotfound", "resource_not_found",
    "route_not_found", "route_not_found_error", "not_found_error", "notfounderror",
})  # fmt: skip
# Servers without a code for an unknown resource (vLLM, Ollama, Gemini, OpenRouter) name it or its
# type in the message.
_RESOURCE_WORDS = re.compile(
    r"\b(?:models?|deployments?|engines?|adapters?|no endpoints|no such \w+ object|\w+ with id"
    r"|previous[ _]response)\b",
    re.IGNORECASE,
)
_CHAT, _RESPONSES = b"/chat/completions", b"/responses"


def chat_path_of(raw_path: bytes) -> bytes | None:
    """Return the raw path of Chat Completions for a request to `raw_path`; None if there is none.

    A request that the HTTP client has redirected is for `…/responses`, still with its chat body
    (docs/mapping.md#redirects).
    """
    if raw_path.endswith(_CHAT) and b"?" not in raw_path:
        return raw_path  # nearly all of them
    path, mark, query = raw_path.partition(b"?")
    bare = path.rstrip(b"/")
    if bare.endswith(_CHAT):
        return raw_path
    return (
        bare.removesuffix(_RESPONSES) + _CHAT + mark + query if bare.endswith(_RESPONSES) else None
    )


def loss_of_retry(head: ReplyHead) -> Loss:
    """Return the loss that says what Chat replied to a request that the Responses API refused."""
    outcome = ""
    if head.status < 400:
        outcome = ", Chat Completions accepted it"
    elif head.status < 500 and head.status not in _RETRIED:
        outcome = ", and so did Chat Completions"
    return Loss(
        "$",
        "held",
        ("translation-suspect: " if head.status < 400 else "") + REASON_TEXT["rejected"] + outcome,
    )


def needs_body(head: ReplyHead) -> bool:
    """Return whether a reply may cause a fallback, so that its body must be read."""
    if head.status in _RETRIED or (head.status >= 500 and head.status not in STATUSES):
        return False
    return head.status >= 400 or _is_html(head)


def classify(head: ReplyHead, raw: bytes) -> Reason | None:
    """Return why a reply causes a fallback, or None.

    `missing`: a 404 or 405 that names nothing but the route, or a reply which says that the model
    isn't served there (`lacks_model` tells the two apart). `blocked`: a 302, or a 401, 403 or HTML
    page without the API's error object. `rejected`: a 400 from the API itself.
    """
    if head.status == 302:
        return "blocked"
    body = _parse(raw)
    if is_unserved(head.status, _body_or_text(head, body, raw)):
        return "missing"
    if head.status >= 500:
        return None
    is_api_error = _is_error(body)
    match head.status:
        case 404 | 405:
            message = (
                _message_of(body)
                if body is not None
                else ("" if _is_html(head) else raw.decode(errors="replace"))
            )
            return None if _names_a_resource(body) or _RESOURCE_WORDS.search(message) else "missing"
        case 401 | 403:
            return None if is_api_error else "blocked"
        case 400 if is_api_error:
            return "rejected"
    return "blocked" if not is_api_error and _is_html(head) else None


def lacks_model(head: ReplyHead, raw: bytes) -> bool:
    """Return whether a reply says that this model, rather than the API, is not served."""
    return is_unserved(head.status, _body_or_text(head, _parse(raw), raw))


def _body_or_text(head: ReplyHead, body: Any, raw: bytes) -> Any:
    return body if body is not None or _is_html(head) else raw.decode(errors="replace")


def _is_html(head: ReplyHead) -> bool:
    return head.content_type.lower().partition(";")[0].strip() in (
        "text/html",
        "application/xhtml+xml",
    )


def _parse(raw: bytes) -> Any:
    try:
        body = json_codec.loads(raw)
    except ValueError:
        return None
    return body[0] if isinstance(body, list) and body else body  # Gemini sends errors in a list


def _is_error(body: Any) -> bool:
    error = body.get("error") if isinstance(body, dict) else None
    return isinstance(error, dict) and isinstance(error.get("message"), str)


def _error_of(body: Any) -> Any:
    """Return the error in a body, an object or a text, from one of the keys that servers use."""
    if not isinstance(body, dict):
        return body
    return next((body[key] for key in ("error", "detail") if body.get(key)), body)


def _names_a_resource(body: Any) -> bool:
    error = _error_of(body)
    if not isinstance(error, dict):
        return False
    code = error.get("code")
    return (
        error.get("param") is not None or str("" if code is None else code).lower() not in _NO_ROUTE
    )


def _message_of(body: Any) -> str:
    error = _error_of(body)
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""
