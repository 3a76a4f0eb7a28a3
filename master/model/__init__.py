"""Records, and what happened."""
