"""The pytest plugin: run tests on both backends, and report which backend answered each call.

    pytest --adapter-backend=both

A test takes part if it uses the fixture `backend` (directly, by another fixture, or by
`usefixtures = backend` in pytest's ini), or is marked `adapter_backend`. It runs once on each
backend, which is forced for the whole process: threads, tasks and existing clients included
(docs/guides/test-both-sides.md).

pytest loads this file at every start, by `pytest_chat_responses`, so it imports only pytest and
small modules. PYTEST_DONT_REWRITE: this file has no assertions of tests.
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

__all__ = ["adapter_chat_mocks", "backend"]

pytest.register_assert_rewrite("adapter.testing.comparison")

load_initial_conftests = plugin_cassettes.pytest_load_initial_conftests

_WATCHER = pytest.StashKey[CallWatcher]()
_CLOSING = pytest.StashKey[ExitStack]()
_WATCHING = pytest.StashKey[bool]()
_HAS_ONE_BACKEND = pytest.StashKey[bool]()
_MADE_ON = pytest.StashKey[dict[Any, "SelectedBackend | None"]]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options, unless the entry point has, and register the plugin for cassettes."""
    add_options(parser)
    if not pluginmanager.is_registered(plugin_cassettes):
        pluginmanager.register(plugin_cassettes, plugin_cassettes.__name__)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and check the options."""
    add_markers(config)
    config.stash[_WATCHER] = CallWatcher()
    config.stash[_CLOSING] = ExitStack()
    config.stash[_MADE_ON] = {}
    _selected_backend(config)  # a wrong value ends the run here, in one line
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Reporter(config), "adapter-report")


def deactivate(config: pytest.Config) -> None:
    """Unregister the plugin, for a project that turns out to have its own `adapter`."""
    pytest_unconfigure(config)
    for name in ("adapter-report", "adapter.testing.plugin_cassettes", "adapter.testing.plugin"):
        config.pluginmanager.unregister(name=name)
    plugin_cassettes.stop(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop observing calls, if the configuration got as far as that."""
    closing = config.stash.get(_CLOSING, None)
    if closing is not None:
        closing.close()


def _selected_backend(config: pytest.Config) -> str:
    option = config.getoption("adapter_backend") or config.getini("adapter_backend")
    if option not in ("chat", "responses", "both"):
        raise pytest.UsageError(
            f"adapter_backend: expected chat, responses or both, got {option!r}"
        )
    return str(option)


def _backends_for(
    config: pytest.Config, test: str, markers: list[pytest.Mark]
) -> tuple[list[SelectedBackend], str]:
    try:
        return backends_of(_selected_backend(config), markers)
    except ValueError as error:
        # One line; a UsageError would show a traceback.
        raise pytest.Collector.CollectError(f"{test}: {error}") from None


# Backends


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """Run the test on each backend; the value is `chat` or `responses`."""
    backend_name = backend_of(request.node)
    if backend_name is None:  # requested by getfixturevalue, too late to parametrize the test
        raise pytest.UsageError(
            "the fixture `backend` can't be requested at run time: "
            "name it as an argument, or mark the test"
        )
    return str(backend_name)


