"""Which backend gets a call: force over header over `use()` over flag over rules over rollout over `backend`."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from adapter._exchange.effects import UNREAD, Flag, Need
from adapter._exchange.record import Backend, Choice
from adapter._memory.service import Keeper
from adapter._settings.fields import PerCall, Rule
from adapter._settings.match import Match
from adapter._settings.settings import Settings
from adapter._util.log_once import ONCE
from adapter.telemetry.observers import Observers
from adapter.translation.model_profiles import ModelFacts
from adapter.translation.policy import Policy

from . import overrides as overriding
from .call import Call
from .overrides import Overrides
from .rollout import Hashes, moves
from .rules import Matcher, compiled_hosts

HEADER = "x-adapter-backend"
"""The request header that chooses the backend of one call; it is never sent on."""

FLAG_VALUES = frozenset({"chat", "responses", "force-chat", "force-native"})
"""What a feature flag may say; anything else, and no answer, leaves the choice to what stands below."""

_KILLED = frozenset({"force-chat", "force-native"})

_BACKENDS = frozenset(get_args(Backend))

logger = logging.getLogger("adapter")


class Router:
    """Choose by one state of the settings, made ready to be asked on every call.

    `surely` is the one choice that there is where neither a header nor `use()` says anything; None where it depends on the call. `quiet`:
    that is Chat; `killed`: a force sends everything there. `rules` is what the rules' calls stand on, in their order.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.observers = Observers(settings.observers)
        keys = tuple(key.get_secret_value() for key in settings.memory_key)
        self.memory = Keeper(
            settings.memory, scope=settings.memory_scope, keys=keys, seconds=settings.memory_timeout,
            tenants=settings.memory_scope_headers,
        )  # fmt: skip
        self.needs_call_site = any(rule.match.call_site for rule in settings.rules)
        self._hashes = Hashes(settings.service)
        facts = ModelFacts.from_mapping(settings.models)
        self._ground = Ground(settings, None, _choice(settings, facts, settings))
        overs = [(_over(settings, rule), rule) for rule in settings.rules]
        self.rules = tuple(Ground(over, rule, _choice(over, facts, settings)) for over, rule in overs)
        self._matching_needs_body = any(ground.matcher.needs_body for ground in self.rules)
        self._adapts = None if "*" in settings.hosts else compiled_hosts(settings.hosts) or _nothing
        plain = not (settings.force or settings.rules or settings.rollout is not None or settings.flags is not None)
        plain = plain and (self._adapts is None or settings.backend == "chat")
        self.surely = self._ground.choices[settings.backend, "settings"] if plain else None
        self.quiet = self.surely is not None and self.surely.backend == "chat"
        self.shared: Any = None  # what the doors have for all calls under these settings
        # A call of Chat Completions was written for Chat Completions.
        self._force: Backend | None = "chat" if settings.force == "native" else settings.force
        self.killed = self._force == "chat"
        self._flags, self._allow_header = settings.flags, settings.allow_header

    def choose(self, call: Call) -> Choice | Need | Flag:
        """Choose for a call; or say what is missing: its body, or a flag."""
        if self.surely is not None and call.overrides is overriding.NONE and call.header is None:
            return self.surely
        if not self.adapts(call.host):
            return self._ground.choices["chat", "hosts"]
        if self.killed:
            return self._ground.choices["chat", "force"]
        if self._flags is not None and call.flag is UNREAD:
            return self._flag(call)
        if call.flag in _KILLED:
            return self._ground.choices["chat", "force"]
        given = self._given(call)
        if given is not None and given[0] == "chat":
            return self._ground.choices[given]
        if self._matching_needs_body and call.body is UNREAD:
            return Need.BODY
        ground, _ = self.ground_of(call)
        answer = given or self._share(ground, call)
        if answer is Need.BODY:
            return answer
        choice = ground.choices[answer]
        return choice if call.overrides.plain else replace(choice, policy=_with(choice.policy, call.overrides))

    def adapts(self, host: str) -> bool:
        """Tell whether calls to a host are any of ours: `hosts` says so."""
        return self._adapts is None or bool(self._adapts(host))

    def ground_of(self, call: Call) -> tuple[Ground, int | None]:
        """Return what a call stands on, and the index of the rule that holds for it; `call.body` must have been read where a rule needs it."""
        for index, one in enumerate(self.rules):
            if one.matcher.holds(call):
                return one, index
        return self._ground, None

    def _given(self, call: Call) -> tuple[Backend, str] | None:
        """Return what was said about just this call."""
        if self._force is not None:
            return self._force, "force"
        if call.header is not None and self._allow_header:
            if call.header in _BACKENDS:
                return call.header, "header"  # type: ignore[return-value]  # just seen
            self._ignored(call.header)
        if call.overrides.backend is not None:
            return call.overrides.backend, "use"
        return (call.flag, "flag") if call.flag in _BACKENDS else None

    def _ignored(self, header: str) -> None:
        """Say that a header's value means nothing, once for each kind of value: it may be a stranger's, and isn't shown."""
        like = header.strip().lower() in _BACKENDS
        kind = "empty" if not header.strip() else "spelled otherwise" if like else "unknown"
        if ONCE.first(f"header {kind}"):
            logger.warning(
                "headers.%s: ignored, its value is %s; expected chat or responses. settings=%s",
                HEADER, kind, self.settings.hash,
            )  # fmt: skip

    def _share(self, ground: Ground, call: Call) -> tuple[Backend, str] | Literal[Need.BODY]:
        if ground.percent is None:
            return ground.fixed
        moved = moves(ground.percent, ground.sticky_by, self._hashes, call)
        return moved if isinstance(moved, Need) else _MOVED if moved else _LEFT

    def _flag(self, call: Call) -> Flag | Need:
        """Say what the provider of flags is told (DESIGN §4): a hash of who is calling, never who."""
        if call.body is UNREAD:
            return Need.BODY
        fields = call.fields
        callers = (call.overrides.conversation, fields.get("user"), fields.get("safety_identifier"))
        caller = next((one for one in callers if isinstance(one, str) and one), None)
        target = self.settings.service if caller is None else self._hashes.name(caller)
        attributes = {"model": call.model, "tag": call.overrides.tag, "stream": fields.get("stream") is True}
        return Flag(target, {name: value for name, value in attributes.items() if value is not None})


