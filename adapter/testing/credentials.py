"""Remove credentials from recordings, and find them in existing ones, by one table.

A check finds exactly what cleaning would change; cleaning twice changes nothing. Text of a
conversation is left alone unless it looks like a credential. A secret that a stream splits across
several deltas isn't found.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .cassette_bodies import STYLES, dumps

REMOVED = "removed"

OnFound = Callable[[str], object]
"""Called with the kind of each credential that was removed."""

_QUERY_NAME = (
    r"(?:[\w.-]*(?:api[-_]?key|access[-_]?key|subscription[-_]?key|token|secret|signature"
    r"|password|passwd|credential|authorization)"
    r"|(?:[\w.]*[-_])?(?:sig|key|code|auth|sas|pwd|jwt))"
)
_SECRET_QUERY = re.compile(
    rf"(?P<name>[?&;]{_QUERY_NAME}=)(?!{REMOVED}\b)[^&;#\s\"'<>\\]+", re.IGNORECASE
)

PATTERNS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "an API key",
        re.compile(r"\b(?P<kind>sk|rk|sess|ek)-(?!removed\b)[A-Za-z0-9*_-]{8,}"),
        "sk-removed",
    ),
    (
        "an API key",
        re.compile(
            r"\b(?:AIza[A-Za-z0-9_-]{30,}|gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|"
            r"glpat-[\w-]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}|hf_[A-Za-z0-9]{20,}|"
            r"gsk_[A-Za-z0-9]{20,})"
        ),
        REMOVED,
    ),
    (
        "a JSON web token",
        re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*"),
        "jwt-removed",
    ),
    (
        "a bearer token",
        re.compile(
            rf"\b(bearer)(\s+)(?!(?:jwt-|sk-)?{REMOVED}\b)[A-Za-z0-9._~+/=-]{{8,}}", re.IGNORECASE
        ),
        rf"\1\2{REMOVED}",
    ),
    (
        "a password",
        re.compile(r"\b(basic)(\s+)(?=[A-Za-z]*[0-9+/=])[A-Za-z0-9+/]{8,}={0,2}", re.IGNORECASE),
        rf"\1\2{REMOVED}",
    ),
    ("a password", re.compile(r"(?<=://)(?:[^/\s:@\"'\\<>?#]+):[^/\s@\"'\\<>?#]+@"), ""),
    ("a cloud access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "aws-removed"),
    (
        "a cloud access key",
        re.compile(rf"\b((?:Account|SharedAccess)Key=)(?!{REMOVED}\b)[A-Za-z0-9+/=]{{16,}}"),
        rf"\1{REMOVED}",
    ),
    (
        "a cloud signature",
        re.compile(rf"\b(Signature=)(?!{REMOVED}\b)[A-Za-z0-9%+/=]{{32,}}"),
        rf"\1{REMOVED}",
    ),
    ("a secret in a URL", _SECRET_QUERY, rf"\g<name>{REMOVED}"),
    ("an organisation's id", re.compile(r"\borg-(?!removed\b)[A-Za-z0-9]{8,}"), "org-removed"),
    ("a project's id", re.compile(r"\bproj_(?!removed\b)[A-Za-z0-9]{8,}"), "proj_removed"),
    (
        "a private key",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----)?",
            re.DOTALL,
        ),
        "private-key-removed",
    ),
)
"""What looks like a credential anywhere: the kind, the pattern, and the replacement."""

_SECRET_KEYS = frozenset({
    "authorization", "proxyauthorization", "apikey", "xapikey", "ocpapimsubscriptionkey",
    "subscriptionkey", "accesstoken", "refreshtoken", "idtoken", "bearertoken", "authtoken",
    "sessiontoken", "clientsecret", "secretkey", "secretaccesskey", "privatekey",
    "connectionstring", "accountkey", "encodedapikey", "password", "cookie", "setcookie",
})  # fmt: skip
"""JSON keys whose text is a credential: lower case, without `-` and `_`."""


def _ignore(_: str) -> None:
    """Do nothing."""


def clean_text(text: str, found: OnFound = _ignore) -> str:
    """Remove what looks like a credential."""
    for kind, pattern, replacement in PATTERNS:
        text, count = pattern.subn(replacement, text)
        if count:
            found(kind)
    return text


def clean_url(url: str, host: str | None = None, found: OnFound = _ignore) -> str:
    """Remove user, password and the query's secrets from a URL; set the host of an absolute one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        found("a URL that can't be read")
        return REMOVED
    scheme, netloc = parts.scheme, parts.netloc
    if netloc and host is not None:
        scheme, netloc = "https", host
    if "@" in netloc:
        found("a password")
        netloc = netloc.rpartition("@")[2]
    query = clean_text(f"?{parts.query}", found)[1:]  # the pattern needs the `?`
    return urlunsplit((scheme, netloc, clean_text(parts.path, found), query, ""))


