"""What becomes of one request, and why."""
