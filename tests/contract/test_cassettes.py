"""The committed cassettes: translated results equal native ones, with streams in any pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import openai
import pytest

import adapter
from adapter.testing import cassette_check, stream_pieces
from adapter.testing.cassettes import Serializer, use_cassette
from tests.support import openapi, tier
from tests.support.comparing import Comparison, compare, facts
from tests.support.differences import DIFFERENCES
from tests.support.http import CONNECTION_ERRORS
from tests.support.http import http as HTTP  # noqa: N812 - a module, chosen at run time
from tests.support.scenarios import ROOT, SCENARIOS, SERVERS, SIDES, Scenario, play, play_async
from tests.support.typeddicts import needs_current_types, problems_of_responses_body

Pair = tuple[str, Scenario]

PAIRS: list[Pair] = [
    (server, scenario) for server in SERVERS for scenario in SCENARIOS if server in scenario.servers
]
STREAMED = [(server, scenario) for server, scenario in PAIRS if "stream" in scenario.name]
OPTIONS: dict[str, Any] = {
    "base_url": "http://replayed.invalid/v1",
    "api_key": "fake-key",
    "max_retries": 0,
}
SETTINGS = adapter.Settings(backend="responses", unsupported="error", on_bug="raise", fallback=())
DEMO = ROOT / "demo"
FOLDERS = [*(ROOT / server for server in SERVERS), DEMO]
CUTS: Mapping[str, stream_pieces.Cut] = {
    "whole": stream_pieces.whole,
    "per event": stream_pieces.per_event,
    "per 97 bytes": stream_pieces.per_size(97),
    **tier.pick({"per byte": stream_pieces.per_byte}, {}),
}


def each_of(pairs: list[Pair]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("server", "scenario"),
        [pytest.param(*pair, id=f"{pair[0]}-{pair[1].name}") for pair in pairs],
    )


each_pair, each_streamed = each_of(PAIRS), each_of(STREAMED)
each_cut = pytest.mark.parametrize(
    "cut", [pytest.param(cut, id=name) for name, cut in CUTS.items()]
)


# Without certificates: loading them is four fifths of a client's making, and nothing here is on the
# network.
def played(
    server: str, scenario: Scenario, side: str, cut: stream_pieces.Cut = stream_pieces.whole
) -> list[Any]:
    """Play one side of a scenario from its cassette, its streams split by `cut`."""
    with use_cassette(scenario.cassette(server, side)):
        http_client = HTTP.Client(
            transport=stream_pieces.Rechunk(HTTP.HTTPTransport(verify=False), cut)
        )
        client: openai.OpenAI
        if side == "chat":
            client = openai.OpenAI(http_client=http_client, **OPTIONS)
        else:
            client = adapter.OpenAI(http_client=http_client, settings=SETTINGS, **OPTIONS)
        with client:
            return play(scenario, client)


@cache
def recorded(server: str, scenario: Scenario, side: str) -> list[Any]:
    """Return the cached result of `played`; don't change it."""
    return played(server, scenario, side)


async def played_async(
    server: str, scenario: Scenario, cut: stream_pieces.Cut = stream_pieces.whole
) -> list[Any]:
    """Play the adapter's side of a scenario with the async client."""
    with use_cassette(scenario.cassette(server, "responses")):
        http_client = HTTP.AsyncClient(
            transport=stream_pieces.Rechunk(HTTP.AsyncHTTPTransport(verify=False), cut)
        )
        async with adapter.AsyncOpenAI(
            http_client=http_client, settings=SETTINGS, **OPTIONS
        ) as client:
            return await play_async(scenario, client)


@each_pair
def test_adapted_equals_native(server: str, scenario: Scenario) -> None:
    native, adapted = (recorded(server, scenario, side) for side in SIDES)
    assert native, "the scenario makes no call"
    assert compare(server, scenario.name, native, adapted, DIFFERENCES).faults == []


@each_pair
async def test_async_equals_sync(server: str, scenario: Scenario) -> None:
    # From the same recording there is nothing that may differ.
    waited = await played_async(server, scenario)
    compared = compare(server, scenario.name, recorded(server, scenario, "responses"), waited)
    assert compared.faults == []
    assert compared.equal == compared.fields > 0


