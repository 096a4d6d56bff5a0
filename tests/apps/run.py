"""Run published applications natively, with the adapter off, on, and on with drops, and compare.

The last mode also emulates. Standard library only.

    python -m tests.apps.run                     every application
    python -m tests.apps.run llm                 one, or several
    python -m tests.apps.run llm --show          also print what each scenario's native run did

Each application has an environment of its own in `.lanes/apps`, from `requirements/apps`, and each
mode a process of its own, which can connect to a scripted server on the loopback and nothing else.
What the application did must be the same in all modes, and its requests must mean the same. Exits
with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tests.apps import meaning
from tests.environments import LANES, REQUIREMENTS, ROOT, CannotBeMadeError, Environment, ready
from tests.isolated import show

Json = dict[str, Any]
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
SECONDS = 300
"""Seconds that one application may take in one mode."""
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where homes are created: applications with a database are slow on a busy disk."""

MODES: dict[str, dict[str, str]] = {
    "native": {},
    "off": {"ADAPTER_BACKEND": "chat"},
    "on": {"ADAPTER_BACKEND": "responses", "ADAPTER_ON_BUG": "raise"},
    "drops": {
        "ADAPTER_BACKEND": "responses",
        "ADAPTER_ON_BUG": "raise",
        "ADAPTER_UNSUPPORTED": "drop",
        "ADAPTER_EMULATE": "n,name,stop",
    },
}
"""The modes, each with its settings, as a user would set them."""
EMULATED = ("n", "name", "stop")
UNWATCHED = {
    "AGNO_TELEMETRY": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "MEM0_TELEMETRY": "False",
    "OTEL_SDK_DISABLED": "true",
}
"""Turns off the applications' telemetry and other network requests."""
BAD = ("adapter-bug", "missing", "blocked", "rejected", "refused")
"""Reasons that no call may have: each is a fault of the adapter's, or of the server's."""


@dataclass
class Found:
    """The result of one application: its row, why calls stayed, and what differs."""

    row: dict[str, str]
    stayed: list[dict[str, str]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)


def apps() -> list[str]:
    """List the applications that have both a list of packages and a module."""
    programs = ROOT / "tests" / "apps" / "programs"
    names = sorted(path.stem for path in REQUIREMENTS.glob("apps/*.txt"))
    return [name for name in names if (programs / f"{name.replace('-', '_')}.py").is_file()]


def play(name: str, mode: str, python: Path) -> Json:
    """Run one application in one mode, with its own home directory; return its report."""
    with tempfile.TemporaryDirectory(prefix="adapter-apps-", dir=MEMORY) as folder:
        home, report = Path(folder).resolve() / "home", Path(folder) / "report.json"
        home.mkdir()
        command = [str(python), "-m", "tests.apps.child", name, mode, str(report)]
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(home) | MODES[mode], timeout=SECONDS, stdin=subprocess.DEVNULL, start_new_session=True, check=False
        )  # fmt: skip
        if not report.is_file():
            msg = f"{name}, {mode}: the process ended with {done.returncode} and left no report"
            raise RuntimeError(msg)
        result: Json = json.loads(report.read_text(encoding="utf-8"))
        return result