def clean_body(body: Any, found: OnFound = _ignore) -> Any:
    """Remove credentials from a body, decompressed if need be; only text and bytes are changed."""
    if isinstance(body, str):
        return _clean(body, found)
    if not isinstance(body, bytes):
        return body
    raw = decompressed(body)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
        cleaned = clean_text(text, found).encode("latin-1")
    else:
        cleaned = _clean(text, found).encode()
    return cleaned if cleaned != raw else body


def decompressed(raw: bytes) -> bytes:
    """Decompress gzip and zlib, known by their first bytes; return anything else unchanged."""
    try:
        if raw[:2] == b"\x1f\x8b":
            return gzip.decompress(raw)
        if raw[:2] in {b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"}:
            return zlib.decompress(raw)
    except (OSError, EOFError, zlib.error):
        pass
    return raw


def _clean(text: str, found: OnFound) -> str:
    cleaned = _clean_json(text, found) if text.lstrip()[:1] in ("{", "[") else None
    if cleaned is None:  # events of a stream, JSON lines, parts of a form
        cleaned = "\n".join(_clean_line(line, found) for line in text.split("\n"))
    return clean_text(cleaned, found)


def _clean_line(line: str, found: OnFound) -> str:
    prefix = "data:" if line.startswith("data:") else ""
    value = line.removeprefix(prefix).strip()
    cleaned = _clean_json(value, found) if value[:1] in ("{", "[") else None
    if cleaned is None:
        return line
    return prefix + line.removeprefix(prefix).replace(value, cleaned, 1)


def _clean_json(text: str, found: OnFound) -> str | None:
    """Clean JSON by its keys; None if it isn't JSON.

    It is only rewritten if something is removed, in the original style if that is a known one.
    """
    try:
        tree = json.loads(text)
        changed = [field for field in _secret_fields(tree) if field[0][field[1]] != REMOVED]
        if not changed:
            return text
        style = next((one for one in STYLES if dumps(tree, one) == text), "compact")
        for parent, key, kind in changed:
            parent[key] = REMOVED
            found(kind)
        return dumps(tree, style)
    except (ValueError, RecursionError):
        return None  # `clean_text` still finds what looks like a credential


def _secret_fields(tree: Any) -> Iterator[tuple[Any, Any, str]]:
    """Yield the fields of a tree that hold a credential: the object, the key, and the kind."""
    pending = [(tree, False)]
    while pending:
        value, in_source = pending.pop()
        if isinstance(value, list):
            pending += [(one, in_source) for one in value]
        if not isinstance(value, dict):
            continue
        headers = value.get("headers") if value.get("type") == "mcp" else None
        if isinstance(headers, dict):
            for name, header in headers.items():
                if isinstance(header, str) and header:
                    yield headers, name, "a credential of an MCP server"
        for key, inner in value.items():
            plain = key.lower().replace("-", "").replace("_", "")
            if isinstance(inner, str):
                if inner and (plain in _SECRET_KEYS or (in_source and plain == "key")):
                    mcp = value.get("type") == "mcp"
                    yield (
                        value,
                        key,
                        "a credential of an MCP server" if mcp else "a credential by its key",
                    )
            else:
                pending.append((inner, in_source or key == "data_sources"))
