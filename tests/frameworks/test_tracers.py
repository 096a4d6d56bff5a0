"""Tracers that were told to keep contents out export the same of a call natively, with the adapter off, and on."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks.masking import BACKENDS, TRACERS, WAYS

ROOT = Path(__file__).resolve().parents[2]
CALLS = [f"{kind}{call}" for kind in ("", "async ") for call in ("whole", "streamed", "parsed", "helper", "raw")]
UNSEEN = {("contributors", "parsed"), ("contributors", "async parsed")}
"""What a tracer has no eye for, natively."""


@cache
def exported(tracer: str, way: str) -> dict[str, Any]:
    """Run the calls in a process of their own."""
    command = [sys.executable, "-m", "tests.frameworks.masking", tracer, way]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("tracer", "way"),
    [pytest.param(tracer, way, id=f"{tracer}-{way}") for tracer in TRACERS for way in WAYS],
)  # fmt: skip
def test_nothing_is_exported_that_is_kept_out_natively(tracer: str, way: str) -> None:
    found = exported(tracer, way)
    for call in CALLS:
        native = found[f"native {call}"]
        assert native["error"] is None
        assert native["seen"] or (tracer, call) in UNSEEN
        for backend in BACKENDS[1:]:
            assert found[f"{backend} {call}"] == native, f"{backend} {call}"


@pytest.mark.parametrize("tracer", [name for name in TRACERS if name != "logfire"])
def test_what_a_tracer_keeps_out_is_out(tracer: str) -> None:
    found = exported(tracer, "import")
    words = {word for one in found.values() for word in one["words"]}
    assert words.isdisjoint({"system", "prompt", "sent arguments", "sent output", "said", "arguments"})
