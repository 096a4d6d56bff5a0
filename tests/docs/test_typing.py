"""What type checkers infer for the public API.

Valid programs pass, and wrong calls are the errors that they are with the SDK.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter._settings.arguments import Arguments, MatchArguments, RuleArguments
from adapter._settings.environment import OPTIONS
from adapter._settings.fields import Rule
from adapter._settings.match import Match
from tests.support.http import SDK

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted((ROOT / "tests" / "typing").glob("[!_]*.py"))
# The same checker, once with its own defaults and once with stricter ones, of which only the errors
# count.
PYRIGHTS = {"pyright": (), "basedpyright": ("--level", "error")}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SDK < (3, 0), reason="an older SDK has other types"),
]

# `{0}` is `openai`, and `adapter`: calls that the SDK's own classes reject, or accept.
LIKE_THE_SDKS = {
    "nothing": "{0}.OpenAI()",
    "much": "{0}.OpenAI(api_key='k', base_url=None, timeout=3, max_retries=0, default_headers={{'x': 'y'}})",
    "a callable key": "{0}.OpenAI(api_key=lambda: 'k')",
    "a misspelt key": "{0}.OpenAI(api_kye='k')",
    "two misspelt": "{0}.OpenAI(api_kye='k', base_ulr='u')",
    "timeout": "{0}.OpenAI(timeout='5')",
    "max_retries": "{0}.OpenAI(max_retries=None)",
    "default_headers": "{0}.OpenAI(default_headers={{'x': 1}})",
    "http_client": "{0}.OpenAI(http_client=httpx2.AsyncClient())",
    "a transport for a client": "{0}.OpenAI(http_client=httpx2.HTTPTransport())",
    "async": "{0}.AsyncOpenAI(organization='o', http_client=httpx2.AsyncClient())",
    "async, misspelt": "{0}.AsyncOpenAI(organisation='o')",
    "async, http_client": "{0}.AsyncOpenAI(http_client=httpx2.Client())",
    "azure by endpoint": "{0}.AzureOpenAI(azure_endpoint='u', azure_deployment='d', api_version='v')",
    "azure by environment": "{0}.AzureOpenAI(azure_deployment='d')",
    "azure by base URL": "{0}.AzureOpenAI(base_url='u', azure_ad_token_provider=lambda: 't')",
    "azure by both": "{0}.AzureOpenAI(base_url='u', azure_endpoint='u')",
    "azure, a deployment of a base URL": "{0}.AzureOpenAI(base_url='u', azure_deployment='d')",
    "azure, misspelt": "{0}.AzureOpenAI(azure_endpoint='u', api_versoin='v')",
    "azure, timeout": "{0}.AzureOpenAI(azure_endpoint='u', timeout='5')",
    "async azure": "{0}.AsyncAzureOpenAI(azure_endpoint='u', http_client=httpx2.AsyncClient())",
    "async azure, misspelt": "{0}.AsyncAzureOpenAI(azure_endpiont='u')",
    "copy": "{0}.OpenAI().copy(timeout=3)",
    "copy, misspelt": "{0}.OpenAI().copy(timout=3)",
    "copy, timeout": "{0}.OpenAI().copy(timeout='3')",
    "with_options, misspelt": "{0}.AsyncOpenAI().with_options(timout=3)",
    "with_options of azure": "{0}.AzureOpenAI(azure_endpoint='u').with_options(api_version='v', max_retries=2)",
    "with_options of azure, misspelt": "{0}.AzureOpenAI(azure_endpoint='u').with_options(api_versoin='v')",
    "an unknown attribute": "{0}.OpenAI().completoins",
    "an unknown parameter of a call": "{0}.OpenAI().chat.completions.create(model='m', messages=[], temprature=1)",
}
# The SDK has no positional arguments either; a checker has other words for it.
BY_POSITION = (
    "{0}.OpenAI('k')",
    "{0}.AsyncOpenAI('k')",
    "{0}.AzureOpenAI('u')",
    "{0}.AsyncAzureOpenAI('u')",
    "{0}.OpenAI().copy('k')",
    "{0}.AsyncOpenAI().with_options('k')",
)
# Arguments that only the adapter has: whether the call is right, and the call.
ADAPTER_CALLS = {
    "settings": (True, "adapter.OpenAI(settings=adapter.Settings())"),
    "settings, a dict": (
        True,
        "adapter.AsyncOpenAI(settings={'backend': 'responses', 'drop': ['seed']})",
    ),
    "settings, none": (True, "adapter.AzureOpenAI(azure_endpoint='u', settings=None)"),
    "settings of a copy": (
        True,
        "adapter.AsyncAzureOpenAI(base_url='u').copy(settings={'backend': 'chat'})",
    ),
    "settings of with_options": (
        True,
        "adapter.OpenAI().with_options(settings=adapter.Settings(), timeout=3)",
    ),
    "settings, a name": (False, "adapter.OpenAI(settings='responses')"),
    "settings, the class": (False, "adapter.OpenAI(settings=adapter.Settings)"),
    "settings, misspelt": (False, "adapter.OpenAI(setings=adapter.Settings())"),
    "settings by position": (False, "adapter.OpenAI(adapter.Settings())"),
    "settings of a copy by position": (False, "adapter.OpenAI().copy(adapter.Settings())"),
    "settings of azure by position": (False, "adapter.AzureOpenAI(adapter.Settings())"),
    "settings of a copy, a number": (False, "adapter.AsyncOpenAI().with_options(settings=3)"),
    "install": (True, "adapter.install(openai.OpenAI(), {'backend': 'responses'})"),
    "install of the module": (True, "adapter.install(openai, settings=adapter.Settings())"),
    "install of a proxy": (True, "adapter.install(Proxy())"),
    "install of something else": (False, "adapter.install('client')"),
    "install of a class": (False, "adapter.install(openai.OpenAI)"),
    "install with a name": (False, "adapter.install(openai.OpenAI(), 'responses')"),
    "uninstall of something else": (False, "adapter.uninstall(None)"),
    "use": (True, "adapter.use(backend='responses', tag='t', drop=['seed'], emulate=['stop'])"),
    "use, misspelt": (False, "adapter.use(backnd='responses')"),
    "use, no backend": (False, "adapter.use(backend='respones')"),
    "Settings": (
        True,
        "adapter.Settings(backend='responses', rollout=5, drop=['seed'], emulate=('n',), memory_key='k', config_file=None)",
    ),
    "Settings, rules": (
        True,
        "adapter.Settings(rules=[{'match': {'model': 'gpt-5*', 'stream': True}, 'rollout': 0.5}])",
    ),
    "Settings, .env": (
        True,
        "adapter.Settings(_env_file='.env', _secrets_dir=pathlib.Path('secrets'))",
    ),
    "Settings, of a document": (True, "adapter.Settings(**json.loads('{}'))"),
    "Settings, observers": (True, "adapter.Settings(observers=[adapter.Counters(), print])"),
    "Settings, misspelt": (False, "adapter.Settings(bakend='responses')"),
    "Settings, no backend": (False, "adapter.Settings(backend='respones')"),
    "Settings, no emulation": (False, "adapter.Settings(emulate=['seed'])"),
    "Settings, a number": (False, "adapter.Settings(rollout=[5])"),
    "Settings, no observer": (False, "adapter.Settings(observers=[3])"),
    "Settings, a misspelt rule": (
        False,
        "adapter.Settings(rules=[{'match': {'model': 'm'}, 'bakend': 'chat'}])",
    ),
    "Settings, a misspelt match": (False, "adapter.Settings(rules=[{'match': {'modell': 'm'}}])"),
    "Settings, .env misspelt": (False, "adapter.Settings(_envfile='.env')"),
    "Settings by position": (False, "adapter.Settings('responses')"),
    "a setting": (True, "adapter.Settings().backend.upper()"),
    "no setting": (False, "adapter.Settings().bakend"),
    "a turn": (True, "adapter.Turn(text='Hello').as_message()"),
    "a turn, misspelt": (False, "adapter.Turn(txt='Hello')"),
    "a turn's field": (False, "adapter.Turn().txt"),
    "decision": (True, "adapter.decision(object())"),
    "decision, what may be None": (False, "adapter.decision(object()).backend"),
    "a misspelt name": (False, "adapter.OpenAl()"),
    "a misspelt import": (False, "from adapter import AsyncOpenAl"),
    "a misspelt import of testing": (False, "from adapter.testing import assert_same_turns"),
    "a misspelt method of a transport": (False, "adapter.Transport().clsoe()"),
    "transport": (True, "httpx2.Client(transport=adapter.Transport())"),
    "transport of something else": (False, "adapter.Transport(httpx2.Client())"),
    "transport of an async one": (False, "adapter.Transport(httpx2.AsyncHTTPTransport())"),
    "transport, async_inner of a sync one": (
        False,
        "adapter.Transport(async_inner=httpx2.HTTPTransport())",
    ),
    "transport, async_inner by position": (
        False,
        "adapter.Transport(None, httpx2.AsyncHTTPTransport())",
    ),
    "transport, misspelt": (False, "adapter.Transport(setings=adapter.Settings())"),
    "transport with a name": (False, "adapter.AsyncTransport(settings='responses')"),
    "async transport of a sync one": (False, "adapter.AsyncTransport(httpx2.HTTPTransport())"),
    "use by position": (False, "adapter.use('responses')"),
}

HEADING = """\
import json
import pathlib

