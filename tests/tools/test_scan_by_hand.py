"""Hand-written requests and recordings: what a scan reports, and what it ignores."""

from __future__ import annotations

import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper

from adapter.tools.scan.call_sites import find_sites
from adapter.tools.scan.finder import Site
from adapter.tools.scan.sources import recorded_lines


def find(code: str) -> list[Site]:
    return find_sites(MetadataWrapper(cst.parse_module(f"{code}\n"), unsafe_skip_copy=True))


# Code, the line of the string that names the endpoint, the function that sends, and the verdict.
SENT: dict[str, tuple[str, int, str, str]] = {
    "requests": (
        "import requests\nrequests.post('https://api.openai.com/v1/chat/completions')",
        2, "post", "stays",
    ),
    "requests const": (
        ("import requests\nURL='https://api.openai.com/v1/chat/completions'\n"
         "def f(): requests.post(URL, json={})"), 2, "post", "stays",
    ),
    "class const": (
        ("import requests\nclass A:\n  URL='https://api.openai.com/v1/chat/completions'\n"
         "  def f(self): requests.post(self.URL)"), 3, "post", "stays",
    ),
    "an attribute": (
        ("import httpx\nclass A:\n  def __init__(self, base):\n"
         "    self.url = base + '/chat/completions'\n    self.c = httpx.Client()\n"
         "  def f(self): self.c.post(self.url)"), 4, "post", "unclear",
    ),
    "httpx alone": (
        "import httpx\nhttpx.post('https://api.openai.com/v1/chat/completions')",
        2, "post", "stays",
    ),
    "httpx client": (
        ("import httpx\n"
         "with httpx.Client() as c: c.post('https://api.openai.com/v1/chat/completions')"),
        2, "post", "unclear",
    ),
    "httpx async stream": (
        ("import httpx\nasync def f():\n  async with httpx.AsyncClient() as c:\n"
         "    async with c.stream('POST', f'{base}/chat/completions') as r: pass"),
        4, "stream", "unclear",
    ),
    "annotated client": (
        "import httpx\ndef f(c: httpx.AsyncClient | None, url): c.post(f'{url}/chat/completions')",
        2, "post", "unclear",
    ),
    "aiohttp": (
        ("import aiohttp\nasync def f():\n  async with aiohttp.ClientSession() as s:\n"
         "    async with s.post(base + '/v1/chat/completions') as r: pass"), 4, "post", "stays",
    ),
    "urllib": (
        ("import urllib.request\n"
         "urllib.request.urlopen(urllib.request.Request(f'{b}/chat/completions', data=d))"),
        2, "Request", "stays",
    ),
    "urlopen var": (
        ("from urllib.request import Request, urlopen\nurl=f'{b}/chat/completions'\n"
         "req = Request(url)\nurlopen(req)"), 2, "Request", "stays",
    ),
    "http.client": (
        ("import http.client\nc = http.client.HTTPSConnection('api.openai.com')\n"
         "c.request('POST', '/v1/chat/completions', b)"), 3, "request", "stays",
    ),
    "urllib3": (
        "import urllib3\nhttp=urllib3.PoolManager()\nhttp.request('POST', U + '/chat/completions')",
        3, "request", "stays",
    ),
    "unknown session": (
        "def f(session): session.post(f'{b}/chat/completions')", 1, "post", "unclear",
    ),
    "self._session": (
        ("class A:\n  async def f(self):\n"
         "    async with self._session.post('/chat/completions') as r: pass"), 3, "post", "unclear",
    ),
    "urljoin": (
        ("import requests\nfrom urllib.parse import urljoin\n"
         "requests.post(urljoin(base, '/v1/chat/completions'))"), 3, "post", "stays",
    ),
    "joined to a folder": (
        ("import requests\nfrom urllib.parse import urljoin\n"
         "requests.post(urljoin('https://x.example/v1/', 'chat/completions'))"), 3, "post", "stays",
    ),
    "os.path.join": (
        "import requests, os\nrequests.post(os.path.join(base, 'chat', 'completions'))",
        2, "post", "stays",
    ),
    "format": (
        "import requests\nrequests.post('{}/chat/completions'.format(base))", 2, "post", "stays",
    ),
    "formatted by name": (
        ("import requests\nT='{base}/{path}'\n"
         "requests.post(T.format(base=b, path='chat/completions'))"), 3, "post", "stays",
    ),
    "percent": ("import requests\nrequests.post('%s/chat/completions' % base)", 2, "post", "stays"),
    "dict": (
        ("import requests\nE={'chat': '/chat/completions', 'emb': '/embeddings'}\n"
         "requests.post(B + E['chat'])"), 2, "post", "stays",
    ),
    "dict var": (
        ("import requests\nE={'chat': '/chat/completions', 'emb': '/embeddings'}\n"
         "requests.post(B + E[k])"), 2, "post", "stays",
    ),
    "dict get": (
        "import requests\nE={'chat': '/chat/completions'}\nrequests.post(B + E.get(k))",
        2, "post", "stays",
    ),
    "augmented": (
        "import requests\nurl=base\nurl += '/chat/completions'\nrequests.post(url)",
        3, "post", "stays",
    ),
    "rstrip": (
        "import requests\nrequests.post(base.rstrip('/') + '/chat/completions')",
        2, "post", "stays",
    ),
    "property": (
        ("import requests\nclass A:\n  @property\n"
         "  def url(self): return f'{self.b}/chat/completions'\n"
         "  def f(self): requests.post(self.url)"), 4, "post", "stays",
    ),
    "method": (
        ("import requests\nclass A:\n  def url(self): return f'{self.b}/chat/completions'\n"
         "  def f(self): requests.post(self.url())"), 3, "post", "stays",
    ),
    "default": (
        "import requests\ndef f(url='https://x.example/v1/chat/completions'): requests.post(url)",
        2, "post", "stays",
    ),
    "enum": (
        ("import requests\nclass E(Enum):\n  CHAT='/chat/completions'\n"
         "requests.post(B + E.CHAT.value)"), 3, "post", "stays",
    ),
    "wrapper fn": (
        ("import requests\ndef post(path, body): return requests.post(BASE + path, json=body)\n"
         "post('/chat/completions', {})\npost('/embeddings', {})"), 3, "post", "stays",
    ),
    "wrapper method": (
        ("import httpx\nclass A:\n"
         "  def _req(self, method, path): return self._c.request(method, f'{self.b}{path}')\n"
         "  def f(self): self._req('POST', '/chat/completions')\n"
         "  def __init__(self): self._c = httpx.Client()"), 4, "_req", "unclear",
    ),
    "thread": (
        ("import asyncio, requests\n"
         "asyncio.to_thread(requests.post, 'https://x.example/chat/completions')"),
        2, "post", "stays",
    ),
    "partial": (
        ("from functools import partial\nimport requests\n"
         "p = partial(requests.post, 'https://x.example/chat/completions')"), 3, "post", "stays",
    ),
    "build_request": (
        "import httpx\nc=httpx.Client()\nr=c.build_request('POST', '/chat/completions')\nc.send(r)",
        3, "build_request", "unclear",
    ),
    "a request object": (
        "import httpx\nr=httpx.Request('POST', 'https://x.example/chat/completions')",
        2, "Request", "unclear",
    ),
    "by keyword": (
        "import requests\nrequests.request(method='POST', url=f'{b}/chat/completions')",
        2, "request", "stays",
    ),
    "yarl": (
        ("import aiohttp\nfrom yarl import URL\n"
         "async def f(s: aiohttp.ClientSession): await s.post(URL(base) / 'chat' / 'completions')"),
        3, "post", "stays",
    ),
    "the SDK's own post": (
        "from openai import OpenAI\nOpenAI().post('/chat/completions', cast_to=object)",
        2, "post", "unclear",
    ),
    "unless the environment sets it": (
        ("import requests, os\n"
         "requests.post(os.environ.get('X', 'https://x.example/v1/chat/completions'))"),
        2, "post", "stays",
    ),
    "one or the other": (
        "import requests\nrequests.post(a if b else '/chat/completions')", 2, "post", "stays",
    ),
    "tuple": (
        ("import requests\nBASE, PATH = 'https://x', '/chat/completions'\n"
         "requests.post(BASE + PATH)"), 2, "post", "stays",
    ),
    "concat literal": (
        "import requests\nrequests.post('https://x.example'\n '/v1/chat/completions')",
        3, "post", "stays",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "line", "call", "verdict"), SENT.values(), ids=SENT)
