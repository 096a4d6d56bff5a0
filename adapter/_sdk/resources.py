"""The resources of an adapted client: made as the SDK makes them, and then of a class of ours, where that makes them faster."""

from __future__ import annotations

import sys
from typing import Any

from adapter._runtime.internal_errors import raises_bugs


class FastResource:
    """A resource that the SDK makes when it is asked for; it is adopted then, and stays where the SDK keeps it."""

    def __set_name__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, holder: Any, owner: Any = None) -> Any:
        if holder is None:
            return getattr(self._owner.__base__, self._name)
        made = inherited(self._owner, holder, self._name)
        try:
            use_fast_resource(made)
        except Exception:  # the SDK's own does the same
            if raises_bugs(holder.__dict__.get("_client", holder)):
                raise
        return made


def inherited(owner: Any, holder: Any, name: str) -> Any:
    """Return what an object has under a name, but for what our class has there."""
    try:
        found = super(owner, holder)
    except TypeError:  # uninstalled meanwhile
        return getattr(holder, name)
    return getattr(found, name)


def use_fast_resource(resource: Any) -> None:
    """Let a resource be faster, if it is one of the SDK's that can be."""
    from .fast_messages import (
        use_fast_resource,  # imports the SDK's resources, which are imported with the first of them
    )

    use_fast_resource(resource)


def restore_resources(client: Any) -> None:
    """Give the resources of a client's that were adopted their classes back."""
    own = sys.modules.get(f"{__package__}.fast_messages")
    if own is not None:
        own.restore_resources(client)
