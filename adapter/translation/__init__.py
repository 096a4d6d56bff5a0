"""The translation core: JSON in, JSON out; no HTTP library, no SDK, no clock, no I/O."""

from adapter.translation.replies.error_params import param_to_chat
from adapter.translation.replies.errors import error_to_chat
from adapter.translation.replies.response_to_chat import Reply, response_to_completion
from adapter.translation.requests.chat_to_responses import chat_to_responses
from adapter.translation.streams.events_to_chunks import ChunksFromEvents

from .ledger import Loss
from .parameters import CHAT_PARAMETERS, Rule
from .policy import Policy
from .types import Asked, IndexMap, Origin, Translation

__all__ = [
    "CHAT_PARAMETERS",
    "Asked",
    "ChunksFromEvents",
    "IndexMap",
    "Loss",
    "Origin",
    "Policy",
    "Reply",
    "Rule",
    "Translation",
    "chat_to_responses",
    "error_to_chat",
    "param_to_chat",
    "response_to_completion",
]
