"""Say what becomes of a call site: its parameters put into a request, and that request into production's own planning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from adapter.journal import Choice
from adapter.kit.fates import Fate, fates
from adapter.kit.ways_out import plan_of, ways_out
from adapter.planning import Plan
from adapter.routing.call_site import named
from adapter.routing.calls import Call
from adapter.routing.decide import Router
from adapter.routing.overrides import NONE
from adapter.routing.settings import Settings
from adapter.translation.rules import CHAT_ONLY, CHAT_PARAMETERS

from .arguments import PLACEHOLDER, UNKNOWN
from .known import OPTIONS
from .site import Site

Verdict = Literal["moves", "setting", "unclear", "stays", "refused"]
"""What becomes of a call once it is chosen: it moves as it is; moves with a setting; depends on what only a run can tell; stays on Chat Completions; or is an
error under these settings."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

_NO_MODEL = "a-model"  # no fact is known of it
_ENDPOINT = b"/v1/chat/completions"

# A value of each parameter that isn't neutral, for where the program's own isn't written out.
_FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
_SAMPLES: Mapping[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"}, "frequency_penalty": 0.5, "function_call": "auto", "functions": [_FUNCTION],
    "logit_bias": {"1": 1}, "logprobs": True, "max_completion_tokens": 4096, "max_tokens": 4096, "metadata": {"a": "b"},
    "modalities": ["text", "audio"], "moderation": {}, "n": 2, "parallel_tool_calls": True, "prediction": {"type": "content", "content": "a"},
    "presence_penalty": 0.5, "prompt_cache_key": "a", "prompt_cache_options": {}, "prompt_cache_retention": "24h", "reasoning_effort": "low",
    "response_format": {"type": "json_object"}, "safety_identifier": "a", "seed": 1, "service_tier": "auto", "stop": ["a"], "store": True,
    "stream": True, "stream_options": {"include_usage": True}, "temperature": 1, "tool_choice": "auto",
    "tools": [{"type": "function", "function": _FUNCTION}], "top_logprobs": 2, "top_p": 1, "user": "a", "verbosity": "low",
    "web_search_options": {},
}  # fmt: skip

_CARRIED_WITH = {"top_logprobs": {"logprobs": True}}  # what Chat takes a parameter together with


@dataclass(frozen=True, slots=True)
class Assessment:
    """A verdict, why, the settings that would move the call, and each parameter's fate; `one_way` says why Chat couldn't serve it."""

    verdict: Verdict
    why: str
    settings: tuple[str, ...] = ()
    fates: tuple[Fate, ...] = ()
    one_way: str | None = None


