"""The pytest plugin: the backends of a test, what a backend applies to, and the report."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

import adapter
from adapter.testing import stream_pieces, vcr_check
from tests.support import answers, http

# The suites run in this process, and forget at their end what they were the first to import: so
# nothing is left to them.
ALREADY_IMPORTED = (openai, adapter.OpenAI, answers, http, stream_pieces)

pytest_plugins = ["pytester"]

# A client as code under test makes it, with a server of both APIs.
CONFTEST = """
import json
import adapter
import pytest
from tests.support.answers import completion, chat_events, message_item, response, events
from tests.support.http import http as HTTP

def answered(request):
    native = request.url.path.endswith("/chat/completions")
    if json.loads(request.content).get("stream"):
        pieces = chat_events("Native hello") if native else events("Hello", " there")
        headers = {"content-type": "text/event-stream"}
        return HTTP.Response(200, headers=headers, stream=HTTP.ByteStream(b"".join(pieces)))
    return HTTP.Response(200, json=completion() if native else response(message_item()))

def made(**settings):
    http_client = HTTP.Client(transport=HTTP.MockTransport(answered))
    given = dict(api_key="k", http_client=http_client, max_retries=0)
    if settings:
        given["settings"] = adapter.Settings(**settings)
    return adapter.OpenAI(base_url="http://made.invalid/v1", **given)

MADE_BEFORE = made()
SAID = {"chat": "Native hello", "responses": "Hello there"}

def said(client=None, **more):
    call = dict(model="gpt-4o", messages=[dict(role="user", content="hi")], **more)
    return (client or MADE_BEFORE).chat.completions.create(**call).choices[0].message.content

@pytest.fixture
def ask():
    return said

@pytest.fixture
def make():
    return made
"""
SAID = {"chat": "Native hello", "responses": "Hello there"}


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    # Only what is needed: the others cost more than the tests. That it loads by its entry point is
    # seen with xdist below.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(CONFTEST)
    return pytester


def run(suite: pytest.Pytester, source: str, *args: str) -> Any:
    suite.makepyfile(test_it=source if source.startswith('"""') else "import pytest\n" + source)
    return suite.runpytest_inprocess(
        "-p", "no:cacheprovider", "-p", "adapter.testing.plugin", "-p", "anyio", "-rs", "-v", *args
    )


def ids(result: Any) -> list[str]:
    """List the tests that ran, with their outcomes."""
    return [
        re.sub(r"\s+\[\s*\d+%\]$", "", line.partition("::")[2])
        for line in result.outlines
        if line.startswith("test_it.py::")
    ]


FIXTURE = "def test_a(backend):\n    assert backend in ('chat', 'responses')\n"
MARKED = "@pytest.mark.adapter_backend\ndef test_a():\n    pass\n"
CHAT_ONLY = (
    "@pytest.mark.adapter_backend('chat', reason='audio')\n"
    "def test_a(backend):\n    assert backend == 'chat'\n"
)
BY_FIXTURE = (
    "@pytest.fixture\ndef mine(backend):\n    return backend\n\ndef test_a(mine):\n    pass\n"
)
PARAMETERS = "@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n, backend):\n    pass\n"
OWN_PARAMETER = (
    "@pytest.mark.parametrize('backend', ['postgres'])\n"
    "def test_a(backend):\n    assert backend == 'postgres'\n"
)
OWN_FIXTURE = (
    "@pytest.fixture\ndef backend():\n    return 'agg'\n\n"
    "def test_a(backend):\n    assert backend == 'agg'\n"
)
PLAIN = "def test_a():\n    pass\n"
WHOLE_MODULE = (
    "pytestmark = pytest.mark.adapter_backend\nclass TestIt:\n    def test_a(self):\n        pass\n"
)

BOTH = ["test_a[chat] PASSED", "test_a[responses] PASSED"]
RUNS: dict[str, tuple[str, list[str], list[str]]] = {
    "a fixture": (FIXTURE, [], BOTH),
    "a fixture's fixture": (BY_FIXTURE, [], BOTH),
    "a mark": (MARKED, [], BOTH),
    "a module's mark": (WHOLE_MODULE, [], [f"TestIt::{one}" for one in BOTH]),
    "one backend by option": (FIXTURE, ["--adapter-backend=responses"], BOTH[1:]),
    "both by option": (FIXTURE, ["--adapter-backend=both", "-o", "adapter_backend=chat"], BOTH),
    "one backend by ini": (FIXTURE, ["-o", "adapter_backend=chat"], BOTH[:1]),
    "one backend by mark": (CHAT_ONLY, [], BOTH[:1]),
    "neither": (
        CHAT_ONLY,
        ["--adapter-backend=responses"],
        ["test_a[responses] SKIPPED (runs on chat only: audio)"],
    ),
    "own parameters": (
        PARAMETERS,
        [],
        [
            "test_a[1-chat] PASSED",
            "test_a[1-responses] PASSED",
            "test_a[2-chat] PASSED",
            "test_a[2-responses] PASSED",
        ],
    ),
    "a parameter of that name": (OWN_PARAMETER, [], ["test_a[postgres] PASSED"]),
    "a fixture of that name": (OWN_FIXTURE, ["--adapter-backend=both"], ["test_a PASSED"]),
    "no part": (PLAIN, ["--adapter-backend=both"], ["test_a PASSED"]),
    "all by ini": (PLAIN, ["-o", "usefixtures=backend"], BOTH),
}


