"""What commands are made of, apart from the terminal."""
