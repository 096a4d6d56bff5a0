"""Make the project's environments, each from an exact list of hashed packages.

Standard library only.

    python -m tests.environments demo                what `adapter demo` needs, in .venv
    python -m tests.environments dev                 for the tests and static checks, in .venv
    python -m tests.environments servers --optional  also big packages of some tests, if available
    python -m tests.environments docs                the documentation site, in .lanes/docs
    python -m tests.environments ray                 tests/tools/ray_audit.py; also litellm, vllm

Nothing is resolved: a list names every package with its version and hashes, so a new release
changes nothing (see requirements/README.md). An environment is kept while it is complete and its
lists stay the same. Otherwise it is made again.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
LANES = ROOT / ".lanes"
STAMP = "environment.json"
EXTRAS = ("test", "tools", "testing", "parquet", "redis", "seal", "openfeature")
"""The project's extras that the tests need, as in requirements/compile.sh."""

PROJECT = "chat-responses-adapter"
EXACTLY = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
"""How a list is installed: only what it names, from wheels, since a build would download more."""
EDITABLE = ("--no-deps", "--no-build-isolation", "--editable", ".")
"""How the project itself is installed: its build backend is on the list."""

_FROM_THE_USER = frozenset({
    "cache-dir", "cert", "client-cert", "default-timeout", "extra-index-url", "find-links", "index-url", "keyring-provider",
    "no-cache-dir", "no-index", "proxy", "retries", "timeout", "trusted-host", "use-deprecated", "use-feature",
})  # fmt: skip
"""The options of a user's own pip configuration that apply: where packages come from and how they
are reached. Other options, such as `user`, `target`, `no-binary` and `constraint`, would change
what is installed, or where to."""
_TRANSPORT_FEATURES = frozenset({"legacy-certs", "truststore"})

_WHO = """
import json, platform, sys, sysconfig
who = [sys.version, sys.base_prefix, platform.machine()]
base = getattr(sys, "_base_executable", sys.executable)  # not the active environment's
print(json.dumps([who, platform.python_version(), base, sys.prefix, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]))
"""


class CannotBeMadeError(RuntimeError):
    """An environment that can't be made on this machine, or not now; pip has printed the reason."""


@dataclass(frozen=True)
class Environment:
    """A folder, its lists (files in requirements/), and whether it includes the project."""

    folder: Path
    lists: tuple[str, ...]
    project: bool = True


NAMED = {
    "demo": Environment(ROOT / ".venv", ("demo.txt",)),
    "dev": Environment(ROOT / ".venv", ("demo.txt", "dev.txt")),
    "servers": Environment(ROOT / ".venv", ("demo.txt", "dev.txt", "servers.txt")),
    "docs": Environment(LANES / "docs", ("docs.txt",), project=False),
    "ray": Environment(LANES / "ray", ("ray.txt",)),
    "litellm": Environment(LANES / "bench-litellm", ("litellm.txt",)),
    "vllm": Environment(LANES / "vllm", ("vllm.txt",), project=False),
}


@dataclass(frozen=True)
class Interpreter:
    """What an interpreter reports about itself."""

    who: list[str]
    version: str
    base: str
    prefix: str
    packages: frozenset[Path]


@dataclass(frozen=True)
class Work:
    """What an environment still needs: lists, the project; or, with the reason, everything."""

    lists: tuple[str, ...] = ()
    project: bool = False
    rebuild: str = ""

    def __bool__(self) -> bool:
        return bool(self.lists or self.project or self.rebuild)


def ready(
    wanted: Environment, *, python: str | Path = sys.executable, pip: str | None = None
) -> Path:
    """Make an environment, or keep a complete one; return its Python.

    With `pip`, a requirement such as `pip==23.2.1`, that pip installs instead of the one bundled
    with Python.
    """
    if not (maker := _ask(python)):
        msg = f"{python} doesn't work"
        raise CannotBeMadeError(msg)
    if _work(wanted, maker):
        with _alone(wanted.folder):
            _make(wanted, maker, pip)
    return interpreter_in(wanted.folder)


def newest(folder: Path, *, python: str | Path = sys.executable) -> tuple[Path, dict[str, str]]:
    """Make an environment from the newest releases; return its Python and the versions found.

    Only here are versions resolved, to test new releases. The lists don't apply.
    """
    if not (maker := _ask(python)):
        msg = f"{python} doesn't work"
        raise CannotBeMadeError(msg)
    name = _shown(folder)
    with _alone(folder):
        _tell(f"{name}: making it with Python {maker.version} and the newest release of everything")
        shutil.rmtree(folder, ignore_errors=True)
        _run([maker.base, "-I", "-m", "venv", "--clear", str(folder)], f"{name} can't be made")
        _run([*_pip(folder), "--upgrade", "pip"], "pip can't be had")
        wanted = [
            "--requirement",
            str(REQUIREMENTS / "dev.in"),
            "--editable",
            f".[{','.join(EXTRAS)}]",
        ]
        _run([*_pip(folder), "--upgrade", *wanted], "the newest releases can't be installed")
    inside = _ask(interpreter_in(folder))
    assert inside is not None
    found = (path.name.removesuffix(".dist-info").rpartition("-") for path in _installed(inside))
    return interpreter_in(folder), {_normal(package): version for package, _, version in found}


