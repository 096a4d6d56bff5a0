"""A call, with what the router needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter._exchange.effects import UNREAD
from adapter._exchange.endpoints import azure_deployment, is_azure

from .overrides import Overrides


@dataclass(slots=True)
class Call:
    """What the router chooses by.

    `header` is the value of our own header, `headers` are all headers (case-insensitive), and
    `raw_path` is the path with the query. `call_sites` are the callers (`module:function`), the
    nearest first. `body`, the request's JSON, and `flag`, the value of the feature flag, are UNREAD
    until they are needed.
    """

    header: str | None
    headers: Mapping[str, str]
    overrides: Overrides
    raw_path: bytes = b"/chat/completions"
    host: str = ""
    call_sites: tuple[str, ...] = ()
    body: Any = UNREAD
    flag: Any = UNREAD

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body's fields; empty if it isn't an object."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def azure(self) -> bool:
        """Whether the call goes to Azure."""
        return is_azure(self.host, self.raw_path)

    @property
    def model(self) -> str | None:
        """The model of the call; on Azure the deployment in the URL."""
        name = azure_deployment(self.raw_path) or self.fields.get("model")
        return name if isinstance(name, str) else None
