"""What `adapter doctor` looks at: whether this installation, its settings and its surroundings do what their owner thinks they do."""

from .checks import CHECKS, Check, examine
from .findings import Finding, Patient, State

__all__ = ["CHECKS", "Check", "Finding", "Patient", "State", "examine"]