def _nothing(_: str) -> bool:
    return False


_MOVED: tuple[Backend, str] = ("responses", "rollout")
_LEFT: tuple[Backend, str] = ("chat", "rollout")


class Ground:
    """What a call stands on once its rule is known: the settings with the rule's over them, and every choice that can come of it.

    `percent` of the calls move, told apart by `sticky_by`; where it is None all go to the backend of `fixed`, for its reason.
    """

    __slots__ = ("choices", "fixed", "matcher", "percent", "sticky_by")

    def __init__(self, settings: PerCall, rule: Rule | None, choice: Choice) -> None:
        self.matcher = Matcher(rule.match if rule is not None else Match())
        self.sticky_by, self.percent = settings.sticky_by, settings.rollout
        self.fixed: tuple[Backend, str] = (settings.backend, "settings")
        if rule is not None and rule.rollout is None and "backend" in rule.model_fields_set:
            self.percent, self.fixed = None, (rule.backend, "rule")
        model = None if rule is None else rule.model
        self.choices: dict[tuple[Backend, str], Choice] = {
            (backend, reason): replace(choice, backend=backend, reason=reason, model=model)
            for backend in get_args(Backend)
            for reason in ("force", "header", "use", "flag", "rule", "rollout", "settings", "hosts")
        }

    @property
    def moved(self) -> Choice:
        """What a call is moved with, whoever chooses it."""
        return self.choices["responses", "settings"]

    @property
    def sides(self) -> frozenset[Backend]:
        """Where calls go of which nothing else is said."""
        if self.percent is None:
            return frozenset({self.fixed[0]})
        if self.percent <= 0:
            return frozenset({"chat"})
        return frozenset(get_args(Backend) if self.percent < 100 else {"responses"})


def _choice(some: PerCall, facts: ModelFacts, settings: Settings) -> Choice:
    policy = Policy(
        some.unsupported, MappingProxyType(some.policies), frozenset(some.emulate), facts, some.carry_reasoning
    )
    return Choice(
        some.backend, "settings", policy, some.on_internal_error, settings.hash,
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
