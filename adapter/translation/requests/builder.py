"""The request being built: the body, what was lost, what holds it on Chat, and where everything came from."""

from __future__ import annotations

from typing import Any

from adapter.errors import Unsupported
from adapter.translation.ledger import Ledger
from adapter.translation.policy import Policy
from adapter.translation.types import Origin


class RequestBuilder:
    """A Responses body under construction; converters write into it and never into the caller's body."""

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
        """Write `value` at a dotted path of the body."""
        target = self.body
        if "." in path:
            *parents, path = path.split(".")
            for key in parents:
                target = target.setdefault(key, {})
        target[path] = value

    def include(self, entry: str) -> None:
        """Ask for one more kind of output with `include`; what is no list is the caller's and stays."""
        entries = self.body.get("include")
        if entries is None:
            entries = self.body["include"] = []
        if isinstance(entries, list) and entry not in entries:
            entries.append(entry)

    def leave_out(self, path: str, key: str, why: str) -> None:
        """Go on without a key that the Responses API doesn't have; Chat passes over such keys."""
        if key == "cache_control":
            self.unsupported(
                f"{path}.{key}" if path else key,
                key,
                "a mark for the prompt caches of other vendors",
            )
        else:
            self.ledger.add(f"{path}.{key}" if path else key, "dropped", why)

    def unsupported(self, path: str, parameter: str, why: str, *, droppable: bool = True) -> None:
        """Let the policy decide about a value that can't be carried: note it, hold the call on Chat, or raise Unsupported.

        `droppable=False` is for what can't be left out without changing what the caller said (roles, unknown parts):
        there `drop` is as good as `error`.
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
