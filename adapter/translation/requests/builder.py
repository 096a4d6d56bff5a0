"""The request being built: the body, what was lost, what holds it on Chat, and where everything came from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from adapter.errors import Unsupported
from adapter.translation.ledger import Ledger, Loss
from adapter.translation.model_profiles import KNOWN, ModelFacts
from adapter.translation.policy import Policy

ItemKind = Literal["message", "function_call", "custom_call", "legacy_call", "output", "reasoning"]


class Origin(NamedTuple):
    """Where one input item came from.

    `message` is the index in `messages`, `call` the index in its `tool_calls`, `parts` the path inside the message of
    each content part of the item (`content[0]`, `refusal`, or `content` where the message held a
    string), `prefix` how many characters were put in front of its text. Reasoning was put in front
    of the message's calls; the caller doesn't know of it.
    """

    kind: ItemKind
    message: int
    call: int = 0
    parts: tuple[str, ...] = ()
    prefix: int = 0


NOTHING: Mapping[str, Any] = MappingProxyType({})


class IndexMap(NamedTuple):
    """Where the pieces of a Responses body came from: what error paths are translated with."""

    items: tuple[Origin, ...] = ()
    tools: tuple[
        str, ...
    ] = ()  # for each tool, its path in the Chat body: `tools[0]`, `functions[0]`, `web_search_options`
    names: Mapping[str, str] = NOTHING  # Responses path -> the caller's own name


class Asked(NamedTuple):
    """What the caller asked for, as far as the reply's shape depends on it.

    `stop` and `n` are what is done here in the API's place, `models` the facts that hold for this call. `background` and `stored`
    tell that the answer may come later, and that it can be asked for then.
    """

    model: str = ""
    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False
    json_format: bool = False
    legacy_functions: bool = False
    named_choice: bool = False
    metadata: bool = False
    background: bool = False
    stored: bool = False
    moderation: bool = False
    stop: tuple[str, ...] = ()
    n: int = 1
    models: ModelFacts = KNOWN
    call_ids: Mapping[str, str] = NOTHING  # shortened id -> the caller's own


class Translation(NamedTuple):
    """A translated request.

    `body` is the Responses body, or None where the call stays on Chat: then `held` says why. `losses` is the ledger,
    `index` leads error paths back, `asked` is what the reply's translation needs to know. `asks_reasoning`: the body asks for
    encrypted reasoning because the policy says so, not the caller. `droppable` leads from the paths in `held` to the names by which
    the policy can be told to leave them out, where that would do.
    """

    body: dict[str, Any] | None
    losses: tuple[Loss, ...]
    held: tuple[Loss, ...]
    index: IndexMap  # type: ignore[assignment]  # a tuple's own `index` is of no use here
    asked: Asked
    asks_reasoning: bool = False
    droppable: Mapping[str, str] = NOTHING


class Draft:
    """A Responses body under construction; converters write into it and never into the caller's body."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.body: dict[str, Any] = {}
        self.ledger = Ledger()
        self.held = Ledger()
        self.origins: list[Origin] = []
        self.tools: list[str] = []
        self.names: dict[str, str] = {}
        self.asked: dict[str, Any] = {}
        self.call_ids: dict[str, str] = {}
        self.droppable: dict[str, str] = {}

    def put(self, path: str, value: Any) -> None:
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
            self.cannot(f"{path}.{key}" if path else key, key, "a mark for the prompt caches of other vendors")
        else:
            self.ledger.note(f"{path}.{key}" if path else key, "dropped", why)

    def cannot(self, path: str, parameter: str, why: str, *, droppable: bool = True) -> None:
        """Let the policy decide about a value that can't be carried: note it, hold the call on Chat, or raise Unsupported.

        `droppable=False` is for what can't be left out without changing what the caller said (roles, unknown parts):
        there `drop` is as good as `error`.
        """
        match self.policy.of(parameter):
            case "chat":
                self.held.note(path, "held", why)
                if droppable:
                    self.droppable[self.held[-1].path] = parameter
            case "drop" if droppable:
                self.ledger.note(path, "dropped", why)
            case _:
                raise Unsupported(path, why)
