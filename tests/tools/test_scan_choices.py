"""Which imports `adapter scan --fix` changes: those of clients that may make a chat call."""

from __future__ import annotations

import functools
import inspect
import re
from pathlib import Path

import openai
import pytest
from openai._compat import cached_property

import adapter
from adapter.tools.scan.client_usage import OTHER_RESOURCES
from adapter.tools.scan.imports import fix_imports
from adapter.tools.scan.rewrite import find_changes

# Code after `from openai import …`: the import changes, and nothing else.
WHOLE = {
    "called": "c = OpenAI()\nc.chat.completions.create()",
    "beta": "c = OpenAI()\nc.beta.chat.completions.parse()",
    "embeds and chats": "c = OpenAI()\nc.embeddings.create()\nc.chat.completions.create()",
    "the resource kept": "chat = OpenAI().chat",
    "by the SDK's post": "OpenAI().post('/chat/completions')",
    "passed on": "use(OpenAI())",
    "a factory": "def get_client(): return OpenAI()",
    "kept for all": "_c = None\ndef f():\n    global _c\n    _c = _c or OpenAI()\n    return _c",
    "a fixture": "@pytest.fixture\ndef client():\n    with OpenAI() as c:\n        yield c",
    "in a dictionary": "clients = {}\nclients['a'] = OpenAI()\nclients['a'].embeddings.create()",
    "unused": "client = OpenAI()",
    "a subclass": "class C(OpenAI): pass",
    "a partial": "make = partial(OpenAI, timeout=3)",
    "in a thread": "asyncio.to_thread(OpenAI)",
    "one or the other": "C = AsyncOpenAI if a else OpenAI\nc = C()",
    "one or the other, called": "c = (AsyncOpenAI if a else OpenAI)()",
    "by name": "M = {'a': OpenAI, 'b': AsyncOpenAI}\nc = M[k]()",
    "by name, or else": "M = {'b': AsyncOpenAI}\nc = M.get(k, OpenAI)()",
    "a default": "def f(make=OpenAI): return make()",
    "an attribute": "class A:\n    make = OpenAI\n    def f(self): return self.make()",
    "a factory of a field": "x = field(default_factory=OpenAI)",
    "annotations that aren't read": (
        "def f(c: OpenAI) -> 'OpenAI': return c\nc: OpenAI = OpenAI()\nclass A:\n    c: OpenAI\n"
        "    @property\n    def d(self) -> OpenAI: ..."
    ),
    "types that aren't read": "T = TypeVar('T', bound=OpenAI)\nc = cast(OpenAI, OpenAI())",
    "missing, perhaps": (
        "if OpenAI is None: raise ImportError\nif not OpenAI: raise ImportError\nc = OpenAI()"
    ),
    "given to a function": "def f(make, n): return make()\nf(OpenAI, 1)",
    "given to a method": (
        "class A:\n    def f(self, make): return make(**self.given)\n"
        "    def g(self): return self.f(make=OpenAI)"
    ),
    "for a base class": (
        "class A(ChatLike):\n    def get(self):\n        self.c = OpenAI()\n"
        "        return self.c\n    def f(self): return self.get().responses.create()"
    ),
    "given to a function that chats": "def f(c): return c.chat.completions.create()\nf(OpenAI())",
    "given to one of many": "def f(*all): return all[0].embeddings.create()\nf(OpenAI())",
    "compared to a class": "def f(make): return make(a=make is OpenAI)\nf(OpenAI)",
    "OpenAI's host": "OpenAI(base_url='https://api.openai.com/v1')",
    "OpenAI's host in Europe": "OpenAI(base_url='https://eu.api.openai.com/v1')",
    "Azure's host": "AzureOpenAI(azure_endpoint='https://a.openai.azure.com')",
    "this machine": "OpenAI(base_url='http://localhost:11434/v1')",
    "a company's host": "OpenAI(base_url='https://llm.corp.example/v1')",
    "an unknown host": "OpenAI(base_url=url)",
    "one host or another": (
        "URLS = {'a': 'https://api.openai.com/v1', 'b': 'https://api.deepseek.com'}\n"
        "OpenAI(base_url=URLS[k])"
    ),
    "a vendor's host, or none": "OpenAI(base_url='https://api.deepseek.com' if x else None)",
    "one name or another": "OpenAI(base_url=s.openai_url or s.deepseek_url)",
    "a host like a vendor's": "OpenAI(base_url='https://api.deepseek.com.corp.example/v1')",
    "a name like a vendor's": "OpenAI(base_url=altogether_url)",
}  # fmt: skip


