"""The project's environments: exact lists, nothing resolved, and broken ones are noticed.

`make setup-check` does the same with real packages, while newer releases of all of them are
available.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import environments
from tests.environments import EDITABLE, EXACTLY, NAMED, REQUIREMENTS, ROOT, Environment, Work
from tests.setup_check import lists


@pytest.mark.parametrize("name", lists())
def test_a_list_is_exact(name: str) -> None:
    """Every entry is one version with hashes, and the project's build backend is among them."""
    text = (REQUIREMENTS / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).strip())
    assert [
        one
        for one in entries
        if not re.match(r"[\w.-]+==[\w.+!]+ (; [^\n]+ )?\\\n +--hash=sha256:[0-9a-f]{64}", one)
    ] == []
    assert len(entries) == sum(map(len, environments.pinned(name).values()))
    if name not in {
        "servers.txt",
        "docs.txt",
        "vllm.txt",
        "packages.txt",
    }:  # on top of dev.txt; the others don't include the project
        assert environments.pinned(name).keys() >= {"editables", "hatchling", "openai"}


@pytest.mark.parametrize("environment", NAMED)
def test_lists_in_one_environment_agree(environment: str) -> None:
    found: dict[str, set[str]] = {}
    for name in NAMED[environment].lists:
        for package, versions in environments.pinned(name).items():
            assert found.setdefault(package, versions) == versions, (name, package)


def test_what_the_tests_need_has_what_the_demo_needs() -> None:
    assert environments.pinned("demo.txt").items() <= environments.pinned("dev.txt").items()


def test_only_these_files_install_anything() -> None:
    """All others call `environments.ready`, which the next test restricts to exact lists."""
    programs = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("bench/**/*.py")]
    documents = [
        ROOT / "Makefile",
        *(ROOT / ".ci").iterdir(),
        *ROOT.glob(".github/**/*.yml"),
        *ROOT.glob("requirements/*.sh"),
        ROOT / "cassettes" / "README.md",
    ]
    running = [
        path
        for path in programs
        if re.search(r"""["']pip["'],|-m pip |uv pip""", path.read_text(encoding="utf-8"))
    ]
    assert {path.name for path in running} == {
        "environments.py",
        "setup_check.py",
        Path(__file__).name,
    }
    assert [
        path.name
        for path in documents
        if re.search(r"\bpip\d? (install|download)|-m venv", path.read_text(encoding="utf-8"))
    ] == []


class Recorded:
    """A stand-in for subprocess.run.

    It records commands, runs interpreters, and simulates pip's success.
    """

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **options: Any) -> Any:
        self.commands.append([*map(str, command)])
        if "pip" in command:
            return subprocess.CompletedProcess(command, 0, "", "")
        return REALLY([*command, *(["--without-pip"] if "venv" in command else [])], **options)


REALLY = subprocess.run


@pytest.mark.parametrize("name", NAMED)
def test_every_installation_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    recorded = Recorded()
    monkeypatch.setattr(subprocess, "run", recorded)
    wanted = NAMED[name]
    environments.ready(Environment(tmp_path / "venv", wanted.lists, wanted.project))
    installing = [
        command[command.index("install") + 1 :]
        for command in recorded.commands
        if "install" in command
    ]
    given = [word for one in wanted.lists for word in ("--requirement", str(REQUIREMENTS / one))]
    assert installing == [
        ["--no-compile", *EXACTLY, *given],
        *([[*EDITABLE]] if wanted.project else []),
    ]
    assert {"--no-deps", "--require-hashes"} <= set(EXACTLY)
    assert {"--no-deps", "--no-build-isolation"} <= set(EDITABLE)


