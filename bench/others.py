"""Measure other libraries that bridge the two APIs, each in its own environment.

    make frameworks ONLY=langchain           creates LangChain's environment
    python3 -m tests.environments litellm    creates LiteLLM's environment

Each runs in its own process, in turns with the native SDK, against the same server. Libraries
without an environment are left out.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from .rows import Row
from .server import Server

BRIDGES = Path(__file__).resolve().with_name("bridges.py")
LANES = BRIDGES.parents[1] / ".lanes"
FOUND = {"langchain": LANES / "frameworks" / "langchain", "litellm": LANES / "bench-litellm"}
NAMES = {"langchain": "LangChain, use_responses_api", "litellm": "LiteLLM's bridge"}
DELTAS = 200
OFFLINE = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # no download of prices


def others(server: Server) -> list[Row]:
    """Measure the installed libraries."""
    rows = []
    for name, folder in FOUND.items():
        python = folder / "bin" / "python"
        if not python.exists():
            continue
        done = subprocess.run(  # noqa: S603  # a fixed command
            [python, BRIDGES, name, server.base_url], capture_output=True, check=False, env=OFFLINE
        )
        if done.returncode:
            print(f"{name}: {done.stderr.decode().strip().rpartition(chr(10))[2]}")
            continue
        for what, (seconds, ratio) in json.loads(done.stdout.splitlines()[-1]).items():
            each = DELTAS if "stream" in what else 1
            rows.append(Row(what, NAMES[name], seconds / each * 1e6, "µs", ratio))
    return rows
