"""When a reply to `POST /responses` means that the call belongs on Chat Completions after all (docs/decisions.md#fallback).

Judged by the head of the reply and, where that isn't enough, by its body; never after the first byte of an answer. What the
SDK tries again by itself (408, 409, 429, 5xx) is left to it.
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
    "blocked": "a gateway kept the request from the Responses API",
    "rejected": "the Responses API refused the request",
}
"""What the ledger says of each."""

UNSERVED_TEXT = "the server doesn't serve this model on the Responses API"
"""What it says where only a model is missing."""

_RETRIED = frozenset({408, 409, 429})

# What servers call an unknown route, where they give it a code; any other code names a thing that the route knows: a model, a
# deployment, a stored response.
_NO_ROUTE = frozenset({"none", "", "404", "405", "not_found", "notfound", "unknown_url", "invalid_url", "method_not_allowed",
                       "methodnotallowed", "resourcenotfound", "resource_not_found", "route_not_found",
                       "route_not_found_error", "not_found_error", "notfounderror"})  # fmt: skip
# Servers that give an unknown thing no code of its own (vLLM, Ollama, Gemini, OpenRouter) name it, or its kind.
_RESOURCE_WORDS = re.compile(
    r"\b(?:models?|deployments?|engines?|adapters?|no endpoints|no such \w+ object|\w+ with id|previous[ _]response)\b",
    re.IGNORECASE,
)
_CHAT, _RESPONSES = b"/chat/completions", b"/responses"


def chat_path_of(raw_path: bytes) -> bytes | None:
    """Return the raw path of Chat Completions for a request that came for this one; None where there is none to be found.

    A request that the HTTP client has redirected comes for `…/responses`, still with its chat body (docs/mapping.md#redirects).
    """
    if raw_path.endswith(_CHAT) and b"?" not in raw_path:
        return raw_path  # as nearly all of them
    path, mark, query = raw_path.partition(b"?")
    bare = path.rstrip(b"/")
    if bare.endswith(_CHAT):
        return raw_path
    return (
        bare.removesuffix(_RESPONSES) + _CHAT + mark + query if bare.endswith(_RESPONSES) else None
    )


def loss_of_retry(head: ReplyHead) -> Loss:
    """Say what Chat Completions made of a request that the Responses API refused."""
    outcome = ""
    if head.status < 400:
        outcome = ", Chat Completions took it"
    elif head.status < 500 and head.status not in _RETRIED:
        outcome = ", and so did Chat Completions"
    return Loss(
        "$",
        "held",
        ("translation-suspect: " if head.status < 400 else "") + REASON_TEXT["rejected"] + outcome,
    )


def needs_body(head: ReplyHead) -> bool:
    """Tell whether a reply may call for a fallback, so that it must be read to judge it."""
    if head.status in _RETRIED or (head.status >= 500 and head.status not in STATUSES):
        return False
    return head.status >= 400 or _is_html(head)


def classify(head: ReplyHead, raw: bytes) -> Reason | None:
    """Say why a reply calls for a fallback, or None.

    `missing`: a 404 or 405 that names nothing but the route, or a reply that says that the model isn't served there (`lacks_model`
    tells them apart). `blocked`: a 302; a 401, 403 or page of HTML that isn't shaped
    like the API's errors. `rejected`: a 400 of the API's own.
    """
    if head.status == 302:
        return "blocked"
    body = _parse(raw)
    if is_unserved(head.status, _body_or_text(head, body, raw)):
        return "missing"
    if head.status >= 500:
        return None
    shaped = _is_error(body)
    match head.status:
        case 404 | 405:
            message = (
                _message_of(body)
                if body is not None
                else ("" if _is_html(head) else raw.decode(errors="replace"))
            )
            return None if _names_a_resource(body) or _RESOURCE_WORDS.search(message) else "missing"
        case 401 | 403:
            return None if shaped else "blocked"
        case 400 if shaped:
            return "rejected"
    return "blocked" if not shaped and _is_html(head) else None


def lacks_model(head: ReplyHead, raw: bytes) -> bool:
    """Tell whether a reply says that one model isn't served on the Responses API; others may be."""
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
    return body[0] if isinstance(body, list) and body else body  # Gemini's errors come in a list


def _is_error(body: Any) -> bool:
    error = body.get("error") if isinstance(body, dict) else None
    return isinstance(error, dict) and isinstance(error.get("message"), str)


def _error_of(body: Any) -> Any:
    """Return what a body says of its error: an object or a text, in one of the places where servers put it."""
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
