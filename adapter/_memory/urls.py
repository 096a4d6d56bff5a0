"""The URLs of stores: how they are read, and how they are shown without their passwords."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote_to_bytes, urlencode, urlsplit

import pydantic

DAY = 86_400.0

_ESCAPE = (
    "in a name, a password or a path write % as %25, / as %2F, ? as %3F, # as %23, @ as %40, "
    ": as %3A"
)

REDIS_OPTIONS = frozenset(
    {"db", "username", "password", "client_name", "protocol", "socket_keepalive"}
)
SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
TLS_OPTIONS = frozenset(
    {
        "ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile",
        "ssl_check_hostname", "ssl_ciphers", "ssl_keyfile", "ssl_min_version", "ssl_password",
    }
)  # fmt: skip

_SECRET = frozenset({"username", "password", "ssl_password"}) | SENTINEL_OPTIONS

_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME = re.compile(r"[A-Za-z_]{1,40}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[\w.-]+)?(?::(\d{1,5}))?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HIDDEN = "**********"


@dataclass(frozen=True, slots=True, repr=False)
class StoreLocation:
    """Where a store is: its kind, its place, and its bounds.

    `hosts` are the (host, port) pairs of a cluster or of sentinels, `service` the name under which
    sentinels know their servers; for both, `place` is the URL that one of the servers would have.
    It may hold a password.
    """

    kind: str
    place: str
    count: int
    size: int
    age: float
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinels: tuple[tuple[str, str], ...] = ()


Query = list[tuple[str, str]]
"""The names and values of a query, without those that are bounds."""


@dataclass(frozen=True, slots=True)
class StoreKind:
    """How the URLs of one scheme are read, and how their stores are made; see `stores.STORES`.

    `limits` are the bounds (values, bytes, seconds) with their defaults, which a query may
    override; `options` are the other names that a query may hold. `locate` reads the rest of a URL.
    `check` raises ValueError for a location that can't be used; `make` takes the seconds that the
    store may cost a call. `shared_by` says who share one store. `example` is shown where a URL is
    none of these.
    """

    limits: Mapping[str, float]
    options: frozenset[str]
    locate: Callable[[SplitResult, Query, Mapping[str, float]], StoreLocation]
    check: Callable[[StoreLocation], None]
    make: Callable[[StoreLocation, float], Any]
    shared_by: Literal["process", "machine", "machines"]
    example: str = ""


class StoreURL(pydantic.SecretStr):
    """A store's URL that holds a password; its str and repr leave it out.

    `get_secret_value` returns the whole URL.
    """

    def _display(self) -> str:
        return without_secrets(self._secret_value, hidden=f"{_HIDDEN}@")

    def __str__(self) -> str:
        return self._display()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._display()!r})"


def hide_secrets(memory: Any) -> Any:
    """Return the value that settings keep of `memory`: a URL with a password as a StoreURL."""
    url = plain_url(memory)
    if not isinstance(url, str):
        return memory
    return StoreURL(url) if _is_secret(urlsplit(url)) else url


def plain_url(memory: Any) -> Any:
    """Return a URL as a string with its password, and anything else unchanged."""
    return memory.get_secret_value() if isinstance(memory, pydantic.SecretStr) else memory


def store_kind(memory: Any) -> str:
    """Return the kind of a store: its URL's scheme, or `own`."""
    url = plain_url(memory)
    return url.partition(":")[0] if isinstance(url, str) else "own"


def without_secrets(url: str, *, hidden: str = "") -> str:
    """Return a URL without its user and passwords; `hidden` takes their place."""
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


def parse_url(url: str, kinds: Mapping[str, StoreKind]) -> StoreLocation:
    """Return the location that a URL names, read as the row of its scheme says.

    Raises ValueError, without quoting the URL, which may hold a password.
    """
    parts = _split(url, kinds)
    kind = kinds[parts.scheme]
    given = parse_qsl(parts.query, keep_blank_values=True)
    bounds = {
        **kind.limits,
        **{name: _number(name, value) for name, value in given if name in kind.limits},
    }
    query = [(name, value) for name, value in given if name not in kind.limits]
    # Located first: a password with an unescaped `?` would be taken for the query.
    location = kind.locate(parts, query, bounds)
    known = [*kind.limits, *sorted(kind.options)]
    for name, _ in query:
        if name not in known:
            what = name if _NAME.fullmatch(name) else "something in its query"
            raise ValueError(
                f"{what}: not something that can be set here; known are {', '.join(known)}"
            )
    return location


def _split(url: str, kinds: Mapping[str, StoreKind]) -> SplitResult:
    if url.strip() != url or _CONTROL.search(url):
        raise ValueError("has white space around it, or control characters in it")
    parts = None
    with suppress(ValueError):
        parts = urlsplit(url)
    if parts is None:  # not raised in a handler, whose exception may quote the password
        raise ValueError(f"not a URL; {_ESCAPE}")
    if parts.scheme not in kinds or not url.startswith(f"{parts.scheme}://"):
        *examples, last = [kind.example for kind in kinds.values() if kind.example]
        raise ValueError(f"expected {', '.join(examples)}, or {last}")
    if _HIDDEN in parts.netloc:
        raise ValueError("its password is hidden: this URL was made to be shown")
    if "#" in url or _PERCENT.search(url):
        raise ValueError(f"has a # or a % that isn't escaped; {_ESCAPE}")
    return parts


