"""The checks of `adapter doctor`: installation, settings, memory, flags and endpoints."""

from .checks import CHECKS, Check, run_checks
from .findings import Environment, Finding, State

__all__ = ["CHECKS", "Check", "Environment", "Finding", "State", "run_checks"]
