"""The logic of the commands: each returns its result as data, and `adapter.tools.cli` prints it."""