def _number(name: str, text: str) -> float:
    value = 0.0
    with suppress(ValueError):
        value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: expected a number above 0")
    return value


def locate_in_memory(parts: SplitResult, _: Query, bounds: Mapping[str, float]) -> StoreLocation:
    """Read a URL with the scheme `memory`."""
    if parts.netloc or parts.path not in ("", "/"):
        raise ValueError("expected memory://")
    return _bounded(parts.scheme, "", bounds)


def locate_file(parts: SplitResult, _: Query, bounds: Mapping[str, float]) -> StoreLocation:
    """Read a URL of a file; its place is an absolute path."""
    if parts.netloc:
        raise ValueError(f"expected {parts.scheme}:///path, with three slashes")
    path = os.fsdecode(unquote_to_bytes(parts.path[1:]))
    if not path:
        raise ValueError(f"{parts.scheme}:/// needs the path of a file")
    if path == ":memory:":
        raise ValueError("a store in this process is memory://")
    if "\0" in path:
        raise ValueError("has a path with a NUL in it")
    if path.startswith("~/"):
        home = os.path.expanduser("~")  # noqa: PTH111  # Path.expanduser raises without a home
        if home == "~":
            raise ValueError("begins with ~, and there is no home directory here")
        path = home + path[1:]
    return _bounded(parts.scheme, str(Path(path).absolute()), bounds)


def _bounded(kind: str, place: str, bounds: Mapping[str, float]) -> StoreLocation:
    return StoreLocation(kind, place, int(bounds["count"]), int(bounds["bytes"]), bounds["age"])


def locate_redis(parts: SplitResult, query: Query, bounds: Mapping[str, float]) -> StoreLocation:
    """Read a URL of a Redis server, a Unix socket, a cluster or sentinels."""
    scheme, age = parts.scheme, bounds["age"]
    user, at, netloc = parts.netloc.rpartition("@")
    sentinel, cluster = scheme.endswith("+sentinel"), scheme.endswith("+cluster")
    plain = scheme.partition("+")[0]
    if any(name == "db" and not re.fullmatch(r"\d{1,9}", value, re.ASCII) for name, value in query):
        raise ValueError("db: expected the number of a database")
    if scheme == "unix":
        if sys.platform == "win32":
            raise ValueError(
                "there are no Unix sockets for Python on Windows; "
                "name a host, as in redis://localhost"
            )
        if netloc or parts.path in ("", "/"):
            raise ValueError("expected unix:///path, with three slashes")
        return StoreLocation(scheme, f"unix://{user}{at}{parts.path}{_query(query)}", 0, 0, age)
    hosts = _hosts(netloc, 26379 if sentinel else 6379, several=sentinel or cluster)
    service, path = "", parts.path
    if sentinel:
        service, slash, db = path[1:].partition("/")
        if not service:
            raise ValueError(
                f"expected {scheme}://host:26379,host:26379/SERVICE, "
                "with the name that the sentinels know"
            )
        service, path = os.fsdecode(unquote_to_bytes(service)), slash + db
    if cluster and path not in ("", "/", "/0"):
        raise ValueError("has a number of a database, or a path: a cluster has one database")
    if not re.fullmatch(r"/?|/\d{1,9}", path, re.ASCII):
        raise ValueError(f"expected the number of a database behind the host; {_ESCAPE}")
    sentinel_options = tuple((name, value) for name, value in query if name in SENTINEL_OPTIONS)
    options = _query([pair for pair in query if pair not in sentinel_options])
    if not (sentinel or cluster):
        return StoreLocation(scheme, f"{scheme}://{parts.netloc}{path}{options}", 0, 0, age)
    host, port = hosts[0]
    host = f"[{host}]" if ":" in host else host
    place = f"{plain}://{user}{at}{host}:{port}{path}{options}"
    return StoreLocation(scheme, place, 0, 0, age, hosts, service, sentinel_options)


def _query(pairs: Query) -> str:
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""


def _hosts(netloc: str, port: int, *, several: bool) -> tuple[tuple[str, int], ...]:
    parts = netloc.split(",")
    if len(parts) > 1 and not several:
        raise ValueError(
            "has several hosts: a cluster's are redis+cluster://h1,h2, "
            "sentinels' redis+sentinel://h1,h2/SERVICE"
        )
    hosts = []
    for part in parts:
        match = _HOST.fullmatch(part)
        if match is None or (several and not match[1]):
            raise ValueError(f"expected host or host:port; {_ESCAPE}")
        number = int(match[2] or port)
        if not 0 < number < 65536:
            raise ValueError("expected a port from 1 to 65535")
        hosts.append(((match[1] or "localhost").strip("[]"), number))
    return tuple(hosts)
