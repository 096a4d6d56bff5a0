"""Classify one request: what would become of it on the Responses API, by the production code.

The router gives the policy for the request and the plan what becomes of it; if it is kept on Chat,
`find_remedies` finds the settings that would move it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from adapter._exchange.request_body import RequestBody
from adapter._routing.call import Call
from adapter._routing.overrides import NO_OVERRIDES
from adapter._routing.router import Router
from adapter._settings.settings import Settings
from adapter._util import safe_names
from adapter.tools.explain.remedies import find_remedies, plan_with_queries
from adapter.tools.logs.rows import LoggedRequest
from adapter.translation.model_profiles import ModelProfiles
from adapter.translation.parameters import CHAT_PARAMETERS, UNDROPPABLE

from . import shapes
from .features import features_of

VerdictKind = Literal[
    "as it is", "with changes", "with settings", "with breaking settings", "stays", "refused"
]
"""`as it is`: it moves without a loss. `with changes`: it moves, and the conversion report lists
the changes. `with settings`: it would move with other settings, at the price of a nuance or a cost.
`with breaking settings`: it would move only without something that programs read in the reply
(`BREAKING_DROPS` of `translation/parameters.py`). `stays`: kept on Chat, whatever the settings.
`refused`: an error on the Responses API, and Chat can't serve it either, or the policy is
`error`."""

VERDICT_KINDS: Final = get_args(VerdictKind)

_MAX_SHAPES = 20_000
_MAX_CHARACTERS = 32 * 1024 * 1024  # in the names of all shapes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of every request of one shape: names, paths and numbers, never contents.

    `settings` are what it needs to move, such as `emulate n` or `drop seed`. `held` is what keeps
    it on Chat under the current settings, by parameter or path; `kept` is what no setting removes,
    by path and reason; `losses` are the losses of a request that moves, by path and action. `rule`
    is the index of the rule that matches; `n` is how many choices it asks for.
    """

    kind: VerdictKind
    model: str
    settings: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    losses: tuple[tuple[str, str], ...] = ()
    responses_only_reason: str | None = None
    chat_only: bool = False
    shutdown: str | None = None
    bug: bool = False
    rule: int | None = None
    n: int = 1
    parameters: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


class Classifier:
    """Classify requests under fixed settings, once per shape.

    `plain=True` classifies every request by itself.
    """

    def __init__(self, settings: Settings, *, plain: bool = False) -> None:
        self._router = Router(settings)
        self._plain = plain
        self._verdicts: dict[Hashable, Verdict] = {}
        self._characters = 0

    def classify(self, logged: LoggedRequest) -> Verdict:
        """Return the verdict for a request."""
        if self._plain:
            return self._classify(logged)
        shape = shapes.shape_of(logged.body, logged.raw_path, logged.host)
        found = self._verdicts.get(shape)
        if found is None:
            self._characters += shapes.characters(shape)
            if len(self._verdicts) >= _MAX_SHAPES or self._characters > _MAX_CHARACTERS:
                self._verdicts.clear()
                self._characters = shapes.characters(shape)
            found = self._verdicts[shape] = self._classify(logged)
        return found

    def _classify(self, logged: LoggedRequest) -> Verdict:
        body, raw_path = logged.body, logged.raw_path
        call = Call(None, {}, NO_OVERRIDES, raw_path, logged.host, body=RequestBody.of(body))
        settings, rule = self._router.settings_for(call)
        route = settings.responses_route
        plan, asked = plan_with_queries(body, raw_path, route)
        facts = route.policy.models
        sent = call.model
        profile = facts.profile(sent) if sent is not None else None
        rest: dict[str, Any] = {
            "model": safe_names.model(sent),
            "responses_only_reason": plan.responses_only_reason
            or _responses_only_reason(facts, sent),
            "chat_only": profile.chat_only if profile is not None else False,
            "shutdown": facts.shutdown(sent) if sent is not None else None,
            "bug": plan.reason == "adapter-bug",
            "rule": rule,
            "n": _choice_count(body),
            **_parameters(body),
            "features": features_of(
                body, reasons=profile.reasons if profile is not None else False
            ),
        }
        if plan.translation is not None:
            losses = tuple(
                dict.fromkeys(
                    (safe_names.without_indexes(loss.path), loss.action) for loss in plan.losses
                )
            )
            return Verdict("with changes" if losses else "as it is", losses=losses, **rest)
        remedies = find_remedies(body, raw_path, route, asked)
        held = tuple(name for name in asked if name not in UNDROPPABLE)
        if remedies.plan.translation is not None:
            needed = (
                *(f"emulate {name}" for name in remedies.emulate),
                *(f"drop {name}" for name in remedies.drop),
            )
            kind: VerdictKind = (
                "with breaking settings" if remedies.is_breaking else "with settings"
            )
            return Verdict(kind, settings=needed, held=held, **rest)
        kept = tuple(
            dict.fromkeys(
                (safe_names.without_indexes(loss.path), loss.why)
                for loss in remedies.plan.losses
                if loss.action == "held"
            )
        )
        held += tuple(path for path in dict.fromkeys(path for path, _ in kept) if path not in held)
        return Verdict("stays" if plan.refusal is None else "refused", held=held, kept=kept, **rest)


def _responses_only_reason(facts: ModelProfiles, model: str | None) -> str | None:
    # If the plan failed earlier: a malformed request to a model that Chat doesn't serve.
    return facts.responses_only_reason(model, tools=False, effort=None)


def _choice_count(body: Any) -> int:
    n = body.get("n") if isinstance(body, dict) else None
    return n if type(n) is int and n > 1 else 1


def _parameters(body: Any) -> dict[str, tuple[str, ...]]:
    known: list[str] = []
    extras: list[str] = []
    for name, value in body.items() if isinstance(body, dict) else ():
        rule = CHAT_PARAMETERS.get(name)
        if rule is None:
            if value is not None:
                extras.append(safe_names.key(name))
        elif not rule.is_neutral(value):
            known.append(name)
    return {"parameters": tuple(known), "extras": tuple(dict.fromkeys(extras))}
