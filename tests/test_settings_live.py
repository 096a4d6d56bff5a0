"""Settings files that change: what is read again, when, and what stays in force when a file goes bad (DESIGN §4)."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter import Settings
from adapter.routing import live as live_module
from adapter.routing.live import Live, live
from tests.support.answers import KEY
from tests.support.http import default_client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "adapter.toml"


@pytest.fixture(params=["at once", "long after"])
def moment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the file right after its change, or so long after that its times alone tell of the next one."""
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
def test_copies_live_on(case: str, file: Path) -> None:
    file.write_text('service = "one"\n')
    settings = Settings(config_file=file, backend="responses")
    live(settings).now()
    copied = COPIES[case](settings)
    assert (copied.hash, copied.backend) == (settings.hash, "responses")
    file.write_text('service = "two"\n')
    assert {live(one).now().settings.service for one in (settings, copied)} == {"two"}


def test_a_copy_with_other_values_has_a_life_of_its_own(file: Path) -> None:
    file.write_text('service = "one"\n')
    settings = Settings(config_file=file)
    live(settings)
    other = settings.model_copy(update={"backend": "responses"})
    assert (live(settings).now().settings.backend, live(other).now().settings.backend) == ("chat", "responses")
    file.write_text('service = "two"\nbackend = "chat"\n')
    assert (live(other).now().settings.backend, live(other).now().settings.service) == ("responses", "two")
    with pytest.raises(adapter.ConfigurationError, match=r"^backend: "):
        settings.model_copy(update={"backend": "both"})


# Files that change


@pytest.fixture
def reader(file: Path) -> Live:
    file.write_text('service = "one"\n')
    return live(Settings(config_file=file, unsupported="error"))


def service(reader: Live) -> str:
    settings = reader.now().settings
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
def test_a_changed_file_is_read(case: str, reader: Live, file: Path) -> None:
