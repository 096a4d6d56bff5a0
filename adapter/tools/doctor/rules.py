"""Check the rules: those that never match, and those that send a model where it isn't served."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase

from adapter._routing.call_site import is_skipped
from adapter._routing.router import Router
from adapter._settings.fields import Rule
from adapter._settings.match import Match
from adapter._util import safe_names
from adapter.translation.model_profiles import ModelProfiles

from .findings import Environment, Finding

_GLOBS = ("model", "tag", "call_site", "host")
_WILDCARD = re.compile(r"[*?[]")
_UP_TO_A_WILDCARD = re.compile(r"(?:[^*?[.:]+[.:])*")
_FLAGS = ("azure", "stream", "tools")
_ANYTHING = "\ue000\ue001\ue002\ue003\ue004\ue005\ue006\ue007"  # stands for what a `*` may match
_SOON = dt.timedelta(days=90)


def rules(environment: Environment) -> Iterator[Finding]:
    """Check each rule."""
    settings = environment.settings
    assert settings is not None
    facts = ModelProfiles.from_mapping(settings.models)
    router = Router(settings)
    all_good = True
    for number, rule in enumerate(settings.rules):
        name = f"rules[{number}]"
        where = (
            settings._settings_file.where(("rules", number))
            if settings._settings_file is not None
            else ""
        )
        earlier = next(
            (one for one in range(number) if covers(settings.rules[one].match, rule.match)), None
        )
        found = [] if earlier is None else [_never_matches(name, earlier)]
        sides = router.rules[number].backends
        if settings.force is not None:
            sides = frozenset({"responses" if settings.force == "responses" else "chat"})
        found += _call_sites(name, rule.match.call_site)
        found += _models(name, rule, sides, facts) if earlier is None else []
        for one in found:
            all_good = False
            yield Finding(
                one.name, one.state, one.message, one.advice, {"where": where} if where else {}
            )
    if all_good:
        yield Finding(
            "rules",
            "ok",
            f"{len(settings.rules)} rule{'s' * (len(settings.rules) != 1)}; each can match."
            if settings.rules
            else "No rules.",
        )


def _never_matches(name: str, earlier: int) -> Finding:
    return Finding(
        name,
        "warning",
        f"It can never match: rules[{earlier}] comes first and matches all of its calls.",
        f"Move it before rules[{earlier}], or delete it.",
    )


def _call_sites(name: str, globs: Iterable[str]) -> Iterator[Finding]:
    """Find globs that match no call site, which is always `module:function`."""
    for glob in globs:
        written = safe_names.printable(glob)
        module = _UP_TO_A_WILDCARD.match(glob)[0]  # type: ignore[index]  # matches always
        if ":" not in glob and not _WILDCARD.search(glob):
            yield Finding(
                name,
                "warning",
                f"It can never match: call_site {written} names no function.",
                f"Write {written}:* for all functions of the module.",
            )
        elif module.endswith((".", ":")) and is_skipped(module.rstrip(":")):
            yield Finding(
                name,
                "warning",
                f"It can never match: the functions of {written} are never callers.",
                "Name the application's own function: frames between it and the SDK are skipped.",
            )


def covers(earlier: Match, later: Match) -> bool:
    """Return whether an earlier match covers all calls of a later one; False if unknown."""
    for name in _GLOBS:
        wide, narrow = getattr(earlier, name), getattr(later, name)
        if wide and not (
            narrow and all(any(_glob_covers(one, glob) for one in wide) for glob in narrow)
        ):
            return False
    if earlier.format and not (later.format and set(later.format) <= set(earlier.format)):
        return False
    return all(getattr(earlier, name) in (None, getattr(later, name)) for name in _FLAGS)


def _glob_covers(wide: str, narrow: str) -> bool:
    return wide == narrow or fnmatchcase(narrow.replace("*", _ANYTHING), wide)


def _models(
    name: str, rule: Rule, sides: Collection[str], model_profiles: ModelProfiles
) -> list[Finding]:
    """List what is known against the backends that a rule's models are sent to."""
    findings: list[Finding] = []
    for glob in rule.match.model:
        model = glob.rstrip("*")
        if not model or set("*?[") & set(model):
            continue  # many models, with nothing known in common
        family = model_profiles.profile(model)
        if family.responses_only and "chat" in sides:
            findings.append(
                Finding(
                    name,
                    "warning",
                    f"{glob} is served on the Responses API only, "
                    "and the rule sends calls to chat.",
                    'Set `backend = "responses"` in the rule, without a rollout.',
                )
            )
        elif (
            family.tools_on_chat in ("effort none only", "never")
            and "chat" in sides
            and rule.match.tools is not False
        ):
            findings.append(
                Finding(
                    name,
                    "warning",
                    f"{glob} takes tools with reasoning on the Responses API only: "
                    "such calls fail on chat.",
                    "Add a rule before it with `match = {…, tools = true}` "
                    'and `backend = "responses"`.',
                )
            )
        elif (
            family.tools_on_chat != "free"
            and "responses" in sides
            and rule.match.tools is not False
        ):
            findings.append(
                Finding(
                    name,
                    "note",
                    f"{glob} is Responses-only with tools and reasoning: "
                    "such calls can't be kept on Chat or fall back to it.",
                    "There a value that can't be carried is an error: "
                    "check `decision(result).losses` before the move.",
                )
            )
        served = rule.model or model
        if model_profiles.profile(served).chat_only and "responses" in sides:
            findings.append(
                Finding(
                    name,
                    "note",
                    f"{served} is served on Chat Completions only: "
                    "its calls stay there, whatever the rule says.",
                    'Set `backend = "chat"`, or another `model`.',
                )
            )
        ends = model_profiles.shutdown(model)
        if ends and dt.date.fromisoformat(ends) < _today() + _SOON:
            findings.append(
                Finding(name, "note", f"{glob} isn't served after {ends}.", "Choose its successor.")
            )
    return findings


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
