"""The translation core: JSON in, JSON out; no HTTP library, no SDK, no clock, no I/O."""

from .ledger import Loss
from .parameters import CHAT_PARAMETERS, Parameter
from .policy import Policy
from .replies.error_params import param_to_chat
from .replies.errors import error_to_chat
from .replies.response_to_chat import Reply, response_to_completion
from .requests.chat_to_responses import chat_to_responses
from .streams.events_to_chunks import ChunksFromEvents
from .types import Origin, PathMap, ReplyContext, Translation

Asked, IndexMap, Rule = ReplyContext, PathMap, Parameter
"""Earlier names, until the release after this one."""

__all__ = [
    "CHAT_PARAMETERS",
    "ChunksFromEvents",
    "Loss",
    "Origin",
    "Parameter",
    "PathMap",
    "Policy",
    "Reply",
    "ReplyContext",
    "Translation",
    "chat_to_responses",
    "error_to_chat",
    "param_to_chat",
    "response_to_completion",
]
