"""`adapter scan --fix` on one module: what it changes, to the byte; what it leaves, and why."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.tools.scan.imports import fix_imports
from adapter.tools.scan.known_clients import CLIENTS

CHANGED: dict[str, tuple[str, str]] = {
    "alone": ("from openai import OpenAI\n", "from adapter import OpenAI\n"),
    "all four": (
        "from openai import OpenAI, AsyncOpenAI, AzureOpenAI, AsyncAzureOpenAI\n",
        "from adapter import OpenAI, AsyncOpenAI, AzureOpenAI, AsyncAzureOpenAI\n",
    ),
    "an alias": (
        "from openai import OpenAI as Client  # ours\n",
        "from adapter import OpenAI as Client  # ours\n",
    ),
    "among others": (
        "from openai import APIError, OpenAI, NOT_GIVEN\n",
        "from adapter import OpenAI\nfrom openai import APIError, NOT_GIVEN\n",
    ),
    "first": (
        "from openai import OpenAI, APIError\n",
        "from adapter import OpenAI\nfrom openai import APIError\n",
    ),
    "last": (
        "from openai import APIError, OpenAI as O\n",
        "from adapter import OpenAI as O\nfrom openai import APIError\n",
    ),
    "in parentheses": (
        "from openai import (APIError, OpenAI)\n",
        "from adapter import OpenAI\nfrom openai import (APIError)\n",
    ),
    "a name a line": (
        "from openai import (\n    APIError,\n    OpenAI,\n)\n",
        "from adapter import OpenAI\nfrom openai import (\n    APIError,\n)\n",
    ),
    "with comments": (
        "from openai import (\n    # errors\n    APIError,  # all\n    OpenAI,  # noqa: X\n)\n",
        ("from adapter import (\n    OpenAI,  # noqa: X\n)\nfrom openai import (\n    # errors\n"
         "    APIError,  # all\n)\n"),
    ),
    "before a comment": (
        "from openai import (OpenAI,  # ours\n    APIError)\n",
        "from adapter import OpenAI\nfrom openai import (  # ours\n    APIError)\n",
    ),
    "continued": (
        "from openai import APIError, \\\n    OpenAI\n",
        "from adapter import OpenAI\nfrom openai import APIError\n",
    ),
    "in a function": (
        "def f():\n\tfrom openai import OpenAI, APIError\n\treturn OpenAI()\n",
        ("def f():\n\tfrom adapter import OpenAI\n\tfrom openai import APIError\n"
         "\treturn OpenAI()\n"),
    ),
    "tried": (
        "try:\n    from openai import OpenAI\nexcept ImportError:\n    OpenAI = None\n",
        "try:\n    from adapter import OpenAI\nexcept ImportError:\n    OpenAI = None\n",
    ),
    "on one line": (
        "if x: from openai import OpenAI, APIError\n",
        "if x: from adapter import OpenAI; from openai import APIError\n",
    ),
    "after a semicolon": (
        "a = 1; from openai import APIError, OpenAI\n",
        "a = 1; from adapter import OpenAI; from openai import APIError\n",
    ),
    "windows": (
        "import os\r\nfrom openai import OpenAI, APIError\r\n",
        "import os\r\nfrom adapter import OpenAI\r\nfrom openai import APIError\r\n",
    ),
    "no newline at the end": (
        "from openai import OpenAI as O; O()", "from adapter import OpenAI as O; O()",
    ),
    "a form feed": (
        "x = 1\n\x0c\nfrom openai import OpenAI\n", "x = 1\n\x0c\nfrom adapter import OpenAI\n",
    ),
    "by the module": (
        "import openai\nc = openai.OpenAI(x)\n",
        "import adapter\nimport openai\nc = adapter.OpenAI(x)\n",
    ),
    "by the module's alias": (
        "import openai as o\no.AsyncOpenAI()\n",
        "import adapter\nimport openai as o\nadapter.AsyncOpenAI()\n",
    ),
    "by the module, after others": (
        "import os, openai\nopenai.OpenAI()\n",
        "import adapter\nimport os, openai\nadapter.OpenAI()\n",
    ),
    "by the module, known already": (
        "import adapter\nimport openai\nopenai.OpenAI()\n",
        "import adapter\nimport openai\nadapter.OpenAI()\n",
    ),
    "by the module, in a function": (
        "def f():\n    import openai\n    return openai.OpenAI()\n",
        "def f():\n    import adapter\n    import openai\n    return adapter.OpenAI()\n",
    ),
    "a subclass": (
        "import openai\nclass C(openai.OpenAI): pass\n",
        "import adapter\nimport openai\nclass C(adapter.OpenAI): pass\n",
    ),
    "not annotations, nor tests": (
        ("import openai\ndef f(c: openai.OpenAI):\n    assert isinstance(c, openai.OpenAI)\n"
         "    return openai.OpenAI()\n"),
        ("import adapter\nimport openai\ndef f(c: openai.OpenAI):\n"
         "    assert isinstance(c, openai.OpenAI)\n    return adapter.OpenAI()\n"),
    ),
    "below the future": (
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport openai\n\nopenai.OpenAI()\n',
        ('"""Doc."""\n\nfrom __future__ import annotations\n\nimport adapter\nimport openai\n\n'
        'adapter.OpenAI()\n'),
    ),
    "missing, perhaps": (
        ("try:\n    import openai\nexcept ImportError:\n    openai = None\n"
         "def f(): return openai.OpenAI()\n"),
        ("try:\n    import adapter\n    import openai\nexcept ImportError:\n    openai = None\n"
         "def f(): return adapter.OpenAI()\n"),
    ),
}  # fmt: skip


def calls(text: str) -> str:
    """Append calls of all clients that a module imports by name at its top level."""
    names = [
        alias.asname or alias.name
        for node in ast.parse(text).body
        for one in (node, *getattr(node, "body", ()))
        if isinstance(one, ast.ImportFrom) and not isinstance(node, ast.FunctionDef)
        for alias in one.names
        if alias.name in CLIENTS
    ]
    ends = "" if text.endswith("\n") else "\n"
    return text + ends + "".join(f"{name}()\n" for name in names)


@pytest.mark.parametrize(("before", "after"), CHANGED.values(), ids=CHANGED)
def test_changes(before: str, after: str) -> None:
    before, after = calls(before), calls(after)
    fixed = fix_imports(before)
    assert (fixed.text, fixed.left) == (after, [])
    assert fix_imports(after).text is None


UNTOUCHED = {
    "no client": "from openai import APIError\nimport openai\nopenai.APIError\n",
    "another package's": "from llama_index.llms.openai import OpenAI\nOpenAI()\n",
    "relative": "from .openai import OpenAI\n",
    "another openai": "openai = thing()\nopenai.OpenAI()\n",
    "a parameter": "import openai\ndef f(openai): return openai.OpenAI()\n",
    "in text": "x = 'from openai import OpenAI'\n",
    "for types only": "if TYPE_CHECKING:\n    import openai\ndef f(c: openai.OpenAI): ...\n",
}


@pytest.mark.parametrize("text", UNTOUCHED.values(), ids=UNTOUCHED)
def test_leaves_alone(text: str) -> None:
    fixed = fix_imports(text)
    assert (fixed.text, fixed.left) == (None, [])


LEFT = {
    "old macs' line ends": ("x = 1\rfrom openai import OpenAI\rOpenAI()\r", 1, "written back"),
    "a star": ("from openai import *\n", 1, "everything"),
    "re-exported": ("from openai import OpenAI\n__all__ = ['OpenAI']\n", 2, "__all__"),
    "re-exported, added": (
        "from openai import OpenAI as O\n__all__ = []\n__all__ += ['O']\n",
        3,
        "__all__",
    ),
    "as itself": ("from openai import OpenAI as OpenAI\n", 1, "re-exports OpenAI"),
    "compared": (
        "from openai import OpenAI\nx = OpenAI()\ntype(x) is OpenAI\n",
        3,
        "openai.OpenAI",
    ),
    "compared with several": (
        "from openai import OpenAI as O\nx = O()\ntype(x) in (str, O)\n",
        3,
        "openai.OpenAI",
    ),
    "compared by the module": (
        "import openai\nx = openai.OpenAI()\ntype(x) == openai.OpenAI\n",
        3,
        "openai.OpenAI",
    ),
    "a method replaced": ("from openai import OpenAI\nOpenAI.post = f\nOpenAI()\n", 2, "replaces"),
    "another adapter": (
        "import openai\nadapter = 1\nopenai.OpenAI()\n",
        3,
        "adapter is bound to something else",
    ),
    "an adapter parameter": (
        "import openai\ndef f(adapter): return openai.OpenAI()\n",
        2,
        "adapter is bound to something else",
    ),
    "a module of that name": (
        "import openai\nfrom . import adapter\nopenai.OpenAI()\n",
        3,
        "adapter is bound to something else",
    ),
    "an adapter elsewhere": (
        "import openai\nfor adapter in x: pass\nopenai.OpenAI()\n",
        3,
        "adapter is bound to something else",
    ),
    "replaced": ("import openai\nopenai.OpenAI = Fake\nopenai.OpenAI()\n", 2, "replaces"),
}


@pytest.mark.parametrize(("text", "line", "why"), LEFT.values(), ids=LEFT)
def test_unsafe_files_are_left_with_the_reason(text: str, line: int, why: str) -> None:
    fixed = fix_imports(text)
    assert fixed.text is None
    assert [(at, why in reason) for at, reason in fixed.left] == [(line, True)]


NOTED: dict[str, tuple[str, str]] = {
    "an alias": ("import openai\nc = openai.Client()\n", "use OpenAI"),
    "an alias, imported": ("from openai import AsyncClient, APIError\n", "use AsyncOpenAI"),
    "the module's own client": (
        "import openai\nopenai.chat.completions.create(model='m')\n",
        "adapter.install(openai)",
    ),
}
SAFE = (
    "isinstance(c, openai.OpenAI)",
    "cast(openai.OpenAI, c)", "Mock(spec=openai.OpenAI)", "def f(c: openai.OpenAI): ...",
    "class C(openai.OpenAI): ...", "openai.OpenAI()", "openai.responses.create()",
)  # fmt: skip


@pytest.mark.parametrize(("text", "part"), NOTED.values(), ids=NOTED)
def test_unchanged_clients_get_a_note(text: str, part: str) -> None:
    fixed = fix_imports(text)
    assert fixed.text is None
    [(_, note)] = fixed.notes
    assert part in note


@pytest.mark.parametrize("text", SAFE)
def test_safe_uses_get_no_note(text: str) -> None:
    fixed = fix_imports(f"import openai\n{text}\n")
    assert (fixed.notes, fixed.left) == ([], [])


def test_an_unused_client_in_a_packages_init_is_a_re_export() -> None:
    text = "from openai import OpenAI\n"
    assert fix_imports(text, is_package=True).left == [(1, "re-exports OpenAI")]
    assert fix_imports(f"{text}client = OpenAI()\n", is_package=True).text is not None


def test_several_imports_of_the_module_get_one_of_the_adapter() -> None:
    text = (
        "import openai\nimport openai.types.chat\nimport openai as o\n"
        "c = openai.OpenAI(), o.OpenAI()\n"
    )
    fixed = fix_imports(text).text
    assert fixed is not None
    assert fixed.startswith("import adapter\nimport openai\n")
    assert fixed.count("import adapter") == 1


def test_patches_by_name_get_a_note() -> None:
    fixed = fix_imports("from openai import OpenAI\npatch('openai.OpenAI')\nOpenAI()\n")
    assert fixed.text is not None
    assert [line for line, _ in fixed.notes] == [2]


# Any import

NAMES = (
    "OpenAI",
    "AsyncOpenAI",
    "AzureOpenAI",
    "AsyncAzureOpenAI",
    "APIError",
    "NOT_GIVEN",
    "Stream",
    "types",
)
NAMED = st.tuples(st.sampled_from(NAMES), st.sampled_from(["", " as mine", "  as  _x"]))
LAYOUTS = ("plain", "continued", "parentheses", "lines", "lines with comments", "ragged")


def written(names: list[tuple[str, str]], layout: str, newline: str, indent: str) -> str:
    """Return an import statement in a common layout."""
    words = [name + alias for name, alias in names]
    if layout == "plain":
        return f"from openai import {', '.join(words)}"
    if layout == "continued":
        continued = f", \\{newline}{indent}    "
        return f"from  openai  import {continued.join(words)}"
    if layout == "parentheses":
        return f"from openai import ( {' , '.join(words)},)"
    if layout == "lines":
        lines = "".join(f"{indent}    {word},{newline}" for word in words)
        return f"from openai import ({newline}{lines}{indent})"
    if layout == "lines with comments":
        lines = "".join(
            f"{indent}    # above {k}{newline}{indent}    {word},  # {k}{newline}"
            for k, word in enumerate(words)
        )
        return f"from openai import (  # first{newline}{lines}{indent})  # last"
    return f"from openai import ({f',{newline}{indent}  '.join(words)}{newline}{indent} )"


def imported(text: str) -> list[tuple[str, str, str | None]]:
    return sorted(
        (node.module or "", alias.name, alias.asname or "")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )


@given(
    imports=st.lists(
        st.tuples(st.lists(NAMED, min_size=1, max_size=5), st.sampled_from(LAYOUTS)),
        min_size=1,
        max_size=3,
    ),
    newline=st.sampled_from(["\n", "\r\n"]),
    indent=st.sampled_from(["", "    ", "\t"]),
    final=st.booleans(),
)
def test_any_import(
    imports: list[tuple[list[tuple[str, str]], str]], newline: str, indent: str, final: bool
) -> None:
    head = "def f():" if indent else "# ünï"
    lines = [indent + written(names, layout, newline, indent) for names, layout in imports]
    lines += [
        f"{indent}{alias.split()[-1] if alias else name}()"
        for names, _ in imports
        for name, alias in names
        if name in CLIENTS
    ]
    text = newline.join([head, f"{indent}x = 'é'", *lines, f"{indent}y = 2"]) + (
        newline if final else ""
    )
    fixed = fix_imports(text)
    assert fixed.left == []
    changed = text if fixed.text is None else fixed.text
    assert imported(changed) == sorted(
        ("adapter" if name in CLIENTS else module, name, alias)
        for module, name, alias in imported(text)
    )
    assert changed.count("#") == text.count("#")  # no comment is lost
    assert fix_imports(changed).text is None
    if newline == "\r\n":
        assert changed.count("\n") == changed.count("\r\n")
    assert changed.endswith(newline) is final
