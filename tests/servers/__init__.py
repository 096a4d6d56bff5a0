"""Serve a scripted, deterministic model by real servers that speak both APIs.

`script` says what the model answers, `network` turns that into weights, `formats` writes them as files, and `llamacpp` and
`vllm` start a server on them. The servers and their wire formats are real, third-party ones; only the replies are scripted.
"""

from __future__ import annotations

NAMES = ("tiny", "gpt-5.2", "gpt-4o-2024-08-06")
"""The names the model is served under: its own, and those that the example programs ask for."""


class ServerUnavailable(RuntimeError):
    """Say that a server can't be had on this machine, and what would make it available."""