def test_a_users_own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's configuration decides where packages come from, not what or where to install.

    Variables and files count alike.
    """
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nrequire-virtualenv = true\nconstraint = nowhere.txt\nproxy = file.invalid\ntimeout = 3\nno-binary = :all:\n"
        "[install]\nuser = true\ntimeout = 4\n"
    )
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    stray = {
        "PIP_CONFIG_FILE": str(file), "PIP_REQUIRE_VIRTUALENV": "1", "PIP_USER": "1", "PIP_TARGET": "x", "PIP_PREFIX": "x", "PIP_NO_BINARY": ":all:",
        "PIP_NO_DEPS": "0", "PIP_DRY_RUN": "1", "PIP_CONSTRAINT": "x", "PIP_LOG": "x", "PIP_NO_INDEX": "", "PIP_TRUSTED_HOST": "variable.invalid",
        "PIP_USE_FEATURE": "fast-deps truststore", "PYTHONPATH": "x", "PYTHONHOME": "x", "VIRTUAL_ENV": "x",
    }  # fmt: skip
    for key, value in stray.items():
        monkeypatch.setenv(key, value)
    allowed = {"PIP_" + key.upper().replace("-", "_") for key in environments._FROM_THE_USER}
    environments._pips_own.cache_clear()
    variables = environments._pips_own(sys.executable)
    environments._pips_own.cache_clear()
    expected = {"PIP_CONFIG_FILE": os.devnull, "PIP_PROXY": "file.invalid", "PIP_TIMEOUT": "4", "PIP_TRUSTED_HOST": "variable.invalid",
                "PIP_USE_FEATURE": "truststore"}  # fmt: skip
    assert {
        key: variables.get(key)
        for key in {*stray, *expected}
        if key.startswith("PIP_") and key in variables
    } == expected
    assert not {key for key in variables if key.startswith("PIP_")} - {"PIP_CONFIG_FILE", *allowed}
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"} & variables.keys()
    assert variables["PATH"] == os.environ["PATH"]


def wheel(folder: Path, name: str, version: str) -> str:
    """Write a small wheel; return its entry in a list."""
    stem, files = f"{name}-{version}", {f"{name}/__init__.py": "", f"{name}/deep/data.txt": version}
    files[f"{stem}.dist-info/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: not-to-be-had\n"
    )
    files[f"{stem}.dist-info/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: made-up\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{stem}.dist-info/RECORD"] = "".join(
        f"{file},,\n" for file in (*files, f"{stem}.dist-info/RECORD")
    )
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        for file, text in files.items():
            made.writestr(file, text)
    digest = environments.hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


class Made:
    """A real environment of two small packages, and its lists."""

    def __init__(self, folder: Path) -> None:
        self.requirements, self.wheels, self.folder = (
            folder / "requirements",
            folder / "wheels",
            folder / "venv",
        )
        self.requirements.mkdir()
        self.wheels.mkdir()
        self.write(
            "one.txt",
            wheel(self.wheels, "one", "1.0")
            + "absent==3 ; sys_platform == 'nowhere' \\\n    --hash=sha256:"
            + "0" * 64
            + "\n",
        )
        self.write("two.txt", wheel(self.wheels, "one", "1.0") + wheel(self.wheels, "two", "2.0"))
        wheel(self.wheels, "one", "999")
        self.one = Environment(self.folder, ("one.txt",), project=False)
        self.two = Environment(self.folder, ("one.txt", "two.txt"), project=False)

    def use(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(environments, "REQUIREMENTS", self.requirements)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(self.wheels))

    def write(self, name: str, text: str) -> None:
        (self.requirements / name).write_text(text)

    def needs(self, wanted: Environment | None = None) -> Work:
        maker = environments._ask(sys.executable)
        assert maker is not None
        return environments._work(wanted or self.two, maker)

    @property
    def packages(self) -> Path:
        inside = environments._ask(environments.interpreter_in(self.folder))
        assert inside is not None
        return next(path for path in inside.packages if path.is_dir())


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Made:
    with pytest.MonkeyPatch.context() as patch:
        made = Made(tmp_path_factory.mktemp("environment"))
        made.use(patch)
        assert made.needs(made.one) == Work(rebuild="it isn't finished")
        environments.ready(made.one)
        assert made.needs(made.one) == Work()
        assert made.needs() == Work(lists=("two.txt",))  # the addition of a second list
        environments.ready(made.two)
        return made


@pytest.fixture
def made(made_once: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    made_once.use(monkeypatch)
    return made_once


def test_a_whole_environment_is_kept(made: Made, capfd: pytest.CaptureFixture[str]) -> None:
    assert made.needs() == made.needs(made.one) == Work()
    assert (
        environments.ready(made.two)
        == environments.ready(made.one)
        == environments.interpreter_in(made.folder)
    )
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in made.packages.glob("*.dist-info")} >= {
        "one-1.0.dist-info",
        "two-2.0.dist-info",
    }


def test_what_a_user_has_added_is_left_alone(made: Made) -> None:
    (made.packages / "other-1.0.dist-info").mkdir()
    assert made.needs() == Work()


def stamped(**changes: object) -> Callable[[Made], str]:
    return lambda made: json.dumps(
        {**json.loads((made.folder / environments.STAMP).read_text()), **changes}
    )


DELETED: Callable[[Made], str | None] = lambda made: None  # noqa: E731 - a word for the table
STAMP: Callable[[Made], Path] = lambda made: made.folder / environments.STAMP  # noqa: E731 - same
BROKEN: dict[str, tuple[Callable[[Made], Path], Callable[[Made], str | None], str]] = {
    "interrupted": (STAMP, DELETED, "it isn't finished"),
    "a stamp cut short": (STAMP, lambda made: '{"python": [', "it isn't finished"),
    "a stamp of another kind": (STAMP, lambda made: "[]", "it isn't finished"),
    "no folder": (lambda made: made.folder, DELETED, "it isn't finished"),
    "no interpreter": (lambda made: environments.interpreter_in(made.folder), DELETED, "its Python doesn't work"),
    "an interpreter that fails": (lambda made: environments.interpreter_in(made.folder), lambda made: "#!/bin/false", "its Python doesn't work"),
    "no pyvenv.cfg": (lambda made: made.folder / "pyvenv.cfg", DELETED, "its Python doesn't work"),
    "another Python": (STAMP, stamped(python=["4.0", "", ""]), f"Python is {sys.version.split()[0]} now"),
    "moved": (STAMP, stamped(root="elsewhere"), "the repository has moved"),
    "no packages": (lambda made: made.packages, DELETED, " is gone or incomplete"),
    "a file is gone": (lambda made: made.packages / "two" / "deep" / "data.txt", DELETED, "two-2.0 is gone or incomplete"),
    "a version is gone": (lambda made: made.packages / "two-2.0.dist-info", DELETED, "two-2.0 is gone or incomplete"),
    "pip is gone": (lambda made: next(made.packages.glob("pip-*.dist-info")), DELETED, "pip-"),
    "a list has changed": (lambda made: made.requirements / "one.txt", lambda made: "one==1.1", "the packages wanted have changed"),
    "a list is gone": (lambda made: made.requirements / "two.txt", DELETED, "the packages wanted have changed"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_noticed(made: Made, case: str) -> None:
    where, becomes, reason = BROKEN[case]
    path, text = where(made), becomes(made)
    moved = made.folder.with_name("aside")
    path.rename(moved)
    try:
        if text is not None:
            path.write_text(text)
        assert reason in made.needs().rebuild
        assert reason in made.needs(made.one).rebuild  # also where less is required than installed
    finally:
        path.unlink(missing_ok=True)
        moved.rename(path)
    assert made.needs() == Work()


def test_several_processes_repair_it_at_once(made: Made) -> None:
    """One process makes it again, and the others wait and use it.

    It has what is on its lists, despite a newer release.
    """
    python = environments.interpreter_in(made.folder)
    python.unlink()
    python.symlink_to("nowhere")
    code = f"""
