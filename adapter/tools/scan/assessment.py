"""Assess call sites: build a request from the parameters, and plan it as production does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from adapter._exchange.plan import Plan
from adapter._exchange.record import Route
from adapter._exchange.request_body import RequestBody
from adapter._routing.call import Call
from adapter._routing.call_site import call_site_name
from adapter._routing.overrides import NO_OVERRIDES
from adapter._routing.router import Router
from adapter._settings.settings import Settings
from adapter.tools.explain.outcomes import ParameterOutcome, parameter_outcomes
from adapter.tools.explain.remedies import find_remedies, plan_with_queries
from adapter.translation.parameters import CHAT_ONLY, CHAT_PARAMETERS

from .arguments import PLACEHOLDER, Unknown
from .finder import Site
from .known_clients import OPTIONS
from .sources import module_of

Verdict = Literal["moves", "unless", "setting", "unclear", "stays", "refused"]
"""What becomes of a call that is routed to the Responses API.

It moves as is; moves unless a parameter that isn't known keeps it on Chat; moves with a setting;
is unclear from the source alone; stays on Chat Completions; or is an error under these settings.
See docs/guides/change-code.md#the-verdicts.
"""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

_NO_MODEL = "a-model"  # a model without a profile
_ENDPOINT = b"/v1/chat/completions"

# A value of each parameter that isn't neutral, used if the program's own isn't a literal.
_SAMPLES = {name: row.example for name, row in CHAT_PARAMETERS.items() if row.example is not None}
_COMPANIONS = {"top_logprobs": {"logprobs": True}}  # parameters that Chat takes only with others


@dataclass(frozen=True, slots=True)
class Assessment:
    """The verdict on a call site, with its reason.

    `settings` would move the call; `parameters` has the outcome of each one;
    `responses_only_reason` says why Chat can't answer it; `unless` names the parameters that would
    keep the call on Chat, if a run gives them.
    """

    verdict: Verdict
    why: str
    settings: tuple[str, ...] = ()
    parameters: tuple[ParameterOutcome, ...] = ()
    responses_only_reason: str | None = None
    unless: tuple[str, ...] = ()


@dataclass(slots=True)
class _Body:
    """A site's parameters: those that are known, and a sample value for each uncertain one."""

    known: dict[str, Any]
    uncertain: dict[str, Any]


