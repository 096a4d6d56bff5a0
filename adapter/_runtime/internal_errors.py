"""What happens to a call on which the adapter itself fails (docs/decisions.md#internal-errors).

Before anything was sent it goes to Chat as it came; after that it is an error. There is one guard
at each way in (the transport and the client), which calls the functions here. They use as little
of the package as possible, since any of it may be what failed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from adapter._exchange.record import CallState, Hold, Route
from adapter._routing.overrides import NO_OVERRIDES
from adapter.translation.ledger import Loss
from adapter.translation.policy import Policy

from .call_context import CallContext

_FOREIGN_PACKAGES = frozenset({"openai", "httpx", "httpx2"})


def is_adapter_error(error: BaseException) -> bool:
    """Return whether an exception comes from the adapter's code, or from what that code called.

    The SDK and the HTTP libraries don't count as called by it.
    """
    at, in_adapter = error.__traceback__, False
    while at is not None:
        package = at.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        in_adapter = package == "adapter" or (in_adapter and package not in _FOREIGN_PACKAGES)
        at = at.tb_next
    return in_adapter


def raises_bugs(client: Any) -> bool:
    """Return whether a client's settings let the adapter's own bugs be raised."""
    reloader = client.__dict__.get("_adapter_live")
    return reloader is not None and reloader.router.settings.on_internal_error == "raise"


def context_after_bug(
    router: Any, bug: Exception, *, by_client: bool = False
) -> CallContext | None:
    """Return the context of a call that goes to Chat because of a bug; None if making one fails.

    Raise the bug if the settings say so.
    """
    if router.settings.on_internal_error == "raise":
        raise bug
    with suppress(Exception):
        return _chat_context(router, bug, by_client)
    return None


def _chat_context(router: Any, bug: Exception, by_client: bool) -> CallContext:
    losses, fixed_route = losses_of(bug), router.fixed_route
    if fixed_route is not None and fixed_route.backend == "responses":
        # A hold that doesn't apply to Responses-only models.
        route = fixed_route._replace(hold=Hold("adapter-bug", losses[0], unconditional=False))
    else:
        route = Route("chat", "adapter-bug", router.settings, Policy(), router.settings.hash)
    return CallContext(
        router,
        by_client,
        CallState(route, reason="adapter-bug", request_losses=losses),
        NO_OVERRIDES,
    )


_UNNAMED_LOSSES = (Loss("$", "held", "the adapter failed on this call"),)


def losses_of(bug: Exception) -> tuple[Loss, ...]:
    """Return the ledger of a call on which the adapter failed."""
    with suppress(Exception):  # making the ledger entry may be what failed
        return (Loss("$", "held", f"the adapter failed on this call ({type(bug).__name__})"),)
    return _UNNAMED_LOSSES


def bug_message(bug: Exception, what: str) -> str:
    """Name what the adapter failed on and the exception's class; never the exception's text."""
    return f"$: the adapter failed on the {what} ({type(bug).__name__})"
