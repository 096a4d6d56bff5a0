"""A call, with what the router needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapter._exchange.endpoints import azure_deployment, is_azure
from adapter._exchange.request_body import RequestBody

from .overrides import Overrides


@dataclass(slots=True)
class Call:
    """What the router chooses by.

    `header` is the value of our own header, `headers` are all headers (case-insensitive), and
    `raw_path` is the path with the query. `call_sites` are the callers (`module:function`), the
    nearest first. `body` is the request's JSON, which is read when it is needed.
    """

    header: str | None
    headers: Mapping[str, str]
    overrides: Overrides
    raw_path: bytes = b"/chat/completions"
    host: str = ""
    call_sites: tuple[str, ...] = ()
    body: RequestBody = field(default_factory=RequestBody)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields of the body, if it has been read; empty if it isn't an object."""
        value = self.body.value
        return value if isinstance(value, dict) else {}

    @property
    def azure(self) -> bool:
        """Whether the call goes to Azure."""
        return is_azure(self.host, self.raw_path)

    @property
    def model(self) -> str | None:
        """The model of the call; on Azure the deployment in the URL."""
        name = azure_deployment(self.raw_path) or self.fields.get("model")
        return name if isinstance(name, str) else None
