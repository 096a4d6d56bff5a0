"""The kill switch in a hurry: files with any other mistake, and lines in the wrong place."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import adapter
from adapter import Settings
from adapter._routing.reload import SettingsReloader
from adapter._routing.router import Router
from adapter._settings.fields import CallSettings, Rule, SettingsFields
from tests.support.answers import response
from tests.support.ways_in import Reply, WayIn, both, each_way_in
from tests.unit.routing.test_precedence import PLAIN, run_until_sent
from tests.unit.settings.test_settings_file import WRITTEN

GOOD = 'backend = "responses"\nservice = "checkout"\n'

# Mistakes: a line before any table, or tables that follow.
WRONG: dict[str, str] = {
    **{
        f"{name} misspelt": f"{name}x = 5\n"
        for name in SettingsFields.model_fields
        if name != "force"
    },
    **{
        f"{name} of the wrong type": f"{name} = [[[1]]]\n"
        for name in SettingsFields.model_fields
        if name != "force"
    },
    **{f"rule with a bad {name}": f"[[rules]]\n{name} = [[[1]]]\n" for name in Rule.model_fields},
    **{
        f"rule with a misspelt {name}": f"[[rules]]\n{name}x = 1\n"
        for name in CallSettings.model_fields
    },
    "nothing": "",
    "backend unknown": 'backend = "both"\n',
    "rollout too large": "rollout = 101\n",
    "rollout not a number": "rollout = nan\n",
    "contradiction": 'drop = ["seed"]\nunsupported_parameters = {seed = "error"}\n',
    "no such parameter": 'drop = ["sead"]\n',
    "no key": 'memory_key = "short"\n',
    "no such store": 'memory = "mysql://u:SECRET@host"\n',
    "objects": 'flags = "x"\nobservers = ["y"]\n',
    "bad fact": '[models."gpt-5"]\nno_such_fact = true\n',
    "unknown table": '[colours]\nred = "SECRET"\n',
    "rules a table": "[rules]\nrollout = 5\n",
    "second rule": '[[rules]]\nbackend = "chat"\n[[rules]]\nrolout = 5\n',
    "many": 'backend = 1\nrollout = "x"\nservcie = "y"\nmemory = 5\n'
    '[[rules]]\nmatch = {modle = "x"}\n',
}


def _in_a_rule(line: str, wrong: str) -> str:
    if "rules =" in wrong:
        return f"{wrong}[[rulez]]\n{line}\n"
    others = wrong.replace("[[rules]]", "[[rulez]]").replace("[rules]", "[rulez]")
    return f"{others}[[rules]]\n{line}\n"


# The place of the line in such a file.
PLACES: dict[str, Callable[[str, str], str]] = {
    "at the top": lambda line, wrong: f"{line}\n{wrong}",
    "appended": lambda line, wrong: f"{wrong}{line}\n",
    "appended after a rule": lambda line, wrong: (
        f'{wrong}[[other]]\n[[rules2]]\nbackend = "chat"\n{line}\n'
    ),
    "in a rule": _in_a_rule,
    "in a match": lambda line, wrong: f'{wrong}[[rulez]]\nmatch = {{tag = "x", {line}}}\n',
    "in a table of a table": lambda line, wrong: f"{wrong}[a.b.c]\n{line}\n",
    "of a model": lambda line, wrong: f'{wrong}[models2."gpt-5"]\n{line}\n',
}  # fmt: skip

# Its values, and what they mean.
VALUES: dict[str, str] = {
    'force = "chat"': "chat",
    'force = "native"': "native",
    'force = "chatt"': "native",
    'force = "CHAT"': "native",
    "force = true": "native",
    "force = 1": "native",
    'force = ["chat"]': "native",
    'force = " chat"': "native",
    'FORCE = "chat"': "chat",
    'Force = "native"': "native",
    "force = 'chat'": "chat",
}


class Case(NamedTuple):
    """One file."""

    wrong: str
    place: str
    line: str

    @property
    def text(self) -> str:
        return PLACES[self.place](self.line, WRONG[self.wrong])

    @property
    def odd(self) -> bool:
        """Return whether there is a mistake to log."""
        at_top = self.place == "at the top" or (
            self.place == "appended" and "[" not in WRONG[self.wrong]
        )
        known = VALUES[self.line] in self.line
        return (
            self.wrong != "nothing" or not known or not self.line.startswith("force") or not at_top
        )


def every_case() -> Iterator[Case]:
    """Yield every mistake with some place and value, and every place with every value."""
    turning = itertools.cycle(itertools.product(PLACES, list(VALUES)[:4]))
    for wrong, (place, line) in zip(WRONG, turning, strict=False):
        yield Case(wrong, place, line)
    for place, line in [
        *zip(itertools.cycle(PLACES), VALUES, strict=False),
        *itertools.product(PLACES, ['force = "chat"']),
    ]:
        yield Case(
            "nothing"
            if place == "in a rule"
            else "many"
            if place == "at the top"
            else "backend unknown",
            place,
            line,
        )


CASES = list(dict.fromkeys(every_case()))
if "KILL_SWITCH_ALL" in os.environ:  # some thousands, ten minutes
    CASES = [Case(*one) for one in itertools.product(WRONG, PLACES, VALUES)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "adapter.toml"


def goes_to(router: Router) -> tuple[str | None, str]:
    """Return the backend of a call that all other sources send to the Responses API."""
    with adapter.use(backend="responses"):
        made = run_until_sent(router, PLAIN, None, "responses")
    return made.to, made.state.reason


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log lines at ERROR, and clear the log."""
    found = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "SECRET" not in caplog.text
    caplog.clear()
    return found


