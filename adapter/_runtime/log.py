"""What the log says of a call: names and paths, never contents.

Where it went, what the adapter changed, and what kept it on Chat Completions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import get_args

from adapter._exchange.record import Decision, Journal
from adapter._settings.validation import Emulated
from adapter._util import safe_names
from adapter._util.log_once import HELD
from adapter.translation.policy import Policy

from .decisions import settle

logger = logging.getLogger("adapter")

# Below the base URL, which may hold a key.
_PATHS = {"responses": "POST /responses", "chat": "POST /chat/completions"}
_EMULATED = frozenset(get_args(Emulated))


def note(journal: Journal) -> None:
    """Write the call's lines, once, if anything about it is worth one."""
    if journal.written:
        return
    journal.written = True
    if journal.completion is not None:
        with suppress(Exception):  # a call is not lost for what is known of it
            settle(journal, journal.completion)
    choice = journal.choice
    kept = choice is not None and choice.backend == "responses" and journal.backend == "chat"
    if choice is not None and (logger.isEnabledFor(logging.INFO) or (kept and logger.isEnabledFor(logging.WARNING))):
        with suppress(Exception):  # a call is not lost for its log line
            _write(journal, choice.policy, kept=kept)


def _write(journal: Journal, policy: Policy, *, kept: bool) -> None:
    decision = journal.decision()
    assert decision is not None
    if kept:
        _warn(decision, journal.droppable or {}, policy)
    if decision.losses or "responses" in (decision.backend, decision.asked):
        entries = ", ".join(f"{loss.path} {loss.action}" for loss in decision.losses)
        logger.info(
            "%s asked=%s backend=%s reason=%s ledger=[%s] call_site=%s settings=%s",
            "not sent" if decision.reason == "refused" else _PATHS[decision.backend],
            decision.asked, decision.backend, decision.reason, entries, _site(decision), decision.settings_hash,
        )  # fmt: skip


def _site(decision: Decision) -> str:
    return "-" if decision.call_site is None else safe_names.printable(decision.call_site)


def _warn(decision: Decision, droppable: Mapping[str, str], policy: Policy) -> None:
    """Say what kept the call on Chat, and which setting would let it go; once for a reason and path."""
    for loss in decision.losses:
        path = safe_names.blank(loss.path)
        if loss.action == "held" and HELD.first((decision.reason, path)):
            logger.warning(
                "asked for responses, kept on chat: %s%s (%s: %s) call_site=%s settings=%s",
                path, _remedy(droppable.get(loss.path), policy), decision.reason, loss.why,
                _site(decision), decision.settings_hash,
            )  # fmt: skip


def _remedy(parameter: str | None, policy: Policy) -> str:
    """Name the setting that lets a value be carried, or left out; nothing where there is none."""
    if parameter is None:
        return ""
    # Where the parameter has a policy of its own, the short form would contradict it.
    said = (
        f'unsupported_parameters = {{{parameter} = "drop"}}'
        if parameter in policy.parameters
        else f'drop = ["{parameter}"]'
    )
    if parameter in _EMULATED - policy.emulate:
        return f'; set {said} or emulate = ["{parameter}"]'
    return f"; set {said}"
