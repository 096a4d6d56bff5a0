"""Which backend gets a call: force over header over `use()` over flag over rules over rollout over `backend`."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from adapter._exchange.effects import UNREAD, FlagQuery, Need
from adapter._exchange.record import Backend, Route
from adapter._memory.service import MemoryService
from adapter._settings.fields import CallSettings, Rule
from adapter._settings.match import Match
from adapter._settings.settings import Settings
from adapter._util.log_once import ONCE
from adapter.telemetry.observers import Observers
from adapter.translation.model_profiles import ModelProfiles
from adapter.translation.policy import Policy

from . import overrides as overriding
from .call import Call
from .overrides import Overrides
from .rollout import ServiceHash, in_rollout
from .rules import Matcher, compile_host_globs

HEADER = "x-adapter-backend"
"""The request header that chooses the backend of one call; it is never sent on."""

FLAG_VALUES = frozenset({"chat", "responses", "force-chat", "force-native"})
"""What a feature flag may say; anything else, and no answer, leaves the choice to what stands below."""

_FORCED_TO_CHAT = frozenset({"force-chat", "force-native"})

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
        self.memory = MemoryService(
            settings.memory, scope_name=settings.memory_scope, keys=keys, seconds=settings.memory_timeout,
            tenants=settings.memory_scope_headers,
        )  # fmt: skip
        self.needs_call_site = any(rule.match.call_site for rule in settings.rules)
        self._hashes = ServiceHash(settings.service)
        facts = ModelProfiles.from_mapping(settings.models)
        self._default_settings = RuleSettings(
            settings, None, _base_route(settings, facts, settings)
        )
        overs = [(_with_rule(settings, rule), rule) for rule in settings.rules]
        self.rules = tuple(
            RuleSettings(over, rule, _base_route(over, facts, settings)) for over, rule in overs
        )
        self._matching_needs_body = any(
            rule_settings.matcher.needs_body for rule_settings in self.rules
        )
        self._matches_host = (
            None if "*" in settings.hosts else compile_host_globs(settings.hosts) or _no_host
        )
        plain = not (
            settings.force
            or settings.rules
            or settings.rollout is not None
            or settings.flags is not None
        )
        plain = plain and (self._matches_host is None or settings.backend == "chat")
        self.fixed_route = (
            self._default_settings.routes[settings.backend, "settings"] if plain else None
        )
        self.always_chat = self.fixed_route is not None and self.fixed_route.backend == "chat"
        self.shared_context: Any = None  # what the doors have for all calls under these settings
        # A call of Chat Completions was written for Chat Completions.
        self._force: Backend | None = "chat" if settings.force == "native" else settings.force
        self.forced_to_chat = self._force == "chat"
        self._flags, self._allow_header = settings.flags, settings.allow_header

    def choose(self, call: Call) -> Route | Need | FlagQuery:
        """Choose for a call; or say what is missing: its body, or a flag."""
        if (
            self.fixed_route is not None
            and call.overrides is overriding.NO_OVERRIDES
            and call.header is None
        ):
            return self.fixed_route
        if not self.adapts(call.host):
            return self._default_settings.routes["chat", "hosts"]
        if self.forced_to_chat:
            return self._default_settings.routes["chat", "force"]
        if self._flags is not None and call.flag is UNREAD:
            return self._flag_query(call)
        if call.flag in _FORCED_TO_CHAT:
            return self._default_settings.routes["chat", "force"]
        given = self._explicit(call)
        if given is not None and given[0] == "chat":
            return self._default_settings.routes[given]
        if self._matching_needs_body and call.body is UNREAD:
            return Need.BODY
        rule_settings, _ = self.settings_for(call)
        answer = given or self._rollout(rule_settings, call)
        if answer is Need.BODY:
            return answer
        route = rule_settings.routes[answer]
        return (
            route
            if call.overrides.keeps_policies
            else replace(route, policy=_with_overrides(route.policy, call.overrides))
        )

    def adapts(self, host: str) -> bool:
        """Tell whether calls to a host are any of ours: `hosts` says so."""
        return self._matches_host is None or bool(self._matches_host(host))

    def settings_for(self, call: Call) -> tuple[RuleSettings, int | None]:
        """Return what a call stands on, and the index of the rule that holds for it; `call.body` must have been read where a rule needs it."""
        for index, one in enumerate(self.rules):
            if one.matcher.matches(call):
                return one, index
        return self._default_settings, None

    def _explicit(self, call: Call) -> tuple[Backend, str] | None:
        """Return what was said about just this call."""
        if self._force is not None:
            return self._force, "force"
        if call.header is not None and self._allow_header:
            if call.header in _BACKENDS:
                return call.header, "header"  # type: ignore[return-value]  # just seen
            self._warn_ignored_header(call.header)
        if call.overrides.backend is not None:
            return call.overrides.backend, "use"
        return (call.flag, "flag") if call.flag in _BACKENDS else None

    def _warn_ignored_header(self, header: str) -> None:
        """Say that a header's value means nothing, once for each kind of value: it may be a stranger's, and isn't shown."""
        like = header.strip().lower() in _BACKENDS
        kind = "empty" if not header.strip() else "spelled otherwise" if like else "unknown"
        if ONCE.first(f"header {kind}"):
            logger.warning(
                "headers.%s: ignored, its value is %s; expected chat or responses. settings=%s",
                HEADER, kind, self.settings.hash,
            )  # fmt: skip

    def _rollout(
        self, rule_settings: RuleSettings, call: Call
    ) -> tuple[Backend, str] | Literal[Need.BODY]:
        if rule_settings.percent is None:
            return rule_settings.fixed
        moved = in_rollout(rule_settings.percent, rule_settings.sticky_by, self._hashes, call)
        return moved if isinstance(moved, Need) else _IN_ROLLOUT if moved else _NOT_IN_ROLLOUT

    def _flag_query(self, call: Call) -> FlagQuery | Need:
        """Say what the provider of flags is told (docs/decisions.md#flag-provider): a hash of who is calling, never who."""
        if call.body is UNREAD:
            return Need.BODY
        fields = call.fields
        callers = (call.overrides.conversation, fields.get("user"), fields.get("safety_identifier"))
        caller = next((one for one in callers if isinstance(one, str) and one), None)
        target = self.settings.service if caller is None else self._hashes.digest(caller)
        attributes = {
            "model": call.model,
            "tag": call.overrides.tag,
            "stream": fields.get("stream") is True,
        }
        return FlagQuery(
            target, {name: value for name, value in attributes.items() if value is not None}
        )


