"""The resources of an adapted client: made by the SDK, then of a class that is faster.

`fast_messages` imports the SDK's resources, which the SDK imports with the first use of one; so
it is imported here when it is first needed.
"""

from __future__ import annotations

import sys
from typing import Any


def use_fast_resource(resource: Any) -> None:
    """Make a resource faster, if it is one of the SDK's that can be."""
    from .fast_messages import use_fast_resource

    use_fast_resource(resource)


def restore_resources(client: Any) -> None:
    """Give a client's resources the SDK's classes back."""
    fast_messages = sys.modules.get(f"{__package__}.fast_messages")
    if fast_messages is not None:
        fast_messages.restore_resources(client)
