"""Run the tests of each framework or tracer in an environment of its own, and print a table.

Standard library only.

    python -m tests.isolated frameworks                       every framework
    python -m tests.isolated tracers langsmith                one tracer, or several
    python -m tests.isolated frameworks langchain -- -k tool  arguments after -- go to pytest
    python -m tests.isolated frameworks --record URL          record the cassettes again (key: `key`)

A kind is a folder of tests with a module `suite`, and a folder of lists in requirements/, one for
each of that kind. Environments are kept in `.lanes/KIND/NAME` (see environments.py).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.environments import LANES, REQUIREMENTS, ROOT, CannotBeMadeError, Environment, ready

UNDER_TEST, RECORD_FROM = "ADAPTER_UNDER_TEST", "ADAPTER_RECORD_FROM"
"""Variables by which a kind's `conftest` knows what to collect, and where to record from."""
KINDS = sorted(path.parent.name for path in ROOT.glob("tests/*/suite.py"))


@dataclass(frozen=True)
class Suite:
    """How the tests of one kind are run."""

    tests: Callable[[str], str]
    """Return the file or folder of tests, by name."""
    shown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The packages whose versions the table shows, by name; default: the first one required."""
    tolerated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Unavoidable warnings of a package, for pytest's `-W`, by name; all others are errors."""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other options of pytest, by name."""


_VERSIONS = """
import importlib.metadata, json, sys, openai
family = next(b.__module__.partition(".")[0] for b in openai.DefaultHttpxClient.__mro__ if b.__module__.startswith("httpx"))
versions = {name: importlib.metadata.version(name) for name in ["openai", family, *sys.argv[1:]]}
print(json.dumps({"family": family, **versions}))
"""


def names(kind: str) -> list[str]:
    """List those of a kind that have an exact list of packages."""
    return sorted(path.stem for path in REQUIREMENTS.glob(f"{kind}/*.txt"))


def run(kind: str, name: str, options: list[str], record: str | None) -> tuple[dict[str, str], int]:
    """Run the tests of one; return its line of the table and pytest's exit code."""
    suite: Suite = importlib.import_module(f"tests.{kind}.suite").SUITE
    report = LANES / kind / f"{name}.xml"
    try:
        # Where a file `.overrides` exists beside it, its list holds versions that some package's
        # bounds exclude.
        python = ready(Environment(LANES / kind / name, (f"{kind}/{name}.txt",)))
    except CannotBeMadeError as error:
        print(f"{name}: {error}", flush=True)
        return {kind: name, "version": "no environment", **_counts(None)}, 1
    report.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", suite.tests(name), f"--junitxml={report}", "-q"]
    command += [
        *suite.options.get(name, ()),
        *(f"-W{each}" for each in suite.tolerated.get(name, ())),
    ]
    variables = {UNDER_TEST: name, **({RECORD_FROM: record} if record else {})}
    code = subprocess.run(
        [*command, *options], cwd=ROOT, env={**os.environ, **variables}, check=False
    ).returncode
    shown = suite.shown.get(name) or (_first(kind, name),)
    asked = [str(python), "-c", _VERSIONS, *shown]
    versions = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    family = versions.pop("family")
    row = {
        kind: name,
        "version": ", ".join(f"{each} {versions[each]}" for each in shown),
        "SDK": versions["openai"],
        "HTTP": f"{family} {versions[family]}",
        **_counts(report),
    }
    return row, code


def _first(kind: str, name: str) -> str:
    """Return the first package that an `.in` file requires."""
    lines = (REQUIREMENTS / kind / f"{name}.in").read_text(encoding="utf-8").splitlines()
    wanted = next(line for line in lines if line and not line.startswith("#"))
    return wanted.partition("[")[0].partition("=")[0].rstrip("<>~!")


def _counts(report: Path | None) -> dict[str, str]:
    """Return how many tests passed, and the properties that the suite reported."""
    if report is None or not report.is_file():
        return dict.fromkeys(("passed", "failed", "skipped"), "?")
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    total, failed, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites for key in keys)
        for keys in (("tests",), ("failures", "errors"), ("skipped",))
    )
    properties = {
        str(one.get("name")): str(one.get("value"))
        for suite in suites
        for one in suite.iterfind("properties/property")
    }
    return {
        "passed": str(total - failed - skipped),
        "failed": str(failed),
        "skipped": str(skipped),
        **properties,
    }


def show(rows: list[dict[str, str]]) -> None:
    """Print the table."""
    heads = list(dict.fromkeys(head for row in rows for head in row))
    widths = {head: max(len(head), *(len(row.get(head, "")) for row in rows)) for head in heads}
    for row in (
        {head: head for head in heads},
        {head: "-" * widths[head] for head in heads},
        *rows,
    ):
        print("  ".join(row.get(head, "").ljust(widths[head]) for head in heads).rstrip())


def main() -> int:
    """Run what the command line asks for."""
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    own, options = given[:cut], given[cut + 1 :]
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="those that are run; default: all of the kind"
    )
    parser.add_argument(
        "--record",
        metavar="URL",
        help="record the cassettes again from the server at this base URL",
    )
    asked = parser.parse_args(own)
    known = names(asked.kind)
    if unknown := set(asked.names) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))} among {', '.join(known)}")
    results = [run(asked.kind, name, options, asked.record) for name in asked.names or known]
    print()
    show([row for row, _ in results])
    return int(any(code for _, code in results))


if __name__ == "__main__":
    sys.exit(main())
