"""Replays without a key: a stand-in for clients made anywhere in a suite, never in a real call."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
import vcr.stubs.httpx_stubs
import yaml

import adapter
from adapter.testing import cassette_guard, cassettes, stream_pieces
from adapter.testing.placeholder_keys import STAND_IN
from tests.support import http
from tests.support.answers import both
from tests.support.loopback import Loopback

pytest_plugins = ["pytester"]

# See test_plugin.py.
ALREADY_IMPORTED = (
    openai,
    adapter.OpenAI,
    cassettes,
    cassette_guard,
    stream_pieces,
    http.CORES,
    vcr.stubs.httpx_stubs,
    yaml,
)

CALL = (
    'chat.completions.create(model="m", messages=[dict(role="user", content="hi")])'
    ".choices[0].message.content"
)
SAID = '("Native hello", "Hello there")'
ASKS = f"def test_it(adapter_cassette):\n    assert CLIENT.{CALL} in {SAID}\n"

# The suite's files: a module `test_it`, and perhaps a conftest.
SUITES: Mapping[str, Mapping[str, str]] = {
    "in the test": {"test_it": "import adapter\n" + ASKS.replace("CLIENT", "adapter.OpenAI()")},
    "at import": {
        "test_it": "import adapter\nclient = adapter.OpenAI()\n" + ASKS.replace("CLIENT", "client")
    },
    "in the application": {
        "app": "import adapter\nclient = adapter.OpenAI()\n",
        "test_it": "import app\n" + ASKS.replace("CLIENT", "app.client"),
    },
    "in the conftest": {
        "conftest": "import adapter, pytest\nclient = adapter.OpenAI()\n\n"
        "@pytest.fixture\ndef made():\n    return client\n",
        "test_it": ASKS.replace("(adapter", "(made, adapter").replace("CLIENT", "made"),
    },
    "in a wider fixture": {
        "conftest": "import adapter, pytest\n\n"
        "@pytest.fixture(scope='session')\ndef made():\n    return adapter.OpenAI()\n",
        "test_it": ASKS.replace("(adapter", "(made, adapter").replace("CLIENT", "made"),
    },
    "Azure's": {
        "test_it": "import adapter\nclient = adapter.AzureOpenAI()\n"
        + ASKS.replace("CLIENT", "client")
    },
    "by use_cassette": {
        "test_it": "import adapter\nfrom adapter.testing.cassettes import use_cassette\n\n"
        "def test_it(backend):\n"
        "    with use_cassette(f'cassettes/test_it/test_it.{backend}.yaml'):\n"
        f"        assert adapter.OpenAI().{CALL} in {SAID}\n",
    },
}
VARIABLES = (
    "OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_API_VERSION",
    "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_ENDPOINT",
)  # fmt: skip


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return pytester


def recorded(suite: pytest.Pytester, server: Loopback, *, azure: bool = False) -> None:
    """Record the calls of the suites, on both backends."""
    server.answer = both
    made: Any = adapter.OpenAI(base_url=server.base_url, api_key="k")
    if azure:
        made = adapter.AzureOpenAI(
            azure_endpoint=server.base_url[:-3], api_key="k", api_version="2024-10-21"
        )
    with made as client:
        backends: tuple[Literal["chat", "responses"], ...] = ("chat", "responses")
        for backend in backends:
            path = suite.path / "cassettes" / "test_it" / f"test_it.{backend}.yaml"
            with adapter.use(backend=backend), cassettes.use_cassette(path, record=True):
                client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": "hi"}]
                )
    server.requests.clear()


def run(suite: pytest.Pytester, files: Mapping[str, str], *args: str) -> Any:
    suite.makepyfile(**files)
    return suite.runpytest_inprocess(
        "-p", "no:cacheprovider", "-p", "adapter.testing.plugin", "-q", *args
    )


@pytest.mark.parametrize("case", SUITES)
def test_a_replay_needs_no_key(
    suite: pytest.Pytester, loopback: Loopback, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(suite, loopback, azure=case == "Azure's")
    monkeypatch.setenv("OPENAI_API_KEY", " ")  # a missing secret of a CI system
    before = dict(os.environ)
    run(suite, SUITES[case]).assert_outcomes(passed=2)
    assert {name: os.environ.get(name) for name in VARIABLES} == {
        name: before.get(name) for name in VARIABLES
    }
    assert loopback.requests == []


STAYING = f"""
import os, openai, adapter, pytest
client = adapter.OpenAI()
HAD_A_KEY = "OPENAI_API_KEY" in os.environ

def test_it(adapter_cassette):
    assert os.environ["OPENAI_API_KEY"] == {STAND_IN!r}
    assert client.{CALL} in {SAID}