import httpx2
import openai

import adapter

class Nothing: ...

class Proxy:
    client: openai.OpenAI

SETTINGS = adapter.Settings()
"""


def with_settings(call: str) -> str:
    """Add the adapter's settings to a call's last pair of parentheses."""
    head, _, arguments = call.rpartition("(")
    return (
        f"{head}({arguments[:-1].rstrip(', ')}{', ' if arguments != ')' else ''}settings=SETTINGS)"
    )


CALLS = {
    (name, who): template.format(who)
    for name, template in LIKE_THE_SDKS.items()
    for who in ("openai", "adapter")
}
CALLS |= {
    (name, "more"): with_settings(template.format("adapter"))
    for name, template in LIKE_THE_SDKS.items()
    if not name.startswith("an unknown")
}
CALLS |= {
    (template, who): template.format(who)
    for template in BY_POSITION
    for who in ("openai", "adapter")
}
CALLS |= {(name, "adapter"): call for name, (_, call) in ADAPTER_CALLS.items()}
# Checkers accept everything of a name whose type isn't known.
CALLS |= {(name, "is nothing"): f"not_{name}: Nothing = adapter.{name}" for name in adapter.__all__}

Error = tuple[str, str]  # its code, and its message
Errors = dict[str, dict[int, list[Error]]]  # by the file's name and the line


def found(name: str) -> str | None:
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def mypy(*files: str) -> Errors:
    command = [sys.executable, "-m", "mypy", "--show-error-codes", "--no-error-summary", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors: Errors = defaultdict(lambda: defaultdict(list))
    for line in done.stdout.splitlines():
        if match := re.fullmatch(r"(.+?):(\d+): error: (.*?)(?:  \[([\w-]+)\])?", line):
            errors[Path(match[1]).name][int(match[2])].append((match[4], match[3]))
    return errors


def pyright(*files: str) -> Errors:
    name = next((name for name in PYRIGHTS if found(name)), None)
    if name is None:
        pytest.skip("neither pyright nor basedpyright is installed (requirements/servers.txt)")
    command = [
        str(found(name)),
        *PYRIGHTS[name],
        "--outputjson",
        "--pythonpath",
        sys.executable,
        *files,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors: Errors = defaultdict(lambda: defaultdict(list))
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        # Only the newer checker reports that a value is unused, which is intended here.
        if one["severity"] == "error" and not one.get("rule", "").startswith("reportUnused"):
            message = one["message"].partition("\n")[0]
            errors[Path(one["file"]).name][one["range"]["start"]["line"] + 1].append(
                (one.get("rule", ""), message)
            )
    return errors


CHECKERS: dict[str, Callable[..., Errors]] = {"mypy": mypy, "pyright": pyright}


def checked(checker: str) -> tuple[Errors, dict[tuple[str, str], list[Error]]]:
    """Return the errors in the programs, and of each call."""
    if checker == "mypy" and importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy isn't installed")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder).resolve() / "calls.py"
        file.write_text(HEADING + "".join(f"{call}\n" for call in CALLS.values()))
        errors = CHECKERS[checker](*map(str, PROGRAMS), str(file))
    of_calls = errors.pop(file.name, {})
    first = HEADING.count("\n") + 1
    return errors, {name: of_calls.get(first + number, []) for number, name in enumerate(CALLS)}


# Parts of a message that say which function it is about, and suggestions.
NAMES_AND_HINTS = re.compile(
    r"""( (in function|to|for|of)( overloaded function)?)? "(<anonymous function>|__init__|\w*OpenAI|copy)"|; (maybe|did you mean) .*"""
)


def comparable(errors: list[Error]) -> list[Error]:
    return sorted((code, NAMES_AND_HINTS.sub("", text)) for code, text in errors)


# One test for each: a checker's start costs more than all its checks here.
@pytest.mark.parametrize("checker", CHECKERS)
def test_the_public_face(checker: str) -> None:
    programs, calls = checked(checker)
    assert {file: dict(lines) for file, lines in programs.items()} == {}
    natively = {name: calls[name, "openai"] for name in LIKE_THE_SDKS}
    assert {name: comparable(calls[name, "adapter"]) for name in natively} == {
        name: comparable(of) for name, of in natively.items()
    }
    # The message tells what an overloaded function was given.
    codes = {name: {code for code, _ in of} for (name, who), of in calls.items() if who == "more"}
    assert codes == {name: {code for code, _ in natively[name]} for name in codes}
    assert [
        template
        for template in BY_POSITION
        if not (calls[template, "openai"] and calls[template, "adapter"])
    ] == []
    assert {name: calls[name, "adapter"] == [] for name in ADAPTER_CALLS} == {
        name: right for name, (right, _) in ADAPTER_CALLS.items()
    }
    assert [name for (name, what), of in calls.items() if what == "is nothing" and not of] == []


@pytest.mark.parametrize(
    ("arguments", "model", "more"),
    [
        (Arguments, adapter.Settings, {*OPTIONS}),
        (RuleArguments, Rule, set()),
        (MatchArguments, Match, set()),
    ],
    ids=["Settings", "Rule", "Match"],
)
def test_every_setting_has_its_type(arguments: Any, model: Any, more: set[str]) -> None:
    assert arguments.__optional_keys__ == model.model_fields.keys() | more, (
        "adapter/_settings/arguments.py"
    )


def test_the_version_is_the_distributions() -> None:
    assert (
        adapter.__version__
        == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    )
    assert (ROOT / "adapter" / "py.typed").is_file()
    assert "__version__" in dir(adapter)
