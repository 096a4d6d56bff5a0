"""Valid and invalid URLs of stores; their passwords are never shown."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import adapter
from adapter._memory import urls
from adapter._memory.stores import STORES, parse_store_url
from adapter._memory.urls import StoreLocation, store_kind, without_secrets
from adapter._settings.json_schema import settings_schema
from adapter.tools.doctor import Environment, settings_sources

pytest.importorskip("redis")

SOUND: dict[str, tuple[str, dict[str, Any]]] = {
    "a host alone": ("redis://h", {"place": "redis://h"}),
    "nothing but the scheme": ("redis://", {"place": "redis://"}),
    "host, port, database": ("redis://h:6380/2", {"place": "redis://h:6380/2"}),
    "a bound": ("redis://h/0?age=60", {"place": "redis://h/0", "age": 60}),
    "an escaped password": (
        "redis://u:p%40ss%2Fw%23rd@h/0",
        {"place": "redis://u:p%40ss%2Fw%23rd@h/0"},
    ),
    "an @ in a password": ("redis://u:p@ss@h/0", {"place": "redis://u:p@ss@h/0"}),
    "an option": (
        "redis://h?client_name=shop&age=5",
        {"place": "redis://h?client_name=shop", "age": 5},
    ),
    "an IPv6 address": ("redis://[::1]:6379/0", {"place": "redis://[::1]:6379/0"}),
    "TLS": ("rediss://h/0?ssl_cert_reqs=none", {"place": "rediss://h/0?ssl_cert_reqs=none"}),
    "a socket": ("unix:///run/redis.sock?db=1", {"place": "unix:///run/redis.sock?db=1"}),
    "a socket with a password": (
        "unix://:pw@/run/redis.sock",
        {"place": "unix://:pw@/run/redis.sock"},
    ),
    "a cluster": (
        "redis+cluster://u:pw@h1:7000,h2,[::1]:7002?age=9",
        {
            "place": "redis://u:pw@h1:7000",
            "hosts": (("h1", 7000), ("h2", 6379), ("::1", 7002)),
            "age": 9,
        },
    ),
    "a cluster with TLS": (
        "rediss+cluster://h1?ssl_ca_certs=/ca.pem",
        {"place": "rediss://h1:6379?ssl_ca_certs=%2Fca.pem", "hosts": (("h1", 6379),)},
    ),
    "sentinels": (
        "redis+sentinel://:pw@h1,h2:26380/shop/2?sentinel_password=spw",
        {
            "place": "redis://:pw@h1:26379/2",
            "hosts": (("h1", 26379), ("h2", 26380)),
            "service": "shop",
            "sentinels": (("sentinel_password", "spw"),),
        },
    ),
    "this process": ("memory://?count=5", {"count": 5}),
}


@pytest.mark.parametrize("case", SOUND)
def test_valid_urls(case: str) -> None:
    url, wanted = SOUND[case]
    found = parse_store_url(url)
    assert found.kind == url.partition(":")[0]
    assert {name: getattr(found, name) for name in wanted} == wanted
    if "ca.pem" not in url:
        adapter.Settings(memory=url)


WRONG: dict[str, tuple[str, str]] = {
    "an unescaped password": ("redis://u:hunter2@ss/w#rd@h", "# as %23"),
    "a / in a password": ("redis://u:hunter2/ss@h/0", "/ as %2F"),
    "a ? in a password": ("redis://u:hunter2?ss@h/0", r"\? as %3F"),
    "a # in a password": ("redis://u:hunter2#ss@h/0", "# as %23"),
    "a % in a password": ("redis://u:hunter2%zz@h/0", "% as %25"),
    "a [ in a password": ("redis://u:hunter2[@h/0", "not a URL"),
    "a character that looks like another": ("redis://:hunter2\u2100x@host/0", "not a URL"),
    "several hosts": ("redis://hunter2@h1,h2", r"redis\+cluster://h1,h2"),
    "several hosts and ports": ("rediss://hunter2@h1:1,h2:2/0", r"redis\+cluster://h1,h2"),
    "a port that is none": ("redis://:hunter2@h:port/0", "expected host or host:port"),
    "a port beyond all": ("redis://:hunter2@h:65536/0", "a port from 1 to 65535"),
    "no port at all": ("redis://:hunter2@h:0/0", "a port from 1 to 65535"),
    "a database that is none": ("redis://:hunter2@h/db", "the number of a database"),
    "a negative database": ("redis://:hunter2@h/-1", "the number of a database"),
    "more than a database": ("redis://:hunter2@h/0/1", "the number of a database"),
    "a database that is none, as an option": ("redis://:hunter2@h?db=x", "db: expected the number"),
    "a negative database, as an option": (
        "unix://:hunter2@/run/redis.sock?db=-1",
        "db: expected the number",
    ),
    "an unknown option": (
        "redis://:hunter2@h?colour=hunter2",
        "colour: not something that can be set here",
    ),
    "an unknown option that may be a password": (
        "redis://h?hunter2@x",
        "something in its query: not something",
    ),
    "what memory_timeout bounds": (
        "redis://:hunter2@h?socket_timeout=5",
        "socket_timeout: not something",
    ),
    "TLS options without TLS": (
        "redis://:hunter2@h?ssl_cert_reqs=none",
        "ssl_cert_reqs: not something",
    ),
    "a TLS option that is none": ("rediss://:hunter2@h?ssl_cert_reqs=hunter2", "doesn't take"),
    "an age that is none": ("redis://:hunter2@h?age=hunter2", "age: expected a number above 0"),
    "a line's end": ("redis://:hunter2@h/0\n", "white space"),
    "a blank in front": (" redis://:hunter2@h/0", "white space"),
    "another scheme": ("redis+tls://:hunter2@h", "expected memory://"),
    "one slash": ("redis:/hunter2", "expected memory://"),
    "no scheme": ("hunter2:6379", "expected memory://"),
    "HTTP": ("http://hunter2/", "expected memory://"),
    "a socket without a path": ("unix://", "three slashes"),
    "a socket with two slashes": ("unix://run/hunter2.sock", "three slashes"),
    "a cluster with a database": ("redis+cluster://hunter2@h/1", "a cluster has one database"),
    "a cluster without a host": ("redis+cluster://", "expected host or host:port"),
    "a cluster with a hole": ("redis+cluster://hunter2@h1,,h2", "expected host or host:port"),
    "sentinels without a service": ("redis+sentinel://hunter2@h1,h2", "h.*/SERVICE"),
    "sentinels with a database that is none": (
        "redis+sentinel://h1/shop/hunter2",
        "the number of a database",
    ),
    "a URL that was made to be shown": ("redis://**********@h/0", "was made to be shown"),
    "SQLite's own memory": ("sqlite:///:memory:", "memory://"),
    "two slashes": ("sqlite://hunter2.db", "three slashes"),
    "no path": ("sqlite:///", "needs the path"),
    "a path with a #": ("sqlite:///hunter#2.db", "# as %23"),
    "a path with a %": ("sqlite:///100%.db", "% as %25"),
    "a path with a ?": ("sqlite:///what?.db", "not something that can be set here"),
    "a path with a NUL": ("sqlite:///a%00b", "NUL"),
    "a folder that isn't there": ("sqlite:///absent/turns.db", "the folder .*absent isn't there"),
    "a folder": ("sqlite:///here", "is a folder"),
    "a name that is too long": (f"sqlite:///{'x' * 300}", "name too long"),
    "a fragment": ("memory://#hunter2", "# as %23"),
    "a host of this process": ("memory://hunter2", "expected memory://"),
}


@pytest.mark.parametrize("way", ["argument", "environment", "file"])
@pytest.mark.parametrize("case", WRONG)
def test_invalid_urls(case: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, why = WRONG[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    given: dict[str, Any] = {}
    if way == "argument":
        given["memory"] = url
    elif way == "environment":
        monkeypatch.setenv("ADAPTER_MEMORY", url)
    else:
        (tmp_path / "adapter.toml").write_text(f"memory = {json.dumps(url)}\n", encoding="utf-8")
        given["config_file"] = tmp_path / "adapter.toml"
    with pytest.raises(adapter.ConfigurationError, match=rf"^memory: .*{why}") as caught:
        adapter.Settings(**given)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_paths_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for url, path in {
        "sqlite:///~/turns.db": tmp_path / "home" / "turns.db",
        "sqlite:///~turns.db": tmp_path / "~turns.db",
        "sqlite:///a%23b.db": tmp_path / "a#b.db",
        "sqlite:///a b.db": tmp_path / "a b.db",
        f"sqlite:///{tmp_path}/c.db": tmp_path / "c.db",
    }.items():
        assert parse_store_url(url).place == str(path), url
    assert os.fsencode(parse_store_url("sqlite:///%ff.db").place).endswith(b"/\xff.db")


# Passwords

SECRETS = (
    "redis://ada:hunter2@host:6379/0?age=60",
    "rediss://:hunter2@host",
    "redis://host/0?password=hunter2",
    "unix://:hunter2@/run/redis.sock",
    "redis+cluster://ada:hunter2@h1,h2",
    "redis+sentinel://h1,h2/shop?sentinel_password=hunter2",
    "redis://hunter2@host/0",
)
KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="


def _seen(settings: adapter.Settings) -> dict[str, str]:
    patient = Environment(settings)
    return {
        "repr": repr(settings),
        "str": str(settings),
        "dict": repr(dict(settings)),
        "__dict__": repr(vars(settings)),
        "private": repr(settings.__pydantic_private__),
        "model_dump": repr(settings.model_dump()),
        "model_dump, as text": str(settings.model_dump()),
        "model_dump, unset left out": repr(settings.model_dump(exclude_unset=True)),
        "model_dump for JSON": json.dumps(settings.model_dump(mode="json")),
        "model_dump_json": settings.model_dump_json(),
        "the attribute": f"{settings.memory} {settings.memory!r} {settings.memory_key!r}",
        "a copy": repr(copy.deepcopy(settings).model_dump()),
        "a changed copy": repr(settings.model_copy(update={"backend": "responses"}).model_dump()),
        "the schema": json.dumps([settings_schema()]),
        "the doctor": json.dumps([one.document() for one in settings_sources.settings(patient)]),
    }


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_is_never_shown(url: str) -> None:
    settings = adapter.Settings(memory=url, memory_key=KEY)
    for where, text in _seen(settings).items():
        assert "hunter2" not in text, where
        assert KEY not in text, where
    assert settings.memory.get_secret_value() == url
    assert "**********" in str(settings.memory)
    assert (
        "host" in str(settings.memory)
        or "h1,h2" in str(settings.memory)
        or "redis.sock" in str(settings.memory)
    )


@pytest.mark.parametrize("url", SECRETS)
def test_settings_keep_the_whole_url(url: str) -> None:
    settings = adapter.Settings(memory=url, memory_key=KEY)
    for other in (
        pickle.loads(pickle.dumps(settings)),
        copy.copy(settings),
        copy.deepcopy(settings),
        settings.model_copy(update={"backend": "chat"}),
        adapter.Settings(**settings.model_dump()),
        adapter.Settings.model_validate(settings.model_dump()),
        adapter.Settings(memory=SecretStr(url), memory_key=[SecretStr(KEY)]),
    ):
        assert other.memory.get_secret_value() == url
        assert other.memory_key == settings.memory_key
        assert other.hash == settings.hash
    with pytest.raises(adapter.ConfigurationError, match=r"^memory: its password is hidden"):
        adapter.Settings(memory=settings.model_dump(mode="json")["memory"])


def test_a_url_without_a_password_stays_text() -> None:
    for url in (
        "memory://",
        "memory://?count=5",
        "redis://host:6379/0?age=60&client_name=shop",
        "redis+cluster://h1,h2",
    ):
        settings = adapter.Settings(memory=url)
        assert settings.memory == url
        assert settings.model_dump()["memory"] == settings.model_dump(mode="json")["memory"] == url


def test_the_hash_does_not_depend_on_a_password() -> None:
    hashes = {adapter.Settings(memory=f"redis://:{word}@host/0",
        memory_key=key).hash for word in ("a", "b") for key in (KEY, "A" * 43 + "=")}  # fmt: skip
    assert len(hashes) == 1
    assert adapter.Settings(memory="redis://:a@other/0", memory_key=KEY).hash not in hashes


def test_settings_that_differ_in_a_password_alone_have_stores_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapter._routing.reload import reloader_of

    (tmp_path / "adapter.toml").write_text('service = "shop"\n', encoding="utf-8")
    lives = []
    for word in ("one", "two", "two"):
        monkeypatch.setenv("ADAPTER_MEMORY", f"redis://:{word}@127.0.0.1:1/0")
        lives.append(reloader_of(adapter.Settings(config_file=tmp_path / "adapter.toml")))
    assert lives[0] is not lives[1]
    assert lives[1] is lives[2]


PLACES: dict[str, Any] = {
    "a wrong setting beside it": lambda url: adapter.Settings(memory=url, backend="both"),
    "an unknown setting beside it": lambda url: adapter.Settings(memory=url, bakend="chat"),
    "a wrong URL": lambda url: adapter.Settings(memory=url + "/x"),
    "of a wrong type": lambda url: adapter.Settings(memory_key=[url]),
    "in a rule": lambda url: adapter.Settings(rules=[{"memory": url}]),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_error_quotes_a_password(place: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(adapter.ConfigurationError) as caught:
        PLACES[place]("redis://ada:hunter2@127.0.0.1:1/0")
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in f"{error} {error!r} {getattr(error, 'args', '')}"
        error = error.__cause__ or error.__context__
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize(
    "text", ["memory = 'redis://:hunter2@h\n", "memory = hunter2", "\xff memory = 'hunter2'"]
)
def test_no_error_quotes_a_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "adapter.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(adapter.ConfigurationError) as caught:
        adapter.Settings(config_file=tmp_path / "adapter.toml")
    assert caught.value.__context__ is None
    assert "hunter2" not in repr(caught.value)


def test_no_error_quotes_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_MEMORY", SECRETS[0])
    for name in ("MODELS", "RULES", "MEMORY_TIMEOUT"):
        monkeypatch.setenv(f"ADAPTER_{name}", "{'hunter2'")
        with pytest.raises(adapter.ConfigurationError) as caught:
            adapter.Settings()
        monkeypatch.delenv(f"ADAPTER_{name}")
        assert "hunter2" not in repr(caught.value)
        assert caught.value.__context__ is None


def test_a_store_that_is_down_is_logged_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = adapter.Settings(backend="responses", memory="redis://ada:hunter2@127.0.0.1:1/0")
    with caplog.at_level(logging.DEBUG), adapter.OpenAI(api_key="key", settings=settings):
        pass
    assert "no answer (ConnectionError)" in caplog.text
    assert "hunter2" not in caplog.text


def test_kinds() -> None:
    kinds = [
        store_kind(adapter.Settings(memory=url).memory) for url in ("memory://", *SECRETS[3:6])
    ]
    assert kinds == ["memory", "unix", "redis+cluster", "redis+sentinel"]
    assert store_kind(object()) == "own"
    assert isinstance(parse_store_url("memory://"), StoreLocation)
    assert without_secrets(SECRETS[0]) == "redis://host:6379/0?age=60"


EXAMPLES = {
    "memory": "memory://",
    "redis+sentinel": "redis+sentinel://h/shop",
    "rediss+sentinel": "rediss+sentinel://h/s",
}


@pytest.mark.parametrize("scheme", STORES)
def test_every_kind_of_store_has_its_limits_and_options(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = STORES[scheme]
    url = EXAMPLES.get(scheme, f"{scheme}://h")
    if kind.locate is urls.locate_file or scheme == "unix":
        url = f"{scheme}:///{tmp_path / 'x'}"
    assert parse_store_url(url).age == kind.limits["age"]
    query = "&".join(f"{name}=7" for name in kind.limits)
    location = parse_store_url(f"{url}?{query}")
    assert location.age == 7
    assert (location.count, location.size) == ((7, 7) if "count" in kind.limits else (0, 0))
    with pytest.raises(ValueError, match=r"^colour: not something that can be set here") as caught:
        parse_store_url(f"{url}?colour=7")
    known = str(caught.value).partition("known are ")[2].split(", ")
    assert set(known) == {*kind.limits, *kind.options}
    kind.check(parse_store_url(url))


def test_an_unknown_scheme_is_answered_with_every_example() -> None:
    with pytest.raises(ValueError, match=r"^expected memory://, sqlite:///path, ") as caught:
        parse_store_url("mysql://h")
    assert all(kind.example in str(caught.value) for kind in STORES.values())
