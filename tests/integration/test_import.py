"""What `import adapter` costs and provides."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import adapter
from tests.support.answers import both
from tests.support.http import NAME, SDK
from tests.support.loopback import Loopback

ROOT = Path(adapter.__file__).parents[1]
HEAVY = ["openai", "pydantic", "pydantic_settings", "vcr", "yaml", "typer", "click", "rich", "httpx", "httpx2", "redis", "openfeature",
         "opentelemetry", "anyio", "asyncio", "pyarrow", "ray"]  # fmt: skip

HTTP = ["httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "requests", "urllib3"]

# The HTTP library that the SDK itself imports, and the one that may be absent.
SDKS_HTTP, OTHER_HTTP = ("httpx2", "httpx") if SDK >= (3, 0) else ("httpx", "httpx2")


def run(code: str, *, without: tuple[str, ...] = ()) -> str:
    """Run code in a fresh interpreter, in which the packages of `without` can't be imported."""
    block = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    done = subprocess.run(
        [sys.executable, "-c", block + code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_is_cheap() -> None:
    loaded = json.loads(
        run(
            "import adapter, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
        )
    )
    assert set(loaded) & set(HEAVY) == set()
    assert "adapter" in loaded


# What an import of the clients leaves for their first settings, or for fewer calls still.
LATER = [
    "pydantic_settings",
    "dotenv",
    "tomllib",
    "argparse",
    "openai.resources.chat",
    "adapter._settings.settings",
    "adapter._settings.fields",
    "adapter._memory.stores",
    "adapter._sdk.fast_messages",
]


def test_importing_the_clients_leaves_what_settings_need() -> None:
    code = f"""
import json
from adapter import AsyncOpenAI, OpenAI, Transport, decision, install, use
later = {LATER!r}
print(json.dumps([name for name in later if name in sys.modules]))
OpenAI(api_key="k", settings={{"backend": "responses"}}).chat.completions
print(json.dumps(sorted(set(later) - set(sys.modules))))
"""
    imported, missing = map(json.loads, run(code).splitlines())
    assert imported == []
    assert missing == []


def test_the_patterns_of_rare_replies_are_compiled_with_the_first() -> None:
    code = """
import adapter
from adapter._exchange import unsupported_models
adapter.OpenAI
print(unsupported_models._patterns.cache_info().currsize)
"""
    assert run(code).strip() == "0"


def test_translating_needs_nothing_either() -> None:
    code = """
import adapter
body = adapter.translate.chat_to_responses({"model": "m", "messages": [{"role": "user", "content": "x"}]}).body
print(body["input"], "openai" in sys.modules)
"""
    assert run(code).strip().endswith("False")


def test_reading_dicts_needs_nothing_either() -> None:
    code = """
import adapter
item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
turn = adapter.read({"object": "response", "status": "completed", "output": [item]})
print(turn.finish, adapter.tool_result(turn.tool_calls[0], "x")["role"], "openai" in sys.modules, "pydantic" in sys.modules)
"""
    assert run(code).strip() == "tool_calls tool False False"


def test_the_client_brings_no_extras() -> None:
    code = "import adapter; adapter.OpenAI, adapter.Settings, adapter.use, adapter.decision; print(sorted(sys.modules))"
    loaded = {name.partition(".")[0].strip("' ") for name in run(code).strip("[]\n").split(",")}
    extras = {
        "vcr",
        "yaml",
        "typer",
        "click",
        "rich",
        "redis",
        "openfeature",
        "opentelemetry",
        OTHER_HTTP,
    }
    assert loaded & extras == set()


# Who makes the HTTP client, and of which library: the process may load what `openai` and that
# client load, and nothing else.
MADE_BY = {
    "the SDK": (SDKS_HTTP, """
def made(kind, way_in):
    return [getattr(adapter, kind)(**given, settings=on), adapter.install(getattr(openai, kind)(**given), on)]
"""),
    "the application": (NAME, """
def made(kind, way_in):
    client = http.AsyncClient if kind.startswith("Async") else http.Client
    return [
        getattr(adapter, kind)(**given, settings=on, http_client=client()),
        adapter.install(getattr(openai, kind)(**given, http_client=client()), on),
        getattr(openai, kind)(**given, http_client=client(transport=way_in(settings=on))),
    ]
"""),
}  # fmt: skip
CALLS = """
import asyncio, json, os

def loaded():
    return sorted({name.partition(".")[0] for name, module in sys.modules.items() if module is not None} & set(HTTP))

import adapter
seen = dict(imported=loaded())
on = adapter.Settings(backend="responses")
ways_in = adapter.Transport(settings=on), adapter.AsyncTransport(settings=on)
seen["ways_in"] = loaded()

import openai
http = __import__(FAMILY)
given = dict(base_url=BASE_URL, api_key="k", max_retries=0)
call = dict(model="gpt-4o", messages=[dict(role="user", content="hi")])

def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

def use(client):
    with client:
        whole = client.chat.completions.create(**call).choices[0].message.content
        return whole, text(client.chat.completions.create(**call, stream=True))

async def ause(client):
    async with client:
        whole = (await client.chat.completions.create(**call)).choices[0].message.content
        return whole, text([chunk async for chunk in await client.chat.completions.create(**call, stream=True)])

native = [use(openai.OpenAI(**given, **OWN(http.Client))), asyncio.run(ause(openai.AsyncOpenAI(**given, **OWN(http.AsyncClient))))]
seen["natively"] = loaded()
results = [use(client) for client in made("OpenAI", adapter.Transport)]
results += [asyncio.run(ause(client)) for client in made("AsyncOpenAI", adapter.AsyncTransport)]
seen |= dict(adapted=loaded(), native=native, results=results)
print(json.dumps(seen))
"""


@pytest.mark.parametrize("others", ["installed", "missing"])
@pytest.mark.parametrize("made_by", MADE_BY)
def test_no_other_http_library_is_loaded(loopback: Loopback, made_by: str, others: str) -> None:
    """Neither the import nor a way in loads one, and calls load only what the native ones load."""
    family, made = MADE_BY[made_by]
    used = {SDKS_HTTP, family}
    without = (
        tuple(name for name in HTTP if name.replace("core", "x") not in used)
        if others == "missing"
        else ()
    )
    own = "dict(http_client=kind())" if made_by == "the application" else "{}"
    constants = f"HTTP, FAMILY, BASE_URL = {HTTP!r}, {family!r}, {loopback.base_url!r}\nOWN = lambda kind: {own}\n"
    loopback.answer = both
    seen = json.loads(run(constants + made + CALLS, without=without))
    assert (seen["imported"], seen["ways_in"]) == ([], [])
    assert seen["adapted"] == seen["natively"]
    assert {name.replace("core", "x") for name in seen["adapted"]} == used
    assert seen["native"] == [["Native hello"] * 2] * 2
    assert seen["results"] == [["Hello there"] * 2] * (4 if made_by == "the SDK" else 6)


@pytest.mark.parametrize("name", adapter.__all__)
def test_every_name_resolves(name: str) -> None:
    assert getattr(adapter, name) is not None
    assert name in dir(adapter)


def test_the_names_are_sorted_and_unique() -> None:
    assert list(adapter.__all__) == sorted(set(adapter.__all__))


# Each in a process of its own, forked where only the SDK is loaded: importing it again for each
# name takes most of a second.
EACH_FIRST = """
import json, os
import openai, pydantic, pydantic_settings

assert not [name for name in sys.modules if name.partition(".")[0] == "adapter"]
failed = {}
for statement in STATEMENTS:
    reading, writing = os.pipe()
    if not os.fork():
        try:
            exec(statement)
        except BaseException as error:
            os.write(writing, repr(error).encode()[:4000] or b"?")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        failed[statement] = pipe.read()
    assert os.wait()[1] == 0
print(json.dumps(failed))
"""


@pytest.fixture(scope="module")
def failures() -> dict[str, str]:
    names = sorted(adapter._LAZY)
    statements = [
        f"from adapter import {name}; assert {name} is not None" for name in [*names, "nonsense"]
    ]
    found = dict(
        zip(
            [*names, "nonsense"],
            json.loads(run(f"STATEMENTS = {statements!r}\n{EACH_FIRST}")).values(),
            strict=True,
        )
    )
    assert "nonsense" in found.pop("nonsense")  # makes a failure visible
    assert sorted(found) == names
    return found


@pytest.mark.parametrize("name", sorted(adapter._LAZY))
def test_each_name_resolves_first(failures: dict[str, str], name: str) -> None:
    """Import each name in a process that has imported nothing else of the adapter."""
    assert failures[name] == ""


def test_a_star_import_gives_all_of_it() -> None:
    run(
        "from adapter import *; import adapter; assert all(name in globals() for name in adapter.__all__)"
    )


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        adapter.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        run_import("from adapter import nonsense")


def run_import(code: str) -> None:
    exec(compile(code, "<test>", "exec"), {})


EXTRAS = {
    "adapter.tools.cli": ("tools", "main()", ("typer",)),
    "adapter.tools.cli without rich": ("tools", "main()", ("rich",)),
}


@pytest.mark.parametrize("case", EXTRAS)
def test_a_missing_extra_is_named(case: str) -> None:
    module = case.partition(" ")[0]
    pytest.importorskip(module)
    extra, call, without = EXTRAS[case]
    block = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    code = f"{block}sys.argv = ['adapter', 'demo']\nfrom {module} import main\n{call}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"(extra `{extra}`)" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cassette_helpers_name_their_extra() -> None:
    pytest.importorskip("adapter.testing.cassettes")
    for missing in ("vcr", "yaml"):
        code = f"""
sys.modules[{missing!r}] = None
import adapter
try:
    import adapter.testing.cassettes
except ImportError as error:
    print(isinstance(error, adapter.MissingExtra), "(extra `testing`)" in str(error), error)
else:
    print("imported")
"""
        output = run(code).strip()
        assert output == "imported" or output.startswith("True True"), output


def test_missing_extra_is_an_import_error() -> None:
    assert issubclass(adapter.MissingExtra, ImportError)
    assert issubclass(adapter.MissingExtra, adapter.AdapterError)


def test_every_module_can_be_imported_first() -> None:
    """Find circular imports: each module of the core, alone in a process."""
    skipped = tuple(f"adapter.{name}" for name in ("__main__", "kit", "testing", "tools"))
    names = sorted(_module(path) for path in (ROOT / "adapter").rglob("*.py"))
    names = [name for name in names if not name.startswith(skipped)]
    assert len(names) > 100
    code = f"STATEMENTS = {[f'import {name}' for name in [*names, 'adapter.nonsense']]!r}\n{EACH_FIRST}"
    found = json.loads(run(code))
    assert "nonsense" in found.pop("import adapter.nonsense")  # makes a failure visible
    assert {statement: error for statement, error in found.items() if error} == {}
    assert len(found) == len(names)


# Protocols that only type checkers read: no running program imports them.
ONLY_TYPES = {"adapter._exchange.call_settings"}


def test_every_module_is_found_by_executable_builders() -> None:
    """Follow import statements only.

    Nuitka and PyInstaller miss modules that are imported otherwise.
    """
    files = {
        _module(path): path
        for path in (ROOT / "adapter").rglob("*.py")
        if "programs" not in path.parts
    }
    begun = {
        name
        for name in files
        if name in ("adapter", "adapter.__main__", "adapter.typing")
        or name.startswith(("adapter.testing", "adapter.kit"))
    }
    seen, left = set(), begun
    while left:
        name = left.pop()
        seen.add(name)
        left |= (_stated(name, files[name]) & files.keys()) - seen
    assert files.keys() - seen == ONLY_TYPES


@pytest.mark.parametrize("name", sorted(ONLY_TYPES))
def test_what_only_type_checkers_read_holds_protocols_alone(name: str) -> None:
    body = ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")).body[1:]
    classes = [node for node in body if not isinstance(node, ast.ImportFrom)]
    assert classes
    for node in classes:
        assert isinstance(node, ast.ClassDef)
        assert [ast.unparse(base) for base in node.bases] == ["Protocol"]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _stated(name: str, file: Path) -> set[str]:
    """Return the names that a module's statements import, except those for type checkers."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    checked = [
        each for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING" for each in node.body
    ]
    unseen = {id(node) for each in checked for node in ast.walk(each)}
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = {name.rpartition(".")[0]}
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = package.rsplit(".", node.level - 1)[0] if node.level else ""
            home = ".".join(filter(None, [home, node.module]))
            found |= {home, *(f"{home}.{each.name}" for each in node.names)}
    return found
