"""What would become of one request on the Responses API: asked of the code that decides it in production, and of nothing else.

The router says by which policy the request would move, and the plan what becomes of it; where it wouldn't move, `ways_out` says
under which settings it would.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from adapter._routing.call import Call
from adapter._routing.overrides import NO_OVERRIDES
from adapter._routing.router import Router
from adapter._settings.settings import Settings
from adapter._util import safe_names
from adapter.tools.explain.remedies import UNDROPPABLE, find_remedies, plan_with_queries
from adapter.tools.logs.rows import LoggedRequest
from adapter.translation.model_profiles import ModelProfiles
from adapter.translation.parameters import CHAT_PARAMETERS

from . import shapes
from .features import features_of

VerdictKind = Literal[
    "as it is", "with changes", "with settings", "with breaking settings", "stays", "refused"
]
"""`as it is`: it moves, and the ledger is empty. `with changes`: it moves, and the ledger says what is different. `with settings`: it
would move with other settings, and be answered; what they drop is a nuance or a cost. `with breaking settings`: it would move only
without something that the answer is read for (`rules.BREAKING_DROPS`). `stays`: on Chat Completions, whatever the settings. `refused`: an error there, and Chat can't serve
it either, or the policy says `error`."""

VERDICT_KINDS: Final = get_args(VerdictKind)

_MAX_SHAPES = 20_000
_MAX_CHARACTERS = 32 * 1024 * 1024  # of the names in them


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of every request of one shape: names, paths and numbers, never contents.

    `settings` are what it takes to move, `emulate n` or `drop seed`; `held` what holds it under the settings as they are, by
    parameter or path; `kept` what no setting removes, by path and reason; `losses` the ledger of what moves, by path and action.
    `rule` is the index of the rule that holds for it; `n` how many answers it asks for.
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
    """Judge requests by one state of the settings; what was judged once is remembered by its shape.

    `plain=True` remembers nothing, and judges every request by itself.
    """

    def __init__(self, settings: Settings, *, plain: bool = False) -> None:
        self._router = Router(settings)
        self._plain = plain
        self._verdicts: dict[Hashable, Verdict] = {}
        self._characters = 0

    def classify(self, logged: LoggedRequest) -> Verdict:
        """Return the verdict on a request."""
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
        call = Call(None, {}, NO_OVERRIDES, raw_path, logged.host, body=body)
        ground, rule = self._router.settings_for(call)
        choice = ground.responses_route
        plan, asked = plan_with_queries(body, raw_path, choice)
        facts = choice.policy.models
        sent = call.model
        family = facts.profile(sent) if sent is not None else None
        rest: dict[str, Any] = {
            "model": safe_names.model(sent),
            "responses_only_reason": plan.responses_only_reason
            or _responses_only_reason(facts, sent),
            "chat_only": family.chat_only if family is not None else False,
            "shutdown": facts.shutdown(sent) if sent is not None else None,
            "bug": plan.reason == "adapter-bug",
            "rule": rule,
            "n": _answer_count(body),
            **_parameters(body),
            "features": features_of(body, reasons=family.reasons if family is not None else False),
        }
        if plan.translation is not None:
            losses = tuple(
                dict.fromkeys(
                    (safe_names.without_indexes(loss.path), loss.action) for loss in plan.losses
                )
            )
            return Verdict("with changes" if losses else "as it is", losses=losses, **rest)
        ways = find_remedies(body, raw_path, choice, asked)
        held = tuple(name for name in asked if name not in UNDROPPABLE)
        if ways.plan.translation is not None:
            settings = (
                *(f"emulate {name}" for name in ways.emulate),
                *(f"drop {name}" for name in ways.drop),
            )
            fate: VerdictKind = "with breaking settings" if ways.is_breaking else "with settings"
            return Verdict(fate, settings=settings, held=held, **rest)
        kept = tuple(
            dict.fromkeys(
                (safe_names.without_indexes(loss.path), loss.why)
                for loss in ways.plan.losses
                if loss.action == "held"
            )
        )
        held += tuple(path for path in dict.fromkeys(path for path, _ in kept) if path not in held)
        return Verdict("stays" if plan.refusal is None else "refused", held=held, kept=kept, **rest)


def _responses_only_reason(facts: ModelProfiles, model: str | None) -> str | None:
    # Where the plan failed before it came to ask: a malformed request to a model that Chat doesn't serve.
    return facts.responses_only_reason(model, tools=False, effort=None)


def _answer_count(body: Any) -> int:
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
