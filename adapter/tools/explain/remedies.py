"""Find the settings that would move a request, by trying them with the planning of production.

The plan is made under a policy that records the parameters it is queried for, and again under one
that also emulates or drops these.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, get_args

from adapter._exchange.plan import Plan, make_plan
from adapter._exchange.record import Route
from adapter.translation.parameters import BREAKING_DROPS, UNDROPPABLE, Emulated
from adapter.translation.policy import Policy, Unsupported

_EMULATABLE = frozenset(get_args(Emulated))


@dataclass(frozen=True, slots=True)
class Remedies:
    """The parameters to emulate and to drop, sorted by name, and the plan that results."""

    emulate: tuple[str, ...]
    drop: tuple[str, ...]
    plan: Plan

    @property
    def is_breaking(self) -> bool:
        """Whether a drop removes something from the reply that programs read."""
        return not BREAKING_DROPS.isdisjoint(self.drop)


@dataclass(frozen=True, slots=True)
class _RecordingPolicy(Policy):
    """A policy that records the parameters it is queried for and doesn't drop."""

    queried: list[str] = field(default_factory=list, compare=False)

    def action_for(self, parameter: str) -> Unsupported:
        action = Policy.action_for(self, parameter)
        if action != "drop" and parameter not in self.queried:
            self.queried.append(parameter)
        return action


def plan_with_queries(body: Any, raw_path: bytes, route: Route) -> tuple[Plan, list[str]]:
    """Return the plan for a request, and the parameters that the policy was queried for.

    An internal error also gives a plan, and isn't raised.
    """
    policy = route.policy
    recording = _RecordingPolicy(
        policy.unsupported, policy.parameters, policy.emulate, policy.models, policy.carry_reasoning
    )
    settings: Any = route.settings
    if route.strict:
        settings = settings.model_copy(update={"on_internal_error": "chat"})
    plan = make_plan(body, route._replace(policy=recording, settings=settings), raw_path, None)
    return plan, recording.queried


def find_remedies(body: Any, raw_path: bytes, route: Route, queried: list[str]) -> Remedies:
    """Find the settings under which a request moves; `queried` are the parameters of its own plan.

    With the policy `error` only the first obstacle is seen, so the search repeats until none is
    new. If the returned plan has no translation, no settings move the request.
    """
    policy = route.policy
    emulate: set[str] = set()
    drop: dict[str, Unsupported] = {}
    while True:
        new = [
            name
            for name in queried
            if name not in UNDROPPABLE and name not in drop and name not in emulate
        ]
        emulate |= {name for name in new if name in _EMULATABLE and name not in policy.emulate}
        drop |= dict.fromkeys([name for name in new if name not in emulate], "drop")
        parameters = MappingProxyType({**policy.parameters, **drop})
        trial = replace(policy, parameters=parameters, emulate=policy.emulate | emulate)
        plan, queried = plan_with_queries(body, raw_path, route._replace(policy=trial))
        if plan.translation is not None or not new:
            return Remedies(tuple(sorted(emulate)), tuple(sorted(drop)), plan)
