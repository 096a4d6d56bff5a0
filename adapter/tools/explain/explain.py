"""Explain one call: what production would decide for it, and the request that would leave, by running production's own code.

The journey of exchange.py is driven up to the request that it would send, with a real request of the SDK's HTTP library and the real
router; nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapter._exchange.call import exchange
from adapter._exchange.effects import (
    Decide,
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
from adapter._routing.call import Call
from adapter._routing.overrides import Overrides
from adapter._routing.rollout import ServiceHash, rollout_key
from adapter._routing.router import HEADER, Router, RuleSettings
from adapter._runtime.call_context import CallContext
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
    """Where a call comes from and goes to, as far as rules and rollouts look at it.

    `url` is the chat endpoint; `headers` the request's; `tag` and `conversation` what `use(...)` would say; `call_site` `module:function`.
    """

    url: str = URL
    headers: tuple[tuple[str, str], ...] = ()
    tag: str | None = None
    conversation: str | None = None
    call_site: str | None = None

    @property
    def call_sites(self) -> tuple[str, ...]:
        """The caller, as a call has it."""
        return () if self.call_site is None else (self.call_site,)


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request that would leave: its path with the query, its JSON, and how many of it."""

    path: str
    body: Any
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where a caller stands in a rollout: `place` from 0 up to 100, moved once `percent` passes it; None where each request is chosen by chance."""

    percent: float
    sticky_by: str
    place: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of a call before it is sent.

    `decision` is production's; `sent` what would leave by it (None where the call is refused), `error` the error that its caller would get.
    `translated` is what leaves once the call goes to the Responses API, whatever the settings choose today; None where it can't: `losses` says
    why. `parameters` and `losses` are those of that translation. `rule` is the matching rule's index. `fallback` says for which replies the call
    would go to Chat Completions after all.
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
        """Tell whether the call can go to the Responses API under these settings."""
        return self.translated is not None


def explain(body: Any, settings: Settings, origin: CallOrigin = CallOrigin()) -> Explanation:
    """Explain what becomes of a chat request. Raises MalformedRequest for what is no chat request at all."""
    check_chat_request(body)
    raw = fast_json.dumps(body)
    router = Router(settings)
    today = _run_until_sent(router, body, raw, origin)
    decision, sent, error = today.decision, today.sent, today.error
    if decision.asked != "responses":
        # As the same call once it is chosen: nothing forced, and no header against what `use()` says.
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
        model_facts={} if facts is None else {
            key: list(value) if isinstance(value, tuple) else value
            for key in ("responses_only", "chat_only", "tools_on_chat", "refused_efforts", "responses_efforts", "reasons", "shutdown", "sources")
            if (value := getattr(facts, key))
        },
        emulated=tuple(sorted(planned.emulate & {policy_name_of(loss.path) for loss in plan.losses if loss.action == "changed"})),
    )  # fmt: skip


def check_chat_request(body: Any) -> None:
    """Raise MalformedRequest, which begins with the JSON path, for what is no chat request at all: a file of something else."""
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
    fallback: frozenset[str]


@dataclass(frozen=True, slots=True)
class _SimulatedCall:
    """How far a call comes: what was decided, and what would go out or come back."""

    decision: Decision
    route: Route
    raw_path: bytes
    host: str
    sent: SentRequest | None
    error: dict[str, Any] | None


def _run_until_sent(
    router: Router, body: Any, raw: bytes, origin: CallOrigin, backend: Backend | None = None
) -> _SimulatedCall:
    """Send a call on its way, up to what would go out; `backend` as `use()` would say it."""
    request = _request(raw, origin)
    overrides = Overrides(backend=backend, conversation=origin.conversation, tag=origin.tag)
    ticket = CallContext(
        router, state=CallState(), overrides=overrides, call_sites=origin.call_sites
    )
    asked, host = request.url.raw_path, request.url.host
    outcome = _first_request(exchange(ticket.state, asked, host=lambda: host), ticket, request, raw)
    decision = ticket.state.decision()
    choice = ticket.state.route
    if decision is None or choice is None:  # the header's value is none
        assert isinstance(outcome, WholeReply)
        raise MalformedRequest(f"headers.{HEADER}", "expected chat or responses")
    if isinstance(outcome, WholeReply):
        return _SimulatedCall(
            decision, choice, asked, host, None, json_codec.loads(outcome.body)["error"]
        )
    path = (asked if outcome.path is None else outcome.path).decode()
    sent = SentRequest(
        path, body if outcome.body is None else fast_json.loads(outcome.body), outcome.requests
    )
    return _SimulatedCall(decision, choice, asked, host, sent, None)


def _plan(simulated: _SimulatedCall, body: Any) -> _PlanDetails:
    """Make the plan that a call travelled by, with all that it says."""
    choice = simulated.route
    plan = make_plan(body, choice, simulated.raw_path, None, lambda: simulated.host)
    return _PlanDetails(plan, choice.policy.models, choice.policy.emulate, choice.fallback)


@dataclass(frozen=True, slots=True)
class _FirstRequest:
    body: bytes | None
    path: bytes | None
    requests: int = 1


def _first_request(
    call: Exchange, context: CallContext, request: Any, raw: bytes
) -> _FirstRequest | WholeReply:
    """Drive a journey up to the first request that it sends, or to its end where it sends none."""
    answer: Any = None
    while True:
        try:
            effect = call.send(answer)
        except StopIteration as end:
            refused: WholeReply = end.value  # no other journey ends before it sends
            return refused
        match effect:
            case Decide():
                answer = context.choose_route(effect, request)
            case ReadRequest():
                answer = raw
            case Recall():
                answer = RecallResult()  # the memory is another process's
            case Send():
                call.close()
                return _FirstRequest(effect.body, effect.path)
            case FanOut():
                first = _first_request(effect.branches[0], context, request, raw)
                assert isinstance(first, _FirstRequest)
                for branch in effect.branches:
                    branch.close()
                call.close()
                return replace(first, requests=len(effect.branches))
            case _:
                answer = None  # notes; and flags, which are objects of a program and not in a file


def _request(raw: bytes, origin: CallOrigin) -> Any:
    """Make the request as the SDK would, of its own HTTP library."""
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
        body,
    )


def _rollout(settings: Settings, rule_settings: RuleSettings, call: Call) -> Rollout | None:
    if rule_settings.percent is None:
        return None
    caller = (
        None if rule_settings.sticky_by == "request" else rollout_key(rule_settings.sticky_by, call)
    )
    place = ServiceHash(settings.service).bucket(caller) if isinstance(caller, str) else None
    return Rollout(rule_settings.percent, rule_settings.sticky_by, place)


def _fallbacks(planned: _PlanDetails) -> dict[str, str]:
    if planned.plan.translation is None:
        return {}
    if planned.plan.responses_only_reason is not None:
        return dict.fromkeys(
            sorted(planned.fallback), f"an error all the same: {planned.plan.responses_only_reason}"
        )
    return {
        reason: f"{REASON_TEXT[reason]}: to Chat Completions, untouched"
        for reason in sorted(planned.fallback)
    }
