"""The examples of a page: its files, its commands and what they print, as one shell script.

A page is followed literally, in an empty folder:

    <!-- file: NAME -->     the block below is written to NAME; `NAME +` appends it
    ```diff                 of a file: its new lines are written
    ```sh                   is run
    ```python               is run as a program, unless it is a file
    ```text                 is what the block above it prints: each line, in order, and `…` stands
                            for anything
    <!-- not run: WHY -->   the block below is left out, as is one of `make` alone
    <!-- needs: NAME, … --> the page's examples need these packages
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import answers
from tests.support.loopback import Loopback, Reply, Request

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>file|not run): (?P<value>[^\n]*?) -->\n\n?)?"
    r"^```(?P<kind>\w+)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NEEDS = re.compile(r"^<!-- needs: (.*) -->$", re.MULTILINE)
_MARK = "@@ block "

TIMEOUT = 300
"""The seconds that a page may take."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its kind, its text, the file it is written to, what it must print."""

    kind: str
    text: str
    line: int
    file: str | None = None
    left_out: bool = False
    prints: str | None = None


def blocks(markdown: str) -> list[Block]:
    """Return the blocks of a page, each with the output that stands behind it."""
    found: list[Block] = []
    for match in _BLOCK.finditer(markdown):
        mark, value = match["mark"], match["value"]
        left_out = mark == "not run" or _is_make(match["text"])
        if match["kind"] == "text":
            # An output belongs to the block above it; one without a command is only shown.
            if not left_out and found and found[-1].prints is None and _is_run(found[-1]):
                found[-1] = _with_output(found[-1], match["text"])
            continue
        line = markdown.count("\n", 0, match.start("kind")) + 1
        file = value if mark == "file" else None
        text = match["text"]
        if match["kind"] == "diff":
            text = re.sub(r"^-.*\n", "", text, flags=re.MULTILINE)
            text = re.sub(r"^[ +]", "", text, flags=re.MULTILINE)
        found.append(Block(match["kind"], text, line, file, left_out))
    return found


def needs(markdown: str) -> list[str]:
    """Return the packages that the examples of a page need."""
    return [name.strip() for names in _NEEDS.findall(markdown) for name in names.split(",")]


def script(page: list[Block]) -> str:
    """Return a page as a shell script that says which block's output follows."""
    # What a page starts in the background ends with it, whatever happens.
    lines = ["set -eu", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for at, block in enumerate(page):
        if block.left_out:
            continue
        if block.file:
            name, _, more = block.file.partition(" ")
            folder = f"mkdir -p {Path(name).parent}\n" if "/" in name else ""
            lines.append(
                f"{folder}cat {'>>' if more else '>'} {name} <<'END-{at}'\n{block.text}END-{at}"
            )
        elif block.kind == "sh":
            lines.append(f"echo '{_MARK}{at}'\n{block.text}")
        elif block.kind == "python":
            lines.append(f"echo '{_MARK}{at}'\npython - <<'END-{at}'\n{block.text}END-{at}")
    return "\n".join(lines)


def environment(base_url: str) -> dict[str, str]:
    """Return the environment of a reader's shell, with a server that stands in for the API."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ADAPTER_", "OPENAI_", "PYTEST_", "COV_"))
    }
    return kept | {
        "PATH": f"{BIN}{os.pathsep}{kept['PATH']}",
        "OPENAI_API_KEY": answers.KEY,
        "OPENAI_BASE_URL": base_url,
        "COLUMNS": "400",
    }


def follow(markdown: str, folder: Path) -> str:
    """Follow a page in a folder against a server on the loopback; return what is wrong with it."""
    page = blocks(markdown)
    with Loopback(server) as upstream:
        done = subprocess.run(
            ["bash", "-c", script(page)],
            cwd=folder,
            env=environment(upstream.base_url),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    if done.returncode:
        return f"exit code {done.returncode}\n{done.stdout[-3000:]}"
    return "\n".join(_differences(page, done.stdout))


def server(request: Request) -> Reply:
    """Answer on both APIs with the last message."""
    body = request.json()
    if not body:
        return answers.error(400, "missing_required_parameter", param="model")
    messages = body.get("messages") or body["input"]
    text = (messages if isinstance(messages, str) else messages[-1]["content"]) + " Indeed."
    chat = request.path == answers.CHAT
    if body.get("stream"):
        return Reply.of_sse(answers.chat_events(text) if chat else answers.events(text))
    return Reply.of_json(
        answers.completion(text) if chat else answers.response(answers.message_item(text))
    )


def _is_make(text: str) -> bool:
    return all(line.startswith("make ") for line in text.splitlines())


def _is_run(block: Block) -> bool:
    return not block.left_out and not block.file and block.kind in ("sh", "python")


def _with_output(block: Block, text: str) -> Block:
    return Block(block.kind, block.text, block.line, block.file, block.left_out, text)


def _differences(page: list[Block], output: str) -> Iterator[str]:
    """Yield what blocks should have printed and didn't."""
    printed: dict[int, str] = {}
    for part in output.split(_MARK)[1:]:
        number, _, text = part.partition("\n")
        printed[int(number)] = text
    for at, block in enumerate(page):
        rest = printed.get(at, "")
        for line in (block.prints or "").splitlines():
            pattern = ".*?".join(re.escape(part) for part in line.strip().split("…"))
            pattern = re.sub(r"(\\ )+", " +", pattern)
            found = re.search(pattern, rest)
            if found is None:
                yield f"line {block.line}: not printed: {line}\nin:\n{printed.get(at, '')[-3000:]}"
                break
            rest = rest[found.end() :]
