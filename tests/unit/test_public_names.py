"""The public names: one table with their import paths; nothing else is exported."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import adapter

ROOT = Path(adapter.__file__).parents[1]

PUBLIC: dict[str, list[str]] = {
    "adapter": [
        "AdapterError", "AsyncAzureOpenAI", "AsyncOpenAI", "AsyncTransport", "AzureOpenAI",
        "Citation", "ConfigurationError", "Counters", "Decision", "Finished", "Loss",
        "MalformedReply", "MalformedRequest", "MissingExtra", "OpenAI", "ReasoningDelta", "Record",
        "RefusalDelta", "Settings", "Store", "StreamTruncated", "TextDelta", "ToolCall",
        "ToolCallDelta", "ToolCallDone", "ToolCallStarted", "TranslationError", "Transport", "Turn",
        "Unsupported", "UpstreamFailure", "Usage", "aforget", "decision", "forget", "install",
        "read", "tool_result", "tools_for", "translate", "uninstall", "use",
    ],
    "adapter.errors": [
        "AdapterError", "ConfigurationError", "MalformedReply", "MalformedRequest", "MissingExtra",
        "StreamTruncated", "TranslationError", "Unsupported", "UpstreamFailure",
    ],
    "adapter.reading": [
        "AsyncEvents", "Citation", "Event", "Events", "Finished", "ReasoningDelta", "RefusalDelta",
        "TextDelta", "ToolCall", "ToolCallDelta", "ToolCallDone", "ToolCallStarted", "ToolResult",
        "Turn", "Usage", "read", "tool_result", "tools_for",
    ],
    "adapter.telemetry": ["Counters", "Histogram", "Observer", "Record"],
    "adapter.testing": ["assert_same_turn", "chat_mocks"],
    "adapter.testing.cassettes": [
        "CannotOverwriteExistingCassetteException", "HOST", "KEPT", "Persister", "RecordingError",
        "ReplayError", "Serializer", "options", "recorder", "same_body", "use_cassette",
        "without_secrets",
    ],
    "adapter.testing.plugin": ["adapter_chat_mocks", "backend"],
    "adapter.testing.pytest_recording": [
        "default_cassette_name", "pytest_recording_configure", "vcr_config",
    ],
    "adapter.tools.audit": ["Summary", "audit", "audit_batch", "audit_batches", "report"],
    "adapter.translate": [
        "CHAT_PARAMETERS", "ChunksFromEvents", "Loss", "Origin", "Parameter", "PathMap", "Policy",
        "Reply", "ReplyContext", "Translation", "chat_to_responses", "error_to_chat",
        "param_to_chat", "response_to_completion",
    ],
    "adapter.typing": ["Observer", "Store"],
}  # fmt: skip

PLAIN_MODULES = {
    "adapter.testing.cassettes",
    "adapter.testing.plugin",
    "adapter.testing.pytest_recording",
}
"""Modules with more names than they export; the others have none beside those in the table."""

EARLIER_NAMES = {
    "adapter.translate": {"Asked": "ReplyContext", "IndexMap": "PathMap", "Rule": "Parameter"},
}
EARLIER_MODULES = {
    "adapter.kit.audit": "adapter.tools.audit",
    "adapter.testing.recording": "adapter.testing.pytest_recording",
}
"""They work until the release after this one."""


def module(path: str) -> ModuleType:
    """Import a module; `adapter.translate` is an attribute, not a module of that name."""
    found: ModuleType = (
        adapter.translate if path == "adapter.translate" else importlib.import_module(path)
    )
    return found


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", PUBLIC)
def test_all_is_the_table(path: str) -> None:
    assert sorted(module(path).__all__) == PUBLIC[path]
    assert all(hasattr(module(path), name) for name in PUBLIC[path])


@pytest.mark.parametrize("path", sorted(PUBLIC.keys() - {"adapter.translate"}))
def test_a_star_import_gives_the_table(path: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"from {path} import *", namespace)
    assert sorted(namespace.keys() - {"__builtins__"}) == PUBLIC[path]


@pytest.mark.parametrize("path", sorted(PUBLIC.keys() - PLAIN_MODULES))
def test_nothing_else_is_exported(path: str) -> None:
    found = module(path)
    for name in PUBLIC[path]:
        getattr(found, name)  # lazy names resolve
    others = {
        name
        for name in dir(found)
        if not name.startswith("_")
        and not isinstance(getattr(found, name), ModuleType)
        and name not in ("Any", "TYPE_CHECKING", "annotations")
    }
    assert others - {*PUBLIC[path], *EARLIER_NAMES.get(path, ())} == set()


@pytest.mark.parametrize("earlier", EARLIER_MODULES)
def test_an_earlier_module_gives_the_same_objects(earlier: str) -> None:
    path = EARLIER_MODULES[earlier]
    found, expected = importlib.import_module(earlier), module(path)
    assert sorted(found.__all__) == PUBLIC[path]
    for name in PUBLIC[path]:
        assert getattr(found, name) is getattr(expected, name)


@pytest.mark.parametrize("path", EARLIER_NAMES)
def test_an_earlier_name_is_the_same_object(path: str) -> None:
    for earlier, name in EARLIER_NAMES[path].items():
        assert getattr(module(path), earlier) is getattr(module(path), name)


def test_the_audit_from_its_earlier_package() -> None:
    from adapter import tools
    from adapter.kit import audit

    assert audit.audit is tools.audit.audit


def test_the_earlier_check_of_cassettes_runs() -> None:
    arguments = ("cassettes/demo", "adapter")
    found = [
        run("-m", f"adapter.testing.{name}", *arguments) for name in ("hygiene", "cassette_check")
    ]
    assert found[0] == found[1] == "0 findings in 8 cassettes\n"


def test_a_service_imports_no_tools_and_no_test_helpers() -> None:
    code = """
import sys
import adapter
with adapter.OpenAI(api_key="unused", settings=adapter.Settings(backend="responses")) as client:
    client.chat.completions.create
adapter.AsyncOpenAI(api_key="unused")
adapter.Transport()
layers = ("adapter.tools", "adapter.testing", "adapter.kit")
print([name for name in sys.modules if name.startswith(layers)])
"""
    assert run("-c", code) == "[]\n"
