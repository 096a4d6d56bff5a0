"""`explain` and production agree on each call: backend, reason, ledger, error and the request.

Every 40th recorded request is compared; more of them if `ADAPTER_TEST_DEPTH` is set.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

import adapter
from adapter import Settings
from adapter.tools.audit.verdicts import Classifier
from adapter.tools.explain.explain import CallOrigin, explain
from adapter.tools.explain.outcomes import parameter_of
from adapter.tools.logs.rows import LoggedRequest
from adapter.tools.scan.run import scan
from adapter.translation.parameters import CHAT_PARAMETERS
from tests.contract.test_edge_requests import CASES, LOSSY
from tests.support import corpus, odd
from tests.support.depth import DEPTH, examples
from tests.support.http import http
from tests.support.odd import Json
from tests.support.strategies import chat_requests

EVERY = max(1, 40 // DEPTH)
AZURE = "https://x.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2024-06-01"
PLAIN = "https://api.openai.com/v1/chat/completions"

WAYS: dict[str, tuple[dict[str, Any], CallOrigin]] = {
    "chat": ({"backend": "responses"}, CallOrigin()),
    "error": ({"backend": "responses", "unsupported": "error"}, CallOrigin()),
    "drop": ({"backend": "responses", "unsupported": "drop"}, CallOrigin()),
    "emulate": (
        {
            "backend": "responses",
            "unsupported": "drop",
            "emulate": ["n", "stop", "web_search_options"],
        },
        CallOrigin(),
    ),
    "rules": (
        {
            "rules": [
                {
                    "match": {"stream": True},
                    "backend": "responses",
                    "drop": ["seed"],
                    "model": "gpt-5.4-mini",
                },
                {"match": {"tools": True}, "backend": "responses", "unsupported": "error"},
                {"match": {"tag": "moved"}, "backend": "responses", "emulate": ["n"]},
            ],
        },
        CallOrigin(tag="moved"),
    ),
    "models": (
        {
            "backend": "responses",
            "models": {"gpt-4.1": {"responses_only": True}, "o3-pro": {"chat_only": True}},
        },
        CallOrigin(),
    ),
    "rollout": ({"rollout": 50, "sticky_by": "conversation"}, CallOrigin(conversation="c-1")),
    "header": ({}, CallOrigin(headers=(("x-adapter-backend", "responses"),))),
    "azure": ({"backend": "responses"}, CallOrigin(url=AZURE)),
    "forced": ({"backend": "responses", "force": "chat"}, CallOrigin()),
    "off": ({}, CallOrigin()),
}
IN_FORCE = {name: Settings(on_bug="raise", **given_) for name, (given_, _) in WAYS.items()}


def agree(body: Json, way: str) -> None:
    """Send a body through a transport, explain it, and compare."""
    arrived: list[Any] = []

    def answer(request: Any) -> Any:
        arrived.append((request.url.raw_path.decode(), json.loads(request.content)))
        return http.Response(
            400, json={"error": {"message": "no", "type": "x", "param": None, "code": None}}
        )

    in_force, where = IN_FORCE[way], WAYS[way][1]
    before = copy.deepcopy(body)
    transport = adapter.Transport(http.MockTransport(answer), settings=in_force)
    request = http.Request(
        "POST", where.url, headers=list(where.headers), content=json.dumps(body).encode()
    )
    with adapter.use(tag=where.tag, conversation=where.conversation):
        reply = transport.handle_request(request)
    decided = adapter.decision(request)
    explained = explain(body, in_force, where)
    assert body == before
    assert decided is not None
    assert replace(decided, call_site=None) == explained.decision  # the call site is this file
    if explained.sent is None:
        assert arrived == []
        assert json.loads(reply.read())["error"] == explained.error
    else:
        # If one of several replies is an error, the others are cancelled.
        assert arrived[: explained.sent.requests] == [
            (explained.sent.path, explained.sent.body)
        ] * len(arrived)
    if decided.asked == "responses":
        assert explained.moves == (decided.backend == "responses" and bool(arrived))
        assert (explained.refusal is None) == (decided.reason != "refused")
        assert explained.losses == decided.losses
    outcomes = {fate.outcome for fate in explained.parameters}
    if explained.translated is not None:
        there = explained.translated.body
        for fate in explained.parameters:
            if fate.outcome == "moves":
                assert not fate.to or fate.to.partition(".")[0] in there, fate
            elif fate.outcome == "passed on":
                assert fate.name in there, fate
            elif fate.outcome != "left out":
                assert any(parameter_of(loss.path) == fate.name for loss in explained.losses), fate
    assert ("holds" in outcomes) <= (not explained.moves)
    if way in ("chat", "error", "drop", "emulate", "models"):  # what an audit knows of
        verdict = Classifier(in_force, plain=True).classify(LoggedRequest(body))
        moved = verdict.kind in ("as it is", "with changes")
        assert moved == explained.moves
        assert (verdict.kind == "refused") <= (explained.refusal is not None)


TABLE = {case.id: case.input for case in (*CASES, *LOSSY)}


@pytest.mark.parametrize("way", WAYS)
def test_the_tables_of_requests(way: str) -> None:
    for body in TABLE.values():
        agree(body, way)


@pytest.mark.parametrize(
    ("base", "way"), [("plain", "chat"), ("tools", "drop"), ("responses only", "emulate")]
)
def test_odd_requests(base: str, way: str) -> None:
    for name in odd.NAMES:
        if name != "messages":  # a body without a list of them is no chat request; explain says so
            for body in odd.bodies(base, name, (None, 0, 5, [], {"x": 1})):
                agree(body, way)


VALUES: tuple[Any, ...] = (
    None,
    0,
    -1,
    True,
    "",
    [],
    {},
    5,
    "x",
    1.5,
    [None],
    {"x": 1},
    ["x"],
    [{}],
    False,
    10**30,
    2,
    {"type": None},
    "\ud83d",
)
POLICIES = ("chat", "error", "drop", "emulate")


def swept(*, every: bool) -> Iterator[tuple[Json, str]]:
    """Yield each parameter with each odd value, under each policy and kind of model.

    Without `every` one policy and kind for each, in turn.
    """
    ways = list(itertools.product(POLICIES, odd.BASES))
    turn = itertools.cycle(ways)
    for name in odd.NAMES:
        for value in VALUES if name != "messages" else ():
            for way, base in ways if every else [next(turn)]:
                yield next(odd.bodies(base, name, (value,))), way


def test_odd_values_of_every_parameter() -> None:
    for body, way in swept(every=DEPTH > 1):
        agree(body, way)


@pytest.mark.parametrize("way", POLICIES)
def test_a_scan_agrees_on_literal_arguments(way: str, tmp_path: Path) -> None:
    """A call with literal arguments can be judged before it runs."""
    bodies = [body for body, one in swept(every=False) if one == way]
    lines = ["from openai import OpenAI", "client = OpenAI()"]
    for body in bodies:
        own = {name: value for name, value in body.items() if name in CHAT_PARAMETERS}
        other = {name: value for name, value in body.items() if name not in own}
        words = [f"{name}={value!r}" for name, value in own.items()] + (
            [f"extra_body={other!r}"] if other else []
        )
        lines.append(f"client.chat.completions.create({', '.join(words)})")
    file = tmp_path / "calls.py"
    file.write_text("\n".join(lines), encoding="utf-8")
    said = {
        one.site.line: one.assessment.verdict
        for one in scan([file], IN_FORCE[way], jobs=1).findings
    }
    for line, body in enumerate(bodies, 3):
        explained = explain(body, IN_FORCE[way])
        expected = (
            {"moves"}
            if explained.moves
            else {"refused"}
            if explained.refusal
            else {"setting", "stays"}
        )
        assert said[line] in expected, lines[line - 1]


@pytest.mark.parametrize("way", WAYS)
def test_drawn_requests(way: str) -> None:
    @hypothesis_settings(max_examples=examples(8), suppress_health_check=list(HealthCheck))
    @given(chat_requests(wild=True))
    def drawn(body: Json) -> None:
        agree(body, way)

    drawn()


@corpus.needs_corpus
@pytest.mark.parametrize("way", WAYS)
def test_recorded_requests(way: str) -> None:
    recorded = [
        one.request
        for ok in (True, False)
        for one in corpus.select(api="chat", host="api.openai.com", ok=ok)
        if isinstance(one.request, dict) and isinstance(one.request.get("messages"), list)
    ]
    for body in recorded[::EVERY]:
        agree(body, way)
