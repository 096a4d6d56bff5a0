"""Call sites: production and `scan` name them alike, in decisions, records and the log."""

from __future__ import annotations

import importlib
import json
import logging
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import adapter
from adapter._routing import call_site
from adapter._settings.settings import Settings
from adapter._util.log_once import HELD
from adapter.tools.doctor.findings import Environment
from adapter.tools.doctor.rules import rules as rules_of
from adapter.tools.scan.run import scan
from tests.support.answers import Sdk, both
from tests.support.loopback import Loopback

CREATE = "client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'a'}])"

# Modules that run `CREATE` when `run(client)` is called, and the name of the calling function.
WRITTEN: dict[str, tuple[str, str]] = {
    "a function": (f"def run(client): return {CREATE}", "run"),
    "a method": (
        f"class A:\n  def f(self, client): return {CREATE}\ndef run(client): return A().f(client)",
        "A.f",
    ),
    "a nested class": (
        (f"class A:\n  class B:\n    def f(self, client): return {CREATE}\n"
        "def run(client): return A.B().f(client)"),
        "A.B.f",
    ),
    "a class of a function": (
        f"def run(client):\n  class A:\n    def f(self): return {CREATE}\n  return A().f()",
        "run.<locals>.A.f",
    ),
    "a closure": (f"def run(client):\n  def inner(): return {CREATE}\n  return inner()",
        "run.<locals>.inner"),
    "a lambda": (f"run = lambda client: {CREATE}", "<lambda>"),
    "a lambda inside": (f"def run(client): return (lambda: {CREATE})()", "run.<locals>.<lambda>"),
    "a list": (f"def run(client): return [{CREATE} for _ in 'a'][0]", "run"),
    "a set, a dict": (
        f"def run(client): return {{k: {CREATE} for k in 'a' for _ in {{1 for _ in 'a'}}}}['a']",
        "run",
    ),
    "a generator": (f"def run(client): return next({CREATE} for _ in 'a')", "run"),
    "a list in a list": (f"def run(client): return [[{CREATE} for _ in 'a'] for _ in 'a'][0][0]",
        "run"),
    "a lambda in a list": (f"def run(client): return [(lambda: {CREATE})() for _ in 'a'][0]",
        "run.<locals>.<lambda>"),
    "a generator function": (
        f"def g(client): yield {CREATE}\ndef run(client): return next(g(client))", "g"),
    "a property": (
        (f"class A:\n  @property\n  def f(self): return {CREATE}\n"
        "def run(c):\n  global client; client = c\n  return A().f"),
        "A.f",
    ),
    "a static method": (f"class A:\n  @staticmethod\n  def f(client): return {CREATE}\nrun = A.f",
        "A.f"),
    "decorated": (
        ("import functools\ndef again(f):\n  @functools.wraps(f)\n"
        "  def wrapper(*a): return f(*a)\n  return wrapper\n"
        f"@again\ndef run(client): return {CREATE}"),
        "run",
    ),
    "cached": (f"import functools\n@functools.cache\ndef run(client): return {CREATE}", "run"),
    "a context manager": (
        (f"import contextlib\n@contextlib.contextmanager\ndef f(client): yield {CREATE}\n"
        "def run(client):\n  with f(client) as made: return made"),
        "f",
    ),
    "passed on": (
        ("def hand(f, **given): return f(**given)\n"
        f"def run(client): return hand(lambda: {CREATE})"),
        "run.<locals>.<lambda>",
    ),
}  # fmt: skip


@pytest.fixture
def client(loopback: Loopback) -> Iterator[Any]:
    loopback.answer = both
    made = Sdk("sync")
    yield made.client(loopback, Settings(backend="responses"))
    made.close()


@pytest.fixture
def package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], Path]]:
    """Return a function that writes modules into a folder on the import path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, code: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.relative_to(tmp_path).parents[:-1]:
            (tmp_path / folder / "__init__.py").touch()
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        return path

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_of_sites")]:
        del sys.modules[name]


def scanned(path: Path) -> str:
    (found,) = scan([path], Settings()).findings
    return found.call_site


@pytest.mark.parametrize("written", WRITTEN)
def test_scan_and_production_agree(written: str, client: Any, package: Any) -> None:
    code, function = WRITTEN[written]
    path = package("shop_of_sites/llm.py", code)
    module = importlib.import_module("shop_of_sites.llm")
    made = adapter.decision(module.run(client))
    assert made is not None
    assert made.call_site == scanned(path) == f"shop_of_sites.llm:{function}"


MAIN = f"""
import json
from ways_of_sites import client, seen
from adapter import decision
def run():
    return {CREATE}
if __name__ == "__main__":
    seen.append(decision(run()).call_site)
