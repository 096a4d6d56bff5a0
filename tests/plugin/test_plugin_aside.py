"""Projects with their own `adapter`: pytest starts, and the plugin is inactive."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

OWN = "def mine():\n    return 'mine'\n"
USING = "import adapter\n\ndef test_a():\n    assert adapter.mine() == 'mine'\n"
ASKING = (
    "import pytest\n\n@pytest.mark.adapter_cassette('a')\ndef test_a(adapter_cassette):\n    pass\n"
)
TAKING_PART = (
    "import os\n\ndef test_a(backend):\n    assert os.environ['ADAPTER_BACKEND'] == backend\n"
)
INACTIVE = (
    "adapter: the plugin of chat-responses-adapter is inactive, since this project has its own "
    "`adapter`: "
)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    # Only the entry point's own module, as pytest finds it in any environment: the other plugins
    # take their time.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return pytester


def run(project: pytest.Pytester, files: Mapping[str, str], *args: str) -> pytest.RunResult:
    for name, text in files.items():
        path = project.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", "import sys, pytest; sys.exit(pytest.main())"]
    return project.run(*command, "-p", "pytest_chat_responses", "-p", "no:cacheprovider", *args)


IN_A_PART = {
    "parts/one/tests/__init__.py": "",
    "parts/one/tests/test_it.py": USING,
    "parts/one/adapter.py": OWN,
}
PROJECTS: dict[str, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "a module": ({"adapter.py": OWN, "conftest.py": "import adapter\n", "test_it.py": USING}, ()),
    "a package": (
        {"adapter/__init__.py": OWN, "tests/__init__.py": "", "tests/test_it.py": USING},
        (),
    ),
    "on pythonpath": (
        {
            "src/adapter.py": OWN,
            "pytest.ini": "[pytest]\npythonpath = src\n",
            "tests/test_it.py": USING,
        },
        (),
    ),
    "beside the tests that are named": (IN_A_PART, ("parts/one/tests",)),
}


@pytest.mark.parametrize("case", PROJECTS)
def test_the_name_is_the_projects(project: pytest.Pytester, case: str) -> None:
    files, args = PROJECTS[case]
    result = run(project, files, *args)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*is inactive*")  # no option is given


def test_use_of_the_inactive_plugin_is_reported(project: pytest.Pytester) -> None:
    files = {"adapter.py": OWN, "test_it.py": USING, "test_more.py": ASKING}
    result = run(
        project, files, "--adapter-backend=both", "--adapter-report=report.json", "--strict-markers"
    )
    result.assert_outcomes(passed=1, errors=1)
    assert (
        result.stdout.str().count(f"{INACTIVE}adapter.py") == 2
    )  # for the option, and for the fixture
    assert not (project.path / "report.json").exists()


def test_a_module_found_late_is_reported(project: pytest.Pytester) -> None:
    result = run(project, IN_A_PART, "--adapter-strict")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"{INACTIVE}parts/one/adapter.py"])


def test_a_folder_of_that_name_is_ignored(project: pytest.Pytester) -> None:
    files = {"adapter/notes.txt": "", "adapter/old.py": "", "test_it.py": TAKING_PART}
    run(project, files, "--adapter-backend=both").assert_outcomes(passed=2)


def test_the_entry_point_is_that_module() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)
    assert project["project"]["entry-points"]["pytest11"] == {"adapter": "pytest_chat_responses"}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "pytest_chat_responses.py" in wheel["only-include"]
