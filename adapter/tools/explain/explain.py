"""Explain one call: its route, and the request that would be sent, by the code of production.

The exchange (`_exchange/call.py`) is run up to its first request, with a request of the SDK's HTTP
library and the real router. Nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapter._exchange.call import exchange
from adapter._exchange.effects import (
    Exchange,
    FanOut,
    ReadRequest,
    Recall,
    RecallResult,
    Send,
    WholeReply,
)
from adapter._exchange.fallback import REASON_TEXT
from adapter._exchange.plan import Plan, make_plan
from adapter._exchange.record import Backend, CallState, Decision, Route
from adapter._exchange.request_body import RequestBody
from adapter._http.incoming_request import HttpRequest
from adapter._routing.call import Call
from adapter._routing.overrides import Overrides
from adapter._routing.rollout import ServiceHash, rollout_key_gen
from adapter._routing.router import HEADER, Router, RuleSettings
from adapter._runtime.call_context import CallContext
from adapter._runtime.run import drive
from adapter._settings.settings import Settings
from adapter._util import fast_json, json_codec
from adapter.errors import MalformedRequest
from adapter.testing.vcr_check import sdk_http_library
from adapter.translation.json_types import json_type
from adapter.translation.parameters import policy_name_of

from .outcomes import ParameterOutcome, parameter_outcomes

URL = "https://api.openai.com/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """The facts about a call, beside its body, that rules and rollouts use.

    `url` is the chat endpoint, `headers` are the request's, `tag` and `conversation` those of
    `use(...)`, and `call_site` is `module:function`.
    """

    url: str = URL
    headers: tuple[tuple[str, str], ...] = ()
    tag: str | None = None
    conversation: str | None = None
    call_site: str | None = None

    @property
    def call_sites(self) -> tuple[str, ...]:
        """The callers, in the form of `Call.call_sites`."""
        return () if self.call_site is None else (self.call_site,)


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request that would be sent: path with query, JSON body, and the number of requests."""

    path: str
    body: Any
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Rollout:
    """A caller's part in a rollout.

    `place` is its bucket, from 0 to below 100: it moves once `percent` exceeds it. None if each
    request is chosen at random.
    """

    percent: float
    sticky_by: str
    place: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of a call before it is sent.

    `decision` is the one of production. `sent` is the request that follows from it; None if the
    call is refused, with `error` for its caller. `translated` is the request if the call goes to
    the Responses API, whatever the settings choose now; None if it can't, and `losses` has the
    reasons. `parameters` and `losses` are those of that translation. `rule` is the index of the
    matching rule. `fallback` maps the reasons for which the call falls back to Chat to their texts.
    """

    decision: Decision
    sent: SentRequest | None
    error: dict[str, Any] | None
    translated: SentRequest | None
    refusal: dict[str, Any] | None
    parameters: tuple[ParameterOutcome, ...]
    losses: tuple[Any, ...]
    rule: int | None
    rollout: Rollout | None
    responses_only_reason: str | None
    fallback: Mapping[str, str]
    model: str | None
    model_facts: Mapping[str, Any]
    emulated: tuple[str, ...]

    @property
    def moves(self) -> bool:
        """Whether the call can use the Responses API under these settings."""
        return self.translated is not None


def explain(body: Any, settings: Settings, origin: CallOrigin = CallOrigin()) -> Explanation:
    """Explain what becomes of a chat request. Raise MalformedRequest if it isn't one."""
    check_chat_request(body)
    raw = fast_json.dumps(body)
    router = Router(settings)
    today = _run_until_sent(router, body, raw, origin)
    decision, sent, error = today.decision, today.sent, today.error
    if decision.asked != "responses":
        # The same call with the Responses API chosen: without `force`, flags and the header.
        open_router = Router(
            Settings.model_construct(**{**settings.__dict__, "force": None, "flags": None})
        )
        others = tuple(one for one in origin.headers if one[0].lower() != HEADER)
        today = _run_until_sent(
            open_router, body, raw, replace(origin, headers=others), "responses"
        )
    planned = _plan(today, body)
    plan = planned.plan
    call = _call(body, origin)
    ground, rule = router.settings_for(call)
    name = call.model
    facts = planned.model_profiles.profile(name) if isinstance(name, str) else None
    return Explanation(
        decision=decision,
        sent=sent,
        error=error,
        translated=today.sent if today.decision.backend == "responses" else None,
        refusal=today.error,
        parameters=tuple(parameter_outcomes(body, plan)),
        losses=today.decision.losses,
        rule=rule,
        rollout=_rollout(settings, ground, call) if decision.reason == "rollout" else None,
        responses_only_reason=plan.responses_only_reason,
        fallback=_fallbacks(planned),
        model=name,
        model_facts={} if facts is None else _model_facts(facts),
        emulated=tuple(
            sorted(
                planned.emulate
                & {policy_name_of(loss.path) for loss in plan.losses if loss.action == "changed"}
            )
        ),
    )


_MODEL_FACTS = (
    "responses_only",
    "chat_only",
    "tools_on_chat",
    "refused_efforts",
    "responses_efforts",
    "reasons",
    "shutdown",
    "sources",
)


