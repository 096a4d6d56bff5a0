"""The request under construction: body, ledger, holds and the origins of its parts."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from adapter.errors import Unsupported
from adapter.translation.ledger import Ledger
from adapter.translation.policy import Policy
from adapter.translation.types import Origin


class RequestBuilder:
    """A Responses body under construction; converters write to it, never to the caller's body."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.body: dict[str, Any] = {}
        self.ledger = Ledger()
        self.held = Ledger()
        self.origins: list[Origin] = []
        self.tools: list[str] = []
        self.names: dict[str, str] = {}
        self.reply_context: dict[str, Any] = {}
        self.call_ids: dict[str, str] = {}
        self.droppable: dict[str, str] = {}

    def set(self, path: str, value: Any) -> None:
        """Set `value` at a dotted path of the body."""
        target = self.body
        if "." in path:
            *parents, path = path.split(".")
            for key in parents:
                target = target.setdefault(key, {})
        target[path] = value

    def include(self, entry: str) -> None:
        """Add an entry to `include`; a caller's value that is no list stays as it is."""
        entries = self.body.get("include")
        if entries is None:
            entries = self.body["include"] = []
        if isinstance(entries, list) and entry not in entries:
            entries.append(entry)

    def leave_out(self, path: str, key: str, why: str) -> None:
        """Leave out a key that the Responses API doesn't have and Chat ignores."""
        if key == "cache_control":  # dialect: programs
            self.unsupported(
                f"{path}.{key}" if path else key,
                key,
                "a cache marker of other vendors",
            )
        else:
            self.ledger.add(f"{path}.{key}" if path else key, "dropped", why)

    def leave_out_unknown(
        self, path: str, given: Mapping[str, Any], known: Container[str], why: str
    ) -> None:
        """Leave out the keys of an object that aren't known."""
        for key, value in given.items():
            if value is not None and key not in known:
                self.leave_out(path, key, why)

    def unsupported(self, path: str, parameter: str, why: str, *, droppable: bool = True) -> None:
        """Apply the policy to a value that can't be carried.

        Adds an entry for the drop or the hold, or raises Unsupported. `droppable=False`: leaving
        the value out would change the conversation (roles, unknown parts), so `drop` is `error`.
        """
        match self.policy.action_for(parameter):
            case "chat":
                self.held.add(path, "held", why)
                if droppable:
                    self.droppable[self.held[-1].path] = parameter
            case "drop" if droppable:
                self.ledger.add(path, "dropped", why)
            case _:
                raise Unsupported(path, why)
