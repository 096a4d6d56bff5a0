"""The lists that `make packages` uses, and its comparison of changed modules."""

from __future__ import annotations

import pytest

from adapter.tools.scan.assessment import VERDICTS
from tests.environments import pinned
from tests.packages.changing import difference
from tests.packages.run import SITES, Count

BEFORE = """
import openai as sdk
try:
    from openai import AsyncOpenAI as Client, OpenAIError, OpenAI
except ImportError:
    Client = None

def make():
    return sdk.AzureOpenAI(), OpenAI()
"""


def test_the_lists_are_of_the_packages_that_are_installed() -> None:
    versions = {name: {one["version"]} for name, one in SITES.items()}
    assert versions == pinned("packages.txt")


@pytest.mark.parametrize("name", SITES)
def test_a_list_is_well_formed(name: str) -> None:
    sites = SITES[name]["sites"]
    places = [(file, line) for file, line, *_ in sites]
    assert len(set(places)) == len(places)
    assert {verdict for _, _, _, verdict, *_ in sites} <= {*VERDICTS, "unless"}
    assert all(why for *_, why in SITES[name]["known"])


_MODULE, _NAMES = "import openai as sdk", "import AsyncOpenAI as Client, OpenAIError, OpenAI"
_WITH_ADAPTER = (_MODULE, f"{_MODULE}\nimport adapter")


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(
            "",
            [(_NAMES, "import OpenAIError\n    from adapter import AsyncOpenAI as Client, OpenAI")],
            id="an import split",
        ),
        pytest.param("", [_WITH_ADAPTER, ("sdk.Azure", "adapter.Azure")], id="an attribute"),
        pytest.param("", [_WITH_ADAPTER, (", OpenAI()", ", adapter.OpenAI()")], id="one call"),
        pytest.param("does something else", [("sdk.Azure", "adapter.Azure")], id="never imported"),
        pytest.param("has other names", [("OpenAIError, ", "")], id="a name lost"),
        pytest.param("does something else", [("sdk.Azure", "sdk.")], id="another class"),
        pytest.param("does something else", [("= None", "= 0")], id="another value"),
        pytest.param(
            "does something else", [("from openai", "from adapter.tools")], id="elsewhere"
        ),
        pytest.param("doesn't compile: expected ':'", [("make():", "make()")], id="syntax"),
    ],
)
def test_only_changed_clients_are_no_difference(
    expected: str, changes: list[tuple[str, str]]
) -> None:
    after = BEFORE
    for old, new in changes:
        assert old in after
        after = after.replace(old, new, 1)
    assert difference(BEFORE.encode(), after.encode()) == expected


@pytest.mark.parametrize(
    ("count", "failed"),
    [
        (Count(sites=8, found=7, false=1, unclear=2), []),
        (Count(sites=8, found=7, false=1, unclear=3), ["3 of 8 are unclear"]),
        (Count(http=1), ["1 HTTP requests that don't exist"]),
        (Count(wrongly=1), ["1 files changed that make no chat client"]),
        (Count(broken=2), ["2 files broken"]),
        (Count(unexpected=1), ["1 differences that aren't known"]),
    ],
)
def test_goals(count: Count, failed: list[str]) -> None:
    assert count.fails() == failed
