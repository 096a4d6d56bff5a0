"""A real server for tests, where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.servers import llamacpp
from tests.servers.process import Server

KEY = "fake-key"
# llama.cpp promises to keep a connection after a stream and closes it all the same: a client that
# hasn't seen this yet loses its next request. With one request a connection nothing is lost.
ONE_REQUEST_A_CONNECTION = {"Connection": "close"}


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
