"""Call sites: the functions that make a call, as production, `scan` and `doctor` name them.

A call site is `module:function`: the module as it is imported, the function with its class. Not a
caller is what stands between the application and the network: the SDK, the adapter, HTTP libraries,
event loops, retries, and the wrappers that tracing packages put around the SDK's methods.
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
        # the SDK, the adapter, and what carries their requests
        "adapter", "aiohttp", "anyio", "httpcore", "httpcore2", "httpx", "httpx2", "httpx_aiohttp", "openai", "sniffio",
        # ways to call a function
        "asgiref", "asyncio", "concurrent", "contextlib", "contextvars", "eventlet", "functools", "gevent",
        "nest_asyncio", "threading", "wrapt",
        # retries
        "backoff", "retrying", "stamina", "tenacity",
        # tracing, and what wraps a client's methods
        "agentops", "braintrust", "ddtrace", "elasticapm", "instructor", "langfuse", "langsmith", "langwatch",
        "literalai", "lmnr", "logfire", "lunary", "mlflow", "newrelic", "openinference", "openlit", "opentelemetry",
        "opik", "portkey_ai", "posthog", "promptlayer", "sentry_sdk", "traceloop", "weave",
    }
)  # fmt: skip
"""The top-level packages whose frames are no callers."""

# What runs tasks. Below it stands whoever runs the loop, a server or `main`, which has nothing to do with the call.
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
"""How many frames are looked at: a recursion may be as deep as Python lets it."""


def call_site_name(module: str, function: str) -> str:
    """Name a call site: `function` is its `__qualname__`, `<module>` at a module's top level.

    A comprehension counts as the function it stands in.
    """
    if "comp>" in function or "genexpr>" in function:
        function = _LAST_COMPREHENSION.sub("", _INNER_COMPREHENSION.sub("", function)) or "<module>"
    return f"{module}:{function}"


def is_skipped(module: str) -> bool:
    """Tell whether the functions of a module are never a call site."""
    return module.partition(".")[0] in SKIPPED_PACKAGES


def call_site() -> str | None:
    """Return the nearest caller, or None where there is none."""
    found = _callers(sys._getframe(1), limit=1)
    return found[0] if found else None


def call_sites() -> tuple[str, ...]:
    """Return all callers, the nearest first: done only where a rule asks for it.

    What runs as `__main__` has two names: that of its module, as `scan` has it, and `__main__`. A
    call that runs in a task of its own has the task's coroutines for its callers; one that is the
    task itself (`gather(client….create(…))`) has none.
    """
    return tuple(_callers(sys._getframe(1), limit=_MAX_FRAMES))


_MODULE_KINDS: dict[str, str] = {}  # of modules: looked up for each frame of each call
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
    kind = (
        "loop"
        if module.startswith(_EVENT_LOOPS)
        else "between"
        if not module or is_skipped(module)
        else "caller"
    )
    if len(_MODULE_KINDS) >= _MAX_KINDS:
        _MODULE_KINDS.clear()
    _MODULE_KINDS[module] = kind
    return kind


def _module_of_main(module_globals: dict[str, Any]) -> str:
    """Return the name under which what runs as `__main__` would be imported."""
    spec, file = module_globals.get("__spec__"), module_globals.get("__file__")
    if spec is not None and isinstance(spec.name, str):  # `python -m`
        return spec.name
    try:
        return _module_name(file) if isinstance(file, str) and file else "__main__"
    except (OSError, ValueError):  # a working directory that is gone, or no path at all
        return "__main__"


def module_name(path: Path) -> str:
    """Return the dotted name under which a file is imported, as far as its folders' `__init__.py` tell.

    A notebook's is `__main__`, since nobody imports it.
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