class Assessor:
    """Assess call sites under one state of the settings, as if each call were chosen for the Responses API."""

    def __init__(self, settings: Settings) -> None:
        self._router = Router(settings)

    def assess(self, site: Site, module: str) -> Assessment:
        """Say what becomes of a site of a module (its dotted name, for rules that match call sites)."""
        known, unknown = self._body(site)
        choice = self._choice(known, unknown, named(module, site.owner))
        plan = _plan(known, choice)
        found = {fate.name: fate for fate in fates(known, plan) if fate.name in site.arguments.values}
        doubtful: dict[str, Plan] = {}
        for name in unknown:
            alone = {**known_basics(known), **_CARRIED_WITH.get(name, {}), name: _SAMPLES[name]}
            sampled = _plan(alone, choice)
            found[name] = _doubt(name, alone, sampled)
            if found[name].outcome == "depends":
                doubtful[name] = sampled
        for name in site.arguments.values:
            if name not in found:
                found[name] = Fate(name, "option", why="an option of the caller's library, not of the request")
        ordered = tuple(sorted(found.values(), key=lambda fate: _ORDER.get(fate.name, len(_ORDER))))
        verdict, why, settings = self._verdict(site, known, plan, choice, doubtful)
        return Assessment(verdict, why, settings, ordered, plan.one_way)

    def _body(self, site: Site) -> tuple[dict[str, Any], list[str]]:
        """Split a site's parameters into the body that is known and the names whose values aren't."""
        body: dict[str, Any] = {"model": _NO_MODEL, "messages": site.messages or [{"role": "user", "content": "a"}]}
        unknown = []
        for name, value in site.arguments.values.items():
            if name == "messages" or name not in CHAT_PARAMETERS:
                continue
            if value is not UNKNOWN:
                body[name] = value
            elif name in _SAMPLES:
                unknown.append(name)
        extra = site.arguments.values.get("extra_body")
        if isinstance(extra, dict):
            body |= {name: value for name, value in extra.items() if name not in OPTIONS and value is not UNKNOWN}
            unknown += [name for name in extra if extra[name] is UNKNOWN and name in _SAMPLES and name not in unknown]
            body |= {name: PLACEHOLDER for name in CHAT_ONLY if extra.get(name) is UNKNOWN}
        if site.call.endswith("parse") and "response_format" in unknown:  # a model class: the SDK makes its schema
            unknown.remove("response_format")
            schema = {"name": "a", "schema": {"type": "object"}, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body, unknown

    def _choice(self, known: dict[str, Any], unknown: Iterable[str], call_site: str) -> Choice:
        sampled = {**known, **{name: _SAMPLES[name] for name in unknown}}
        ground, _ = self._router.ground_of(Call(None, {}, NONE, _ENDPOINT, "", (call_site,), sampled))
        return ground.moved

    def _verdict(
        self, site: Site, known: dict[str, Any], plan: Plan, choice: Choice, doubtful: Mapping[str, Plan]
    ) -> tuple[Verdict, str, tuple[str, ...]]:
        if site.forced is not None:
            return site.forced, site.note, ()  # type: ignore[return-value]
        held = [loss for loss in plan.losses if loss.action == "held"]
        if plan.refusal is not None:
            return "refused", "; ".join(f"{loss.path}: {loss.why}" for loss in held) or "the policy refuses it", ()
        if plan.translation is None:
            why = "; ".join(dict.fromkeys(f"{loss.path}: {loss.why}" for loss in held))
            remedy = _remedy(known, choice)
            if remedy is None:
                return "stays", why, ()
            return ("unclear", f"{why}; {_more(site)}", remedy) if site.arguments.open else ("setting", why, remedy)
        if site.arguments.open:
            return "unclear", _more(site), ()
        if doubtful:
            names = ", ".join(doubtful)
            body = {**known, **{name: _SAMPLES[name] for name in doubtful}}
            for name in doubtful:
                body |= _CARRIED_WITH.get(name, {})
            remedy = _remedy(body, choice)
            why = f"depends on the value of {names}"
            return ("unclear", why, ()) if remedy is None else ("setting", why, remedy)
        return "moves", "", ()


def _more(site: Site) -> str:
    return "what else is given isn't known here: " + "; ".join(dict.fromkeys(site.arguments.open))


_ORDER = {name: k for k, name in enumerate(CHAT_PARAMETERS)}


def known_basics(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the least that a request holds."""
    return {"model": body["model"], "messages": [{"role": "user", "content": "a"}]}


def _plan(body: Mapping[str, Any], choice: Choice) -> Plan:
    return plan_of(dict(body), _ENDPOINT, choice)[0]


def _doubt(name: str, body: Mapping[str, Any], plan: Plan) -> Fate:
    """Say what becomes of a parameter whose value isn't known, from what becomes of a value that says something."""
    fate = next(one for one in fates(body, plan) if one.name == name)
    if fate.outcome not in ("holds", "refused"):
        return fate
    rule = CHAT_PARAMETERS[name]
    free = ", ".join(["None", *dict.fromkeys(map(repr, rule.neutral))])
    what = "stays on Chat Completions" if fate.outcome == "holds" else "is refused"
    return replace(fate, outcome="depends", why=f"{what} unless it is {free}: {fate.why}")


def _remedy(body: Mapping[str, Any], choice: Choice) -> tuple[str, ...] | None:
    """Return the settings with which such a request moves, and its program gets what it reads; None where none do."""
    _, asked = plan_of(dict(body), _ENDPOINT, choice)
    ways = ways_out(dict(body), _ENDPOINT, choice, asked)
    if ways.plan.translation is None or ways.breaking:
        return None
    settings = (("drop", ways.drop), ("emulate", ways.emulate))
    return tuple(f'{key} = ["{name}"]' for key, names in settings for name in names)
