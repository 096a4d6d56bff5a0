"""One call, as far as it is known when its backend is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter._exchange.effects import UNREAD
from adapter._exchange.endpoints import azure_deployment, is_azure

from .overrides import Overrides


@dataclass(slots=True)
class Call:
    """What a backend is chosen by.

    `header` is the value of our own header, `headers` are all of the request's (case-insensitive), `raw_path` is its path with
    the query, `host` where it goes; `call_sites` the callers' `module:function`,
    the nearest first; `body` its JSON and `flag` the value of the
    feature flag, each UNREAD until it was needed.
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
        """The body's fields; none where it isn't an object."""
        return self.body if isinstance(self.body, dict) else {}

    @property
    def azure(self) -> bool:
        """Tell whether the call goes to Azure."""
        return is_azure(self.host, self.raw_path)

    @property
    def model(self) -> str | None:
        """The name of the model that is called; on Azure the deployment that the URL names."""
        name = azure_deployment(self.raw_path) or self.fields.get("model")
        return name if isinstance(name, str) else None
