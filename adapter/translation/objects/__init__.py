"""API objects that requests, replies and streams share, one per file."""
