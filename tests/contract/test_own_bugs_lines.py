"""The outermost functions of the adapter: an exception at each of their lines that can fail.

One at the entry can't be caught, since no function of the adapter calls them.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.contract.test_own_bugs import (
    Shot,
    code_of,
    is_fine,
    outcome_of,
    prepared,
    pytestmark,
    run_of,
)
from tests.support.calls import Way
from tests.support.planted_bugs import PlantedError

__all__ = ["prepared", "pytestmark"]

OUTERMOST = (
    ("_sdk.client:_sync.<locals>.Adapted.request", "plain"),
    ("_sdk.client_methods:attach_or_mark", "plain"),
    ("_sdk.client_methods:finish_reply", "plain stream"),
    ("_sdk.client_methods:remember_result", "plain"),
    ("_sdk.client_methods:next_attempt", "error body"),
    ("_sdk.client_methods:with_call_contexts.<locals>.failed", "error body"),
    ("_sdk.client_methods:with_fast_replies.<locals>.process", "plain"),
    ("_sdk.fast_messages:_FastMethod.__get__", "plain"),
    ("_sdk.fast_messages:_FastMethod.__init__.<locals>.quick", "plain"),
    ("_sdk.streams:read_chunks", "plain stream"),
    ("_http.transport:Transport.handle_request", "plain"),
    ("_runtime.stream_iterators:StreamIterator.__next__", "plain stream"),
    ("_sdk.decisions:decision", "plain"),
)


def _guarded_lines(code: CodeType) -> list[int]:
    """Return the lines in a function's `try` bodies that can fail."""
    tree = ast.parse(Path(code.co_filename).read_text())
    own = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and code.co_firstlineno in {node.lineno, *(one.lineno for one in node.decorator_list)}
    )
    tries = [
        node
        for node in ast.walk(own)
        if isinstance(node, ast.Try) and any(_is_broad(h) for h in node.handlers)
    ]
    inside = [
        node
        for one in tries
        for top in one.body
        for node in ast.walk(top)
        if isinstance(node, ast.stmt)
    ]
    return sorted({node.lineno for node in inside if not isinstance(node, _HARMLESS)})


_HARMLESS = (
    ast.Try,
    ast.Return,
    ast.Break,
    ast.Raise,
    ast.While,
)  # statements without instructions that can fail


def _is_broad(handler: ast.ExceptHandler) -> bool:
    return isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")


@pytest.mark.parametrize(("function", "name"), OUTERMOST, ids=[one for one, _ in OUTERMOST])
def test_the_outermost_functions_are_guarded_line_by_line(function: str, name: str) -> None:
    way = Way("client", False)
    _, code = code_of(function, way, name)
    problems, hit = [], 0
    for line in _guarded_lines(code):
        shot = Shot(name, way)
        fired: list[int] = []

        def local(
            frame: Any,
            event: str,
            _: Any,
            shot: Shot = shot,
            line: int = line,
            fired: list[int] = fired,
        ) -> Any:
            if event == "line" and frame.f_lineno == line and not fired:
                fired.append(shot.sent())
                raise PlantedError
            return local

        sys.settrace(lambda frame, *_: local if frame.f_code is code else None)
        try:
            got = shot.run()
        finally:
            sys.settrace(None)
        if fired:
            hit += 1
            outcome = outcome_of(shot, got, run_of(name, way))
            if (
                not is_fine(name, function, "after" if fired[0] else "before", outcome)
                or shot.upstream.open
            ):
                problems.append(f"line {line}: {outcome}: {got!r:.200}")
    assert not problems, "\n".join(problems)
    assert hit
