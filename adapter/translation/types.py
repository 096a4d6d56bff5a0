"""What a translation gives: the body, its losses, and what replies and errors are translated with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from .ledger import Loss
from .model_profiles import BUILT_IN_PROFILES, ModelProfiles

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


EMPTY_MAPPING: Mapping[str, Any] = MappingProxyType({})


class PathMap(NamedTuple):
    """Where the pieces of a Responses body came from: what error paths are translated with."""

    items: tuple[Origin, ...] = ()
    tools: tuple[
        str, ...
    ] = ()  # for each tool, its path in the Chat body: `tools[0]`, `functions[0]`, `web_search_options`
    names: Mapping[str, str] = EMPTY_MAPPING  # Responses path -> the caller's own name


class ReplyContext(NamedTuple):
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
    models: ModelProfiles = BUILT_IN_PROFILES
    call_ids: Mapping[str, str] = EMPTY_MAPPING  # shortened id -> the caller's own


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
    paths: PathMap
    reply_context: ReplyContext
    asks_reasoning: bool = False
    droppable: Mapping[str, str] = EMPTY_MAPPING

    @property
    def asked(self) -> ReplyContext:
        """The reply context, as it is documented: an argument of `response_to_completion`."""
        return self.reply_context

    @property
    def index(self) -> PathMap:  # type: ignore[override]  # in place of a tuple's method
        """The path map, as it is documented: an argument of `response_to_completion`."""
        return self.paths
