"""Arguments of calls: dictionaries built by statements, parameters passed on, uncertain values."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from adapter import Settings
from adapter.tools.scan.run import Finding, scan

HEAD = (
    "import openai, copy, dataclasses\nfrom typing import TypedDict, Unpack\n"
    "client = openai.OpenAI()\n"
)
CALL = "client.chat.completions.create"


def find(tmp_path: Path, code: str, settings: Settings | None = None) -> list[Finding]:
    path = tmp_path / "module.py"
    path.write_text(HEAD + textwrap.dedent(code), encoding="utf-8")
    report = scan([path], settings or Settings())
    assert report.unread == {}
    return report.findings


# Code, the verdict on its last call, and parameters that keep the call on Chat, or would.
GIVEN: dict[str, tuple[str, str, set[str]]] = {
    "added by key": ("p = {'model': 'm'}\np['seed'] = 1\nCALL(**p)", "setting", {"seed"}),
    "added after the call": ("p = {'model': 'm'}\nCALL(**p)\np['seed'] = 1", "moves", set()),
    "updated": ("p = dict(model='m')\np.update(n=2)\nCALL(**p)", "setting", {"n"}),
    "updated by a dictionary": (
        "p = dict(model='m')\np.update({'n': 2})\nCALL(**p)", "setting", {"n"},
    ),
    "or-ed in place": ("p = dict(model='m')\np |= {'n': 2}\nCALL(**p)", "setting", {"n"}),
    "or-ed": ("a, b = {'model': 'm'}, {'n': 2}\nCALL(**(a | b))", "setting", {"n"}),
    "spread in another": ("a = {'n': 2}\nb = {**a, 'n': 1}\nCALL(**b)", "moves", set()),
    "rebuilt from itself": (
        "p = {'n': 2}\np = {**p, 'seed': 1}\np = {**p, 'n': 1}\nCALL(**p)", "setting", {"seed"},
    ),
    "bound again": ("p = {'n': 2}\np = {'model': 'm'}\nCALL(**p)", "moves", set()),
    "under another name": ("p = {}\nq = p\nq['n'] = 2\nCALL(**p)", "unless", {"n"}),
    "under the first name": ("p = {}\nq = p or {}\np['n'] = 2\nCALL(**q)", "unless", {"n"}),
    "before it had another name": ("q = {}\nq['n'] = 2\nq = p = {}\nCALL(**p)", "moves", set()),
    "by a function": ("def add(d): d['n'] = 2\np = {}\nadd(p)\nCALL(**p)", "unless", {"n"}),
    "by a function, by keyword": (
        "def add(a, *, d): d.update(n=2)\np = {}\nadd(1, d=p)\nCALL(**p)", "unless", {"n"},
    ),
    "by a function that adds what moves": (
        "def add(d): d['user'] = 'u'\np = {}\nadd(p)\nCALL(**p)", "moves", set(),
    ),
    "globally": ("P = {}\ndef f():\n  global P\n  P = {'n': 2}\nCALL(**P)", "unless", {"n"}),
    "by an inner function": (
        "def f():\n  p = {}\n  def g():\n    nonlocal p\n    p = {'n': 2}\n  g()\n  CALL(**p)",
        "unless", {"n"},
    ),
    "later in a loop": ("p = {}\nfor _ in x:\n  CALL(**p)\n  p['n'] = 2", "unless", {"n"}),
    "later in a loop, bound in it": (
        "for _ in x:\n  p = {}\n  CALL(**p)\n  p['n'] = 2", "moves", set(),
    ),
    "by the class of dictionaries": ("p = {}\ndict.update(p, n=2)\nCALL(**p)", "setting", {"n"}),
    "by its method": ("p = {}\np.__setitem__('n', 2)\nCALL(**p)", "setting", {"n"}),
    "by operator": (
        "import operator\np = {}\noperator.setitem(p, 'n', 2)\nCALL(**p)", "setting", {"n"},
    ),
    "in its default value": (
        "p = {}\np.setdefault('extra_body', {})['n'] = 2\nCALL(**p)", "setting", {"n"},
    ),
    "a number, later in a loop": ("n = 1\nwhile x:\n  CALL(n=n)\n  n = 2", "unless", {"n"}),
    "a list that grows": ("s = []\ns.append('a')\nCALL(stop=s)", "setting", {"stop"}),
    "a list that may grow": ("s = []\nfor x in y: s.append(x)\nCALL(stop=s)", "unless", {"stop"}),
    "a list that is longer still": ("s = ['a']\ns.extend(x)\nCALL(stop=s)", "setting", {"stop"}),
    "of a class, from outside": ("class S: p = {}\nS.p['n'] = 2\nCALL(**S.p)", "unless", {"n"}),
    "of an object, from outside": (
        "class S:\n  n = 1\ns = S()\ns.n = 2\nCALL(n=s.n)", "unless", {"n"},
    ),
    "by setattr": ("class S: n = 1\ns = S()\nsetattr(s, 'n', 2)\nCALL(n=s.n)", "unless", {"n"}),
    "in every entry": ("p = {'a': {}}\nfor k in p: p[k]['n'] = 2\nCALL(**p['a'])", "unless", {"n"}),
    "by an overriding method": (
        ("class S:\n  def p(self): return {}\n  def f(self): CALL(**self.p())\nclass T(S):\n"
         "  def p(self): return {'n': 2}"), "unless", {"n"},
    ),
    "of another class": ("class S: n = 1\nclass T: n = 1\nT.n = 2\nCALL(n=S.n)", "moves", set()),
    "in a derived class": (
        "class S:\n  n = 1\n  def f(self): CALL(n=self.n)\nclass T(S):\n  n = 2", "unless", {"n"},
    ),
    "in one branch": ("p = {}\nif x:\n  p['n'] = 2\nCALL(**p)", "unless", {"n"}),
    "in the same branch": ("p = {}\nif x:\n  p['n'] = 2\n  CALL(**p)", "setting", {"n"}),
    "in the other branch": ("p = {}\nif x:\n  p['n'] = 2\nelse:\n  CALL(**p)", "moves", set()),
    "in another elif": ("p = {}\nif x:\n  p['n'] = 2\nelif y:\n  CALL(**p)", "moves", set()),
    "in both branches": (
        "p = {}\nif x:\n  p['n'] = 2\nelse:\n  p['n'] = 2\nCALL(**p)", "unless", {"n"},
    ),
    "in a loop": ("p = {}\nfor k in x:\n  p['seed'] = k\nCALL(**p)", "unless", {"seed"}),
    "under names of a loop": (
        ("def f(**kw):\n  p = {}\n  for k in ('seed', 'top_p'):\n    if k in kw: p[k] = kw[k]\n"
         "  CALL(**p)"), "unless", {"seed"},
    ),
    "under harmless names of a loop": (
        "def f(**kw):\n  p = {}\n  for k in ['top_p', 'temperature']: p[k] = kw[k]\n  CALL(**p)",
        "moves", set(),
    ),
    "item by item": (
        "p = {}\nfor k, v in {'seed': 1, 'n': 1}.items():\n  if v: p[k] = v\nCALL(**p)",
        "unless", {"seed"},
    ),
    "in a case": ("p = {}\nmatch x:\n  case 1: p['seed'] = 1\n  case 2: CALL(**p)", "moves", set()),
    "in a handler": (
        "p = {}\ntry: y()\nexcept OSError: p['seed'] = 1\nCALL(**p)", "unless", {"seed"},
    ),
    "in with": ("p = {}\nwith x: p['seed'] = 1\nCALL(**p)", "setting", {"seed"}),
    "a conditional spread": ("CALL(model='m', **({'seed': 1} if x else {}))", "unless", {"seed"}),
    "a conditional spread, by and": ("CALL(model='m', **(x and {'seed': 1}))", "unless", {"seed"}),
    "taken away": ("p = {'seed': 1, 'n': 2}\np.pop('seed')\ndel p['n']\nCALL(**p)", "moves", set()),
    "filtered from the parameters": (
        ("def f(**kw):\n  kw.pop('seed', None)\n"
         "  CALL(**{k: v for k, v in kw.items() if k in ('seed', 'stop')})"), "unless", {"stop"},
    ),
    "all but some": (
        ("def f(**kw):\n  CALL(**{k: v for k, v in kw.items() if k not in OUT})\n"
         "OUT = {'audio', 'frequency_penalty', 'logit_bias', 'modalities', 'n', 'prediction', "
         "'presence_penalty', 'seed', 'web_search_options'}"), "unless", {"stop"},
    ),
    "filtered by value": (
        "p = {'seed': 1}\nCALL(**{k: v for k, v in p.items() if v is not None})",
        "unless", {"seed"},
    ),
    "a copy": (
        "p = {'seed': 1}\nq = p.copy()\nq['n'] = 1\nCALL(**copy.deepcopy(q))", "setting", {"seed"},
    ),
    "a default": (
        "p = {'n': 1}\np.setdefault('n', 2)\np.setdefault('seed', 1)\nCALL(**p)",
        "setting", {"seed"},
    ),
    "by a key that is a constant": ("K = 'seed'\nCALL(**{K: 1})", "setting", {"seed"}),
    "an entry": ("P = {'a': {'seed': 1}, 'b': {}}\nCALL(**P['a'])", "setting", {"seed"}),
    "an entry, by get": ("P = {'a': {'seed': 1}, 'b': {}}\nCALL(**P.get('b', {}))", "moves", set()),
    "of self": (
        "class A:\n  def __init__(self):\n    self.p = {'n': 2}\n  def f(self): CALL(**self.p)",
        "setting", {"n"},
    ),
    "of self, added to elsewhere": (
        ("class A:\n  def __init__(self):\n    self.p = {'n': 1}\n"
         "  def g(self): self.p['seed'] = 1\n  def f(self): CALL(**self.p)"), "unless", {"seed"},
    ),
    "of a base class": (
        "class B:\n  p = {'n': 2}\nclass A(B):\n  def f(self): CALL(**self.p)", "setting", {"n"},
    ),
    "of the class": ("class A:\n  N = 2\n  def f(self): CALL(n=self.N)", "setting", {"n"}),
    "a function's": ("def p(n):\n  return {'n': n, 'seed': 1}\nCALL(**p(1))", "setting", {"seed"}),
    "a function's, with its arguments": (
        "def p(n=1, **more):\n  return {'n': n, **more}\nCALL(**p(stop=['a']))",
        "setting", {"stop"},
    ),
    "a method's": (
        ("class A:\n  def p(self):\n    q = {'model': 'm'}\n    q['seed'] = 1\n    return q\n"
         "  def f(self): CALL(**self.p())"), "setting", {"seed"},
    ),
    "a property's": (
        "class A:\n  @property\n  def p(self): return {'seed': 1}\n  def f(self): CALL(**self.p)",
        "setting", {"seed"},
    ),
    "a filter of the program's": (
        "def clean(d): return {k: v for k, v in d.items() if v}\nCALL(**clean({'n': 2}))",
        "unless", {"n"},
    ),
    "a model's": (
        ("class P(BaseModel):\n  model: str\n  stop: str | None = None\n"
         "def f(p: P): CALL(**p.model_dump())"), "unless", {"stop"},
    ),
    "a model's, without some": (
        ("class P(BaseModel):\n  model: str\n  stop: str | None = None\n"
         "def f(p: P): CALL(**p.model_dump(exclude={'stop'}))"), "moves", set(),
    ),
    "a model made here": (
        ("class P(BaseModel):\n  model: str\n  n: int = 1\np = P(model='m', n=2)\n"
         "CALL(**p.model_dump())"), "setting", {"n"},
    ),
    "a dataclass's": (
        ("@dataclasses.dataclass\nclass P:\n  model: str = 'm'\n  seed: int | None = None\n"
         "CALL(**dataclasses.asdict(P()))"), "moves", set(),
    ),
    "a TypedDict's": (
        "class P(TypedDict):\n  stop: str\ndef f(p: P): CALL(**p)", "unless", {"stop"},
    ),
    "unpacked": (
        "class P(TypedDict, total=False):\n  seed: int\ndef f(**p: Unpack[P]): CALL(**p)",
        "unless", {"seed"},
    ),
    "a parameter with a default": ("def f(n=1): CALL(n=n)", "unless", {"n"}),
    "a list that isn't literal": ("CALL(stop=[x])", "setting", {"stop"}),
    "a list that may be empty": ("CALL(stop=[*x])", "unless", {"stop"}),
    "a number": ("import random\nCALL(seed=random.randint(1, 9))", "setting", {"seed"}),
    "a number that may be neutral": ("CALL(n=len(x))", "unless", {"n"}),
    "a function that may omit it": (
        "def g(v): return v if v else openai.omit\nCALL(seed=g(1), stop=g(x))",
        "unless", {"seed", "stop"},
    ),
    "either of two": (
        "CALL(n=1 if x else 1, stop=None if x else openai.NOT_GIVEN)", "unless", {"stop"},
    ),
    "data sources": ("CALL(extra_body={'data_sources': [x]})", "stays", {"data_sources"}),
    "data sources, built up": (
        "p = {}\np['extra_body'] = {'data_sources': x}\nCALL(**p)", "stays", {"data_sources"},
    ),
    "data sources, perhaps": (
        "b = {}\nif x: b['data_sources'] = x\nCALL(extra_body=b)", "unless", {"data_sources"},
    ),
    "a body from elsewhere": (
        "def f(b): CALL(seed=None, extra_body=b)", "unless", {"data_sources", "stop", "logit_bias"},
    ),
    "keys of another vendor": (
        "CALL(extra_body={'top_k': x, 'enable_thinking': False})", "moves", set(),
    ),
    "a framework's": (
        "from langchain_openai import ChatOpenAI\nChatOpenAI(model='m', model_kwargs={'seed': 1})",
        "setting", {"seed"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "verdict", "named"), GIVEN.values(), ids=GIVEN)
def test_arguments(tmp_path: Path, code: str, verdict: str, named: set[str]) -> None:
    found = find(tmp_path, code.replace("CALL", CALL))[-1].assessment
    holding = {one.name for one in found.parameters if one.outcome == "holds"}
    assert (found.verdict, named - holding - set(found.unless)) == (verdict, set()), found.why
    if verdict == "moves":
        assert found.unless == ()


# Code with a source of further parameters, and the source's text.
SOURCES = {
    "keywords": (
        "class Client:\n  def chat(self, **kwargs): CALL(**kwargs)", "**kwargs of Client.chat",
    ),
    "a parameter": ("def ask(params): CALL(**params)", "**params of ask"),
    "through self": (
        "class A:\n  def __init__(self, **kw): self.kw = kw\n  def f(self): CALL(**self.kw)",
        "**kw of A.__init__",
    ),
    "a field": (
        "@dataclasses.dataclass\nclass A:\n  more: dict\n  def f(self): CALL(**self.more)",
        "**self.more, a field of A",
    ),
    "a call": ("CALL(**load())", "**load()"),
    "a body": ("def ask(body): CALL(extra_body=body)", "extra_body: **body of ask"),
    "locals": ("def ask(seed, model): CALL(**locals())", "**locals()"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "text"), SOURCES.values(), ids=SOURCES)
def test_sources_of_further_parameters(tmp_path: Path, code: str, text: str) -> None:
    found = find(tmp_path, code.replace("CALL", CALL))[-1]
    assert found.assessment.verdict == "unless"
    assert text in [one.text for one in found.site.arguments.sources]
    assert text in found.assessment.why


def test_parameters_that_would_keep_a_call_on_chat_follow_the_settings(tmp_path: Path) -> None:
    code = f"def f(stop=None, **kw): {CALL}(stop=None, top_p=1, **kw)"
    every = {
        "audio",
        "frequency_penalty",
        "logit_bias",
        "modalities",
        "n",
        "prediction",
        "presence_penalty",
        "seed",
        "web_search_options",
    }
    settings: list[tuple[Settings, set[str]]] = [
        (Settings(), every),
        (Settings(drop=["seed"], emulate=["n"]), every - {"seed", "n"}),
        (Settings(unsupported="drop"), set()),
    ]
    for one, unless in settings:
        (found,) = find(tmp_path, code, one)
        assert set(found.assessment.unless) == unless
        assert found.assessment.verdict == ("unless" if unless else "moves")


@pytest.mark.parametrize(
    ("call", "verdict", "seen"),
    [
        ("ask('a')", "moves", {"n": 1}),
        ("ask('a', 2)", "setting", {"n": 2}),
        ("ask('a', n=2)", "setting", {"n": 2}),
        ("ask('a', **{'seed': 1})", "setting", {"n": 1, "seed": 1}),
        ("ask('a', stop=None, user='u')", "moves", {"n": 1, "stop": None, "user": "u"}),
        ("ask('a', **more)", "unless", {}),
        ("functools.partial(ask, seed=1)('a')", "setting", {"n": 1, "seed": 1}),
        ("also(seed=1)", "setting", {"n": 1, "seed": 1}),
    ],
)
def test_wrappers(tmp_path: Path, call: str, verdict: str, seen: dict[str, Any]) -> None:
    code = (
        f"import functools\ndef ask(q, n=1, **kw): {CALL}(n=n, **kw)\n"
        f"def also(**kw): ask('a', **kw)\n{call}"
    )
    found = find(tmp_path, code)[-1]
    assert (found.site.line, found.site.kind, found.assessment.verdict) == (7, "wrapper", verdict)
    assert seen.items() <= found.site.arguments.values.items()


CLIENTS = {
    "a parameter": (
        "def f(openai_client): openai_client.chat.completions.create()",
        "the client is created elsewhere (openai_client)",
    ),
    "of self": (
        "class A:\n  def f(self): self._client.chat.completions.create()",
        "the client is created elsewhere (self._client)",
    ),
    "annotated": ("def f(c: openai.OpenAI): c.chat.completions.create()", ""),
    "a cached factory": (
        ("@lru_cache(maxsize=None)\ndef get(): return openai.OpenAI()\n"
         "get().chat.completions.create()"), "",
    ),
    "a property": (
        ("class A:\n  @cached_property\n  def c(self): return openai.OpenAI()\n"
         "  def f(self): self.c.chat.completions.create()"), "",
    ),
    "a context manager": (
        ("@contextmanager\ndef get():\n  yield openai.OpenAI()\n"
         "with get() as c: c.chat.completions.create()"), "",
    ),
    "entered": (
        "async def f():\n  async with openai.AsyncOpenAI() as c: await c.chat.completions.create()",
        "",
    ),
    "with options": ("client.with_options(timeout=1).copy().chat.completions.create()", ""),
    "by getattr": ("getattr(client, 'chat').completions.create()", ""),
    "a walrus": ("if (c := openai.OpenAI()): c.chat.completions.create()", ""),
    "unpacked": ("c, m = openai.OpenAI(), 'm'\nc.chat.completions.create()", ""),
    "unpacked of a function": (
        "def make(): return openai.OpenAI(), 'm'\nc, m = make()\nc.chat.completions.create()", "",
    ),
    "one of several": ("cs = {'a': openai.OpenAI()}\ncs[k].chat.completions.create()", ""),
    "a field": (
        ("@dataclasses.dataclass\nclass A:\n  c: openai.AsyncOpenAI\n"
         "def f(a: A): a.c.chat.completions.create()"), "",
    ),
    "the module's": ("openai.chat.completions.create()", ""),
    "decorated": ("@retry(stop=3)\n@observe()\ndef f(): client.chat.completions.create()", ""),
}  # fmt: skip


@pytest.mark.parametrize(("code", "note"), CLIENTS.values(), ids=CLIENTS)
def test_clients(tmp_path: Path, code: str, note: str) -> None:
    (found,) = find(tmp_path, code)
    assert (found.site.kind, found.assessment.verdict, found.site.unknown_client_note) == (
        "chat",
        "moves",
        note,
    )
