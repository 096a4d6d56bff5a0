"""The settings of a call, as the exchange reads them.

Written from `CallSettings` of `_settings/fields.py` by `make docs-tables`: the exchange imports no
settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol


class CallSettings(Protocol):
    """The settings that may differ from call to call."""

    @property
    def backend(self) -> Literal["chat", "responses"]:
        """The setting `backend`."""

    @property
    def rollout(self) -> float | None:
        """The setting `rollout`."""

    @property
    def sticky_by(self) -> str:
        """The setting `sticky_by`."""

    @property
    def unsupported(self) -> Literal["chat", "error", "drop"]:
        """The setting `unsupported`."""

    @property
    def unsupported_parameters(self) -> Mapping[str, Literal["chat", "error", "drop"]]:
        """The setting `unsupported_parameters`."""

    @property
    def drop(self) -> tuple[str, ...]:
        """The setting `drop`."""

    @property
    def emulate(self) -> tuple[Literal["n", "name", "stop", "web_search_options"], ...]:
        """The setting `emulate`."""

    @property
    def fallback(self) -> tuple[Literal["blocked", "missing", "rejected"], ...]:
        """The setting `fallback`."""

    @property
    def carry_reasoning(self) -> Literal["auto", "always", "never"]:
        """The setting `carry_reasoning`."""

    @property
    def on_internal_error(self) -> Literal["chat", "raise"]:
        """The setting `on_internal_error`."""
