"""Run the same tests on every supported SDK, HTTP library and Python, and print a table.

Standard library only.

    python -m tests.lanes                      every lane whose Python is there
    python -m tests.lanes sdk-1.66 sdk-2       some of them
    python -m tests.lanes --short              tables of cases, in the lanes that differ most
    python -m tests.lanes sdk-2 -- -k stream   arguments after -- go to pytest
    python -m tests.lanes newest               all tests, newest release of every dependency

Environments are kept in `.lanes/` (see environments.py); the one of `newest` is made again each
time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

from tests.environments import LANES, ROOT, CannotBeMadeError, Environment, newest, pinned, ready


@dataclass(frozen=True)
class Lane:
    """One environment: its Python, its list of packages, and variables for the tests.

    Without a list it has the newest release of everything.
    """

    name: str
    requirements: str
    python: str = "3.11"
    environment: dict[str, str] = field(default_factory=dict)
    short: bool = False


ALL = (
    Lane("sdk-3", "dev.txt"),
    Lane("sdk-3-httpx", "lanes/sdk-3-httpx.txt", environment={"LANE_HTTP": "httpx"}, short=True),
    Lane("sdk-2", "lanes/sdk-2.txt"),
    Lane("sdk-1.109", "lanes/sdk-1.109.txt"),
    Lane("sdk-1.66", "lanes/sdk-1.66.txt", short=True),
    Lane("python-3.12", "dev.txt", python="3.12"),
    Lane("python-3.13", "dev.txt", python="3.13"),
    Lane("newest", ""),
)

# Independent of the SDK: the tests' own support, pure functions, settings and routing,
# documentation, the command line.
EVERYWHERE_THE_SAME = (
    "contract/test_flags", "contract/test_own_bugs", "corpus/test_corpus_requests",
    "docs/test_docs", "docs/test_typing", "integration/test_flag_providers",
    "integration/test_flips", "integration/test_settings_live", "integration/test_store_trouble",
    "integration/test_stores", "integration/test_stores_files", "plugin/test_made_responses",
    "plugin/test_plugin", "plugin/test_plugin_service", "plugin/test_testing", "property/test_laws",
    "support/test_support", "test_environments", "tools/test_demo", "tools/test_doctor",
    "unit/memory/test_serialization", "unit/reading/test_same_turn", "unit/routing/test_precedence",
    "unit/routing/test_rollout", "unit/settings/test_settings_file",
    "unit/telemetry/test_telemetry", "unit/translation/test_merge",
    "unit/translation/test_model_profiles", "unit/translation/test_parameters",
    "unit/translation/test_reasoning", "unit/translation/test_stop_sequences",
)  # fmt: skip
SHORT = (
    "contract/http/test_replies",
    "contract/sdk/test_clients",
    "contract/sdk/test_decisions",
    "contract/sdk/test_helpers",
    "contract/test_edge_errors",
    "contract/test_edge_replies",
    "contract/test_edge_streams",
    "contract/test_off",
)

# The folders of tests that run in one environment; the others have their own (frameworks, tracers,
# apps).
FOLDERS = (
    "unit",
    "contract",
    "integration",
    "property",
    "corpus",
    "plugin",
    "tools",
    "docs",
    "support",
)

ALWAYS_TOLD = ("openai", "httpx2", "pydantic", "pytest", "pip")

_VERSIONS = "import openai, sys, importlib.metadata as m; f = sys.argv[1]; print(openai.VERSION, f, m.version(f))"


def interpreter(version: str) -> str | None:
    """Find a Python that runs: a version manager's shim may exist and still fail."""
    managed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in (f"python{version}", *map(str, managed), sys.executable):
        path = shutil.which(candidate)
        wanted = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != {tuple(map(int, version.split('.')))})"
        if (
            path
            and subprocess.run([path, "-c", wanted], capture_output=True, check=False).returncode
            == 0
        ):
            return path
    return None


def prepare(lane: Lane) -> bool:
    """Make an environment where its Python exists; return whether it could be made."""
    try:
        return not (found := interpreter(lane.python)) or bool(_environment(lane, found))
    except CannotBeMadeError as error:
        print(f"{lane.name}: {error}", flush=True)
        return False