@pytest.mark.parametrize("case", RUNS)
def test_the_backends_of_a_test(suite: pytest.Pytester, case: str) -> None:
    source, args, ran = RUNS[case]
    assert ids(run(suite, source, *args)) == ran


UNITTEST = """
import unittest
from conftest import SAID, said

@pytest.mark.adapter_backend
class Test(unittest.TestCase):
    def test_a(self):
        self.assertIn(said(), SAID.values())
        print("said", said())
"""


@pytest.mark.parametrize(
    ("args", "said"),
    [([], "Native hello"), (["--adapter-backend=responses"], "Hello there")],
    ids=["both", "responses"],
)
def test_what_cannot_be_parametrized(suite: pytest.Pytester, args: list[str], said: str) -> None:
    result = run(suite, UNITTEST, "-s", *args)
    result.assert_outcomes(passed=1)
    assert f"said {said}" in result.stdout.str()
    assert ("run on chat only" in result.stdout.str()) == (not args)


def test_doctests_of_a_suite_that_takes_part(suite: pytest.Pytester) -> None:
    result = run(
        suite, '"""\n>>> 1 + 1\n2\n"""\n' + PLAIN, "--doctest-modules", "-o", "usefixtures=backend"
    )
    result.assert_outcomes(passed=3)


WRONG = {
    "a mark's backend": (
        "@pytest.mark.adapter_backend('chatt')\n" + PLAIN,
        [],
        "expected 'chat' or 'responses', got 'chatt'",
    ),
    "the ini's backend": (
        FIXTURE,
        ["-o", "adapter_backend=all"],
        "expected chat, responses or both, got 'all'",
    ),
    "pieces": (
        "@pytest.mark.adapter_streams('bits')\n" + FIXTURE,
        [],
        "expected whole, event, byte, cut, got 'bits'",
    ),
    "too late": (
        "def test_a(request):\n    request.getfixturevalue('backend')\n",
        [],
        "can't be requested at run time",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values_are_named(suite: pytest.Pytester, case: str) -> None:
    source, args, message = WRONG[case]
    result = run(suite, source, *args)
    assert result.ret != 0
    said = result.stdout.str() + result.stderr.str()
    assert message in said
    assert "plugin.py" not in said or case == "too late"  # no traceback


REACHED = """
import asyncio, os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
import adapter
from conftest import SAID, said

POOL = ThreadPoolExecutor(1)
POOL.submit(int).result()

@pytest.fixture
def around(ask):  # set up before `backend` is, and torn down after it
    before = ask()
    yield before
    assert ask() == before

def test_a(around, ask, make, backend):
    assert around == SAID[backend]
    assert ask() == ask(make()) == SAID[backend]
    assert POOL.submit(ask).result() == SAID[backend]
    with adapter.use(tag="x"):
        assert ask() == SAID[backend]

def test_subprocess(backend):
    code = "import adapter; print(adapter.Settings().backend)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == backend

async def test_async(ask, backend):
    assert await asyncio.to_thread(ask) == ask() == SAID[backend]

def test_said_more_closely(ask, make, backend):
    with adapter.use(backend="chat"):
        assert ask() == SAID["chat"]
    assert ask(extra_headers={"x-adapter-backend": "responses"}) == SAID["responses"]
    assert ask(make(force="chat")) == SAID["chat"]
    assert ask(make(backend="chat", rollout=0)) == SAID[backend]

def test_nothing_stays():
    assert "ADAPTER_BACKEND" not in os.environ
    assert said() == SAID["chat"]
"""


def test_what_the_backend_applies_to(suite: pytest.Pytester) -> None:
    """To clients made at any time, threads, tasks and subprocesses; more specific choices win."""
    run(suite, REACHED, "-o", "anyio_mode=auto").assert_outcomes(passed=9)


STRAYING = """
def test_plain(ask, backend):
    assert ask()

def test_seed(ask, backend):
    assert ask(seed=1)

def test_planted(ask, backend):
    assert ask(user="u") == "Native hello"

def test_silent(backend):
    pass

def test_dropped(ask, make, backend):
    ask(make(drop=["seed"]), seed=1)

def test_elsewhere(ask):
    ask()
"""


def test_the_report(suite: pytest.Pytester, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    result = run(suite, STRAYING, f"--adapter-report={path}")
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*adapter: where the tests ran*",
            "asked for  passed  failed  skipped  calls  on chat  on responses",
            "chat            5       0        0      4        4             0",
            "responses       4       1        0      4        1             3",
            "failed on one backend only:",
            "  test_it.py::test_planted, on responses",
            "asked for responses, answered by chat:",
            "  test_it.py::test_seed?responses?: unsupported (seed)",
            "lost or changed in translation:",
            "  seed dropped, 1×",
            "no call seen by the adapter*",
            "  test_it.py::test_silent?chat?",
            "  test_it.py::test_silent?responses?",
        ],
        consecutive=False,
    )
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["sides"]["responses"] == {
        "passed": 4, "failed": 1, "skipped": 0, "calls": 4, "on_chat": 1, "on_responses": 3,
    }  # fmt: skip
    assert document["one_side_only"] == ["test_it.py::test_planted, on responses"]
    assert document["calls_elsewhere"] == 1
    (seed,) = [test for test in document["tests"] if test["test"].endswith("test_seed[responses]")]
    (call,) = seed["calls"]
    assert (call["asked"], call["backend"], call["reason"]) == ("responses", "chat", "unsupported")
    assert (call["held"], call["losses"], call["calls"]) == (["seed"], [["seed", "held"]], 1)


def test_strict(suite: pytest.Pytester) -> None:
    result = run(suite, STRAYING, "--adapter-strict", "-k", "seed or plain")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*asked for responses, answered by chat: unsupported (seed)"])


SHARED = """
@pytest.fixture(scope="module")
def client(make):
    return make()

@pytest.fixture(scope="module")
def told(client):
    from conftest import said
    return said(client)

@pytest.fixture(scope="module")
def make():
    from conftest import made
    return made

def test_by_itself(ask, client, backend):
    assert ask(client)

def test_shared(told, backend):
    assert told
"""


def test_calls_of_a_wider_fixture_on_the_other_backend_are_reported(
    suite: pytest.Pytester,
) -> None:
    result = run(suite, SHARED)
    result.assert_outcomes(passed=4)
    title = "used a fixture of a wider scope that made its calls on another backend:"
    result.stdout.fnmatch_lines(
        [title, "  test_it.py::test_shared?responses?: told"], consecutive=True
    )
    result = run(suite, SHARED, "--adapter-strict")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines([f"--adapter-strict: {title} told"])


def test_no_report_if_no_test_took_part(suite: pytest.Pytester) -> None:
    assert "adapter:" not in run(suite, PLAIN).stdout.str()
    run(suite, PLAIN, "--adapter-backend=both").stdout.fnmatch_lines(
        ["No test took part:*usefixtures=backend*"]
    )


# Records are made directly: a worker that makes no client starts in half the time.
RECORDS = """
from adapter._exchange.record import Decision
from adapter.telemetry.observers import Observers
from adapter.telemetry.record import Record
from adapter.translation.ledger import Loss

def notify(asked):
    held = (Loss("seed", "held", "why"),) if asked == "responses" else ()
    decision = Decision("chat", asked, "unsupported" if held else "use", held, "")
    Observers().notify(Record.of(decision, latency=0.1))

def test_a(backend):
    notify(backend)

def test_red(backend):
    assert backend == "chat"

def test_elsewhere():
    notify("chat")
"""


def test_the_report_includes_workers(pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(test_it=RECORDS)
    path = tmp_path / "report.json"
    result = pytester.runpytest_inprocess(
        "-n", "1", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", f"--adapter-report={path}"
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "asked for responses, answered by chat:",
            "  test_it.py::test_a?responses?: unsupported (seed)",
        ]
    )
    document = json.loads(path.read_text(encoding="utf-8"))
    assert [document["sides"][side]["calls"] for side in SAID] == [1, 1]
    assert document["one_side_only"] == ["test_it.py::test_red, on responses"]


STREAMS = """
@pytest.mark.adapter_backend("chat")
def test_a(backend, monkeypatch):
    import adapter
    client = adapter.OpenAI(base_url="http://made.invalid/v1", api_key="k", max_retries=0)
    messages = [dict(role="user", content="hi")]
    stream = client.chat.completions.create(model="m", messages=messages, stream=True)
    print("pieces", len(list(stream.response.iter_raw())))
"""
NETWORK = """
@pytest.fixture(autouse=True)
def network(monkeypatch):
    from conftest import HTTP, answered
    handle_request = lambda self, request: answered(request)
    monkeypatch.setattr(HTTP.HTTPTransport, "handle_request", handle_request)
"""


@pytest.mark.parametrize(
    ("args", "mark", "pieces"),
    [
        ([], "", 1),
        (["--adapter-streams=event"], "", 4),
        ([], "'event'", 4),
        (["--adapter-streams=byte"], "'whole'", 1),
    ],
    ids=["as they come", "by option", "by mark", "the mark counts"],
)
def test_streams_are_cut(suite: pytest.Pytester, args: list[str], mark: str, pieces: int) -> None:
    marked = f"@pytest.mark.adapter_streams({mark})" if mark else ""
    result = run(suite, NETWORK + marked + STREAMS, "-s", *args)
    result.assert_outcomes(passed=1)
    assert f"pieces {pieces}" in result.stdout.str()


def test_a_stream_breaks(suite: pytest.Pytester) -> None:
    result = run(suite, NETWORK + "@pytest.mark.adapter_streams('cut')" + STREAMS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the stream was cut here, for the test*"])


def test_the_plugin_is_cheap() -> None:
    """Check what pytest imports at its start in every project with the package installed."""
    code = """
import sys, pytest
before = set(sys.modules)
import adapter.testing.plugin
print(sorted(name for name in set(sys.modules) - before if not name.startswith("adapter.testing")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # `contextvars` is written in C: it costs some 50 µs.
    assert set(ast.literal_eval(done.stdout)) - {"_contextvars", "contextvars"} == {
        "adapter", "adapter.errors", "adapter._util", "adapter._util.safe_names",
        "pytest_chat_responses",
    }  # fmt: skip


# The level at which vcrpy patches


@pytest.mark.parametrize(
    "way",
    ["@pytest.mark.vcr\ndef test_a(backend):", "def test_a(adapter_cassette):"],
    ids=["mark", "fixture"],
)
def test_a_vcrpy_that_would_record_the_wrong_api_is_refused(
    suite: pytest.Pytester, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcr_check, "problem", lambda: "vcrpy 7.0.0 is above the adapter")
    result = run(suite, f"{way}\n    pass\n", "-o", "markers=vcr")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*vcrpy 7.0.0 is above the adapter*"])


class _Old:
    """A vcrpy as it was before 8.0."""

    def __init__(self, *places: tuple[Any, str]) -> None:
        self.places = places

    def VCR(self, **_: Any) -> _Old:  # noqa: N802
        return self

    def use_cassette(self, _: str) -> Any:
        patch = pytest.MonkeyPatch.context()

        class Block:
            def __enter__(block) -> None:  # noqa: N805
                monkeypatch = patch.__enter__()
                for owner, name in self.places:
                    monkeypatch.setattr(owner, name, lambda *_: None)

            def __exit__(block, *error: object) -> None:  # noqa: N805
                patch.__exit__(*error)

        return Block()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    vcr_check.problem.cache_clear()
    monkeypatch.setattr("importlib.metadata.version", lambda _: "7.0.0")
    yield vcr_check.sdk_http_library()
    vcr_check.problem.cache_clear()


def test_the_installed_vcrpy_is_accepted() -> None:
    vcr_check.problem.cache_clear()
    assert vcr_check.problem() is None


def test_a_vcrpy_above_the_adapter_is_refused(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vcr", _Old((library.Client, "_send_single_request")))
    why = vcr_check.problem()
    assert why is not None
    assert why.startswith(
        f"vcrpy 7.0.0 replaces {library.__name__}.Client._send_single_request, "
        "which is above the adapter"
    )


def test_a_vcrpy_that_does_not_know_the_library_is_refused(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vcr", _Old())
    why = vcr_check.problem()
    assert why is not None
    assert "doesn't know" in why


def test_a_vcrpy_below_the_transports_is_accepted(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = sys.modules[library.__name__.replace("httpx", "httpcore")]
    monkeypatch.setitem(sys.modules, "vcr", _Old((core.ConnectionPool, "handle_request")))
    assert vcr_check.problem() is None


def test_a_conftest_that_fails_is_shown_alone(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        "import pytest\n\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_configure(config):\n    raise RuntimeError('of the suite')\n"
    )
    done = suite.runpytest_subprocess("-p", "adapter.testing.plugin")
    text = "\n".join((*done.outlines, *done.errlines))
    assert "of the suite" in text
    assert "KeyError" not in text
