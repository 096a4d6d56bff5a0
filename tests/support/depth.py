"""How many examples property tests draw: a few by default, `ADAPTER_TEST_DEPTH` times as many where it is set."""

from __future__ import annotations

import os

# Read at once: conftest removes all variables of this prefix. Worker processes, which start after that, find it under another name.
DEPTH = int(os.environ.get("ADAPTER_TEST_DEPTH") or os.environ.get("TEST_DEPTH") or 1)
os.environ["TEST_DEPTH"] = str(DEPTH)


def examples(usual: int) -> int:
    """Give the number of examples for a test that usually draws `usual` of them."""
    return usual * DEPTH
