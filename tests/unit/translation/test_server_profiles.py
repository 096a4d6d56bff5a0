"""Profiles of servers: rows of a table, found by host or path."""

from __future__ import annotations

import re

import pytest

from adapter.translation import server_profiles
from adapter.translation.server_profiles import (
    SERVER_PROFILES,
    UNKNOWN_SERVER,
    ServerProfile,
    server_profile,
)

PATH = b"/v1/chat/completions"


@pytest.mark.parametrize("profile", SERVER_PROFILES, ids=lambda profile: profile.name)
def test_a_row_is_found_by_each_of_its_hosts(profile: ServerProfile) -> None:
    assert profile.hosts
    for ending in profile.hosts:
        assert ending.startswith("."), "else a host of another owner may end like it"
        assert server_profile(f"x{ending}", PATH) is profile
        assert server_profile(f"x{ending}.", PATH) is profile
        assert server_profile(f"{ending[1:]}.example", PATH) is UNKNOWN_SERVER


def test_names_are_given_once() -> None:
    assert len({one.name for one in (*SERVER_PROFILES, UNKNOWN_SERVER)}) == len(SERVER_PROFILES) + 1


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/openai/deployments/d/chat/completions", "Azure"),
        (b"/chat/completions?api-version=2024-10-21", "Azure"),
        (b"/chat/completions?a=1&api-version=", "Azure"),
        (b"/chat/completions?a=\n&api-version=1", "Azure"),
        (b"/chat/completions?my-api-version=1", ""),
        (b"/chat/completions?a=/deployments/d", ""),
        (b"/chat/completions/api-version=1", ""),
        (b"/openai/v1/chat/completions", ""),
    ],
)
def test_a_path_tells_the_server_behind_a_gateway(path: bytes, name: str) -> None:
    assert server_profile("gateway.example", path).name == name


def test_the_first_matching_row_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ServerProfile("First", (".example.com",))
    second = ServerProfile("Second", (".com",), re.compile(rb"/second"))
    monkeypatch.setattr(server_profiles, "SERVER_PROFILES", (first, second))
    assert server_profile("a.example.com", b"/second") is first
    assert server_profile("a.com", PATH) is second
    assert server_profile("a.example", b"/second") is second
    assert server_profile("", PATH) is UNKNOWN_SERVER
