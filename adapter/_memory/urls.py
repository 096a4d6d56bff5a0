"""What a store's URL says, and how it is shown without its password."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode, urlsplit

import pydantic

DAY = 86_400.0
_MIB = 1024 * 1024

_REDIS = {"age": DAY}
_LIMITS: Mapping[str, Mapping[str, float]] = {
    "memory": {"count": 10_000, "bytes": 64 * _MIB, "age": DAY},
    "sqlite": {"count": 1_000_000, "bytes": 1024 * _MIB, "age": DAY},
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "redis+cluster": _REDIS,
    "rediss+cluster": _REDIS,
    "redis+sentinel": _REDIS,
    "rediss+sentinel": _REDIS,
}
"""What each kind of store is bounded by, and the defaults: values, bytes, seconds.

A URL's query may say otherwise.
"""

_EXPECTED = "expected memory://, sqlite:///path, redis://…, rediss://…, unix:///path, redis+cluster://…, or redis+sentinel://…"
_ESCAPE = "in a name, a password or a path write % as %25, / as %2F, ? as %3F, # as %23, @ as %40, : as %3A"

_OPTIONS = frozenset({"db", "username", "password", "client_name", "protocol", "socket_keepalive"})
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
_TLS_OPTIONS = frozenset(
    f"ssl_{name}"
    for name in (
        "ca_certs",
        "ca_data",
        "ca_path",
        "cert_reqs",
        "certfile",
        "check_hostname",
        "ciphers",
        "keyfile",
    )
) | {"ssl_min_version", "ssl_password"}

_SECRET = frozenset({"username", "password", "ssl_password"}) | _SENTINEL_OPTIONS

_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME = re.compile(r"[A-Za-z_]{1,40}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]+)?(?::(\d{1,5}))?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HIDDEN = "**********"


@dataclass(frozen=True, slots=True, repr=False)
class StoreLocation:
    """Where a store is: its kind, its place, and its bounds.

    `hosts` are a cluster's or the sentinels' (host, port), `service` the name under which
    sentinels know their servers; for these `place` is the URL that any one of the servers would
    have. It may hold a password.
    """

    kind: str
    place: str
    count: int
    size: int
    age: float
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinels: tuple[tuple[str, str], ...] = ()


class StoreURL(pydantic.SecretStr):
    """A store's URL with something secret in it, which shows itself without.

    `get_secret_value` gives it whole.
    """

    def _display(self) -> str:
        return without_secrets(self._secret_value, hidden=f"{_HIDDEN}@")

    def __str__(self) -> str:
        return self._display()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._display()!r})"


def hide_secrets(memory: Any) -> Any:
    """Return what settings keep of a `memory`: a URL with something secret in it as a StoreURL."""
    url = plain_url(memory)
    if not isinstance(url, str):
        return memory
    return StoreURL(url) if _is_secret(urlsplit(url)) else url


def plain_url(memory: Any) -> Any:
    """Return a URL whole, and anything else as it is."""
    return memory.get_secret_value() if isinstance(memory, pydantic.SecretStr) else memory


def store_kind(memory: Any) -> str:
    """Return the kind of a store: its URL's scheme, or `own`."""
    url = plain_url(memory)
    return url.partition(":")[0] if isinstance(url, str) else "own"


def without_secrets(url: str, *, hidden: str = "") -> str:
    """Show a URL without its user and passwords; `hidden` takes their place."""
    parts = urlsplit(url)
    pairs = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name not in _SECRET
    ]
    query = urlencode(pairs, quote_via=quote)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{hidden if _is_secret(parts) else ''}{host}{parts.path}" + (
        f"?{query}" if query else ""
    )


def _is_secret(parts: Any) -> bool:
    return "@" in parts.netloc or any(
        name in _SECRET for name, _ in parse_qsl(parts.query, keep_blank_values=True)
    )


def parse_store_url(url: str) -> StoreLocation:
    """Read a store's URL. Raises ValueError for what is none, without the URL in it.

    It may hold a password.
    """
    parts = _split(url)
    limits = _LIMITS[parts.scheme]
    given = parse_qsl(parts.query, keep_blank_values=True)
    bounds = {**limits, **{name: _number(name, value) for name, value in given if name in limits}}
    rest = [(name, value) for name, value in given if name not in limits]
    made = _parse_location(parts, rest, bounds)  # first: in a password a `?` would begin the query
    known = [*limits, *sorted(_options(parts.scheme))]
    for name, _ in rest:
        if name not in known:
            what = name if _NAME.fullmatch(name) else "something in its query"
            raise ValueError(
                f"{what}: not something that can be set here; known are {', '.join(known)}"
            )
    return made


def _parse_location(
    parts: Any, rest: list[tuple[str, str]], bounds: Mapping[str, float]
) -> StoreLocation:
    count, size, age = int(bounds.get("count", 0)), int(bounds.get("bytes", 0)), bounds["age"]
    if parts.scheme == "memory":
        if parts.netloc or parts.path not in ("", "/"):
            raise ValueError("expected memory://")
        return StoreLocation(parts.scheme, "", count, size, age)
    if parts.scheme == "sqlite":
        return StoreLocation(parts.scheme, _sqlite_path(parts), count, size, age)
    return _redis_location(parts, rest, age)


