"""The kill switch in files that aren't TOML, in other tools' tables, and how long it lasts."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import adapter
from adapter import Settings
from adapter._routing.reload import SettingsReloader
from tests.support.http import default_client
from tests.unit.settings.test_kill_switch import GOOD, errors, file, goes_to, running_on

__all__ = ["file"]


# Files that can't be read

UNREADABLE: dict[
    str, tuple[str | bytes, str | None, str | None]
] = {  # the text, the force at start and while running
    "nothing of it": ("backend = \n", None, None),
    "a line": ('force = "chat"\nbackend = \n', "chat", "chat"),
    "twice": ('force = "responses"\nforce = "chat"\n', "chat", "chat"),
    "twice the same": ("force = 'native'\nforce = 'native' # now\n", "native", "native"),
    "no quotes": ("backend = 'chat'\nforce = chat\n", None, "chat"),
    "as in YAML": ("force: chat\n", None, "chat"),
    "no quote at the end": ('force = "chat\n', None, "chat"),
    "unknown": ('force = "chatt"\nx = \n', None, "native"),
    "cut off": ('force = "respon', None, "native"),
    "in capitals": ('FORCE = "chat"\nx = \n', None, "chat"),
    "of a table": ('adapter.force = "chat"\nx = \n', None, "chat"),
    "in another encoding": (
        b"backend = 'responses'\n" + 'force = "chat"\r\n'.encode("utf-16"),
        "chat",
        "chat",
    ),
    "appended to a line": ('backend = "responses"\nrollout = 5force = "chat"', "chat", "chat"),
    "appended to a list": ('drop = ["seed"]force = "native"\r\n', "native", "native"),
    "appended to a switch": ('allow_header = trueforce = "chat"\n', "chat", "chat"),
    "inside an open list": ('drop = [\n  "seed",\nforce = "chat"\n', "chat", "chat"),
    "smart quotes": ("force = \u201cchat\u201d\nx = \n", None, "native"),
    "of another word": ('x = 5enforce = "chat"\n', None, None),
    "in a comment behind": ('x = 5 # force = "chat"\ny = \n', None, None),
    "a comment": ('# force = "chat"\nx = \n', None, None),
    "another key": ('enforce = "chat"\nforced = "chat"\nx = \n', None, None),
    "no value": ("force =\n", None, None),
    "empty": ('force = ""\nx = \n', None, None),
    "to the Responses API": ('force = "responses"\nx = \n', None, None),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_that_is_not_toml(case: str, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    text, at_start, running = UNREADABLE[case]
    raw = text if isinstance(text, bytes) else text.encode()
    reader = running_on(file)
    file.write_bytes(raw)
    if at_start is None:
        with pytest.raises(adapter.ConfigurationError, match="not TOML"):
            Settings(config_file=file)
    else:
        assert Settings(config_file=file).force == at_start
        assert "not TOML" in errors(caplog)[0]
    assert reader.current().settings.force == running
    assert goes_to(reader.current()) == (
        ("responses", "header") if running is None else ("chat", "force")
    )
    assert len(errors(caplog)) == (running is not None)
    assert reader.current().settings.service == "checkout"


# The tables of other tools

PROJECT = '[project]\nname = "x"\n'
PROJECTS: dict[str, tuple[str, str | None]] = {
    "in our table": ('[tool.adapter]\nforce = "chat"\n', "chat"),
    "in our rules": ('[tool.adapter]\n[[tool.adapter.rules]]\nforce = "chat"\n', "chat"),
    "unknown in our table": ('[tool.adapter]\nforce = "yes"\n', "native"),
    "appended to another's": ('[tool.adapter]\n[tool.other]\nx = 1\nforce = "chat"\n', "chat"),
    "at the top": ("[tool.adapter]\n", "native"),
    "another's own": (
        '[tool.adapter]\n[tool.other]\nforce = true\n[tool.third]\nforce = "always"\n', None),
    "a package": ('[tool.adapter]\n[tool.poetry.dependencies]\nforce = "^1.0"\n', None),
    "without our table": ('[tool.other]\nforce = "chat"\n', "chat"),
}  # fmt: skip


@pytest.mark.parametrize("case", PROJECTS)
def test_a_pyproject(case: str, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    text, expected = PROJECTS[case]
    path.write_text(('force = "native"\n' if case == "at the top" else "") + PROJECT + text)
    assert Settings(config_file=path).force == expected


# How long it lasts


def test_a_force_lasts_until_a_good_file(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader = running_on(file)
    steps = [
        ('rolout = 5\nforce = "chat"\n', "chat"), ("rolout = 5\n", "chat"), ("", "chat"),
            ("x = \n", "chat"),
        ('rolout = 5\nforce = "native"\n', "native"), ("rolout = 5\n", "native"), (GOOD, None),
            ("rolout = 5\n", None),
        ('force = "chat"\n', "chat"), ("rolout = 5\n", "chat"), (GOOD, None),
    ]  # fmt: skip
    caplog.set_level(logging.INFO, "adapter")
    for text, force in steps:
        file.write_text(text)
        assert [reader.current().settings.force for _ in range(3)] == [force] * 3, text
        levels = [record.levelname for record in caplog.records]
        caplog.clear()
        assert len(levels) == 1
        good = text in (GOOD, 'force = "chat"\n')
        assert levels == ["INFO" if good else "WARNING" if force is None else "ERROR"], text
    file.unlink()
    assert reader.current().settings.force is None


def test_a_good_file_ends_the_force_of_the_start(file: Path) -> None:
    file.write_text('rolout = 5\nforce = "chat"\n')
    reader = SettingsReloader(Settings(config_file=file))
    for text, force in (
        ("rolout = 5\n", "chat"),
        ("", "chat"),
        ('servcie = "x"\nforce = "native"\n', "native"),
        (GOOD, None),
    ):
        file.write_text(text)
        assert [reader.current().settings.force for _ in range(3)] == [force] * 3, text
    assert goes_to(reader.current()) == ("responses", "header")


def test_thirty_clients_log_a_problem_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text(GOOD)
    http_client = default_client()
    clients = [
        adapter.OpenAI(api_key="k", settings=Settings(config_file=file), http_client=http_client)
        for _ in range(30)
    ]
    file.write_text('rolout = 5\nforce = "chat"\n')
    reloaders = [client._adapter_live for client in clients]  # type: ignore[attr-defined]
    assert {reloader.current().settings.force for reloader in reloaders} == {"chat"}
    assert len(errors(caplog)) == 1
    for client in clients:
        client.close()
