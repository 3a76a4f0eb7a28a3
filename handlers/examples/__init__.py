"""Ready-made applications, small enough to learn from: each is one command, and has a page beside it."""
