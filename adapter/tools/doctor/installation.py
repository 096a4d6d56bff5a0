"""What is installed: the SDK, its HTTP library, and whether `import adapter` finds this package."""

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
"""The supported versions of the SDK: from the first, before the second. As in the package's dependencies."""


def version_of(name: str) -> str | None:
    """Return a distribution's version."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def sdk(_: Environment) -> Iterator[Finding]:
    """Say which SDK and HTTP library calls go through."""
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
            f"openai {version} isn't among the supported versions.",
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
    """Say whether there is a key; never which."""
    names = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
    found = [name for name in names if environment.variables.get(name)]
    if found:
        yield Finding("key", "ok", f"{' and '.join(found)} set.")
    else:
        yield Finding(
            "key",
            "note",
            "No OPENAI_API_KEY in this environment.",
            "Fine where the program has its key from elsewhere.",
        )


def shadow(environment: Environment) -> Iterator[Finding]:
    """Find what a program run here would import in place of this package."""
    ours = Path(adapter.__file__).resolve().parent
    others = sorted(set(metadata.packages_distributions().get("adapter", ())) - {DISTRIBUTION})
    if others:
        yield Finding(
            "shadow", "failed", f"Another distribution, {', '.join(others)}, installs a package `adapter` over this one.",
            f"pip uninstall {' '.join(others)}; then pip install --force-reinstall --no-deps {DISTRIBUTION}",
        )  # fmt: skip
    found = [
        (where, spec)
        for where in _search_path(environment)
        if (spec := _find_spec(where)) is not None and not _is_this_package(spec, ours)
    ]
    for where, spec in found:
        yield Finding(
            "shadow", "failed",
            f"{spec.origin} would be imported in place of this package by programs that begin their search in {where}.",
            "Rename it.",
        )  # fmt: skip
    if not others and not found:
        yield Finding(
            "shadow", "ok", "`import adapter` finds this package.", details={"path": str(ours)}
        )


def _search_path(environment: Environment) -> list[Path]:
    """List the folders that Python searches before the installed packages: that of the program, and PYTHONPATH's."""
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
    # A mere folder of that name loses against any installed package.
    return spec if spec is not None and spec.origin is not None else None


def _is_this_package(spec: importlib.machinery.ModuleSpec, ours: Path) -> bool:
    return spec.origin is not None and Path(spec.origin).resolve().parent == ours
