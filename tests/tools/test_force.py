"""`adapter force`: the kill switch in a settings file; its other bytes are unchanged."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer")

import adapter
from adapter import Settings
from adapter._routing.reload import SettingsReloader
from adapter.tools import kill_switch
from adapter.tools.kill_switch import ForceError, force_file

REST = (
    '# Ours.\nbackend = "responses"  # moved in May\n\n'
    '[[rules]]   # the first\nmatch = {tag = "x"}\nbackend = "chat"\n'
)

# The file, and what it is with `force = "chat"`; without a second text, `off` gives the first one
# back.
FILES: dict[str, tuple[str, str] | tuple[str, str, str]] = {
    "plain": ('backend = "chat"\n', 'force = "chat"\nbackend = "chat"\n'),
    "comments first": (REST, REST.replace("backend", 'force = "chat"\nbackend', 1)),
    "no newline at the end": ("rollout = 5", 'force = "chat"\nrollout = 5'),
    "empty": ("", 'force = "chat"\n', "# No settings.\n"),
    "comments alone": ("# one\n# two", '# one\n# two\nforce = "chat"'),
    "CRLF": (
        'rollout = 5\r\n[[rules]]\r\nbackend = "chat"\r\n',
        'force = "chat"\r\nrollout = 5\r\n[[rules]]\r\nbackend = "chat"\r\n',
    ),
    "BOM": ("\ufeffrollout = 5\n", '\ufeffforce = "chat"\nrollout = 5\n'),
    "another value": (
        'rollout = 5\nforce = "responses" # why\n',
        'rollout = 5\nforce = "chat" # why\n',
        "rollout = 5\n",
    ),
    "an unknown value": (
        "force = true\nrollout = 5\n",
        'force = "chat"\nrollout = 5\n',
        "rollout = 5\n",
    ),
    "stronger in a rule": (
        'rollout = 5\n[[rules]]\nforce = "native"\nrollout = 6\n',
        'force = "chat"\nrollout = 5\n[[rules]]\nrollout = 6\n',
        "rollout = 5\n[[rules]]\nrollout = 6\n",
    ),
    "in several places": (
        (
            'force = "responses"\n[[rules]]\nmatch = {tag = "x", force = "chat"}\n'
            '[[rules]]\nmatch = {force = "native"}\nFORCE = "CHAT"\n'
        ),
        'force = "chat"\n[[rules]]\nmatch = {tag = "x"}\n[[rules]]\nmatch = {}\n',
        '[[rules]]\nmatch = {tag = "x"}\n[[rules]]\nmatch = {}\n',
    ),
    "the word elsewhere": (
        'service = "force = 5"\n# force = "native"\n[models.force]\nchat_only = true\n',
        (
            'force = "chat"\nservice = "force = 5"\n'
            '# force = "native"\n[models.force]\nchat_only = true\n'
        ),
    ),
}

PROJECTS: dict[str, tuple[str, str] | tuple[str, str, str]] = {
    "our table": (
        '[project]\nname = "x"\n[tool.adapter]  # ours\nrollout = 5\n[tool.other]\nforce = true\n',
        (
            '[project]\nname = "x"\n[tool.adapter]  # ours\nforce = "chat"\nrollout = 5\n'
            "[tool.other]\nforce = true\n"
        ),
    ),
    "our table at the end": ("[tool.adapter]", '[tool.adapter]\nforce = "chat"'),
    "no table": (
        '[project]\nname = "x"',
        '[project]\nname = "x"\n\n[tool.adapter]\nforce = "chat"\n',
        '[project]\nname = "x"\n\n[tool.adapter]\n',
    ),
    "rules alone": (
        "[[tool.adapter.rules]]\nrollout = 5\n",
        '[tool.adapter]\nforce = "chat"\n\n[[tool.adapter.rules]]\nrollout = 5\n',
        "[tool.adapter]\n\n[[tool.adapter.rules]]\nrollout = 5\n",
    ),
    "dotted": ("tool.adapter.rollout = 5\n", 'force = "chat"\ntool.adapter.rollout = 5\n'),
    "inline": (
        '[tool]\nadapter = {rollout = 5, force = "native"}\n',
        '[tool]\nadapter = {rollout = 5, force = "chat"}\n',
        "[tool]\nadapter = {rollout = 5}\n",
    ),
    "appended to another's": (
        '[tool.adapter]\nrollout = 5\n[tool.other]\nx = 1\nforce = "native"\n',
        '[tool.adapter]\nforce = "chat"\nrollout = 5\n[tool.other]\nx = 1\n',
        "[tool.adapter]\nrollout = 5\n[tool.other]\nx = 1\n",
    ),
    "CRLF": (
        "[tool.adapter]\r\nrollout = 5\r\n",
        '[tool.adapter]\r\nforce = "chat"\r\nrollout = 5\r\n',
    ),
}

ALL = [("adapter.toml", *one) for one in FILES.items()] + [
    ("pyproject.toml", *one) for one in PROJECTS.items()
]


@pytest.mark.parametrize(
    ("name", "case", "texts"), ALL, ids=[f"{name} {case}" for name, case, _ in ALL]
)
def test_the_rest_is_unchanged(
    name: str, case: str, texts: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / name
    before, forced, after = (*texts, texts[0])[:3]
    for wanted in ("chat", "native", "native", "chat"):
        file.write_bytes(before.encode())
        done = force_file(file, wanted)  # type: ignore[arg-type]
        expected = forced.replace('force = "chat"', f'force = "{wanted}"')
        assert file.read_bytes().decode() == expected
        assert (done.value, done.remarks) == (wanted, ())
        assert done.line is not None
        assert expected.split("\n")[done.line - 1].lstrip("\ufeff").find("force") >= 0
        assert Settings(config_file=file).force == wanted
        assert not force_file(file, wanted).written  # type: ignore[arg-type]  # it says so already
    done = force_file(file, "off")
    assert file.read_bytes().decode() == after
    assert (done.value, done.line, done.remarks) == (None, None, ())
    assert not force_file(file, "off").written
    if case != "no table":
        assert Settings(config_file=file).force is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


BAD: dict[
    str, tuple[str, str, str, str]
] = {  # the text, with the force, without it, what the remark says
    "a typo": (
        "rolout = 5\n",
        'force = "chat"\nrolout = 5\n',
        "rolout = 5\n",
        "rolout: no such setting",
    ),
    "no TOML": ("x = \n", 'force = "chat"\nx = \n', "x = \n", "not TOML"),
    "no TOML, with one": (
        'x = \nforce = "native"\nforce: on\n',
        'force = "chat"\nx = \n',
        "x = \n",
        "not TOML",
    ),
    "no TOML, no quotes": ("force = chat\nx = \n", 'force = "chat"\nx = \n', "x = \n", "not TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_forced_and_reported(case: str, tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    before, forced, after, remark = BAD[case]
    file.write_text('backend = "responses"\n')
    reader = SettingsReloader(Settings(config_file=file))
    file.write_text(before)
    for wanted, text, holds in (("chat", forced, "chat"), ("off", after, "chat")):
        done = force_file(file, wanted)  # type: ignore[arg-type]
        assert file.read_text() == text
        (said,) = done.remarks
        assert remark in said
        assert reader.current().settings.force == holds  # until a good file says otherwise
    file.write_text('force = "chat"\nx = \n')
    assert Settings(config_file=file).force == "chat"


def test_duplicates_become_one_force(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('force = "responses"\nrollout = 5\nforce = "chat"\n')
    assert force_file(file, "native").remarks == ()
    assert file.read_text() == 'force = "native"\nrollout = 5\n'


def test_a_force_appended_to_a_line_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('rollout = 5force = "chat"\n')
    assert force_file(file, "native").remarks == ()
    assert file.read_text() == 'force = "native"\nrollout = 5\n'
    file.write_text('rollout = 5force = "chat"\n')
    assert force_file(file, "off").remarks == ()
    assert file.read_text() == "rollout = 5\n"


def test_a_line_in_another_encoding_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_bytes(b"rollout = 5\n" + 'force = "chat"\r\n'.encode("utf-16"))
    assert force_file(file, "chat").remarks == ()
    assert file.read_bytes() == b'force = "chat"\nrollout = 5\n'


def test_a_file_in_another_encoding_keeps_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_bytes(before := 'service = "é"\nrollout = 5\n'.encode("latin-1"))
    force_file(file, "chat")
    assert file.read_bytes() == b'force = "chat"\n' + before
    force_file(file, "off")
    assert file.read_bytes() == before


def test_a_force_that_cannot_be_removed_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('rollout = 5\n[[rules]]\nforce = """\nnative"""\n')
    done = force_file(file, "chat")
    assert done.value == "native"
    assert "native on line 4 can't be removed" in done.remarks[0]
    done = force_file(file, "off")
    assert (done.value, len(done.remarks)) == ("native", 1)


# The file itself


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_mode_and_owner_stay(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text("rollout = 5\n")
    if os.geteuid() == 0:
        os.chown(file, 12345, 23456)
    file.chmod(mode)
    before = file.stat()
    force_file(file, "chat")
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino  # replaced as a whole


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file = tmp_path / "real" / "adapter.toml"
    file.write_text("rollout = 5\n")
    link = tmp_path / "adapter.toml"
    link.symlink_to("real/adapter.toml")
    assert force_file(link, "chat").remarks == ()
    assert link.is_symlink()
    assert file.read_text() == 'force = "chat"\nrollout = 5\n'
    assert Settings(config_file=link).force == "chat"


def test_a_file_with_two_names_is_written_in_place(tmp_path: Path) -> None:
    file, other = tmp_path / "adapter.toml", tmp_path / "other.toml"
    file.write_text("rollout = 5\n" * 1)
    other.hardlink_to(file)
    (remark,) = force_file(file, "chat").remarks
    assert "in place" in remark
    assert other.read_text() == file.read_text() == 'force = "chat"\nrollout = 5\n'
    force_file(other, "off")
    assert file.read_text() == "rollout = 5\n"


def test_a_mount_is_written_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> None:
        raise OSError(16, "Device or resource busy")

    file = tmp_path / "adapter.toml"
    file.write_text("rollout = 5\n")
    monkeypatch.setattr(kill_switch.os, "replace", busy)
    (remark,) = force_file(file, "chat").remarks
    assert "Device or resource busy" in remark
    assert file.read_text() == 'force = "chat"\nrollout = 5\n'
    assert [path.name for path in tmp_path.iterdir()] == ["adapter.toml"]


def test_anything_but_a_file_is_refused(tmp_path: Path) -> None:
    folder, pipe, missing, dangling = (
        tmp_path / name for name in ("folder", "pipe", "missing.toml", "dangling.toml")
    )
    folder.mkdir()
    dangling.symlink_to("nowhere")
    refused = [folder, missing, dangling]
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)
        refused.append(pipe)
    for path, wanted in itertools.product(refused, ("chat", "off")):
        with pytest.raises(ForceError, match=path.name):
            force_file(path, wanted)  # type: ignore[arg-type]
    assert not missing.exists()


def test_a_running_process_follows(tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text(REST)
    reader = SettingsReloader(Settings(config_file=file))
    for wanted in ("chat", "native", "off", "native", "off"):
        force_file(file, wanted)  # type: ignore[arg-type]
        assert reader.current().settings.force == (None if wanted == "off" else wanted)
    file.write_text('force = "chat"\n')
    assert reader.current().settings.force == "chat"
    force_file(file, "off")  # nothing else is in the file
    assert reader.current().settings.force is None


# The command


@dataclass
class Done:
    """The result of the command."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs the command as a shell would."""
    from adapter.tools.cli import main

    def run(*arguments: object, **environment: str) -> Done:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in {"COLUMNS": "500", **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["adapter", "force", *map(str, arguments)])
            with pytest.raises(SystemExit) as end:
                main()
        code = end.value.code or 0
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return run


