"""The number of examples of property tests.

A few by default, `ADAPTER_TEST_DEPTH` times as many where it is set.
"""

from __future__ import annotations

import os

# Read at import, before conftest removes all variables with this prefix. Worker processes start
# after that and find it under another name.
DEPTH = int(os.environ.get("ADAPTER_TEST_DEPTH") or os.environ.get("TEST_DEPTH") or 1)
os.environ["TEST_DEPTH"] = str(DEPTH)


def examples(usual: int) -> int:
    """Return the number of examples for a test whose default is `usual`."""
    return usual * DEPTH
