"""A real server for the tests of a file, where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.servers import llamacpp

KEY = "fake-key"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the base URL of llama.cpp's server, which accepts `KEY`.

    Skips the test where it can't run.
    """
    missing = [name for name in llamacpp.NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"llama.cpp's server needs {', '.join(missing)} (requirements/servers.txt)")
    with llamacpp.serve(api_key=KEY) as running:
        yield running.base_url
