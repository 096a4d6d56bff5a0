"""Names from outside, made safe for logs, ledgers, records, counters, reports and terminals.

A request, a reply, a log or a settings file may contain anything anywhere: a prompt as a key, an
API key as a model, a line break that forges a log line. So a name is shown only if it looks like
one, and not like a credential, an address or a personal number; otherwise it is replaced by
`other`. Text that must be shown unchanged (a file name, a value to the user who wrote it) is at
least bounded, on one line, and without control characters (docs/decisions.md#privacy).
"""

from __future__ import annotations

import re

OTHER = "other"
"""Replaces every name that isn't shown."""

_NAME = re.compile(r"[A-Za-z_@][\w.:/+-]{0,99}", re.ASCII)
_SETTING = re.compile(r"[\w.:/+*?-]{1,100}", re.ASCII)
_KEY = re.compile(r"[A-Za-z_$][\w$-]{0,63}", re.ASCII)
_PATH = re.compile(
    r"(?:\$|\[\d{0,9}\]|[A-Za-z_$][\w$-]*)(?:\[\d{0,9}\]|\.[A-Za-z_$][\w$-]*)*", re.ASCII
)
_PIECE = re.compile(r"(\w+)(?:\[\d{0,9}\])*", re.ASCII)
_INDEX = re.compile(r"\[\d+\]")
_LONGEST_PATH = 300

# API keys, tokens, hashes, long numbers. A date (20241022), which names may have, has eight digits.
_SECRET = re.compile(
    r"(?i)^(?:sk|pk|rk|ak)[-_][-\w]{8,}|^(?:gh[pousr]_|xox[a-z]-|akia|eyj|bearer)[-\w]{8,}"
    r"|[0-9a-f]{24,}|\d{9,}"
    r"|\d(?:[-._]?\d){12,}"
)
# Control characters except line feed and tab, bidirectional marks, other line separators.
_ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_DENSE = re.compile(r"[A-Za-z0-9]{20,}", re.ASCII)
_MAX_DIGITS = 4

# Known keys of paths: they are shown in front of a key that isn't.
_CONTAINERS = frozenset({
    "messages", "tools", "functions", "function", "custom", "content", "tool_calls",
    "function_call", "tool_choice", "stream_options", "response_format", "json_schema", "schema",
    "output", "input", "headers", "query", "audio", "file", "image_url", "input_audio",
    "annotations", "web_search_options", "reasoning", "text", "metadata", "usage", "choices",
    "delta", "message", "error", "response", "item", "part", "rules", "match", "models",
})  # fmt: skip


def name(value: object) -> str:
    """Return a name (of a model, a type, a code) if it may be shown, else `other`."""
    return (
        value
        if isinstance(value, str) and _NAME.fullmatch(value) and not _is_secret(value)
        else OTHER
    )


def model(value: object) -> str:
    """Return a model's name if it may be shown; of a fine-tuned model only its base model."""
    shown = name(value)
    # The rest is an organisation, a suffix and an id.
    return "ft:" + shown.split(":")[1] if shown.startswith("ft:") else shown


def key(value: str) -> str:
    """Return a key if it may be shown, else `other`."""
    return value if _is_key(value) else OTHER


def path(value: str) -> str:
    """Return a JSON path with `other` for what may not be shown: `messages[3].other`."""
    if len(value) <= _LONGEST_PATH and _PATH.fullmatch(value):
        parts = _INDEX.sub("", value).replace("[]", "").split(".")
        if all(part in {"", "$"} or _is_key(part) for part in parts):
            return value
    shown = []
    for part in value[:_LONGEST_PATH].split("."):
        found = _PIECE.fullmatch(part)
        if found is None or found[1] not in _CONTAINERS:
            break
        shown.append(part)
    return ".".join([*shown, OTHER])


def setting(value: object) -> str:
    """Return a part of a setting's path if it may be shown, also a pattern or a number."""
    shown = isinstance(value, int) or (
        isinstance(value, str) and _SETTING.fullmatch(value) and not _is_secret(value)
    )
    return str(value) if shown else OTHER


def without_indexes(value: str) -> str:
    """Replace the indexes of a path by `[]`, so that paths can be counted: `messages[].name`."""
    return _INDEX.sub("[]", value)


def printable(value: object, limit: int = 200) -> str:
    """Return a text on one line of bounded length, with unprintable characters escaped."""
    text = str(value)
    if len(text) > limit:
        text = text[:limit] + "…"
    return (
        text
        if text.isprintable()
        else "".join(one if one.isprintable() else _escaped(one) for one in text)
    )


def visible(text: str) -> str:
    """Replace the control characters of a text of several lines; its width hardly changes."""
    return text if text.isprintable() else _ACTIVE.sub("\N{REPLACEMENT CHARACTER}", text)


def in_json(text: str) -> str:
    """Escape the unprintable characters of a JSON document without changing its value."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else _json_escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def _is_key(value: str) -> bool:
    return (
        _KEY.fullmatch(value) is not None
        and not _is_secret(value)
        and sum(map(str.isdigit, value)) <= _MAX_DIGITS
    )


def _is_secret(value: str) -> bool:
    if _SECRET.search(value):
        return True
    # A long run of mixed letters and digits isn't a word.
    return any(
        re.search(r"\d", run) and re.search(r"[A-Za-z]", run) for run in _DENSE.findall(value)
    )
