"""Find out which logged requests would move to the Responses API.

`audit_batch` audits one record batch, `audit` logs on disk, and `audit_batches` maps record batches
in any engine that can. With Spark:

    rows = (
        spark.read.text("logs/*.jsonl.gz")
        .mapInArrow(audit_batches(settings), "summary string")
        .collect()
    )
    figures = report(Summary.merged(Summary.from_json(row.summary) for row in rows), settings)
"""

from __future__ import annotations

from .batches import audit_batch, audit_batches
from .report import report
from .run import audit
from .summary import Summary

__all__ = ["Summary", "audit", "audit_batch", "audit_batches", "report"]