@pytest.hookimpl(
    trylast=True
)  # after the test's own parameters, so that the id ends in the backend
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test that takes part with its backends."""
    markers = list(metafunc.definition.iter_markers("adapter_backend"))
    if not markers and "backend" not in metafunc.fixturenames:
        return
    if not _is_plugin_backend(metafunc):
        return
    backends, why = _backends_for(metafunc.config, metafunc.definition.nodeid, markers)
    if "backend" not in metafunc.fixturenames:
        metafunc.fixturenames.append("backend")
    params = [pytest.param(backend_name, id=backend_name) for backend_name in backends]
    skipped = [
        pytest.param(
            None, id=_selected_backend(metafunc.config), marks=pytest.mark.skip(reason=why)
        )
    ]
    metafunc.parametrize("backend", params or skipped, indirect=True)


def _is_plugin_backend(metafunc: pytest.Metafunc) -> bool:
    """Return whether the test's `backend` is the plugin's, not a parameter or another fixture."""
    if any("backend" in getattr(call, "params", ()) for call in getattr(metafunc, "_calls", ())):
        return False
    return _is_plugin_fixture(getattr(metafunc, "_arg2fixturedefs", {}).get("backend"))


def _is_plugin_fixture(known: Any) -> bool:
    return not known or getattr(known[-1].func, "__module__", __name__) == __name__


def pytest_itemcollected(item: pytest.Item) -> None:
    """Choose one backend for a test that can't be parametrized: unittest's tests and doctests."""
    markers = list(item.iter_markers("adapter_backend"))
    if hasattr(item, "callspec") or not (markers or "backend" in getattr(item, "fixturenames", ())):
        return
    info = getattr(item, "_fixtureinfo", None)
    if not _is_plugin_fixture(getattr(info, "name2fixturedefs", {}).get("backend")):
        return
    backends, why = _backends_for(item.config, item.nodeid, markers)
    if backends:
        setattr(item, SINGLE_BACKEND, backends[0])
        item.stash[_HAS_ONE_BACKEND] = len(backends) > 1
    else:
        item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Force a test's backend, its fixtures included, and observe its calls."""
    backend_name = backend_of(item)
    if backend_name is None:
        return (yield)
    watcher = item.config.stash[_WATCHER]
    if not item.config.stash.get(_WATCHING, False):
        from adapter.telemetry.observers import observing

        item.config.stash[_CLOSING].enter_context(observing(watcher))
        item.config.stash[_WATCHING] = True
    with backend_in_force(backend_name), watcher.test(backend_name):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Remember on which backend a fixture of a wider scope made its calls.

    Tests on the other backend get the same replies.
    """
    made_on = request.config.stash[_MADE_ON]
    made_on.pop(fixturedef, None)
    watcher = request.config.stash[_WATCHER]
    before = watcher.total
    try:
        return (yield)
    finally:
        if fixturedef.scope != "function" and watcher.total != before:
            made_on[fixturedef] = watcher.backend


def _made_elsewhere(item: pytest.Item, backend_name: SelectedBackend) -> list[str]:
    """List the fixtures of a test whose calls were made on another backend."""
    made_on = item.config.stash[_MADE_ON]
    if not made_on:
        return []
    used = getattr(getattr(item, "_request", None), "_fixture_defs", {})
    return sorted(
        name for name, one in used.items() if one in made_on and made_on[one] != backend_name
    )


# Streams


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Split the test's streams by its mark or the option.

    Runs last, so that streams are split inside of any cassette.
    """
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
    """Serve the replies of the test's Chat Completions mocks as the Responses API (`chat_mocks`).

    If all tests use the fixture, mark one whose mocks answer `/responses` with
    `adapter_chat_mocks(False)`.
    """
    marker = request.node.get_closest_marker("adapter_chat_mocks")
    if marker is not None and not all(marker.args):
        yield
        return
    from .chat_mock_performer import chat_mocks

    with chat_mocks():
        yield


# The report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Add backend and calls to the test's reports; apply `--adapter-strict`."""
    report = yield
    backend_name = backend_of(item)
    if backend_name is None:
        return report
    alone, elsewhere = item.stash.get(_HAS_ONE_BACKEND, False), _made_elsewhere(item, backend_name)
    failure = None
    if report.failed and call.excinfo is not None:
        from . import event_loop_failures

        failure = event_loop_failures.failure_kind(call.excinfo.value)
        if failure is not None:
            report.sections.append(("adapter", event_loop_failures.NOTES[failure]))
    watcher = item.config.stash[_WATCHER]
    report.adapter = report_data(
        backend_name, watcher, alone=alone, made_elsewhere=elsewhere, failure=failure
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
    """Collect the reports of all tests in the main process, and print a summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._report = Report()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the report of one phase of a test, also of a worker's."""
        self._report.add(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add the count of a pytest-xdist worker."""
        self._report.outside += getattr(node, "workeroutput", {}).get("adapter_outside", 0)

    def pytest_sessionfinish(self) -> None:
        """Write the report file."""
        path = self._config.getoption("adapter_report")
        if path:
            self._report.outside += self._config.stash[_WATCHER].outside
            self._report.write(Path(path))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the report, if a test took part."""
        if self._report.tests:
            terminalreporter.section("adapter: where the tests ran")
            for line in self._report.lines():
                terminalreporter.line(line)
        elif self._config.getoption("adapter_backend"):
            terminalreporter.section("adapter: where the tests ran")
            terminalreporter.line(_NO_TESTS)


_NO_TESTS = (
    "No test took part: none uses the fixture `backend` or is marked `adapter_backend`. "
    "To run all of them: -o usefixtures=backend, or the same in pytest's ini."
)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass the count of calls outside of tests from a pytest-xdist worker to the main process."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["adapter_outside"] = session.config.stash[_WATCHER].outside
