"""Addresses and keys, unless a recording brings its own."""

from __future__ import annotations

import os

os.environ.setdefault("OPENAI_API_KEY", "unused")
os.environ.setdefault("OPENAI_BASE_URL", "https://recorded.invalid/v1")