"""


@pytest.mark.parametrize(
    ("file", "start"),
    [
        ("script_of_sites.py", lambda path: runpy.run_path(str(path), run_name="__main__")),
        ("tools_of_sites/job.py", lambda path: runpy.run_path(str(path), run_name="__main__")),
        ("tools_of_sites/job.py", lambda _: runpy.run_module("tools_of_sites.job",
            run_name="__main__", alter_sys=True)),
        ("tools_of_sites/__main__.py", lambda _: runpy.run_module("tools_of_sites",
            run_name="__main__", alter_sys=True)),
    ],
    ids=["a script", "a script in a package", "python -m module", "python -m package"],
)  # fmt: skip
def test_a_started_script_has_the_name_of_its_module(
    file: str, start: Any, client: Any, package: Any
) -> None:
    path = package(file, MAIN)
    package("ways_of_sites.py", "client, seen = None, []")
    ways = importlib.import_module("ways_of_sites")
    ways.client = client
    start(path)
    assert ways.seen == [scanned(path)]


@pytest.mark.parametrize("glob", ["script_of_sites:run", "__main__:run", "*:run"])
def test_a_rule_matches_a_script_by_both_of_its_names(
    glob: str, loopback: Loopback, package: Any
) -> None:
    loopback.answer = both
    package("ways_of_sites.py", "client, seen = None, []")
    path = package("script_of_sites.py", MAIN)
    one = Sdk("sync")
    ways = importlib.import_module("ways_of_sites")
    ways.client = one.client(
        loopback, Settings(rules=[{"match": {"call_site": glob}, "backend": "responses"}])
    )
    runpy.run_path(str(path), run_name="__main__")
    assert [request.path.rpartition("/v1")[2] for request in loopback.requests] == ["/responses"]
    one.close()


def test_a_notebook_is_main(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "source": f"def run():\n  {CREATE}", "metadata": {}, "outputs": []}
    path = tmp_path / "first look.ipynb"
    path.write_text(
        json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5, "metadata": {}})
    )
    assert scanned(path) == "__main__:run"


# Where it is reported


def passing(name: object, **more: object) -> Any:
    """Return a function of a module that calls its argument."""
    space: dict[str, Any] = {"__name__": name, **more}
    exec("def passed_on(call, *a, **k): return call(*a, **k)", space)
    return space["passed_on"]


BETWEEN: tuple[object, ...] = (
    "langfuse.openai",
    "tenacity",
    "instructor.core.retry",
    "ddtrace.contrib.openai",
    "functools",
    "",
    None,
    [],
)


def test_the_nearest_caller_is_reported(
    loopback: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    loopback.answer = both
    HELD.reset()
    records: list[adapter.Record] = []
    one = Sdk("sync")
    mine = one.client(loopback, Settings(backend="responses", observers=[records.append]))
    caplog.set_level(logging.INFO, "adapter")

    def ask() -> Any:
        return mine.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "a"}], seed=1
        )

    result = passing("shop.service")(passing("shop.llm"), ask)
    site = f"{__name__}:{ask.__qualname__}"
    made = adapter.decision(result)
    assert made is not None
    assert [made.call_site, *(record.call_site for record in records)] == [site, site]
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" ")[0] for line in lines] == [
        "asked",
        "POST",
    ]  # what kept it on Chat, and its backend
    assert all(f" call_site={site} settings=" in line for line in lines)
    one.close()


@pytest.mark.parametrize("between", BETWEEN)
def test_wrappers_are_skipped(between: object, client: Any) -> None:
    create = client.chat.completions.create
    given = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    result = passing("shop.service")(passing("shop.llm"), passing(between), create, **given)
    made = adapter.decision(result)
    assert made is not None
    assert made.call_site == "shop.llm:passed_on"


@pytest.mark.parametrize("file", [None, 7, "", "\0", "gone/app.py"])
def test_a_main_without_a_module_is_main(file: object, client: Any, tmp_path: Path) -> None:
    given = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    made = adapter.decision(
        passing("__main__", __file__=file)(client.chat.completions.create, **given)
    )
    assert made is not None
    assert made.call_site == ("app:passed_on" if file == "gone/app.py" else "__main__:passed_on")


def test_observers_get_calls_that_stay(loopback: Loopback) -> None:
    loopback.answer = both
    records: list[adapter.Record] = []
    one = Sdk("sync")
    passing("shop.llm")(one.create, one.client(loopback, Settings(observers=[records.append])))
    assert [record.backend for record in records] == ["chat"]
    assert [record.call_site for record in records] == ["tests.support.answers:Sdk.create"]
    one.close()


def test_a_call_that_fails_has_a_call_site(loopback: Loopback) -> None:
    from tests.support.loopback import Reply

    loopback.answer = lambda _: Reply.of_json(
        {"error": {"message": "no", "type": "invalid_request_error"}}, 400
    )
    one = Sdk("sync")
    with pytest.raises(Exception) as caught:  # noqa: PT011  # any of the SDK's
        one.create(one.client(loopback))
    made = adapter.decision(caught.value)
    assert made is not None
    assert made.call_site == "tests.support.answers:Sdk.create"
    one.close()


def test_a_name_in_the_log_is_made_safe(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "adapter")
    given = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    passing("shop\n2026 ERROR forged\x1b[1m")(client.chat.completions.create, **given)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.isprintable()
    assert "call_site=shop\\n2026 ERROR forged\\x1b[1m:passed_on" in line


# The doctor


@pytest.mark.parametrize(
    ("glob", "says"),
    [
        ("shop.llm:*", None),
        ("*", None),
        ("shop.*", None),
        ("shop.llm", "names no function"),
        ("openai.resources*:*", "are never callers"),
        ("langfuse.openai:*", "are never callers"),
        ("lang*:*", None),
    ],
)
def test_the_doctor_knows_what_is_never_a_caller(glob: str, says: str | None) -> None:
    settings = Settings(rules=[{"match": {"call_site": glob}, "backend": "responses"}])
    found = [one for one in rules_of(Environment(settings)) if one.state == "warning"]
    assert [one.message for one in found if says and says in one.message] == [
        one.message for one in found
    ]
    assert bool(found) == (says is not None)


def test_the_cache_of_modules_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_site, "_MAX_KINDS", 10)
    monkeypatch.setattr(call_site, "_MODULE_KINDS", {})
    for k in range(100):
        assert passing(f"made.up{k}")(call_site.call_site) == f"made.up{k}:passed_on"
    assert len(call_site._MODULE_KINDS) <= 10
