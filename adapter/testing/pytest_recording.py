"""Settings for pytest-recording: readable cassettes without secrets, a file for each backend.

Import them into a `conftest.py`:

    from adapter.testing.pytest_recording import (  # noqa: F401
        default_cassette_name, pytest_recording_configure, vcr_config,
    )

Tests marked `vcr` that use the fixture `backend` then have `cassettes/MODULE/TEST.chat.yaml` and
`TEST.responses.yaml`; an earlier cassette `TEST.yaml` is used for Chat. pytest-recording's options
apply: `--record-mode=once` records missing cassettes. Without pytest-recording use the fixture
`adapter_cassette`, which needs only vcrpy (docs/guides/test-both-sides.md#recording).
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
    raise MissingExtra("these fixtures need pytest (extra `testing`)") from missing

__all__ = ["default_cassette_name", "pytest_recording_configure", "vcr_config"]


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    """Return vcrpy's settings: which headers are recorded, how requests match.

    Fails if the installed vcrpy would record above the adapter.
    """
    why = vcr_check.problem()
    if why is not None:
        pytest.fail(why, pytrace=False)
    return cassettes.options()


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest, vcr_cassette_dir: str) -> str:
    """Return the name of the test's cassette, with its backend if it runs on one."""
    marker = request.node.get_closest_marker("default_cassette")
    name = (
        str(marker.args[0])
        if marker is not None
        else cassette_names.cassette_name(request.cls, request.node.name)
    )
    backend = backend_of(request.node)
    if backend is None:
        return name
    return cassette_names.cassette_path(Path(vcr_cassette_dir), name, backend).stem


@pytest.hookimpl(optionalhook=True)
def pytest_recording_configure(vcr: Any) -> None:
    """Register the readable format in place of vcrpy's YAML, so that files end in `.yaml`."""
    vcr.register_serializer("yaml", cassettes.Serializer)
    for name, matcher in cassettes.MATCHERS.items():
        vcr.register_matcher(name, matcher)
