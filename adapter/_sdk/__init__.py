"""Clients of the OpenAI SDK."""
