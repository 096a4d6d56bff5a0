"""Which replies a client reads itself (DESIGN §5, the client door), and which it leaves to the SDK's own way over the wire door.

The request goes through the wire door either way, which decides, translates, retries and falls back; what is chosen here is how the
translated reply becomes an object. Whatever is out of the ordinary is left as it is: raw responses, strict validation, other types
asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from adapter.routing.overrides import NONE

from .own_results import BuiltCompletion
from .own_streams import SUPPORTED, AsyncChatStream, ChatStream
from .ticket import Ticket

_RAW = "x-stainless-raw-response"  # set by the SDK's raw and streaming-response wrappers

_STREAMS: Mapping[Any, Any] = {
    openai.Stream[ChatCompletionChunk]: ChatStream,
    openai.AsyncStream[ChatCompletionChunk]: AsyncChatStream,
}


class Ready:
    """Messages on their way through the SDK, which need nothing done to them (own_messages.py)."""

    __slots__ = ("messages",)

    def __init__(self, messages: list[Any]) -> None:
        self.messages = messages


def read_here(client: Any, ticket: Ticket, post: dict[str, Any]) -> None:
    """Let our own types read what this `post` brings, where it is an ordinary one; `post` are its arguments."""
    if not SUPPORTED or client._strict_response_validation:
        return
    surely = ticket.router.surely
    if (
        surely is not None and surely.backend == "chat" and ticket.overrides is NONE
    ) or ticket.settings.force == "chat":
        return
    headers = (post.get("options") or {}).get("headers")
    if headers and any(name.lower() == _RAW for name in headers):
        return
    if post.get("stream"):
        own = _STREAMS.get(post.get("stream_cls"))
        if own is not None:
            post["stream_cls"] = own
            ticket.reads_frames = True
    elif post.get("cast_to") is ChatCompletion:
        post["cast_to"] = BuiltCompletion
