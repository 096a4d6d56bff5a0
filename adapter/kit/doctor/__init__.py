"""What `adapter doctor` looks at: whether this installation, its settings and its surroundings do what their owner thinks they do."""

from .findings import Finding, Patient, State
from .table import CHECKS, Check, examine

__all__ = ["CHECKS", "Check", "Finding", "Patient", "State", "examine"]
