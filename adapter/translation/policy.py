"""The caller's choice of what happens to a value that the Responses API can't carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from .model_profiles import BUILT_IN_PROFILES, ModelProfiles
from .parameters import DEFAULT_POLICIES

Unsupported = Literal["chat", "error", "drop"]
CarryReasoning = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy for lossy and impossible values (docs/decisions.md#policies).

    `unsupported`: `chat` keeps the whole call on Chat, `error` refuses it, `drop` leaves the value
    out with an entry in the ledger. `parameters` overrides it by name of a parameter, or of a field
    inside messages; for names that it lacks, `parameters.DEFAULT_POLICIES` comes first. `emulate`
    names the parameters that the adapter reproduces itself. `models`: the profiles that apply.
    `carry_reasoning`: which models are asked for encrypted reasoning; `auto`: those that reason.
    """

    unsupported: Unsupported = "chat"
    parameters: Mapping[str, Unsupported] = field(default_factory=lambda: MappingProxyType({}))
    emulate: frozenset[str] = frozenset()
    models: ModelProfiles = BUILT_IN_PROFILES
    carry_reasoning: CarryReasoning = "never"

    def carries_reasoning(self, model: object) -> bool:
        """Return whether a model is asked for its encrypted reasoning."""
        if self.carry_reasoning != "auto":
            return self.carry_reasoning == "always"
        return isinstance(model, str) and self.models.profile(model).reasons

    def action_for(self, parameter: str) -> Unsupported:
        """Return the action for a value of this parameter."""
        action = self.parameters.get(parameter)
        return action if action is not None else DEFAULT_POLICIES.get(parameter, self.unsupported)
