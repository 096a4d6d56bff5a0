"""A Response, or an error, as Chat Completions gives it."""
