"""Call sites: the functions that make a call, as the log, `scan` and `doctor` name them.

A call site is `module:function`: the module as it is imported, the function with its class. Frames
between the application and the network are skipped: the SDK, the adapter, HTTP libraries, event
loops, retries, and the wrappers of tracing packages (docs/decisions.md#call-sites).
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from adapter._util import regular_files

SKIPPED_PACKAGES = frozenset(
    {
        # the SDK, the adapter, and their HTTP libraries
        "adapter", "aiohttp", "anyio", "httpcore", "httpcore2", "httpx", "httpx2", "httpx_aiohttp",
        "openai", "sniffio",
        # ways to call a function
        "asgiref", "asyncio", "concurrent", "contextlib", "contextvars", "eventlet", "functools",
        "gevent", "nest_asyncio", "threading", "wrapt",
        # retries
        "backoff", "retrying", "stamina", "tenacity",
        # tracing, and other wrappers of a client's methods
        "agentops", "braintrust", "ddtrace", "elasticapm", "instructor", "langfuse", "langsmith",
        "langwatch", "literalai", "lmnr", "logfire", "lunary", "mlflow", "newrelic",
        "openinference", "openlit", "opentelemetry", "opik", "portkey_ai", "posthog", "promptlayer",
        "sentry_sdk", "traceloop", "weave",
    }
)  # fmt: skip
"""The top-level packages whose frames are skipped."""

# Modules that run tasks. The frames below run the loop (a server, `main`), and don't make the call.
_EVENT_LOOPS = (
    "asyncio.base_events",
    "asyncio.events",
    "asyncio.runners",
    "trio._core",
    "uvloop",
    "winloop",
)

# Python 3.11 gives each comprehension a frame of its own, later ones only a generator expression.
_INNER_COMPREHENSION = re.compile(r"<(?:listcomp|setcomp|dictcomp|genexpr)>\.(?:<locals>\.)?")
_LAST_COMPREHENSION = re.compile(r"(?:^|\.<locals>\.)<(?:listcomp|setcomp|dictcomp|genexpr)>$")

_MAX_FRAMES = 200
"""The most frames that are examined: a recursion may be very deep."""


def call_site_name(module: str, function: str) -> str:
    """Return the name of a call site.

    `function` is a `__qualname__`, or `<module>` at a module's top level. A comprehension counts as
    its enclosing function.
    """
    if "comp>" in function or "genexpr>" in function:
        function = _LAST_COMPREHENSION.sub("", _INNER_COMPREHENSION.sub("", function)) or "<module>"
    return f"{module}:{function}"


def is_skipped(module: str) -> bool:
    """Return whether the functions of a module are never a call site."""
    return module.partition(".")[0] in SKIPPED_PACKAGES


def call_site() -> str | None:
    """Return the nearest caller, or None if there is none."""
    found = _callers(sys._getframe(1), limit=1)
    return found[0] if found else None


def call_sites() -> tuple[str, ...]:
    """Return all callers, the nearest first. Slow: use it only if a rule needs it.

    A module that runs as `__main__` has two names: that of its file, as in `scan`, and `__main__`.
    In a task the callers are the task's coroutines; a call that is itself the task
    (`gather(client….create(…))`) has none.
    """
    return tuple(_callers(sys._getframe(1), limit=_MAX_FRAMES))


_MODULE_KINDS: dict[str, str] = {}  # a cache, used for each frame of each call
_MAX_KINDS = 10_000


def _callers(frame: FrameType | None, *, limit: int) -> list[str]:
    found: list[str] = []
    for _ in range(_MAX_FRAMES):
        if frame is None or len(found) >= limit:
            break
        module = frame.f_globals.get("__name__")
        if not isinstance(module, str):
            module = ""
        kind = _MODULE_KINDS.get(module) or _module_kind(module)
        if kind == "caller":
            if module == "__main__":
                found.append(
                    call_site_name(_module_of_main(frame.f_globals), frame.f_code.co_qualname)
                )
            found.append(call_site_name(module, frame.f_code.co_qualname))
        elif kind == "loop":
            break
        frame = frame.f_back
    return found


def _module_kind(module: str) -> str:
    if module.startswith(_EVENT_LOOPS):
        kind = "loop"
    else:
        kind = "skipped" if not module or is_skipped(module) else "caller"
    if len(_MODULE_KINDS) >= _MAX_KINDS:
        _MODULE_KINDS.clear()
    _MODULE_KINDS[module] = kind
    return kind


def _module_of_main(module_globals: dict[str, Any]) -> str:
    """Return the name under which the module that runs as `__main__` would be imported."""
    spec, file = module_globals.get("__spec__"), module_globals.get("__file__")
    if spec is not None and isinstance(spec.name, str):  # `python -m`
        return spec.name
    try:
        return _module_name(file) if isinstance(file, str) and file else "__main__"
    except (OSError, ValueError):  # the working directory was deleted, or it isn't a path
        return "__main__"


def module_name(path: Path) -> str:
    """Return the dotted name under which a file is imported, as far as `__init__.py` files show.

    A notebook is `__main__`, since it can't be imported.
    """
    if path.suffix == ".ipynb":
        return "__main__"
    path = path.resolve()
    names = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while regular_files.is_file(folder / "__init__.py"):
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names) or path.stem


@lru_cache(maxsize=8)
def _module_name(file: str) -> str:
    return module_name(Path(file))
