"""The earlier path of `adapter.testing.cassette_check`; removed in the release after this one."""

from __future__ import annotations

from .cassette_check import Finding, check, main

__all__ = ["Finding", "check", "main"]

if __name__ == "__main__":
    raise SystemExit(main())