@pytest.mark.adapter_cassette("test_it")
def test_a_key_that_the_test_takes_away(adapter_cassette, monkeypatch):
    client.{CALL}
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(openai.OpenAIError, match="OPENAI_API_KEY"):
        adapter.OpenAI()

@pytest.fixture
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")

@pytest.mark.adapter_cassette("test_it")
def test_a_key_that_a_fixture_takes_away(no_key, adapter_cassette):
    client.{CALL}
    with pytest.raises(openai.OpenAIError, match="OPENAI_API_KEY"):
        adapter.OpenAI()

def test_the_environment():
    assert "OPENAI_API_KEY" not in os.environ
    assert not HAD_A_KEY

def test_other_clients():
    with pytest.raises(openai.OpenAIError, match="OPENAI_API_KEY"):
        adapter.OpenAI()

def test_a_server_is_asked():
    client.{CALL}
"""


def test_the_stand_in_stays_in_the_replays(
    suite: pytest.Pytester, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(suite, loopback)
    monkeypatch.setenv("OPENAI_BASE_URL", loopback.base_url)
    result = run(suite, {"test_it": STAYING})
    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines(
        ["*KeyNeeded: a call would have been sent with the stand-in*set OPENAI_API_KEY*"]
    )
    assert loopback.requests == []


@pytest.mark.parametrize(
    ("source", "args"),
    [
        ("import adapter\nadapter.OpenAI()\n\ndef test_a():\n    pass\n", ()),
        (STAYING, ("--adapter-record",)),
    ],
    ids=["a suite that takes no part", "a recording"],
)
def test_without_a_replay_a_key_is_required(
    suite: pytest.Pytester, source: str, args: tuple[str, ...]
) -> None:
    result = run(suite, {"test_it": source}, *args)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*OpenAIError: *OPENAI_API_KEY*"])


def test_a_key_that_is_set_is_left_alone(
    suite: pytest.Pytester, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(suite, loopback)
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    check = "    import os\n    assert os.environ['OPENAI_API_KEY'] == 'mine'\n"
    run(suite, {"test_it": SUITES["at import"]["test_it"] + check}).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        ("    raise ZeroDivisionError\n", "failed"),
        ("    import pytest; pytest.skip()\n", "skipped"),
    ],
    ids=["failed", "skipped"],
)
def test_a_failed_recording_leaves_the_cassette(
    suite: pytest.Pytester,
    loopback: Loopback,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
    outcome: str,
) -> None:
    recorded(suite, loopback)
    before = {path: path.read_bytes() for path in suite.path.rglob("*.yaml")}
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    monkeypatch.setenv("OPENAI_BASE_URL", loopback.base_url)
    # Closed by a fixture, since the failure keeps the test's frame.
    made = "    client = made.enter_context(adapter.OpenAI())\n"
    source = (
        "import adapter, contextlib, pytest\n\n@pytest.fixture\ndef made():\n"
        "    with contextlib.ExitStack() as made:\n        yield made\n\n"
    )
    asks = (
        ASKS.replace("(adapter", "(made, adapter")
        .replace("    assert", f"{made}    assert")
        .replace("CLIENT", "client")
    )
    result = run(suite, {"test_it": source + asks + ending}, "--adapter-record")
    result.assert_outcomes(**{outcome: 2})
    if outcome == "failed":
        result.stdout.fnmatch_lines(["test_it.chat.yaml is unchanged, since the test failed*"])
    assert {path: path.read_bytes() for path in suite.path.rglob("*.yaml*")} == before


def test_the_sdk_may_be_imported_later(tmp_path: Path) -> None:
    client = (
        "class {0}:\n    def __init__(self):\n        self.key = os.environ.get('OPENAI_API_KEY')\n"
    )
    names = ("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI")
    (tmp_path / "openai.py").write_text(
        "import os\n" + "".join(client.format(name) for name in names)
    )
    framework = tmp_path / "langchain_openai" / "chat_models" / "base.py"
    framework.parent.mkdir(parents=True)
    framework.write_text("import os\n" + client.format("ChatOpenAI"))
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from adapter.testing import placeholder_keys, transports
exits = transports.NetworkExits(placeholder_keys.reject_stand_in)
with placeholder_keys.allow_keyless_clients(dict, exits):
    import openai
    from langchain_openai.chat_models import base
    print(openai.OpenAI().key, base.ChatOpenAI().key)
print(openai.OpenAI().key, base.ChatOpenAI().key)
"""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split("\n")[:2] == [f"{STAND_IN} {STAND_IN}", "None None"]
