"""The plan for one request, alone: translate it, hold it on Chat, or refuse it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from adapter._exchange.plan import Plan, make_plan, plan_for_bug
from adapter._exchange.record import Hold, Route
from adapter._exchange.request_body import NOT_JSON, parse_request
from adapter._util.json_codec import Unwritable
from adapter.translation import Loss, Policy
from tests.support.answers import CALL
from tests.support.scripted import TOOLS, route

PATH = b"/v1/chat/completions"
RESPONSES_ONLY = {**CALL, "model": "gpt-5.4", "reasoning_effort": "high", "tools": TOOLS}
SIGNED = Hold("signed", Loss("$", "held", "the request is signed"))
MISSING = Hold("missing", Loss("$", "held", "not there a while ago"), unconditional=False)


def unserved(model: object) -> bool:
    """Stand for a server that doesn't serve gpt-4o on the Responses API."""
    return model == "gpt-4o"


class Case(NamedTuple):
    """A request, the route it has, and the plan: its reason, losses, path and refusal's status."""

    id: str
    reason: str
    body: Any = CALL
    chosen: Route = route()
    path: bytes = PATH
    capacity: int | None = None
    losses: tuple[str, ...] = ()
    target: bytes | None = None
    refused: int | None = None


TABLE = [
    Case("translated", "settings", target=b"/v1/responses"),
    Case("another base path and a query", "settings", path=b"/a/b/chat/completions?x=1",
         target=b"/a/b/responses?x=1"),
    Case("a deployment of Azure", "settings",
         path=b"/openai/deployments/d/chat/completions?api-version=2024-10-21",
         target=b"/openai/responses?api-version=2025-03-01-preview",
         losses=("query.api-version: changed",)),
    Case("a rule's model", "rule", chosen=route(reason="rule", model="gpt-4.1"),
         target=b"/v1/responses", losses=("model: changed",)),
    Case("the rule's model is the caller's", "rule", chosen=route(reason="rule", model="gpt-4o"),
         target=b"/v1/responses"),
    Case("not JSON", "not-json", body=NOT_JSON, losses=("$: held",)),
    Case("a value that can't be carried", "unsupported", body={**CALL, "seed": 1},
         losses=("seed: held",)),
    Case("an empty history", "unsupported", body={**CALL, "messages": []},
         losses=("messages: held",)),
    Case("an error by policy", "refused", body={**CALL, "seed": 1},
         chosen=route(policy=Policy(unsupported="error")), losses=("seed: held",), refused=400),
    Case("a hold", "signed", chosen=route(hold=SIGNED), losses=("$: held",)),
    Case(
        "a hold of a Responses-only model",
        "refused",
        body=RESPONSES_ONLY,
        chosen=route(hold=SIGNED),
        losses=("$: held",),
        refused=400,
    ),
    Case("a conditional hold of a Responses-only model", "settings", body=RESPONSES_ONLY,
         chosen=route(hold=MISSING), target=b"/v1/responses"),
    Case("a conditional hold", "missing", chosen=route(hold=MISSING), losses=("$: held",)),
    Case("a model that isn't served there", "missing", chosen=route(unserved=unserved),
         losses=("$: held",)),
    Case("another model is served", "settings", body={**CALL, "model": "gpt-4.1"},
         chosen=route(unserved=unserved), target=b"/v1/responses"),
    Case("more answers than connections", "unsupported", body={**CALL, "n": 3}, capacity=2,
         chosen=route(policy=Policy(emulate=frozenset({"n"}))), losses=("n: held",)),
    Case("as many answers as connections", "settings", body={**CALL, "n": 2}, capacity=2,
         chosen=route(policy=Policy(emulate=frozenset({"n"}))), target=b"/v1/responses",
         losses=("n: changed",)),
]  # fmt: skip


@pytest.mark.parametrize("case", TABLE, ids=[case.id for case in TABLE])
def test_the_plan(case: Case) -> None:
    before = copy.deepcopy(case.body) if case.body is not NOT_JSON else NOT_JSON
    plan = make_plan(case.body, case.chosen, case.path, case.capacity, lambda: "api.example")
    assert plan.reason == case.reason
    assert tuple(f"{loss.path}: {loss.action}" for loss in plan.losses) == case.losses
    assert plan.path == case.target
    assert (plan.translation is None) == (case.target is None)
    assert (plan.refusal.status if plan.refusal else None) == case.refused
    assert case.body is NOT_JSON or case.body == before


def test_a_refusal_begins_with_the_path() -> None:
    plan = make_plan({**CALL, "seed": 1}, route(policy=Policy(unsupported="error")), PATH, None)
    assert plan.refusal is not None
    assert b'"message":"seed: ' in plan.refusal.body
    assert b'"param":"seed"' in plan.refusal.body


@pytest.mark.parametrize(
    "body", [CALL, RESPONSES_ONLY], ids=["a model of both", "a Responses-only model"]
)
@pytest.mark.parametrize("on_bug", ["chat", "raise"])
def test_the_plan_after_an_internal_error(body: dict[str, Any], on_bug: str) -> None:
    chosen, bug = route(on_internal_error=on_bug), ZeroDivisionError("SECRET")

    def plan() -> Plan:
        return plan_for_bug(body, chosen, bug)

    if on_bug == "raise":
        with pytest.raises(ZeroDivisionError):
            plan()
        return
    made = plan()
    assert made.reason == "adapter-bug"
    assert (made.refusal is None) == (body is CALL)
    assert "SECRET" not in repr(made)
    if made.refusal is not None:
        assert made.refusal.status == 500


def test_a_number_that_json_cannot_write_is_no_internal_error() -> None:
    plan = plan_for_bug(CALL, route(on_internal_error="raise"), Unwritable("inf"))
    assert (plan.reason, plan.refusal) == ("not-json", None)


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"[1]", [1]),
        (b"", NOT_JSON),
        (b'{"a": 1', NOT_JSON),
        (b'{"a": 1} x', NOT_JSON),
        (b"\xff", NOT_JSON),
    ],
    ids=["an object", "an array", "nothing", "cut", "more behind it", "no UTF-8"],
)
def test_a_request_is_parsed(raw: bytes, parsed: Any) -> None:
    assert parse_request(raw) == parsed


def _explode(*_: Any) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "broken", ["responses_endpoint", "chat_to_responses", "_responses_only_reason"]
)
def test_an_internal_error_anywhere_is_a_plan_for_chat(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail: Callable[..., Any] = _explode
    monkeypatch.setattr(f"adapter._exchange.plan.{broken}", fail)
    plan = make_plan(CALL, route(), PATH, None)
    assert (plan.reason, plan.refusal, plan.translation) == ("adapter-bug", None, None)