def files(*, everything: bool, short: bool) -> list[str]:
    """Return the test files of an environment, relative to the repository."""
    tests = ROOT / "tests"
    found = [
        *tests.glob("test_*.py"),
        *(path for folder in FOLDERS for path in (tests / folder).rglob("test_*.py")),
    ]
    named = {path.relative_to(tests).with_suffix("").as_posix() for path in found}
    if missing := {*EVERYWHERE_THE_SAME, *SHORT} - named:
        message = f"tests/lanes.py names files that are not there: {', '.join(sorted(missing))}"
        raise SystemExit(message)
    if not everything:
        named -= set(EVERYWHERE_THE_SAME)
    if short:
        named &= set(SHORT)
    return [f"tests/{name}.py" for name in sorted(named)]


def run(lane: Lane, options: list[str], *, short: bool) -> tuple[dict[str, str], int]:
    """Run an environment's tests; return its line of the table and pytest's exit code."""
    found = interpreter(lane.python)
    if found is None:
        return _untested(lane, "not here"), 0
    try:
        python, report = _environment(lane, found), LANES / f"{lane.name}.xml"
    except CannotBeMadeError as error:
        print(f"{lane.name}: {error}", flush=True)
        return _untested(lane, "no environment"), 1
    report.unlink(missing_ok=True)
    chosen = files(everything=not lane.requirements, short=short)
    spread = ["-n", "auto", "--dist", "worksteal"]  # a -n among the options has precedence
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "--no-header",
        *spread,
        f"--junitxml={report}",
        *options,
        *chosen,
    ]
    print(f"{lane.name}: {len(chosen)} files", flush=True)
    code = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **lane.environment}, check=False
    ).returncode
    family = lane.environment.get("LANE_HTTP") or (
        "httpx2" if lane.requirements in {"dev.txt", ""} else "httpx"
    )
    asked = subprocess.run(
        [str(python), "-c", _VERSIONS, family], check=True, capture_output=True, text=True
    ).stdout
    sdk, name, version = asked.split()
    return {
        "lane": lane.name,
        "Python": lane.python,
        "SDK": sdk,
        "HTTP": f"{name} {version}",
        **_counts(report),
    }, code


def _environment(lane: Lane, python: str) -> Path:
    if lane.requirements:
        return ready(Environment(LANES / lane.name, (lane.requirements,)), python=python)
    inside, found = newest(LANES / lane.name, python=python)
    held = pinned("dev.txt")
    print(f"{lane.name}: {', '.join(f'{name} {found[name]}' for name in ALWAYS_TOLD)}")
    for name, version in sorted(found.items()):
        if name in held and version not in held[name]:
            print(f"  {name} {version}; pinned {', '.join(sorted(held[name]))}")
    more, less = sorted(found.keys() - held.keys()), sorted(held.keys() - found.keys())
    print(
        f"  not among the pinned: {', '.join(more) or 'none'}; of the pinned absent: {', '.join(less) or 'none'}",
        flush=True,
    )
    return inside


def _untested(lane: Lane, why: str) -> dict[str, str]:
    return {
        "lane": lane.name,
        "Python": f"{lane.python}: {why}",
        "SDK": "",
        "HTTP": "",
        **_counts(None),
    }


def _counts(report: Path | None) -> dict[str, str]:
    if report is None or not report.is_file():
        return dict.fromkeys(("passed", "failed", "skipped"), "-")
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    total, failed, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites for key in keys)
        for keys in (("tests",), ("failures", "errors"), ("skipped",))
    )
    return {"passed": str(total - failed - skipped), "failed": str(failed), "skipped": str(skipped)}


def main() -> int:
    """Run what the command line asks for."""
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="LANE",
        help=f"of {', '.join(lane.name for lane in ALL)}; default: all",
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="tables of cases, in the lanes that differ most",
    )
    parser.add_argument(
        "--prepare", action="store_true", help="make the environments, and run nothing"
    )
    asked = parser.parse_args(given[:cut])
    if unknown := set(asked.names) - {lane.name for lane in ALL}:
        parser.error(
            f"there is no {', '.join(sorted(unknown))} among {', '.join(lane.name for lane in ALL)}"
        )
    lanes = [
        lane
        for lane in ALL
        if (lane.name in asked.names if asked.names else lane.short or not asked.short)
    ]
    if asked.prepare:
        return int(not all(prepare(lane) for lane in lanes))
    results = [run(lane, given[cut + 1 :], short=asked.short) for lane in lanes]
    rows = [row for row, _ in results]
    heads = list(rows[0])
    widths = {head: max(len(head), *(len(row[head]) for row in rows)) for head in heads}
    print()
    for row in (
        {head: head for head in heads},
        {head: "-" * widths[head] for head in heads},
        *rows,
    ):
        print("  ".join(row[head].ljust(widths[head]) for head in heads).rstrip())
    return int(any(code for _, code in results))


if __name__ == "__main__":
    sys.exit(main())
