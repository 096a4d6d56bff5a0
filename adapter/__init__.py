"""Run code written for OpenAI's Chat Completions API on the Responses API.

    - from openai import OpenAI
    + from adapter import OpenAI

With `ADAPTER_BACKEND=responses`, or `Settings(backend="responses")`, the same call sites use
`/responses` and get the same types, streams, tool calls and exceptions of the SDK as before.
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
    from adapter._sdk.client import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
    from adapter._sdk.decisions import decision
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

# The modules of names that need the SDK, pydantic-settings or the translation: imported on first
# use.
_LAZY = {
    "AsyncAzureOpenAI": "_sdk.client",
    "AsyncOpenAI": "_sdk.client",
    "AsyncTransport": "_http.transport",
    "AzureOpenAI": "_sdk.client",
    "Citation": "reading",
    "Counters": "telemetry",
    "Decision": "_exchange.record",
    "Finished": "reading",
    "Loss": "translation.ledger",
    "OpenAI": "_sdk.client",
    "ReasoningDelta": "reading",
    "Record": "telemetry",
    "RefusalDelta": "reading",
    "Settings": "_settings.settings",
    "Store": "_memory.store",
    "TextDelta": "reading",
    "ToolCall": "reading",
    "ToolCallDelta": "reading",
    "ToolCallDone": "reading",
    "ToolCallStarted": "reading",
    "Transport": "_http.transport",
    "Turn": "reading",
    "Usage": "reading",
    "aforget": "_routing.forget",
    "decision": "_runtime.decisions",
    "forget": "_routing.forget",
    "install": "_sdk.install",
    "read": "reading",
    "tool_result": "reading",
    "tools_for": "reading",
    "uninstall": "_sdk.install",
    "use": "_routing.overrides",
}


if not TYPE_CHECKING:  # for a type checker, every name would exist

    def __getattr__(name: str) -> Any:
        path = "translation" if name == "translate" else _LAZY.get(name)
        if path is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _imported(path)
        value = module if name == "translate" else getattr(module, name)
        globals()[name] = value
        return value


def _imported(path: str) -> Any:
    """Import a module by an import statement: compilers such as Nuitka find no other imports."""
    match path:
        case "_sdk.client":
            from ._sdk import client

            return client
        case "_runtime.decisions":
            from ._sdk import decisions

            return decisions
        case "_sdk.install":
            from ._sdk import install

            return install
        case "_http.transport":
            from ._http import transport

            return transport
        case "_exchange.record":
            from ._exchange import record

            return record
        case "_memory.store":
            from ._memory import store

            return store
        case "reading":
            from . import reading

            return reading
        case "_routing.forget":
            from ._routing import forget

            return forget
        case "_routing.overrides":
            from ._routing import overrides

            return overrides
        case "_settings.settings":
            from ._settings import settings

            return settings
        case "telemetry":
            from . import telemetry

            return telemetry
        case "translation":
            from . import translation

            return translation
        case "translation.ledger":
            from .translation import ledger

            return ledger
    raise AssertionError(path)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
