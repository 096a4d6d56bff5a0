"""Our own bugs are ours, in the choice of the backend too: an exception planted in every function that it goes through."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import adapter
from tests.support.answers import CHAT, RESPONSES, Sdk, Settings, both, error, paths, sdk, text_of
from tests.support.loopback import Loopback, Reply, Request
from tests.test_own_bugs import functions, planted

__all__ = ["sdk"]

CHOOSING = ("call_site", "calls", "decide", "flags", "live", "matching", "rollout")
# What runs when settings are made, or told off, and not on a call: a bug there is an error at start.
AT_START = {
    "decide": {"Router.__init__", "Ground.__init__", "_choice", "_over"},
    "flags": {"_no_answer", "_complain"},
    "live": {"Live.__init__", "Live.stands_for", "live", "Live._complain"},
    "matching": {"Match._one", "Match.holds", "Matcher.__init__", "_compiled"},
    "rollout": {"Hashes.__init__"},
}


class Provider:
    """Stands for a client of OpenFeature, with no opinion."""

    provider = None

    def get_string_details(self, *_: Any) -> Any:
        """Give no answer."""

        class Details:
            value, error_code = "", None

        return Details()


def _settings(path: Path) -> Settings:
    path.write_text("rollout = 99.999999\n[[rules]]\nmatch = { call_site = 'nowhere:*' }\nbackend = 'chat'\n"
                    "[[rules]]\nmatch = { model = 'x', tag = 'y', format = 'text', stream = true, azure = true }\nbackend = 'chat'\n"
                    "[[rules]]\nmatch = { model = 'x', format = 'text' }\nbackend = 'chat'\n")  # fmt: skip
    return Settings(config_file=path, flags=Provider(), flag_timeout=5)


@pytest.fixture
def openfeature() -> None:
    pytest.importorskip("openfeature")


def _reached(module: str) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    for name, function in functions(importlib.import_module(f"adapter.routing.{module}")).items():
        if id(function) not in seen and name not in AT_START.get(module, ()):
            seen.add(id(function))
            yield name, function


@pytest.mark.usefixtures("openfeature")
@pytest.mark.parametrize("module", CHOOSING)
def test_a_bug_in_the_choice_loses_no_call(sdk: Sdk, loopback: Loopback, tmp_path: Path, module: str) -> None:
    loopback.answer = both
    client = sdk.client(loopback, _settings(tmp_path / "adapter.toml"))
    sdk.create(client)
    assert paths(loopback) == [RESPONSES]
    native = sdk.client(loopback, plain=True)
    sdk.create(native)
    body = loopback.requests[-1].body
    hit = 0
    for name, function in _reached(module):
        loopback.requests.clear()
        (tmp_path / "adapter.toml").touch()  # looked at again
        with planted(function, loopback) as alarm:
            result = sdk.create(client)
        if alarm.sent is None:
            continue
        hit += 1
        assert alarm.sent == 0, name
        made = adapter.decision(result)
        assert made is not None
        if module == "flags" or (module == "live" and made.reason != "adapter-bug"):
            # A flag that can't be read has no opinion; a file that can't be read leaves the last settings in force.
            assert (made.backend, made.reason) == ("responses", "rollout"), name
            continue
        assert (made.backend, made.reason) == ("chat", "adapter-bug"), name
        assert text_of(result) == "Native hello"
        assert [(request.path, request.body) for request in loopback.requests] == [(CHAT, body)], name
    assert hit


@pytest.mark.parametrize("name", ["needs_body", "judge"])
def test_a_bug_in_the_judgement_of_a_reply_passes_it_on(sdk: Sdk, loopback: Loopback, name: str) -> None:
    from adapter import fallback

    def answer(request: Request) -> Reply:
        return error(404, "404") if request.path == RESPONSES else both(request)

    loopback.answer = answer
    client = sdk.client(loopback, Settings(backend="responses"))
    with planted(getattr(fallback, name), loopback), pytest.raises(Exception, match="Upstream says no") as raised:
        sdk.create(client)
    assert getattr(raised.value, "status_code", None) == 404
    assert paths(loopback) == [RESPONSES]
