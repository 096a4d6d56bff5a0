"""Collect the framework that is under test, and provide a server, cassettes and ways in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import isolated

# Read at import, before the tests' clean environment removes the names.
FRAMEWORK = os.environ.get(isolated.UNDER_TEST)
RECORD_FROM = os.environ.get(isolated.RECORD_FROM)

pytest.register_assert_rewrite("tests.frameworks.harness")  # so that a difference is shown in full

# Frameworks have environments of their own: elsewhere there is nothing to collect.
collect_ignore = [
    path.name
    for path in Path(__file__).parent.glob("test_*.py")
    if path.stem not in ({f"test_{FRAMEWORK}", "test_pages"} if FRAMEWORK else ())
]

# Frameworks that send telemetry by default; the tests' network block would refuse it anyway.
os.environ |= {
    "DO_NOT_TRACK": "1",
    "LANGSMITH_TRACING": "false",
    "TRACELOOP_TELEMETRY": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}

KEY = "key"


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """Yield the base URL of a live llama.cpp server; its key is `KEY`."""
    from tests.servers import ServerUnavailable, llamacpp

    try:
        with llamacpp.serve(api_key=KEY) as server:
            yield server.base_url
    except ServerUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=["chat", "responses"])
def backend(request: pytest.FixtureRequest) -> str:
    """Run a test on each backend, for what `comparison.compare` doesn't fit."""
    return str(request.param)


@pytest.fixture(params=["client", "install", "http_client"])
def way_in(request: pytest.FixtureRequest) -> str:
    """Run a test through each way in."""
    return str(request.param)


@pytest.fixture(params=[pytest.param("llamacpp", marks=pytest.mark.server), "vllm"])
def source(request: pytest.FixtureRequest) -> Any:
    """Run a test against the live llama.cpp server and against the cassettes recorded on vLLM."""
    return _vllm() if request.param == "vllm" else _llamacpp(request)


@pytest.fixture
def live(request: pytest.FixtureRequest) -> Any:
    """Return the live llama.cpp server alone."""
    return _llamacpp(request)


def _llamacpp(request: pytest.FixtureRequest) -> Any:
    from tests.frameworks.harness import Source

    if RECORD_FROM:
        pytest.skip("recording from the other server")
    return Source("llamacpp", request.getfixturevalue("upstream"), KEY)


def _vllm() -> Any:
    from tests.frameworks.harness import Source

    return Source("vllm", RECORD_FROM, KEY, record=bool(RECORD_FROM))


@pytest.fixture
def comparison(way_in: str, source: Any) -> Any:
    """Compare the backends against both sources, through each way in."""
    from tests.frameworks.harness import Comparison

    return Comparison(str(FRAMEWORK), way_in, source)


@pytest.fixture
def recorded_comparison(way_in: str) -> Any:
    """Compare the backends against the cassettes alone.

    llama.cpp has no JSON schema and no named tool on the Responses API.
    """
    from tests.frameworks.harness import Comparison

    return Comparison(str(FRAMEWORK), way_in, _vllm())
