"""Profiles of servers: what must happen on one vendor's server only, as data.

Most dialects need no profile, since the code accepts each form from any server
(docs/wire-facts.md#dialects). A profile is for a difference that can't be seen in a reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """What is known of one vendor's server.

    `hosts`: endings of its hosts' names. `paths`: matches raw paths, with their query, that no
    other server has, so that it is recognised behind a gateway. `tools_on_chat`: the field of
    ModelProfile that says when its Chat takes function tools.
    """

    name: str
    hosts: tuple[str, ...] = ()
    paths: re.Pattern[bytes] | None = None
    tools_on_chat: Literal["tools_on_chat", "azure_tools_on_chat"] = "tools_on_chat"


SERVER_PROFILES = (
    # dialect: Azure (a deployment in the path, or an `api-version`; other vendors serve
    # `/openai/v1` as well)
    ServerProfile(
        "Azure",
        hosts=(".azure.com", ".azure.us", ".azure.cn", ".azure-api.net"),
        paths=re.compile(rb"[^?]*(?:/deployments/|\?(?:.*&)?api-version=)", re.DOTALL),
        tools_on_chat="azure_tools_on_chat",
    ),
)
"""The servers that are recognised; the first match counts."""

UNKNOWN_SERVER = ServerProfile("")
"""The profile of every other server, OpenAI's own among them."""


def server_profile(host: str, raw_path: bytes) -> ServerProfile:
    """Return the profile of the server that a request goes to."""
    host = host.rstrip(".")
    for profile in SERVER_PROFILES:
        if host.endswith(profile.hosts) or (profile.paths and profile.paths.match(raw_path)):
            return profile
    return UNKNOWN_SERVER
