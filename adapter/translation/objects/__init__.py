"""API objects that several stages share, one a file."""
