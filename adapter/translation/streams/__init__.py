"""The events of a Responses stream as the chunks of a Chat stream."""
