"""Scan published packages and change a copy of each; compare with lists made by reading them.

    python -m tests.packages.run              all packages of sites.json
    python -m tests.packages.run ragas        one, or several
    python -m tests.packages.run --imports    also import the changed modules

Needs the network the first time: the packages come from `requirements/packages.txt`, without their
dependencies. With `--imports`, packages with a list of all dependencies get that environment
(`requirements/apps` or `requirements/packages`, several gigabytes together); without it, only
existing environments are used.

`sites.json` has facts by package: `sites` are the places that call Chat Completions (file, line,
kind, verdict, and a reason if that is a matter of judgement); `changes` the files in which a change
of imports is right, because they make a chat client; `known` the places where the scan is known to
differ (file, line, reason). None of it is copied from a scan.

Exits with 1 if the scan differs from the lists outside of the known places, if more than a quarter
of the verdicts are unclear, if it reports HTTP requests that don't exist, or if a change is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tests.environments import LANES, REQUIREMENTS, Environment, interpreter_in, ready
from tests.packages.changing import Changing, check_changes, compiles

HOME = LANES / "packages"
_LISTS = Path(__file__).with_name("sites.json")
SITES: dict[str, dict[str, Any]] = json.loads(_LISTS.read_text(encoding="utf-8"))
UNCLEAR_AT_MOST = 0.25

_FILES = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    one = importlib.metadata.distribution(name)
    files = [str(file) for file in one.files if "__pycache__" not in file.parts]
    files = [file for file in files if not file.startswith("..")]
    found[name] = [one.version, str(one.locate_file("")), files]
print(json.dumps(found))
"""

Place = tuple[str, int]


@dataclass(slots=True)
class Count:
    """The figures of one package, or of all of them."""

    sites: int = 0
    found: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0
    false: int = 0
    unclear: int = 0
    http: int = 0
    changed: int = 0
    wrongly: int = 0
    broken: int = 0
    unexpected: int = 0  # differences at places that aren't in `known`

    def add(self, other: Count) -> None:
        """Add the figures of another package."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def row(self, name: str) -> str:
        """Return a line of the table."""
        reported = self.found + self.false
        share = f"{100 * self.unclear / reported:.0f} %" if reported else "-"
        numbers = (self.sites, self.found, self.right, self.wrong, self.missed, self.false)
        changes = (self.http, self.changed, self.wrongly, self.broken)
        return (
            f"{name:<40}"
            + "".join(f"{number:>8}" for number in numbers)
            + f"{share:>9}"
            + "".join(f"{number:>9}" for number in changes)
        )

    def fails(self) -> list[str]:
        """Return the goals that aren't met."""
        total = self.found + self.false
        reasons = {
            f"{self.unclear} of {total} are unclear": self.unclear > UNCLEAR_AT_MOST * total,
            f"{self.http} HTTP requests that don't exist": self.http > 0,
            f"{self.wrongly} files changed that make no chat client": self.wrongly > 0,
            f"{self.broken} files broken": self.broken > 0,
            f"{self.unexpected} differences that aren't known": self.unexpected > 0,
        }
        return [reason for reason, holds in reasons.items() if holds]


HEADING = (
    f"{'package':<40}"
    + "".join(f"{name:>8}" for name in ("sites", "found", "right", "wrong", "missed", "false"))
    + f"{'unclear':>9}"
    + "".join(f"{name:>9}" for name in ("no HTTP", "changed", "wrongly", "broken"))
)


@dataclass(slots=True)
class Checked:
    """One package: its figures, and the differences as texts."""

    name: str
    count: Count = field(default_factory=Count)
    texts: list[str] = field(default_factory=list)


