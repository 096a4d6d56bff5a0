"""The pytest plugin: run tests on Chat Completions and on the Responses API, and tell where each call went.

    pytest --adapter-backend=both

A test takes part that uses the fixture `backend` (itself, by another fixture, or all of them: `usefixtures = backend` in pytest's
ini), or is marked `adapter_backend`. It runs once on each side, with the side in force for the whole process: threads, tasks and
clients made inside or before need no change.

pytest loads this file at every start, by `pytest_chat_responses`, so nothing but pytest and the plugin's own small parts is imported at its top.
(PYTEST_DONT_REWRITE: no test's assertions are here.)
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pytest_chat_responses import CUTS, add_markers, add_options

from . import plugin_cassettes
from .backends import SINGLE_BACKEND, SelectedBackend, backend_in_force, backend_of, backends_of
from .report import MADE_ELSEWHERE, CallWatcher, Report, fallbacks, report_data

pytest.register_assert_rewrite("adapter.testing.comparison")

load_initial_conftests = plugin_cassettes.pytest_load_initial_conftests

_WATCHER = pytest.StashKey[CallWatcher]()
_CLOSING = pytest.StashKey[ExitStack]()
_WATCHING = pytest.StashKey[bool]()
_HAS_ONE_BACKEND = pytest.StashKey[bool]()
_MADE_ON = pytest.StashKey[dict[Any, "SelectedBackend | None"]]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, where the entry point hasn't, and bring in what is in files of its own."""
    add_options(parser)
    if not pluginmanager.is_registered(plugin_cassettes):
        pluginmanager.register(plugin_cassettes, plugin_cassettes.__name__)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    add_markers(config)
    config.stash[_WATCHER] = CallWatcher()
    config.stash[_CLOSING] = ExitStack()
    config.stash[_MADE_ON] = {}
    _selected_backend(config)  # a mistake ends the run here, in one line
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Reporter(config), "adapter-report")


