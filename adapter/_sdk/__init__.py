"""Adapted clients of the OpenAI SDK."""
