"""Handlers that every contender serves alike, so that a comparison compares servers."""