@pytest.mark.slow
def test_every_file(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "adapter")
    rows = []
    for case in CASES:
        expected = VALUES[case.line]
        file.write_text(case.text)
        started = Settings(config_file=file)
        at_start = (started.force, *goes_to(SettingsReloader(started).current()))
        logged = errors(caplog)
        assert len(logged) == case.odd, (case, logged)

        file.write_text(GOOD)
        reader = SettingsReloader(Settings(config_file=file))
        assert goes_to(reader.current()) == ("responses", "header")
        caplog.clear()
        file.write_text(case.text)
        running = [(reader.current().settings.force, *goes_to(reader.current())) for _ in range(3)]
        later = errors(caplog)
        assert len(later) == case.odd, (case, later)
        rows.append((case.wrong, case.line, case.place, *at_start, *running[0]))
        assert [at_start, *running] == [(expected, "chat", "force")] * 4, case
        if case.odd:
            assert all(f"force={expected}" in line for line in (*logged, *later))
        kept = reader.current().settings
        assert case.wrong == "nothing" or (kept.service, kept.backend) == (
            "checkout",
            "responses",
        ), case

        file.write_text(GOOD + "rollout = 100\n")
        assert goes_to(reader.current()) == ("responses", "header")
        caplog.clear()
    head = ("wrong", "line", "place", "at start", "sent to", "by", "later", "sent to", "by")
    for row in (head, *rows):
        print(f"{row[0]:40} {row[1]:18} {row[2]:24}", *(f"{cell:9}" for cell in row[3:]))
    print(f"{len(rows)} files, each at start and while the process runs")


ANSWER = both(Reply.of_json(response()))


@each_way_in
@pytest.mark.parametrize("wrong", ["many", "second rule"])
def test_through_the_ways_in(way_in: WayIn, wrong: str, tmp_path: Path) -> None:
    for number, (line, place) in enumerate(
        zip(VALUES, ("at the top", "appended after a rule", "in a match"), strict=False)
    ):
        file = tmp_path / f"{number}.toml"
        file.write_text(PLACES[place](line, WRONG[wrong]))
        more: dict[str, Any] = {"extra_headers": {"x-adapter-backend": "responses"}}
        seen = way_in.create({**PLAIN, **more}, ANSWER, config_file=str(file))
        seen.reraise()
        assert [path.rpartition("/")[2] for path in seen.paths] == ["completions"]

        file = tmp_path / f"{number} later.toml"
        file.write_text(GOOD)
        for text, to in (
            (GOOD, "responses"),
            (PLACES[place](line, WRONG[wrong]), "completions"),
            (GOOD + "\n", "responses"),
        ):
            file.write_text(text)
            with adapter.use(
                backend="responses"
            ):  # the settings are the harness's, the same for all three
                seen = way_in.create(PLAIN, ANSWER, config_file=str(file))
            seen.reraise()
            assert [path.rpartition("/")[2] for path in seen.paths] == [to], (line, place, text)


