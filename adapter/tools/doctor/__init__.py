"""What `adapter doctor` looks at: whether this installation, its settings and its surroundings do what their owner thinks they do."""

from .checks import CHECKS, Check, run_checks
from .findings import Environment, Finding, State

__all__ = ["CHECKS", "Check", "Environment", "Finding", "State", "run_checks"]
