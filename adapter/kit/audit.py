"""The earlier import path of `adapter.tools.audit`; it works until the release after this one."""

from __future__ import annotations

from adapter.tools.audit import Summary, audit, audit_batch, audit_batches, report

__all__ = ["Summary", "audit", "audit_batch", "audit_batches", "report"]