def test_a_url_counts_where_it_is_sent(code: str, line: int, call: str, verdict: str) -> None:
    [found] = find(code)
    assert (found.kind, found.line, found.call, found.forced) == ("http", line, call, verdict)


NOT_SENT: dict[str, str] = {
    "another entry": (
        "import requests\nE={'chat': '/chat/completions', 'emb': '/embeddings'}\n"
        "requests.post(B + E['emb'])"
    ),
    "log": "import logging\nlogging.info('POST /chat/completions')",
    "printed": "logger.info(f'POST {b}/chat/completions')\nprint('/chat/completions')",
    "an error": "raise ValueError('no /chat/completions')",
    "field": "x: str = Field(description='to /chat/completions')",
    "argparse": (
        "p.add_argument('--url', default='https://x.example/v1/chat/completions', help='the "
        "/chat/completions URL')"
    ),
    "compare": "if '/chat/completions' in url: pass\nurl.endswith('/chat/completions')",
    "compare in post": (
        "import requests\nrequests.post(url) if '/chat/completions' in url else None"
    ),
    "route": "@app.post('/v1/chat/completions')\nasync def f(): ...",
    "routes": (
        "app.add_api_route('/v1/chat/completions', f)\nrouter.post('/v1/chat/completions')(f)\n"
        "Route('/v1/chat/completions', f)\npath('v1/chat/completions', f)"
    ),
    "aiohttp web": (
        "from aiohttp import web\nweb.post('/v1/chat/completions', f)\n"
        "app.router.add_post('/v1/chat/completions', f)"
    ),
    "dict key": "X = {'/v1/chat/completions': 1}\nX['/v1/chat/completions']",
    "assert": "def test_a():\n  assert request.url.path == '/v1/chat/completions'",
    "TestClient": (
        "from fastapi.testclient import TestClient\nclient = TestClient(app)\n"
        "client.post('/v1/chat/completions', json={})"
    ),
    "a test's client": "def test_a(client):\n  client.post('/v1/chat/completions', json={})",
    "docstring": "def f():\n  '''POST /chat/completions'''",
    "url unused": "URL='https://api.openai.com/v1/chat/completions'",
    "self.url unused": (
        "class A:\n  def __init__(self): self.url='https://api.openai.com/v1/chat/completions'"
    ),
    "curl": (
        "import subprocess\nsubprocess.run(['curl', 'https://api.openai.com/v1/chat/completions'])"
    ),
    "replace": (
        "base = url.replace('/chat/completions', '')\nimport requests\n"
        "requests.post(base + '/embeddings')"
    ),
    "split": "requests.get(url.split('/chat/completions')[0] + '/models')\nimport requests",
    "removesuffix": (
        "import requests\nrequests.get(url.removesuffix('/chat/completions') + '/models')"
    ),
    "json body": "import requests\nrequests.post(url, json={'endpoint': '/v1/chat/completions'})",
    "params": "import requests\nrequests.post(url, data='/v1/chat/completions')",
    "_post of stainless": (
        "class R:\n  def create(self): return self._post('/chat/completions', body=1)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", NOT_SENT.values(), ids=NOT_SENT)
def test_the_endpoints_name_alone_is_no_request(code: str) -> None:
    assert find(code) == []


LINES = {
    "a cassette": ("uri: https://host.example/v1/chat/completions", True),
    "a cassette as JSON": (
        '{"request": {"uri": "https://host.example/v1/chat/completions"}}', True,
    ),
    "a log": ('{"path":"/v1/chat/completions","status":200}', True),
    "an API's description": ("  /chat/completions:", False),
    "an API's description as JSON": (
        '{"paths":{"/v1/chat/completions":{"post":{}},"/v1/chat/completions/{id}": {}}}', False,
    ),
    "a list of endpoints": ('    "/v1/chat/completions",', False),
    "a list of endpoints in YAML": ("  - /v1/chat/completions", False),
    "a list in a line": (
        '"supported_endpoints": ["/v1/chat/completions", "/v1/responses"],', False,
    ),
    "a comment": ("# POST /v1/chat/completions", False),
    "a list and a record": (
        '"endpoints": ["/v1/chat/completions"], "url": "/v1/chat/completions"', True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "is_one"), LINES.values(), ids=LINES)
def test_recordings_are_distinguished_from_lists_of_endpoints(line: str, is_one: bool) -> None:
    assert recorded_lines(f"x: 1\n{line}\n".encode()) == ([2] if is_one else [])
