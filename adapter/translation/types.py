"""The result of translating a request, and what the translation of its reply needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from .ledger import Loss
from .model_profiles import BUILT_IN_PROFILES, ModelProfiles


class Origin(NamedTuple):
    """The origin of one input item in the Chat body.

    `kind`: `message`; `function_call` or `custom_call` for a tool call, by its type; `legacy_call`
    for the deprecated `function_call`; `output` for a call's result; `reasoning` for items that the
    adapter inserted before the message's calls, which the caller didn't send. `message`: index in
    `messages`. `call`: index in its `tool_calls`. `parts`: for each content part of the item, its
    path inside the message (`content[0]`, `refusal`, or `content` for a string). `prefix`: number
    of characters inserted before the text.
    """

    kind: str
    message: int
    call: int = 0
    parts: tuple[str, ...] = ()
    prefix: int = 0


EMPTY_MAPPING: Mapping[str, Any] = MappingProxyType({})


class PathMap(NamedTuple):
    """Maps paths of the Responses body back to the Chat body (docs/mapping.md#error-paths).

    `items`: the origin of each input item. `tools`: for each tool, its path in the Chat body
    (`tools[0]`, `functions[0]`, `web_search_options`). `names`: the caller's name for a path.
    """

    items: tuple[Origin, ...] = ()
    tools: tuple[str, ...] = ()
    names: Mapping[str, str] = EMPTY_MAPPING


class ReplyContext(NamedTuple):
    """What the translation of a reply must know of its request.

    `stop`, `n`: emulated by the adapter. `models`: the profiles for this call. `background`: the
    reply may be unfinished; `stored`: it can be polled. `call_ids`: ids that were sent, with the
    caller's ids for them.
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
    call_ids: Mapping[str, str] = EMPTY_MAPPING


class Translation(NamedTuple):
    """A translated request.

    `body`: the Responses body; None if the call is kept on Chat, with the reasons in `held`.
    `losses`: the ledger. `paths`: maps error paths back. `reply_context`: for translating the
    reply. `asks_reasoning`: the body asks for encrypted reasoning because of the policy, not the
    caller. `droppable`: for paths in `held`, the name with which a policy of `drop` would do.
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
        """The reply context, by the name of the argument of `response_to_completion`."""
        return self.reply_context

    @property
    def index(self) -> PathMap:  # type: ignore[override]  # replaces tuple.index
        """The path map, by the name of the argument of `response_to_completion`."""
        return self.paths