def test_the_command(run: Callable[..., Done], tmp_path: Path) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text("rollout = 5\n")
    done = run("chat", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == f'{file} now sets force = "chat" (line 1): every call goes to Chat Completions.\n'
    )
    done = run("off", adapter_config=str(file))
    assert done.returncode == 0
    assert (
        done.stdout == f"{file} no longer forces a backend (removed from line 1): "
        "calls go where the settings say.\n"
    )
    file.write_text("rolout = 5\n")
    done = run("native", file, ADAPTER_FORCE="chat")
    assert done.returncode == 1
    assert "the API it was written for" in done.stdout
    assert "rolout: no such setting" in done.stderr
    assert "ADAPTER_FORCE is also set" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["chat"], ["chat", "/nowhere/adapter.toml"], ["responses", "x.toml"], ["chat", "."]],
)
def test_the_command_used_wrongly(
    run: Callable[..., Done], arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adapter.toml").write_text(
        "rollout = 5\n"
    )  # not found by itself: another program may be meant
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert (tmp_path / "adapter.toml").read_text() == "rollout = 5\n"


def test_the_doctor_shows_a_force_and_its_line(tmp_path: Path) -> None:
    from adapter.tools.doctor import settings_sources
    from adapter.tools.doctor.findings import Environment

    file = tmp_path / "adapter.toml"
    file.write_text('rolout = 5\n[[rules]]\nforce = "native"\n')
    found = list(settings_sources.settings(Environment(adapter.Settings(config_file=file))))
    trouble, _, force = found
    assert (trouble.state, "rolout" in trouble.message) == ("failed", True)
    assert (force.name, force.state) == ("force", "warning")
    assert f"({file}, line 3)" in force.message
    assert "rules.0.force: counts as force" in force.message
    assert force.details["forces"] == [{"place": f"{file}, line 3", "value": "native"}]
