"""HTTP statuses for codes and types of errors (docs/mapping.md#failed-responses).

An error in a reply with status 200 has no status. It follows from the error's code if that is
known, else from a status that the error names, else from its type; otherwise it is 500.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

UNKNOWN = 500

# Codes and types, in lower case and without `_error` or `_exception` at the end. Those without a
# star are looked up first, then the patterns in this order.
_STATUSES: tuple[tuple[int, str], ...] = (
    (401, "authentication invalid_api_key incorrect_api_key missing_api_key invalid_organization"),
    (401, "unauthorized unauthenticated invalid_token token_expired"),
    (401, "token_revoked account_deactivated"),
    (401, "mismatched_organization mismatched_project invalid_issuer"),
    (401, "missing_authorization no_api_key"),
    (403, "permission permission_denied forbidden access_denied insufficient_permissions"),
    (403, "missing_scope missing_scopes access_terminated"),
    (403, "country_not_supported region_not_supported"),
    (403, "unsupported_country_region_territory ip_not_authorized misalignment_policy_violation"),
    (404, "not_found unknown_url unknown_model no_such_model"),
    (405, "method_not_allowed"),
    (408, "request_timeout"),
    (413, "tokens_limit_reached"),  # dialect: GitHub Models (the request is too large)
    (409, "conflict aborted already_exists"),
    (422, "unprocessable_entity"),
    (400, "previous_response_not_found invalid_request bad_request validation invalid_argument"),
    (400, "failed_precondition data_residency_mismatch operation_not_supported"),
    (400, "model_not_supported"),
    (400, "tool_use_failed json_validate_failed recitation blocklist"),
    (400, "spii empty_array empty_string"),
    (400, "max_output_tokens max_tokens"),
    (429, "rate_limit too_many_requests slow_down requests tokens input_tokens output_tokens"),
    (429, "requests_usage_based tokens_usage_based resource_exhausted request_limit_exceeded"),
    (429, "usage_not_included payment_required throttled flex_unavailable limit_exceeded"),
    (500, "server internal internal_server internal_failure image_generation_server"),
    (501, "not_implemented unimplemented"),
    (502, "bad_gateway"),
    (401, "invalid_auth* invalid_*key invalid_credential* expired_* *key_expired"),
    (400, "invalid_* unsupported_* missing_* malformed_* duplicate_*"),
    (400, "unknown_* unrecognized_* unexpected_param* unexpected_arg*"),
    (400, "extra_* additional_properties*"),
    (429, "*rate_limit* *ratelimit* *quota* *usage_limit* *spend_limit* *billing* *throttling*"),
    (429, "*budget* *usage_cap* *free_tier* *rpm_* *tpm_* *concurrent_requests* *spending_cap*"),
    (429, "*insufficient_credit* *insufficient_balance* *insufficient_funds* *credit_balance*"),
    (429, "*concurrency_limit* *too_many_requests* *_hard_limit* *daily*"),
    (429, "*monthly* *per_min* *per_day*"),
    (429, "*_credits* credits_* *request_limit* *plan_limit* *account_limit*"),
    (400, "*image* *content_filter* *filtered* *policy* *policies*"),
    (400, "*moderation* *safety* *guardrail*"),
    (400, "*violation* *responsible_ai* *flagged* *blocked* *prohibited* *sensitive* *guideline*"),
    (400, "*jailbreak* *prompt_injection* *inspection_failed *harmful* *unsafe* *toxic* *illegal*"),
    (400, "*copyright* content_rejected content_not_allowed disallowed_content"),
    (503, "*overload* *unavailable* *capacity* *_busy* busy* *not_ready* try_again* *temporarily*"),
    (503, "*high_load* *high_demand* *_loading no_healthy* no_available*"),
    (504, "*timeout* *timed_out* *deadline*"),
    (400, "*too_large* *too_long* *too_big* *too_small* *too_short* *too_many* *too_few*"),
    (400, "*above_max* *below_min* *max_length* *context_length*"),
    (400, "*context_window* *length_exceeded*"),
    (400, "*max_tokens* *token_limit* *encrypted_content* *not_supported*"),
    (400, "*unsupported* *maximum* *exceeds*"),
    (400, "*out_of_range* *max_value* *min_value* *context_overflow* *context_size*"),
    (400, "*context_limit* *size_limit* *length_limit* *characters_limit*"),
    (429, "*limit_reached *limit_exceeded"),
    (403, "permission_* access_denied* *_forbidden *not_permitted* *unauthorized_region*"),
    (404, "*not_found* *does_not_exist*"),
)
_EXACT = {word: status for status, words in _STATUSES for word in words.split() if "*" not in word}
_PATTERNS = tuple(
    (word, status) for status, words in _STATUSES for word in words.split() if "*" in word
)

# dialect: Groq, Gemini (the status as a number or a word beside the code)
STATUS_KEYS = ("status_code", "http_status", "status")
_LONGEST = 100

_CAMEL_CASE_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ERROR_SUFFIX = re.compile(r"_?(?:error|exception)$")


def status_of(error: Mapping[str, Any]) -> int:
    """Return the HTTP status for an error object."""
    for value in (error.get("code"), *map(error.get, STATUS_KEYS), error.get("type")):
        status = known_status(value)
        if status is not None:
            return status
    return UNKNOWN


def known_status(value: object) -> int | None:
    """Return the status for a code or type; None if it is unknown."""
    # dialect: vLLM, llama.cpp, LiteLLM (the HTTP status as the code, as a number or in digits)
    if isinstance(value, int):
        return value if 400 <= value <= 599 else None
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    return _known(value)


@lru_cache(maxsize=256)
def _known(value: str) -> int | None:
    if re.fullmatch(r"[45][0-9]{2}", value):
        return int(value)
    word = (
        _CAMEL_CASE_BOUNDARY.sub("_", value)
        .lower()
        .replace("-", "_")
        .replace(" ", "_")
        .replace(".", "_")
    )
    word = _ERROR_SUFFIX.sub("", word)
    if word in _EXACT:
        return _EXACT[word]
    return next((status for pattern, status in _PATTERNS if fnmatchcase(word, pattern)), None)
