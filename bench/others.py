"""The same stream and call through libraries that bridge the two APIs as well, each in its own environment where there is one.

    make frameworks ONLY=langchain           makes LangChain's
    python3 -m tests.environments litellm    makes LiteLLM's

Each runs in a process of its own, native SDK and library in turns, against the same server; what isn't installed is left out.
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
OFFLINE = {
    **os.environ,
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}  # else it looks for prices on the net


def others(server: Server) -> list[Row]:
    """Measure the libraries that are there."""
    rows = []
    for name, folder in FOUND.items():
        python = folder / "bin" / "python"
        if not python.exists():
            continue
        done = subprocess.run(  # noqa: S603  # as above
            [python, BRIDGES, name, server.base_url], capture_output=True, check=False, env=OFFLINE
        )
        if done.returncode:
            print(f"{name}: {done.stderr.decode().strip().rpartition(chr(10))[2]}")
            continue
        for what, (seconds, ratio) in json.loads(done.stdout.splitlines()[-1]).items():
            each = DELTAS if "stream" in what else 1
            rows.append(Row(what, NAMES[name], seconds / each * 1e6, "µs", ratio))
    return rows