def deactivate(config: pytest.Config) -> None:
    """Take everything back, for a project that turns out to have a module `adapter` of its own."""
    pytest_unconfigure(config)
    for name in ("adapter-report", "adapter.testing.plugin_cassettes", "adapter.testing.plugin"):
        config.pluginmanager.unregister(name=name)
    plugin_cassettes.stop(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop watching."""
    config.stash[_CLOSING].close()


def _selected_backend(config: pytest.Config) -> str:
    asked = config.getoption("adapter_backend") or config.getini("adapter_backend")
    if asked not in ("chat", "responses", "both"):
        raise pytest.UsageError(f"adapter_backend: expected chat, responses or both, got {asked!r}")
    return str(asked)


def _backends_for(
    config: pytest.Config, test: str, markers: list[pytest.Mark]
) -> tuple[list[SelectedBackend], str]:
    try:
        return backends_of(_selected_backend(config), markers)
    except ValueError as error:
        raise pytest.Collector.CollectError(
            f"{test}: {error}"
        ) from None  # one line, where UsageError has a traceback


# Sides


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """Run the test on each side, and give the side: `chat` or `responses`."""
    side = backend_of(request.node)
    if (
        side is None
    ):  # asked for at run time (getfixturevalue), when the test can't be doubled any more
        raise pytest.UsageError(
            "the fixture `backend` can't be asked for at run time: name it as an argument, or mark the test"
        )
    return str(side)


@pytest.hookimpl(trylast=True)  # after the test's own parameters, so that the side ends its id
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes part a run on each side."""
    markers = list(metafunc.definition.iter_markers("adapter_backend"))
    if not markers and "backend" not in metafunc.fixturenames:
        return
    if not _is_plugin_backend(metafunc):
        return
    sides, why = _backends_for(metafunc.config, metafunc.definition.nodeid, markers)
    if "backend" not in metafunc.fixturenames:
        metafunc.fixturenames.append("backend")
    params = [pytest.param(side, id=side) for side in sides]
    skipped = [
        pytest.param(
            None, id=_selected_backend(metafunc.config), marks=pytest.mark.skip(reason=why)
        )
    ]
    metafunc.parametrize("backend", params or skipped, indirect=True)


def _is_plugin_backend(metafunc: pytest.Metafunc) -> bool:
    """Tell whether the test's `backend` is the plugin's: it may be a parameter, or a fixture of the suite's own."""
    if any("backend" in getattr(call, "params", ()) for call in getattr(metafunc, "_calls", ())):
        return False
    return _is_plugin_fixture(getattr(metafunc, "_arg2fixturedefs", {}).get("backend"))


def _is_plugin_fixture(known: Any) -> bool:
    return not known or getattr(known[-1].func, "__module__", __name__) == __name__


def pytest_itemcollected(item: pytest.Item) -> None:
    """Choose a side for a test that takes part and can't be doubled: one of unittest's, or a doctest."""
    markers = list(item.iter_markers("adapter_backend"))
    if hasattr(item, "callspec") or not (markers or "backend" in getattr(item, "fixturenames", ())):
        return
    info = getattr(item, "_fixtureinfo", None)
    if not _is_plugin_fixture(getattr(info, "name2fixturedefs", {}).get("backend")):
        return
    sides, why = _backends_for(item.config, item.nodeid, markers)
    if sides:
        setattr(item, SINGLE_BACKEND, sides[0])
        item.stash[_HAS_ONE_BACKEND] = len(sides) > 1
    else:
        item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Put a test's side in force, from the first of its fixtures to the last, and watch its calls."""
    side = backend_of(item)
    if side is None:
        return (yield)
    watcher = item.config.stash[_WATCHER]
    if not item.config.stash.get(_WATCHING, False):
        from adapter.telemetry.observers import observing

        item.config.stash[_CLOSING].enter_context(observing(watcher))
        item.config.stash[_WATCHING] = True
    with backend_in_force(side), watcher.test(side):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Remember on which side a fixture of a wider scope made its calls: the tests of the other side get what it got."""
    made_on = request.config.stash[_MADE_ON]
    made_on.pop(fixturedef, None)
    watcher = request.config.stash[_WATCHER]
    before = watcher.total
    try:
        return (yield)
    finally:
        if fixturedef.scope != "function" and watcher.total != before:
            made_on[fixturedef] = watcher.backend


def _made_elsewhere(item: pytest.Item, side: SelectedBackend) -> list[str]:
    """List the fixtures of a test whose calls were made on another side."""
    made_on = item.config.stash[_MADE_ON]
    if not made_on:
        return []
    used = getattr(getattr(item, "_request", None), "_fixture_defs", {})
    return sorted(name for name, one in used.items() if one in made_on and made_on[one] != side)


# Streams


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Cut the test's streams as it is marked, or as the option says; the innermost, so inside of any cassette."""
    marker = item.get_closest_marker("adapter_streams")
    pieces = (
        item.config.getoption("adapter_streams")
        if marker is None
        else (marker.args or ("event",))[0]
    )
    if pieces is None or (marker is None and backend_of(item) is None):
        return (yield)
    from . import stream_pieces

    cuts = {
        "whole": stream_pieces.whole,
        "event": stream_pieces.per_event,
        "byte": stream_pieces.per_byte,
        "cut": None,
    }
    if pieces not in cuts:
        pytest.fail(f"adapter_streams: expected {', '.join(CUTS)}, got {pieces!r}", pytrace=False)
    with stream_pieces.cutting(cuts[pieces]):
        return (yield)


# Mocks


@pytest.fixture
def adapter_chat_mocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Serve what the test's HTTP mocks of Chat Completions answer as the Responses API would have (`mocks.chat_mocks`).

    A test whose mocks answer `/responses` themselves is marked `adapter_chat_mocks(False)`, where the fixture is in force for all.
    """
    marker = request.node.get_closest_marker("adapter_chat_mocks")
    if marker is not None and not all(marker.args):
        yield
        return
    from .chat_mock_transport import chat_mocks

    with chat_mocks():
        yield


# The report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Put side and calls into the test's reports; with `--adapter-strict`, fail what strayed."""
    report = yield
    side = backend_of(item)
    if side is None:
        return report
    alone, elsewhere = item.stash.get(_HAS_ONE_BACKEND, False), _made_elsewhere(item, side)
    failure = None
    if report.failed and call.excinfo is not None:
        from . import event_loop_failures

        failure = event_loop_failures.failure_kind(call.excinfo.value)
        if failure is not None:
            report.sections.append(("adapter", event_loop_failures.NOTES[failure]))
    watcher = item.config.stash[_WATCHER]
    report.adapter = report_data(
        side, watcher, alone=alone, made_elsewhere=elsewhere, failure=failure
    )
    if (
        call.when == "call"
        and report.outcome == "passed"
        and item.config.getoption("adapter_strict")
    ):
        why = fallbacks(report.adapter["calls"])
        if why:
            report.outcome = "failed"
            report.longrepr = (
                f"--adapter-strict: asked for responses, answered by chat: {'; '.join(why)}"
            )
        elif elsewhere:
            report.outcome = "failed"
            report.longrepr = f"--adapter-strict: {MADE_ELSEWHERE}: {', '.join(elsewhere)}"
    return report


class _Reporter:
    """Collect the reports of all tests, in the process that reports, and tell of them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._report = Report()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a phase of a test; of a worker's test too."""
        self._report.add(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of pytest-xdist has left."""
        self._report.outside += getattr(node, "workeroutput", {}).get("adapter_outside", 0)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        path = self._config.getoption("adapter_report")
        if path:
            self._report.outside += self._config.stash[_WATCHER].outside
            self._report.write(Path(path))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the report, where there is something to tell."""
        if self._report.tests:
            terminalreporter.section("adapter: where the tests ran")
            for line in self._report.lines():
                terminalreporter.line(line)
        elif self._config.getoption("adapter_backend"):
            terminalreporter.section("adapter: where the tests ran")
            terminalreporter.line(_NO_TESTS)


_NO_TESTS = (
    "No test ran on a side: none uses the fixture `backend` or is marked `adapter_backend`. To run all of them: "
    "-o usefixtures=backend, or the same in pytest's ini."
)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send up, from a worker of pytest-xdist, what belongs to no test."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["adapter_outside"] = session.config.stash[_WATCHER].outside
