"""Run code written for OpenAI's Chat Completions API on the Responses API.

    - from openai import OpenAI
    + from adapter import OpenAI

With `ADAPTER_BACKEND=responses`, or `Settings(backend="responses")`, the same call sites speak to `/responses` and see
what they always saw: the SDK's own types, streams, tool calls and exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    AdapterError,
    ConfigurationError,
    MalformedReply,
    MalformedRequest,
    MissingExtra,
    StreamTruncated,
    TranslationError,
    Unsupported,
    UpstreamFailure,
)

if TYPE_CHECKING:
    from adapter._exchange.record import Decision
    from adapter._http.transport import AsyncTransport, Transport
    from adapter._memory.store import Store
    from adapter._routing.forget import aforget, forget
    from adapter._routing.overrides import use
    from adapter._runtime.decisions import decision
    from adapter._sdk.client import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
    from adapter._sdk.install import install, uninstall
    from adapter._settings.settings import Settings
    from adapter.telemetry.counters import Counters
    from adapter.telemetry.record import Record
    from adapter.translation.ledger import Loss

    from . import translation as translate
    from .reading import (
        Citation,
        Finished,
        ReasoningDelta,
        RefusalDelta,
        TextDelta,
        ToolCall,
        ToolCallDelta,
        ToolCallDone,
        ToolCallStarted,
        Turn,
        Usage,
        read,
        tool_result,
        tools_for,
    )

__version__ = "0.1.0"

__all__ = [
    "AdapterError",
    "AsyncAzureOpenAI",
    "AsyncOpenAI",
    "AsyncTransport",
    "AzureOpenAI",
    "Citation",
    "ConfigurationError",
    "Counters",
    "Decision",
    "Finished",
    "Loss",
    "MalformedReply",
    "MalformedRequest",
    "MissingExtra",
    "OpenAI",
    "ReasoningDelta",
    "Record",
    "RefusalDelta",
    "Settings",
    "Store",
    "StreamTruncated",
    "TextDelta",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallDone",
    "ToolCallStarted",
    "TranslationError",
    "Transport",
    "Turn",
    "Unsupported",
    "UpstreamFailure",
    "Usage",
    "aforget",
    "decision",
    "forget",
    "install",
    "read",
    "tool_result",
    "tools_for",
    "translate",
    "uninstall",
    "use",
]

# Where the names live that bring the SDK, pydantic-settings or the translation with them: imported on first use.
_LAZY = {
    "AsyncAzureOpenAI": "doors.client",
    "AsyncOpenAI": "doors.client",
    "AsyncTransport": "doors.wire",
    "AzureOpenAI": "doors.client",
    "Citation": "reading",
    "Counters": "telemetry",
    "Decision": "journal",
    "Finished": "reading",
    "Loss": "translation.ledger",
    "OpenAI": "doors.client",
    "ReasoningDelta": "reading",
    "Record": "telemetry",
    "RefusalDelta": "reading",
    "Settings": "routing.settings",
    "Store": "memory.base",
    "TextDelta": "reading",
    "ToolCall": "reading",
    "ToolCallDelta": "reading",
    "ToolCallDone": "reading",
    "ToolCallStarted": "reading",
    "Transport": "doors.wire",
    "Turn": "reading",
    "Usage": "reading",
    "aforget": "routing.forgetting",
    "decision": "doors.decisions",
    "forget": "routing.forgetting",
    "install": "doors.installing",
    "read": "reading",
    "tool_result": "reading",
    "tools_for": "reading",
    "uninstall": "doors.installing",
    "use": "routing.overrides",
}


if not TYPE_CHECKING:  # a checker would take every name for one that there is

    def __getattr__(name: str) -> Any:
        home = "translation" if name == "translate" else _LAZY.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _imported(home)
        value = module if name == "translate" else getattr(module, name)
        globals()[name] = value
        return value


def _imported(home: str) -> Any:
    """Import a module by a statement of its own: what makes one executable of a program (Nuitka) sees no other import."""
    match home:
        case "doors.client":
            from ._sdk import client

            return client
        case "doors.decisions":
            from ._runtime import decisions

            return decisions
        case "doors.installing":
            from ._sdk import install

            return install
        case "doors.wire":
            from ._http import transport

            return transport
        case "journal":
            from ._exchange import record

            return record
        case "memory.base":
            from ._memory import store

            return store
        case "reading":
            from . import reading

            return reading
        case "routing.forgetting":
            from ._routing import forget

            return forget
        case "routing.overrides":
            from ._routing import overrides

            return overrides
        case "routing.settings":
            from ._settings import settings

            return settings
        case "telemetry":
            from .telemetry import counters

            return counters
        case "translation":
            from . import translation

            return translation
        case "translation.ledger":
            from .translation import ledger

            return ledger
    raise AssertionError(home)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
