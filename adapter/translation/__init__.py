"""The translation core: JSON in, JSON out; no HTTP library, no SDK, no clock, no I/O."""

from .draft import Asked, IndexMap, Origin, Translation
from .failures import error_to_chat
from .ledger import Loss
from .params import param_to_chat
from .policy import Policy
from .replies import Reply, response_to_completion
from .requests import chat_to_responses
from .rules import CHAT_PARAMETERS, Rule
from .streams import ChunksFromEvents

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
