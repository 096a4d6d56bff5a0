"""What happens to a value that the Responses API can't carry: the caller's choice, as data."""

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
    """The policy for lossy and impossible values.

    `chat` keeps the whole call on Chat Completions, `error` refuses it, `drop` goes on without the value and says so in
    the ledger. `parameters` overrides this by the name of the top-level parameter, or of what
    stands inside messages; what it doesn't name may have a policy of its own
    (rules.DEFAULT_POLICIES). `emulate` names the parameters that are reproduced with other means instead; `models` are the facts about models that hold. `carry_reasoning` says which models are
    asked for their reasoning in a form that can be sent back: `auto` those that reason.
    """

    unsupported: Unsupported = "chat"
    parameters: Mapping[str, Unsupported] = field(default_factory=lambda: MappingProxyType({}))
    emulate: frozenset[str] = frozenset()
    models: ModelProfiles = BUILT_IN_PROFILES
    carry_reasoning: CarryReasoning = "never"

    def carries_reasoning(self, model: object) -> bool:
        """Tell whether a model is asked for its encrypted reasoning."""
        if self.carry_reasoning != "auto":
            return self.carry_reasoning == "always"
        return isinstance(model, str) and self.models.profile(model).reasons

    def action_for(self, parameter: str) -> Unsupported:
        """Return what is to happen to a value of this parameter."""
        action = self.parameters.get(parameter)
        return action if action is not None else DEFAULT_POLICIES.get(parameter, self.unsupported)