# Other values


@pytest.mark.parametrize(
    "line",
    [
        'force = ""',
        'force = "  "',
        '[[rules]]\nforce = ""',
        'note = "force"',
        "[models.force]\nchat_only = true",
    ],
)
def test_values_that_are_not_a_force(line: str, file: Path) -> None:
    file.write_text(f"rolout = 5\n{line}\n")
    with pytest.raises(adapter.ConfigurationError, match=r"^rolout: "):
        Settings(config_file=file)
    reader = running_on(file)
    file.write_text(f"rolout = 5\n{line}\n")
    assert goes_to(reader.current()) == ("responses", "header")


def running_on(file: Path, text: str = GOOD) -> SettingsReloader:
    file.write_text(text)
    return SettingsReloader(Settings(config_file=file))


def test_an_empty_force_in_a_good_file_is_none(file: Path) -> None:
    file.write_text('force = ""\n')
    assert Settings(config_file=file).force is None


@pytest.mark.parametrize(
    "text",
    [
        'force = "responses"\n',
        '[[rules]]\nrollout = 5\nforce = "responses"\n',
        'rolout = 5\nforce = "responses"\n',
    ],
)
def test_a_force_to_the_responses_api_is_obeyed_too(text: str, file: Path) -> None:
    file.write_text(text)
    assert Settings(config_file=file).force == "responses"


@pytest.mark.parametrize("lines", list(itertools.permutations(["responses", "chat", "native"], 2)))
def test_the_strongest_of_several_counts(lines: tuple[str, str], file: Path) -> None:
    file.write_text(f'force = "{lines[0]}"\n[[rules]]\nforce = "{lines[1]}"\n')
    assert Settings(config_file=file).force == ("native" if "native" in lines else "chat")


# Valid values


def test_valid_values_are_kept_and_the_rest_is_default(file: Path) -> None:
    file.write_text(
        'force = "chat"\nservice = "checkout"\nrollout = 101\nmodels = {x = 1}\non_bug = "raise"\n'
    )
    made = Settings(config_file=file)
    assert (made.service, made.on_bug, made.rollout, made.models) == ("checkout", "raise", None, {})


def test_half_valid_memory_settings_are_all_dropped(file: Path) -> None:
    file.write_text(
        'force = "responses"\nmemory = "sqlite:///x.db"\n'
        'memory_scope = "own"\nmemory_key = "short"\n'
    )
    made = Settings(config_file=file)
    assert (made.memory, made.memory_scope, made.carry_reasoning) == ("memory://", None, "never")


