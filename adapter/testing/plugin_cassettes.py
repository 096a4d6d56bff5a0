"""The pytest plugin's cassettes: replays without a key, recordings without gaps.

A test replays if it uses the fixture `adapter_cassette`, or if it is marked `vcr` (the mark of
pytest-recording and pytest-vcr) and either runs on a backend or has its settings from
`adapter.testing.pytest_recording` (docs/guides/test-both-sides.md#recording).
PYTEST_DONT_REWRITE: this file has no assertions of tests.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from . import cassette_names, placeholder_keys
from .backends import backend_of
from .transports import NetworkExits

_KEYLESS = pytest.StashKey["_KeylessClients"]()
_OUTCOME = pytest.StashKey[str]()

_MODES = ("adapter_record", "record_mode", "vcr_record")
"""The options that record: ours, pytest-recording's and pytest-vcr's."""
_REPLAYING = (None, False, "none", "once")
"""The values of these options that don't record."""

_PLUGIN_NAMES = (b"adapter_cassette", b"adapter.testing", b"adapter_backend")
_MAX_FILES = 5000
_SKIPPED_FOLDERS = frozenset(
    {"node_modules", "site-packages", "venv", "build", "dist", "__pycache__"}
)


class _KeylessClients:
    """Let clients be made without keys: while the suite is collected, and in tests that replay."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._suite_uses_plugin: bool | None = None
        self.collecting = True
        # The variables that were set when the replaying test began; None outside of one.
        self.set_at_start: frozenset[str] | None = None
        self.exits = NetworkExits(placeholder_keys.reject_stand_in)
        self.patches = ExitStack()

    def stand_ins_for(self, missing: Mapping[str, str]) -> Mapping[str, str]:
        """Return the stand-ins for a client made now; none for a variable that the test removed."""
        if self.set_at_start is not None:
            return {name: value for name, value in missing.items() if name not in self.set_at_start}
        return missing if self.collecting and self._uses_plugin() else {}

    def _uses_plugin(self) -> bool:
        """Return whether a file of the suite names the plugin.

        Only called when a client is made without a key, since it reads the files.
        """
        if self._suite_uses_plugin is None:
            named = " ".join(self._config.getini("usefixtures"))
            self._suite_uses_plugin = "adapter_cassette" in named or any(
                _names_plugin(file) for file in _files(self._config)
            )
        return self._suite_uses_plugin


def _files(config: pytest.Config) -> Iterator[Path]:
    """Yield the Python files among the tests of a run, and the conftest at its root."""
    yield config.rootpath / "conftest.py"
    here = config.invocation_params.dir
    given = (
        getattr(config.known_args_namespace, "file_or_dir", None)
        or config.getini("testpaths")
        or ["."]
    )
    remaining = _MAX_FILES
    for one in given:
        path = here / str(one).partition("::")[0]
        if path.is_file():
            yield path
        for folder, folders, names in os.walk(path):
            folders[:] = [
                name
                for name in folders
                if name not in _SKIPPED_FOLDERS and not name.startswith(".")
            ]
            for name in names:
                if name.endswith(".py"):
                    remaining -= 1
                    yield Path(folder, name)
            if remaining < 0:
                return


def _names_plugin(file: Path) -> bool:
    try:
        text = file.read_bytes()
    except OSError:
        return False
    return any(word in text for word in _PLUGIN_NAMES)


def _records(options: Any) -> bool:
    return any(getattr(options, name, None) not in _REPLAYING for name in _MODES)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Allow clients without keys, before any file of the suite is imported."""
    if _KEYLESS not in early_config.stash and not _records(early_config.known_args_namespace):
        keyless = early_config.stash[_KEYLESS] = _KeylessClients(early_config)
        keyless.patches.enter_context(
            placeholder_keys.allow_keyless_clients(keyless.stand_ins_for, keyless.exits)
        )
        early_config.add_cleanup(keyless.patches.close)
        early_config.add_cleanup(keyless.exits.close)
    return (yield)


