"""Make environments while a newer release of every package is available.

With an old pip and with the newest; the environments must not differ.

    python -m tests.setup_check           install what `make demo` needs; resolve what tests need
    python -m tests.setup_check --all     install both; resolve every other list of requirements/

The newer releases are made up: wheels of version 999 in a folder, of every package on any list.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests import environments

PIPS = (
    "pip==23.2.1",
    "pip",
    # the one of Python 3.11 and 3.12, which reads `coverage[toml]` as a request for the newest
    # coverage; the newest
)
NEWER = "999"


def lists() -> list[str]:
    """List the files of exact packages."""
    return sorted(
        str(path.relative_to(environments.REQUIREMENTS))
        for path in environments.REQUIREMENTS.rglob("*.txt")
    )


def offer_newer(folder: Path) -> int:
    """Write a wheel of version 999 for every package of every list; return how many."""
    names = set().union(*(environments.pinned(name) for name in lists())) - {"pip"}
    for name in names:
        stem = f"{name.replace('-', '_')}-{NEWER}"
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(
                f"{stem}.dist-info/METADATA",
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n",
            )
            wheel.writestr(
                f"{stem}.dist-info/WHEEL",
                "Wheel-Version: 1.0\nGenerator: made-up\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return len(names)


def check(pip: str, folder: Path, *, everything: bool) -> list[str]:
    """Install with one pip; list the problems."""
    began = time.monotonic()
    folder = folder / pip.replace("==", "-")
    truly = ["demo", "dev"] if everything else ["demo"]
    for name in truly:  # in sequence, in one environment, like `make demo` and `make test`
        python = environments.ready(replace(environments.NAMED[name], folder=folder), pip=pip)
    version = _output([str(python), "-I", "-m", "pip", "--version"]).split()[1]
    installed = dict(
        line.split("==") for line in _pip(python, "list", "--format=freeze").splitlines()
    )
    pinned = environments.pinned(f"{truly[-1]}.txt")
    wrong = [
        f"{name} {found}"
        for name, found in installed.items()
        if found not in pinned.get(environments._normal(name), {found})
    ]
    if f"coverage-{NEWER}" not in _pip(
        python, "install", "--dry-run", "--no-deps", "--ignore-installed", "coverage"
    ):
        wrong.append("the newer releases weren't on offer")
    for name in (
        [name for name in lists() if name.removesuffix(".txt") not in truly]
        if everything
        else ["dev.txt"]
    ):
        output = _pip(
            python,
            "install",
            "--dry-run",
            "--ignore-installed",
            *environments.EXACTLY,
            "--requirement",
            str(environments.REQUIREMENTS / name),
        )
        would = output.partition("Would install ")[2].split()
        exact = {
            f"{package}-{version}"
            for package, versions in environments.pinned(name).items()
            for version in versions
        }
        wrong += [
            f"{name}: {one}"
            for one in would
            if environments._normal(one.rpartition("-")[0]) + one[one.rindex("-") :] not in exact
        ]
        if not would:
            wrong.append(f"{name}: nothing would be installed: {output[-2000:]}")
        print(f"pip {version}: {name}: {len(would)} packages", flush=True)
    print(
        f"pip {version}: {', '.join(truly)}: {len(installed)} packages installed; {time.monotonic() - began:.0f} s in all",
        flush=True,
    )
    return [f"pip {version}: {one}" for one in wrong]


def _pip(python: Path, *arguments: str) -> str:
    command = [str(python), "-I", "-m", "pip", "--disable-pip-version-check", *arguments]
    return _output(command, env=environments._pips_own(str(python)))


def _output(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=environments.ROOT, env=env, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"


def main() -> int:
    """Check with both pips at once."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="every list; downloads some gigabytes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "newer")
        folder.mkdir()
        print(f"{offer_newer(folder)} made-up releases on offer", flush=True)
        os.environ["PIP_FIND_LINKS"] = f"{os.environ.get('PIP_FIND_LINKS', '')} {folder}"
        with ThreadPoolExecutor(len(PIPS)) as pool:
            found = list(
                pool.map(lambda pip: check(pip, Path(temporary), everything=asked.all), PIPS)
            )
    wrong = [one for each in found for one in each]
    print("\n".join(wrong) or "nothing differs", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
