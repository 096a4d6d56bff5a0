"""The pages in docs/: their tests exist, their links lead to pages, and their examples run."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adapter._settings.fields import SettingsFields
from tests.support import answer_forms
from tests.support.answer_forms import AnswerParts

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("SECURITY.md", "README.md", "CHANGELOG.md", "MIGRATION.md")),
]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@cache
def _tests_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        one.name for one in tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))
    )


def _cited(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_tests_that_it_names_exist(page: Path) -> None:
    missing = [
        (file, name)
        for file, name in _cited(page)
        if not (ROOT / file).is_file() or (name and name not in _tests_of(ROOT / file))
    ]
    assert missing == []


def test_each_threat_has_a_test() -> None:
    text = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
    threats = text.partition("## What others can write")[2].partition("## What leaves the process")[
        0
    ]
    rows = [
        line
        for line in threats.splitlines()
        if line.startswith("| ") and not line.startswith("| what could")
    ]
    assert len(rows) > 30
    assert [row for row in rows if "`tests/" not in row] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_its_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_tenants_settings_are_some() -> None:
    text = (ROOT / "docs" / "guides" / "tenants.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    settings = SettingsFields.model_validate(tomllib.loads(example))
    assert settings.memory_scope_headers == ("x-tenant-id",)


def test_the_tenants_program_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "guides" / "tenants.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    names: dict[str, Any] = {}
    exec(compile(program, "tenants.md", "exec"), names)
    upstream = answer_forms.Upstream(
        json.dumps(answer_forms.completion(AnswerParts(("Hello.",)))).encode()
    )
    names["client"] = answer_forms.client(upstream)
    reply = names["answer"]("acme", "7", [{"role": "user", "content": "Hi"}])
    assert reply.choices[0].message.content == "Hello."


def test_the_logs_shape_reads_a_row(tmp_path: Path) -> None:
    from adapter.tools.logs.formats import RowFormats
    from adapter.tools.logs.rows import LoggedRequest, unwrap

    text = (ROOT / "docs" / "guides" / "audit-logs.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(\[\[logs.*?)```", text, re.DOTALL)
    file = tmp_path / "rows.toml"
    file.write_text(example, encoding="utf-8")
    messages = [{"role": "user", "content": "Hi"}]
    call = {
        "kind": "chat",
        "api": "chat",
        "engine": "gpt-5.2",
        "answers": 2,
        "prompt": messages,
        "options": {"seed": 7},
    }
    logged = unwrap({"call": call}, RowFormats.builtin().with_file(str(file)))
    assert isinstance(logged, LoggedRequest)
    assert logged.body == {"model": "gpt-5.2", "messages": messages, "n": 2, "seed": 7}


def test_the_exit_codes_are_those_of_the_command() -> None:
    from adapter.tools.cli import exit_codes

    text = (ROOT / "docs" / "guides" / "command.md").read_text(encoding="utf-8")
    documented = [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]
    assert documented == [
        0,
        exit_codes.EXIT_FINDINGS,
        exit_codes.EXIT_USAGE,
        exit_codes.EXIT_INTERRUPTED,
    ]


def test_every_command_and_verdict_has_its_line() -> None:
    from adapter.tools.audit.verdicts import VERDICT_KINDS
    from adapter.tools.cli.commands import COMMANDS
    from adapter.tools.scan.assessment import VERDICTS

    command, code, logs = (
        (ROOT / "docs" / "guides" / f"{name}.md").read_text("utf-8")
        for name in ("command", "change-code", "audit-logs")
    )
    assert re.findall(r"^\| `(\w+)` \|", command, re.MULTILINE) == sorted(COMMANDS), (
        "docs/guides/command.md has a row for each command"
    )
    assert sorted(re.findall(r"^\| [\w' …]+ \| `(\w+)` \|", code, re.MULTILINE)) == sorted(VERDICTS)
    fates = logs.partition("| fate |")[2].partition("\n\n")[0]
    assert fates.count("\n|") - 1 == len(VERDICT_KINDS)
