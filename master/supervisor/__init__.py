"""Holds the state and acts on it."""
