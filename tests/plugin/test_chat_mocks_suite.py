"""A suite that mocks HTTP in three ways, run on both backends by `adapter_chat_mocks`."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

import adapter
from adapter.testing import chat_mocks
from tests.support import http

respx = pytest.importorskip("respx", reason="the suite mocks HTTP with respx")
pytest.importorskip("pytest_httpx", reason="the suite mocks HTTP with pytest-httpx")
HTTPX2 = importlib.util.find_spec("pytest_httpx2") is not None
if HTTPX2:
    import pytest_httpx2  # noqa: F401  # lets respx mock httpx2

pytest_plugins = ["pytester"]

# See test_plugin.py.
ALREADY_IMPORTED = (openai, adapter.OpenAI, chat_mocks, http)

MOCKING = Path(__file__).parents[1] / "mocking"
QUIET = (
    "-p",
    "no:cacheprovider",
    "-p",
    "adapter.testing.plugin",
    "-p",
    "anyio",
    "-p",
    "pytest_httpx",
    "-q",
)


@pytest.fixture(autouse=True)
def _only_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Iterator[pytest.Pytester]:
    shutil.copytree(
        MOCKING, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    return pytester


def both(
    suite: pytest.Pytester, *options: str
) -> tuple[pytest.RunResult, dict[str, dict[str, int]]]:
    """Run the whole suite on both backends; return the outcome, and the counts of each backend."""
    ini = suite.path / "pytest.ini"
    ini.write_text(
        ini.read_text(encoding="utf-8").replace("usefixtures = ", "usefixtures = backend "),
        encoding="utf-8",
    )
    result = suite.runpytest_inprocess(
        *QUIET, "--adapter-backend=both", "--adapter-strict", "--adapter-report=r.json", *options
    )
    return result, json.loads((suite.path / "r.json").read_text(encoding="utf-8"))["sides"]


def test_it_passes_on_both_backends(suite: pytest.Pytester) -> None:
    result, sides = both(suite)
    count = 40 if HTTPX2 else 28
    result.assert_outcomes(passed=2 * count)
    calls = 49 if HTTPX2 else 35
    assert (sides["chat"]["on_chat"], sides["responses"]["on_responses"]) == (calls, calls)


def test_it_fails_on_responses_without_the_fixture(suite: pytest.Pytester) -> None:
    result, _ = both(
        suite, "-o", "usefixtures=backend", "-k", "test_an_answer and not written and not breaks"
    )
    count = 4 if HTTPX2 else 3
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (count, count)
    assert all(
        "responses" in line for line in result.outlines if line.startswith(("FAILED", "ERROR"))
    )


CONFTEST = """
import json, adapter, pytest
from tests.support.http import http as HTTP

ASKED = []

def answered(request):
    ASKED.append(request.url.path)
    return HTTP.Response(200, json=dict(choices=[dict(message=dict(content="Hi"))]))

@pytest.fixture
def ask():
    def ask():
        http_client = HTTP.Client(transport=HTTP.MockTransport(answered))
        settings = {"backend": "responses"}
        client = adapter.OpenAI(
            api_key="k", http_client=http_client, max_retries=0, settings=settings
        )
        call = dict(model="gpt-4o", messages=[dict(role="user", content="hi")])
        try:
            return client.chat.completions.create(**call).choices[0].message.content
        except adapter_errors as error:
            return error.status_code
        finally:
            ASKED.clear()
    import openai
    adapter_errors = openai.APIStatusError
    return ask
"""
TESTS = {
    "asked for": "def test(adapter_chat_mocks, ask): assert ask() == 'Hi'",
    "by a mark": """
        import pytest
        @pytest.mark.usefixtures('adapter_chat_mocks')
        def test(ask): assert ask() == 'Hi'
    """,
    "not asked for": "def test(ask): assert ask() == 502",
    "for all": """
        import pytest
        @pytest.fixture(autouse=True)
        def mocks(adapter_chat_mocks): pass
        def test(ask): assert ask() == 'Hi'
        @pytest.mark.adapter_chat_mocks(False)
        def test_not_this(ask): assert ask() == 502
        @pytest.mark.adapter_chat_mocks(True)
        def test_this(ask): assert ask() == 'Hi'
    """,
    "by a class of unittest's": """
        import unittest, pytest
        @pytest.mark.usefixtures("adapter_chat_mocks")
        class Test(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def asking(self, ask): self.ask = ask
            def test(self): assert self.ask() == 'Hi'
    """,
    "as a decorator": """
        from adapter.testing import chat_mocks
        def test(ask): assert chat_mocks()(ask)() == 'Hi' and ask() == 502
    """,
    "for a session": """
        import pytest
        from adapter.testing import chat_mocks
        @pytest.fixture(scope="session", autouse=True)
        def mocks():
            with chat_mocks(): yield
        def test(ask): assert ask() == 'Hi'
        def test_with_both(adapter_chat_mocks, ask): assert ask() == 'Hi'
        def test_still(ask): assert ask() == 'Hi'
    """,
}


def test_the_fixture_applies_where_it_is_used(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(**{f"test_{n}": source for n, source in enumerate(TESTS.values())})
    result = pytester.runpytest_inprocess(*QUIET, "--strict-markers")
    result.assert_outcomes(passed=11)
    pytester.makepyfile(test_later="def test(ask): assert ask() == 502")
    pytester.runpytest_inprocess(*QUIET, "test_later.py").assert_outcomes(passed=1)
