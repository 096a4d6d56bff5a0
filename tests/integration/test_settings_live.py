"""Settings files that change, for the better or the worse (docs/decisions.md#settings)."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter._routing import reload as live_module
from adapter._routing.reload import SettingsReloader, reloader_of
from tests.support.answers import KEY
from tests.support.http import default_client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "adapter.toml"


@pytest.fixture(params=["at once", "long after"])
def moment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the file right after its change, or so late that its times reveal the next one."""
    if request.param == "long after":
        monkeypatch.setattr(live_module, "_RACY_NS", -1)


# Copies


COPIES: dict[str, Callable[[Settings], Settings]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda one: one.model_copy(),
    "deep model_copy": lambda one: one.model_copy(deep=True),
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
}


@pytest.mark.parametrize("case", COPIES)
def test_copies_are_reloaded(case: str, file: Path) -> None:
    file.write_text('service = "one"\n')
    settings = Settings(config_file=file, backend="responses")
    reloader_of(settings).current()
    copied = COPIES[case](settings)
    assert (copied.hash, copied.backend) == (settings.hash, "responses")
    file.write_text('service = "two"\n')
    assert {reloader_of(one).current().settings.service for one in (settings, copied)} == {"two"}


def test_a_copy_with_other_values_has_its_own_reloader(file: Path) -> None:
    file.write_text('service = "one"\n')
    settings = Settings(config_file=file)
    reloader_of(settings)
    other = settings.model_copy(update={"backend": "responses"})
    assert (
        reloader_of(settings).current().settings.backend,
        reloader_of(other).current().settings.backend,
    ) == ("chat", "responses")
    file.write_text('service = "two"\nbackend = "chat"\n')
    assert (
        reloader_of(other).current().settings.backend,
        reloader_of(other).current().settings.service,
    ) == ("responses", "two")
    with pytest.raises(adapter.ConfigurationError, match=r"^backend: "):
        settings.model_copy(update={"backend": "both"})


# Files that change


@pytest.fixture
def reader(file: Path) -> SettingsReloader:
    file.write_text('service = "one"\n')
    return reloader_of(Settings(config_file=file, unsupported="error"))


def service(reader: SettingsReloader) -> str:
    settings = reader.current().settings
    assert settings.unsupported == "error"  # an argument, which no file changes
    return settings.service


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


def _same_size_and_time(file: Path, text: str) -> None:
    before = file.stat()
    assert len(text) == before.st_size
    file.write_text(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _from_the_future(file: Path, text: str) -> None:
    file.write_text(text)
    os.utime(file, (2**32, 2**32))


CHANGES: dict[str, Callable[[Path, str], object]] = {
    "rewritten": lambda file, text: file.write_text(text),
    "replaced": _replace,
    "same size and time": _same_size_and_time,
    "dated in the future": _from_the_future,
    "removed and made again": lambda file, text: (file.unlink(), file.write_text(text)),
}


@pytest.mark.usefixtures("moment")
@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_file_is_read(case: str, reader: SettingsReloader, file: Path) -> None:
    assert service(reader) == "one"
    for name in ("two", "six", "ten"):
        CHANGES[case](file, f'service = "{name}"\n')
        assert service(reader) == name
        assert service(reader) == name


def test_a_settled_file_is_not_read_again(
    reader: SettingsReloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "_RACY_NS", -1)
    router = reader.current()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: pytest.fail("read again"))
        assert all(reader.current() is router for _ in range(100))


