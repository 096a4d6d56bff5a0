"""Run the programs of a page of docs/integrations/ where what it is about is installed.

A program is a block of Python on the page, and ends with a call. It runs in a process of its own
(tracers patch the SDK for good) against a server on the loopback that answers on both APIs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import answers
from tests.support.loopback import Loopback, Reply, Request

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "integrations"
BACKENDS = {"chat": answers.CHAT, "responses": answers.RESPONSES}
HELLO = "Hello there"

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHILD = """
import runpy, sys
def refuse(host):
    raise OSError(f"only the loopback may be reached, not {{host!r}}")
runpy.run_path({network!r})["block"](refuse)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
_NETWORK = str(ROOT / "tests" / "support" / "network.py")  # by its path: it imports nothing of ours
# A user's own settings and keys must decide nothing.
_FOREIGN = ("ADAPTER_", "OPENAI_", "PYTEST_", "COV_", "PYTHON")


@dataclass(frozen=True)
class Ran:
    """What a program printed, and the paths that it asked for."""

    printed: str
    paths: frozenset[str]
    remarks: str


def page_of(lane: str) -> Path:
    """Return the page about a lane: a framework, a tracer, `applications`."""
    return FOLDER / f"{lane.replace('_', '-')}.md"


def programs(lane: str) -> list[str]:
    """List the programs of the page about a lane."""
    return _BLOCK.findall(page_of(lane).read_text(encoding="utf-8"))


def answer(request: Request) -> Reply:
    """Say hello, in the same words on either API."""
    streamed = request.json().get("stream") is True
    if request.path == answers.CHAT:
        events = answers.chat_events(HELLO)
        return Reply.of_sse(events) if streamed else Reply.of_json(answers.completion(HELLO))
    events = answers.events(HELLO)
    return Reply.of_sse(events) if streamed else Reply.of_json(answers.response())


def run(
    program: str,
    backend: str,
    folder: Path,
    given: Mapping[str, str] | None = None,
    before: str = "",
) -> Ran:
    """Run a program on a backend, with `given` in its environment and `before` in its process."""
    file = folder / f"{backend}.py"
    file.write_text(f"{before}\n{program}", encoding="utf-8")
    kept = {name: one for name, one in os.environ.items() if not name.startswith(_FOREIGN)}
    with Loopback(answer) as upstream:
        where = {
            "OPENAI_API_KEY": answers.KEY,
            "OPENAI_BASE_URL": upstream.base_url,
            "OPENAI_API_BASE": upstream.base_url,  # LangChain's and LlamaIndex's name for it
            "ADAPTER_BACKEND": backend,
        }
        done = subprocess.run(
            [sys.executable, "-P", "-c", _CHILD.format(network=_NETWORK), str(file)],
            cwd=folder,
            env={**kept, **where, **(given or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        paths = frozenset(request.path for request in upstream.requests)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return Ran(done.stdout, paths, done.stderr)