@pytest.mark.parametrize("server", SERVERS)
def test_every_listed_difference_occurs(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    total, names = Comparison(), [scenario.name for holder, scenario in PAIRS if holder == server]
    for holder, scenario in PAIRS:
        if holder == server:
            native, adapted = (recorded(server, scenario, side) for side in SIDES)
            total.add(compare(server, scenario.name, native, adapted, DIFFERENCES))
    with capsys.disabled():
        print(f"\ncassettes of {server}: {total}")
    due = [each for each in DIFFERENCES if any(each.concerns(server, name) for name in names)]
    assert [each for each in due if not total.occurred[each]] == []
    assert total.faults == []


def test_a_difference_that_is_not_listed_is_a_fault() -> None:
    server, scenario = PAIRS[0]
    native, adapted = (played(server, scenario, side) for side in SIDES)
    adapted[0].choices[0].message.content += "!"
    (fault,) = compare(server, scenario.name, native, adapted, DIFFERENCES).faults
    assert fault.startswith("[0] completion.choices[0].message.content: ")
    assert (
        len(compare(server, scenario.name, native, [*adapted, *adapted], DIFFERENCES).faults) == 2
    )


@each_streamed
@each_cut
def test_pieces_make_no_difference(server: str, scenario: Scenario, cut: stream_pieces.Cut) -> None:
    first, second = (
        recorded(server, scenario, "responses"),
        played(server, scenario, "responses", cut),
    )
    assert [facts(result) for result in first] == [facts(result) for result in second]
    assert [chunks(result) for result in first] == [chunks(result) for result in second]


@each_streamed
async def test_pieces_make_no_difference_async(server: str, scenario: Scenario) -> None:
    first = recorded(server, scenario, "responses")
    second = await played_async(server, scenario, stream_pieces.per_size(7))
    assert [chunks(result) for result in first] == [chunks(result) for result in second]


def chunks(result: Any) -> Any:
    """Return all chunks of a stream."""
    return [chunk.to_dict() for chunk in result] if isinstance(result, list) else result.__class__


each_cut_short = each_of(
    [pair for pair in STREAMED if not pair[1].name.startswith(("error_", "tool_loop"))]
)


def cuts_short(path: Path) -> Iterator[stream_pieces.Cut]:
    """Yield cuts: after each fifth event, within the last one, and just before its end."""
    body = interactions(path)[0]["response"]["body"]["string"]
    ends = [0]
    for event in stream_pieces.per_event(body):
        ends.append(ends[-1] + len(event))
    while body[ends[-2] : ends[-1]].startswith(b"data: [DONE]"):
        ends.pop()  # nothing after the terminal event is needed
    # An event without its blank line is incomplete.
    for length in [*ends[:-1][::5], ends[-2], (ends[-2] + ends[-1]) // 2, ends[-1] - 2]:
        yield stream_pieces.short_at(length)
    yield stream_pieces.short_at(ends[-2], then=HTTP.ReadError("the connection broke"))


@each_cut_short
def test_a_stream_cut_short_raises(server: str, scenario: Scenario) -> None:
    cuts = list(cuts_short(scenario.cassette(server, "responses")))
    for cut in cuts:
        *_, last = played(server, scenario, "responses", cut)
        assert isinstance(last, CONNECTION_ERRORS), (
            f"a stream cut short looks like a whole one: {last!r:.300}"
        )
    assert len(cuts) >= 5


@each_cut_short
async def test_a_stream_cut_short_raises_async(server: str, scenario: Scenario) -> None:
    for cut in list(cuts_short(scenario.cassette(server, "responses")))[-3:]:
        *_, last = await played_async(server, scenario, cut)
        assert isinstance(last, CONNECTION_ERRORS)


def interactions(path: Path) -> list[dict[str, Any]]:
    """Read a cassette."""
    read: list[dict[str, Any]] = Serializer.deserialize(path.read_text(encoding="utf-8"))[
        "interactions"
    ]
    return read


WRONG_ON_PURPOSE = ("error_value", "error_tool")
"""The scenarios whose request a server should refuse: the wrong value is carried over unchanged."""


def recorded_bodies() -> list[Any]:
    """List every request body that was recorded on the Responses API."""
    return [
        pytest.param(
            json.loads(each["request"]["body"]),
            id=f"{path.relative_to(ROOT).with_suffix('')}-{number}",
        )
        for folder in FOLDERS
        for path in sorted(folder.rglob("*.yaml"))
        for number, each in enumerate(interactions(path))
        if each["request"]["uri"].endswith("/responses")
        and not path.name.startswith(WRONG_ON_PURPOSE)
    ]


BODIES = recorded_bodies()


@needs_current_types
@pytest.mark.parametrize("body", BODIES)
def test_recorded_bodies_fit_the_sdk_types(body: dict[str, Any]) -> None:
    assert problems_of_responses_body(body) == []


def test_a_wrong_value_goes_over_as_it_is() -> None:
    (each,) = interactions(ROOT / "vllm" / "error_value.responses.yaml")
    body = json.loads(each["request"]["body"])
    assert body["temperature"] == 7.5
    assert problems_of_responses_body(body) == []


@openapi.needs_document
@pytest.mark.parametrize("body", BODIES)
def test_recorded_bodies_fit_the_openapi_document(body: dict[str, Any]) -> None:
    assert openapi.problems_of_openapi_body(body) == []


@each_pair
def test_the_adapter_emits_the_recorded_bytes(server: str, scenario: Scenario) -> None:
    """Compare bytes; the replay accepts JSON in any order and spacing."""
    path = scenario.cassette(server, "responses")
    sent: list[bytes] = []

    class Noting(HTTP.HTTPTransport):  # type: ignore[misc]  # the library is the installed one
        def handle_request(self, request: Any) -> Any:
            sent.append(request.read())
            return super().handle_request(request)

    http_client = HTTP.Client(transport=Noting(verify=False))
    with (
        use_cassette(path),
        adapter.OpenAI(http_client=http_client, settings=SETTINGS, **OPTIONS) as client,
    ):
        play(scenario, client)
    assert sent == [each["request"]["body"] for each in interactions(path)]


def test_every_cassette_is_used_by_a_scenario() -> None:
    wanted = {scenario.cassette(server, side) for server, scenario in PAIRS for side in SIDES}
    assert {path for server in SERVERS for path in (ROOT / server).rglob("*")} == wanted


def test_the_demo_uses_its_cassettes() -> None:
    from adapter.tools.cli.demo_runs import PROGRAMS

    wanted = {
        DEMO / f"{program.name}.{side.name}.yaml" for program in PROGRAMS for side in program.sides
    }
    assert set(DEMO.rglob("*")) == wanted


@pytest.mark.slow
def test_cassettes_hold_nothing_private() -> None:
    users = [ROOT.parent / "tests", ROOT.parent / "adapter"]
    assert [str(finding) for finding in cassette_check.check(ROOT, users)] == []


@each_pair
def test_each_side_went_where_it_should(server: str, scenario: Scenario) -> None:
    wanted = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}
    for side in SIDES:
        uris = {each["request"]["uri"] for each in interactions(scenario.cassette(server, side))}
        assert uris == {f"https://recorded.invalid{wanted[side]}"}
