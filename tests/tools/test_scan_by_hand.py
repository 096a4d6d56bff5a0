"""What a scan takes for a request that is written by hand, for a test's double, and for neither."""

from __future__ import annotations

import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper

from adapter.tools.scan.call_sites import find_sites
from adapter.tools.scan.finder import Site
from adapter.tools.scan.imports import fix_imports
from adapter.tools.scan.sources import recorded_lines


def find(code: str) -> list[Site]:
    return find_sites(MetadataWrapper(cst.parse_module(f"{code}\n"), unsafe_skip_copy=True))


# Code, the line of the string that names the endpoint, what sends it, and what becomes of it.
SENT: dict[str, tuple[str, int, str, str]] = {
    "requests": ("import requests\nrequests.post('https://api.openai.com/v1/chat/completions')", 2, "post", "stays"),
    "requests const": ("import requests\nURL='https://api.openai.com/v1/chat/completions'\ndef f(): requests.post(URL, json={})", 2, "post", "stays"),
    "class const": ("import requests\nclass A:\n  URL='https://api.openai.com/v1/chat/completions'\n  def f(self): requests.post(self.URL)", 3, "post", "stays"),
    "an attribute": ("import httpx\nclass A:\n  def __init__(self, base):\n    self.url = base + '/chat/completions'\n    self.c = httpx.Client()\n  def f(self): self.c.post(self.url)", 4, "post", "unclear"),
    "httpx alone": ("import httpx\nhttpx.post('https://api.openai.com/v1/chat/completions')", 2, "post", "stays"),
    "httpx client": ("import httpx\nwith httpx.Client() as c: c.post('https://api.openai.com/v1/chat/completions')", 2, "post", "unclear"),
    "httpx async stream": ("import httpx\nasync def f():\n  async with httpx.AsyncClient() as c:\n    async with c.stream('POST', f'{base}/chat/completions') as r: pass", 4, "stream", "unclear"),
    "annotated client": ("import httpx\ndef f(c: httpx.AsyncClient | None, url): c.post(f'{url}/chat/completions')", 2, "post", "unclear"),
    "aiohttp": ("import aiohttp\nasync def f():\n  async with aiohttp.ClientSession() as s:\n    async with s.post(base + '/v1/chat/completions') as r: pass", 4, "post", "stays"),
    "urllib": ("import urllib.request\nurllib.request.urlopen(urllib.request.Request(f'{b}/chat/completions', data=d))", 2, "Request", "stays"),
    "urlopen var": ("from urllib.request import Request, urlopen\nurl=f'{b}/chat/completions'\nreq = Request(url)\nurlopen(req)", 2, "Request", "stays"),
    "http.client": ("import http.client\nc = http.client.HTTPSConnection('api.openai.com')\nc.request('POST', '/v1/chat/completions', b)", 3, "request", "stays"),
    "urllib3": ("import urllib3\nhttp=urllib3.PoolManager()\nhttp.request('POST', U + '/chat/completions')", 3, "request", "stays"),
    "unknown session": ("def f(session): session.post(f'{b}/chat/completions')", 1, "post", "unclear"),
    "self._session": ("class A:\n  async def f(self):\n    async with self._session.post('/chat/completions') as r: pass", 3, "post", "unclear"),
    "urljoin": ("import requests\nfrom urllib.parse import urljoin\nrequests.post(urljoin(base, '/v1/chat/completions'))", 3, "post", "stays"),
    "joined to a folder": ("import requests\nfrom urllib.parse import urljoin\nrequests.post(urljoin('https://x.example/v1/', 'chat/completions'))", 3, "post", "stays"),
    "os.path.join": ("import requests, os\nrequests.post(os.path.join(base, 'chat', 'completions'))", 2, "post", "stays"),
    "format": ("import requests\nrequests.post('{}/chat/completions'.format(base))", 2, "post", "stays"),
    "formatted by name": ("import requests\nT='{base}/{path}'\nrequests.post(T.format(base=b, path='chat/completions'))", 3, "post", "stays"),
    "percent": ("import requests\nrequests.post('%s/chat/completions' % base)", 2, "post", "stays"),
    "dict": ("import requests\nE={'chat': '/chat/completions', 'emb': '/embeddings'}\nrequests.post(B + E['chat'])", 2, "post", "stays"),
    "dict var": ("import requests\nE={'chat': '/chat/completions', 'emb': '/embeddings'}\nrequests.post(B + E[k])", 2, "post", "stays"),
    "dict get": ("import requests\nE={'chat': '/chat/completions'}\nrequests.post(B + E.get(k))", 2, "post", "stays"),
    "augmented": ("import requests\nurl=base\nurl += '/chat/completions'\nrequests.post(url)", 3, "post", "stays"),
    "rstrip": ("import requests\nrequests.post(base.rstrip('/') + '/chat/completions')", 2, "post", "stays"),
    "property": ("import requests\nclass A:\n  @property\n  def url(self): return f'{self.b}/chat/completions'\n  def f(self): requests.post(self.url)", 4, "post", "stays"),
    "method": ("import requests\nclass A:\n  def url(self): return f'{self.b}/chat/completions'\n  def f(self): requests.post(self.url())", 3, "post", "stays"),
    "default": ("import requests\ndef f(url='https://x.example/v1/chat/completions'): requests.post(url)", 2, "post", "stays"),
    "enum": ("import requests\nclass E(Enum):\n  CHAT='/chat/completions'\nrequests.post(B + E.CHAT.value)", 3, "post", "stays"),
    "wrapper fn": ("import requests\ndef post(path, body): return requests.post(BASE + path, json=body)\npost('/chat/completions', {})\npost('/embeddings', {})", 3, "post", "stays"),
    "wrapper method": ("import httpx\nclass A:\n  def _req(self, method, path): return self._c.request(method, f'{self.b}{path}')\n  def f(self): self._req('POST', '/chat/completions')\n  def __init__(self): self._c = httpx.Client()", 4, "_req", "unclear"),
    "thread": ("import asyncio, requests\nasyncio.to_thread(requests.post, 'https://x.example/chat/completions')", 2, "post", "stays"),
    "partial": ("from functools import partial\nimport requests\np = partial(requests.post, 'https://x.example/chat/completions')", 3, "post", "stays"),
    "build_request": ("import httpx\nc=httpx.Client()\nr=c.build_request('POST', '/chat/completions')\nc.send(r)", 3, "build_request", "unclear"),
    "a request object": ("import httpx\nr=httpx.Request('POST', 'https://x.example/chat/completions')", 2, "Request", "unclear"),
    "by keyword": ("import requests\nrequests.request(method='POST', url=f'{b}/chat/completions')", 2, "request", "stays"),
    "yarl": ("import aiohttp\nfrom yarl import URL\nasync def f(s: aiohttp.ClientSession): await s.post(URL(base) / 'chat' / 'completions')", 3, "post", "stays"),
    "the SDK's own post": ("from openai import OpenAI\nOpenAI().post('/chat/completions', cast_to=object)", 2, "post", "unclear"),
    "unless the environment says": ("import requests, os\nrequests.post(os.environ.get('X', 'https://x.example/v1/chat/completions'))", 2, "post", "stays"),
    "one or the other": ("import requests\nrequests.post(a if b else '/chat/completions')", 2, "post", "stays"),
    "tuple": ("import requests\nBASE, PATH = 'https://x', '/chat/completions'\nrequests.post(BASE + PATH)", 2, "post", "stays"),
    "concat literal": ("import requests\nrequests.post('https://x.example'\n '/v1/chat/completions')", 3, "post", "stays"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "line", "call", "verdict"), SENT.values(), ids=SENT)
