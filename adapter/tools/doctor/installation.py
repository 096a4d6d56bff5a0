"""Check the installation: the SDK, its HTTP library, the key, and what `import adapter` finds."""

from __future__ import annotations

import importlib.machinery
import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import adapter
from adapter.testing.vcr_check import sdk_http_library

from .findings import Environment, Finding

DISTRIBUTION = "chat-responses-adapter"
OLDEST, BEYOND = (1, 66), (4,)
"""The supported versions of the SDK, as in the dependencies: from OLDEST, below BEYOND."""


def version_of(name: str) -> str | None:
    """Return a distribution's version; None if it isn't installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def sdk(_: Environment) -> Iterator[Finding]:
    """Report the versions of the SDK, its HTTP library and Python."""
    version = version_of("openai")
    python = ".".join(map(str, sys.version_info[:3]))
    if version is None:
        yield Finding(
            "sdk", "failed", "The openai SDK isn't installed.", "pip install 'openai>=1.66,<4'"
        )
        return
    versions = {"python": python, "openai": version, DISTRIBUTION: version_of(DISTRIBUTION)}
    if not OLDEST <= _version_numbers(version) < BEYOND:
        yield Finding(
            "sdk",
            "failed",
            f"openai {version} isn't a supported version.",
            "pip install 'openai>=1.66,<4'",
            versions,
        )
        return
    library = sdk_http_library().__name__
    versions |= {name: version_of(name) for name in ("httpx2", "httpx") if version_of(name)}
    yield Finding(
        "sdk",
        "ok",
        f"openai {version} on {library} {version_of(library)}, Python {python}.",
        details=versions,
    )


def key(environment: Environment) -> Iterator[Finding]:
    """Report whether a key is set, without showing it."""
    names = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
    found = [name for name in names if environment.variables.get(name)]
    if found:
        yield Finding("key", "ok", f"{' and '.join(found)} set.")
    else:
        yield Finding(
            "key",
            "note",
            "No OPENAI_API_KEY in this environment.",
            "Fine if the program gets its key from another source.",
        )


def shadow(environment: Environment) -> Iterator[Finding]:
    """Find modules that a program run here would import instead of this package."""
    package_folder = Path(adapter.__file__).resolve().parent
    others = sorted(set(metadata.packages_distributions().get("adapter", ())) - {DISTRIBUTION})
    if others:
        yield Finding(
            "shadow",
            "failed",
            f"Another distribution, {', '.join(others)}, overwrites the package `adapter`.",
            f"pip uninstall {' '.join(others)}; "
            f"then pip install --force-reinstall --no-deps {DISTRIBUTION}",
        )
    found = [
        (where, spec)
        for where in _search_path(environment)
        if (spec := _find_spec(where)) is not None and not _is_this_package(spec, package_folder)
    ]
    for where, spec in found:
        yield Finding(
            "shadow",
            "failed",
            f"Programs that search {where} first would import {spec.origin} "
            "instead of this package.",
            "Rename it.",
        )
    if not others and not found:
        yield Finding(
            "shadow",
            "ok",
            "`import adapter` finds this package.",
            details={"path": str(package_folder)},
        )


def _search_path(environment: Environment) -> list[Path]:
    """List the folders that Python searches first: the program's, and those in PYTHONPATH."""
    listed = [
        environment.folder,
        *(
            Path(one)
            for one in environment.variables.get("PYTHONPATH", "").split(os.pathsep)
            if one
        ),
    ]
    return list(dict.fromkeys(one.resolve() for one in listed))


def _find_spec(where: Path) -> importlib.machinery.ModuleSpec | None:
    spec = importlib.machinery.PathFinder.find_spec("adapter", [str(where)])
    # A folder without `__init__.py` has no precedence over an installed package.
    return spec if spec is not None and spec.origin is not None else None


def _is_this_package(spec: importlib.machinery.ModuleSpec, package_folder: Path) -> bool:
    return spec.origin is not None and Path(spec.origin).resolve().parent == package_folder
