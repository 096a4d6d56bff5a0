"""What of a name that comes from outside may be shown: in logs, ledgers, records, counters, reports and on terminals.

A request, a reply, a log, a settings file may hold anything in any place: a prompt for a key, a key for a model, a line of its own for a log.
So a name is shown where it looks like one, and not like a credential, an address or a number of somebody's; else `other` stands in its
place, where it would stand. Text that has to be shown as it is (a file's name, a value to the one who wrote it) is at least bounded, on
one line, and without characters that terminals act on.
"""

from __future__ import annotations

import re

OTHER = "other"
"""What stands for every name that isn't shown."""

_NAME = re.compile(r"[A-Za-z_@][\w.:/+-]{0,99}", re.ASCII)
_SETTING = re.compile(r"[\w.:/+*?-]{1,100}", re.ASCII)
_KEY = re.compile(r"[A-Za-z_$][\w$-]{0,63}", re.ASCII)
_PATH = re.compile(
    r"(?:\$|\[\d{0,9}\]|[A-Za-z_$][\w$-]*)(?:\[\d{0,9}\]|\.[A-Za-z_$][\w$-]*)*", re.ASCII
)
_PIECE = re.compile(r"(\w+)(?:\[\d{0,9}\])*", re.ASCII)
_INDEX = re.compile(r"\[\d+\]")
_LONGEST_PATH = 300

# Keys of APIs, tokens, hashes, long numbers: nothing is called like that. A date (20241022) has eight digits.
_SECRET = re.compile(
    r"(?i)^(?:sk|pk|rk|ak)[-_][-\w]{8,}|^(?:gh[pousr]_|xox[a-z]-|akia|eyj|bearer)[-\w]{8,}|[0-9a-f]{24,}|\d{9,}"
    r"|\d(?:[-._]?\d){12,}"
)
# Controls but for the end of a line and the tab, marks that turn the direction of writing, other ends of lines.
_ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_DENSE = re.compile(r"[A-Za-z0-9]{20,}", re.ASCII)
_MAX_DIGITS = 4

# What a path leads through, so that it still says where a key stands that isn't shown.
_CONTAINERS = frozenset({
    "messages", "tools", "functions", "function", "custom", "content", "tool_calls",
    "function_call", "tool_choice", "stream_options", "response_format", "json_schema", "schema",
    "output", "input", "headers", "query", "audio", "file", "image_url", "input_audio",
    "annotations", "web_search_options", "reasoning", "text", "metadata", "usage", "choices",
    "delta", "message", "error", "response", "item", "part", "rules", "match", "models",
})  # fmt: skip


def name(value: object) -> str:
    """Return a name as it may be shown: of a model, a type, a code."""
    return (
        value
        if isinstance(value, str) and _NAME.fullmatch(value) and not _is_secret(value)
        else OTHER
    )


def model(value: object) -> str:
    """Return a model's name as it may be shown to anybody: of a fine-tuned one only what it was made from."""
    shown = name(value)
    # Behind it stand an organisation, its own name and an id.
    return "ft:" + shown.split(":")[1] if shown.startswith("ft:") else shown


def key(value: str) -> str:
    """Return a key as it may be shown."""
    return value if _is_key(value) else OTHER


def path(value: str) -> str:
    """Return a JSON path as it may be shown: `messages[3].other` for a key that may not."""
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
    """Return a part of a setting's place as it may be shown: also a pattern, or a number."""
    shown = isinstance(value, int) or (
        isinstance(value, str) and _SETTING.fullmatch(value) and not _is_secret(value)
    )
    return str(value) if shown else OTHER


def without_indexes(value: str) -> str:
    """Return a path without its indexes, so that many are counted as one: `messages[].name`."""
    return _INDEX.sub("[]", value)


def printable(value: object, limit: int = 200) -> str:
    """Return a text on one line, bounded, with every character escaped that isn't to be seen."""
    text = str(value)
    if len(text) > limit:
        text = text[:limit] + "…"
    return (
        text
        if text.isprintable()
        else "".join(one if one.isprintable() else _escaped(one) for one in text)
    )


def visible(text: str) -> str:
    """Return a text of many lines without the characters that a terminal acts on; its width is nearly the same."""
    return text if text.isprintable() else _ACTIVE.sub("\N{REPLACEMENT CHARACTER}", text)


def in_json(text: str) -> str:
    """Escape what isn't to be seen in a JSON document, which says the same then."""
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
    # A long run of letters and digits mixed is nobody's word.
    return any(
        re.search(r"\d", run) and re.search(r"[A-Za-z]", run) for run in _DENSE.findall(value)
    )
