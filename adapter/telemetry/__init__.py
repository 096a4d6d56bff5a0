"""What observers are told of calls."""