def _no_host(_: str) -> bool:
    return False


_IN_ROLLOUT: tuple[Backend, str] = ("responses", "rollout")
_NOT_IN_ROLLOUT: tuple[Backend, str] = ("chat", "rollout")


class RuleSettings:
    """What a call stands on once its rule is known: the settings with the rule's over them, and every choice that can come of it.

    `percent` of the calls move, told apart by `sticky_by`; where it is None all go to the backend of `fixed`, for its reason.
    """

    __slots__ = ("fixed", "matcher", "percent", "routes", "sticky_by")

    def __init__(self, settings: CallSettings, rule: Rule | None, route: Route) -> None:
        self.matcher = Matcher(rule.match if rule is not None else Match())
        self.sticky_by, self.percent = settings.sticky_by, settings.rollout
        self.fixed: tuple[Backend, str] = (settings.backend, "settings")
        if rule is not None and rule.rollout is None and "backend" in rule.model_fields_set:
            self.percent, self.fixed = None, (rule.backend, "rule")
        model = None if rule is None else rule.model
        self.routes: dict[tuple[Backend, str], Route] = {
            (backend, reason): replace(route, backend=backend, reason=reason, model=model)
            for backend in get_args(Backend)
            for reason in ("force", "header", "use", "flag", "rule", "rollout", "settings", "hosts")
        }

    @property
    def responses_route(self) -> Route:
        """What a call is moved with, whoever chooses it."""
        return self.routes["responses", "settings"]

    @property
    def backends(self) -> frozenset[Backend]:
        """Where calls go of which nothing else is said."""
        if self.percent is None:
            return frozenset({self.fixed[0]})
        if self.percent <= 0:
            return frozenset({"chat"})
        return frozenset(get_args(Backend) if self.percent < 100 else {"responses"})


def _base_route(call_settings: CallSettings, facts: ModelProfiles, settings: Settings) -> Route:
    policy = Policy(
        call_settings.unsupported,
        MappingProxyType(call_settings.policies),
        frozenset(call_settings.emulate),
        facts,
        call_settings.carry_reasoning,
    )
    return Route(
        call_settings.backend, "settings", policy, call_settings.on_internal_error, settings.hash,
        fallback=frozenset(call_settings.fallback), fallback_expiry=settings.fallback_expiry,
    )  # fmt: skip


def _with_rule(settings: Settings, rule: Rule) -> CallSettings:
    """Put a rule's settings over the others: each replaces the other, but for policies, which go parameter by parameter."""
    names = CallSettings.model_fields.keys()
    values = {
        name: getattr(rule if name in rule.model_fields_set else settings, name) for name in names
    }
    policies = {**settings.policies, **rule.policies}
    return CallSettings.model_construct(
        **{**values, "unsupported_parameters": policies, "drop": ()}
    )


def _with_overrides(policy: Policy, overrides: Overrides) -> Policy:
    return replace(
        policy,
        unsupported=overrides.unsupported or policy.unsupported,
        parameters=MappingProxyType({**policy.parameters, **dict.fromkeys(overrides.drop, "drop")}),
        emulate=policy.emulate | set(overrides.emulate),
    )
