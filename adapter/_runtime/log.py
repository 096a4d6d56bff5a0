"""The log lines of a call: where it went, what was changed, and what kept it on Chat.

Names and paths, never contents (docs/decisions.md#warnings-and-log).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import get_args

from adapter._exchange.record import CallState, Decision
from adapter._settings.validation import Emulated
from adapter._util import safe_names
from adapter._util.log_once import HELD
from adapter.translation.policy import Policy

from .known_ids import keep_decision_only

logger = logging.getLogger("adapter")

# Below the base URL, which may hold a key.
_PATHS = {"responses": "POST /responses", "chat": "POST /chat/completions"}
_EMULATED = frozenset(get_args(Emulated))


def log_call(state: CallState) -> None:
    """Write the log lines of a call, once."""
    if state.logged:
        return
    state.logged = True
    if state.completion_id is not None:
        with suppress(Exception):  # the call is worth more than its record
            keep_decision_only(state, state.completion_id)
    route = state.route
    kept = route is not None and route.backend == "responses" and state.backend == "chat"
    if route is not None and (
        logger.isEnabledFor(logging.INFO) or (kept and logger.isEnabledFor(logging.WARNING))
    ):
        with suppress(Exception):  # the call is worth more than its log line
            _write_lines(state, route.policy, kept=kept)


def _write_lines(state: CallState, policy: Policy, *, kept: bool) -> None:
    decision = state.decision()
    assert decision is not None
    if kept:
        _warn_held(decision, state.droppable or {}, policy)
    if decision.losses or "responses" in (decision.backend, decision.asked):
        entries = ", ".join(f"{loss.path} {loss.action}" for loss in decision.losses)
        logger.info(
            "%s asked=%s backend=%s reason=%s ledger=[%s] call_site=%s settings=%s",
            "not sent" if decision.reason == "refused" else _PATHS[decision.backend],
            decision.asked, decision.backend, decision.reason, entries,
            _call_site_text(decision), decision.settings_hash,
        )  # fmt: skip


def _call_site_text(decision: Decision) -> str:
    return "-" if decision.call_site is None else safe_names.printable(decision.call_site)


def _warn_held(decision: Decision, droppable: Mapping[str, str], policy: Policy) -> None:
    """Warn of what kept a call on Chat, with the setting that lets it go.

    Once for each reason and path.
    """
    for loss in decision.losses:
        path = safe_names.without_indexes(loss.path)
        if loss.action == "held" and HELD.first((decision.reason, path)):
            logger.warning(
                "asked for responses, kept on chat: %s%s (%s: %s) call_site=%s settings=%s",
                path, _remedy(droppable.get(loss.path), policy), decision.reason, loss.why,
                _call_site_text(decision), decision.settings_hash,
            )  # fmt: skip


def _remedy(parameter: str | None, policy: Policy) -> str:
    """Return a text that names the setting which drops or emulates a value; empty without one."""
    if parameter is None:
        return ""
    # A parameter with a policy of its own can't be in `drop` as well.
    setting = (
        f'unsupported_parameters = {{{parameter} = "drop"}}'
        if parameter in policy.parameters
        else f'drop = ["{parameter}"]'
    )
    if parameter in _EMULATED - policy.emulate:
        return f'; set {setting} or emulate = ["{parameter}"]'
    return f"; set {setting}"
