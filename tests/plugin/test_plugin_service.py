"""The suite of the sample service on both backends, replayed from recordings of a real server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import openai
import pytest
import vcr.stubs.httpx_stubs
import yaml

import adapter
from adapter.testing import cassette_check, cassettes, stream_pieces
from adapter.testing.cassettes import Serializer
from tests.support import http
from tests.support.answers import both, completion
from tests.support.loopback import Loopback, Reply

pytest_plugins = ["pytester"]

# See test_plugin.py.
ALREADY_IMPORTED = (
    openai,
    adapter.OpenAI,
    cassettes,
    stream_pieces,
    http.CORES,
    vcr.stubs.httpx_stubs,
    yaml,
)

SERVICE = Path(__file__).parents[1] / "service"
QUIET = ("-p", "no:cacheprovider", "-p", "adapter.testing.plugin", "-p", "anyio", "-q")


@pytest.fixture(autouse=True)
def _only_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def service(pytester: pytest.Pytester) -> pytest.Pytester:
    shutil.copytree(
        SERVICE, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    return pytester


def test_the_service_passes_on_both_backends(service: pytest.Pytester) -> None:
    result = service.runpytest_inprocess(
        *QUIET, "--adapter-backend=both", "--adapter-report=report.json"
    )
    result.assert_outcomes(passed=29)
    result.stdout.fnmatch_lines(
        [
            "asked for responses, answered by chat:",
            "  *test_a_ticket_is_summed_up?responses?: unsupported (seed)",
        ]
    )
    document = json.loads((service.path / "report.json").read_text(encoding="utf-8"))
    assert document["one_side_only"] == []
    sides = document["sides"]
    assert (sides["chat"]["on_responses"], sides["responses"]["on_chat"]) == (0, 1)
    assert (
        sides["chat"]["calls"] == sides["responses"]["calls"] - 1 == 16
    )  # one test runs on Responses only


PLANTED = {
    "a word": (
        "test_loop/test_an_order_is_found_and_tracked.responses.yaml",
        "on Friday",
        "on Monday",
        ["*- *rrives on Friday.", "*+ *rrives on Monday."],
    ),
    "an argument": (
        "test_same_turn/call-whole.responses.yaml",
        "1042}",
        "1043}",
        ["*the turns differ*", "*tool_calls?0?.arguments.order: 1042 != 1043"],
    ),
}


def test_a_planted_difference_is_found(service: pytest.Pytester) -> None:
    for path, said, planted, _ in PLANTED.values():
        cassette = service.path / "suite" / "cassettes" / path
        text = cassette.read_text(encoding="utf-8")
        assert said in text
        cassette.write_text(text.replace(said, planted), encoding="utf-8")
    result = service.runpytest_inprocess(*QUIET, "--adapter-backend=both")
    result.assert_outcomes(passed=27, failed=2)
    failed = sorted(
        line.partition("::")[2].partition(" ")[0]
        for line in result.outlines
        if line.startswith("FAILED")
    )
    assert failed == [
        "test_an_order_is_found_and_tracked[responses]",
        "test_both_sides_say_the_same[call-whole]",
    ]
    for *_, lines in PLANTED.values():
        result.stdout.fnmatch_lines(lines)
    result.stdout.fnmatch_lines(
        ["failed on one backend only:", "  *test_an_order_is_found_and_tracked, on responses"]
    )


def test_the_services_cassettes_are_clean() -> None:
    folder = SERVICE / "suite" / "cassettes"
    assert [str(finding) for finding in cassette_check.check(folder, [])] == []
    for path in folder.rglob("*.yaml"):
        wanted = (
            "/v1/responses"
            if path.name.endswith(".responses.yaml") and "summed_up" not in path.name
            else "/v1/chat/completions"
        )
        recorded = Serializer.deserialize(path.read_text(encoding="utf-8"))["interactions"]
        assert {each["request"]["uri"] for each in recorded} == {
            f"https://recorded.invalid{wanted}"
        }, path.name


# A suite's own cassettes

ASKING = """
import adapter, pytest

def test_it(adapter_cassette):
    with adapter.OpenAI(max_retries=0) as client:
        said = client.chat.completions.create(model="m", messages=[dict(role="user", content="hi")])
    assert said.choices[0].message.content in ("Native hello", "Hello there")
"""


@pytest.fixture
def asking(
    pytester: pytest.Pytester, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    loopback.answer = both
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "a1B2" * 6)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-" + "a1B2" * 6)
    monkeypatch.setenv("OPENAI_BASE_URL", loopback.base_url)
    pytester.makepyfile(test_asking=ASKING)
    return pytester


def test_a_cassette_for_each_backend(asking: pytest.Pytester, loopback: Loopback) -> None:
    missing = asking.runpytest_inprocess(*QUIET)
    missing.assert_outcomes(errors=2)
    missing.stdout.fnmatch_lines(
        ["*test_it.chat.yaml: no such cassette: record it with --adapter-record*"]
    )

    asking.runpytest_inprocess(*QUIET, "--adapter-record").assert_outcomes(passed=2)
    folder = asking.path / "cassettes" / "test_asking"
    assert sorted(path.name for path in folder.iterdir()) == [
        "test_it.chat.yaml",
        "test_it.responses.yaml",
    ]
    assert cassette_check.check(folder, []) == []
    asked = len(loopback.requests)

    loopback.answer = lambda _: Reply.of_json(completion("something else"))
    asking.runpytest_inprocess(*QUIET).assert_outcomes(passed=2)
    assert len(loopback.requests) == asked == 2


def test_an_earlier_cassette_is_used_for_chat(asking: pytest.Pytester) -> None:
    import vcr

    folder = asking.path / "cassettes" / "test_asking"
    with (
        vcr.VCR(record_mode="all").use_cassette(str(folder / "test_it.yaml")),
        adapter.OpenAI(max_retries=0) as client,
    ):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert "string: '{" in (folder / "test_it.yaml").read_text(encoding="utf-8")  # vcrpy's own form
    asking.runpytest_inprocess(*QUIET, "--adapter-backend=chat").assert_outcomes(passed=1)
    asking.runpytest_inprocess(*QUIET, "--adapter-backend=responses").assert_outcomes(errors=1)


# pytest-recording, where it is installed


def test_pytest_recording(asking: pytest.Pytester) -> None:
    pytest.importorskip("pytest_recording")
    asking.makeconftest(
        "from adapter.testing.pytest_recording import default_cassette_name\n"
        "from adapter.testing.pytest_recording import pytest_recording_configure, vcr_config"
    )
    asking.makepyfile(
        test_asking=ASKING.replace(
            "def test_it(adapter_cassette)", "@pytest.mark.vcr\ndef test_it(backend)"
        )
    )
    asking.runpytest_inprocess(*QUIET, "-p", "recording", "--record-mode=once").assert_outcomes(
        passed=2
    )
    folder = asking.path / "cassettes" / "test_asking"
    assert sorted(path.name for path in folder.iterdir()) == [
        "test_it.chat.yaml",
        "test_it.responses.yaml",
    ]
    assert cassette_check.check(folder, []) == []
    result: Any = asking.runpytest_inprocess(*QUIET, "-p", "recording", "--block-network")
    result.assert_outcomes(passed=2)
