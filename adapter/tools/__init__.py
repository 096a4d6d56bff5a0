"""What the commands find out, without a terminal: each has its result as data, and `adapter.tools.cli` prints it."""