def test_a_url_counts_where_it_is_sent(code: str, line: int, call: str, verdict: str) -> None:
    [found] = find(code)
    assert (found.kind, found.line, found.call, found.forced) == ("http", line, call, verdict)


NOT_SENT: dict[str, str] = {
    "another entry": "import requests\nE={'chat': '/chat/completions', 'emb': '/embeddings'}\nrequests.post(B + E['emb'])",
    "log": "import logging\nlogging.info('POST /chat/completions')",
    "printed": "logger.info(f'POST {b}/chat/completions')\nprint('/chat/completions')",
    "an error": "raise ValueError('no /chat/completions')",
    "field": "x: str = Field(description='to /chat/completions')",
    "argparse": "p.add_argument('--url', default='https://x.example/v1/chat/completions', help='the /chat/completions URL')",
    "compare": "if '/chat/completions' in url: pass\nurl.endswith('/chat/completions')",
    "compare in post": "import requests\nrequests.post(url) if '/chat/completions' in url else None",
    "route": "@app.post('/v1/chat/completions')\nasync def f(): ...",
    "routes": "app.add_api_route('/v1/chat/completions', f)\nrouter.post('/v1/chat/completions')(f)\nRoute('/v1/chat/completions', f)\npath('v1/chat/completions', f)",
    "aiohttp web": "from aiohttp import web\nweb.post('/v1/chat/completions', f)\napp.router.add_post('/v1/chat/completions', f)",
    "dict key": "X = {'/v1/chat/completions': 1}\nX['/v1/chat/completions']",
    "assert": "def test_a():\n  assert request.url.path == '/v1/chat/completions'",
    "TestClient": "from fastapi.testclient import TestClient\nclient = TestClient(app)\nclient.post('/v1/chat/completions', json={})",
    "a test's client": "def test_a(client):\n  client.post('/v1/chat/completions', json={})",
    "docstring": "def f():\n  '''POST /chat/completions'''",
    "url unused": "URL='https://api.openai.com/v1/chat/completions'",
    "self.url unused": "class A:\n  def __init__(self): self.url='https://api.openai.com/v1/chat/completions'",
    "curl": "import subprocess\nsubprocess.run(['curl', 'https://api.openai.com/v1/chat/completions'])",
    "replace": "base = url.replace('/chat/completions', '')\nimport requests\nrequests.post(base + '/embeddings')",
    "split": "requests.get(url.split('/chat/completions')[0] + '/models')\nimport requests",
    "removesuffix": "import requests\nrequests.get(url.removesuffix('/chat/completions') + '/models')",
    "json body": "import requests\nrequests.post(url, json={'endpoint': '/v1/chat/completions'})",
    "params": "import requests\nrequests.post(url, data='/v1/chat/completions')",
    "_post of stainless": "class R:\n  def create(self): return self._post('/chat/completions', body=1)",
}  # fmt: skip


