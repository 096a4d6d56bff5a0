"""MIGRATION.md, followed literally in an empty folder.

Every file is written and every command run, in order, in one shell. The API is a server on the
loopback with both endpoints, which repeats the user's message.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.loopback import Loopback

from .example_pages import environment, server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "MIGRATION.md").read_text(encoding="utf-8")

_STEP = re.compile(r"^### (\d+)\. (.*)$", re.MULTILINE)
_BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>[\w.]+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_BOTH_SIDES = "asked for responses, answered by chat:"

EXPECTED = {
    1: ["app.py:10:", "seed", "3 calls in 2 files"],
    2: [
        "+from adapter import OpenAI",
        "Where is my parcel? Indeed.",
        "backend  ",
        "7 ok, 3 skipped",
    ],
    3: ["4 passed", _BOTH_SIDES, "test_sort[responses]: unsupported (seed)", "4 passed"],
    4: [
        "adapter.toml, line 1",
        "app:answer",
        "chat->chat                6",
        "responses->responses      3",
        "rule          3",
    ],
    5: [
        "rollout  ",
        "adapter.toml, line 2",
        "responses->responses      2",
        "unsupported      4",
        "seed held      2",
    ],
    6: ["3 calls in 1 file", "3 moves as is", "seed dropped, 1×", "4 passed"],
    7: ["A value was written to the sqlite store and read back"],
    8: [
        "/responses         The endpoint exists",
        "Where is my parcel? Indeed.",
        "responses->responses      9",
    ],
    9: ["Where is my parcel? Indeed. stop", "3 calls in 9 files, 3 moves as is"],
}
"""The output of each step, in order."""


def script() -> str:
    """Return the guide as a shell script."""
    lines = ["set -eu"]
    for at, block in enumerate(_BLOCK.finditer(GUIDE[: GUIDE.index("## What changes")])):
        steps = [*_STEP.findall(GUIDE[: block.start()])]
        lines.append(f"echo '@@ step {steps[-1][0] if steps else 0}'")
        if block["file"]:
            lines.append(f"cat > {block['file']} <<'END-{at}'\n{block['text']}END-{at}")
        elif block["kind"] == "sh":
            lines.append(block["text"])
    return "\n".join(lines)


def printed(output: str) -> dict[int, str]:
    """Return the output by step."""
    found: dict[int, str] = {}
    for part in output.split("@@ step ")[1:]:
        number, _, text = part.partition("\n")
        found[int(number)] = found.get(int(number), "") + text
    return found


def test_the_steps_are_numbered_and_have_a_check_and_a_rollback() -> None:
    assert [int(number) for number, _ in _STEP.findall(GUIDE)] == list(EXPECTED)
    steps = _STEP.split(GUIDE[: GUIDE.index("## What changes")])[3::3]
    assert all(step.count("**Check:**") == step.count("**Rollback:**") == 1 for step in steps)


def test_followed_literally_in_an_empty_folder(tmp_path: Path) -> None:
    with Loopback(server) as upstream:
        done = subprocess.run(
            ["bash", "-c", script()],
            cwd=tmp_path,
            env=environment(upstream.base_url),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outputs = printed(done.stdout)
    for step, expected in EXPECTED.items():
        at = 0
        for one in expected:
            at = outputs[step].find(one, at)
            assert at >= 0, (step, one, outputs[step])
    assert (tmp_path / "turns.db").exists()
    assert (tmp_path / "audit.html").exists()


@pytest.mark.parametrize("name", ["scan", "audit", "explain", "doctor"])
def test_the_options_that_the_documents_name_exist(name: str) -> None:
    """The documents call commands only with options that their help has."""
    from typer.testing import CliRunner

    from adapter.tools.cli.app import app

    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = GUIDE + "".join(page.read_text(encoding="utf-8") for page in pages)
    calls = re.findall(rf"adapter {name}\b([^`\n#]*)", text)
    assert len(calls) > 1
    assert [
        one for call in calls for one in re.findall(r"(?<!\w)--[a-z-]+", call) if one not in shown
    ] == []
