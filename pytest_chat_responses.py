"""What pytest loads at its start: it brings in `adapter.testing.plugin`, unless `adapter` is a module of the project under test.

It has a name of its own for that: importing anything of `adapter` here would take the name away from a project that has a
module or package so called. Such a project keeps it, and the plugin steps aside; the options are known nevertheless, so that
pytest starts and can say why they do nothing. (PYTEST_DONT_REWRITE: no test's assertions are here.)
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

PLUGIN = "adapter.testing.plugin"
CUTS = ("whole", "event", "byte", "cut")

_INACTIVE = pytest.StashKey[Path]()
_HEADER_SHOWN = pytest.StashKey[bool]()
_OPTIONS = (
    "adapter_backend",
    "adapter_report",
    "adapter_strict",
    "adapter_record",
    "adapter_streams",
)


def add_options(parser: pytest.Parser) -> None:
    """Add the plugin's options, once: pytest may be told of the plugin by its entry point and by `-p`."""
    group = parser.getgroup("adapter", "Chat Completions and the Responses API")
    if group.options:
        return
    group.addoption(
        "--adapter-backend",
        choices=("chat", "responses", "both"),
        help="Run the tests that use the fixture `backend` on this side, or on both (default: ini `adapter_backend`, else both).",
    )
    group.addoption(
        "--adapter-report",
        metavar="FILE",
        help="Write where the tests ran and what fell back to FILE, as JSON.",
    )
    group.addoption(
        "--adapter-strict",
        action="store_true",
        help="Fail a test that asked for responses and of which a call was answered by chat, or a wider fixture's on the other side.",
    )
    group.addoption(
        "--adapter-record",
        action="store_true",
        help="Record the cassettes of the fixture `adapter_cassette` anew, from the server that OPENAI_BASE_URL names.",
    )
    group.addoption(
        "--adapter-streams",
        choices=CUTS[:-1],
        help="Hand out replayed and real streams whole, an event at a time, or a byte at a time (default: as they come).",
    )
    parser.addini(
        "adapter_backend",
        "the default of --adapter-backend: chat, responses or both",
        default="both",
    )


def add_markers(config: pytest.Config) -> None:
    """Declare the plugin's markers."""
    for line in (
        "adapter_backend(*sides, reason=None): run the test on these sides (chat, responses; default both)",
        "adapter_cassette(name): name the cassette of the fixture adapter_cassette, without side and .yaml",
        "adapter_chat_mocks(active): whether the fixture adapter_chat_mocks does anything for the test",
        "adapter_streams(pieces): hand out the test's streams whole, by event, by byte, or cut (broken in the middle)",
    ):
        config.addinivalue_line("markers", line)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Bring in the plugin, before any file of the project is imported."""
    found = _project_module(_search_folders(early_config)) or _on_path()
    if found is not None:
        early_config.stash[_INACTIVE] = found
        return (yield)
    manager = early_config.pluginmanager
    if not (manager.has_plugin(PLUGIN) or manager.is_blocked(PLUGIN)):
        manager.register(importlib.import_module(PLUGIN), PLUGIN)
    plugin: Any = manager.get_plugin(PLUGIN)
    if plugin is None:
        return (yield)
    return (yield from plugin.load_initial_conftests(early_config))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers also where the plugin isn't there to do it: `--strict-markers` may be in force."""
    if _INACTIVE in config.stash:
        add_markers(config)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Give the name back where a module turns up only now, beside tests in a part of the repository, unless a part uses the adapter."""
    config = parent.config
    if (
        _INACTIVE in config.stash
        or config.getoption("importmode") != "prepend"
        or "adapter._runtime" in sys.modules
    ):
        return
    found = _project_module([_root_folder(module_path.parent)])
    if found is None:
        return
    config.stash[_INACTIVE] = found
    plugin = config.pluginmanager.get_plugin(PLUGIN)
    if plugin is not None:
        plugin.deactivate(config)
    for name in [name for name in sys.modules if name.partition(".")[0] == "adapter"]:
        del sys.modules[name]


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say why, to those who gave an option."""
    config.stash[_HEADER_SHOWN] = _INACTIVE in config.stash
    return _reason(config) if config.stash[_HEADER_SHOWN] and _is_asked_for(config) else None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say it at the end, where it was found out since."""
    if (
        _INACTIVE in config.stash
        and not config.stash.get(_HEADER_SHOWN, False)
        and _is_asked_for(config)
    ):
        terminalreporter.line(_reason(config))


def _is_asked_for(config: pytest.Config) -> bool:
    return any(config.getoption(name, None) for name in _OPTIONS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Say why, where a fixture of the plugin is asked for."""
    report = yield
    fixture = str(getattr(call.excinfo.value, "argname", "")) if call.excinfo is not None else ""
    if (fixture == "backend" or fixture.startswith("adapter_")) and _INACTIVE in item.config.stash:
        report.sections.append(("adapter", _reason(item.config)))
    return report


def _reason(config: pytest.Config) -> str:
    found = config.stash[_INACTIVE]
    shown = found.relative_to(config.rootpath) if found.is_relative_to(config.rootpath) else found
    return f"adapter: the plugin of chat-responses-adapter steps aside, since `adapter` is this project's own: {shown}"


def _search_folders(config: pytest.Config) -> Iterator[Path]:
    """Give the folders that pytest puts, or may put, in front of `sys.path`."""
    if config.pluginmanager.has_plugin("python_path"):
        yield from config.getini("pythonpath")
    yield config.rootpath
    yield config.invocation_params.dir
    for argument in getattr(config.known_args_namespace, "file_or_dir", None) or ():
        path = config.invocation_params.dir / str(argument).partition("::")[0]
        yield _root_folder(path if path.is_dir() else path.parent)


def _root_folder(folder: Path) -> Path:
    """Give the folder that pytest puts on `sys.path` for the tests of a folder: the first one upwards that is no package."""
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder


def _project_module(folders: Iterable[Path]) -> Path | None:
    """Find a module or package `adapter` that isn't the one beside this file."""
    return next(
        (
            found
            for folder in dict.fromkeys(folders)
            for found in _adapter_modules(folder)
            if _is_foreign(found)
        ),
        None,
    )


def _on_path() -> Path | None:
    """Find what `import adapter` finds on `sys.path` as it is, unless that is the one beside this file."""
    found = next((found for entry in sys.path for found in _adapter_modules(Path(entry))), None)
    return found if found is not None and _is_foreign(found) else None


def _adapter_modules(folder: Path) -> list[Path]:
    # `os.path` takes what can't be looked at for absent.
    return [
        path
        for path in (folder / "adapter" / "__init__.py", folder / "adapter.py")
        if os.path.isfile(path)  # noqa: PTH113
    ]


def _is_foreign(found: Path) -> bool:
    ours = Path(__file__).parent / "adapter" / "__init__.py"
    return not (ours.is_file() and ours.samefile(found))