@pytest.mark.parametrize("code", NOT_SENT.values(), ids=NOT_SENT)
def test_the_endpoints_name_alone_is_no_request(code: str) -> None:
    assert find(code) == []


# Code in which something answers in place of the endpoint, and the lines.
ANSWERED: dict[str, tuple[str, list[int]]] = {
    "respx": ("import respx\nrespx.post('https://api.openai.com/v1/chat/completions').mock(return_value=1)", [2]),
    "respx_mock": ("def test_a(respx_mock):\n  respx_mock.post('/chat/completions')", [2]),
    "httpx_mock": ("def test_a(httpx_mock):\n  httpx_mock.add_response(url='https://api.openai.com/v1/chat/completions', json={})", [2]),
    "responses": ("import responses\nresponses.add(responses.POST, 'https://api.openai.com/v1/chat/completions', json={})\nresponses.post('https://api.openai.com/v1/chat/completions')", [2, 3]),
    "rsps": ("import responses\nwith responses.RequestsMock() as rsps: rsps.add(responses.POST, 'https://api.openai.com/v1/chat/completions')", [2]),
    "requests_mock": ("def test_a(requests_mock): requests_mock.post('https://api.openai.com/v1/chat/completions')", [1]),
    "requests_mock's mocker": ("import requests_mock\nwith requests_mock.Mocker() as m: m.post('https://api.openai.com/v1/chat/completions')", [2]),
    "aioresponses": ("from aioresponses import aioresponses\nwith aioresponses() as m: m.post('https://api.openai.com/v1/chat/completions')", [2]),
    "httpserver": ("def test_a(httpserver): httpserver.expect_request('/v1/chat/completions').respond_with_json({})", [1]),
    "httpretty": ("import httpretty\nhttpretty.register_uri(httpretty.POST, 'https://api.openai.com/v1/chat/completions')", [2]),
    "mock.post": ("mock.post('https://api.openai.com/v1/chat/completions')", [1]),
}  # fmt: skip


@pytest.mark.parametrize(("code", "lines"), ANSWERED.values(), ids=ANSWERED)
def test_what_answers_in_place_of_the_endpoint_is_a_double(code: str, lines: list[int]) -> None:
    assert [(one.line, one.kind, one.forced) for one in find(code)] == [
        (line, "test double", "unclear") for line in lines
    ]


# Code that replaces a method or a client: the kind, and by what.
REPLACED: dict[str, tuple[str, str, str]] = {
    "patch str": ("from unittest.mock import patch\npatch('openai.resources.chat.completions.Completions.create')", "test double", "patch"),
    "patch deco": ("@patch('openai.resources.chat.completions.Completions.create')\ndef test(m): pass", "test double", "patch"),
    "patch object": ("from openai.resources.chat.completions import Completions\nwith patch.object(Completions, 'create') as m: pass", "test double", "object"),
    "patch.object client": ("mocker.patch.object(client.chat.completions, 'create', return_value=1)", "test double", "object"),
    "monkeypatch": ("monkeypatch.setattr(client.chat.completions, 'create', fake)", "test double", "setattr"),
    "monkeypatch str": ("monkeypatch.setattr('openai.resources.chat.completions.Completions.create', fake)", "test double", "setattr"),
    "setattr": ("setattr(client.chat.completions, 'create', fake)", "test double", "setattr"),
    "assign mock": ("client.chat.completions.create = MagicMock()", "test double", "assignment"),
    "return_value": ("client.chat.completions.create.return_value = x", "test double", "return_value"),
    "side_effect": ("client.chat.completions.create.side_effect = x", "test double", "side_effect"),
    "spec": ("from openai import OpenAI\nm = MagicMock(spec=OpenAI)", "test double", "MagicMock"),
    "autospec": ("import openai\nm = create_autospec(openai.OpenAI)", "test double", "create_autospec"),
    "namespace": ("c = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=f)))", "test double", "SimpleNamespace"),
    "class": ("class FakeClient:\n  def __init__(self): self.chat = X()", "test double", "FakeClient"),
    "patch class": ("patch('app.llm.OpenAI')", "test double", "patch"),
    "patch openai": ("import openai\nmonkeypatch.setattr(openai, 'OpenAI', Fake)", "test double", "setattr"),
    "assign class": ("import openai\nopenai.OpenAI = Fake", "test double", "assignment"),
    "wrapt": ("from wrapt import wrap_function_wrapper\nwrap_function_wrapper('openai.resources.chat.completions', 'Completions.create', w)", "instrumentation", "wrap_function_wrapper"),
    "wrapt deco": ("@wrapt.patch_function_wrapper('openai.resources.chat.completions', 'Completions.create')\ndef f(wrapped, instance, args, kwargs): ...", "instrumentation", "patch_function_wrapper"),
    "spy": ("mocker.spy(client.chat.completions, 'create')", "instrumentation", "spy"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "kind", "call"), REPLACED.values(), ids=REPLACED)
