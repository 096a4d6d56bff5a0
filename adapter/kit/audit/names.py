"""Which names may be shown: models and keys that look like names. Whatever else a log holds is `other`.

A log may hold anything in any place: a prompt for a key, a key for a model. So a name is shown only if it looks like one, and never
if it looks like a credential, an address or a number of somebody's.
"""

from __future__ import annotations

import re
from typing import Any

from adapter.telemetry import OTHER

_MODEL = re.compile(r"(?:ft:)?[A-Za-z][A-Za-z0-9._/+:-]{0,79}", re.ASCII)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_PATH = re.compile(
    r"(?:[A-Za-z_$][A-Za-z0-9_$]{0,39}|query\.api-version)(?:\[\])*(?:\.[A-Za-z_][A-Za-z0-9_]{0,39}(?:\[\])*)*",
    re.ASCII,
)
_INDEX = re.compile(r"\[\d+\]")
# Keys of APIs, tokens, hashes, long numbers: no model and no parameter is called like that. A date (20241022) has eight digits.
_SECRET = re.compile(r"(?i)^(?:sk|pk|rk|ak|ghp|gho|xox[a-z]|akia|eyj|bearer)[-_A-Z0-9]{8,}|[0-9a-f]{24,}|\d{9,}")
_DENSE = re.compile(r"[A-Za-z0-9]{20,}", re.ASCII)


def model(value: Any) -> str:
    """Return a model's name as it may be shown: of a fine-tuned one only what it was made from."""
    if not isinstance(value, str) or not _MODEL.fullmatch(value) or _secret(value):
        return OTHER
    if value.startswith("ft:"):
        return "ft:" + value.split(":")[1]  # behind it stand an organisation, its own name and an id
    return value


def key(value: str) -> str:
    """Return a key as it may be shown."""
    return value if _KEY.fullmatch(value) and not _secret(value) and sum(map(str.isdigit, value)) <= 4 else OTHER


def path(value: str) -> str:
    """Return a JSON path without its indexes, as it may be shown: `messages[].name`; `messages[].other` for a key that may not."""
    blanked = _INDEX.sub("[]", value)
    if _PATH.fullmatch(blanked):
        shown = ".".join(part if key(part.rstrip("[]")) != OTHER else OTHER for part in blanked.split("."))
        return blanked if shown == blanked or blanked in ("$", "query.api-version") else shown
    head = re.match(
        r"(?:messages\[\]|tools\[\]|functions\[\]|stream_options)(?:\.(?:content\[\]|function|custom))?(?=\.)", blanked
    )
    return f"{head[0]}.{OTHER}" if head else OTHER


def _secret(value: str) -> bool:
    if _SECRET.search(value):
        return True
    # A long run of letters and digits mixed is nobody's word.
    return any(re.search(r"\d", run) and re.search(r"[A-Za-z]", run) for run in _DENSE.findall(value))
