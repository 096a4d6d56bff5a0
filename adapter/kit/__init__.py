"""What the command line does that isn't about the terminal."""
