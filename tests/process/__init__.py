"""Real servers, real clients, real signals."""
