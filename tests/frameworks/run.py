"""Make an environment for each framework, run its tests there, and print a table. Standard library only.

    python -m tests.frameworks.run                       every framework
    python -m tests.frameworks.run langchain             one, or several
    python -m tests.frameworks.run langchain -- -k tool  arguments after -- go to pytest
    python -m tests.frameworks.run --record URL          record the cassettes anew from a server (base URL, key `key`)

Environments are kept in `.lanes/` (see environments.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.environments import LANES, REQUIREMENTS, ROOT, CannotBeMadeError, Environment, ready

SHOWN = {
    "langchain": ("langchain-openai", "langchain", "langchain-tests"),
    "pydantic_ai": ("pydantic-ai-slim",),
    "opentelemetry": ("opentelemetry-instrumentation-openai-v2", "opentelemetry-instrumentation-openai"),
    "openai_agents": ("openai-agents",),
    "instructor": ("instructor",),
    "llama_index": ("llama-index-llms-openai", "llama-index-core"),
    "tracers": (
        "langfuse",
        "langsmith",
        "logfire",
        "openinference-instrumentation-openai",
        "opentelemetry-instrumentation-openai",
        "opentelemetry-instrumentation-openai-v2",
        "sentry-sdk",
    ),
}
"""The packages whose versions the table shows, by framework."""

TOLERATED: dict[str, tuple[str, ...]] = {
    "opentelemetry": (
        "ignore:Support for class-based `config`:DeprecationWarning",  # Traceloop's models, when they are imported
    ),
    "llama_index": (
        "ignore:The `__fields:DeprecationWarning",  # an agent looks through all its attributes when it is made
        "ignore:The `model_:DeprecationWarning",  # same
        "ignore:Accessing the 'model_:DeprecationWarning",  # same
        "ignore:<aiosqlite.core.Connection object:ResourceWarning",  # its memory never closes its SQLite store
    ),
}
"""Warnings that a framework can't help, as pytest's `-W` takes them; all others are errors."""

OPTIONS = {
    "langchain": (
        "-pno:asyncio",  # its standard tests bring pytest-asyncio; async tests run under anyio's plugin here
    ),
}
"""What else pytest is told, by framework."""

_VERSIONS = """
import importlib.metadata, json, sys, openai
family = next(b.__module__.partition(".")[0] for b in openai.DefaultHttpxClient.__mro__ if b.__module__.startswith("httpx"))
versions = {name: importlib.metadata.version(name) for name in ["openai", family, *sys.argv[1:]]}
print(json.dumps({"family": family, **versions}))
"""


def frameworks() -> list[str]:
    """List the frameworks that have pinned requirements."""
    return sorted(path.stem for path in REQUIREMENTS.glob("frameworks/*.txt"))


def run(name: str, options: list[str], record: str | None) -> tuple[dict[str, str], int]:
    """Run one framework's tests; give its line of the table and pytest's exit code."""
    report = LANES / f"{name}.xml"
    try:
        # Its list holds versions that a framework's bounds exclude, where a file `.overrides` stands beside it.
        python = ready(Environment(LANES / f"framework-{name}", (f"frameworks/{name}.txt",)))
    except CannotBeMadeError as error:
        print(f"{name}: {error}", flush=True)
        return {"framework": name, "version": "no environment", "SDK": "", "HTTP": "", **_counts(None)}, 1
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", f"tests/frameworks/test_{name}.py", f"--junitxml={report}", "-q"]
    command += [*OPTIONS.get(name, ()), *(f"-W{each}" for each in TOLERATED.get(name, ()))]
    extra = {"ADAPTER_FRAMEWORK": name, **({"ADAPTER_FRAMEWORK_RECORD": record} if record else {})}
    code = subprocess.run([*command, *options], cwd=ROOT, env={**os.environ, **extra}, check=False).returncode
    asked = [str(python), "-c", _VERSIONS, *SHOWN.get(name, ())]
    versions = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    family = versions.pop("family")
    row = {
        "framework": name,
        "version": ", ".join(f"{each} {versions[each]}" for each in SHOWN.get(name, ())),
        "SDK": versions["openai"],
        "HTTP": f"{family} {versions[family]}",
        **_counts(report),
    }
    return row, code


def _counts(report: Path | None) -> dict[str, str]:
    if report is None or not report.is_file():
        return dict.fromkeys(("passed", "failed", "skipped"), "?")
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    total, failed, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites for key in keys)
        for keys in (("tests",), ("failures", "errors"), ("skipped",))
    )
    return {"passed": str(total - failed - skipped), "failed": str(failed), "skipped": str(skipped)}


def show(rows: list[dict[str, str]]) -> None:
    """Print the table."""
    heads = list(rows[0])
    widths = {head: max(len(head), *(len(row[head]) for row in rows)) for head in heads}
    for row in ({head: head for head in heads}, {head: "-" * widths[head] for head in heads}, *rows):
        print("  ".join(row[head].ljust(widths[head]) for head in heads).rstrip())


def main() -> int:
    """Run what the command line asks for."""
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    own, options = given[:cut], given[cut + 1 :]
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(frameworks())}; default: all")
    parser.add_argument("--record", metavar="URL", help="record the cassettes anew from the server at this base URL")
    asked = parser.parse_args(own)
    names = asked.names or frameworks()
    if unknown := set(names) - set(frameworks()):
        parser.error(f"no such framework: {', '.join(sorted(unknown))}")
    results = [run(name, options, asked.record) for name in names]
    print()
    show([row for row, _ in results])
    return int(any(code for _, code in results))


if __name__ == "__main__":
    sys.exit(main())
