"""What it would take to move a request that doesn't move: asked of production's own planning, by trying it.

The plan is made under a policy that notes what it was asked about; then again under one that also emulates, or drops, just that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, get_args

from adapter._exchange.plan import Plan, make_plan
from adapter._exchange.record import Choice
from adapter._settings.validation import Emulated
from adapter.translation.parameters import BREAKING_DROPS
from adapter.translation.policy import Policy, Unsupported

KEPT = frozenset({"model", "messages", "response_format", "functions", "function_call"})
"""What no setting leaves out: there `drop` is as good as `error` (Draft.cannot)."""

_EMULATED = frozenset(get_args(Emulated))


@dataclass(frozen=True, slots=True)
class WaysOut:
    """The parameters to be emulated and dropped, in the order of their names, and the plan for the request then."""

    emulate: tuple[str, ...]
    drop: tuple[str, ...]
    plan: Plan

    @property
    def breaking(self) -> bool:
        """Whether one of the drops takes something from the answer that the program reads; the others are only lossy."""
        return not BREAKING_DROPS.isdisjoint(self.drop)


@dataclass(frozen=True, slots=True)
class _Asking(Policy):
    """A policy that notes what it was asked about, and didn't say `drop` to."""

    asked: list[str] = field(default_factory=list, compare=False)

    def of(self, parameter: str) -> Unsupported:
        said = Policy.of(self, parameter)
        if said != "drop" and parameter not in self.asked:
            self.asked.append(parameter)
        return said


def plan_of(body: Any, raw_path: bytes, choice: Choice) -> tuple[Plan, list[str]]:
    """Make the plan for a request, and say which parameters the policy was asked about. A bug of ours is a plan too, and raises nothing."""
    policy = choice.policy
    asking = _Asking(policy.unsupported, policy.parameters, policy.emulate, policy.models, policy.carry_reasoning)
    return make_plan(body, replace(choice, policy=asking, on_bug="chat"), raw_path, None), asking.asked


def ways_out(body: Any, raw_path: bytes, choice: Choice, asked: list[str]) -> WaysOut:
    """Find the settings under which a request moves; `asked` is what its own plan asked about.

    Where the policy says `error` only the first obstacle shows: so they are looked for until nothing new comes up. Where the plan that is
    returned has no translation, no settings move the request.
    """
    policy = choice.policy
    emulate: set[str] = set()
    drop: dict[str, Unsupported] = {}
    while True:
        new = [name for name in asked if name not in KEPT and name not in drop and name not in emulate]
        emulate |= {name for name in new if name in _EMULATED and name not in policy.emulate}
        drop |= dict.fromkeys([name for name in new if name not in emulate], "drop")
        parameters = MappingProxyType({**policy.parameters, **drop})
        trial = replace(policy, parameters=parameters, emulate=policy.emulate | emulate)
        plan, asked = plan_of(body, raw_path, replace(choice, policy=trial))
        if plan.translation is not None or not new:
            return WaysOut(tuple(sorted(emulate)), tuple(sorted(drop)), plan)
