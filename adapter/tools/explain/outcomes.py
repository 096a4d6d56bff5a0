"""What becomes of each parameter of a request: read off the plan that production makes, never decided a second time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from adapter._exchange.plan import Plan
from adapter._util import safe_names
from adapter.translation.ledger import Loss
from adapter.translation.parameters import CHAT_PARAMETERS, Parameter

Outcome = Literal[
    "moves",
    "left out",
    "changed",
    "clamped",
    "dropped",
    "holds",
    "refused",
    "passed on",
    "depends",
    "option",
]


@dataclass(frozen=True, slots=True)
class ParameterOutcome:
    """One parameter: where it goes (`to`, a dotted path of the Responses body, or empty), its class in the rule table, and the outcome for its value.

    `moves`: carried over. `left out`: says nothing that the other API doesn't do by itself. `changed`, `clamped`, `dropped`: as in the ledger. `holds`:
    keeps the call on Chat Completions. `refused`: makes it an error. `passed on`: no parameter of Chat, goes as it is. `depends`: on a value
    that isn't known here. `option`: the SDK's own, which isn't sent in the body.
    """

    name: str
    outcome: Outcome
    to: str = ""
    fate: str = ""
    why: str = ""

    def redacted(self) -> ParameterOutcome:
        """Return it as it may be shown: a name that somebody else has made up may be anything."""
        return (
            self
            if self.name in CHAT_PARAMETERS
            else replace(self, name=safe_names.key(self.name), to=safe_names.path(self.to))
        )


_OUTCOME_OF_ACTION: dict[str, Outcome] = {
    "held": "holds",
    "dropped": "dropped",
    "changed": "changed",
    "clamped": "clamped",
}
_MAX_REASONS = 5  # that are shown of one parameter
_SEVERITY = ("holds", "refused", "dropped", "clamped", "changed")


def parameter_outcomes(body: Mapping[str, Any], plan: Plan) -> list[ParameterOutcome]:
    """List the parameters of a body, in the rule table's order, with what the plan does to each; unknown keys come last."""
    losses = plan.losses
    known = [name for name in CHAT_PARAMETERS if name in body]
    others = [name for name in body if name not in CHAT_PARAMETERS]
    refused = plan.refusal is not None
    listed = [
        _outcome_of(name, body[name], CHAT_PARAMETERS.get(name), losses, refused=refused)
        for name in known + others
    ]
    there = None if plan.translation is None else plan.translation.body
    return (
        listed
        if there is None
        else [_corrected_by_body(one, body[one.name], there) for one in listed]
    )


def _corrected_by_body(
    outcome: ParameterOutcome, value: Any, responses_body: Mapping[str, Any]
) -> ParameterOutcome:
    """Correct what the table says by the body that was made: what is done on this side stands nowhere there."""
    if not outcome.to or outcome.to.partition(".")[0] in responses_body:
        return outcome
    if outcome.outcome == "passed on" and not value:
        return replace(outcome, outcome="left out", why="the same as not given")
    return replace(outcome, to="")


def _outcome_of(
    name: str, value: Any, rule: Parameter | None, losses: Iterable[Loss], *, refused: bool
) -> ParameterOutcome:
    shown = name if rule is not None else safe_names.path(name)  # as it stands in the ledger
    own = [loss for loss in losses if parameter_of(loss.path) == parameter_of(shown)]
    to, kind = (rule.target, rule.support) if rule is not None else (name, "")
    if own:
        outcomes = [_OUTCOME_OF_ACTION[loss.action] for loss in own]
        if refused:
            outcomes = ["refused" if one == "holds" else one for one in outcomes]
        worst = min(outcomes, key=_SEVERITY.index)
        why = _joined_reasons(
            dict.fromkeys(
                loss.why if loss.path == name else f"{loss.path}: {loss.why}" for loss in own
            )
        )
        return ParameterOutcome(name, worst, to, kind, why)
    if rule is None:
        return ParameterOutcome(name, "passed on", to, kind, "no parameter of Chat Completions")
    if rule.is_neutral(value) and name != "messages":
        # A neutral value with a counterpart (`store`, …) may still be written out; what it says is the other API's own way.
        return ParameterOutcome(name, "left out", to, kind, "the same as not given")
    return ParameterOutcome(name, "moves", to, kind, rule.note)


def _joined_reasons(whys: Iterable[str]) -> str:
    """Join reasons, the first of many: a message each may have one."""
    listed = list(whys)
    more = f"; and {len(listed) - _MAX_REASONS:,} more" if len(listed) > _MAX_REASONS else ""
    return "; ".join(listed[:_MAX_REASONS]) + more


def parameter_of(path: str) -> str:
    """Return the parameter that a ledger's path is about: `messages[0].name` is `messages`."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]
