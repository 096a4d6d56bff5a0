"""The call sites that a scan finds in one module, their verdicts, and code that is no call."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from adapter import Settings
from adapter.tools.scan.run import Finding, scan


def find(
    tmp_path: Path, code: str, settings: Settings | None = None, name: str = "module.py"
) -> list[Finding]:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    report = scan([path], settings or Settings())
    assert report.unread == {}
    return report.findings


CREATE = "chat.completions.create"
# Code, and its sites: line, kind, call.
FOUND: dict[str, tuple[str, list[tuple[int, str, str]]]] = {
    "a client": (
        "from openai import OpenAI\nOpenAI().chat.completions.create(model='m')",
        [(2, "chat", CREATE)],
    ),
    "an unknown client": (
        "def f(c): return c.chat.completions.parse(model='m')",
        [(1, "chat", "chat.completions.parse")],
    ),
    "beta": (
        "c.beta.chat.completions.stream(model='m')", [(1, "chat", "beta.chat.completions.stream")],
    ),
    "raw": (
        "c.chat.completions.with_raw_response.create()",
        [(1, "chat", "chat.completions.with_raw_response.create")],
    ),
    "streaming response": (
        "with c.chat.completions.with_streaming_response.create() as r: pass",
        [(1, "chat", "chat.completions.with_streaming_response.create")],
    ),
    "the module's": ("import openai\nopenai.chat.completions.create()", [(2, "chat", CREATE)]),
    "awaited": ("async def f():\n  await c.chat.completions.create()", [(2, "chat", CREATE)]),
    "an alias of the resource": ("r = c.chat.completions\nr.create()", [(2, "chat", CREATE)]),
    "an alias of the method": (
        "create = c.chat.completions.create\ncreate()", [(2, "chat", CREATE)],
    ),
    "chat alone": ("chat = c.chat\nchat.completions.create()", [(2, "chat", CREATE)]),
    "on self": (
        ("class A:\n  def __init__(self): self.api = c.chat.completions\n"
         "  def f(self): self.api.create()"),
        [(3, "chat", CREATE)],
    ),
    "inherited": (
        ("class A:\n  def __init__(self): self.api = c.chat.completions\nclass B(A):\n"
         "  def f(self): self.api.create()"),
        [(4, "chat", CREATE)],
    ),
    "a function's result": (
        "def api():\n  return c.chat.completions\napi().create()", [(3, "chat", CREATE)],
    ),
    "an annotation": (
        ("from openai.resources.chat.completions import Completions\n"
         "def f(r: Completions): r.create()"),
        [(2, "chat", CREATE)],
    ),
    "getattr": ("getattr(c.chat.completions, 'create')()", [(1, "chat", CREATE)]),
    "getattr by a variable": (
        "getattr(c.chat.completions, which)()", [(1, "chat", "chat.completions.*")],
    ),
    "partial": (
        "from functools import partial\np = partial(c.chat.completions.create, model='m')\np()",
        [(3, "chat", CREATE)],
    ),
    "passed on": (
        "import asyncio\nasyncio.to_thread(c.chat.completions.create, model='m', messages=[])",
        [(2, "passed on", CREATE)],
    ),
    "bound to another name": (
        "class A:\n  def __init__(self): self.ask = c.chat.completions.create",
        [(2, "passed on", CREATE)],
    ),
    "a wrapper": (
        "def ask(**kw):\n  return c.chat.completions.create(**kw)\nask(model='m')",
        [(2, "chat", CREATE), (3, "wrapper", "ask")],
    ),
    "a wrapper's wrapper": (
        "def a(**kw): return c.chat.completions.create(**kw)\ndef b(**kw): return a(**kw)\nb(n=2)",
        [(1, "chat", CREATE), (2, "wrapper", "a"), (3, "wrapper", "b")],
    ),
    "0.x": (
        "import openai\nopenai.ChatCompletion.create(model='m')",
        [(2, "legacy", "ChatCompletion.create")],
    ),
    "another vendor's": (
        "from groq import Groq\nGroq().chat.completions.create()", [(2, "other client", CREATE)],
    ),
    "LangChain": (
        "from langchain_openai import ChatOpenAI as C\nC(model='m')",
        [(2, "langchain", "ChatOpenAI")],
    ),
    "LlamaIndex": (
        "from llama_index.llms.openai import OpenAI\nOpenAI(model='m')",
        [(2, "llama-index", "OpenAI")],
    ),
    "OpenAILike": (
        "from llama_index.llms.openai_like import OpenAILike\nOpenAILike()",
        [(2, "llama-index", "OpenAILike")],
    ),
    "instructor": (
        ("import instructor\nc = instructor.from_openai(x)\n"
         "c.chat.completions.create(response_model=M)"),
        [(2, "instructor", "from_openai"), (3, "instructor", CREATE)],
    ),
    "instructor's provider": (
        ("import instructor\ninstructor.from_provider('openai/gpt-5.2')\n"
         "instructor.from_provider('anthropic/c')"),
        [(2, "instructor", "from_provider")],
    ),
    "Agents SDK": (
        ("import agents\nagents.set_default_openai_api('chat_completions')\n"
         "agents.OpenAIChatCompletionsModel(model='m')"),
        [
            (2, "openai-agents", "set_default_openai_api"),
            (3, "openai-agents", "OpenAIChatCompletionsModel"),
        ],
    ),
    "pydantic-ai": (
        ("from pydantic_ai import Agent\nAgent('openai:gpt-5.2')\nAgent('anthropic:c')\n"
         "Agent(model='openai-chat:m')"),
        [(2, "pydantic-ai", "Agent"), (4, "pydantic-ai", "Agent")],
    ),
    "litellm": ("import litellm\nlitellm.completion(model='m')", [(2, "litellm", "completion")]),
    "raw HTTP": (
        "import requests\nrequests.post(f'{base}/v1/chat/completions')", [(2, "http", "post")],
    ),
    "a batch": (
        ("from openai import OpenAI\n"
         "OpenAI().batches.create(input_file_id=f, endpoint='/v1/chat/completions')"),
        [(2, "batch", "batches.create")],
    ),
    "a batch, by a constant": (
        ("E = '/v1/chat/completions'\n"
         "client.batches.with_raw_response.create(endpoint=E, input_file_id=f)"),
        [(2, "batch", "batches.create")],
    ),
    "a batch for an unknown endpoint": (
        "import openai\nopenai.AsyncOpenAI().batches.create(endpoint=where, input_file_id=f)",
        [(2, "batch", "batches.create")],
    ),
    "a batch's input": (
        ("import json\n"
         "json.dumps({'custom_id': i, 'method': 'POST', "
         "'url': '/v1/chat/completions', 'body': b})"),
        [(2, "batch", "input file")],
    ),
    "replaced": ("c.chat.completions.create = fake", [(1, "test double", "assignment")]),
    "patched": (
        ("from unittest.mock import patch\n"
         "patch('openai.resources.chat.completions.Completions.create')"),
        [(2, "test double", "patch")],
    ),
    # No sites
    "the other completions": (
        "from openai import OpenAI\nOpenAI().completions.create(model='m')", [],
    ),
    "responses": ("from openai import OpenAI\nOpenAI().responses.create(model='m')", []),
    "a batch of embeddings": (
        "import openai\nopenai.batches.create(endpoint='/v1/embeddings', input_file_id=f)", [],
    ),
    "a batch of responses": (
        "import openai\nopenai.OpenAI().batches.create(endpoint='/v1/responses')", [],
    ),
    "another vendor's batch": (
        "# chat.completions\nclient.messages.batches.create(requests=[])", [],
    ),
    "stored ones": ("c.chat.completions.list()\nc.chat.completions.retrieve('x')", []),
    "a docstring": ('"""POST /v1/chat/completions, or c.chat.completions.create()."""', []),
    "a comment": ("# c.chat.completions.create()", []),
    "inspected": (
        "hasattr(c, 'x')\nimport inspect\ninspect.iscoroutinefunction(c.chat.completions.create)",
        [],
    ),
    "LangChain on Responses": (
        "from langchain_openai import ChatOpenAI\nChatOpenAI(use_responses_api=True)", [],
    ),
    "a class of the same name": ("class ChatOpenAI: pass\nChatOpenAI()", []),
    "a circle": ("a = b\nb = a\na.create()\ndef f(): return f()\nf().create()  # completions", []),
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), FOUND.values(), ids=FOUND)
def test_sites(tmp_path: Path, code: str, expected: list[tuple[int, str, str]]) -> None:
    assert [
        (one.site.line, one.site.kind, one.site.call) for one in find(tmp_path, code)
    ] == expected


# The arguments of one call, its verdict, the settings that would move it, and part of the reason.
VERDICTS: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "nothing special": ("model='m', temperature=1", "moves", (), ""),
    "n=1": ("n=1", "moves", (), ""),
    "n=3": ("n=3", "setting", ('emulate = ["n"]',), "n:"),
    "n unknown": ("n=n", "unless", ('emulate = ["n"]',), "n"),
    "n by a constant": ("n=ONE", "moves", (), ""),
    "stop=None": ("stop=None", "moves", (), ""),
    "stop": ("stop=['x']", "setting", ('emulate = ["stop"]',), "stop"),
    "stop unknown": ("stop=stop", "unless", ('emulate = ["stop"]',), "stop"),
    "seed": ("seed=7", "setting", ('drop = ["seed"]',), "seed"),
    "not given": ("seed=openai.NOT_GIVEN", "moves", (), ""),
    "logit_bias": ("logit_bias={'1': 2}", "stays", (), "logit_bias"),
    "logit_bias={}": ("logit_bias={}", "moves", (), ""),
    "a penalty of 0": ("presence_penalty=0.0", "moves", (), ""),
    "a penalty unknown": (
        "presence_penalty=p", "unless", ('drop = ["presence_penalty"]',), "presence_penalty",
    ),
    "audio": ("audio={'voice': 'a'}, modalities=['text', 'audio']", "stays", (), "audio"),
    "a few tokens": ("max_tokens=5", "setting", ('drop = ["max_tokens"]',), "max_tokens"),
    "tokens": ("max_tokens=500", "moves", (), ""),
    "tokens unknown": ("max_tokens=limit", "moves", (), ""),
    "tools": ("tools=tools, tool_choice='auto'", "moves", (), ""),
    "stream": ("stream=True, stream_options={'include_usage': True}", "moves", (), ""),
    "audio in a message": (
        ("messages=[{'role': 'user', 'content': [{'type': 'text', 'text': q}, {'type': "
         "'input_audio', 'input_audio': sound}]}]"), "stays", (), "messages[0].content[0]",
    ),
    "a message's name": (
        "messages=[{'role': 'user', 'content': q, 'name': 'bob'}]",
        "setting", ('emulate = ["name"]',), "messages[0].name",
    ),
    "Azure's data": (
        "extra_body={'data_sources': [{'type': 'azure_search'}]}",
        "stays", (), "data_sources: Azure answers",
    ),
    "extra, unknown": (
        "extra_body={'seed': q}", "unless", ('drop = ["seed"]',), "depends on the value of seed",
    ),
    "Azure's data, from elsewhere": (
        "extra_body={'data_sources': [{'type': 'azure_search', 'parameters': q}]}",
        "stays", (), "data_sources: Azure answers",
    ),
    "a chat-only model": ("model='gpt-4o-audio-preview'", "stays", (), "Chat Completions only"),
    "a model of Responses only": ("model='o1-pro', seed=1", "refused", (), "seed"),
    "spread": ("**given", "unless", (), "**given"),
    "spread, known": ("**{'n': 2}", "setting", ('emulate = ["n"]',), "n"),
    "spread, one way or the other": (
        "**({'seed': 1} if x else {})", "unless", ('drop = ["seed"]',), "seed",
    ),
    "extra_body": ("extra_body={'seed': 3}", "setting", ('drop = ["seed"]',), "seed"),
    "extra_headers": ("extra_headers={'a': 'b'}, timeout=3", "moves", (), ""),
    "two": ("n=2, seed=1", "setting", ('drop = ["seed"]', 'emulate = ["n"]'), "n"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "verdict", "settings", "why"), VERDICTS.values(), ids=VERDICTS)
def test_verdicts(
    tmp_path: Path, given: str, verdict: str, settings: tuple[str, ...], why: str
) -> None:
    (found,) = find(tmp_path, f"import openai\nONE = 1\nopenai.chat.completions.create({given})")
    assert (found.assessment.verdict, found.assessment.settings) == (verdict, settings)
    assert why in found.assessment.why


def test_a_dictionary_that_is_added_to(tmp_path: Path) -> None:
    code = """
    def f(c, more):
        params = {"model": "m", "n": 1}
        params["seed"] = 3
        params.update(stop=None, user="u")
        return c.chat.completions.create(**params)
    """
    (found,) = find(tmp_path, code)
    assert found.site.arguments.values == {
        "model": "m",
        "n": 1,
        "seed": 3,
        "stop": None,
        "user": "u",
    }
    assert found.site.arguments.sources == []


def test_a_callers_own_settings_count(tmp_path: Path) -> None:
    code = "def f(c):\n  return c.chat.completions.create(model='gpt-4o', seed=1, n=2)"
    rules: list[dict[str, Any]] = [
        {"match": {"call_site": "module:f"}, "drop": ["seed"], "emulate": ["n"]}
    ]
    for settings, verdict in (
        (Settings(), "setting"),
        (Settings(drop=["seed"], emulate=["n"]), "moves"),
        (Settings(rules=rules), "moves"),
        (Settings(rules=[{**rules[0], "match": {"call_site": "module:g"}}]), "setting"),
        (Settings(unsupported="error"), "refused"),
        (Settings(force="chat", drop=["seed"], emulate=["n"]), "moves"),
    ):
        (found,) = find(tmp_path, code, settings)
        assert found.assessment.verdict == verdict
        assert found.call_site == "module:f"


def test_call_sites_are_named_as_at_run_time(tmp_path: Path) -> None:
    import sys

    from adapter._routing.call_site import call_sites

    seen: list[str | None] = []
    code = """
    class A:
        def f(self, c):
            def inner():
                c.chat.completions.create()
            inner()
    A().f(client)
    """
    (tmp_path / "package_of_sites").mkdir()
    (tmp_path / "package_of_sites" / "__init__.py").touch()
    (found,) = find(tmp_path, code, name="package_of_sites/module.py")

    class Client:
        chat = completions = property(lambda self: self)

        def create(self) -> None:
            frame = sys._getframe(1)
            seen.append(f"{frame.f_globals['__name__']}:{frame.f_code.co_qualname}")

    assert call_sites() is not None  # it reads the same two attributes at run time
    exec(
        compile((tmp_path / "package_of_sites" / "module.py").read_text(), "module.py", "exec"),
        {"client": Client(), "__name__": "package_of_sites.module"},
    )
    assert seen == [found.call_site]


def test_a_batch_stays_with_the_reason(tmp_path: Path) -> None:
    code = (
        "import openai\nopenai.batches.create(endpoint='/v1/chat/completions')\n"
        "openai.batches.create(endpoint=e)"
    )
    stays, unclear = find(tmp_path, code)
    assert (stays.assessment.verdict, unclear.assessment.verdict) == ("stays", "unclear")
    assert all(
        one.assessment.why.startswith("the Batch API isn't moved") for one in (stays, unclear)
    )
