"""The URL of a translated request: the caller's with another path, and what is kept of it."""

from __future__ import annotations

import gc

import pytest

from adapter._http import urls
from tests.support.http import http

PATH = b"/v1/responses"

URLS = {
    "plain": ("https://api.openai.com/v1/chat/completions", PATH),
    "a port": ("http://127.0.0.1:8080/v1/chat/completions", PATH),
    "IPv6": ("http://[::1]:8080/v1/chat/completions", PATH),
    "a path to quote": ("https://h/ö%20/chat/completions", b"/%C3%B6%20/responses"),
    "a query": ("https://h/chat/completions?key=SECRET", b"/responses?key=SECRET"),
    "a new query": ("https://h/chat/completions", b"/responses?api-version=1"),
    "a user": ("https://user:SECRET@h/v1/chat/completions", PATH),
    "a long one": ("https://h/" + "y" * 1000 + "/chat/completions", b"/x/responses"),
}


@pytest.mark.parametrize("case", URLS)
def test_a_url_gets_another_path(case: str) -> None:
    text, path = URLS[case]
    for url in (http.URL(text), http.URL(text)):
        made = urls.with_path(url, path)
        assert type(made) is http.URL
        assert made == url.copy_with(raw_path=path)
        assert made.raw_path == path
        assert str(url) == str(http.URL(text))  # unchanged


@pytest.mark.parametrize("case", [case for case in URLS if case not in {"plain", "a port", "IPv6"}])
def test_no_url_that_may_hold_a_key_is_kept(case: str) -> None:
    text, path = URLS[case]
    urls._parsed.cache_clear()
    urls.with_path(http.URL(text), path)
    gc.collect()
    assert urls._parsed.cache_info().currsize == (case == "a path to quote")