def interpreter_in(folder: Path) -> Path:
    """Return the path of an environment's Python."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pinned(name: str) -> dict[str, set[str]]:
    """Read a list: the versions of each package, several where platforms differ."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(
        r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", (REQUIREMENTS / name).read_text(), re.MULTILINE
    ):
        found.setdefault(_normal(package), set()).add(version)
    return found


def _make(wanted: Environment, maker: Interpreter, pip: str | None) -> None:
    began, folder, name = time.monotonic(), wanted.folder, _shown(wanted.folder)
    if not (work := _work(wanted, maker)):  # the previous holder of the lock has made it
        return
    stamp, kept = folder / STAMP, b""
    if work.rebuild:
        _tell(
            f"{name}: {f'rebuilding it, since {work.rebuild}' if folder.exists() else f'making it with Python {maker.version}'}"
        )
        shutil.rmtree(folder, ignore_errors=True)
        _run([maker.base, "-I", "-m", "venv", "--clear", str(folder)], f"{name} can't be made")
        work = Work(wanted.lists, wanted.project)
        if pip:
            _run([*_pip(folder), "--upgrade", pip], f"{pip} can't be installed")
    else:
        kept = stamp.read_bytes()
        stamp.unlink()  # an interrupted installation leaves no stamp
    try:
        if work.lists:
            lists = " and ".join(f"requirements/{one}" for one in work.lists)
            _tell(f"{name}: installing the packages of {lists}")
            given = [
                word for one in work.lists for word in ("--requirement", str(REQUIREMENTS / one))
            ]
            _run([*_pip(folder), "--no-compile", *EXACTLY, *given], f"{lists} can't be installed")
            _compile(folder)
        if work.project:
            _tell(f"{name}: installing the project itself")
            _run([*_pip(folder), *EDITABLE], "the project can't be installed")
    except CannotBeMadeError:
        if kept:  # pip downloads everything first: the old environment may still be complete
            stamp.write_bytes(kept)
        raise
    held = json.loads(kept)["lists"] if kept else {}
    _stamp(wanted, maker, {**held, **{one: _digest(one) for one in wanted.lists}})
    _tell(f"{name}: ready ({time.monotonic() - began:.0f} s)")


