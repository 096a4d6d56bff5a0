"""Settings for pytest-recording: readable cassettes without secrets, a file for each side.

Import them into a `conftest.py`:

    from adapter.testing.pytest_recording import default_cassette_name, pytest_recording_configure, vcr_config  # noqa: F401

Tests marked `vcr` that use the fixture `backend` then have `cassettes/MODULE/TEST.chat.yaml` and `TEST.responses.yaml`; a cassette
`TEST.yaml` from before is the chat side's. pytest-recording's own options hold: `--record-mode=once` records what isn't there.
Without pytest-recording use the fixture `adapter_cassette`, which needs vcrpy alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapter.errors import MissingExtra

from . import cassette_names, cassettes, vcr_check
from .backends import backend_of

try:
    import pytest
except ImportError as missing:  # pragma: no cover - depends on what is installed
    raise MissingExtra("these fixtures need pytest (extra `kit`)") from missing


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    """Give vcrpy's settings: which headers may stay, how requests match; fails with the reason where vcrpy patches too high up."""
    why = vcr_check.problem()
    if why is not None:
        pytest.fail(why, pytrace=False)
    return cassettes.options()


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest, vcr_cassette_dir: str) -> str:
    """Name the test's cassette, with its side where it runs on one."""
    marker = request.node.get_closest_marker("default_cassette")
    name = (
        str(marker.args[0])
        if marker is not None
        else cassette_names.cassette_name(request.cls, request.node.name)
    )
    side = backend_of(request.node)
    return (
        name
        if side is None
        else cassette_names.cassette_path(Path(vcr_cassette_dir), name, side).stem
    )


@pytest.hookimpl(optionalhook=True)
def pytest_recording_configure(vcr: Any) -> None:
    """Write and read cassettes in the readable form, under vcrpy's own name for YAML, so that files end in `.yaml`."""
    vcr.register_serializer("yaml", cassettes.Serializer)
    for name, matcher in cassettes.MATCHERS.items():
        vcr.register_matcher(name, matcher)