def stop(config: pytest.Config) -> None:
    """No longer allow clients without keys."""
    keyless = config.stash.get(_KEYLESS, None)
    if keyless is not None:
        keyless.patches.close()
        keyless.exits.close()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop after the collection if no test replays."""
    keyless = session.config.stash.get(_KEYLESS, None)
    if keyless is not None:
        keyless.collecting = False
        if not any(_replays(item) for item in session.items):
            keyless.patches.close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Set the stand-in for a key around a test that replays, its fixtures included."""
    keyless = item.config.stash.get(_KEYLESS, None)
    if keyless is None or not _replays(item):
        return (yield)
    keyless.exits.watch()
    try:
        with placeholder_keys.set_stand_ins(settled=True):
            keyless.set_at_start = placeholder_keys.variables_present()
            return (yield)
    finally:
        keyless.set_at_start = None


def _replays(item: pytest.Item) -> bool:
    if "adapter_cassette" in getattr(item, "fixturenames", ()):
        return True
    return item.get_closest_marker("vcr") is not None and (
        backend_of(item) is not None or _has_our_settings(item)
    )


def _has_our_settings(item: pytest.Item) -> bool:
    manager = getattr(item.session, "_fixturemanager")  # noqa: B009 - it isn't public
    found = manager.getfixturedefs("vcr_config", item)
    return (
        bool(found)
        and getattr(found[-1].func, "__module__", "") == "adapter.testing.pytest_recording"
    )


# Cassettes


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test on a backend if vcrpy would record or replay its cassette above the adapter."""
    if backend_of(item) is not None and item.get_closest_marker("vcr") is not None:
        _check_vcrpy()


def _check_vcrpy() -> None:
    from . import vcr_check

    why = vcr_check.problem()
    if why is not None:
        pytest.fail(why, pytrace=False)


@pytest.fixture
def adapter_cassette_dir(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the test's cassettes: `cassettes/MODULE` beside the test.

    Override the fixture to keep them in another folder.
    """
    return Path(request.path).parent / "cassettes" / request.path.stem


class _NotPassedError(Exception):
    """Raised to leave a recording without replacing the existing cassette."""


@pytest.fixture
def adapter_cassette(
    request: pytest.FixtureRequest, backend: str, adapter_cassette_dir: Path
) -> Iterator[Any]:
    """Replay the test's calls from `TEST.BACKEND.yaml`, or record them with `--adapter-record`.

    Yields vcrpy's cassette. A replay needs no key, never reaches the network, and fails for a
    request that isn't recorded or a recorded one that isn't made. A recording fails if calls
    bypassed the cassette or none was made; then, and if the test fails, an existing cassette is
    left unchanged. Cassettes hold no keys, cookies, hosts, or headers that aren't known to be
    harmless.
    """
    _check_vcrpy()
    from .cassettes import use_cassette

    marker = request.node.get_closest_marker("adapter_cassette")
    name = (
        marker.args[0]
        if marker is not None
        else cassette_names.cassette_name(request.cls, request.node.name)
    )
    record = bool(request.config.getoption("adapter_record"))
    path = cassette_names.cassette_path(adapter_cassette_dir, name, backend)
    if not record and not path.is_file():
        pytest.fail(f"{path}: no such cassette: record it with --adapter-record", pytrace=False)
    outcome = "passed"
    try:
        with use_cassette(path, record=record) as cassette:
            yield cassette
            outcome = request.node.stash.get(_OUTCOME, "passed")
            if record and (
                outcome == "skipped"
                or (outcome == "failed" and (path.is_file() or not len(cassette)))
            ):
                raise _NotPassedError
    except _NotPassedError:
        happened = "was skipped" if outcome == "skipped" else outcome
        request.node.add_report_section(
            "teardown",
            "adapter",
            f"{path.name} is unchanged, since the test {happened} while it was recorded",
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Keep a test's outcome for its recording."""
    report = yield
    if not report.passed:
        item.stash[_OUTCOME] = (
            "failed" if report.failed or hasattr(report, "wasxfail") else "skipped"
        )
    return report


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Guard a cassette of pytest-recording or pytest-vcr as one of ours."""
    cassette = yield
    if (
        fixturedef.argname in ("vcr", "vcr_cassette")
        and hasattr(cassette, "can_play_response_for")
        and _replays(request.node)
    ):
        from .cassette_guard import guarded

        guarding = guarded(cassette, replay=bool(cassette.write_protected))
        guard = guarding.__enter__()

        def finish() -> None:
            guarding.__exit__(None, None, None)
            if why := guard.problems():
                pytest.fail("; ".join(why), pytrace=False)

        request.addfinalizer(finish)
    return cassette
