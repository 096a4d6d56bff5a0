"""Format figures for reports, on terminals and pages alike."""

from __future__ import annotations


def percent(share: float) -> str:
    """Format a share from 0 to 100; only exact values are written as 0 % and 100 %."""
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %".replace(".0 %", " %")


def spaced(value: int) -> str:
    """Format a number with narrow spaces between thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def plural(count: int, what: str) -> str:
    """Format a count of things, with an -s unless there is one."""
    return f"{spaced(count)} {what}{'' if count == 1 else 's'}"
