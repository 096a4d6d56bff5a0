"""How the examples of guides with packages of their own are run; see tests/isolated.py."""

from __future__ import annotations

from tests.isolated import Suite

SUITE = Suite(
    tests=lambda name: "tests/docs/test_example_pages.py",
    shown={"services": ("fastapi", "uvicorn", "prometheus-client", "celery", "redis")},
    options={
        "services": ("-kfollowed and (fastapi or celery)",),
    },
)
