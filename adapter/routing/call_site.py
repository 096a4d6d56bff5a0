"""Who makes a call: the module and function outside of the SDK, of what carries its requests, and of this package."""

from __future__ import annotations

import sys
from types import FrameType

# Not the caller: the SDK, the adapter, HTTP libraries, event loops, and what tracing puts around the SDK's methods.
_BETWEEN = frozenset(
    {"adapter", "agentops", "anyio", "asyncio", "concurrent", "contextlib", "contextvars", "ddtrace", "functools", "httpcore",
     "httpcore2", "httpx", "httpx2", "langfuse", "langsmith", "logfire", "mlflow", "newrelic", "openai", "openinference",
     "opentelemetry", "sentry_sdk", "sniffio", "threading", "weave", "wrapt"}
)  # fmt: skip

# What runs tasks. Below it stands whoever runs the loop, a server or `main`, which has nothing to do with the call.
_LOOPS = ("asyncio.base_events", "asyncio.events", "asyncio.runners", "trio._core", "uvloop", "winloop")


def call_site() -> str | None:
    """Return the caller as `module:function`, the function with its class; None where there is no other code on the stack.

    Walks the stack, about 0.1 µs a frame: done only where a rule asks for it. A call that runs in a task of its own has the
    task's coroutine for its caller; one that is the task itself (`gather(client….create(…))`) has none.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_LOOPS):
            return None
        if module.partition(".")[0] not in _BETWEEN:
            return f"{module}:{frame.f_code.co_qualname}"
        frame = frame.f_back
    return None
