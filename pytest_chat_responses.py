"""Load `adapter.testing.plugin` into pytest, unless the project under test has its own `adapter`.

This module is pytest's entry point and doesn't import `adapter`: a project may have a module or
package of that name. In such a project the plugin stays inactive, but its options are declared, so
that pytest starts and reports why they have no effect
(docs/guides/test-both-sides.md#a-module-of-yours-called-adapter).
PYTEST_DONT_REWRITE: this file has no assertions of tests.
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
    """Add the plugin's options, once: both the entry point and `-p` may load the plugin."""
    group = parser.getgroup("adapter", "Chat Completions and the Responses API")
    if group.options:
        return
    group.addoption(
        "--adapter-backend",
        choices=("chat", "responses", "both"),
        help="Run the tests that use the fixture `backend` on this backend, or on both "
        "(default: ini `adapter_backend`, else both).",
    )
    group.addoption(
        "--adapter-report",
        metavar="FILE",
        help="Write a report as JSON to FILE: the backends of the tests and their calls.",
    )
    group.addoption(
        "--adapter-strict",
        action="store_true",
        help="Fail a test on responses if Chat answered one of its calls, or if a fixture of a "
        "wider scope made its calls on the other backend.",
    )
    group.addoption(
        "--adapter-record",
        action="store_true",
        help="Record the cassettes of the fixture `adapter_cassette` again, from the server in "
        "OPENAI_BASE_URL.",
    )
    group.addoption(
        "--adapter-streams",
        choices=CUTS[:-1],
        help="Deliver replayed and real streams whole, one event at a time or one byte at a time "
        "(default: as received).",
    )
    parser.addini(
        "adapter_backend",
        "the default of --adapter-backend: chat, responses or both",
        default="both",
    )


def add_markers(config: pytest.Config) -> None:
    """Declare the plugin's markers."""
    for line in (
        "adapter_backend(*backends, reason=None): run the test on chat, on responses, or on both",
        "adapter_cassette(name): the name of the test's cassette, without backend and .yaml",
        "adapter_chat_mocks(active): whether the fixture adapter_chat_mocks applies to the test",
        "adapter_streams(pieces): deliver streams whole, by event, by byte, or cut (broken)",
    ):
        config.addinivalue_line("markers", line)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Load the plugin before any file of the project is imported."""
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
    """Declare the markers if the plugin is inactive: `--strict-markers` may be set."""
    if _INACTIVE in config.stash:
        add_markers(config)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Deactivate the plugin if a folder of tests has its own `adapter`, found only now.

    Not once a test of another folder has imported the adapter.
    """
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
    """Report why the plugin is inactive, if one of its options is given."""
    config.stash[_HEADER_SHOWN] = _INACTIVE in config.stash
    return _reason(config) if config.stash[_HEADER_SHOWN] and _is_asked_for(config) else None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Report it at the end, if the plugin was deactivated after the header."""
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
    """Report why a fixture of the plugin is missing."""
    report = yield
    fixture = str(getattr(call.excinfo.value, "argname", "")) if call.excinfo is not None else ""
    if (fixture == "backend" or fixture.startswith("adapter_")) and _INACTIVE in item.config.stash:
        report.sections.append(("adapter", _reason(item.config)))
    return report


def _reason(config: pytest.Config) -> str:
    found = config.stash[_INACTIVE]
    shown = found.relative_to(config.rootpath) if found.is_relative_to(config.rootpath) else found
    return (
        "adapter: the plugin of chat-responses-adapter is inactive, "
        f"since this project has its own `adapter`: {shown}"
    )


def _search_folders(config: pytest.Config) -> Iterator[Path]:
    """Yield the folders that pytest may put in front of `sys.path`."""
    if config.pluginmanager.has_plugin("python_path"):
        yield from config.getini("pythonpath")
    yield config.rootpath
    yield config.invocation_params.dir
    for argument in getattr(config.known_args_namespace, "file_or_dir", None) or ():
        path = config.invocation_params.dir / str(argument).partition("::")[0]
        yield _root_folder(path if path.is_dir() else path.parent)


def _root_folder(folder: Path) -> Path:
    """Return the folder that pytest puts on `sys.path` for a folder of tests.

    It is the nearest one, upwards, that isn't a package.
    """
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder


def _project_module(folders: Iterable[Path]) -> Path | None:
    """Return a module or package `adapter` that isn't the one beside this file, or None."""
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
    """Return what `import adapter` finds on `sys.path` now; None if it is this distribution's."""
    found = next((found for entry in sys.path for found in _adapter_modules(Path(entry))), None)
    return found if found is not None and _is_foreign(found) else None


def _adapter_modules(folder: Path) -> list[Path]:
    # Unlike `Path.is_file`, `os.path.isfile` never raises for a folder that can't be read.
    return [
        path
        for path in (folder / "adapter" / "__init__.py", folder / "adapter.py")
        if os.path.isfile(path)  # noqa: PTH113
    ]


def _is_foreign(found: Path) -> bool:
    distributed = Path(__file__).parent / "adapter" / "__init__.py"
    return not (distributed.is_file() and distributed.samefile(found))
