"""What `import adapter` costs and gives."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import adapter
from tests.support.http import SDK

ROOT = Path(adapter.__file__).parents[1]
HEAVY = ["openai", "pydantic", "pydantic_settings", "vcr", "yaml", "typer", "click", "rich", "httpx", "httpx2", "redis", "openfeature",
         "opentelemetry", "anyio", "asyncio"]  # fmt: skip

# The HTTP library that the SDK itself imports, and the one that need not be installed.
SDKS_HTTP, OTHER_HTTP = ("httpx2", "httpx") if SDK >= (3, 0) else ("httpx", "httpx2")


def run(code: str, *, without: tuple[str, ...] = ()) -> str:
    """Run code in a fresh interpreter, in which the packages of `without` can't be imported."""
    block = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    done = subprocess.run([sys.executable, "-c", block + code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_is_cheap() -> None:
    loaded = json.loads(
        run("import adapter, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))")
    )
    assert set(loaded) & set(HEAVY) == set()
    assert "adapter" in loaded


def test_translating_needs_nothing_either() -> None:
    code = """
import adapter
body = adapter.translate.chat_to_responses({"model": "m", "messages": [{"role": "user", "content": "x"}]}).body
print(body["input"], "openai" in sys.modules)
"""
    assert run(code).strip().endswith("False")


def test_the_client_brings_no_extras() -> None:
    code = "import adapter; adapter.OpenAI, adapter.Settings, adapter.use, adapter.decision; print(sorted(sys.modules))"
    loaded = {name.partition(".")[0].strip("' ") for name in run(code).strip("[]\n").split(",")}
    extras = {"vcr", "yaml", "typer", "click", "rich", "redis", "openfeature", "opentelemetry", OTHER_HTTP}
    assert loaded & extras == set()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_call_needs_no_other_http_library_than_the_sdks(asynchronous: bool) -> None:
    code = """
import asyncio, {own} as http
import adapter

completion = dict(id="resp_1", object="response", created_at=1, status="completed", model="gpt-4o", output=[])
mock = http.MockTransport(lambda request: http.Response(200, json=completion))
given = dict(api_key="k", settings=adapter.Settings(backend="responses"))
call = dict(model="gpt-4o", messages=[dict(role="user", content="hi")])

async def acall():
    async with adapter.AsyncOpenAI(**given, http_client=http.AsyncClient(transport=mock)) as client:
        return await client.chat.completions.create(**call)

if {asynchronous}:
    made = asyncio.run(acall())
else:
    with adapter.OpenAI(**given, http_client=http.Client(transport=mock)) as client:
        made = client.chat.completions.create(**call)
print(made.id, adapter.Transport, adapter.AsyncTransport, sys.modules.get({other!r}))
"""
    said = run(code.format(own=SDKS_HTTP, other=OTHER_HTTP, asynchronous=asynchronous), without=(OTHER_HTTP,))
    assert said.startswith("chatcmpl-resp_1 ")
    assert said.endswith(" None\n")


@pytest.mark.parametrize("name", adapter.__all__)
def test_every_name_resolves(name: str) -> None:
    assert getattr(adapter, name) is not None
    assert name in dir(adapter)


def test_the_names_are_sorted_and_unique() -> None:
    assert list(adapter.__all__) == sorted(set(adapter.__all__))


@pytest.mark.parametrize("name", sorted(adapter._LAZY))
def test_each_name_resolves_first(name: str) -> None:
    """Import each name in a process that has imported nothing else."""
    run(f"from adapter import {name}; assert {name} is not None")


def test_a_star_import_gives_all_of_it() -> None:
    run("from adapter import *; import adapter; assert all(name in globals() for name in adapter.__all__)")


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        adapter.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        run_import("from adapter import nonsense")


def run_import(code: str) -> None:
    exec(compile(code, "<test>", "exec"), {})


EXTRAS = {
    "adapter.cli": ("cli", "main()", ("typer",)),
    "adapter.cli without rich": ("cli", "main()", ("rich",)),
}


@pytest.mark.parametrize("case", EXTRAS)
def test_a_missing_extra_is_named(case: str) -> None:
    module = case.partition(" ")[0]
    pytest.importorskip(module)
    extra, call, without = EXTRAS[case]
    block = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    code = f"{block}sys.argv = ['adapter', 'demo']\nfrom {module} import main\n{call}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"[{extra}]" in done.stderr
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
    print(isinstance(error, adapter.MissingExtra), "kit" in str(error) or "cli" in str(error), error)
else:
    print("imported")
"""
        said = run(code).strip()
        assert said == "imported" or said.startswith("True True"), said


def test_missing_extra_is_an_import_error() -> None:
    assert issubclass(adapter.MissingExtra, ImportError)
    assert issubclass(adapter.MissingExtra, adapter.AdapterError)


def test_every_module_can_be_imported_first() -> None:
    """Find circular imports: each module of the core, alone in a process."""
    names = [f"adapter.{path.stem}" for path in (ROOT / "adapter").glob("[a-z]*.py")]
    names += [f"adapter.translation.{path.stem}" for path in (ROOT / "adapter" / "translation").glob("[a-z]*.py")]
    names += [f"adapter.doors.{path.stem}" for path in (ROOT / "adapter" / "doors").glob("[a-z]*.py")]
    for name in names:
        assert importlib.import_module(name)
    code = f"""
import importlib
for name in {names!r}:
    for loaded in [one for one in sys.modules if one.partition(".")[0] == "adapter"]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    run(code)
