"""Figures as reports print them, on terminals and pages alike."""

from __future__ import annotations


def percent(share: float) -> str:
    """Write a share from 0 to 100; only none of it is written as 0, and only all of it as 100."""
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %".replace(".0 %", " %")
