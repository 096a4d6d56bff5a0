"""How the tests of tracers are run; see tests/isolated.py."""

from __future__ import annotations

from tests.isolated import Suite

SUITE = Suite(tests=lambda name: "tests/tracers")