class Assessor:
    """Assess call sites under one set of settings, as if every call used the Responses API."""

    def __init__(self, settings: Settings) -> None:
        self._router = Router(settings)
        self._holding: dict[Any, tuple[str, ...]] = {}

    def assess(self, site: Site, module: str) -> Assessment:
        """Assess a site of a module, named by its dotted name, as rules for call sites match it."""
        body = self._body(site)
        choice = self._route(body, _callers(site, module))
        plan = _plan(body.known, choice)
        found = {
            one.name: one
            for one in parameter_outcomes(body.known, plan)
            if one.name in _given_names(site)
        }
        depends: list[str] = []
        for name, value in body.uncertain.items():
            alone = {**minimal_body(body.known), **_COMPANIONS.get(name, {}), name: value}
            found[name] = _uncertain_outcome(name, alone, _plan(alone, choice))
            if found[name].outcome == "depends":
                depends.append(name)
        for name in site.arguments.values:
            if name not in found:
                found[name] = ParameterOutcome(
                    name, "option", why="an option of the caller's library, not of the request"
                )
        ordered = tuple(sorted(found.values(), key=lambda one: _ORDER.get(one.name, len(_ORDER))))
        if site.forced is not None:
            return Assessment(
                site.forced,  # type: ignore[arg-type]
                site.note,
                (),
                ordered,
                plan.responses_only_reason,
            )
        return replace(
            self._assess_plan(site, body, plan, choice, depends),
            parameters=ordered,
            responses_only_reason=plan.responses_only_reason,
        )

    def _body(self, site: Site) -> _Body:
        """Split a site's parameters into known and uncertain ones."""
        given = site.arguments
        body = _Body(
            {"model": _NO_MODEL, "messages": site.messages or [{"role": "user", "content": "a"}]},
            {},
        )
        extra = given.values.get("extra_body")
        inside = (
            {name: one for name, one in extra.items() if name not in OPTIONS}
            if isinstance(extra, dict)
            else {}
        )
        for name, value in {**given.values, **inside}.items():
            if name == "messages" or (
                name not in CHAT_PARAMETERS and name not in CHAT_ONLY and name not in inside
            ):
                continue
            sample = _SAMPLES.get(name, PLACEHOLDER if name in CHAT_ONLY else None)
            unknown = isinstance(value, Unknown)
            uncertain = not {name, f"extra_body.{name}"}.isdisjoint(given.optional) or (
                unknown and not _is_surely_set(name, value)
            )
            if unknown and sample is None:
                continue
            if uncertain:
                body.uncertain[name] = sample if unknown else value
            else:
                body.known[name] = sample if unknown else value
        if site.call.endswith(("parse", "stream")) and _is_class(
            given.values.get("response_format")
        ):
            # A model class: the SDK makes its schema.
            body.uncertain.pop("response_format", None)
            schema = {"name": "a", "schema": {"type": "object"}, "strict": True}
            body.known["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _route(self, body: _Body, call_sites: tuple[str, ...]) -> Route:
        sampled = {**body.known, **body.uncertain}
        ground, _ = self._router.settings_for(
            Call(None, {}, NO_OVERRIDES, _ENDPOINT, "", call_sites, RequestBody.of(sampled))
        )
        return ground.responses_route

    def _assess_plan(
        self, site: Site, body: _Body, plan: Plan, route: Route, depends: list[str]
    ) -> Assessment:
        held = [loss for loss in plan.losses if loss.action == "held"]
        more = self._holding_from_elsewhere(site, body, route)
        if plan.refusal is not None:
            return Assessment(
                "refused",
                "; ".join(f"{loss.path}: {loss.why}" for loss in held) or "the policy refuses it",
            )
        if plan.translation is None:
            reasons = list(dict.fromkeys(f"{loss.path}: {loss.why}" for loss in held))
            remedy = _remedy(body.known, route)
            if remedy is None:
                return Assessment("stays", "; ".join(reasons))
            return Assessment(
                "setting",
                "; ".join([*reasons, *_source_texts(site, more)]),
                remedy,
                unless=(*depends, *more),
            )
        if not depends and not more:
            return Assessment("moves", "")
        reasons = [f"depends on the value of {', '.join(depends)}"] if depends else []
        sampled = {**body.known, **{name: body.uncertain[name] for name in depends}}
        for name in depends:
            sampled |= _COMPANIONS.get(name, {})
        remedy = _remedy(sampled, route) or () if depends else ()
        return Assessment(
            "unless",
            "; ".join([*reasons, *_source_texts(site, more)]),
            remedy,
            unless=(*depends, *more),
        )

    def _holding_from_elsewhere(self, site: Site, body: _Body, route: Route) -> tuple[str, ...]:
        """Return the parameters that would keep the call on Chat and that a source may give."""
        given = site.arguments
        if not given.sources or site.forced is not None:
            return ()
        key = (
            route.policy.unsupported,
            frozenset(route.policy.parameters.items()),
            route.policy.emulate,
            body.known["model"],
        )
        holding = self._holding.get(key)
        if holding is None:
            holding = self._holding[key] = tuple(
                name for name in _SAMPLES if _would_hold(name, body, route)
            )
        in_body = any(one.text.startswith("extra_body") for one in given.sources)
        return tuple(
            name
            for name in (*holding, *(sorted(CHAT_ONLY) if in_body else ()))
            if name not in body.uncertain
            and (name not in given.values or name in given.replaceable)
            and any(one.may_give(name) for one in given.sources)
        )


def _callers(site: Site, module: str) -> tuple[str, ...]:
    """Return the callers of the SDK as production names them, the nearest first."""
    inner = [
        call_site_name(_module_of(file) if file else module, owner)
        for file, owner in site.call_chain
    ]
    return (*inner, call_site_name(module, site.owner))


@lru_cache(maxsize=1000)
def _module_of(file: str) -> str:
    return module_of(Path(file))


def _given_names(site: Site) -> set[str]:
    extra = site.arguments.values.get("extra_body")
    return site.arguments.values.keys() | (extra.keys() if isinstance(extra, dict) else set())


def _is_class(value: Any) -> bool:
    return isinstance(value, Unknown) and not value.parameter


def _is_surely_set(name: str, value: Unknown) -> bool:
    """Return whether an unknown value can't be a neutral one."""
    rule = CHAT_PARAMETERS.get(name)
    if value.hint == "number":
        neutral = rule.neutral if rule is not None else ()
        return not any(
            isinstance(one, (int, float)) and not isinstance(one, bool) for one in neutral
        )
    return value.hint == "some" or name in CHAT_ONLY


def _would_hold(name: str, body: _Body, route: Route) -> bool:
    alone = {**minimal_body(body.known), **_COMPANIONS.get(name, {}), name: _SAMPLES[name]}
    return _plan(alone, route).translation is None


def _source_texts(site: Site, more: tuple[str, ...]) -> list[str]:
    """Return a text that says which parameters would keep the call on Chat, and their sources."""
    if not more:
        return []
    sources = [one for one in site.arguments.sources if any(one.may_give(name) for name in more)]
    texts = list(dict.fromkeys(one.text for one in sources))
    return [f"unless {', '.join(more)} come{'s' * (len(more) == 1)} from {', '.join(texts)}"]


_ORDER = {name: k for k, name in enumerate(CHAT_PARAMETERS)}


def minimal_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the smallest valid request for the body's model."""
    return {"model": body["model"], "messages": [{"role": "user", "content": "a"}]}


def _plan(body: Mapping[str, Any], route: Route) -> Plan:
    return plan_with_queries(dict(body), _ENDPOINT, route)[0]


def _uncertain_outcome(name: str, body: Mapping[str, Any], plan: Plan) -> ParameterOutcome:
    """Return the outcome of a parameter whose value isn't known, from that of a sample value."""
    found = next(one for one in parameter_outcomes(body, plan) if one.name == name)
    if found.outcome not in ("holds", "refused"):
        return found
    rule = CHAT_PARAMETERS.get(name)
    free = ", ".join(["None", *dict.fromkeys(map(repr, rule.neutral if rule is not None else ()))])
    what = "stays on Chat Completions" if found.outcome == "holds" else "is refused"
    return replace(found, outcome="depends", why=f"{what} unless it is {free}: {found.why}")


def _remedy(body: Mapping[str, Any], route: Route) -> tuple[str, ...] | None:
    """Return the settings that would move such a request; None if there are none.

    Settings after which the reply lacks something that programs read don't count.
    """
    _, asked = plan_with_queries(dict(body), _ENDPOINT, route)
    remedies = find_remedies(dict(body), _ENDPOINT, route, asked)
    if remedies.plan.translation is None or remedies.is_breaking:
        return None
    settings = (("drop", remedies.drop), ("emulate", remedies.emulate))
    return tuple(f'{key} = ["{name}"]' for key, names in settings for name in names)
