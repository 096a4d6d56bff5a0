"""What identifies a server's API in a URL."""

from __future__ import annotations

from typing import Any

from adapter._runtime.protocols import BaseUrl


def base_url_of(url: Any) -> BaseUrl:
    """Return what identifies a base URL: everything before the path of the call."""
    path: bytes = url.raw_path.partition(b"?")[0]
    return url.scheme, url.host, url.port, path.rpartition(b"/chat/completions")[0] or path