def test_a_touched_file_changes_nothing(
    reader: SettingsReloader, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    router = reader.current()
    with caplog.at_level(logging.DEBUG, "adapter"):
        file.touch()
        assert reader.current() is router
        _replace(file, file.read_text())
        assert reader.current() is router
    assert not caplog.records


def test_symbolic_links_as_kubernetes_swaps_them(tmp_path: Path) -> None:
    def publish(name: str) -> None:
        folder = tmp_path / f"..{name}"
        folder.mkdir()
        (folder / "adapter.toml").write_text(f'service = "{name}"\n')
        fresh = tmp_path / "..data_tmp"
        fresh.symlink_to(folder.name)
        fresh.rename(tmp_path / "..data")

    publish("one")
    (tmp_path / "adapter.toml").symlink_to("..data/adapter.toml")
    reader = reloader_of(Settings(config_file=tmp_path / "adapter.toml", unsupported="error"))
    assert service(reader) == "one"
    for name in ("two", "six"):
        publish(name)
        assert service(reader) == name


BAD: dict[str, Callable[[Path], object]] = {
    "not TOML": lambda file: file.write_text("service = \n"),
    "unknown key": lambda file: file.write_text('servcie = "SECRET"\n'),
    "bad value": lambda file: file.write_text('backend = "SECRET"\n'),
    "bad rule": lambda file: file.write_text('[[rules]]\nmatch = {modle = "SECRET"}\n'),
    "bad where an argument stands": lambda file: file.write_text("unsupported = 5\n"),
    "object": lambda file: file.write_text('flags = "SECRET"\n'),
    "empty": lambda file: file.write_text(""),
    "blank": lambda file: file.write_text("\n \n"),
    "missing": lambda file: file.unlink(),
    "a directory": lambda file: (file.unlink(), file.mkdir()),
    "not UTF-8": lambda file: file.write_bytes(b"\xff\xfe"),
    "a number too long": lambda file: file.write_text("rollout = " + "9" * 5000),
    "nested too deeply": lambda file: file.write_text("drop = " + "[" * 100_000),
    "no table": lambda file: file.write_text("[tool]\nadapter = 5\n"),
}


@pytest.mark.usefixtures("moment")
@pytest.mark.parametrize("case", BAD)
def test_a_file_that_goes_bad(
    case: str, reader: SettingsReloader, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = reader.current().settings.hash
    with caplog.at_level(logging.INFO, "adapter"):
        BAD[case](file)
        assert [service(reader) for _ in range(5)] == ["one"] * 5
        (bad,) = caplog.records
        assert bad.levelname == "WARNING"
        assert good in bad.getMessage()
        assert "adapter.toml" in bad.getMessage()
        assert "SECRET" not in caplog.text
        caplog.clear()

        if file.is_dir():
            file.rmdir()
        file.write_text('service = "one"\n')
        assert [service(reader) for _ in range(5)] == ["one"] * 5
        file.write_text('service = "two"\n')
        assert [service(reader) for _ in range(5)] == ["two"] * 5
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    assert good in caplog.messages[0]
    assert reader.current().settings.hash in caplog.messages[1]
    assert "two" not in caplog.text


def test_an_internal_error_in_reading_costs_no_call(
    reader: SettingsReloader,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("SECRET")

    with monkeypatch.context() as patch:
        patch.setattr(live_module, "Router", broken)
        file.write_text('service = "two"\n')
        assert [service(reader) for _ in range(5)] == ["one"] * 5
    assert len(caplog.records) == 1
    assert "LookupError" in caplog.text
    assert "SECRET" not in caplog.text


def test_bad_in_one_way_after_the_other(
    reader: SettingsReloader, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "adapter"):
        for text in ("x = \n", "", "x = \n", "", 'servcie = "x"\n'):
            file.write_text(text)
            assert [service(reader) for _ in range(3)] == ["one"] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 5


def test_a_kill_switch_in_the_file_beats_an_argument(file: Path) -> None:
    file.write_text("# nothing\n")
    reader = reloader_of(Settings(config_file=file, force="responses"))
    assert reader.current().settings.force == "responses"
    file.write_text('force = "chat"\n')
    assert reader.current().settings.force == "chat"
    file.write_text('force = "responses"\n')
    assert reader.current().settings.force == "responses"


def test_an_argument_keeps_its_value_and_everything_else_follows(file: Path) -> None:
    file.write_text('backend = "responses"\nrollout = 5\ndrop = ["seed"]\n')
    reader = reloader_of(Settings(config_file=file, rollout=50))
    for backend, drop in (("chat", ["n"]), ("responses", [])):
        file.write_text(f'backend = "{backend}"\nrollout = 1\ndrop = {json.dumps(drop)}\n')
        now = reader.current().settings
        assert (now.backend, now.rollout, now.drop) == (backend, 50, tuple(drop))
    file.write_text("# empty\n")
    assert (reader.current().settings.backend, reader.current().settings.rollout) == ("chat", 50)


def test_changes_are_logged_with_the_hash_alone(
    reader: SettingsReloader, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader.current()
    with caplog.at_level(logging.INFO, "adapter"):
        file.write_text('service = "SECRET"\n')
        assert service(reader) == "SECRET"
    (message,) = caplog.messages
    assert reader.current().settings.hash in message
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("given", ["one object", "the environment", "equal arguments"])
def test_thirty_clients_share_one_reading(
    given: str, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text('service = "one"\n')
    monkeypatch.setenv("ADAPTER_CONFIG", str(file))
    one = Settings(config_file=file)
    makers: dict[str, Callable[[], Settings | None]] = {
        "one object": lambda: one,
        "the environment": lambda: None,
        "equal arguments": lambda: Settings(on_internal_error="raise", drop=("seed",)),
    }
    with default_client() as http:
        first = [
            adapter.OpenAI(api_key=KEY, settings=makers[given](), http_client=http)
            for _ in range(15)
        ]
        clients: list[Any] = [*first, *(client.copy() for client in first)]
        assert len({id(client._adapter_live) for client in clients}) == 1
        with caplog.at_level(logging.INFO, "adapter"):
            file.write_text('service = "two"\n')
            assert {client._adapter_live.current().settings.service for client in clients} == {
                "two"
            }
    assert len(caplog.records) == 1


def test_clients_with_different_settings_share_nothing(file: Path) -> None:
    file.write_text('service = "one"\n')
    arguments: list[Any] = [
        {},
        {"backend": "responses"},
        {"observers": [print]},
        {"observers": [repr]},
    ]
    made = [reloader_of(Settings(config_file=file, **given)) for given in arguments]
    assert len({id(one) for one in made}) == len(arguments)


def test_a_log_handler_may_make_calls_itself(
    reader: SettingsReloader, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(service(reader))

    handler, logger = Handler(), logging.getLogger("adapter")
    caplog.set_level(logging.INFO, "adapter")
    logger.addHandler(handler)
    try:
        for text in ("bad = \n", 'service = "two"\n'):
            file.write_text(text)
            service(reader)
    finally:
        logger.removeHandler(handler)
    assert seen == ["one", "two"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_keeps_reloading(file: Path) -> None:
    # In a process of its own: this one has threads, with which forking isn't safe.
    file.write_text('service = "one"\n')
    code = (
        "import os, sys, threading; from pathlib import Path; from adapter import Settings\n"
        "from adapter._routing.reload import reloader_of\n"
        "file = Path(sys.argv[1]); reader = reloader_of(Settings(config_file=file))\n"
        "held = threading.Event()\n"
        "def hold():\n"
        "    with reader._lock: held.set(); threading.Event().wait()\n"
        "threading.Thread(target=hold, daemon=True).start(); held.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    file.write_text('service = \"two\"')\n"
        "    os._exit(0 if reader.current().settings.service == 'two' else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(file)]
    assert subprocess.run(command, check=False, env=environment, timeout=60).returncode == 0
