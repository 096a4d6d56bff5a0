"""A Chat Completions request as a Responses request."""
