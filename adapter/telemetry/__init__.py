"""What observers get: a `Record` for each call, and `Counters`, which counts them."""

from __future__ import annotations

from .counters import Counters, Histogram
from .observers import Observer
from .record import Record

__all__ = ["Counters", "Histogram", "Observer", "Record"]
