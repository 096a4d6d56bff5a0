"""Types that users implement for the settings: `Store` for `memory`, `Observer` for `observers`."""

from __future__ import annotations

from adapter._memory.store import Store
from adapter.telemetry.observers import Observer

__all__ = ["Observer", "Store"]
