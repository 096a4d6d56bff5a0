"""A scan across files: wrappers, clients and dictionaries of parameters in other modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter import Settings
from adapter.tools.scan.run import Report, scan

LLM = """
import openai
class Base:
    def chat(self, prompt, n=1, **kwargs):
        return self.client.chat.completions.create(n=n, **kwargs)
class LLM(Base):
    def __init__(self): self.client = openai.OpenAI()
def ask(prompt, **kwargs): return LLM().chat(prompt, **kwargs)
llm = LLM()
completions = openai.OpenAI().chat.completions
PARAMS = {"seed": 1}
def params(**more): return {"n": 1, **more}
"""
INIT = "from .llm import ask\nfrom .llm import LLM as Model\n"


def scanned(tmp_path: Path, files: dict[str, str]) -> Report:
    for name, text in {
        "pkg/__init__.py": INIT,
        "pkg/llm.py": LLM,
        "pkg/sub/__init__.py": "",
        **files,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    report = scan([tmp_path], Settings())
    assert report.unread == {}
    return report


# A module without a sign of Chat of its own, the site on its last line, and the verdict.
CALLS = {
    "a name": ("pkg/a.py", "from .llm import ask\nask('q', seed=1)", "wrapper ask", "setting"),
    "a module": ("pkg/a.py", "from . import llm\nllm.ask('q', stop=None)", "wrapper ask", "moves"),
    "by its whole name": (
        "main.py", "import pkg.llm\npkg.llm.ask('q', seed=1)", "wrapper ask", "setting",
    ),
    "under another name": (
        "main.py", "import pkg.llm as x\nx.ask('q', seed=1)", "wrapper ask", "setting",
    ),
    "from the parent": (
        "pkg/sub/a.py",
        "from ..llm import (\n  ask,\n)\nask('q', seed=1)", "wrapper ask", "setting",
    ),
    "an instance": (
        "pkg/a.py", "from pkg.llm import LLM\nLLM().chat('q', 2)", "wrapper chat", "setting",
    ),
    "an instance there": (
        "pkg/a.py", "from .llm import llm\nllm.chat('q')", "wrapper chat", "moves",
    ),
    "an instance of self": (
        "pkg/a.py",
        ("from .llm import LLM\nclass A:\n  def __init__(self): self.m = LLM()\n"
         "  def f(self): self.m.chat('q', seed=1)"), "wrapper chat", "setting",
    ),
    "a parameter": (
        "pkg/a.py",
        "from .llm import LLM\ndef f(m: LLM): m.chat('q', seed=1)", "wrapper chat", "setting",
    ),
    "inherited": (
        "pkg/a.py", "from .llm import Base\nclass A(Base):\n  def f(self): self.chat('q', seed=1)",
        "wrapper chat", "setting",
    ),
    "super": (
        "pkg/a.py",
        "from .llm import Base\nclass A(Base):\n  def f(self): super().chat('q', seed=1)",
        "wrapper chat", "setting",
    ),
    "re-exported by the package": (
        "main.py", "from pkg import ask\nask('q', seed=1)", "wrapper ask", "setting",
    ),
    "re-exported under another name": (
        "main.py", "import pkg\npkg.Model().chat('q', seed=1)", "wrapper chat", "setting",
    ),
    "everything": ("pkg/a.py", "from .llm import *\nask('q', seed=1)", "wrapper ask", "setting"),
    "a resource": (
        "pkg/a.py", "from .llm import completions\ncompletions.create(seed=1)",
        "chat chat.completions.create", "setting",
    ),
    "parameters": (
        "pkg/a.py", "from .llm import PARAMS, llm\nllm.client.chat.completions.create(**PARAMS)",
        "chat chat.completions.create", "setting",
    ),
    "a function's": (
        "pkg/a.py",
        "from . import llm\nllm.llm.client.chat.completions.create(**llm.params(stop=['a']))",
        "chat chat.completions.create", "setting",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "code", "what", "verdict"), CALLS.values(), ids=CALLS)
def test_definitions_in_other_files(
    tmp_path: Path, name: str, code: str, what: str, verdict: str
) -> None:
    found = [one for one in scanned(tmp_path, {name: code}).findings if one.file.endswith(name)]
    assert [(f"{one.site.kind} {one.site.call}", one.assessment.verdict) for one in found] == [
        (what, verdict)
    ]
    assert found[0].site.line == code.count("\n") + 1


def test_wrappers_of_wrappers(tmp_path: Path) -> None:
    files = {
        f"pkg/w{k}.py": f"from .w{k - 1} import ask as a\ndef ask(**kw): a('q', **kw)"
        for k in (2, 3)
    }
    files["pkg/w1.py"] = "from .llm import ask as a\ndef ask(q, **kw): a(q, **kw)"
    report = scanned(tmp_path, {**files, "main.py": "from pkg.w3 import ask\nask(seed=1)"})
    (found,) = [one for one in report.findings if one.file.endswith("main.py")]
    assert (found.site.kind, found.assessment.verdict) == ("wrapper", "setting")


@pytest.mark.parametrize("named", ["pkg.w1:ask", "pkg.w2:ask", "main:f"])
def test_rules_may_match_any_function_between_site_and_sdk(tmp_path: Path, named: str) -> None:
    scanned(tmp_path, {
        "pkg/w1.py": (
            "def ask(**kw):\n  import openai\n  return openai.chat.completions.create(**kw)"
        ),
        "pkg/w2.py": "from .w1 import ask as a\ndef ask(**kw): a(**kw)",
        "main.py": "from pkg.w2 import ask\ndef f(): ask(seed=1)",
    })  # fmt: skip
    settings = Settings(rules=[{"match": {"call_site": named}, "drop": ["seed"]}])
    report = scan([tmp_path / "main.py", tmp_path / "pkg"], settings)
    (found,) = [one for one in report.findings if one.file.endswith("main.py")]
    assert (found.call_site, found.assessment.verdict) == ("main:f", "moves")


def test_another_vendors_client_is_known_across_files(tmp_path: Path) -> None:
    files = {
        "pkg/clients.py": "import groq\ndef get(): return groq.Groq()",
        "pkg/a.py": "from .clients import get\nget().chat.completions.create()",
    }
    (found,) = [one for one in scanned(tmp_path, files).findings if one.file.endswith("a.py")]
    assert (found.site.kind, found.assessment.verdict) == ("other client", "stays")


def test_a_client_class_of_the_project_is_not_the_sdks(tmp_path: Path) -> None:
    own = (
        "class Chat:\n  @property\n  def completions(self): return Done()\n"
        "class Done:\n  def create(self, **kw): ...\nclass Client:\n  chat = Chat()\n"
    )
    files = {
        "pkg/own.py": own,
        "pkg/a.py": "from .own import Client\nClient().chat.completions.create(seed=1)",
    }
    assert [
        one.file for one in scanned(tmp_path, files).findings if not one.file.endswith("llm.py")
    ] == []


def test_files_that_import_one_another(tmp_path: Path) -> None:
    files = {
        "pkg/a.py": (
            "from .b import g\nfrom openai import OpenAI\n"
            "def f(**kw): return OpenAI().chat.completions.create(**kw)\ng(seed=1)"
        ),
        "pkg/b.py": "from .a import f\ndef g(**kw): return f(**kw)\nfrom .b import g as h\n",
    }
    found = [one for one in scanned(tmp_path, files).findings if not one.file.endswith("llm.py")]
    assert [(Path(one.file).name, one.site.line, one.assessment.verdict) for one in found] == [
        ("a.py", 3, "unless"),
        ("a.py", 4, "setting"),
        ("b.py", 2, "unless"),
    ]


def test_call_sites_of_a_namespace_package(tmp_path: Path) -> None:
    call = "def f(c): c.chat.completions.create()"
    scanned(
        tmp_path,
        {
            "pyproject.toml": "",
            "src/company/llm/use.py": call,
            "src/pkg2/__init__.py": call,
            "run.py": call,
        },
    )
    report = scan([tmp_path / "src", tmp_path / "run.py"], Settings())
    assert [one.call_site for one in report.findings] == ["company.llm.use:f", "pkg2:f", "run:f"]
