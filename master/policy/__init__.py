"""What is decided, from facts and the time alone."""
