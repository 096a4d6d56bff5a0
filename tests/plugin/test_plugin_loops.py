"""Suites that share a client between event loops: these failures are no difference of backends."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

import adapter
from adapter.testing import event_loop_failures
from tests.support import answers, http

pytest_plugins = ["pytester"]

ALREADY_IMPORTED = (openai, adapter.OpenAI, answers, http)  # see test_plugin.py

# A client as code under test makes it. As a pool's connections do, its transport belongs to the
# loop in which it is first used.
SHARING = """
import asyncio, pytest, {module}
from tests.support.answers import completion, message_item, response
from tests.support.http import http as HTTP

class Bound(HTTP.AsyncBaseTransport):
    loop = None

    async def handle_async_request(self, request):
        self.loop = self.loop or asyncio.get_running_loop()
        self.loop.call_soon(int)
        native = request.url.path.endswith("/chat/completions")
        return HTTP.Response(200, json=completion() if native else response(message_item()))

client = {module}.AsyncOpenAI(
    base_url="http://made.invalid/v1", api_key="k", max_retries=0,
    http_client=HTTP.AsyncClient(transport=Bound()),
)

@pytest.fixture({scope}autouse=True)
async def loop():
    yield

{twice}
async def test_a({argument}):
    messages = [dict(role="user", content="hi")]
    result = await client.chat.completions.create(model="m", messages=messages)
    assert result.choices[0].message.content
"""
NATIVELY = {"module": "openai", "twice": "@pytest.mark.parametrize('n', [1, 2])", "argument": "n"}
ON_BOTH_SIDES = {"module": "adapter", "twice": "", "argument": "backend"}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester


def run(suite: pytest.Pytester, source: str, *args: str) -> Any:
    suite.makepyfile(test_it=source)
    return suite.runpytest_inprocess(
        "-p", "no:cacheprovider", "-p", "anyio", "-o", "anyio_mode=auto", "-q", *args
    )


ONE_LOOP, A_LOOP_EACH = "scope='session', ", ""


@pytest.mark.parametrize(
    ("scope", "outcome"),
    [(ONE_LOOP, {"passed": 2}), (A_LOOP_EACH, {"passed": 1, "failed": 1})],
    ids=["one", "each"],
)
def test_both_backends_behave_like_two_native_runs(
    suite: pytest.Pytester, scope: str, outcome: dict[str, int]
) -> None:
    backend = "@pytest.fixture(scope='session')\ndef anyio_backend():\n    return 'asyncio'\n"
    native = SHARING.format(scope=scope, **NATIVELY) + backend
    run(suite, native).assert_outcomes(**outcome)
    sides = SHARING.format(scope=scope, **ON_BOTH_SIDES) + backend
    result = run(suite, sides, "-p", "adapter.testing.plugin", "--adapter-report=report.json")
    result.assert_outcomes(**outcome)
    document = json.loads((suite.path / "report.json").read_text(encoding="utf-8"))
    assert document["one_side_only"] == []
    assert document["event_loops"] == (
        ["test_it.py::test_a[responses]"] if "failed" in outcome else []
    )
    if "failed" in outcome:
        result.stdout.fnmatch_lines(
            [
                "A client, or something else that the test shares, was used in another event loop*",
                "failed by sharing a client between event loops, not because of the backend:",
                "  test_it.py::test_a?responses?",
            ]
        )


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


LOOP = RuntimeError("Event loop is closed")
FUTURE = RuntimeError(
    "Task <Task pending> got Future <Future pending> attached to a different loop"
)
LOCK = RuntimeError("<asyncio.locks.Lock object at 0x7f> is bound to a different event loop")
KINDS: dict[str, tuple[BaseException | None, str | None]] = {
    "closed": (LOOP, event_loop_failures.EVENT_LOOP),
    "a future": (FUTURE, event_loop_failures.EVENT_LOOP),
    "a lock": (LOCK, event_loop_failures.EVENT_LOOP),
    "behind the SDK's": (
        caused(ValueError("Connection error."), LOOP),
        event_loop_failures.EVENT_LOOP,
    ),
    "in a group": (
        ExceptionGroup("several", [ValueError(), FUTURE]),
        event_loop_failures.EVENT_LOOP,
    ),
    "an assertion about it": (AssertionError("Event loop is closed"), None),
    "another": (RuntimeError("the pool is closed"), None),
    "none": (None, None),
}


@pytest.mark.parametrize("case", KINDS)
def test_the_kind_of_a_failure(case: str) -> None:
    error, kind = KINDS[case]
    assert event_loop_failures.failure_kind(error) == kind


def test_an_error_raised_by_the_adapter_is_no_such_failure() -> None:
    code = compile(
        "raise RuntimeError('is bound to a different event loop')", "exchange.py", "exec"
    )
    with pytest.raises(RuntimeError) as raised:
        exec(code, {"__name__": "adapter._exchange.call"})
    assert event_loop_failures.failure_kind(raised.value) is None
