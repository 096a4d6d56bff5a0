"""The programs in tests/typing mean to type checkers what they say."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.http import SDK

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "typing").glob("[!_]*.py"))
# The same checker, once with its own defaults and once with stricter ones, of which only the errors count.
PYRIGHTS = {"pyright": (), "basedpyright": ("--level", "error")}


def found(name: str) -> str | None:
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


pytestmark = pytest.mark.skipif(SDK < (3, 0), reason="an older SDK has other types")


def check(*command: str) -> None:
    done = subprocess.run([*command, *PROGRAMS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy isn't installed")
def test_mypy() -> None:
    assert PROGRAMS
    check(sys.executable, "-m", "mypy")


def test_pyright() -> None:
    name = next((name for name in PYRIGHTS if found(name)), None)
    if name is None:
        pytest.skip("neither pyright nor basedpyright is installed (requirements/servers.txt)")
    check(str(found(name)), *PYRIGHTS[name], "--pythonpath", sys.executable)
