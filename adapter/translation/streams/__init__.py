"""Translate the events of a Responses stream to the chunks of a Chat stream."""
