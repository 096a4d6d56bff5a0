"""Which backend gets a call: force over header over `use()` over flag over rules over rollout over `backend` (DESIGN §4)."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import get_args

from adapter.effects import UNREAD, Flag, Need
from adapter.errors import TranslationError
from adapter.journal import Backend, Choice
from adapter.telemetry import Observers
from adapter.translation.models import ModelFacts
from adapter.translation.policy import Policy

from . import overrides as overriding
from .calls import Call
from .overrides import Overrides
from .rollout import key_of, moves, name_of
from .settings import Settings
from .values import PerCall, Rule

HEADER = "x-adapter-backend"
"""The request header that chooses the backend of one call; it is never sent on."""

FLAG_VALUES = frozenset({"chat", "responses", "force-chat"})
"""What a feature flag may say; anything else, and no answer, leaves the choice to what stands below."""


class Router:
    """Choose by one state of the settings, made ready to be asked on every call."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.observers = Observers(settings.observers)
        self.needs_call_site = any(rule.match.call_site for rule in settings.rules)
        self._key = key_of(settings.service)
        facts = ModelFacts.from_mapping(settings.models)
        self._base = _choice(settings, facts, settings)
        self._rules = tuple((rule, _choice(_over(settings, rule), facts, settings)) for rule in settings.rules)
        self._matching_needs_body = any(rule.match.needs_body for rule in settings.rules)
        plain = not (settings.force or settings.rules or settings.rollout is not None or settings.flags is not None)
        self._only = self._base if plain else None

    def choose(self, call: Call) -> Choice | Need | Flag:
        """Choose for a call; or say what is missing: its body, or a flag. Raises TranslationError for a header with another value."""
        if self._only is not None and call.overrides is overriding.NONE and call.header is None:
            return self._only
        settings = self.settings
        if settings.force == "chat":
            return self._made(None, "chat", "force", call)
        if settings.flags is not None and call.flag is UNREAD:
            return self._flag(call)
        if call.flag == "force-chat":
            return self._made(None, "chat", "force", call)
        given = _given(settings.force, call)
        if given is not None and given[0] == "chat":
            return self._made(None, *given, call)
        if self._matching_needs_body and call.body is UNREAD:
            return Need.BODY
        found = next(((rule, choice) for rule, choice in self._rules if rule.match.holds(call)), None)
        answer = given or self._by_rule_or_share(None if found is None else found[0], call)
        return answer if isinstance(answer, Need) else self._made(found, *answer, call)

    def _by_rule_or_share(self, rule: Rule | None, call: Call) -> tuple[Backend, str] | Need:
        settings: PerCall = self.settings
        percent, sticky_by, backend, reason = settings.rollout, settings.sticky_by, settings.backend, "settings"
        if rule is not None:
            said = rule.model_fields_set
            if "sticky_by" in said:
                sticky_by = rule.sticky_by
            if rule.rollout is not None:
                percent = rule.rollout
            elif "backend" in said:
                percent, backend, reason = None, rule.backend, "rule"
        if percent is None:
            return backend, reason
        moved = moves(percent, sticky_by, self._key, call)
        return moved if isinstance(moved, Need) else ("responses" if moved else "chat", "rollout")

    def _made(self, found: tuple[Rule, Choice] | None, backend: Backend, reason: str, call: Call) -> Choice:
        rule, choice = (None, self._base) if found is None else found
        over = call.overrides
        policy = choice.policy if over.plain else _with(choice.policy, over)
        model = None if rule is None else rule.model
        return replace(choice, backend=backend, reason=reason, policy=policy, model=model)

    def _flag(self, call: Call) -> Flag | Need:
        """Say what the provider of flags is told (DESIGN §4): a hash of who is calling, never who."""
        if call.body is UNREAD:
            return Need.BODY
        fields = call.fields
        callers = (call.overrides.conversation, fields.get("user"), fields.get("safety_identifier"))
        caller = next((one for one in callers if isinstance(one, str) and one), None)
        target = self.settings.service if caller is None else name_of(self._key, caller)
        attributes = {"model": call.model, "tag": call.overrides.tag, "stream": fields.get("stream") is True}
        return Flag(target, {name: value for name, value in attributes.items() if value is not None})


def _given(force: Backend | None, call: Call) -> tuple[Backend, str] | None:
    """Return what was said about just this call."""
    if force is not None:
        return force, "force"
    if call.header is not None:
        if call.header not in get_args(Backend):
            raise TranslationError(f"headers.{HEADER}", "expected chat or responses")
        return call.header, "header"  # type: ignore[return-value]  # checked above
    if call.overrides.backend is not None:
        return call.overrides.backend, "use"
    return (call.flag, "flag") if call.flag in FLAG_VALUES else None


def _choice(some: PerCall, facts: ModelFacts, settings: Settings) -> Choice:
    policy = Policy(some.unsupported, MappingProxyType(some.policies), frozenset(some.emulate), models=facts)
    return Choice(
        some.backend, "settings", policy, some.on_bug, settings.hash,
        fallback=frozenset(some.fallback), fallback_expiry=settings.fallback_expiry,
    )  # fmt: skip


def _over(settings: Settings, rule: Rule) -> PerCall:
    """Put a rule's settings over the others: each replaces the other, but for policies, which go parameter by parameter."""
    names = PerCall.model_fields.keys()
    said = {name: getattr(rule if name in rule.model_fields_set else settings, name) for name in names}
    policies = {**settings.policies, **rule.policies}
    return PerCall.model_construct(**{**said, "unsupported_parameters": policies, "drop": ()})


def _with(policy: Policy, over: Overrides) -> Policy:
    return replace(
        policy,
        unsupported=over.unsupported or policy.unsupported,
        parameters=MappingProxyType({**policy.parameters, **dict.fromkeys(over.drop, "drop")}),
        emulate=policy.emulate | set(over.emulate),
    )
