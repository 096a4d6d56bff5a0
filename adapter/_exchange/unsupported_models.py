"""Recognise replies which say that a model isn't served on the Responses API.

There is no common code: the patterns are the texts of servers and gateways, with status 400 or
404, from some 405, 422 or 501. A text counts only if the error is about nothing else, such as a
parameter or a tool (docs/edge-cases.md#a-model-that-is-not-served).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

STATUSES = frozenset({400, 404, 405, 422, 501})
"""The statuses of such replies."""

_CODES = frozenset({
    "unsupported_api_for_model",  # GitHub Copilot
    "operationnotsupported",  # Azure: "The responses operation does not work with …"
    "unsupported_api", "unsupported_endpoint", "endpoint_not_supported", "responses_not_supported",
    "responses_api_not_supported", "model_not_supported_on_endpoint",
    "unsupported_endpoint_for_model",
})  # fmt: skip

# Other codes: that the API, or a model on an endpoint, isn't supported.
_NEGATED = (
    r"(?:unsupported|unavailable|not_?(?:supported|available|enabled|served|allowed)|not_support)"
)
_CODE = re.compile(
    rf"(?=.*{_NEGATED})(?:.*responses(?![a-z])|(?=.*(?:endpoint|api)(?![a-z])).*model)",
)

_API = (
    r"(?:['\"`]?(?:/(?:openai/)?(?:v1/)?|v1/)responses\b['\"`]?"
    r"|\bresponses['\"`]?[ -](?:api|endpoint|route|operation)\b)"
)
_SUBJECT = r"\b(?:models?|deployments?|providers?|engines?)\b"
_LACKING = (
    r"unsupported|unavailable|incompatible|has no|lacks|without|does(?:n't| not) exist|not found"
)
_NOT_BEING = r"(?:is|are|was)(?: currently)?(?:n't| not)(?: yet| currently)?|not(?: yet)?"
_SERVED = r"(?:supported|available|accessible|enabled|served|implemented|compatible|allowed)"
_NOT_DOING = r"(?:does|do)(?:n't| not)(?: yet| currently)?|can(?:n't|not|'t)"
_SUPPORT = r"(?:support|serve|offer|accept|implement|work with|be used with)"
_ON = r"(?:on|by|via|with|in|over)"
_CHAT = r"chat[ /.-]?completions"

# Texts of OpenAI ("The requested model … is not supported with the Responses API.", "… only
# supported in v1/chat/completions and not in v1/responses"), GitHub Copilot, Azure, Bedrock, vLLM,
# and gateways.
_TEXTS = (
    # A model is not accessible via the /responses endpoint.
    rf"{_SUBJECT}[^\n]{{0,120}}?\b(?:{_NOT_BEING}) {_SERVED}[^.\n]{{0,30}}?{_API}",
    # A model isn't served "on Responses"; a provider doesn't support "responses".
    rf"{_SUBJECT}[^\n]{{0,120}}?\b(?:{_NOT_BEING}) {_SERVED} {_ON} responses\b",
    rf"{_SUBJECT}[^\n]{{0,120}}?\b(?:{_NOT_DOING}) (?:support|serve|offer) responses[.!]?$",
    # A model is unsupported on, is unknown to, has no Responses API.
    rf"{_SUBJECT}[^\n]{{0,120}}?\b(?:{_LACKING})\b[^.\n]{{0,20}}?{_API}",
    rf"\bunsupported models? (?:for|on|in)(?: the)? {_API}",
    rf"\bno {_API}",
    rf"\bno [^.\n]{{1,60}}? (?:support|serve|offer)s?(?: the)? (?:{_API}|responses\b)",
    # The Responses API doesn't serve a model, or is unsupported or unavailable for it.
    rf"{_API} (?:{_NOT_DOING}) (?:support|serve|offer|accept|be used with) (?:\w+ )?{_SUBJECT}",
    rf"{_API} (?:is )?(?:unsupported|unavailable)\b",
    # A model, a provider does not support the Responses API.
    rf"\b(?:{_NOT_DOING}) {_SUPPORT}[^.\n]{{0,20}}?{_API}",
    # The Responses API is not available for a model.
    rf"{_API}[^.\n]{{0,30}}? (?:{_NOT_BEING}) {_SERVED}",
    r"\bunsupported api\b[^.\n]{0,10}?\bresponses\b",
    # A model is only served on Chat Completions.
    rf"\bonly (?:be )?(?:supports?|works|used|{_SERVED})[^\n]{{0,40}}?\b{_CHAT}?\b",
    rf"\b(?:called|used|reached) (?:through|via|with) (?:the )?['\"`/]*(?:v1/)?{_CHAT}\b",
    rf"\buse (?:the )?['\"`]?/?(?:v1/)?{_CHAT}\b['\"`]?(?: api| endpoint)?",
    # Azure.
    r"\bresponses? operation does not work with the specified model\b",
    r"^\W*the requested operation is unsupported\b",
    # Bedrock.
    rf"\b(?:{_NOT_BEING}) supported (?:on|by|with|in|for) this (?:route|endpoint|api)\b",
    rf"\b(?:{_NOT_DOING}) support this (?:route|endpoint|api|operation)\b",
    rf"\b(?:unsupported|unknown) (?:endpoint|route|api)\b[^.\n]{{0,20}}?{_API}",
    r"\bnot a responses(?: api)? model\b",
)
_LONGEST = 600  # a longer text quotes something
_LONGEST_CODE = 80
_PLAIN_CODES = frozenset(code.replace("_", "") for code in _CODES)


@cache  # compiled with the first such reply: it takes 10 ms
def _patterns() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(text, re.IGNORECASE) for text in _TEXTS)


def is_unserved(status: int, body: Any) -> bool:
    """Return whether a reply says that its model isn't served; `body` is its JSON or its text."""
    if status not in STATUSES:
        return False
    error = _error_of(body)
    if isinstance(error, dict):
        words = (error.get("code"), error.get("type"))
        if any(isinstance(word, str) and _is_code(word) for word in words):
            return True
        if error.get("param") not in (None, "", "model"):
            return False
    message = _message_of(error)
    return 0 < len(message) <= _LONGEST and any(text.search(message) for text in _patterns())


def _is_code(word: str) -> bool:
    if len(word) > _LONGEST_CODE:
        return False
    word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower().replace("-", "_")
    return word.replace("_", "") in _PLAIN_CODES or _CODE.match(word) is not None


def _error_of(body: Any) -> Any:
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return body
    return next((body[key] for key in ("error", "detail") if body.get(key)), body)


def _message_of(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""