def test_a_missing_extra_stops_no_kill_switch(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = WRITTEN["memory_key"][0][0]
    file.write_text(f'memory_key = {key}\nforce = "chat"\n')
    monkeypatch.setattr("adapter._settings.fields.find_spec", lambda _: None)
    with pytest.raises(adapter.MissingExtra):
        Settings(memory_key=key.strip('"'))
    assert goes_to(SettingsReloader(Settings(config_file=file)).current()) == ("chat", "force")


def test_a_store_that_fails_stops_no_kill_switch(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise ConnectionError("SECRET")

    reader = running_on(file)
    monkeypatch.setattr("adapter._memory.stores.open_store", down)
    file.write_text('memory = "sqlite:///nowhere/x.db"\nforce = "chat"\n')
    assert goes_to(reader.current()) == ("chat", "force")
    assert goes_to(SettingsReloader(Settings(config_file=file)).current()) == ("chat", "force")


def test_a_copy_of_settings_with_a_mistake(file: Path) -> None:
    file.write_text('rolout = 5\nforce = "chat"\n')
    made = Settings(config_file=file).model_copy(update={"service": "x"})
    assert (made.force, made.service) == ("chat", "x")
    with pytest.raises(adapter.ConfigurationError, match=r"^backend: "):
        made.model_copy(update={"backend": "both"})


def test_observers_get_the_reason(file: Path) -> None:
    seen: list[Any] = []
    file.write_text('force = "chat"\nrolout = 5\n')
    assert Settings(config_file=file, observers=[seen.append]).observers == (seen.append,)


# Arguments


@pytest.mark.parametrize(
    "given", [{"rolout": 5}, {"rollout": 500}, {"backend": "both"}, {"flags": "x"}]
)
def test_a_wrong_argument_is_an_error_all_the_same(given: dict[str, Any], file: Path) -> None:
    for text in ('force = "chat"\n', 'force = "chat"\nservcie = "x"\n'):
        file.write_text(text)
        with pytest.raises(adapter.ConfigurationError, match=f"^{next(iter(given))}: "):
            Settings(config_file=file, **given)
    with pytest.raises(adapter.ConfigurationError):
        Settings(force="chat", **given)


@pytest.mark.parametrize("value", ["chatt", "CHAT", 1, True, ["chat"]])
def test_an_argument_that_is_unknown_counts_as_native(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert Settings(force=value).force == "native"
    assert len(errors(caplog)) == 1
    assert Settings(force=None).force is None
    assert Settings(force="").force is None  # type: ignore[arg-type]
    assert not errors(caplog)


def test_a_rule_of_an_argument_counts(caplog: pytest.LogCaptureFixture) -> None:
    rule: Any = {"match": {"tag": "x"}, "backend": "chat", "force": "chat"}
    made = Settings(rules=[rule])
    assert (made.force, made.rules[0].backend) == ("chat", "chat")
    assert len(errors(caplog)) == 1


# The environment

VARIABLES: dict[str, dict[str, str]] = {
    "bad number": {"ADAPTER_ROLLOUT": "abc"},
    "bad choice": {"ADAPTER_BACKEND": "both"},
    "no JSON": {"ADAPTER_RULES": "[{"},
    "no JSON in a table": {"ADAPTER_MODELS": "x"},
    "bad store": {"ADAPTER_MEMORY": "mysql://u:SECRET@host"},
    "near name": {"ADAPTER_ROLOUT": "5"},
    "an object": {"ADAPTER_FLAGS": "x"},
    "no file": {"ADAPTER_CONFIG": "/nowhere/adapter.toml"},
    "two": {"ADAPTER_ROLLOUT": "abc", "ADAPTER_BAKEND": "x"},
    **{
        f"{name} empty list": {f"ADAPTER_{name.upper()}": "[[[1]]]"}
        for name in WRITTEN
        if name != "force"
    },
}


@pytest.mark.parametrize("case", VARIABLES)
@pytest.mark.parametrize("value", ["chat", "native", "chatt", "Chat"])
def test_a_variable_beside_wrong_ones(
    case: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in VARIABLES[case].items():
        monkeypatch.setenv(name, text)
    with monkeypatch.context() as patch:
        patch.setenv("ADAPTER_FORCE", value)
        made = Settings()
        assert made.force == ("chat" if value == "chat" else "native")
        assert goes_to(SettingsReloader(made).current()) == ("chat", "force")
    assert len(errors(caplog)) == (1 if made._problem or value not in ("chat", "native") else 0)


def test_a_variable_of_rules_counts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ADAPTER_RULES", '[{"match": {"tag": "x"}, "force": "chat"}]')
    made = Settings()
    assert (made.force, len(made.rules)) == ("chat", 1)
    assert "ADAPTER_RULES" in errors(caplog)[0]


def test_a_valid_variable_beside_an_invalid_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"FORCE": "chat", "ROLLOUT": "abc", "SERVICE": "checkout"}.items():
        monkeypatch.setenv(f"ADAPTER_{name}", text)
    assert (Settings().service, Settings().rollout) == ("checkout", None)


@pytest.mark.parametrize("text", ["backend = \n", 'backend = "both"\n', ""])
def test_a_variable_beside_a_wrong_file_that_is_fixed_later(
    text: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(text)
    monkeypatch.setenv("ADAPTER_FORCE", "chat")
    reader = SettingsReloader(Settings(config_file=file))
    assert goes_to(reader.current()) == ("chat", "force")
    file.write_text(GOOD)
    assert (reader.current().settings.force, reader.current().settings.service) == (
        "chat",
        "checkout",
    )