def _environment(home: Path) -> dict[str, str]:
    kept = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "APPS_TRACEBACK")
    made = UNWATCHED | {
        "HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": home / ".config", "XDG_CACHE_HOME": home / ".cache", "XDG_DATA_HOME": home / ".data",
        "XDG_STATE_HOME": home / ".state", "TMPDIR": home / "tmp", "PYTHONHASHSEED": "0", "TZ": "UTC", "COLUMNS": "120", "TERM": "dumb",
        "NO_COLOR": "1", "GIT_CONFIG_NOSYSTEM": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    (home / "tmp").mkdir()
    return {key: os.environ[key] for key in kept if key in os.environ} | {
        key: str(value) for key, value in made.items()
    }


def check(name: str, *, shown: bool = False) -> Found:
    """Run one application in every mode, and compare."""
    try:
        python = ready(Environment(LANES / "apps" / name, (f"apps/{name}.txt",)))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            reports = dict(
                zip(MODES, pool.map(lambda mode: play(name, mode, python), MODES), strict=True)
            )
    except (CannotBeMadeError, RuntimeError, subprocess.TimeoutExpired) as error:
        row = dict.fromkeys(
            ("version", "SDK", "wired by", "private", "scenarios", "off", "on", "drops", "same"), ""
        )
        return Found({"application": name, **row, "same": "no"}, differences=[str(error)])
    native = reports["native"]
    versions = dict(native["versions"])
    found = Found({
        "application": name,
        "version": ", ".join(f"{version}" for package, version in versions.items() if package != "openai") or versions["openai"],
        "SDK": versions["openai"],
        "wired by": native["app"]["wired"],
        "private": native["app"]["private"] or "-",
        "scenarios": str(len(native["scenarios"])),
    })  # fmt: skip
    for mode, report in reports.items():
        found.differences += [
            f"{mode}: tried to reach the network: {each}" for each in report["refused"]
        ]
        for scenario, result in report["scenarios"].items():
            found.differences += [
                f"{mode} {scenario}: {asked['path']}: {asked['trouble']}"
                for asked in result["asked"]
                if asked["trouble"]
            ]
        if mode != "native":
            _compare(mode, native, report, found)
            found.row[mode] = _moved(name, mode, report, found)
    found.row["reasoning back"] = _carried(reports["on"])
    found.row["same"] = (
        "no" if found.differences else f"yes, but {len(found.excused)}" if found.excused else "yes"
    )
    if shown:
        did = {key: result["outcome"] for key, result in native["scenarios"].items()}
        print(json.dumps(did, indent=1, ensure_ascii=False))
    return found


def _compare(mode: str, native: Json, report: Json, found: Found) -> None:
    for scenario, result in report["scenarios"].items():
        lost, before = _let_go(mode, result["records"]), native["scenarios"][scenario]
        asked = before["asked"], result["asked"]
        if mode != "off":  # and there to the letter
            asked = (
                [*_meant(before["asked"], lost, several=mode == "drops")],
                [*_meant(result["asked"], lost)],
            )
        pairs = {"outcome": (before["outcome"], result["outcome"]), "asked": asked}
        for key, (left, right) in pairs.items():
            for path, one, other in differences(left, right, key):
                excuses = native["app"]["but"][scenario].items()
                excuse = next(
                    (why for glob, why in excuses if fnmatchcase(f"{mode} {path}", glob)), None
                )
                if excuse is None:
                    found.differences.append(
                        f"{mode} {scenario} {path}: natively {one!r}, here {other!r}"
                    )
                else:
                    found.excused[f"{scenario}: {excuse}"] += 1
        for record in result["records"]:
            if record["reason"] in BAD:
                found.differences.append(
                    f"{mode} {scenario}: a call went to {record['backend']}: {record['reason']}"
                )


def _let_go(mode: str, records: list[Json]) -> set[str]:
    """Return what the ledger says that calls were sent without, and what was emulated."""
    lost = {
        path.partition("[")[0] if path.count(".") == 0 else path
        for each in records
        for path, action in each["losses"]
        if action == "dropped"
    }
    return lost | set(EMULATED if mode == "drops" else ())


def _meant(asked: list[Json], lost: set[str], *, several: bool = False) -> Iterator[Any]:
    """Return what each request means; where `n` is emulated, as often as it was requested."""
    for each in asked:
        body = each["body"]
        if each["path"] == CHAT:
            times = body.get("n") or 1 if several else 1
            yield from [meaning.of_chat(body, lost)] * times
        else:
            yield meaning.of_responses(body, lost) if each["path"] == RESPONSES else each


def _moved(name: str, mode: str, report: Json, found: Found) -> str:
    """Return how many calls moved, of how many; add the reasons of the others."""
    records = [record for result in report["scenarios"].values() for record in result["records"]]
    asked = [each["path"] for result in report["scenarios"].values() for each in result["asked"]]
    moved = sum(record["backend"] == "responses" for record in records)
    why: Counter[tuple[str, str]] = Counter()
    for record in records:
        if record["asked"] == "responses" != record["backend"]:
            held = sorted({path for path, action in record["losses"] if action == "held"})
            why[record["reason"], ", ".join(held)] += 1
    # A call may take several requests; but one without a record bypassed the adapter.
    past = (
        asked.count(CHAT)
        if mode != "off" and not any(record["backend"] == "chat" for record in records)
        else 0
    )
    if past:
        why["past the adapter", ""] += past
    if mode == "off" and CHAT in asked and not records:
        found.differences.append("off: no call went through the adapter")
    rows = [
        {"application": name, "mode": mode, "stayed": str(times), "reason": reason, "path": path}
        for (reason, path), times in why.items()
    ]
    found.stayed += rows
    return f"{moved} of {len(records) + past}"


def _carried(report: Json) -> str:
    """Return how often calls came back with their reasoning, for requests to a reasoning model."""
    asked = [
        each["body"]
        for result in report["scenarios"].values()
        for each in result["asked"]
        if each["path"] == RESPONSES
    ]
    wanted = [
        body for body in asked if "reasoning.encrypted_content" in (body.get("include") or ())
    ]
    called, back = (
        sum(counts) for counts in zip((0, 0), *map(meaning.reasoning, wanted), strict=True)
    )
    return f"{back} of {called}" if called else "-"


def differences(left: Any, right: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Walk two pieces of JSON; yield each place where they differ, and the values there."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from differences(left.get(key, ABSENT), right.get(key, ABSENT), f"{path}.{key}")
    elif isinstance(left, list) and isinstance(right, list):
        for index, (one, other) in enumerate(zip_longest(left, right, fillvalue=ABSENT)):
            yield from differences(one, other, f"{path}[{index}]")
    elif type(left) is not type(right) or left != right:  # in Python, `True == 1 == 1.0`
        yield path, left, right


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


def _total(results: list[Found], mode: str) -> str:
    """Add up `k of n` over all applications."""
    pairs = [found.row[mode].split(" of ") for found in results if found.row.get(mode)]
    return f"{sum(int(moved) for moved, _ in pairs)} of {sum(int(calls) for _, calls in pairs)}"


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(apps())}; default: all"
    )
    parser.add_argument(
        "--show", action="store_true", help="also print what each scenario's native run did"
    )
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(apps()):
        parser.error(f"there is no {', '.join(sorted(unknown))} among {', '.join(apps())}")
    results = []
    for name in asked.names or apps():
        results.append(check(name, shown=asked.show))
        found = results[-1]
        print(
            f"{name}: {'the same' if not found.differences else f'{len(found.differences)} differences'}",
            flush=True,
        )
        for line in found.differences:
            print(f"  {line}", flush=True)
    print()
    show([found.row for found in results])
    print(
        "\nCalls that moved:",
        ", ".join(f"{mode} {_total(results, mode)}" for mode in MODES if mode != "native"),
    )
    if stayed := [row for found in results for row in found.stayed]:
        print("\nCalls that stayed on Chat Completions:\n")
        show(stayed)
    if excused := [
        (found.row["application"], *each) for found in results for each in found.excused.items()
    ]:
        print("\nDifferences that are known:\n")
        show(
            [
                {"application": name, "scenario and reason": why, "places": str(times)}
                for name, why, times in excused
            ]
        )
    return int(any(found.differences for found in results))


if __name__ == "__main__":
    sys.exit(main())
