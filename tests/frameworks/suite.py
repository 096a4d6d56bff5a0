"""How the tests of frameworks are run; see tests/isolated.py."""

from __future__ import annotations

from tests.isolated import Suite

SUITE = Suite(
    tests=lambda name: "tests/frameworks",
    shown={
        "langchain": ("langchain-openai", "langchain", "langchain-tests"),
        "pydantic_ai": ("pydantic-ai-slim",),
        "opentelemetry": (
            "opentelemetry-instrumentation-openai-v2",
            "opentelemetry-instrumentation-openai",
        ),
        "openai_agents": ("openai-agents",),
        "instructor": ("instructor",),
        "llama_index": ("llama-index-llms-openai", "llama-index-core"),
    },
    tolerated={
        "opentelemetry": (
            # Traceloop's models, when they are imported
            "ignore:Support for class-based `config`:DeprecationWarning",
        ),
        "llama_index": (
            # an agent reads all its attributes when it is made
            "ignore:The `__fields:DeprecationWarning",
            "ignore:The `model_:DeprecationWarning",  # same
            "ignore:Accessing the 'model_:DeprecationWarning",  # same
            # its memory never closes its SQLite store
            "ignore:<aiosqlite.core.Connection object:ResourceWarning",
        ),
    },
    options={
        "langchain": (
            # its standard tests bring pytest-asyncio; async tests run under anyio's plugin here
            "-pno:asyncio",
        ),
    },
)
