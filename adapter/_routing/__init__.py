"""Which backend gets a call."""