def _split(url: str) -> Any:
    if url.strip() != url or _CONTROL.search(url):
        raise ValueError("has white space around it, or control characters in it")
    parts = None
    with suppress(ValueError):
        parts = urlsplit(url)
    if (
        parts is None
    ):  # not in a handler: the exception may quote the password, and would stay with this one
        raise ValueError(f"not a URL; {_ESCAPE}")
    if parts.scheme not in _LIMITS or not url.startswith(f"{parts.scheme}://"):
        raise ValueError(_EXPECTED)
    if _HIDDEN in parts.netloc:
        raise ValueError("its password is hidden: this URL was made to be shown")
    if "#" in url or _PERCENT.search(url):
        raise ValueError(f"has a # or a % that isn't escaped; {_ESCAPE}")
    return parts


def _options(scheme: str) -> frozenset[str]:
    if scheme in ("memory", "sqlite"):
        return frozenset()
    options = _OPTIONS | (_TLS_OPTIONS if scheme.startswith("rediss") else frozenset())
    if scheme.endswith("cluster"):
        return options - {"db"}
    return options | _SENTINEL_OPTIONS if scheme.endswith("sentinel") else options


def _number(name: str, text: str) -> float:
    value = 0.0
    with suppress(ValueError):
        value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: expected a number above 0")
    return value


def _sqlite_path(parts: Any) -> str:
    if parts.netloc:
        raise ValueError("expected sqlite:///path, with three slashes")
    path = os.fsdecode(unquote_to_bytes(parts.path[1:]))
    if not path:
        raise ValueError("sqlite:/// needs the path of a file")
    if path == ":memory:":
        raise ValueError("what stays in this process is memory://")
    if "\0" in path:
        raise ValueError("has a path with a NUL in it")
    if path.startswith("~/"):
        home = os.path.expanduser("~")  # noqa: PTH111  # Path's raises, where there is none
        if home == "~":
            raise ValueError("begins with ~, and there is no home directory here")
        path = home + path[1:]
    return str(Path(path).absolute())


def _redis_location(parts: Any, rest: list[tuple[str, str]], age: float) -> StoreLocation:
    scheme: str = parts.scheme
    user, at, netloc = parts.netloc.rpartition("@")
    sentinel, cluster = scheme.endswith("+sentinel"), scheme.endswith("+cluster")
    plain = scheme.partition("+")[0]
    if any(name == "db" and not re.fullmatch(r"\d{1,9}", value, re.ASCII) for name, value in rest):
        raise ValueError("db: expected the number of a database")
    if scheme == "unix":
        if sys.platform == "win32":
            raise ValueError(
                "there are no Unix sockets for Python on Windows; name a host, as in redis://localhost"
            )
        if netloc or parts.path in ("", "/"):
            raise ValueError("expected unix:///path, with three slashes")
        return StoreLocation(scheme, f"unix://{user}{at}{parts.path}{_query(rest)}", 0, 0, age)
    hosts = _hosts(netloc, 26379 if sentinel else 6379, several=sentinel or cluster)
    service, path = "", parts.path
    if sentinel:
        service, slash, db = path[1:].partition("/")
        if not service:
            raise ValueError(
                f"expected {scheme}://host:26379,host:26379/SERVICE, with the name that the sentinels know"
            )
        service, path = os.fsdecode(unquote_to_bytes(service)), slash + db
    if cluster and path not in ("", "/", "/0"):
        raise ValueError("has a number of a database, or a path: a cluster has one database")
    if not re.fullmatch(r"/?|/\d{1,9}", path, re.ASCII):
        raise ValueError(f"expected the number of a database behind the host; {_ESCAPE}")
    sentinel_options = tuple((name, value) for name, value in rest if name in _SENTINEL_OPTIONS)
    query = _query([pair for pair in rest if pair not in sentinel_options])
    if not (sentinel or cluster):
        return StoreLocation(scheme, f"{scheme}://{parts.netloc}{path}{query}", 0, 0, age)
    host, port = hosts[0]
    host = f"[{host}]" if ":" in host else host
    place = f"{plain}://{user}{at}{host}:{port}{path}{query}"
    return StoreLocation(scheme, place, 0, 0, age, hosts, service, sentinel_options)


def _query(pairs: list[tuple[str, str]]) -> str:
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""


def _hosts(netloc: str, port: int, *, several: bool) -> tuple[tuple[str, int], ...]:
    parts = netloc.split(",")
    if len(parts) > 1 and not several:
        raise ValueError(
            "has several hosts: a cluster's are redis+cluster://h1,h2, sentinels' redis+sentinel://h1,h2/SERVICE"
        )
    found = []
    for part in parts:
        match = _HOST.fullmatch(part)
        if match is None or (several and not match[1]):
            raise ValueError(f"expected host or host:port; {_ESCAPE}")
        number = int(match[2] or port)
        if not 0 < number < 65536:
            raise ValueError("expected a port from 1 to 65535")
        found.append(((match[1] or "localhost").strip("[]"), number))
    return tuple(found)
