"""Scan published packages: every call site against a list made by hand, and every changed import against the package's own modules.

    python -m tests.packages.run              all packages of sites.json
    python -m tests.packages.run ragas        one, or several

Needs the network: each package gets an environment of its own in `.lanes/packages`, from `requirements/packages`. `sites.json` holds facts only: versions, files, lines, kinds; `missed` lists
sites that a reader finds and the scan doesn't. For each package: what is on the list and not found, what is found and not on the list; then a copy has its
imports changed, each changed module is compiled, its names are compared, a second run changes nothing, and the modules that could be imported
before still can.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.environments import LANES, Environment, ready

HOME = LANES / "packages"
SITES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("sites.json").read_text(encoding="utf-8"))

_FILES = """
import importlib.metadata, json, sys
package = importlib.metadata.distribution(sys.argv[1])
files = [str(file) for file in package.files if not str(file).startswith("..") and "__pycache__" not in file.parts]
print(json.dumps([package.version, str(package.locate_file("")), files]))
"""

_IMPORT = """
import importlib, json, os, sys, warnings
warnings.simplefilter("ignore")
fine = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        fine.append(name)
    except BaseException:
        pass
print("\\n" + json.dumps(fine))
os._exit(0)
"""


def source(package: str, python: Path) -> Path:
    """Copy a package's own files, and nothing else, out of its environment."""
    folder = HOME / f"{package}-source"
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run([python, "-c", _FILES, package], capture_output=True, text=True, check=True)
    version, home, files = json.loads(done.stdout)
    if version != SITES[package]["version"]:
        msg = f"requirements/packages/{package}.txt has {version}, sites.json {SITES[package]['version']}"
        raise ValueError(msg)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(home, file), folder / file)
    return folder


def adapter(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    command = [sys.executable, "-c", "from adapter.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def importable(python: Path, folder: Path, modules: list[str]) -> set[str]:
    """Import modules from a folder, in one process; give those that could be."""
    if not modules:
        return set()
    done = subprocess.run(
        [str(python), "-c", _IMPORT, *modules], cwd=folder, capture_output=True, text=True, check=False
    )
    last = done.stdout.strip().splitlines()
    return set(json.loads(last[-1])) if last else set()


def check(package: str, *, with_imports: bool) -> bool:
    """Check one package; prints what was found."""
    python = ready(Environment(HOME / package, (f"packages/{package}.txt",)))
    folder = source(package, python)
    report = json.loads(adapter("scan", ".", "--json", cwd=folder).stdout)
    found = {(one["file"], one["line"], one["kind"]) for one in report["calls"]}
    listed = {tuple(one) for one in SITES[package]["sites"]}
    missed = {tuple(one) for one in SITES[package]["missed"]}
    print(
        f"{package} {SITES[package]['version']}: {report['summary']['files']} files, {report['summary']['parsed']} parsed, {len(found)} call sites"
    )
    print(
        f"  on the list and not found: {len(listed - found)}; found and not on the list: {len(found - listed)}; known to be missed: {len(missed - found)}"
    )
    for one in sorted((listed - found) | (found - listed)):
        print("   ", *one)
    copy = HOME / f"{package}-fixed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    before = json.loads(adapter("scan", "--fix", "--json", ".", cwd=copy).stdout)
    adapter("scan", "--fix", "--yes", ".", cwd=copy)
    again = json.loads(adapter("scan", "--fix", "--json", ".", cwd=copy).stdout)
    changed = [one["file"] for one in before["changed"]]
    broken = []
    for file in changed:
        try:
            compile((copy / file).read_bytes(), file, "exec")
        except SyntaxError:
            broken.append(file)
    print(
        f"  imports changed in {len(changed)} files, left in {len(before['left'])}; broken: {len(broken)}; a second run changes {len(again['changed'])}"
    )
    fine = found == listed and not broken and not again["changed"]
    if with_imports and changed:
        modules = [
            file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            for file in changed
            if file.endswith(".py")
        ]
        top = sorted({module.partition(".")[0] for module in modules})
        could, can = (importable(python, where, top + modules) for where in (folder, copy))
        print(
            f"  of {len(top + modules)} modules {len(could)} could be imported before, {len(can)} after; lost: {sorted(could - can)}"
        )
        fine = fine and could <= can
    return fine


def main() -> int:
    """Check the packages named, or all."""
    arguments = [one for one in sys.argv[1:] if not one.startswith("--")]
    results = [check(package, with_imports="--no-imports" not in sys.argv) for package in arguments or SITES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