def test_what_replaces_create_is_told_by_what_it_does(code: str, kind: str, call: str) -> None:
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


def test_what_is_put_back_replaces_nothing() -> None:
    code = "kept['a'] = c.chat.completions.create\nc.chat.completions.create = fake\nc.chat.completions.create = kept['a']"
    assert [one.line for one in find(code) if one.kind == "test double"] == [2]
    assert [one.line for one in find(code.replace("['a']", "")) if one.kind == "test double"] == [2]


def test_what_calls_the_method_that_it_replaces_wraps_it() -> None:
    head = "from openai.resources.chat.completions import Completions\nkept = Completions.create\n"
    for code in (
        "Completions.create = wrap(Completions.create)",
        "made = wrap(function=kept)\nCompletions.create = made",
        "def mine(*a): return kept(*a)\nCompletions.create = mine",
    ):
        assert "instrumentation" in [one.kind for one in find(head + code)]


TRACED = {
    "Langfuse's": ("from langfuse.openai import OpenAI\nc = OpenAI()", "adapter.install"),
    "Langfuse's module": ("from langfuse.openai import openai\nc = openai.AsyncOpenAI()", "adapter.install"),
    "Langfuse's module's own client": ("from langfuse.openai import openai as c", "adapter.install"),
    "PostHog's": ("from posthog.ai.openai import AsyncOpenAI\nc = AsyncOpenAI(posthog_client=p)", "http_client="),
    "Galileo's": ("import galileo.openai\nc = galileo.openai.OpenAI()", "adapter.install"),
    "DeepEval's": ("from deepeval.openai import OpenAI as O\nc = O()", "adapter.install"),
    "baserun's": ("import baserun\nc = baserun.OpenAI()", "baserun.init"),
    "PromptLayer's": ("from promptlayer import PromptLayer\nOpenAI = PromptLayer().openai.OpenAI\nc = OpenAI()", "http_client="),
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
def test_what_patches_or_wraps_is_no_client_of_its_own(code: str) -> None:
    [found] = find(f"{code}\nc.chat.completions.create(model='m', messages=[])")
    assert found.kind == "chat"
    assert "from adapter import OpenAI" in (fix_imports(code).text or "")


LINES = {
    "a cassette": ("uri: https://host.example/v1/chat/completions", True),
    "a cassette as JSON": ('{"request": {"uri": "https://host.example/v1/chat/completions"}}', True),
    "a log": ('{"path":"/v1/chat/completions","status":200}', True),
    "an API's description": ("  /chat/completions:", False),
    "an API's description as JSON": ('{"paths":{"/v1/chat/completions":{"post":{}},"/v1/chat/completions/{id}": {}}}', False),
    "a list of endpoints": ('    "/v1/chat/completions",', False),
    "a list of endpoints in YAML": ("  - /v1/chat/completions", False),
    "a list in a line": ('"supported_endpoints": ["/v1/chat/completions", "/v1/responses"],', False),
    "a comment": ("# POST /v1/chat/completions", False),
    "a list beside a record": ('"endpoints": ["/v1/chat/completions"], "url": "/v1/chat/completions"', True),
}  # fmt: skip


@pytest.mark.parametrize(("line", "is_one"), LINES.values(), ids=LINES)
def test_recordings_are_told_from_what_only_names_the_endpoint(line: str, is_one: bool) -> None:
    assert recorded_lines(f"x: 1\n{line}\n".encode()) == ([2] if is_one else [])


def test_a_tracing_packages_client_that_is_wired_needs_no_word() -> None:
    code = "import adapter\nfrom langfuse.openai import OpenAI\nc = OpenAI()\nadapter.install(c)\n"
    [found] = find(f"{code}c.chat.completions.create(model='m', messages=[])")
    assert found.kind == "chat"
    assert fix_imports(code).left == []
