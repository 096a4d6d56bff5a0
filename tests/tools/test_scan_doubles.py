"""Test doubles, wrappers of the SDK's methods, and clients of tracing packages in a scan."""

from __future__ import annotations

import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper

from adapter.tools.scan.call_sites import find_sites
from adapter.tools.scan.finder import Site
from adapter.tools.scan.imports import fix_imports


def find(code: str) -> list[Site]:
    return find_sites(MetadataWrapper(cst.parse_module(f"{code}\n"), unsafe_skip_copy=True))


# Code in which a test double answers in place of the endpoint, and the lines.
ANSWERED: dict[str, tuple[str, list[int]]] = {
    "respx": (
        ("import respx\n"
         "respx.post('https://api.openai.com/v1/chat/completions').mock(return_value=1)"), [2],
    ),
    "respx_mock": ("def test_a(respx_mock):\n  respx_mock.post('/chat/completions')", [2]),
    "httpx_mock": (
        ("def test_a(httpx_mock):\n"
         "  httpx_mock.add_response(url='https://api.openai.com/v1/chat/completions', json={})"),
        [2],
    ),
    "responses": (
        ("import responses\n"
         "responses.add(responses.POST, 'https://api.openai.com/v1/chat/completions', json={})\n"
         "responses.post('https://api.openai.com/v1/chat/completions')"), [2, 3],
    ),
    "rsps": (
        ("import responses\n"
         "with responses.RequestsMock() as rsps: rsps.add(responses.POST, "
         "'https://api.openai.com/v1/chat/completions')"), [2],
    ),
    "requests_mock": (
        ("def test_a(requests_mock): "
         "requests_mock.post('https://api.openai.com/v1/chat/completions')"), [1],
    ),
    "requests_mock's mocker": (
        ("import requests_mock\n"
         "with requests_mock.Mocker() as m: m.post('https://api.openai.com/v1/chat/completions')"),
        [2],
    ),
    "aioresponses": (
        ("from aioresponses import aioresponses\n"
         "with aioresponses() as m: m.post('https://api.openai.com/v1/chat/completions')"), [2],
    ),
    "httpserver": (
        ("def test_a(httpserver): "
         "httpserver.expect_request('/v1/chat/completions').respond_with_json({})"), [1],
    ),
    "httpretty": (
        ("import httpretty\n"
         "httpretty.register_uri(httpretty.POST, 'https://api.openai.com/v1/chat/completions')"),
        [2],
    ),
    "mock.post": ("mock.post('https://api.openai.com/v1/chat/completions')", [1]),
}  # fmt: skip


@pytest.mark.parametrize(("code", "lines"), ANSWERED.values(), ids=ANSWERED)
def test_a_mock_of_the_endpoint_is_a_test_double(code: str, lines: list[int]) -> None:
    assert [(one.line, one.kind, one.forced) for one in find(code)] == [
        (line, "test double", "unclear") for line in lines
    ]


# Code that replaces a method or a client: the kind, and the function that does it.
REPLACED: dict[str, tuple[str, str, str]] = {
    "patch str": (
        ("from unittest.mock import patch\n"
         "patch('openai.resources.chat.completions.Completions.create')"), "test double", "patch",
    ),
    "patch deco": (
        "@patch('openai.resources.chat.completions.Completions.create')\ndef test(m): pass",
        "test double", "patch",
    ),
    "patch object": (
        ("from openai.resources.chat.completions import Completions\n"
         "with patch.object(Completions, 'create') as m: pass"), "test double", "object",
    ),
    "patch.object client": (
        "mocker.patch.object(client.chat.completions, 'create', return_value=1)",
        "test double", "object",
    ),
    "monkeypatch": (
        "monkeypatch.setattr(client.chat.completions, 'create', fake)", "test double", "setattr",
    ),
    "monkeypatch str": (
        "monkeypatch.setattr('openai.resources.chat.completions.Completions.create', fake)",
        "test double", "setattr",
    ),
    "setattr": ("setattr(client.chat.completions, 'create', fake)", "test double", "setattr"),
    "assign mock": ("client.chat.completions.create = MagicMock()", "test double", "assignment"),
    "return_value": (
        "client.chat.completions.create.return_value = x", "test double", "return_value",
    ),
    "side_effect": ("client.chat.completions.create.side_effect = x", "test double", "side_effect"),
    "spec": ("from openai import OpenAI\nm = MagicMock(spec=OpenAI)", "test double", "MagicMock"),
    "autospec": (
        "import openai\nm = create_autospec(openai.OpenAI)", "test double", "create_autospec",
    ),
    "namespace": (
        "c = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=f)))",
        "test double", "SimpleNamespace",
    ),
    "class": (
        "class FakeClient:\n  def __init__(self): self.chat = X()", "test double", "FakeClient",
    ),
    "patch class": ("patch('app.llm.OpenAI')", "test double", "patch"),
    "patch openai": (
        "import openai\nmonkeypatch.setattr(openai, 'OpenAI', Fake)", "test double", "setattr",
    ),
    "assign class": ("import openai\nopenai.OpenAI = Fake", "test double", "assignment"),
    "wrapt": (
        ("from wrapt import wrap_function_wrapper\n"
         "wrap_function_wrapper('openai.resources.chat.completions', 'Completions.create', w)"),
        "instrumentation", "wrap_function_wrapper",
    ),
    "wrapt deco": (
        ("@wrapt.patch_function_wrapper('openai.resources.chat.completions', "
         "'Completions.create')\ndef f(wrapped, instance, args, kwargs): ..."),
        "instrumentation", "patch_function_wrapper",
    ),
    "spy": ("mocker.spy(client.chat.completions, 'create')", "instrumentation", "spy"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "kind", "call"), REPLACED.values(), ids=REPLACED)
