"""What it would take to move a request that doesn't move: asked of production's own planning, by trying it.

The plan is made under a policy that notes what it was asked about; then again under one that also emulates, or drops, just that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, get_args

from adapter._exchange.plan import Plan, make_plan
from adapter._exchange.record import Route
from adapter._settings.validation import Emulated
from adapter.translation.parameters import BREAKING_DROPS
from adapter.translation.policy import Policy, Unsupported

UNDROPPABLE = frozenset({"model", "messages", "response_format", "functions", "function_call"})
"""What no setting leaves out: there `drop` is as good as `error` (Draft.cannot)."""

_EMULATABLE = frozenset(get_args(Emulated))


@dataclass(frozen=True, slots=True)
class Remedies:
    """The parameters to be emulated and dropped, in the order of their names, and the plan for the request then."""

    emulate: tuple[str, ...]
    drop: tuple[str, ...]
    plan: Plan

    @property
    def is_breaking(self) -> bool:
        """Whether one of the drops takes something from the answer that the program reads; the others are only lossy."""
        return not BREAKING_DROPS.isdisjoint(self.drop)


@dataclass(frozen=True, slots=True)
class _RecordingPolicy(Policy):
    """A policy that notes what it was asked about, and didn't say `drop` to."""

    queried: list[str] = field(default_factory=list, compare=False)

    def action_for(self, parameter: str) -> Unsupported:
        said = Policy.action_for(self, parameter)
        if said != "drop" and parameter not in self.queried:
            self.queried.append(parameter)
        return said


def plan_with_queries(body: Any, raw_path: bytes, route: Route) -> tuple[Plan, list[str]]:
    """Make the plan for a request, and say which parameters the policy was asked about. A bug of ours is a plan too, and raises nothing."""
    policy = route.policy
    asking = _RecordingPolicy(
        policy.unsupported, policy.parameters, policy.emulate, policy.models, policy.carry_reasoning
    )
    return make_plan(
        body, replace(route, policy=asking, on_bug="chat"), raw_path, None
    ), asking.queried


def find_remedies(body: Any, raw_path: bytes, route: Route, queried: list[str]) -> Remedies:
    """Find the settings under which a request moves; `asked` is what its own plan asked about.

    Where the policy says `error` only the first obstacle shows: so they are looked for until nothing new comes up. Where the plan that is
    returned has no translation, no settings move the request.
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
        plan, queried = plan_with_queries(body, raw_path, replace(route, policy=trial))
        if plan.translation is not None or not new:
            return Remedies(tuple(sorted(emulate)), tuple(sorted(drop)), plan)
