"""Find in Python source what calls Chat Completions, say what becomes of each call, and change imports."""
