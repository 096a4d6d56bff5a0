"""The command `adapter`, as `python -m adapter`."""

from __future__ import annotations

from adapter.tools.cli import main

if __name__ == "__main__":
    main()
