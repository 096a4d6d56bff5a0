"""The log line of a call that the adapter changed, held or refused: names and paths, never contents."""

from __future__ import annotations

import logging

from adapter.journal import Journal

logger = logging.getLogger("adapter")


def note(journal: Journal) -> None:
    """Write the call's line, once, if anything about it is worth one."""
    if journal.written:
        return
    journal.written = True
    if not logger.isEnabledFor(logging.INFO):
        return
    try:
        decision = journal.decision()
    except Exception:  # noqa: BLE001  # promise 9: a call is not lost for its log line
        decision = None
    if decision is None:
        return
    if decision.losses or decision.backend != decision.asked or decision.reason == "refused":
        entries = ", ".join(f"{loss.path} {loss.action}" for loss in decision.losses)
        logger.info(
            "asked=%s backend=%s reason=%s ledger=[%s] settings=%s",
            decision.asked, decision.backend, decision.reason, entries, decision.settings_hash,
        )  # fmt: skip
