"""The router: which backend gets a call (docs/decisions.md#precedence).

`force` beats the header, then `use()`, the flag, the rules, the rollout, and `backend`.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from adapter._exchange.effects import Effect, FlagQuery, ReadFlag
from adapter._exchange.record import Backend, Route
from adapter._util.log_once import ONCE
from adapter.telemetry.observers import Observers
from adapter.translation.model_profiles import ModelProfiles
from adapter.translation.policy import Policy

from . import overrides as overriding
from .call import Call
from .overrides import Overrides
from .rollout import ServiceHash, in_rollout_gen
from .rules import Matcher, compile_host_globs

if TYPE_CHECKING:  # imported where they are needed, as Pydantic's models take long
    from adapter._settings.fields import CallSettings, Rule
    from adapter._settings.settings import Settings

HEADER = "x-adapter-backend"
"""The request header that chooses the backend of one call; it is never sent on."""

FLAG_VALUES = frozenset({"chat", "responses", "force-chat", "force-native"})
"""The valid values of the feature flag; with any other the rules decide."""

_FORCED_TO_CHAT = frozenset({"force-chat", "force-native"})

_BACKENDS = frozenset(get_args(Backend))

logger = logging.getLogger("adapter")


class Router:
    """Choose the route of calls under one state of the settings.

    `fixed_route` is the route of every call without a header or `use()`; None if it depends on the
    call. `is_off`: that route leads to Chat; `forced_to_chat`: a force sends every call there.
    `rules` are the settings of each rule, in order.
    """

    def __init__(self, settings: Settings) -> None:
        from adapter._memory.service import MemoryService  # the settings have imported it

        self.settings = settings
        self.observers = Observers(settings.observers)
        keys = tuple(key.get_secret_value() for key in settings.memory_key)
        self.memory = MemoryService(
            settings.memory,
            scope_name=settings.memory_scope,
            keys=keys,
            seconds=settings.memory_timeout,
            tenants=settings.memory_scope_headers,
        )
        self.needs_call_site = any(rule.match.call_site for rule in settings.rules)
        self._hashes = ServiceHash(settings.service)
        facts = ModelProfiles.from_mapping(settings.models)
        self._default_settings = RuleSettings(
            settings, None, _base_route(settings, facts, settings)
        )
        merged = [(_with_rule(settings, rule), rule) for rule in settings.rules]
        self.rules = tuple(
            RuleSettings(values, rule, _base_route(values, facts, settings))
            for values, rule in merged
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
        self.is_off = self.fixed_route is not None and self.fixed_route.backend == "chat"
        self.off_context: Any = None  # the call context of all calls that pass untouched
        # `native`: the call sites are written for Chat Completions.
        self._force: Backend | None = "chat" if settings.force == "native" else settings.force
        self.forced_to_chat = self._force == "chat"
        self._flags, self._allow_header = settings.flags, settings.allow_header

    def choose_gen(self, call: Call) -> Generator[Effect, Any, Route]:
        """Return the route of a call; read its body, or the flag, only if that decides."""
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
        flag = None
        if self._flags is not None:
            yield from call.body.read_gen()
            query = ReadFlag(self._flag_query(call))
            try:
                flag = yield query
            except Exception:  # noqa: BLE001  # a flag that fails decides nothing
                flag = None
        if flag in _FORCED_TO_CHAT:
            return self._default_settings.routes["chat", "force"]
        given = self._explicit(call, flag)
        if given is not None and given[0] == "chat":
            return self._default_settings.routes[given]
        if self._matching_needs_body:
            yield from call.body.read_gen()
        rule_settings, _ = self.settings_for(call)
        answer = given or (yield from self._rollout_gen(rule_settings, call))
        route = rule_settings.routes[answer]
        return (
            route
            if call.overrides.keeps_policies
            else route._replace(policy=_with_overrides(route.policy, call.overrides))
        )

    def adapts(self, host: str) -> bool:
        """Return whether `hosts` includes a host."""
        return self._matches_host is None or bool(self._matches_host(host))

    def settings_for(self, call: Call) -> tuple[RuleSettings, int | None]:
        """Return a call's settings, and the index of the rule that matches, if any.

        The body must have been read if a rule needs it.
        """
        for index, rule_settings in enumerate(self.rules):
            if rule_settings.matcher.matches(call):
                return rule_settings, index
        return self._default_settings, None

    def _explicit(self, call: Call, flag: Any) -> tuple[Backend, str] | None:
        """Return the backend that force, header, `use()` or flag set, with the reason."""
        if self._force is not None:
            return self._force, "force"
        if call.header is not None and self._allow_header:
            if call.header in _BACKENDS:
                return call.header, "header"  # type: ignore[return-value]  # checked above
            self._warn_ignored_header(call.header)
        if call.overrides.backend is not None:
            return call.overrides.backend, "use"
        return (flag, "flag") if flag in _BACKENDS else None

    def _warn_ignored_header(self, header: str) -> None:
        """Warn of an invalid header, once for each kind of value.

        The value may come from a stranger, and isn't shown.
        """
        misspelled = header.strip().lower() in _BACKENDS
        kind = "empty" if not header.strip() else "misspelled" if misspelled else "unknown"
        if ONCE.first(f"header {kind}"):
            logger.warning(
                "headers.%s: ignored, its value is %s; expected chat or responses. settings=%s",
                HEADER,
                kind,
                self.settings.hash,
            )

    def _rollout_gen(
        self, rule_settings: RuleSettings, call: Call
    ) -> Generator[Effect, Any, tuple[Backend, str]]:
        if rule_settings.percent is None:
            return rule_settings.fixed
        moved = yield from in_rollout_gen(
            rule_settings.percent, rule_settings.sticky_by, self._hashes, call
        )
        return _IN_ROLLOUT if moved else _NOT_IN_ROLLOUT

    def _flag_query(self, call: Call) -> FlagQuery:
        """Return what the flag provider gets: a hash of the caller, never the caller's name.

        See docs/decisions.md#flag-provider.
        """
        fields = call.fields
        callers = (call.overrides.conversation, fields.get("user"), fields.get("safety_identifier"))
        caller = next((name for name in callers if isinstance(name, str) and name), None)
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
    """The settings that apply once a rule has matched, and every route they can give.

    `percent` of the callers, by `sticky_by`, go to the Responses API. If it is None, all calls go
    to the backend of `fixed`, for its reason.
    """

    __slots__ = ("fixed", "matcher", "percent", "routes", "sticky_by")

    def __init__(self, settings: CallSettings, rule: Rule | None, route: Route) -> None:
        from adapter._settings.match import Match

        self.matcher = Matcher(rule.match if rule is not None else Match())
        self.sticky_by, self.percent = settings.sticky_by, settings.rollout
        self.fixed: tuple[Backend, str] = (settings.backend, "settings")
        if rule is not None and rule.rollout is None and "backend" in rule.model_fields_set:
            self.percent, self.fixed = None, (rule.backend, "rule")
        model = None if rule is None else rule.model
        self.routes: dict[tuple[Backend, str], Route] = {
            (backend, reason): route._replace(backend=backend, reason=reason, model=model)
            for backend in get_args(Backend)
            for reason in ("force", "header", "use", "flag", "rule", "rollout", "settings", "hosts")
        }

    @property
    def responses_route(self) -> Route:
        """A route to the Responses API, for what doesn't depend on the reason."""
        return self.routes["responses", "settings"]

    @property
    def backends(self) -> frozenset[Backend]:
        """The backends of calls without header, `use()` and flag."""
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
    return Route(call_settings.backend, "settings", call_settings, policy, settings.hash)


def _with_rule(settings: Settings, rule: Rule) -> CallSettings:
    """Return the settings with a rule's over them.

    Each of the rule's values replaces another, but policies are merged by parameter.
    """
    from adapter._settings.fields import CallSettings

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
