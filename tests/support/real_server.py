"""A real server for tests, where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.servers import llamacpp
from tests.servers.process import Server

KEY = "fake-key"


@pytest.fixture(scope="session")
def llamacpp_server() -> Iterator[Server]:
    """Start llama.cpp's server, which accepts `KEY`, once for all tests of a process.

    Skips the test where it can't run.
    """
    missing = [name for name in llamacpp.NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"llama.cpp's server needs {', '.join(missing)} (requirements/servers.txt)")
    with llamacpp.serve(api_key=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def server(llamacpp_server: Server) -> str:
    """Return the base URL of llama.cpp's server."""
    return llamacpp_server.base_url