@pytest.mark.parametrize("code", WHOLE.values(), ids=WHOLE)
def test_the_import_changes(code: str) -> None:
    names = dict.fromkeys(re.findall(r"\b(?:Async|Azure)?OpenAI\b", code))
    text = f"from openai import {', '.join(names)}\n{code}\n"
    fixed = fix_imports(text)
    assert (fixed.text, fixed.left) == (text.replace("from openai", "from adapter"), [])
    assert fix_imports(fixed.text or "").text is None


# Code after `from openai import OpenAI` in which nothing changes: the line, and part of the reason.
LEFT: dict[str, tuple[str, int, str]] = {
    "unused": ("", 1, "neither called nor subclassed"),
    "a field": ("class M(BaseModel):\n    client: OpenAI", 1, "annotations"),
    "a field as text": (
        "class M(BaseModel):\n    client: 'OpenAI | None' = None", 1, "annotations",
    ),
    "a parameter": (
        "def f(c: Optional[OpenAI]): return c.chat.completions.create()", 1, "annotations",
    ),
    "tested for": ("isinstance(x, (str, OpenAI))", 1, "tests for the class"),
    "matched": ("match x:\n    case OpenAI(): pass", 1, "tests for the class"),
    "compared": ("type(x) is OpenAI", 1, "tests for the class"),
    "assigned, not called": ("MAKE = OpenAI", 1, "arguments and assignments"),
    "passed, not called": ("register(OpenAI)", 1, "arguments and assignments"),
    "a double's": ("m = MagicMock(spec=OpenAI)", 1, "arguments and assignments"),
    "a type": ("Client = Union[OpenAI, str]", 1, "types"),
    "embeds": ("c = OpenAI()\ndef f(t): return c.embeddings.create(input=t)", 2, "embeddings only"),
    "embeds at once": ("OpenAI().embeddings.create()", 2, "embeddings only"),
    "embeds with options": (
        "OpenAI().with_options(timeout=3).with_raw_response.embeddings.create()",
        2, "embeddings only",
    ),
    "embeds in a block": (
        "async def f():\n    async with OpenAI() as c:\n        await c.embeddings.create()",
        3, "embeddings only",
    ),
    "embeds by self": (
        ("class A:\n    def __init__(self, c=None):\n        self.c = c or OpenAI()\n"
         "    def f(self): return self.c.embeddings.create()"), 4, "embeddings only",
    ),
    "embeds by a property": (
        ("class A:\n    @cached_property\n    def _c(self): return OpenAI()\n"
         "    def f(self): return self._c.embeddings.create()"), 4, "embeddings only",
    ),
    "embeds by a method": (
        ("class A:\n    def _get(self):\n        c = OpenAI()\n        return c\n"
         "    def f(self): return self._get().embeddings.create()"), 4, "embeddings only",
    ),
    "embeds by another name": (
        "c = OpenAI()\ne = c.embeddings\nd = c\nd.embeddings.create()", 2, "embeddings only",
    ),
    "embeds by an expression": ("if (c := OpenAI()): c.embeddings.create()", 2, "embeddings only"),
    "embeds by a public property": (
        ("class A:\n    @property\n    def client(self): return OpenAI()\n"
         "    def f(self): return self.client.embeddings.create()"), 4, "embeddings only",
    ),
    "embeds by a function that is given the class": (
        "def _f(make): return make()\nc = _f(OpenAI)\nc.embeddings.create()", 3, "embeddings only",
    ),
    "given to a function that embeds": (
        "def f(c): return c.embeddings.create()\nf(OpenAI())", 3, "embeddings only",
    ),
    "given to a class that embeds": (
        ("class A:\n    def __init__(self, n, c): self._c = c\n"
         "    def f(self): return self._c.embeddings.create()\n"
         "    @classmethod\n    def g(cls): return cls(1, c=OpenAI())"), 6, "embeddings only",
    ),
    "configured, and embeds": (
        "c = OpenAI()\nc.api_type = 'azure'\nc.embeddings.create()", 2, "embeddings only",
    ),
    "given with more to a function that embeds": (
        "def f(c, **kw): return c.embeddings.create(**kw)\nf(OpenAI(), **more)",
        3, "embeddings only",
    ),
    "traced, and embeds": (
        "c = cast(Any, wrap_openai(OpenAI()))\nc.embeddings.create()", 2, "embeddings only",
    ),
    "moderates": ("c = OpenAI()\nc.moderations.create()\nc.close()", 2, "moderations only"),
    "transcribes": ("c = OpenAI()\nc.audio.transcriptions.create()", 2, "audio only"),
    "makes images": ("c = OpenAI()\nc.images.generate()", 2, "images only"),
    "assistants": (
        "c = OpenAI()\nc.beta.assistants.create()\nc.beta.threads.create()",
        2, "beta.assistants, beta.threads only",
    ),
    "batches": ("c = OpenAI()\nc.files.create()\nc.batches.create()", 2, "batches, files only"),
    "responses": ("c = OpenAI()\nc.responses.create()", 2, "responses only"),
    "a vendor's": ("OpenAI(base_url='https://api.deepseek.com')", 2, "(deepseek.com)"),
    "a vendor's, by a constant": (
        "URL = 'https://api.groq.com/openai/v1'\nOpenAI(base_url=URL)", 3, "(groq.com)",
    ),
    "a vendor's, by default": (
        "def f(url='https://openrouter.ai/api/v1'): return OpenAI(base_url=url)",
        2, "(openrouter.ai)",
    ),
    "a vendor's, or what is given": (
        ("class A:\n    def __init__(self, u=None): self.u = u or 'https://api.x.ai/v1'\n"
         "    def f(self): return OpenAI(base_url=self.u)"), 4, "(x.ai)",
    ),
    "a vendor's, unless the environment sets it": (
        "OpenAI(base_url=os.getenv('U', 'https://api.together.xyz/v1'))", 2, "(together.xyz)",
    ),
    "a vendor's, unless it is none": (
        ("class A:\n  url: str | None = 'https://api.deepseek.com'\n"
         "  def f(self): return OpenAI(base_url=str(self.url) if self.url is not None else None)"),
        4, "(deepseek.com)",
    ),
    "a vendor's, if there is one": (
        ("URL = 'https://api.groq.com/openai/v1'\n"
         "OpenAI(base_url=None if not URL else URL.rstrip('/'))"), 3, "(groq.com)",
    ),
    "a vendor's, put together": (
        "H = 'https://api.mistral.ai'\nOpenAI(base_url=f'{H}/v1')", 3, "(mistral.ai)",
    ),
    "a vendor's, as a URL": (
        "OpenAI(base_url=httpx.URL('https://api.perplexity.ai'))", 2, "(perplexity.ai)",
    ),
    "a vendor's, among keywords": (
        "kw = {'base_url': 'https://api.x.ai/v1'}\nOpenAI(**kw)", 3, "(x.ai)",
    ),
    "a vendor's, among keywords that are added": (
        "kw = dict(a=1)\nkw['base_url'] = 'https://api.x.ai/v1'\nOpenAI(**kw)", 4, "(x.ai)",
    ),
    "a vendor's, among keywords from elsewhere": (
        ("class A:\n    url: str = 'https://api.x.ai/v1'\n"
         "    def g(self):\n        all = {'base_url': self.url}\n"
         "        return {k: v for k, v in all.items() if v}\n"
         "    def f(self):\n        kw = self.g()\n        return OpenAI(**kw)"), 9, "(x.ai)",
    ),
    "a vendor's, unless it's given": (
        ("def f(**kw):\n    u = kw.pop('base_url', 'https://api.deepseek.com')\n"
         "    return OpenAI(base_url=u)"), 4, "(deepseek.com)",
    ),
    "a vendor's, in a function that is given the class": (
        "def f(make): return make(base_url='https://api.moonshot.cn/v1')\nf(OpenAI)",
        3, "(moonshot.cn)",
    ),
    "a vendor's, by an argument of the base class": (
        ("class A(B):\n    def __init__(self, u=None):\n"
         "        u = u or 'https://api.sambanova.ai/v1'\n        super().__init__('m', u)\n"
         "        self._c = OpenAI(base_url=self._url)"), 6, "(sambanova.ai)",
    ),
    "a vendor's, by its variable": (
        "OpenAI(base_url=os.environ['DEEPSEEK_BASE_URL'])",
        2, "the name that its base URL is read from",
    ),
    "a vendor's, by a setting": (
        "OpenAI(base_url=settings.groqBaseUrl)", 2, "the name that its base URL is read from",
    ),
    "a vendor's, of one region": (
        "OpenAI(base_url='https://dashscope-intl.aliyuncs.com/compatible-mode/v1')",
        2, "(aliyuncs.com)",
    ),
    "a vendor's subclass": (
        ("class D(OpenAI):\n"
         "    def __init__(self): super().__init__(base_url='https://api.deepseek.com')"),
        2, "(deepseek.com)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "line", "why"), LEFT.values(), ids=LEFT)
def test_the_import_is_left(code: str, line: int, why: str) -> None:
    fixed = fix_imports(f"from openai import OpenAI\n{code}\n")
    assert fixed.text is None
    [(at, reason)] = fixed.left
    assert (at, why in reason) == (line, True)


def test_imports_for_type_checkers_are_left() -> None:
    text = (
        "if typing.TYPE_CHECKING:\n    from openai import OpenAI\n"
        "else:\n    from openai import OpenAI\nOpenAI()\n"
    )
    fixed = fix_imports(text)
    assert fixed.text == text.replace("else:\n    from openai", "else:\n    from adapter")
    assert fixed.left == [(2, "OpenAI is imported for type checkers only")]


# Code after `from openai import OpenAI` in which calls change and the import stays: `@` marks
# where `adapter.` is inserted.
CALLS_ONLY: dict[str, tuple[str, list[int]]] = {
    "a model's field": ("class M(BaseModel):\n    c: OpenAI\nM(c=@OpenAI())", [3]),
    "a dataclass's field": (
        "@dataclass\nclass M:\n    c: OpenAI = field(default_factory=@OpenAI)", [4],
    ),
    "a checked function": ("@validate_call\ndef f(c: OpenAI): return c\nf(@OpenAI())", [3]),
    "a route": (
        ("@app.get('/')\nasync def f(c: Annotated[OpenAI, Depends(get)]): ...\n"
         "def get(): return @OpenAI()"), [3],
    ),
    "injected": (
        "@injectable\nclass A:\n    def __init__(self, c: OpenAI): ...\nx = @OpenAI()", [4],
    ),
    "tested for": ("def f(c):\n    c = c or @OpenAI()\n    assert isinstance(c, OpenAI)", [4]),
    "a type": ("Client = Union[OpenAI, str]\nc = @OpenAI()", [2]),
    "a generic base": ("class A(Base[OpenAI]): ...\nc = @OpenAI()", [2]),
    "passed on": ("register(OpenAI)\nc = @OpenAI()", [2]),
    "another vendor's as well": (
        "a = @OpenAI()\nb = OpenAI(base_url='https://api.deepseek.com')", [3],
    ),
    "embeddings as well, in a tuple": (
        "a, b = @OpenAI(), OpenAI()\na.chat.completions.create()\nb.embeddings.create()", [2],
    ),
    "embeddings in another class": (
        ("class A:\n  def __init__(self): self.c = @OpenAI()\n"
         "  def f(self): self.c.chat.completions.create()\n"
         "class B:\n  def __init__(self): self.c = OpenAI()\n"
         "  def f(self): self.c.embeddings.create()"), [6],
    ),
    "embeddings as well": ("a = @OpenAI()\nb = OpenAI()\nb.embeddings.create()", [3]),
    "exported": ("__all__ = ['OpenAI']\nc = @OpenAI()", [2]),
}  # fmt: skip


@pytest.mark.parametrize(("code", "left"), CALLS_ONLY.values(), ids=CALLS_ONLY)
def test_calls_change_where_the_name_must_stay_the_sdks(code: str, left: list[int]) -> None:
    text = f"from openai import OpenAI\n{code}\n"
    fixed = fix_imports(text.replace("@OpenAI", "OpenAI"))
    assert fixed.text == "import adapter\n" + text.replace("@OpenAI", "adapter.OpenAI")
    assert [line for line, _ in fixed.left] == left
    assert fix_imports(fixed.text).text is None


def test_the_use_of_a_client_by_a_base_class_counts() -> None:
    code = (
        "class A:\n  def f(self): self.c.chat.completions.create()\n"
        "class B:\n  def __init__(self): self.c = OpenAI()\n"
        "  def e(self): self.c.embeddings.create()\nclass D(A, B): ...\n"
    )
    assert (
        fix_imports(f"from openai import OpenAI\n{code}").text
        == f"from adapter import OpenAI\n{code}"
    )


@pytest.mark.parametrize(
    "code",
    [
        "importlib.import_module('openai').OpenAI()",
        "__import__('openai').OpenAI()",
        "getattr(openai, 'AsyncOpenAI')()",
    ],
)
def test_clients_without_an_import_are_reported(code: str) -> None:
    fixed = fix_imports(f"import importlib\n{code}\n")
    assert fixed.text is None
    assert fixed.left == [
        (2, "gets the SDK or its client by a name in a string: there is no import to change")
    ]


def test_a_name_that_is_another_class_as_well_keeps_its_calls() -> None:
    text = (
        "if x:\n    from langfuse.openai import OpenAI\nelse:\n    from openai import OpenAI\n"
        "c = OpenAI()\n"
    )
    fixed = fix_imports(text)
    assert fixed.text == text.replace("from openai", "from adapter")
    fixed = fix_imports(f"{text}isinstance(c, OpenAI)\n")
    assert fixed.text is None
    assert any("also bound to something else here" in why for _, why in fixed.left)


def test_by_the_module_only_calls_change() -> None:
    code = (
        "import openai\na = @.OpenAI()\nb = openai.OpenAI(base_url='https://api.deepseek.com')\n"
        "c = openai.OpenAI()\nc.images.edit()\nd = partial(@.OpenAI)\ne(openai.OpenAI)\n"
    )
    fixed = fix_imports(code.replace("@", "openai"))
    assert fixed.text == "import adapter\n" + code.replace("@", "adapter")
    assert [line for line, _ in fixed.left] == [3, 4, 7]


def test_a_client_that_another_module_imports_may_chat(tmp_path: Path) -> None:
    text = "from openai import OpenAI\nclient = OpenAI()\nclient.embeddings.create()\n"
    for name in ("by_name", "by_star", "by_module", "own"):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "user.py").write_text(
        "from .by_name import (\n    client as c,\n)\nfrom by_star import *\n"
        "import by_module as m\nm.client, client  # openai\n"
    )
    found = {one.path.stem: one.after is not None for one in find_changes([tmp_path])}
    assert found == {"by_name": True, "by_star": True, "by_module": True, "own": False}


def test_the_models_of_a_changed_module_accept_the_same_clients(tmp_path: Path) -> None:
    text = (
        "import pydantic\nfrom openai import OpenAI\n"
        "class M(pydantic.BaseModel, arbitrary_types_allowed=True):\n    c: OpenAI\n"
        "def f(): return M(c=OpenAI(api_key='k'))\n"
    )
    fixed = fix_imports(text)
    names: dict[str, object] = {"__name__": "m"}
    exec(compile(fixed.text or "", "m.py", "exec", dont_inherit=True), names)
    model = names["M"]
    assert callable(model)
    made = names["f"]
    assert callable(made)
    assert type(made().c).__module__.startswith("adapter")
    assert type(model(c=openai.OpenAI(api_key="k")).c) is openai.OpenAI


RUN = {
    "by name": (
        "from openai import OpenAI, APIError\nc = OpenAI(api_key='k')\n"
        "ok = issubclass(APIError, Exception)\n"
    ),
    "with a test": (
        "from openai import OpenAI\nc = OpenAI(api_key='k')\nok = isinstance(c, OpenAI)\n"
    ),
    "by the module": (
        "import openai as o\nc = o.OpenAI(api_key='k')\n"
        "ok = isinstance(c, o.OpenAI) and o.OpenAI.__module__ == 'openai'\n"
    ),
    "a subclass": (
        "import openai\nclass C(openai.AsyncOpenAI): pass\nc = C(api_key='k')\n"
        "ok = isinstance(c, openai.AsyncOpenAI)\n"
    ),
    "missing, perhaps": (
        "try:\n    import openai\nexcept ImportError:\n    openai = None\n"
        "c = openai.OpenAI(api_key='k')\nok = True\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", RUN.values(), ids=RUN)
def test_a_changed_module_runs_with_the_same_names(text: str) -> None:
    changed = fix_imports(text).text
    assert changed is not None
    before: dict[str, object] = {"__name__": "m"}
    after: dict[str, object] = {"__name__": "m"}
    exec(compile(text, "m.py", "exec", dont_inherit=True), before)
    exec(compile(changed, "m.py", "exec", dont_inherit=True), after)
    assert after.keys() - {"adapter"} == before.keys()
    assert after["ok"]
    assert isinstance(after["c"], (adapter.OpenAI, adapter.AsyncOpenAI))
    assert not isinstance(before["c"], (adapter.OpenAI, adapter.AsyncOpenAI))


def test_every_resource_of_the_sdk_is_known() -> None:
    static = {name: inspect.getattr_static(openai.OpenAI, name) for name in dir(openai.OpenAI)}
    found = {
        name
        for name, value in static.items()
        if isinstance(value, (functools.cached_property, cached_property))
    }
    assert len(found) > 10
    assert (
        found - {"chat", "beta", "with_raw_response", "with_streaming_response"} <= OTHER_RESOURCES
    )