def test_replacements_of_create_are_classified(code: str, kind: str, call: str) -> None:
    [found] = find(code)
    assert (found.kind, found.call, found.forced) == (kind, call, "moves")


@pytest.mark.parametrize(
    "code",
    [
        "@retry\ndef f(c): c.chat.completions.create()",
        "@patch('os.environ')\ndef f(c): c.chat.completions.create()",
    ],
)
def test_a_decorator_on_a_call_is_no_double(code: str) -> None:
    assert [one.kind for one in find(code)] == ["chat"]


NOT_REPLACED: dict[str, str] = {
    "cassette": "@vcr.use_cassette('chat.completions.create.yaml')\ndef test(): pass",
    "log": "logger.info('chat.completions.create')",
    "open": "open('chat.completions.json').write('x')",
    "dict": "x = {'chat.completions.create': 1}",
    "compare": "if name == 'chat.completions.create': pass",
    "str replace": "x = text.replace('chat.completions', 'responses')",
}  # fmt: skip


@pytest.mark.parametrize("code", NOT_REPLACED.values(), ids=NOT_REPLACED)
def test_logs_and_recordings_replace_nothing(code: str) -> None:
    assert find(code) == []


def test_restoring_a_method_is_no_replacement() -> None:
    code = (
        "kept['a'] = c.chat.completions.create\nc.chat.completions.create = fake\n"
        "c.chat.completions.create = kept['a']"
    )
    assert [one.line for one in find(code) if one.kind == "test double"] == [2]
    assert [one.line for one in find(code.replace("['a']", "")) if one.kind == "test double"] == [2]


def test_a_replacement_that_calls_the_method_is_a_wrapper() -> None:
    head = "from openai.resources.chat.completions import Completions\nkept = Completions.create\n"
    for code in (
        "Completions.create = wrap(Completions.create)",
        "made = wrap(function=kept)\nCompletions.create = made",
        "def mine(*a): return kept(*a)\nCompletions.create = mine",
    ):
        assert "instrumentation" in [one.kind for one in find(head + code)]


TRACED = {
    "Langfuse's": ("from langfuse.openai import OpenAI\nc = OpenAI()", "adapter.install"),
    "Langfuse's module": (
        "from langfuse.openai import openai\nc = openai.AsyncOpenAI()", "adapter.install",
    ),
    "Langfuse's module's own client": (
        "from langfuse.openai import openai as c", "adapter.install",
    ),
    "PostHog's": (
        "from posthog.ai.openai import AsyncOpenAI\nc = AsyncOpenAI(posthog_client=p)",
        "http_client=",
    ),
    "Galileo's": ("import galileo.openai\nc = galileo.openai.OpenAI()", "adapter.install"),
    "DeepEval's": ("from deepeval.openai import OpenAI as O\nc = O()", "adapter.install"),
    "baserun's": ("import baserun\nc = baserun.OpenAI()", "baserun.init"),
    "PromptLayer's": (
        "from promptlayer import PromptLayer\nOpenAI = PromptLayer().openai.OpenAI\nc = OpenAI()",
        "http_client=",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "wire"), TRACED.values(), ids=TRACED)
def test_a_tracing_packages_client_stays_until_it_is_wired(code: str, wire: str) -> None:
    [found] = find(f"{code}\nc.chat.completions.create(model='m', messages=[])")
    assert (found.kind, found.forced, wire in found.wire) == ("traced client", "stays", True)
    fixed = fix_imports(f"{code}\n")
    assert (fixed.text, any(wire in why for _, why in fixed.left)) == (None, True)


@pytest.mark.parametrize(
    "code",
    [
        "import langfuse.openai\nfrom openai import OpenAI\nc = OpenAI()",
        "from openai import OpenAI\nc = wrap_openai(OpenAI())",
    ],
)
def test_patching_or_wrapping_makes_no_traced_client(code: str) -> None:
    [found] = find(f"{code}\nc.chat.completions.create(model='m', messages=[])")
    assert found.kind == "chat"
    assert "from adapter import OpenAI" in (fix_imports(code).text or "")


def test_a_tracing_packages_client_that_is_wired_gets_no_note() -> None:
    code = "import adapter\nfrom langfuse.openai import OpenAI\nc = OpenAI()\nadapter.install(c)\n"
    [found] = find(f"{code}c.chat.completions.create(model='m', messages=[])")
    assert found.kind == "chat"
    assert fix_imports(code).left == []
