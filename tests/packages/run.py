"""Scan published packages: every call site against a list made by hand, and every changed import against the package's own modules.

    python tests/packages/run.py              all packages of sites.json
    python tests/packages/run.py ragas        one, or several

Needs the network: packages come by name with pip, into `.lanes/packages`. `sites.json` holds facts only: versions, files, lines, kinds; `missed` lists
sites that a reader finds and the scan doesn't. For each package: what is on the list and not found, what is found and not on the list; then a copy has its
imports changed, each changed module is compiled, its names are compared, a second run changes nothing, and the modules that could be imported
before still can.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".lanes" / "packages"
SITES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("sites.json").read_text(encoding="utf-8"))

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


def source(package: str) -> Path:
    """Give a package's source, downloaded once."""
    version = SITES[package]["version"]
    folder = HOME / f"{package}-{version}"
    if not folder.is_dir():
        HOME.mkdir(parents=True, exist_ok=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "--quiet",
            "--disable-pip-version-check",
            "download",
            "--no-deps",
        ]
        subprocess.run([*pip, "--only-binary=:all:", "--dest", str(HOME), f"{package}=={version}"], check=True)
        (wheel,) = HOME.glob(f"{package.replace('-', '_')}-{version}-*.whl")
        zipfile.ZipFile(wheel).extractall(folder)
    return folder


def adapter(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    command = [sys.executable, "-c", "from adapter.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def environment(package: str) -> Path | None:
    """Make an environment with the package's own dependencies, and this adapter; give its Python, or None where they can't be had."""
    folder = HOME / f"{package}-venv"
    python = folder / "bin" / "python"
    if not (folder / "ready").is_file():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check", "install"]
        wanted = [f"{package}=={SITES[package]['version']}", str(ROOT)]
        if subprocess.run([*pip, *wanted], check=False).returncode:
            print("  its dependencies can't be had here: nothing is imported")
            return None
        (folder / "ready").touch()
    return python


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
    folder = source(package)
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
        python = environment(package)
        if python is None:
            return fine
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
