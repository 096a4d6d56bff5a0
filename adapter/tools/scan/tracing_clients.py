"""Client classes of tracing packages: what becomes of their calls, and how to wire the adapter."""

from __future__ import annotations

from dataclasses import dataclass

from .known_clients import CLIENTS
from .symbols import Symbols


@dataclass(frozen=True, slots=True)
class Tracer:
    """A tracing package's client: `what` it is, and how to `wire` the adapter."""

    what: str
    wire: str


def _patched(package: str) -> Tracer:
    return Tracer(
        f"the SDK's own client, which {package} traces by patching the SDK: "
        "its calls stay on Chat Completions",
        f"adapter.install(client), or import {package} for its patches "
        "and import the class from adapter",
    )


def _derived(package: str) -> Tracer:
    return Tracer(
        f"{package}'s own class, derived from the SDK's: its calls stay on Chat Completions",
        "adapter.install(client), or http_client= one with transport=adapter.Transport()",
    )


def _wrapping(package: str, wire: str) -> Tracer:
    return Tracer(
        f"{package}'s own class around a client that it makes: its calls stay on Chat Completions",
        wire,
    )


_HTTP_CLIENT_WIRE = "http_client= one with transport=adapter.Transport()"
_OLD_SDK = Tracer(
    "a wrapper of SDK 0.x: its calls stay on Chat Completions",
    "migrate to a client of the current SDK first",
)

MODULES = {
    "langfuse.openai": _patched("langfuse.openai"),
    "galileo.openai": _patched("galileo.openai"),
    "deepeval.openai": _patched("deepeval.openai"),
    "posthog.ai.openai": _derived("PostHog"),
    "log10.load": _derived("log10"),
    "baserun": _wrapping("baserun", "baserun.init(adapter.OpenAI())"),
    "baserun.wrappers.openai": _wrapping("baserun", "baserun.init(adapter.OpenAI())"),
    "helicone.openai_proxy": _OLD_SDK,
    "helicone.openai_async": _OLD_SDK,
    "promptlayer.PromptLayer()": _wrapping("PromptLayer", _HTTP_CLIENT_WIRE),
    "promptlayer.AsyncPromptLayer()": _wrapping("PromptLayer", _HTTP_CLIENT_WIRE),
}
"""Tracers by the module, or object, that has the SDK's client names or an `openai` with them."""


def tracer_of_client(path: str) -> Tracer | None:
    """Return the tracer of a client by its dotted name, such as `langfuse.openai.OpenAI`."""
    module, _, name = path.rpartition(".")
    if name not in CLIENTS and name != "openai":
        return None
    return MODULES.get(module) or (
        MODULES.get(module.removesuffix(".openai")) if name in CLIENTS else None
    )


def tracer_of_method(path: str) -> Tracer | None:
    """Return the tracer of the client whose method a symbol is."""
    parts = path.partition("().chat.")[0].partition("().beta.")[0].removesuffix("()")
    found = tracer_of_client(parts)
    if found is not None:
        return found
    module = path.partition(".chat.")[0].partition(".beta.")[0]
    if not module.endswith(".openai"):
        return None
    return tracer_of_client(module) or MODULES.get(module)  # the module-level client


def is_wired(symbols: Symbols) -> bool:
    """Return whether a module imports the adapter, which may be wired into its clients."""
    names = (
        "adapter",
        "adapter.install",
        "adapter.patch",
        "adapter.Transport",
        "adapter.AsyncTransport",
    )
    return any(one.dotted in names for bound in symbols.module.bindings.values() for one in bound)
