"""Settings from arguments, environment and files, and their errors (docs/decisions.md#settings)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import SecretStr

import adapter
from adapter import Settings
from adapter._routing.reload import SettingsReloader
from adapter._settings.fields import SettingsFields

KEYS = (
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=",
    "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=",
)

Value = tuple[str, str, Any]
"""A setting's value: as written in TOML, as written in a variable, and as read."""

# Two values of the settings whose types don't say what can be written.
_BY_HAND: dict[str, tuple[Value, Value]] = {
    "rollout": (("12.5", "12.5", 12.5), ("50", "50", 50.0)),
    "sticky_by": (('"user"', "user", "user"),
        ('"header:X-Tenant"', "header:X-Tenant", "header:X-Tenant")),
    "unsupported_parameters": (
        ('{seed = "drop", n = "error"}', "seed=drop, n=error,", {"seed": "drop", "n": "error"}),
        ('{stop = "drop"}', '{"stop": "drop"}', {"stop": "drop"}),
    ),
    "drop": (('["seed", "stop"]', "seed, stop,", ("seed", "stop")), ('"n"', '["n"]', ("n",))),
    "emulate": (('["n", "stop"]', "n,stop", ("n", "stop")), ('["n"]', "n", ("n",))),
    "fallback": (("[]", "[]", ()), ('["rejected"]', "rejected", ("rejected",))),
    "hosts": (('["API.openai.com", "*.azure.com"]', "api.openai.com, *.azure.com",
        ("api.openai.com", "*.azure.com")),
              ('"*"', '["*"]', ("*",))),
    "on_bug": (('"raise"', "raise", "raise"), ('"chat"', "chat", "chat")),
    "force": (('"responses"', "responses", "responses"), ('"chat"', "chat", "chat")),
    "service": (('"billing"', "billing", "billing"), ('"search"', "search", "search")),
    "rules": (
        ('[{backend = "responses", match = {tag = "x"}}]',
            '[{"backend": "responses", "match": {"tag": "x"}}]',
         [{"backend": "responses", "match": {"tag": ("x",)}}]),
        ("[{rollout = 5}]", '[{"rollout": 5}]', [{"rollout": 5.0}]),
    ),
    "memory": (
        ('"memory://?count=5"', "memory://?count=5", "memory://?count=5"),
        ('"sqlite:///x.db"', "sqlite:///x.db", "sqlite:///x.db"),
    ),
    "memory_scope_headers": (('["X-Tenant"]', "X-Tenant", ("x-tenant",)),
        ('["a", "X-B", "x-b"]', "X-B, a, x-b", ("a", "x-b"))),
    "memory_scope": (('"one"', "one", "one"), ('"two"', "two", "two")),
    "memory_key": ((f'"{KEYS[0]}"', KEYS[0], (SecretStr(KEYS[0]),)),
        (f'["{KEYS[0]}", "{KEYS[1]}"]', ",".join(KEYS), tuple(map(SecretStr, KEYS)))),
    "models": (
        ('{"my-*" = {responses_only = true}}', '{"my-*": {"responses_only": true}}',
            {"my-*": {"responses_only": True}}),
        ('{"x" = {chat_only = true}}', '{"x": {"chat_only": true}}', {"x": {"chat_only": True}}),
    ),
}  # fmt: skip


def _by_type() -> Iterator[tuple[str, tuple[Value, Value]]]:
    """Yield two values of each other setting, of which the first isn't its default."""
    for name, field in SettingsFields.model_fields.items():
        values = {bool: (False, True), float: (0.2, 1.0)}.get(field.annotation, ())
        if get_origin(field.annotation) is Literal:
            values = get_args(field.annotation)
        if name not in _BY_HAND and values:
            first, second = sorted(values, key=lambda value, field=field: value == field.default)[
                :2
            ]
            yield name, (_written(first), _written(second))


def _written(value: Any) -> Value:
    written = json.dumps(value)
    return written, value if isinstance(value, str) else written, value


WRITTEN = _BY_HAND | dict(_by_type())

every_setting = pytest.mark.parametrize("name", WRITTEN)


def test_every_setting_is_covered() -> None:
    assert WRITTEN.keys() == SettingsFields.model_fields.keys(), "add the setting to _BY_HAND"
    assert Settings.model_fields.keys() - WRITTEN.keys() == {"flags", "observers"}