def _work(wanted: Environment, maker: Interpreter) -> Work:
    try:
        stamp = json.loads((wanted.folder / STAMP).read_bytes())
        made_by, root, held, project, there = (
            stamp[key] for key in ("python", "root", "lists", "project", "packages")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Work(rebuild="it isn't finished")
    inside = _ask(interpreter_in(wanted.folder))
    if inside is None or Path(inside.prefix).resolve() != wanted.folder.resolve():
        return Work(rebuild="its Python doesn't work")
    if not made_by == inside.who == maker.who:
        return Work(rebuild=f"Python is {maker.version} now")
    if root != str(ROOT):
        return Work(rebuild="the repository has moved")
    if any(_digest(one) != digest for one, digest in held.items()):
        return Work(rebuild="the packages wanted have changed")
    if broken := _broken(inside, there):
        return Work(rebuild=f"{broken} is gone or incomplete")
    return Work(
        tuple(one for one in wanted.lists if one not in held),
        wanted.project and project != _project(),
    )


def _stamp(wanted: Environment, maker: Interpreter, lists: dict[str, str]) -> None:
    inside = _ask(interpreter_in(wanted.folder))
    assert inside is not None
    names = {
        "pip",
        *([PROJECT] if wanted.project else []),
        *(name for one in lists for name in pinned(one)),
    }
    there = [
        found.name for found in _installed(inside) if _normal(found.name.partition("-")[0]) in names
    ]
    whole = {
        "python": maker.who, "root": str(ROOT), "lists": lists, "project": _project() if wanted.project else None, "packages": sorted(there),
    }  # fmt: skip
    written = wanted.folder / f"{STAMP}.new"
    written.write_text(json.dumps(whole, indent=1))
    written.replace(wanted.folder / STAMP)


def _broken(inside: Interpreter, wanted: list[str]) -> str | None:
    """Return a package that is incomplete, or whose version differs from the one installed."""
    there = {found.name: found for found in _installed(inside)}
    for name in wanted:
        try:
            record = (there[name] / "RECORD").read_text(encoding="utf-8")
        except (KeyError, OSError):
            return name.removesuffix(".dist-info")
        home = f"{there[name].parent}{os.sep}"
        files = [row[0] for row in csv.reader(record.splitlines()) if not row[0].endswith(".pyc")]
        if not all(os.path.exists(home + file) for file in files):  # noqa: PTH110 - thousands of them
            return name.removesuffix(".dist-info")
    return None


def _installed(inside: Interpreter) -> list[Path]:
    return [
        found
        for folder in inside.packages
        if folder.is_dir()
        for found in folder.glob("*.dist-info")
    ]


def _ask(python: str | Path) -> Interpreter | None:
    try:
        answer = subprocess.run(
            [str(python), "-I", "-c", _WHO],
            capture_output=True,
            text=True,
            check=True,
            env=_clean(),
        )
        who, version, base, prefix, *packages = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return Interpreter(
        who, version, base, prefix, frozenset(Path(one).resolve() for one in packages)
    )


def _digest(name: str) -> str | None:
    file = REQUIREMENTS / name
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _project() -> str:
    """Return a digest of what pyproject.toml says about installing the project.

    The options of its tools are left out.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    counts: list[Any] = [project["build-system"], project["project"], project["tool"]["hatch"]]
    return hashlib.sha256(json.dumps(counts, sort_keys=True).encode()).hexdigest()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(folder: Path) -> list[str]:
    # Twice quiet: pip warns about each of a machine's extra package folders that lacks a package.
    # Errors are still printed.
    return [
        str(interpreter_in(folder)),
        "-I",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "--quiet",
        "install",
    ]


def _run(command: Sequence[str], otherwise: str) -> None:
    done = subprocess.run(
        command, cwd=ROOT, env=_pips_own(command[0]) if "pip" in command else _clean(), check=False
    )
    if done.returncode:
        raise CannotBeMadeError(otherwise)


def _compile(folder: Path) -> None:
    """Compile what is installed, on all cores; pip would use one.

    Files that can't be compiled, such as templates, are left as they are.
    """
    inside = _ask(interpreter_in(folder))
    assert inside is not None
    command = [
        str(interpreter_in(folder)),
        "-I",
        "-m",
        "compileall",
        "-q",
        "-q",
        "-j",
        "0",
        *map(str, inside.packages),
    ]
    subprocess.run(command, env=_clean(), capture_output=True, check=False)


def _clean() -> dict[str, str]:
    """Return the environment variables without those that would redirect Python or pip."""
    unwanted = {"VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {
        key: value
        for key, value in os.environ.items()
        if not key.upper().startswith(("PIP_", "PYTHON")) and key not in unwanted
    }


@cache
def _pips_own(python: str) -> dict[str, str]:
    """Return pip's variables: of a user's configuration, files included, only what is allowed."""
    asked = [python, "-I", "-m", "pip", "--disable-pip-version-check", "config", "list"]
    # pip reads its variables first, and fails on some of them; this command reads its files.
    listed = subprocess.run(
        asked, env=_clean() | {key: value for key, value in os.environ.items() if key == "PIP_CONFIG_FILE"}, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    options: dict[str, str] = {}
    for section in ("global", "install"):  # the latter has precedence
        for key, value in re.findall(rf"^{section}\.([a-z-]+)=(.*)$", listed, re.MULTILINE):
            options[key] = str(ast.literal_eval(value))
    options |= {
        key[4:].lower().replace("_", "-"): value
        for key, value in os.environ.items()
        if key.startswith("PIP_") and value
    }
    for key in ("use-feature", "use-deprecated"):
        options[key] = " ".join(
            word for word in options.get(key, "").split() if word in _TRANSPORT_FEATURES
        )
    passed = {
        "PIP_" + key.upper().replace("-", "_"): value
        for key, value in options.items()
        if key in _FROM_THE_USER and value
    }
    return {**_clean(), **passed, "PIP_CONFIG_FILE": os.devnull}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock an environment against other processes of this kind."""
    LANES.mkdir(exist_ok=True)
    with (LANES / f"{folder.name}.lock").open("w") as lock:
        try:
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _tell(f"{_shown(folder)}: another process is making it, waiting")
                fcntl.flock(lock, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass  # a system without such locks
        yield


def _shown(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else folder.name


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Make the environments that are named, and print the Python of each."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("names", nargs="+", choices=NAMED, metavar="NAME", help=", ".join(NAMED))
    parser.add_argument(
        "--optional", action="store_true", help="say so and exit with 0 where one can't be made"
    )
    parser.add_argument("--quiet", action="store_true", help="don't print where its Python is")
    asked = parser.parse_args()
    for name in asked.names:
        try:
            python = ready(NAMED[name])
        except CannotBeMadeError as error:
            _tell(
                f"{name}: {error}"
                + (": the tests that need it will be skipped" if asked.optional else "")
            )
            if not asked.optional:
                return 1
        else:
            if not asked.quiet:
                print(os.path.relpath(python, ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