def sources(names: list[str]) -> dict[str, Path]:
    """Copy each package's own files, without its dependencies, out of their environment."""
    wanted = Environment(HOME / "alone", ("packages.txt",), project=False)
    python = ready(wanted)
    command = [str(python), "-c", _FILES, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    made = {}
    for name, (version, home, files) in json.loads(done.stdout).items():
        if version != SITES[name]["version"]:
            msg = f"{name}: packages.txt has {version}, sites.json {SITES[name]['version']}"
            raise ValueError(msg)
        made[name] = HOME / f"{name}-source"
        shutil.rmtree(made[name], ignore_errors=True)
        for file in files:
            (made[name] / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(home, file), made[name] / file)
    return made


def environment(name: str, *, make: bool) -> Path | None:
    """Return the Python of an environment with a package's dependencies, or None."""
    for kind in ("apps", "packages"):
        if (REQUIREMENTS / kind / f"{name}.txt").is_file():
            wanted = Environment(LANES / kind / name, (f"{kind}/{name}.txt",))
            if make:
                return ready(wanted)
            python = interpreter_in(wanted.folder)
            return python if python.exists() else None
    return None


def adapter(*arguments: str, cwd: Path) -> dict[str, Any]:
    """Run the command as a user would, and return the JSON that it prints."""
    command = [
        sys.executable,
        "-c",
        "from adapter.tools.cli import main; main()",
        *arguments,
        "--json",
    ]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(name: str, found: list[dict[str, Any]]) -> Iterator[tuple[str, Place, str]]:
    """Compare a scan with the list: yield `right`, `wrong`, `missed` or `false` by place."""
    by_place: dict[Place, list[dict[str, Any]]] = {}
    for one in found:
        by_place.setdefault((one["file"], one["line"]), []).append(one)
    for file, line, kind, verdict, *_ in SITES[name]["sites"]:
        here = by_place.pop((file, line), [])
        reported = [f"{one['kind']}, {one['verdict']}" for one in here]
        if not here:
            yield "missed", (file, line), f"{kind}, {verdict}"
        elif f"{kind}, {verdict}" in reported:
            yield "right", (file, line), ""
        else:
            text = f"{kind}, {verdict}; the scan reports {' and '.join(reported)}"
            yield "wrong", (file, line), text
        for _ in here[1:]:
            yield "false", (file, line), f"reported {len(here)} times"
    for place, here in by_place.items():
        for one in here:
            yield "false", place, f"{one['kind']}, {one['verdict']}"


def check(name: str, folder: Path, python: Path | None) -> Checked:
    """Check one package."""
    checked, known = Checked(name), {(file, line) for file, line, _ in SITES[name]["known"]}
    count = checked.count
    report = adapter("scan", ".", cwd=folder)
    found = report["calls"]
    for one in report["unread"]:
        if compiles(folder / one["file"]):
            count.unexpected += 1
            checked.texts.append(f"not read, though it is Python: {one['file']}: {one['why']}")
    count.sites = len(SITES[name]["sites"])
    count.unclear = sum(one["verdict"] == "unclear" for one in found)
    for outcome, (file, line), text in compare(name, found):
        setattr(count, outcome, getattr(count, outcome) + 1)
        if outcome == "right":
            continue
        count.http += outcome == "false" and text.startswith("http")
        count.unexpected += (file, line) not in known
        label = f"{outcome} (known)" if (file, line) in known else outcome
        checked.texts.append(f"{label}: {file}:{line}: {text}")
    count.found = count.right + count.wrong
    _changes(checked, check_changes(folder, HOME / f"{name}-changed", adapter, python))
    return checked


def _changes(checked: Checked, done: Changing) -> None:
    count, right = checked.count, set(SITES[checked.name]["changes"])
    count.changed, count.broken = len(done.changed), len(done.broken)
    wrongly = sorted(set(done.changed) - right)
    count.wrongly = len(wrongly)
    checked.texts += [f"wrongly changed: {file}" for file in wrongly]
    checked.texts += [f"broken: {file}: {why}" for file, why in sorted(done.broken.items())]
    for file in sorted(right - set(done.changed)):
        checked.texts.append(f"left, though a change is right: {file}: {done.left.get(file, '')}")
    checked.texts.append(f"imports: {done.imports}")


def main() -> int:
    """Check the given packages, or all."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="PACKAGE", help=", ".join(SITES))
    parser.add_argument("--imports", action="store_true", help="make the environments for imports")
    options = parser.parse_args()
    if unknown := set(options.names) - set(SITES):
        parser.error(f"unknown packages: {', '.join(sorted(unknown))}")
    names = options.names or list(SITES)
    folders = sources(names)
    pythons = {name: environment(name, make=options.imports) for name in names}
    total = Count()
    print(HEADING)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        work = [pool.submit(check, name, folders[name], pythons[name]) for name in names]
        for done in work:
            checked = done.result()
            total.add(checked.count)
            print(checked.count.row(f"{checked.name} {SITES[checked.name]['version']}"))
            for text in checked.texts:
                print(f"    {text}", flush=True)
    print(total.row("total"))
    failed = total.fails()
    for reason in failed:
        print(reason)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
