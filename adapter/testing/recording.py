"""The earlier path of `adapter.testing.pytest_recording`; removed in the release after this one."""

from __future__ import annotations

from .pytest_recording import default_cassette_name, pytest_recording_configure, vcr_config

__all__ = ["default_cassette_name", "pytest_recording_configure", "vcr_config"]
