"""Who makes a call: the modules and functions outside of the SDK, of what carries its requests, and of this package."""

from __future__ import annotations

import sys
from types import FrameType

# Not the caller: the SDK, the adapter, HTTP libraries, event loops, and what tracing puts around the SDK's methods.
_BETWEEN = frozenset(
    {"adapter", "agentops", "anyio", "asyncio", "braintrust", "concurrent", "contextlib", "contextvars", "ddtrace",
     "functools", "httpcore", "httpcore2", "httpx", "httpx2", "langfuse", "langsmith", "logfire", "mlflow", "newrelic",
     "openai", "openinference", "openlit", "opentelemetry", "opik", "posthog", "sentry_sdk", "sniffio", "threading",
     "traceloop", "weave", "wrapt"}
)  # fmt: skip

# What runs tasks. Below it stands whoever runs the loop, a server or `main`, which has nothing to do with the call.
_LOOPS = ("asyncio.base_events", "asyncio.events", "asyncio.runners", "trio._core", "uvloop", "winloop")


_DEEPEST = 200
"""How many frames are looked at: a recursion may be as deep as Python lets it."""


def call_sites() -> tuple[str, ...]:
    """Return the callers as `module:function`, the function with its class, the nearest first.

    Walks the stack, about 0.3 µs a frame: done only where a rule asks for it. A call that runs in a task of its own has the
    task's coroutines for its callers; one that is the task itself (`gather(client….create(…))`) has none.
    """
    found = []
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEEPEST):
        if frame is None:
            break
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_LOOPS):
            break
        if module.partition(".")[0] not in _BETWEEN:
            found.append(f"{module}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    return tuple(found)
