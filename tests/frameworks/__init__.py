"""Run frameworks that are built on the openai SDK, unchanged, on both backends.

Each framework has an environment of its own (`requirements/frameworks/NAME.txt`) and a module
`test_NAME.py`, which is collected only when it is under test. `make frameworks` (tests/isolated.py)
makes the environments, runs the modules and prints a table.
"""
