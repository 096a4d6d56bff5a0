"""What would move to the Responses API, by logged requests: `audit_batch` for one record batch, `audit` for logs on disk.

from adapter.tools.audit import Summary, audit_batches, report

rows = spark.read.text("logs/*.jsonl.gz").mapInArrow(audit_batches(settings), "summary string").collect()
figures = report(Summary.merged(Summary.from_json(row.summary) for row in rows), settings)
"""

from __future__ import annotations

from .batches import audit_batch, audit_batches
from .report import report
from .run import audit
from .summary import Summary

__all__ = ["Summary", "audit", "audit_batch", "audit_batches", "report"]
