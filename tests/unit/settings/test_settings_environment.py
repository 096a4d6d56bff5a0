"""Variables: empty and unknown ones, `.env` files, secrets, and settings with two names."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter._routing.reload import SettingsReloader, reloader_of
from adapter._settings import environment
from adapter._util.log_once import Once
from tests.unit.settings.test_settings_file import WRITTEN, got

BLANK = {"empty": "", "white space": " \t\n"}


@pytest.fixture(autouse=True)
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the warnings that were logged."""
    monkeypatch.setattr(environment, "_WARNED", Once())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        one.getMessage()
        for one in caplog.records
        if one.name == "adapter" and one.levelno == logging.WARNING
    ]


# Empty variables


@pytest.mark.parametrize("name", [*WRITTEN, "flags", "observers", "config", "log", "modle"])
@pytest.mark.parametrize("case", BLANK)
def test_an_empty_variable_is_unset(
    name: str, case: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Settings()
    monkeypatch.setenv(f"ADAPTER_{name.upper()}", BLANK[case])
    assert Settings() == plain
    assert not caplog.records


@pytest.mark.parametrize("name", WRITTEN)
def test_what_stands_below_an_empty_variable_counts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml, written, expected = WRITTEN[name][0]
    (tmp_path / "adapter.toml").write_text(f"{name} = {toml}\n")
    (tmp_path / ".env").write_text(f"ADAPTER_{name.upper()}='{written}'\n")
    monkeypatch.setenv(f"ADAPTER_{name.upper()}", " ")
    assert got(Settings(config_file=tmp_path / "adapter.toml"), name) == expected
    assert got(Settings(_env_file=tmp_path / ".env"), name) == expected


# Other programs' variables, and misspelled ones

UNKNOWN: dict[str, tuple[str, str]] = {
    "near": ("ADAPTER_BAKEND",
        "ADAPTER_BAKEND: no such setting, ignored; did you mean ADAPTER_BACKEND?"),
    "lower case": ("adapter_rolout",
        "ADAPTER_ROLOUT: no such setting, ignored; did you mean ADAPTER_ROLLOUT?"),
    "half": ("ADAPTER_STICKY",
        "ADAPTER_STICKY: no such setting, ignored; did you mean ADAPTER_STICKY_BY?"),
    "an argument": ("ADAPTER_CONFIG_FILE",
        "ADAPTER_CONFIG_FILE: no such setting, ignored; did you mean ADAPTER_CONFIG?"),
    "another tool's": ("ADAPTER_MODEL",
        "ADAPTER_MODEL: no such setting, ignored; did you mean ADAPTER_MODELS?"),
    "the kill switch": ("ADAPTER_FORCED",
        "ADAPTER_FORCED: no such setting, ignored; did you mean ADAPTER_FORCE?"),
    "far": ("ADAPTER_XYZZY_9", "ADAPTER_XYZZY_9: no such setting, ignored"),
    "odd": ("ADAPTER_\x1b[31m", "ADAPTER_\\x1b[31M: no such setting, ignored"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_variable_warns_once_and_stops_nothing(
    case: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name, message = UNKNOWN[case]
    monkeypatch.setenv(name, "SECRET")
    made = [Settings(), Settings(backend="responses")]
    assert warnings(caplog) == [message]
    assert made[0].hash == Settings().hash
    monkeypatch.setenv("ADAPTER_RETRIES", "5")
    with adapter.OpenAI(api_key="fake"):
        pass
    assert len(warnings(caplog)) == 2


SERVICES = ["PORT", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_80_TCP",
    "PORT_80_TCP_ADDR", "API_SERVICE_HOST", "API_PORT_53_UDP_PROTO"]  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_kubernetes_is_not_warned_of(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(f"ADAPTER_{name}", "tcp://10.0.0.1:80")
    Settings()
    assert not caplog.records


# `.env` files and directories of secrets


def secrets(folder: Path, values: dict[str, str]) -> dict[str, Any]:
    for name, value in values.items():
        (folder / name.lower()).write_text(f"{value}\n")
    return {"_secrets_dir": folder}


def dotenv(folder: Path, values: dict[str, str]) -> dict[str, Any]:
    (folder / "app.env").write_text(
        "OTHER=1\n" + "".join(f"{name}={value!r}\n" for name, value in values.items())
    )
    return {"_env_file": str(folder / "app.env")}


SOURCES: dict[str, Callable[[Path, dict[str, str]], dict[str, Any]]] = {
    "env_file": dotenv,
    "secrets_dir": secrets,
}
each_source = pytest.mark.parametrize("source", SOURCES)


@each_source
@pytest.mark.parametrize("name", WRITTEN)
def test_every_setting_from_a_file_of_variables(name: str, source: str, tmp_path: Path) -> None:
    _, written, expected = WRITTEN[name][0]
    given = SOURCES[source](tmp_path, {f"ADAPTER_{name.upper()}": written})
    assert got(Settings(**given), name) == expected
    assert Settings(**given).hash == Settings(**{name: expected}).hash


@each_source
def test_how_files_of_variables_rank(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('service = "file"\nbackend = "responses"\n')
    given = SOURCES[source](tmp_path, {"ADAPTER_SERVICE": "variables", "ADAPTER_CONFIG": str(file)})
    assert (Settings(**given).service, Settings(**given).backend) == ("variables", "responses")
    monkeypatch.setenv("ADAPTER_SERVICE", "process")
    assert Settings(**given).service == "process"
    assert Settings(**given, service="argument").service == "argument"


def test_env_files_rank_above_secrets_and_later_ones_above_earlier(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcd"]
    for folder in folders:
        folder.mkdir()
    files = [
        dotenv(folder, {"ADAPTER_SERVICE": folder.name})["_env_file"] for folder in folders[:2]
    ]
    for folder in folders[2:]:
        secrets(folder, {"ADAPTER_SERVICE": folder.name})
    assert Settings(_env_file=files, _secrets_dir=folders[2]).service == "b"
    assert Settings(_secrets_dir=folders[2:]).service == "d"
    assert Settings(_env_file=iter(files)).service == "b"
    assert Settings(_env_file=[folders[3] / "no.env", files[0]]).service == "a"


@each_source
def test_a_force_in_a_file_of_variables_counts(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = SOURCES[source](tmp_path, {"ADAPTER_FORCE": "chat"})
    monkeypatch.setenv("ADAPTER_FORCE", "responses")
    assert Settings(**given).force == "chat"
    SOURCES[source](tmp_path, {"ADAPTER_FORCE": "chatt"})
    assert Settings(**given).force == "native"
    assert str(tmp_path) in caplog.records[-1].getMessage()


@each_source
def test_what_is_wrong_in_a_file_of_variables(
    source: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = SOURCES[source](tmp_path, {"ADAPTER_BACKEND": "both", "ADAPTER_MODEL": "x"})
    with pytest.raises(
        adapter.ConfigurationError, match=rf"^backend: .*\(ADAPTER_BACKEND in {tmp_path}"
    ):
        Settings(**given)
    assert warnings(caplog)[0].endswith("did you mean ADAPTER_MODELS?")
    SOURCES[source](tmp_path, {"ADAPTER_BACKEND": "chat", "ADAPTER_RULES": "[{"})
    with pytest.raises(adapter.ConfigurationError, match=r"^rules: not JSON \(ADAPTER_RULES in "):
        Settings(**given)


@each_source
def test_they_are_read_again_with_the_settings_file(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('backend = "responses"\n')
    monkeypatch.chdir(tmp_path)
    given = SOURCES[source](tmp_path, {"ADAPTER_SERVICE": "one"})
    reader = SettingsReloader(
        Settings(config_file=file, **{name: os.path.relpath(path) for name, path in given.items()})
    )
    monkeypatch.chdir("/")
    file.write_text('backend = "chat"\n')
    assert (reader.current().settings.backend, reader.current().settings.service) == ("chat", "one")


def test_options_of_a_subclass(tmp_path: Path) -> None:
    path = dotenv(tmp_path, {"ADAPTER_SERVICE": "mine"})["_env_file"]

    class Mine(Settings):
        model_config = {"env_file": path}  # noqa: RUF012

    assert (Mine().service, Mine(_env_file=None).service) == ("mine", "adapter")


BAD: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "another option": (lambda _: {"_env_prefix": "MY_"}, r"^_env_prefix: not supported"),
    "no path": (lambda _: {"_env_file": 5}, r"^_env_file: expected a path"),
    "no paths": (lambda _: {"_secrets_dir": ["x", None]}, r"^_secrets_dir: expected a path"),
    "no encoding": (lambda at: dotenv(at, {}) | {"_env_file_encoding": "nope"},
        r"^_env_file_encoding: no such encoding$"),
    "not UTF-8": (lambda at: _written(at / "x.env", b"ADAPTER_SERVICE='\xff'",
        _env_file=at / "x.env"),
        r"^_env_file: .*x\.env: not utf-8; _env_file_encoding names another"),
    "no directory": (lambda at: _written(at / "x", b"", _secrets_dir=at / "x"),
        r"^_secrets_dir: .*: not a directory"),
    "a secret that isn't text": (
        lambda at: _written(at / "adapter_service", b"\xff", _secrets_dir=at),
            r"^_secrets_dir: .*adapter_service: not UTF-8"),
}  # fmt: skip


def _written(path: Path, raw: bytes, **given: Any) -> dict[str, Any]:
    path.write_bytes(raw)
    return given


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_the_options(case: str, tmp_path: Path) -> None:
    make, pattern = BAD[case]
    given = make(tmp_path)
    with pytest.raises(adapter.ConfigurationError, match=pattern):
        Settings(**given)


def test_a_force_holds_beside_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTER_FORCE", "chat")
    _written(tmp_path / "x.env", b"ADAPTER_SERVICE='\xff'")
    assert Settings(_env_file=tmp_path / "x.env").force == "chat"


def test_a_directory_that_is_not_there_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = [Settings(_secrets_dir=tmp_path / "no") for _ in range(2)]
    assert warnings(caplog) == [f"_secrets_dir: {tmp_path / 'no'}: no such directory"]
    assert made[0].model_dump() == Settings().model_dump()


def test_a_secret_outside_of_its_directory_is_ignored(tmp_path: Path) -> None:
    inside = tmp_path / "secrets"
    (inside / "..data").mkdir(parents=True)
    (inside / "..data" / "ADAPTER_SERVICE").write_text("kubernetes")
    (inside / "ADAPTER_SERVICE").symlink_to(Path("..data", "ADAPTER_SERVICE"))
    (tmp_path / "elsewhere").write_text("responses")
    (inside / "ADAPTER_BACKEND").symlink_to(tmp_path / "elsewhere")
    made = Settings(_secrets_dir=inside)
    assert (made.service, made.backend) == ("kubernetes", "chat")


# A setting with two names

ONE, OTHER = "on_internal_error", "on_bug"


@pytest.mark.parametrize("name", [ONE, OTHER])
@pytest.mark.parametrize("source", ["argument", "environment", "file", "rule"])
def test_either_name_works(
    name: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text(f'{name} = "raise"\n' if source == "file" else "# nothing\n")
    if source == "environment":
        monkeypatch.setenv(f"ADAPTER_{name.upper()}", "raise")
    given: Any = {"argument": {name: "raise"}, "rule": {"rules": [{name: "raise"}]}}.get(source, {})
    made = Settings(config_file=file, **given)
    made_or_rule: Any = made.rules[0] if source == "rule" else made
    assert (made_or_rule.on_internal_error, made_or_rule.on_bug) == ("raise", "raise")
    monkeypatch.undo()
    plain = (
        Settings(rules=[{ONE: "raise"}])
        if source == "rule"
        else Settings(on_internal_error="raise")
    )
    assert made.hash == plain.hash
    assert Settings(**made.model_dump()).model_dump() == made.model_dump()


@pytest.mark.parametrize("first", [ONE, OTHER])
@pytest.mark.parametrize("second", [ONE, OTHER])
def test_a_copy_replaces_either_name(first: str, second: str) -> None:
    copied = Settings(**{first: "raise"}).model_copy(update={second: "chat"})
    assert (copied.on_internal_error, copied.on_bug) == ("chat", "chat")


@pytest.mark.parametrize("first", ["argument", "environment", "file"])
@pytest.mark.parametrize("second", ["argument", "environment", "file"])
def test_both_names_are_an_error(
    first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, given, lines = tmp_path / "adapter.toml", {}, []
    for name, source in ((ONE, first), (OTHER, second)):
        if source == "argument":
            given[name] = "raise"
        elif source == "environment":
            monkeypatch.setenv(f"ADAPTER_{name.upper()}", "raise")
        else:
            lines.append(f'{name} = "raise"\n')
    file.write_text("".join(lines))
    with pytest.raises(
        adapter.ConfigurationError, match=r"^on_internal_error: given as on_bug as well"
    ):
        Settings(config_file=file, **given)


def test_both_names_in_a_rule_are_an_error() -> None:
    with pytest.raises(
        adapter.ConfigurationError, match=r"^rules\.0\.on_internal_error: given as on_bug as well"
    ):
        Settings(rules=[{ONE: "chat", OTHER: "chat"}])


@pytest.mark.parametrize("first", [ONE, OTHER])
@pytest.mark.parametrize("second", [ONE, OTHER])
def test_either_name_is_reloaded(first: str, second: str, tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text(f'{first} = "raise"\n')
    reloader = reloader_of(Settings(config_file=file))
    assert reloader.current().settings.on_internal_error == "raise"
    file.write_text(f'{second} = "chat"\n# changed\n')
    changed = reloader.current().settings
    assert (changed.on_internal_error, changed.on_bug) == ("chat", "chat")
    file.write_text(f'{ONE} = "raise"\n{OTHER} = "raise"\n')
    assert reloader.current().settings is changed


@pytest.mark.parametrize("name", [ONE, OTHER])
def test_an_invalid_value_names_the_name_that_was_given(name: str) -> None:
    with pytest.raises(adapter.ConfigurationError, match=rf"^{name}: "):
        Settings(**{name: "log"})
