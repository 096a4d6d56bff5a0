"""Find calls of Chat Completions in Python source, assess each call, and change imports."""