from pathlib import Path
from tests import environments
environments.REQUIREMENTS = Path({str(made.requirements)!r})
environments.ready(environments.Environment(Path({str(made.folder)!r}), ("one.txt", "two.txt"), project=False))
"""
    several = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate()[1] for process in several]
    assert [process.returncode for process in several] == [0, 0, 0], outputs
    assert sum(text.count("rebuilding it, since its Python doesn't work") for text in outputs) == 1
    assert sum(text.count(": ready (") for text in outputs) == 1
    assert made.needs() == Work()
    assert REALLY([python, "-c", "import one, two"], check=False).returncode == 0
    assert [path.name for path in made.packages.glob("one-*")] == ["one-1.0.dist-info"]


def test_a_failed_addition_leaves_what_was_there(made: Made) -> None:
    made.write("three.txt", "three==3 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(
        environments.CannotBeMadeError, match=r"requirements/three\.txt can't be installed"
    ):
        environments.ready(Environment(made.folder, ("one.txt", "three.txt"), project=False))
    assert made.needs() == Work()


def test_the_project_is_installed_again_when_its_description_changes(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_project = Environment(made.folder, ("one.txt",))
    assert made.needs(with_project) == Work(project=True)
    stamp = made.folder / environments.STAMP
    before = stamp.read_text()
    stamp.write_text(json.dumps({**json.loads(before), "project": environments._project()}))
    assert made.needs(with_project) == Work()
    monkeypatch.setattr(environments, "_project", lambda: "changed")
    assert made.needs(with_project) == Work(project=True)
    stamp.write_text(before)


def test_only_the_newest_lane_resolves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It installs what compile.sh compiles for the tests, without the lists."""
    recorded = Recorded()
    monkeypatch.setattr(subprocess, "run", recorded)
    environments.newest(tmp_path / "venv")
    installing = [
        command[command.index("install") + 1 :]
        for command in recorded.commands
        if "install" in command
    ]
    extras = f".[{','.join(environments.EXTRAS)}]"
    wanted = ["--upgrade", "--requirement", str(REQUIREMENTS / "dev.in"), "--editable", extras]
    assert installing == [["--upgrade", "pip"], wanted]
    compiled = (REQUIREMENTS / "compile.sh").read_text(encoding="utf-8").partition("dev.txt")[0]
    assert re.findall(r"--extra (\w+)", compiled) == list(environments.EXTRAS)