def _model_facts(facts: Any) -> dict[str, Any]:
    """Return the facts of a model as JSON, without empty ones."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in _MODEL_FACTS
        if (value := getattr(facts, name))
    }


def check_chat_request(body: Any) -> None:
    """Raise MalformedRequest, with the JSON path first, if a value isn't a chat request."""
    if not isinstance(body, dict):
        raise MalformedRequest("$", f"expected a JSON object, got {json_type(body)}")
    if "messages" not in body:
        raise MalformedRequest("messages", "missing")
    if not isinstance(body["messages"], list):
        raise MalformedRequest("messages", f"expected an array, got {json_type(body['messages'])}")


@dataclass(frozen=True, slots=True)
class _PlanDetails:
    plan: Plan
    model_profiles: Any
    emulate: frozenset[str]
    fallback: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _SimulatedCall:
    """A call up to its first request: the decision, and the request or the error."""

    decision: Decision
    route: Route
    raw_path: bytes
    host: str
    sent: SentRequest | None
    error: dict[str, Any] | None


def _run_until_sent(
    router: Router, body: Any, raw: bytes, origin: CallOrigin, backend: Backend | None = None
) -> _SimulatedCall:
    """Run a call up to its first request; `backend` is that of `use()`."""
    request = _request(raw, origin)
    overrides = Overrides(backend=backend, conversation=origin.conversation, tag=origin.tag)
    context = CallContext(
        router, state=CallState(), overrides=overrides, call_sites=origin.call_sites
    )
    raw_path, host = request.url.raw_path, request.url.host
    incoming = HttpRequest(request)
    call = exchange(
        context.state,
        raw_path,
        lambda body: context.choose_gen(incoming, body),
        host=lambda: host,
    )
    outcome = _first_request(call, raw)
    decision = context.state.decision()
    route = context.state.route
    if decision is None or route is None:  # an invalid value of the header
        assert isinstance(outcome, WholeReply)
        raise MalformedRequest(f"headers.{HEADER}", "expected chat or responses")
    if isinstance(outcome, WholeReply):
        error = json_codec.loads(outcome.body)["error"]
        return _SimulatedCall(decision, route, raw_path, host, None, error)
    path = (raw_path if outcome.path is None else outcome.path).decode()
    sent = SentRequest(
        path, body if outcome.body is None else fast_json.loads(outcome.body), outcome.requests
    )
    return _SimulatedCall(decision, route, raw_path, host, sent, None)


def _plan(simulated: _SimulatedCall, body: Any) -> _PlanDetails:
    """Return the plan of a simulated call, with the settings that it used."""
    route = simulated.route
    plan = make_plan(body, route, simulated.raw_path, None, lambda: simulated.host)
    return _PlanDetails(plan, route.policy.models, route.policy.emulate, route.settings.fallback)


@dataclass(frozen=True, slots=True)
class _FirstRequest:
    body: bytes | None
    path: bytes | None
    requests: int = 1


def _first_request(call: Exchange, raw: bytes) -> _FirstRequest | WholeReply:
    """Run an exchange up to its first request, or to its end if it sends none."""
    answer: Any = None
    while True:
        try:
            effect = call.send(answer)
        except StopIteration as end:
            refused: WholeReply = end.value  # no other exchange ends before it sends
            return refused
        match effect:
            case ReadRequest():
                answer = raw
            case Recall():
                answer = RecallResult()  # the memory belongs to another process
            case Send():
                call.close()
                return _FirstRequest(effect.body, effect.path)
            case FanOut():
                first = _first_request(effect.branches[0], raw)
                assert isinstance(first, _FirstRequest)
                for branch in effect.branches:
                    branch.close()
                call.close()
                return replace(first, requests=len(effect.branches))
            case _:
                answer = None  # flags, which are objects of the program


def _request(raw: bytes, origin: CallOrigin) -> Any:
    """Return the request as the SDK would make it, with its HTTP library."""
    return sdk_http_library().Request("POST", origin.url, headers=list(origin.headers), content=raw)


def _call(body: Any, origin: CallOrigin) -> Call:
    request = _request(b"", origin)
    overrides = Overrides(conversation=origin.conversation, tag=origin.tag)
    return Call(
        None,
        request.headers,
        overrides,
        request.url.raw_path,
        request.url.host,
        origin.call_sites,
        RequestBody.of(body),
    )


def _no_effect(effect: object) -> Any:
    raise AssertionError(f"the body is known: {effect}")


def _rollout(settings: Settings, rule_settings: RuleSettings, call: Call) -> Rollout | None:
    if rule_settings.percent is None:
        return None
    caller = (
        None
        if rule_settings.sticky_by == "request"
        else drive(rollout_key_gen(rule_settings.sticky_by, call), _no_effect)
    )
    place = ServiceHash(settings.service).bucket(caller) if isinstance(caller, str) else None
    return Rollout(rule_settings.percent, rule_settings.sticky_by, place)


def _fallbacks(planned: _PlanDetails) -> dict[str, str]:
    if planned.plan.translation is None:
        return {}
    if planned.plan.responses_only_reason is not None:
        return dict.fromkeys(
            sorted(planned.fallback), f"still an error: {planned.plan.responses_only_reason}"
        )
    return {
        reason: f"{REASON_TEXT[reason]}: the original request is sent to Chat Completions"
        for reason in sorted(planned.fallback)
    }
