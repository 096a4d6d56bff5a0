"""Rules for every test: no network but the loopback, a clean environment, Hypothesis profiles."""

from __future__ import annotations

import gc
import os
import tempfile
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

from adapter._memory import service, stores
from adapter._runtime import missing_endpoints
from tests.support import network, tier
from tests.support.depth import examples
from tests.support.loopback import Loopback
from tests.support.real_server import llamacpp_server
from tests.support.tls import make_certificate

__all__ = ["llamacpp_server"]

# A service and a suite that mocks HTTP, which test_plugin_service.py and test_chat_mocks_suite.py
# run.
collect_ignore = ["service", "mocking"]

# A developer's own keys, proxies and settings must not change the result of a test.
_PRIVATE_PREFIXES = ("OPENAI_", "AZURE_OPENAI_", "ADAPTER_")
_PROXIES = frozenset({"all_proxy", "http_proxy", "https_proxy", "no_proxy"})


# The longest single tests. They run first, so that no worker is left alone with one at the end.
_LONGEST = (
    "test_migration_guide",
    "test_typing",
    "test_soak",
    "test_corpus_replies",
    "test_flips",
    "test_differential",
)


TESTS = Path(__file__).parent

# What `--quick` runs: folders, without the tests that have one of the marks.
_QUICK = ("unit", "contract", "docs")
_NOT_QUICK = frozenset({"slow", "property", "server", "corpus"})
_MARK_OF_FOLDER = {"integration": "slow", "property": "property", "corpus": "corpus"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only the first tier of the tests, as `make test` does"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the collection of other folders with `--quick`."""
    if (
        not config.getoption("--quick")
        or not collection_path.is_relative_to(TESTS)
        or collection_path == TESTS
    ):
        return None
    return None if collection_path.relative_to(TESTS).parts[0] in _QUICK else True


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with the fixture `sdk` in one mode with `--quick`.

    Half of them are sync, half async.
    """
    if tier.QUICK and "sdk" in metafunc.fixturenames:
        mode = ("sync", "async")[zlib.crc32(metafunc.definition.nodeid.encode()) % 2]
        metafunc.definition.add_marker(
            pytest.mark.parametrize("sdk", [mode], indirect=True), append=False
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by their folder; put the longest ones first and keep the order otherwise."""
    for item in items:
        if mark := _MARK_OF_FOLDER.get(item.path.relative_to(TESTS).parts[0]):
            item.add_marker(mark)
        if hypothesis.is_hypothesis_test(getattr(item, "function", None)):
            item.add_marker("property")
    if config.getoption("--quick"):
        left_out = [
            item
            for item in items
            if not _NOT_QUICK.isdisjoint(mark.name for mark in item.iter_markers())
        ]
        config.hook.pytest_deselected(items=left_out)
        excluded = set(left_out)
        items[:] = [item for item in items if item not in excluded]
    items.sort(
        key=lambda item: (
            _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else len(_LONGEST)
        )
    )


_ran: list[Path] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a module's first test, exempt all existing objects from garbage collection.

    Otherwise tests that collect would scan all of them each time: imports, and what earlier modules
    have loaded and kept.
    """
    if _ran[-1:] != [item.path]:
        _ran[:] = [item.path]
        gc.collect()
        gc.freeze()


def _register_hypothesis_profiles() -> None:
    # No deadline anywhere: with two shared cores single slow examples are normal.
    hypothesis.settings.register_profile("dev", max_examples=examples(50), deadline=None)
    # The same examples in each run, so that a failure is due to the change.
    hypothesis.settings.register_profile(
        "ci", max_examples=examples(100), deadline=None, derandomize=True, print_blob=True
    )
    hypothesis.settings.load_profile(
        os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev")
    )


def pytest_configure(config: pytest.Config) -> None:
    tier.QUICK = config.getoption("--quick")
    for name in list(os.environ):
        if name.startswith(_PRIVATE_PREFIXES) or name.lower() in _PROXIES:
            del os.environ[name]
    # A client without an `http_client` of its own reads all certificates of the system: thirty
    # times the rest of its cost.
    if find_spec("cryptography") is not None:  # lanes have no extras
        folder = tempfile.TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
        os.environ["SSL_CERT_FILE"] = str(make_certificate(Path(folder.name)).certificate)
    network.block()
    _register_hypothesis_profiles()


@pytest.fixture(autouse=True)
def _every_endpoint_may_be_there() -> None:
    """Forget which servers had no Responses API: tests share addresses."""
    missing_endpoints.clear()


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    """Begin with an empty memory: the process's own one outlives clients."""
    stores.reset_stores()
    service.SERVER_FACTS.clear()
    yield
    stores.reset_stores()


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop that the SDK's users have."""
    return "asyncio"


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """Yield a server on the loopback; its `answer` is set to the reply."""
    with Loopback() as server:
        yield server