def got(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    return [rule.model_dump(exclude_unset=True) for rule in value] if name == "rules" else value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "adapter.toml"


@every_setting
def test_from_the_file(name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (toml, _, expected), _ = WRITTEN[name]
    file.write_text(f"{name} = {toml}\n")
    assert got(Settings(config_file=file), name) == expected
    monkeypatch.setenv("ADAPTER_CONFIG", str(file))
    assert got(Settings(), name) == expected


@every_setting
def test_from_a_pyproject(name: str, tmp_path: Path) -> None:
    (toml, _, expected), _ = WRITTEN[name]
    path = tmp_path / "pyproject.toml"
    path.write_text(
        f'[project]\nname = "x"\n[tool.adapter]\n{name} = {toml}\n[tool.other]\n{name} = "no"\n'
    )
    assert got(Settings(config_file=path), name) == expected


@every_setting
@pytest.mark.parametrize("spelled", ["upper", "lower"])
def test_from_the_environment(name: str, spelled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (_, written, expected), _ = WRITTEN[name]
    variable = f"ADAPTER_{name.upper()}"
    monkeypatch.setenv(variable if spelled == "upper" else variable.lower(), written)
    assert got(Settings(), name) == expected


@every_setting
def test_the_environment_beats_the_file(
    name: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, written, expected), (toml, _, other) = WRITTEN[name]
    file.write_text(f"{name} = {toml}\n")
    monkeypatch.setenv(f"ADAPTER_{name.upper()}", written)
    assert got(Settings(config_file=file), name) == ("chat" if name == "force" else expected)
    monkeypatch.delenv(f"ADAPTER_{name.upper()}")
    assert got(Settings(config_file=file), name) == other


@every_setting
def test_an_argument_beats_both(name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (toml, written, expected), (_, _, other) = WRITTEN[name]
    file.write_text(f"{name} = {toml}\n")
    monkeypatch.setenv(f"ADAPTER_{name.upper()}", written)
    assert got(Settings(config_file=file, **{name: other}), name) == other != expected


@pytest.mark.parametrize("chat", ["argument", "environment", "file"])
@pytest.mark.parametrize("responses", ["argument", "environment", "file", "none"])
def test_a_chat_anywhere_beats_a_responses(
    chat: str, responses: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forces = {responses: "responses"} | {chat: "chat"}
    file.write_text(f'force = "{forces["file"]}"\n' if "file" in forces else "# nothing\n")
    if "environment" in forces:
        monkeypatch.setenv("ADAPTER_FORCE", forces["environment"])
    given = {"force": forces["argument"]} if "argument" in forces else {}
    assert Settings(config_file=file, **given).force == "chat"


@pytest.mark.parametrize("name", ["force", "rollout"])
def test_an_empty_variable_sets_nothing(
    name: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"ADAPTER_{name.upper()}", "")
    assert getattr(Settings(), name) is None
    file.write_text('force = "chat"\n')
    assert Settings(config_file=file).force == "chat"


@pytest.mark.parametrize("name", ["flags", "observers"])
def test_objects_are_arguments_only(name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(f'backend = "chat"\n{name} = "x"\n')
    with pytest.raises(
        adapter.ConfigurationError, match=rf"^{name}: an object.*adapter\.toml, line 2"
    ):
        Settings(config_file=file)
    for variable in (f"ADAPTER_{name.upper()}", f"adapter_{name}"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "x")
            with pytest.raises(adapter.ConfigurationError, match=r"^ADAPTER_.*: an object"):
                Settings()


def test_a_named_file_beats_the_variable_and_is_found_from_anywhere(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('service = "one"\n')
    other = tmp_path / "other.toml"
    other.write_text('service = "two"\n')
    monkeypatch.setenv("adapter_config", str(other))
    assert Settings().service == "two"
    assert Settings(config_file=file).service == "one"
    monkeypatch.chdir(tmp_path)
    reader = SettingsReloader(Settings(config_file="adapter.toml"))
    monkeypatch.chdir("/")
    file.write_text('service = "three"\n')
    assert reader.current().settings.service == "three"


# Errors


WRONG: dict[str, tuple[str, str]] = {
    "unknown key": ('\nbakend = "chat"',
        r"^bakend: no such setting; did you mean backend\? \(.*adapter\.toml, line 2\)$"),
    "far key": ('xyzzy = "red"', r"^xyzzy: no such setting \(.*line 1\)$"),
    "bad value": ('# a comment\n\nbackend = "both"', r"^backend: .*'chat'.*\(.*line 3\)$"),
    "bad number": ("rollout = 101", r"^rollout: .*line 1"),
    "more than all": ('rollout = "101%"', r"^rollout: .*line 1"),
    "no percentage": ('rollout = "%"', r"^rollout: .*line 1"),
    "per mille": ('rollout = "5‰"', r"^rollout: .*line 1"),
    "below nothing": ('rollout = "-1%"', r"^rollout: .*line 1"),
    "a URL for a host": ('hosts = ["https://api.openai.com/v1"]',
        r"^hosts\.0: expected a host.*line 1"),
    "any port for a host": ('hosts = ["api.openai.com:*"]', r"^hosts\.0: expected a host.*line 1"),
    "a port of IPv6 for a host": ('hosts = ["[::1]:8080"]', r"^hosts\.0: expected a host.*line 1"),
    "a port": ('[[rules]]\nmatch.host = ["a", "b:80"]',
        r"^rules\.0\.match\.host\.1: expected a host.*line 2"),
    "an API that isn't adapted": ('[[rules]]\nmatch.api = "responses"',
        r"^rules\.0\.match\.api\.0: .*'chat'.*line 2"),
    "both names": ('on_bug = "chat"\non_internal_error = "chat"',
        r"^on_internal_error: given as on_bug as well.*line 2"),
    "nan": ("rollout = nan", r"^rollout: .*line 1"),
    "switch for a number": ("rollout = true", r"^rollout: expected a percentage"),
    "no time": ("flag_timeout = 0", r"^flag_timeout: .*line 1"),
    "two": ('backend = 1\non_bug = "no"', r"^backend: .*line 1\); on_bug: .*line 2\)"),
    "parameter": ('drop = ["sead"]', r"^drop: .*'seed'.*line 1"),
    "table": ('[unsupported_parameters]\nseed = "drop"\nstop = "no"',
        r"^unsupported_parameters\.stop: .*line 3"),
    "dotted": ('unsupported_parameters.seed = "drop"\nunsupported_parameters . stop = "no"',
        r"stop: .*line 2"),
    "inline": ('unsupported_parameters = {seed = "drop", stop = "no"}',
        r"^unsupported_parameters\.stop: .*line 1"),
    "contradiction": ('drop = "seed"\nunsupported_parameters.seed = "error"',
        r"^drop: seed is in unsupported_p.*line 1"),
    "sticky": ('sticky_by = "header:"', r"^sticky_by: expected conversation, .*line 1"),
    "rules": ("[rules]\nrollout = 5", r"^rules: .*line 1"),
    "second rule": ("[[rules]]\nrollout = 5\n[[rules]]\n\nrolout = 5",
        r"^rules\.1\.rolout: .*did you mean rollout\?.*line 5"),
    "match of the second": (
        '[[rules]]\n[rules.match]\ntag = "x"\n[[rules]]\n[rules.match]\nmodle = "x"',
            r"^rules\.1\.match\.modle: .*model\?.*line 6"),
    "beside the match": ('[[rules]]\nhost = "x"\nbackend = "chat"',
        r"^rules\.0\.host: .*did you mean match\.host\?.*line 2"),
    "one table": ('[rules]\nbackend = "chat"',
        r"^rules: expected a list of tables, \[\[rules\]\] in TOML \(.*line 1"),
    "no list": ("drop = 5", r"^drop: expected a list \(.*line 1"),
    "inline match": ('[[rules]]\nbackend = "chat"\nmatch = {modle = "x"}',
        r"^rules\.0\.match\.modle: .*did you mean model\?.*line 3"),
    "dotted match": ('[[rules]]\nmatch.tag = "x"\nmatch.azure = "perhaps"',
        r"^rules\.0\.match\.azure: .*line 3"),
    "format": ('[[rules]]\nmatch.format = "xml"', r"^rules\.0\.match\.format.*line 2"),
    "rules in one": ('rules = [{rollout = 1}, {bakend = "chat"}]',
        r"^rules\.1\.bakend: .*backend\?.*line 1"),
    "fact": ('[models."my-[1-3]*"]\nresponses_only = true\nshutdwn = "2027-01-01"',
        r"^models\..*shutdwn: .*shutdown\?.*line 3"),
    "value of a fact": ('backend = "chat"\n[models."gpt-5.5"]\nchat_only = 1',
        r"^models\.gpt-5\.5\.chat_only: .*line 3"),
    "no TOML": ('backend = "chat"\nforce = chat',
        r"^config_file: .*adapter\.toml: not TOML: at line 2"),
    "twice": ('backend = "chat"\nbackend = "chat"\n', r"not TOML: at line 2"),
    "a number too long": (f"rollout = {'9' * 5000}", r"^config_file: .*not TOML"),
    "empty table": ("[tool]\nadapter = 1", r"has no table \[tool\.adapter\]"),
}  # fmt: skip


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["", "bom"])
@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_named_with_their_line(case: str, bom: str, newline: str, file: Path) -> None:
    written, pattern = WRONG[case]
    file.write_bytes((bom + written.replace("\n", newline)).encode())
    with pytest.raises(adapter.ConfigurationError, match=pattern):
        Settings(config_file=file)


def test_an_overridden_mistake_is_an_error_too(file: Path) -> None:
    file.write_text('backend = "both"')
    with pytest.raises(adapter.ConfigurationError, match=r"^backend: .*line 1"):
        Settings(config_file=file, backend="chat")


def test_lines_of_a_pyproject(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        'backend = 1\n[tool.other]\nbackend = "x"\n[tool.adapter]\n\nbackend = "x"\n'
        "[[tool.adapter.rules]]\nno = 1"
    )
    with pytest.raises(
        adapter.ConfigurationError, match=r"^backend: .*line 6\); rules\.0\.no: .*line 8\)$"
    ):
        Settings(config_file=path)


def test_odd_characters_do_not_shift_the_lines(file: Path) -> None:
    file.write_text('service = "a\u2028b\x85c"\nbackend = "x"\n', encoding="utf-8")
    with pytest.raises(adapter.ConfigurationError, match=r"line 2\)$"):
        Settings(config_file=file)


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a directory": lambda path: path.mkdir(),
    "not UTF-8": lambda path: path.write_bytes(b'service = "\xff"'),
    "a pyproject without a table": lambda path: path.with_name("pyproject.toml").write_text(
        "[tool.x]\n"
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_file_that_cannot_be_read(case: str, file: Path) -> None:
    UNREADABLE[case](file)
    path = file.with_name("pyproject.toml") if "pyproject" in case else file
    with pytest.raises(adapter.ConfigurationError, match=rf"^config_file: .*{path.name}: "):
        Settings(config_file=path)


VARIABLES: dict[str, tuple[str, str, str]] = {
    "no JSON": ("ADAPTER_RULES", "[{", r"^rules: not JSON \(ADAPTER_RULES\)$"),
    "no JSON in a table": ("ADAPTER_MODELS", "x", r"^models: not JSON \(ADAPTER_MODELS\)$"),
    "no JSON in policies": ("ADAPTER_UNSUPPORTED_PARAMETERS", "{",
        r"^unsupported_parameters: .*\(ADAPTER_UNSUPPORTED_P"),
    "no JSON in a list": ("ADAPTER_DROP", "[", r"^drop: .*\(ADAPTER_DROP\)"),
    "no policy": ("ADAPTER_UNSUPPORTED_PARAMETERS", "seed", r"^unsupported_parameters\.seed: "),
    "value": ("ADAPTER_BACKEND", "both", r"^backend: .*\(ADAPTER_BACKEND\)$"),
    "inside": ("ADAPTER_RULES", '[{"match": {"modle": "x"}}]',
        r"^rules\.0\.match\.modle: .*model\?.*\(ADAPTER_RULES\)"),
    "a file that isn't there": ("ADAPTER_CONFIG", "/nowhere/adapter.toml",
        r"^config_file: /nowhere/adapter\.toml: "),
}  # fmt: skip


@pytest.mark.parametrize("case", VARIABLES)
def test_wrong_variables(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, value, pattern = VARIABLES[case]
    monkeypatch.setenv(name, value)
    with pytest.raises(adapter.ConfigurationError, match=pattern):
        Settings()


# The hash


def test_the_hash_covers_every_setting() -> None:
    # Without the earlier name of another setting, and the secret.
    hashed = {name: pair for name, pair in WRITTEN.items() if name not in ("on_bug", "memory_key")}
    made = [Settings(**{name: value}).hash for name, pair in hashed.items() for _, _, value in pair]
    default = Settings().hash
    assert len(set(made)) == len(made) - sum(value == default for value in made) + 1
    # A default in a rule overrides the outer setting, and so changes the hash.
    assert (
        Settings(rules=[{"backend": "chat"}]).hash
        != Settings(rules=[{"on_bug": "chat"}]).hash
        != Settings(rules=[{}]).hash
    )


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_the_hash_of_a_file_is_the_same_in_every_process(seed: str, file: Path) -> None:
    written = {name: first[0] for name, (first, _) in WRITTEN.items() if name != "on_bug"}
    file.write_text(
        "".join(f"{name} = {value}\n" for name, value in written.items()).replace(', "stop"]', "]")
    )
    code = "import adapter; print(adapter.Settings().hash)"
    environment = {
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": ":".join(sys.path),
        "PATH": "/usr/bin",
        "ADAPTER_CONFIG": str(file),
    }
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True
    )
    assert run.stdout.strip() == Settings(config_file=file).hash


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a default": ({"backend": "chat", "rollout": None, "service": "adapter", "hosts": ["*"]}, {}),
    "defaults in another order": ({"fallback": ["missing", "blocked"]}, {}),
    "lists in another order": ({"drop": ["seed", "n"], "emulate": "stop,n"},
        {"drop": ["n", "seed"], "emulate": ["n", "stop"]}),
    "the short form": ({"drop": ["seed"]}, {"unsupported_parameters": {"seed": "drop"}}),
    "tables in another order": (
        {"models": {"a": {"chat_only": True}, "b": {"chat_only": True}}},
        {"models": {"b": {"chat_only": True}, "a": {"chat_only": True}}},
    ),
    "a whole number": ({"rollout": "5%"}, {"rollout": 5}),
    "a match in another order": (
        {"rules": [{"match": {"model": ["a", "b"], "tag": "x", "azure": None}, "backend": "chat"}]},
        {"rules": [{"backend": "chat", "match": {"tag": ["x"], "model": ["b", "a"]}}]},
    ),
    "a key": ({"memory_key": KEYS[0]}, {}),
    "a password": ({"memory": "redis://:word@host/0"}, {"memory": "redis://host/0"}),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_the_hash_is_the_same(case: str) -> None:
    one, other = SAME[case]
    assert Settings(**one).hash == Settings(**other).hash


def test_the_order_of_rules_counts() -> None:
    one, other = (
        {"match": {"tag": "a"}, "backend": "chat"},
        {"match": {"tag": "b"}, "backend": "responses"},
    )
    assert Settings(rules=[one, other]).hash != Settings(rules=[other, one]).hash


def test_a_setting_that_is_added_later_changes_no_hash() -> None:
    class Later(Settings):
        added: str = "x"

    assert (
        Later(backend="responses").hash
        == Settings(backend="responses").hash
        != Later(backend="responses", added="y").hash
    )


@pytest.mark.parametrize("written", ["25%", " 12.5 % ", "0%", "100%", 0.5, "7"])
def test_percent(written: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = float(str(written).strip(" %"))
    assert Settings(rollout=written).rollout == number
    file.write_text(f"rollout = {written!r}\n[[rules]]\nrollout = {written!r}\n")
    made = Settings(config_file=file)
    assert (made.rollout, made.rules[0].rollout) == (number, number)
    monkeypatch.setenv("ADAPTER_ROLLOUT", str(written))
    assert Settings().rollout == number


def test_the_hash_does_not_depend_on_the_source(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('backend = "responses"\nrollout = 5\n')
    monkeypatch.setenv("ADAPTER_ROLLOUT", "5.0")
    assert Settings(config_file=file).hash == Settings(backend="responses", rollout=5).hash
