"""Derive what becomes of each parameter of a request from the plan that production makes."""

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
    """One parameter: its target, its support in the parameter table, and the outcome for its value.

    `to` is a dotted path of the Responses body, or empty; `fate` is the column in
    docs/mapping.md#parameters. The outcomes: `moves`: carried over. `left out`: the same as the
    default. `changed`, `clamped`, `dropped`: as in the ledger. `holds`: keeps the call on Chat.
    `refused`: makes it an error. `passed on`: not a Chat parameter, sent unchanged. `depends`: on a
    value that isn't known here. `option`: an option of the SDK, which isn't sent in the body.
    """

    name: str
    outcome: Outcome
    to: str = ""
    fate: str = ""
    why: str = ""

    def redacted(self) -> ParameterOutcome:
        """Return a copy that is safe to show: the name of an unknown parameter may be anything."""
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
_MAX_REASONS = 5  # shown for one parameter
_SEVERITY = ("holds", "refused", "dropped", "clamped", "changed")


def parameter_outcomes(body: Mapping[str, Any], plan: Plan) -> list[ParameterOutcome]:
    """List the outcomes of a body's parameters, in the order of the parameter table.

    Unknown keys come last.
    """
    losses = plan.losses
    known = [name for name in CHAT_PARAMETERS if name in body]
    others = [name for name in body if name not in CHAT_PARAMETERS]
    refused = plan.refusal is not None
    listed = [
        _outcome_of(name, body[name], CHAT_PARAMETERS.get(name), losses, refused=refused)
        for name in known + others
    ]
    responses_body = None if plan.translation is None else plan.translation.body
    if responses_body is None:
        return listed
    return [_corrected_by_body(one, body[one.name], responses_body) for one in listed]


def _corrected_by_body(
    outcome: ParameterOutcome, value: Any, responses_body: Mapping[str, Any]
) -> ParameterOutcome:
    """Correct an outcome by the translated body: what the adapter emulates has no field there."""
    if not outcome.to or outcome.to.partition(".")[0] in responses_body:
        return outcome
    if outcome.outcome == "passed on" and not value:
        return replace(outcome, outcome="left out", why="same as the default")
    return replace(outcome, to="")


def _outcome_of(
    name: str, value: Any, rule: Parameter | None, losses: Iterable[Loss], *, refused: bool
) -> ParameterOutcome:
    shown = name if rule is not None else safe_names.path(name)  # as in the ledger
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
        return ParameterOutcome(name, "passed on", to, kind, "not a Chat Completions parameter")
    if rule.is_neutral(value) and name != "messages":
        # A neutral value with a counterpart (`store`, …) may be written out all the same.
        return ParameterOutcome(name, "left out", to, kind, "same as the default")
    return ParameterOutcome(name, "moves", to, kind, rule.note)


def _joined_reasons(whys: Iterable[str]) -> str:
    """Join the first reasons: there may be one for each message."""
    listed = list(whys)
    more = f"; and {len(listed) - _MAX_REASONS:,} more" if len(listed) > _MAX_REASONS else ""
    return "; ".join(listed[:_MAX_REASONS]) + more


def parameter_of(path: str) -> str:
    """Return the parameter of a ledger's path: `messages` for `messages[0].name`."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]
