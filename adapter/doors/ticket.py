"""What travels with a request from the client to the transport: its journal, and the settings it started with.

It lies in the request's `extensions`: those are never sent, survive redirects, and are where the reply and the SDK's
exceptions lead back to (`response.request.extensions`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from adapter.errors import TranslationError
from adapter.exchange import Decide
from adapter.journal import Choice, Journal
from adapter.routing.decide import HEADER, decide
from adapter.routing.overrides import Overrides, current
from adapter.routing.settings import Settings
from adapter.translation.ledger import Loss
from adapter.translation.policy import Policy

KEY = "adapter.ticket"

# Signature version 4 of AWS (Bedrock): made over method, URL and body, before the request comes here (MAPPING §9.8).
_SIGNED = "AWS4-HMAC-SHA256"


@dataclass(slots=True)
class Ticket:
    """One call on its way. `overrides` are those of the moment when the call began."""

    settings: Settings
    journal: Journal = field(default_factory=Journal)
    overrides: Overrides = field(default_factory=current)
    carried: bool = False  # a door is carrying it right now: a second one further down leaves the request alone

    def decide(self, _: Decide, headers: Any) -> Choice:
        """Choose for the call."""
        try:
            choice = decide(self.settings, self.overrides, headers.get(HEADER))
        except TranslationError:
            raise
        except Exception:  # promise 9: our own bugs are ours
            if self.settings.on_bug == "raise":
                raise
            return Choice("chat", "adapter-bug", Policy(), "chat", "")
        if headers.get("authorization", "").startswith(_SIGNED):
            return replace(
                choice, hold=Loss("headers.authorization", "held", "the request is signed, URL and body included")
            )
        return choice


def ticket_of(request: Any) -> Ticket | None:
    """Return the ticket of a request, if it has one."""
    found = request.extensions.get(KEY)
    return found if isinstance(found, Ticket) else None
